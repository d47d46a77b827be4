"""The commands at the end of each page lead from a number to the bytes of an image."""

import hashlib
import re
from collections.abc import Sequence

import pytest
from project_tree import Tree

from tissuetrace.studies.imc.wording import trace
from tissuetrace.studies.leukemia.wording import TRACE as OF_LEUKEMIA

pytestmark = pytest.mark.slow


def walked(tree: Tree, commands: Sequence[str], home: str) -> None:
    """Type all commands; PATH is replaced by what the third one prints, as a reader would."""
    script = "set -e\n" + "\n".join(commands).replace(".venv/bin/python", "python")
    first, last = script.split("sha256sum ")
    printed = tree.run("bash", "-c", first)
    assert printed.returncode == 0, printed.stderr
    (path,) = re.findall(r"^path +(\S+)$", printed.stdout, re.MULTILINE)
    (sha256,) = re.findall(r"^sha256 +(\S+)$", printed.stdout, re.MULTILINE)

    done = tree.run("bash", "-c", f"set -e\nsha256sum {last}".replace("PATH", path))

    assert done.returncode == 0, done.stderr
    stored = hashlib.sha256((tree.root / home / path).read_bytes()).hexdigest()
    assert done.stdout.startswith(f"{stored}  {home}/{path}")
    assert stored == sha256
    assert "md5: " in done.stdout
    assert '"sha256": ' in done.stdout


def test_of_the_leukemia_page(lane_accepted: Tree) -> None:
    walked(lane_accepted, OF_LEUKEMIA, "data/leukemia/fetch/images")


def test_of_the_imc_page(cohorts_accepted: Tree) -> None:
    walked(cohorts_accepted, trace("breast"), "data/imc/fetch/files")
