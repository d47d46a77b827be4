"""`tissuetrace repro`: reproduce with DVC, record the runs, check the gates."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.branches import Reproducer, run_branches
from tissuetrace.pipeline.errors import GateRefused, InputError, ProjectError
from tissuetrace.pipeline.exit_codes import read_exit_codes
from tissuetrace.pipeline.mending import mend_dvc_files
from tissuetrace.pipeline.stage import Stage
from tissuetrace.pipeline.steps import steps_of

__all__ = ["dvc_environment", "reproduce"]


def reproduce(
    stages: list[Stage], content: Mapping[str, Any], root: Path, *, everything: bool, jobs: int
) -> ProjectError | None:
    """Run `dvc repro`, going on after a failure with what does not depend on it.

    Args:
        stages: the stages wanted, in the order in which they run.
        content: plain values of `params.yaml`.
        root: the project's folder.
        everything: whether these are all stages of the project.
        jobs: how many branches of the pipeline run at once, each in a `dvc` of its own.

    Returns:
        Why it failed, to be raised once what did succeed has been recorded: `GateRefused` where
        gates alone stopped it, `InputError` where input did, else a fault of ours.
    """
    for line in mend_dvc_files(root):
        sys.stderr.write(f"{line}\n")
    with tempfile.TemporaryDirectory() as folder:
        codes = Path(folder)
        engine = Reproducer(root, dvc_environment(root), codes)
        if jobs > 1:
            complete = not run_branches(steps_of(stages, content), jobs, engine)
        else:
            complete = engine.reproduce_all([] if everything else [s.dvc_name for s in stages])
        failed = {code for file in codes.iterdir() for code in read_exit_codes(file).values()}
    return None if complete else _failure(failed)


def _failure(codes: set[int]) -> ProjectError:
    if 1 in codes:
        return ProjectError("a stage broke off by a fault of ours; its traceback is above")
    if codes == {3}:
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
