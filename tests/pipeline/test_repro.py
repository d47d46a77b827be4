import json

import pytest
from project_tree import Tree

pytestmark = pytest.mark.slow


def test_a_second_repro_runs_nothing(toy: Tree) -> None:
    done = toy.run("dvc", "repro")

    assert done.returncode == 0
    assert "Data and pipelines are up to date" in done.stdout
    assert "Running stage" not in done.stdout


def test_one_changed_parameter_runs_what_depends_on_it_and_shows_in_the_metrics(toy: Tree) -> None:
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "accepted")
    toy.edit("params.yaml", "shift: 0.0", "shift: 0.5")

    done = toy.run("tissuetrace", "repro", "toy")

    assert done.returncode == 0, done.stderr
    assert "Running stage 'toy-train@a'" in done.stdout
    assert "Running stage 'toy-draw'" not in done.stdout
    assert "toy: the gate's token fits" in done.stdout
    diff = json.loads(toy.run("dvc", "metrics", "diff", "--json").stdout)
    assert diff["metrics/toy/headline.json"]["a"] == {"old": 3.0, "new": 3.5, "diff": 0.5}


def test_a_change_of_words_reruns_nothing(toy: Tree) -> None:
    toy.edit("src/tissuetrace/studies/toy/__init__.py", "The mean of a column", "A mean")
    toy.edit("src/tissuetrace/pipeline/errors.py", "Exit code 2.", "Its exit code is 2.")

    assert "up to date" in toy.run("dvc", "repro").stdout


def test_a_change_of_code_reruns_what_imports_it(toy: Tree) -> None:
    path = toy.root / "src/tissuetrace/pipeline/files.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")

    done = toy.run("dvc", "repro", "--dry")

    assert "Running stage 'toy-draw'" in done.stdout
    assert "Stage 'toy-fetch' didn't change" in done.stdout


def test_a_stale_pipeline_stops_repro_before_anything_runs(toy: Tree) -> None:
    toy.edit("dvc.yaml", "toy.draw.rows", "toy.draw.row")

    done = toy.run("tissuetrace", "repro")

    assert done.returncode == 2
    assert "dvc.yaml differ from the declarations. Run tissuetrace pipeline --write" in done.stderr


def test_a_misspelt_parameter_stops_repro_before_anything_runs(toy: Tree) -> None:
    toy.edit("params.yaml", "rows: 5", "rowz: 5")

    done = toy.run("tissuetrace", "repro")

    assert done.returncode == 2
    assert "toy.draw.rowz: no such key; the nearest is 'rows'" in done.stderr


def test_a_clone_pulls_every_output_and_runs_nothing(toy: Tree) -> None:
    remote = toy.root.parent / "remote"
    toy.run("dvc", "remote", "add", "--default", "store", str(remote))
    toy.run("git", "add", "--all")
    toy.run("git", "commit", "--quiet", "--message", "accepted")
    assert toy.run("dvc", "push", "--quiet").returncode == 0
    clone = Tree(toy.root.parent / "clone")
    toy.run("git", "clone", "--quiet", str(toy.root), str(clone.root))

    pulled = clone.run("dvc", "pull", "--quiet")

    assert pulled.returncode == 0, pulled.stderr
    assert clone.outputs() == toy.outputs()
    assert "up to date" in clone.run("dvc", "repro").stdout
    assert clone.run("tissuetrace", "gates").returncode == 0
    assert "toy: 2 runs recorded" in clone.run("tissuetrace", "track").stdout


def test_a_fault_of_ours_in_a_stage_ends_with_1_after_the_rest_was_recorded(toy: Tree) -> None:
    toy.edit("src/tissuetrace/studies/toy/summarise.py", "    means.write_text(", "    1 / 0; (")

    done = toy.run("tissuetrace", "repro", "toy")

    assert done.returncode == 1
    assert "a stage broke off by a fault of ours" in done.stderr
    assert "toy: 2 runs recorded" in done.stdout


def test_a_refusal_is_told_though_the_runs_cannot_be_recorded(toy: Tree) -> None:
    toy.edit("params.yaml", "low: 1.0", "low: -1.0")
    (toy.root / "data/toy/train/a/model.json").unlink()
    toy.write("data/toy/train/a/model.json", b"{}")

    done = toy.run("tissuetrace", "repro", "toy")

    assert done.returncode == 3
    assert "model.json was changed after the training" in done.stderr
    assert "a gate refused, and nothing was trained on these data" in done.stderr
