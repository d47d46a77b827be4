"""Each lane alone on a small phantom, reproduced once by the real dvc."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from project_tree import Tree, commit_project, project_of

SMALL_CELLS = (
    ("subjects_all: 34", "subjects_all: 12"),
    ("subjects_hem: 22", "subjects_hem: 10"),
    ("cells: 12 ", "cells: 6 "),
    ("size_px: 160 ", "size_px: 96 "),
    ("trees: 100", "trees: 20"),
    ("seeds: [0, 1, 2]", "seeds: [0, 1]"),
    ("input_px: 64 ", "input_px: 32 "),
    ("epochs: 6 ", "epochs: 2 "),
    ("repeats: 5", "repeats: 2"),
    ("estimators: 10 ", "estimators: 3 "),
    ("bootstrap: 200 ", "bootstrap: 50 "),
)


SMALL_COHORTS = (
    ("cores: 2 ", "cores: 1 "),
    ("seeds: 8                # splits", "seeds: 4                # splits"),
    ("seeds: 8\n    seed: 0\n  mlp", "seeds: 4\n    seed: 0\n  mlp"),
    ("repeats: 2 ", "repeats: 1 "),
    ("epochs: 6               # 60", "epochs: 1               # 60"),
    ("betas: [0.02, 0.1, 0.5, 3.0]", "betas: [0.5]"),
    ("ks: [1, 3, 5]", "ks: [1, 3]"),
    ("variant_retrainings: 2 ", "variant_retrainings: 1 "),
    ("cnn_patches: 16 ", "cnn_patches: 2 "),
    ("bootstrap: 200 ", "bootstrap: 20 "),
)


def small_lane(study: str, target: Path, changes: Sequence[tuple[str, str]]) -> Tree:
    """A copy of the project with one lane alone and small parameters, reproduced."""
    tree = project_of(study, target)
    for old, new in changes:
        tree.edit("params.yaml", old, new)
    done = tree.run("tissuetrace", "source", study, "phantom")
    assert done.returncode == 0, done.stderr
    commit_project(tree)
    done = tree.run("tissuetrace", "repro", study)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return tree


@pytest.fixture(scope="session")
def lane_accepted(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The leukemia lane after a reproduction; not to be changed."""
    return small_lane("leukemia", tmp_path_factory.mktemp("lane") / "project", SMALL_CELLS)


@pytest.fixture
def lane(lane_accepted: Tree, tmp_path: Path) -> Tree:
    """A copy of the reproduced leukemia lane that a test may spoil."""
    return lane_accepted.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def cohorts_accepted(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The imc lane after a reproduction; not to be changed."""
    return small_lane("imc", tmp_path_factory.mktemp("cohorts") / "project", SMALL_COHORTS)


@pytest.fixture
def cohorts(cohorts_accepted: Tree, tmp_path: Path) -> Tree:
    """A copy of the reproduced imc lane that a test may spoil."""
    return cohorts_accepted.copy(tmp_path / "project")
