"""The leukemia lane on a small phantom, reproduced once by the real dvc."""

from pathlib import Path

import pytest
from project_tree import Tree, commit_project, project_of

SMALL = (
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


def small_lane(target: Path) -> Tree:
    """A copy of the project with this lane alone and small parameters, under git."""
    tree = project_of("leukemia", target)
    for old, new in SMALL:
        tree.edit("params.yaml", old, new)
    done = tree.run("tissuetrace", "source", "leukemia", "phantom")
    assert done.returncode == 0, done.stderr
    commit_project(tree)
    return tree


@pytest.fixture(scope="session")
def lane_accepted(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The small lane after a reproduction; not to be changed."""
    tree = small_lane(tmp_path_factory.mktemp("lane") / "project")
    done = tree.run("tissuetrace", "repro", "leukemia")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return tree


@pytest.fixture
def lane(lane_accepted: Tree, tmp_path: Path) -> Tree:
    """A copy of the reproduced lane that a test may spoil."""
    return lane_accepted.copy(tmp_path / "project")
