from pathlib import Path

import pytest

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.gate import Finding, seal
from tissuetrace.studies.leukemia.admit import admit
from tissuetrace.studies.leukemia.gates import SUITE


def decide(folder: Path, finding: Finding) -> Path:
    """Seal one finding, ask for admission, and return where it is written."""
    evidence = {"findings": [_as_data(finding)], "counts": {}}
    write_json(seal([finding], [], SUITE, "code"), folder / "token.json")
    write_json(evidence, folder / "evidence.json")
    return folder / "admission.json"


def _as_data(finding: Finding) -> dict[str, object]:
    return {name: getattr(finding, name) for name in Finding.__slots__}


def ask(folder: Path) -> None:
    admit(
        token=folder / "token.json",
        evidence=folder / "evidence.json",
        admission=folder / "admission.json",
    )


def test_a_broken_critical_rule_refuses_with_all_that_the_user_needs(tmp_path: Path) -> None:
    finding = Finding(
        rule="one component", severity="critical", held=False, found="2", bound="1", todo="Mend it"
    )
    admission = decide(tmp_path, finding)

    with pytest.raises(GateRefused, match=r"one component: found 2, allowed 1\. Mend it"):
        ask(tmp_path)

    assert not admission.exists()


def test_a_broken_warning_lets_through(tmp_path: Path) -> None:
    finding = Finding(
        rule="one component", severity="warning", held=False, found="2", bound="1", todo="Look"
    )
    admission = decide(tmp_path, finding)

    ask(tmp_path)

    assert read_json(admission)["verdict"] == "pass"


def test_a_verdict_turned_by_hand_is_refused(tmp_path: Path) -> None:
    finding = Finding(
        rule="one component", severity="critical", held=False, found="2", bound="1", todo="Mend it"
    )
    admission = decide(tmp_path, finding)
    write_json({**read_json(tmp_path / "token.json"), "verdict": "pass"}, tmp_path / "token.json")

    with pytest.raises(GateRefused, match="changed by hand"):
        ask(tmp_path)

    assert not admission.exists()
