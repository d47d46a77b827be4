"""Runs are found, and what is no run is told, all of it at once."""

import json
from pathlib import Path

import pytest
from trained_runs import add_run, trained_project

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.run_files import RunFile, find_runs, load_runs

RUN = Path("data/imc/train/cnn/run.json")


@pytest.fixture(autouse=True)
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained_project(tmp_path / "project", monkeypatch)


def test_a_run_is_read_with_the_checksum_of_its_bytes() -> None:
    (run,) = load_runs(Path(), "imc")

    assert run.content["variant"] == "cnn"
    assert run.name == "data/imc/train/cnn/run.json"
    assert run.sha256 == digest(RUN).sha256


def test_a_run_that_is_still_written_aside_is_not_found() -> None:
    aside = Path("data/imc/.partial-train/cnn")
    aside.mkdir(parents=True)
    (aside / "run.json").write_text("{}", encoding="utf-8")

    assert find_runs(Path(), "imc") == [RUN]
    assert find_runs(Path(), "spheroid") == []


def test_every_mistake_of_every_foreign_file_is_named_at_once() -> None:
    content = json.loads(RUN.read_text(encoding="utf-8"))
    foreign = {
        "garbled": "{",
        "list": "[]",
        "poor": json.dumps({**content, "metrics": None, "gate": 7}),
        "strange": json.dumps({**content, "study": "leukemia"}),
    }
    for stage, text in foreign.items():
        (Path("data/imc") / stage).mkdir()
        (Path("data/imc") / stage / "run.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_runs(Path(), "imc")

    lines = str(caught.value).splitlines()
    assert lines[0].startswith("data/imc: 5 mistakes")
    assert lines[1:] == [
        "  data/imc/garbled/run.json: found JSONDecodeError, expected an object",
        "  data/imc/list/run.json: found list, expected an object",
        "  data/imc/poor/run.json: metrics: found NoneType, expected dict",
        "  data/imc/poor/run.json: gate: found int, expected str",
        "  data/imc/strange/run.json: study: found 'leukemia', expected 'imc'",
    ]


def test_a_model_that_was_changed_or_lost_after_its_training_is_told() -> None:
    run = RunFile.read(RUN, Path())
    model = RUN.parent / "model.joblib"

    untouched = run.file_mistakes()
    model.write_bytes(b"other trees")
    changed = run.file_mistakes()
    model.unlink()
    lost = run.file_mistakes()

    assert untouched == []
    assert changed == [f"{RUN}: model.joblib was changed after the training"]
    assert lost == [f"{RUN}: model.joblib is missing beside it"]


def test_every_checkpoint_and_the_card_leave_the_project_and_no_table() -> None:
    for seed in range(2):
        (RUN.parent / f"model.{seed}.safetensors").write_bytes(b"weights")
    names = ["model.0.safetensors", "model.1.safetensors", "card.json", "predictions.parquet"]
    add_run("imc", "cnn", files=[RUN.parent / name for name in names])

    run = RunFile.read(RUN, Path())

    assert sorted(path.name for path in run.model_files) == sorted(names[:3])
