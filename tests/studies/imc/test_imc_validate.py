import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from imc_cohorts import COHORT, paths_of, write_cohort

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.gate import token_mistakes
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.stage import Each
from tissuetrace.studies.imc.admit import admit
from tissuetrace.studies.imc.cohorts import ADMISSION
from tissuetrace.studies.imc.validate import SEALED, validate

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_parse' is deprecated")

ROOT = Path(__file__).parents[3]
COHORTS = ("breast", "melanoma")


def hold(home: Path) -> None:
    """Run `validate` on both cohorts."""
    paths = {cohort: paths_of(home, cohort) for cohort in COHORTS}
    reads = {name: {cohort: paths[cohort][name] for cohort in COHORTS} for name in paths["breast"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # code is hashed from the project's folder
        validate(
            **reads,
            evidence=home / "evidence.json",
            token=home / "token.json",
            cohorts={"breast": replace(COHORT, control=""), "melanoma": COHORT},
        )


def let_in(home: Path) -> None:
    names = ("token", "evidence", "admission")
    admit(**{name: home / f"{name}.json" for name in names})


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both cohorts, sound; only to be read."""
    home = tmp_path_factory.mktemp("passed")
    for cohort in COHORTS:
        write_cohort(home, cohort)
    hold(home)
    return home


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    for cohort in COHORTS:
        write_cohort(tmp_path, cohort)
    leaks = paths_of(tmp_path, "melanoma")["leaks"]
    write_json({**read_json(leaks), "gain": 0.154}, leaks)
    hold(tmp_path)
    return tmp_path


def test_sound_cohorts_pass_and_the_admission_is_the_token(passed: Path) -> None:
    let_in(passed)

    token = read_json(passed / "token.json")
    assert token["verdict"] == "pass"
    assert token_mistakes(token) == []
    assert read_json(passed / "admission.json") == token


def test_the_token_binds_what_training_reads_of_every_cohort(passed: Path) -> None:
    paths = [paths_of(passed, cohort)[name] for cohort in COHORTS for name in SEALED]
    inputs = read_json(passed / "token.json")["inputs"]
    assert {path: found["sha256"] for path, found in inputs.items()} == {
        str(path): digest(path).sha256 for path in paths
    }


def test_no_training_reads_what_the_token_does_not_bind() -> None:
    sealed = {str(template_of(name)) for name in SEALED}
    for name in ("train_mlp", "train_cnn"):
        module = importlib.import_module(f"tissuetrace.studies.imc.{name}")
        stage = getattr(module, name)
        assert stage.gate == ADMISSION
        assert {str(path) for path in stage.reads.values()} - sealed == {ADMISSION}


def template_of(argument: str) -> str:
    read = validate.reads[argument]
    assert isinstance(read, Each)
    return read.template


def test_the_evidence_holds_counts_of_each_cohort_and_no_name(passed: Path) -> None:
    evidence = read_json(passed / "evidence.json")

    text = json.dumps(evidence)
    assert "patient-0" not in text
    assert "core-0" not in text
    assert sorted(evidence["counts"]) == ["breast", "melanoma"]
    assert all(isinstance(count, int) for count in evidence["counts"]["breast"].values())
    assert evidence["counts"]["breast"]["patches"] == 480
    assert evidence["counts"]["breast"]["patient_redraws"] == 1


def test_the_control_channel_is_asked_for_where_a_cohort_has_one(passed: Path) -> None:
    rules = [finding["rule"] for finding in read_json(passed / "evidence.json")["findings"]]
    assert [rule for rule in rules if "DapB" in rule] == [
        "melanoma: AUC of DapB alone, which should tell nothing (mean over seeds)"
    ]


def test_the_same_data_give_the_same_bytes(passed: Path) -> None:
    names = ("evidence.json", "token.json")
    before = [(passed / name).read_bytes() for name in names]

    hold(passed)

    assert [(passed / name).read_bytes() for name in names] == before


def test_a_leak_in_one_cohort_stops_both_and_names_it(refused: Path) -> None:
    assert read_json(refused / "token.json")["verdict"] == "fail"

    with pytest.raises(GateRefused) as caught:
        let_in(refused)

    message = str(caught.value)
    assert "1 critical rule broken" in message
    assert "melanoma: AUC gained from size and number of holes" in message
    assert "found 0.154, allowed at most 0.03" in message
    assert "set imc.decoy.kind to matched" in message
    assert f"The evidence is in {refused / 'evidence.json'}" in message
    assert "breast" not in message
    assert not (refused / "admission.json").exists()


def test_the_log_has_the_verdict_and_counts(
    passed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(passed)

    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("imc.val")]
    assert line == (
        "imc.validate: pass, 0 refusals, 0 warnings; "
        "breast: 192 of 480 patches positive, 12 images of 12 subjects; "
        "melanoma: 192 of 480 patches positive, 12 images of 12 subjects"
    )


def test_the_gate_needs_neither_torch_nor_sklearn() -> None:
    names = [f"tissuetrace.studies.imc.{name}" for name in ("validate", "evidence", "gates")]
    heavy = "sorted({'torch', 'sklearn'} & set(sys.modules))"

    said = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(names)}; print({heavy})"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "[]\n"
