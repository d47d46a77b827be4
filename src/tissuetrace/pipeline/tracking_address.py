"""Where runs are sent: MLflow's database in the project's folder, or `MLFLOW_TRACKING_URI`."""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tissuetrace.pipeline.errors import InputError

if TYPE_CHECKING:
    from tissuetrace.pipeline.runbook import RunBook

__all__ = ["DATABASE", "FILES", "REFILL", "Address", "bounded_requests", "cause_of"]

DATABASE = "mlflow.db"
FILES = "mlartifacts"

REFILL = "Mend that, or move the file away: tissuetrace track fills a new one"

_LONGEST_CAUSE = 300


@dataclass(frozen=True, slots=True)
class Address:
    """An address of MLflow.

    Args:
        uri: as MLflow takes it; may hold a password.
        shown: as it is printed, without one.
        files: folder that holds the artefacts of a database.
    """

    uri: str
    shown: str
    files: Path

    @classmethod
    def chosen(cls, root: Path) -> "Address":
        """Return the address that the environment names, else the project's own database."""
        home = root.resolve()
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            return cls(f"sqlite:///{home / DATABASE}", f"sqlite:///{DATABASE}", home / FILES)
        return cls(uri, _masked(uri, uri), home / FILES)

    @property
    def is_server(self) -> bool:
        """Whether a server answers there, rather than a database."""
        return urlsplit(self.uri).scheme in {"http", "https"}

    def reason(self, problem: BaseException) -> str:
        """Say in one line what went wrong, without a password."""
        return _masked(cause_of(problem), self.uri)

    @contextlib.contextmanager
    def opened(self) -> Iterator["RunBook"]:
        """Open the run book.

        Raises:
            InputError: a database of SQLite cannot be used.
        """
        from sqlalchemy.exc import SADeprecationWarning

        from tissuetrace.pipeline import runbook

        if self.is_server:
            yield runbook.open_server(self.uri)
            return
        self._check_sqlite()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SADeprecationWarning)  # of MLflow's own tables
            with runbook.open_database(self.uri, self.files) as book:
                yield book

    def _check_sqlite(self) -> None:
        """Refuse a file that is no database: MLflow would try for a minute and a half."""
        path = Path(self.uri.removeprefix("sqlite:///"))
        if not self.uri.startswith("sqlite:///") or not path.exists():
            return
        try:
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA schema_version")
        except sqlite3.Error as problem:
            raise InputError(str(problem), where=path.name, todo=REFILL) from problem


@contextlib.contextmanager
def bounded_requests(*, seconds: int, retries: int) -> Iterator[None]:
    """Bound the time of each request to a server, unless MLflow's own variables are set."""
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
    }
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def cause_of(problem: BaseException) -> str:
    """Say in one line what lies at the bottom of a chain of exceptions.

    MLflow wraps "Connection refused" four times, each time with the whole address.
    """
    while inner := problem.__cause__ or (
        None if problem.__suppress_context__ else problem.__context__
    ):
        problem = inner
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    line: str = text.strip().partition("\n")[0].rstrip(".")
    return f"{line[:_LONGEST_CAUSE]}…" if len(line) > _LONGEST_CAUSE else line


def _masked(text: str, uri: str) -> str:
    """Leave an address's password out of a text."""
    password = urlsplit(uri).password
    return text.replace(f":{password}@", ":…@") if password else text
