"""Ways round a gate, each tried against the real dvc."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from project_tree import Tree

pytestmark = pytest.mark.slow

SEALED = "data/toy/validate/token.json"
ADMISSION = "data/toy/admit/admission.json"
TABLE = "data/toy/draw/table.parquet"
MODEL = "data/toy/train/a/model.json"
GATED = (TABLE, "data/toy/draw/copies", "data/toy/train/a", "data/toy/train/b")


def spoiled_table(tmp_path: Path) -> bytes:
    import pandas as pd

    from tissuetrace.pipeline.files import write_table

    write_table(pd.DataFrame({"x": [-1.0, 2.0]}), tmp_path / "spoiled.parquet")
    return (tmp_path / "spoiled.parquet").read_bytes()


def test_an_undisturbed_project_passes(toy: Tree) -> None:
    done = toy.run("tissuetrace", "gates")

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "toy: the gate's token fits dvc.lock and the code; 11 of 11 outputs are here" in done.stdout
    )


def test_a_refused_gate_leaves_the_last_accepted_model_where_it_was(toy: Tree) -> None:
    accepted = (toy.root / MODEL).read_bytes()
    toy.edit("params.yaml", "low: 1.0", "low: -2.0")

    done = toy.run("tissuetrace", "repro", "toy")

    assert done.returncode == 3
    assert "numbers are not negative: found 2 of 5 rows outside, allowed at least 0" in done.stderr
    assert "Raise toy.draw.low" in done.stderr
    assert "toy: 2 runs recorded" in done.stdout  # what was accepted before stays in the book
    assert (toy.root / MODEL).read_bytes() == accepted
    evidence = json.loads((toy.root / "data/toy/validate/evidence.json").read_text())
    assert [finding["held"] for finding in evidence["findings"]] == [False]


def test_data_edited_after_the_gate_are_found_without_training(toy: Tree, tmp_path: Path) -> None:
    toy.write(TABLE, spoiled_table(tmp_path))

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert f"{TABLE} was changed after the gate" in done.stderr


def test_forcing_a_training_past_the_gate_is_refused(toy: Tree, tmp_path: Path) -> None:
    toy.write(TABLE, spoiled_table(tmp_path))

    done = toy.run("dvc", "repro", "--single-item", "--force", "toy-train@a")

    assert done.returncode == 255
    assert f"toy.train: {TABLE} is not what the gate has seen. Nothing was trained" in done.stderr
    assert toy.run("tissuetrace", "run", "toy.train", "--variant", "a").returncode == 3


def test_data_committed_over_dvc_are_found_though_dvc_says_up_to_date(
    toy: Tree, tmp_path: Path
) -> None:
    toy.write(TABLE, spoiled_table(tmp_path))
    assert toy.run("dvc", "commit", "--force").returncode == 0
    assert "up to date" in toy.run("dvc", "repro").stdout

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert f"dvc.lock holds another {TABLE} than the gate has seen" in done.stderr


def test_committed_data_are_found_where_the_data_are_not_here(toy: Tree, tmp_path: Path) -> None:
    toy.write(TABLE, spoiled_table(tmp_path))
    assert toy.run("dvc", "commit", "--force").returncode == 0
    (toy.root / TABLE).unlink()

    assert toy.run("tissuetrace", "gates").returncode == 3


@pytest.mark.parametrize("committed", [False, True])
def test_an_old_token_put_back_is_found(toy: Tree, committed: bool) -> None:  # noqa: FBT001  # a parameter of the test
    old = {name: (toy.root / name).read_bytes() for name in (SEALED, ADMISSION)}
    toy.edit("params.yaml", "low: 1.0", "low: 2.0")
    assert toy.run("dvc", "repro", "--quiet").returncode == 0
    for name, content in old.items():
        toy.write(name, content)
    if committed:
        toy.run("dvc", "commit", "--force", "toy-validate", "toy-admit")

    found = toy.run("tissuetrace", "gates")
    trained = toy.run("tissuetrace", "run", "toy.train", "--variant", "a")

    assert found.returncode == 3
    assert trained.returncode == 3
    assert "is not what the gate has seen" in trained.stderr


def refuse(token: dict[str, object]) -> None:
    token["verdict"] = "fail"


def admit_other_data(token: dict[str, object]) -> None:
    token["inputs"] = {}


@pytest.mark.parametrize("forge", [refuse, admit_other_data])
def test_a_token_changed_by_hand_is_found(
    toy: Tree, forge: Callable[[dict[str, object]], None]
) -> None:
    token = json.loads((toy.root / SEALED).read_text())
    forge(token)
    toy.write(SEALED, json.dumps(token).encode())

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert "the token was changed by hand" in done.stderr


def test_a_model_edited_and_committed_is_found_before_another_learns_from_it(toy: Tree) -> None:
    toy.write(MODEL, b'{"mean": 99}')
    forced = toy.run("tissuetrace", "run", "toy.combine")
    assert toy.run("dvc", "commit", "--force", "toy-train@a").returncode == 0

    audited = toy.run("tissuetrace", "gates")

    assert (forced.returncode, audited.returncode) == (3, 3)
    assert "data/toy/train/a is not what train@a has written" in forced.stderr
    assert "data/toy/train/a is not what train@a has written" in audited.stderr
    assert "dvc.lock holds another data/toy/train/a than train@a has written" in audited.stderr


@pytest.mark.parametrize("table", sorted(set(GATED) - {TABLE}))
def test_every_path_that_a_training_reads_is_watched(toy: Tree, table: str) -> None:
    path = toy.root / table
    victim = min(path.rglob("*.*")) if path.is_dir() else path
    toy.write(str(victim.relative_to(toy.root)), b"{}")
    toy.run("dvc", "commit", "--force")

    assert toy.run("tissuetrace", "gates").returncode == 3


@pytest.mark.parametrize("name", [SEALED, ADMISSION])
@pytest.mark.parametrize("content", [b"{}", b"[]", b"no"])
def test_a_file_that_is_no_token_is_one_line(toy: Tree, name: str, content: bytes) -> None:
    toy.write(name, content)

    done = toy.run("tissuetrace", "gates")

    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr


def test_a_training_with_an_admission_that_is_no_token_is_refused(toy: Tree) -> None:
    toy.write(ADMISSION, b"{}")

    done = toy.run("tissuetrace", "run", "toy.train", "--variant", "a")

    assert done.returncode == 3
    assert "toy.train: this is no token. Nothing was trained" in done.stderr


def test_a_missing_admission_is_found(toy: Tree) -> None:
    (toy.root / ADMISSION).unlink()

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert "the admission is not here" in done.stderr


def test_a_pipeline_without_its_gate_is_found(toy: Tree) -> None:
    toy.edit("dvc.lock", "toy-validate:", "toy-other:")

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert "toy: dvc.lock knows no run of its gate" in done.stderr


def test_a_lock_with_a_merge_conflict_is_one_line(toy: Tree) -> None:
    lock = toy.root / "dvc.lock"
    lock.write_text("<<<<<<< ours\n" + lock.read_text())

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 2
    assert "dvc.lock: no valid YAML" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_of_another_suite_is_found(toy: Tree) -> None:
    toy.edit("src/tissuetrace/studies/toy/validate.py", '"min_value": 0', '"min_value": -9')

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 3
    assert "made by another version of the gate's code" in done.stderr


def test_a_clone_without_the_token_says_what_to_pull(toy: Tree) -> None:
    (toy.root / SEALED).unlink()

    done = toy.run("tissuetrace", "gates")

    assert done.returncode == 2
    assert "dvc pull toy-validate toy-admit" in done.stderr


def test_a_spoiled_table_restored_by_dvc_passes_again(toy: Tree, tmp_path: Path) -> None:
    toy.write(TABLE, spoiled_table(tmp_path))
    assert toy.run("dvc", "checkout", "--force").returncode == 0

    assert toy.run("tissuetrace", "gates").returncode == 0
