import json
from dataclasses import replace
from pathlib import Path

import pytest
from leukemia_collection import SPLIT, Collection, draw_collection

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json
from tissuetrace.pipeline.gate import token_mistakes
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.registry import stages_of
from tissuetrace.studies.leukemia.admit import admit
from tissuetrace.studies.leukemia.validate import validate

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_parse' is deprecated")

SEALED = ("images", "table", "groups", "splits", "pairs", "features", "features_other")


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    collection = draw_collection(tmp_path_factory.mktemp("passed"), plant_duplicates=2)
    collection.ingest()
    collection.split()
    collection.featurize()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[3])  # code is hashed from the project's folder
        collection.validate()
    return collection


@pytest.fixture
def refused(passed: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.chdir(Path(__file__).parents[3])
    collection = passed.copy(tmp_path)
    (collection / "admission.json").unlink(missing_ok=True)
    collection.split(replace(SPLIT, link="off"))
    collection.validate()
    return collection


def let_in(collection: Collection) -> None:
    admit(
        token=collection / "token.json",
        evidence=collection / "evidence.json",
        admission=collection / "admission.json",
    )


def test_linked_duplicates_pass_and_the_admission_is_the_token(passed: Collection) -> None:
    let_in(passed)

    token = read_json(passed / "token.json")
    counts = read_json(passed / "evidence.json")["counts"]
    assert token["verdict"] == "pass"
    assert token_mistakes(token) == []
    assert read_json(passed / "admission.json") == token
    assert (counts["subjects"], counts["groups"]) == (13, 11)
    assert (counts["exact_pairs"], counts["exact_pairs_across_subjects"]) == (2, 2)


def test_the_token_binds_every_table_and_the_images(passed: Collection) -> None:
    inputs = read_json(passed / "token.json")["inputs"]

    paths = [passed / (name if name == "images" else f"{name}.parquet") for name in SEALED]
    assert {path: inputs[path]["sha256"] for path in inputs} == {
        str(path): digest(path).sha256 for path in paths
    }


def test_what_training_reads_of_earlier_stages_is_what_the_token_binds() -> None:
    stages = stages_of("leukemia")
    gate = [stage.name for stage in stages].index("validate")
    before = {output.path for stage in stages[:gate] for output in stage.writes.values()}
    trained = [stage for stage in stages if stage.gate is not None]
    read = {str(path) for stage in trained for path in stage.reads.values()} & before

    sealed = {str(validate.reads[name]) for name in SEALED}
    assert len(trained) >= 4
    assert read <= sealed


def test_the_evidence_holds_counts_and_no_name(passed: Collection) -> None:
    evidence = read_json(passed / "evidence.json")

    text = json.dumps(evidence)
    subjects = set(passed.table("table")["subject"])
    assert [
        subject for subject in subjects if f'"{subject}"' in text or f"_{subject}" in text
    ] == []
    assert "UID" not in text
    assert all(isinstance(count, int) for count in evidence["counts"].values())


def test_the_same_data_give_the_same_bytes(
    passed: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    before = [(passed / name).read_bytes() for name in ("evidence.json", "token.json")]

    passed.validate()

    assert [(passed / name).read_bytes() for name in ("evidence.json", "token.json")] == before


def test_link_off_makes_the_same_data_stop_with_rule_count_and_bound(refused: Collection) -> None:
    assert read_json(refused / "token.json")["verdict"] == "fail"

    with pytest.raises(GateRefused) as caught:
        let_in(refused)

    message = str(caught.value)
    assert "pixel-identical images in two groups: found 2, allowed at most 0" in message
    assert "Set leukemia.split.link to pixels" in message
    assert f"The evidence is in {refused / 'evidence.json'}" in message
    assert not (refused / "admission.json").exists()


def test_a_refused_pair_is_listed_with_names_and_groups(refused: Collection) -> None:
    pairs = refused.table("pairs")

    assert pairs["kind"].tolist() == ["exact", "exact"]
    assert (pairs["group_a"] != pairs["group_b"]).all()
    assert pairs["name_a"].str.startswith("UID_").all()


def test_the_log_has_the_verdict_and_counts(
    refused: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    refused.validate()

    (line,) = [line for line in capsys.readouterr().err.splitlines() if "leukemia.val" in line]
    assert line.startswith("leukemia.validate: fail, ")
    assert line.endswith(
        "; 2 exact pairs (2 across names), 0 near pairs (0 across names), 13 groups from 13 names"
    )
