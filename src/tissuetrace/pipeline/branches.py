"""Branches of the pipeline at the same time, each reproduced by a `dvc` of its own."""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol, runtime_checkable

from tissuetrace.pipeline.exit_codes import EXIT_CODES_VARIABLE, read_exit_codes
from tissuetrace.pipeline.machine import die_with_parent
from tissuetrace.pipeline.steps import Step, next_branch

__all__ = ["Engine", "Reproducer", "run_branches"]

_GRACE_S = 5.0  # in which a process that was interrupted ends by itself


@runtime_checkable
class Engine(Protocol):
    """What runs the steps of a branch."""

    def reproduce(self, branch: Sequence[Step]) -> str | None:
        """Run steps one after the other until one fails, and return its name."""

    def stop(self) -> None:
        """End whatever runs."""


def run_branches(steps: Sequence[Step], jobs: int, engine: Engine) -> list[str]:
    """Run all steps, several branches at once, going on after a failure with what can go on.

    Args:
        steps: in an order in which they can run.
        jobs: how many branches run at once.
        engine: runs each branch.

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
                running[pool.submit(engine.reproduce, branch)] = branch
            if not running:
                break
            for finished in _first_of(running, engine):
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


def _first_of(running: Iterable[Future[str | None]], engine: Engine) -> set[Future[str | None]]:
    try:
        return wait(running, return_when=FIRST_COMPLETED).done
    except KeyboardInterrupt:
        engine.stop()
        raise


class Reproducer:
    """Reproduces branches with DVC.

    Args:
        root: the project's folder.
        environment: in which `dvc` finds our command.
        codes: folder for the files in which stages that fail say so.
    """

    def __init__(self, root: Path, environment: Mapping[str, str], codes: Path) -> None:
        self.root = root
        self.environment = environment
        self.codes = codes
        self._started: list[subprocess.Popen[str]] = []

    def reproduce_all(self, targets: Sequence[str]) -> bool:
        """Reproduce targets and what they need with one `dvc`; without any, the whole project.

        Returns:
            Whether nothing failed.
        """
        process = self._start(["repro", "--keep-going", *targets], self.codes / "all")
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            self.stop()
            raise

    def reproduce(self, branch: Sequence[Step]) -> str | None:
        """Reproduce steps with one `dvc`, whose lines get the branch's name before them.

        Args:
            branch: steps of which every other input is there.

        Returns:
            The name of the step that failed, the first where DVC does not get as far as a stage.
        """
        names = [step.name for step in branch]
        told = self.codes / names[0]
        # single items: DVC would lock the outputs of steps before, which other branches read
        command = ["--wait-for-lock", "repro", "--single-item", *names]
        failed = ""
        with self._start(command, told, stdout=subprocess.PIPE) as process:
            for line in _without_advice(process.stdout or ()):
                sys.stdout.write(f"{branch[0].branch} | {line}")
                sys.stdout.flush()
                failed = "".join(re.findall(r"failed to reproduce '([^']+)'", line)) or failed
        if process.returncode == 0:
            return None
        # a stage that was killed has left no code, and only DVC knows of it
        suspects = [*read_exit_codes(told), failed]
        return next((name for name in suspects if name in names), names[0])

    def stop(self) -> None:
        """Let every `dvc` end, by itself where it was interrupted too."""
        deadline = time.monotonic() + _GRACE_S
        for process in self._started:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.terminate()  # its stage ends with it

    def _start(
        self, command: Sequence[str], told: Path, *, stdout: int | None = None
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["dvc", *command],
            cwd=self.root,
            env={**self.environment, EXIT_CODES_VARIABLE: str(told), "PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call of a loaded library
        )
        self._started.append(process)
        return process


def _without_advice(lines: Iterable[str]) -> Iterator[str]:
    """Leave out empty lines, and what DVC advises at its end, which every branch would repeat."""
    advising = False
    for line in lines:  # to the end: DVC would break off at a closed pipe
        advising = advising or line.startswith("To track the changes with git")
        if line.strip() and not advising:
            yield line
