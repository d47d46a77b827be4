"""The project and the toy study, in copies that a test may spoil."""

from pathlib import Path

import pytest
from project_tree import Tree, copy_of_project, toy_project


@pytest.fixture
def project(tmp_path: Path) -> Tree:
    """A fresh copy of the whole project."""
    return copy_of_project(tmp_path / "project")


@pytest.fixture(scope="session")
def toy_accepted(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The toy study after a reproduction whose gate passed; not to be changed."""
    tree = toy_project(tmp_path_factory.mktemp("accepted") / "project")
    done = tree.run("dvc", "repro", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    return tree


@pytest.fixture
def toy(toy_accepted: Tree, tmp_path: Path) -> Tree:
    """A copy of the accepted toy study that a test may spoil."""
    return toy_accepted.copy(tmp_path / "project")
