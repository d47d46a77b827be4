"""Sending every run on disk to MLflow: once each, however often and from wherever it is started.

Runs lie in files (`pipeline.runs`), so a deleted database, a pulled clone or a server that was
away are filled from them again. A run is known by the SHA-256 of its file. The figures of a
study's report belong to the study and to no one variant: they are a run named `report`, recorded
anew when a figure has changed.
"""

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.hashing import digest, sha256_of_bytes
from tissuetrace.pipeline.machine import quieten_libraries
from tissuetrace.pipeline.run_files import RunFile, load_runs
from tissuetrace.pipeline.tracking_address import (
    DATABASE,
    FILES,
    REFILL,
    Address,
    bounded_requests,
)

if TYPE_CHECKING:
    from tissuetrace.pipeline.runbook import RunBook

__all__ = ["StudyTracking", "TrackingReport", "serve_command", "track"]

_LOCK = ".mlflow.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTracking:
    """What became of the runs of one study.

    Args:
        study: its name.
        recorded: how many runs MLflow was told of now.
        present: how many it knew already.
        missed: files of the runs that could not be recorded.
        figures: what became of the figures of its report.
    """

    study: str
    recorded: int
    present: int
    missed: tuple[str, ...]
    figures: Literal["absent", "recorded", "present", "missed"]

    def lines(self, address: str) -> list[str]:
        """Return what the user should read of the study."""
        if not self.recorded + self.present + len(self.missed) and self.figures == "absent":
            return [f"{self.study}: no runs yet"]
        parts = [f"{self.recorded} run{'s' * (self.recorded != 1)} recorded"]
        parts += [f"{self.present} already there"] if self.present else []
        parts += [f"{len(self.missed)} not recorded"] if self.missed else []
        parts += [f"figures {self.figures}"] if self.figures == "recorded" else []
        parts += ["figures not recorded"] if self.figures == "missed" else []
        missed = [f"  not recorded: {name}" for name in self.missed]
        return [f"{self.study}: {', '.join(parts)}; {address}", *missed]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """What became of all runs.

    Args:
        address: where they were sent, without a password.
        studies: in the order asked for.
        problem: why something was not recorded; empty where everything was.
    """

    address: str
    studies: tuple[StudyTracking, ...]
    problem: str

    def lines(self) -> list[str]:
        """Return what the user should read."""
        lines = [line for study in self.studies for line in study.lines(self.address)]
        if self.problem:
            lines.append(
                f"MLflow at {self.address}: {self.problem}. Nothing is lost, the runs are files: "
                "run tissuetrace track again when it answers"
            )
        return lines


def track(studies: Sequence[str], root: Path) -> TrackingReport:
    """Tell MLflow of every run of the studies that it does not know yet.

    The runs go to `mlflow.db` and `mlartifacts/` in the project's folder, which may be moved, or
    to `MLFLOW_TRACKING_URI`. Several may be started at once: they wait for each other. A server
    that does not answer is no error: the report says what was not recorded. It is given up after
    5 s when it is first asked and after 60 s later, unless MLflow's own variables say otherwise.

    Args:
        studies: names of studies.
        root: the project's folder.

    Raises:
        InputError: a file is no run, a model was changed after its training, or the database
            cannot be used.
    """
    address = Address.chosen(root)
    tallies = [_Tally.of(study, root) for study in studies]
    problem = ""
    if not all(tally.is_empty for tally in tallies):
        quieten_libraries()
        from tissuetrace.pipeline import runbook  # noqa: F401  # slow: before others have to wait

        with _alone(root):
            problem = _send(tallies, address)
    return TrackingReport(
        address=address.shown,
        studies=tuple(tally.result() for tally in tallies),
        problem=problem,
    )


def serve_command(root: Path, port: int) -> list[str]:
    """Return the command that shows `mlflow.db` and serves its files, to this machine alone."""
    home = root.resolve()
    return [
        sys.executable,
        *("-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{home / DATABASE}"),
        *("--artifacts-destination", str(home / FILES)),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--workers", "1"),
    ]


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process tracks this project.

    MLflow's first start on a database crashes beside another one, and between asking for a run
    and adding it a second process could add it too.
    """
    with (root / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _send(tallies: Sequence["_Tally"], address: Address) -> str:
    """Send until everything is sent or MLflow fails; return why it failed."""
    from mlflow.exceptions import MlflowException

    try:
        with address.opened() as book:
            for tally in tallies:
                tally.send(book)
    except OSError as problem:
        if not address.is_server:
            raise
        return address.reason(problem)
    except MlflowException as problem:
        if address.is_server:
            return address.reason(problem)
        raise InputError(address.reason(problem), where=address.shown, todo=REFILL) from problem
    return ""


@dataclass(slots=True)
class _Tally:
    """One study, counted while it is sent: what is still waiting in the end was missed."""

    study: str
    waiting: list[RunFile]
    figures: list[Path]
    figures_state: Literal["absent", "recorded", "present", "missed"]
    recorded: int = 0
    present: int = 0

    @classmethod
    def of(cls, study: str, root: Path) -> "_Tally":
        figures = sorted((root / "reports" / study / "figures").glob("*.png"))
        return cls(study, load_runs(root, study), figures, "missed" if figures else "absent")

    @property
    def is_empty(self) -> bool:
        return not self.waiting and not self.figures

    def send(self, book: "RunBook") -> None:
        if self.is_empty:
            return
        with bounded_requests(seconds=5, retries=0):
            experiment = book.experiment(self.study)
        with bounded_requests(seconds=60, retries=1):
            self._skip_known(book, experiment)
            while self.waiting:
                book.add_run(experiment, self.waiting[0])
                del self.waiting[0]
                self.recorded += 1
            self._send_figures(book, experiment)

    def _skip_known(self, book: "RunBook", experiment: str) -> None:
        new = [run for run in self.waiting if not book.holds(experiment, run.sha256)]
        self.present = len(self.waiting) - len(new)
        self.waiting = new
        mistakes = [mistake for run in new for mistake in run.file_mistakes()]
        if mistakes:
            raise InputError(
                f"{len(mistakes)} files are not those of their runs, so nothing was recorded",
                where=self.study,
                todo=f"Run tissuetrace repro {self.study}",
                items=mistakes,
            )

    def _send_figures(self, book: "RunBook", experiment: str) -> None:
        if not self.figures:
            return
        names = {figure.name: digest(figure).sha256 for figure in self.figures}
        sha256 = sha256_of_bytes(json.dumps(names).encode())
        if book.holds(experiment, sha256):
            self.figures_state = "present"
            return
        book.add_figures(experiment, sha256, self.figures)
        self.figures_state = "recorded"

    def result(self) -> StudyTracking:
        return StudyTracking(
            study=self.study,
            recorded=self.recorded,
            present=self.present,
            missed=tuple(run.name for run in self.waiting),
            figures=self.figures_state,
        )
