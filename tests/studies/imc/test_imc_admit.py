from dataclasses import asdict
from pathlib import Path

import pytest

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.gate import Finding, Severity, seal
from tissuetrace.studies.imc.admit import admit
from tissuetrace.studies.imc.cohorts import ADMISSION
from tissuetrace.studies.imc.gates import suite


def write_verdict(folder: Path, severity: Severity) -> Path:
    """Seal one broken rule and return where an admission would be written."""
    finding = Finding(
        rule="breast: patches of a core",
        severity=severity,
        held=False,
        found="3 of 40 rows outside",
        bound="at least 1",
        todo="Add tissue",
    )
    write_json(seal([finding], [], suite({"breast": ""}), "code"), folder / "token.json")
    write_json({"findings": [asdict(finding)], "counts": {}}, folder / "evidence.json")
    return folder / "admission.json"


def ask(folder: Path) -> None:
    names = ("token", "evidence", "admission")
    admit(**{name: folder / f"{name}.json" for name in names})


def test_a_broken_critical_rule_refuses_with_cohort_count_bound_and_what_to_do(
    tmp_path: Path,
) -> None:
    admission = write_verdict(tmp_path, "critical")

    with pytest.raises(
        GateRefused,
        match=r"breast: patches of a core: found 3 of 40 rows outside, allowed at least 1\. Add",
    ):
        ask(tmp_path)

    assert not admission.exists()


def test_a_broken_warning_lets_through(tmp_path: Path) -> None:
    admission = write_verdict(tmp_path, "warning")

    ask(tmp_path)

    assert read_json(admission)["verdict"] == "pass"


def test_a_verdict_turned_by_hand_is_refused(tmp_path: Path) -> None:
    admission = write_verdict(tmp_path, "critical")
    write_json({**read_json(tmp_path / "token.json"), "verdict": "pass"}, tmp_path / "token.json")

    with pytest.raises(GateRefused, match="changed by hand"):
        ask(tmp_path)

    assert not admission.exists()


def test_trainings_depend_on_what_this_stage_writes() -> None:
    assert admit.writes["admission"].path == ADMISSION
