"""A run's file holds all that MLflow will show, and nothing private."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.runs import write_run

Write = Callable[..., dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)
    home = Path("data/leukemia/train_forest/image")
    home.mkdir(parents=True)
    (home / "model.joblib").write_bytes(b"trees")
    Path("features.parquet").write_bytes(b"numbers")
    Path("admission.json").write_text('{"token": "f00d"}', encoding="utf-8")

    def write_one(**changes: object) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "study": "leukemia",
            "variant": "forest-image",
            "parameters": {"trees": 100},
            "metrics": {"auc": 0.9},
            "history": [{"epoch": 0, "loss": 0.5}],
            "inputs": {"features": Path("features.parquet")},
            "files": [home / "model.joblib"],
            "admission": Path("admission.json"),
        }
        write_run(home / "run.json", **arguments | changes)
        content: dict[str, Any] = json.loads((home / "run.json").read_text(encoding="utf-8"))
        return content

    return write_one


def test_inputs_and_files_carry_the_checksums_of_what_lies_on_disk(write: Write) -> None:
    content = write()

    found = digest(Path("features.parquet"))
    assert content["inputs"]["features"] == {
        "path": "features.parquet",
        "md5": found.md5,
        "sha256": found.sha256,
        "bytes": 7,
    }
    model = digest(Path("data/leukemia/train_forest/image/model.joblib"))
    assert content["files"] == {"model.joblib": model.sha256}
    assert content["gate"] == "f00d"


def test_an_absolute_input_loses_the_folders_of_the_machine(
    write: Write, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("private") / "table.csv"
    outside.write_text("x", encoding="utf-8")

    content = write(inputs={"inside": tmp_path / "features.parquet", "outside": outside})

    assert content["inputs"]["inside"]["path"] == "features.parquet"
    assert content["inputs"]["outside"]["path"] == "table.csv"


def test_variables_of_the_machine_are_named_without_their_values(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_LIVE", "http://me:secret@server")

    content = write()

    assert "TISSUETRACE_LIVE" in content["machine"]["variables"]
    assert "secret" not in json.dumps(content)


def test_numbers_of_numpy_are_written_as_numbers(write: Write) -> None:
    child = {"name": "seed 0", "metrics": {"auc": np.float64(0.5)}}

    content = write(metrics={"auc": np.float64(0.25)}, children=[child])

    assert content["metrics"] == {"auc": 0.25}
    assert content["children"][0]["metrics"] == {"auc": 0.5}
    assert content["children"][0]["history"] == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"variant": "forest/image"}, "forest/image"),
        ({"metrics": {"auc": float("nan")}}, "auc"),
        ({"history": [{"loss": float("inf")}]}, "loss"),
        ({"children": [{"name": "seed 0", "metrics": {"f1": float("nan")}}]}, "f1"),
        ({"metrics": {"sensitivity@0.9": 1.0}}, "sensitivity@0.9"),
        ({"parameters": {"source": ["/home/me/cells"]}}, "/home/me/cells"),
        ({"children": [{"name": "a", "parameters": {"b": {"c": "/home"}}}]}, "/home"),
        ({"files": [Path("features.parquet")]}, "features.parquet"),
    ],
)
def test_what_cannot_be_recorded_is_refused_by_name(
    write: Write, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        write(**changes)

    assert not Path("data/leukemia/train_forest/image/run.json").exists()


def test_outside_git_the_commit_is_unknown(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))

    assert write()["git"] == {"commit": "unknown", "dirty": False}


def test_changed_settings_make_a_run_dirty_but_a_changed_lock_does_not(write: Write) -> None:
    Path("params.yaml").write_text("trees: 1\n", encoding="utf-8")
    Path("dvc.lock").write_text("one\n", encoding="utf-8")
    _git("init", "-q")
    _git("add", "params.yaml", "dvc.lock")
    _git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x")
    Path("dvc.lock").write_text("two\n", encoding="utf-8")

    clean = write()["git"]
    Path("params.yaml").write_text("trees: 2\n", encoding="utf-8")
    dirty = write()["git"]

    assert clean == {"commit": _git("rev-parse", "HEAD").strip(), "dirty": False}
    assert dirty["dirty"] is True


def test_writing_a_run_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'sklearn', 'mlflow', 'numpy', 'pandas', 'pyarrow'}"
    code = f"import sys, tissuetrace.pipeline.runs; print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout
