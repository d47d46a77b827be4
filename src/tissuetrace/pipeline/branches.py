"""Branches of the pipeline at the same time, each reproduced by a `dvc` of its own."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from tissuetrace.pipeline.exit_codes import EXIT_CODES_VARIABLE, read_exit_codes
from tissuetrace.pipeline.machine import die_with_parent
from tissuetrace.pipeline.steps import Step, next_branch

__all__ = ["reproduce_branch", "run_branches"]


def run_branches(
    steps: Sequence[Step], jobs: int, reproduce: Callable[[Sequence[Step]], str | None]
) -> list[str]:
    """Run all steps, several branches at once, going on after a failure with what can go on.

    Args:
        steps: in an order in which they can run.
        jobs: how many branches run at once.
        reproduce: runs steps one after the other until one fails, whose name it returns.

    Returns:
        Names of the steps that failed; those that depend on them were skipped.
    """
    waiting = list(steps)
    done: set[str] = set()
    failed: list[str] = []
    running: dict[Future[str | None], list[Step]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            while len(running) < jobs and (branch := next_branch(waiting, done)):
                waiting = [step for step in waiting if step not in branch]
                running[pool.submit(reproduce, branch)] = branch
            if not running:
                break
            for finished in wait(running, return_when=FIRST_COMPLETED).done:
                branch = running.pop(finished)
                names = [step.name for step in branch]
                failing = finished.result()
                ended = len(names) if failing is None else names.index(failing)
                done.update(names[:ended])
                waiting = [*branch[ended + 1 :], *waiting]
                failed += [] if failing is None else [failing]
    if waiting:
        skipped = ", ".join(step.name for step in waiting)
        sys.stderr.write(f"skipped, since {', '.join(failed)} failed: {skipped}\n")
    return failed


def reproduce_branch(
    branch: Sequence[Step], *, root: Path, environment: Mapping[str, str], codes: Path
) -> str | None:
    """Reproduce steps with one `dvc`, whose lines are printed with the branch's name before them.

    Args:
        branch: steps of which every other input is there.
        root: the project's folder.
        environment: in which `dvc` finds our command.
        codes: folder for the file in which a stage that fails says so.

    Returns:
        The name of the step that failed, the first one where DVC does not get as far as a stage.
    """
    names = [step.name for step in branch]
    told = codes / names[0]
    with subprocess.Popen(
        # single items: DVC would lock the outputs of steps before, which other branches read
        ["dvc", "--wait-for-lock", "repro", "--single-item", *names],
        cwd=root,
        env={**environment, EXIT_CODES_VARIABLE: str(told), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=die_with_parent,  # noqa: PLW1509  # two system calls, no lock of this process
    ) as process:
        for line in _without_advice(process.stdout or ()):
            sys.stdout.write(f"{branch[0].branch} | {line}")
            sys.stdout.flush()
    if process.returncode == 0:
        return None
    return next(iter(read_exit_codes(told)), names[0])


def _without_advice(lines: Iterable[str]) -> Iterator[str]:
    """Leave out empty lines, and what DVC advises at its end, which every branch would repeat."""
    advising = False
    for line in lines:  # to the end: DVC would break off at a closed pipe
        advising = advising or line.startswith("To track the changes with git")
        if line.strip() and not advising:
            yield line
