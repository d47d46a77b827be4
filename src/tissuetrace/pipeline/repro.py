"""`tissuetrace repro`: reproduce with DVC, record the runs, check the gates."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tissuetrace.pipeline.errors import GateRefused, InputError, ProjectError
from tissuetrace.pipeline.mending import mend_dvc_files
from tissuetrace.pipeline.stage import Stage

__all__ = ["EXIT_CODES_VARIABLE", "dvc_environment", "reproduce", "write_exit_code"]

EXIT_CODES_VARIABLE = "TISSUETRACE_EXIT_CODES"


def reproduce(stages: list[Stage], root: Path, *, everything: bool) -> ProjectError | None:
    """Run `dvc repro`, going on after a failure with what does not depend on it.

    Args:
        stages: the stages wanted.
        root: the project's folder.
        everything: whether these are all stages of the project.

    Returns:
        Why it failed, to be raised once what did succeed has been recorded: `GateRefused` where
        gates alone stopped it, `InputError` where input did, else a fault of ours.
    """
    for line in mend_dvc_files(root):
        sys.stderr.write(f"{line}\n")
    targets = [] if everything else [stage.dvc_name for stage in stages]
    with tempfile.TemporaryDirectory() as folder:
        codes = Path(folder) / "codes"
        environment = {**dvc_environment(root), EXIT_CODES_VARIABLE: str(codes)}
        done = subprocess.run(
            ["dvc", "repro", "--keep-going", *targets], cwd=root, env=environment, check=False
        )
        failed = set(codes.read_text().split()) if codes.exists() else set()
    return None if done.returncode == 0 else _failure(failed)


def _failure(codes: set[str]) -> ProjectError:
    if "1" in codes:
        return ProjectError("a stage broke off by a fault of ours; its traceback is above")
    if codes == {"3"}:
        return GateRefused(
            "a gate refused, and nothing was trained on these data",
            todo="The reasons are printed above",
        )
    return InputError("dvc repro failed", todo="The reason is printed above; mend it and run again")


def dvc_environment(root: Path) -> dict[str, str]:
    """Return the environment in which `dvc` finds our command, quietly and in this folder only."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        # a relative one would be made below whatever folder dvc is called in
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
    }


def write_exit_code(code: int) -> None:
    """Tell the `reproduce` that waits for DVC how a stage ended, which DVC itself does not."""
    target = os.environ.get(EXIT_CODES_VARIABLE)
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(f"{code}\n")
