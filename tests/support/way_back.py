"""The commands at the end of a page, typed as a reader would."""

import hashlib
import re
from collections.abc import Sequence

from project_tree import Tree


def walk_back(tree: Tree, commands: Sequence[str], home: str) -> None:
    """Type all commands from a number to the bytes of a file below `home`.

    PATH is replaced by what the third one prints.
    """
    script = "set -e\n" + "\n".join(commands).replace(".venv/bin/python", "python")
    first, last = script.split("sha256sum ")
    printed = tree.run("bash", "-c", first)
    assert printed.returncode == 0, printed.stderr
    (path,) = re.findall(r"^\('path', '(\S+)'\)$", printed.stdout, re.MULTILINE)
    (sha256,) = re.findall(r"^\('sha256', '(\S+)'\)$", printed.stdout, re.MULTILINE)

    done = tree.run("bash", "-c", f"set -e\nsha256sum {last}".replace("PATH", path))

    assert done.returncode == 0, done.stderr
    stored = hashlib.sha256((tree.root / home / path).read_bytes()).hexdigest()
    assert done.stdout.startswith(f"{stored}  {home}/{path}")
    assert stored == sha256
    assert "md5: " in done.stdout
    assert '"sha256": ' in done.stdout
