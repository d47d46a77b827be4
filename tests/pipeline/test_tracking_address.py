"""An address that cannot be used is told in a line: no error where a server is merely away."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from trained_runs import trained_project

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.tracking import track
from tissuetrace.pipeline.tracking_address import Address, bounded_requests, cause_of


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained_project(tmp_path / "project", monkeypatch)


def test_a_file_that_is_no_database_is_refused_at_once(trained: Path) -> None:
    (trained / "mlflow.db").write_bytes(b"no database at all, " * 100)

    with pytest.raises(InputError, match=r"mlflow\.db: file is not a database"):
        track(["imc"], trained)


def test_a_database_of_another_version_is_refused_with_what_to_do(trained: Path) -> None:
    track(["imc"], trained)
    connection = sqlite3.connect(trained / "mlflow.db")
    connection.execute("UPDATE alembic_version SET version_num = 'cfd24bdc0731'")
    connection.commit()
    connection.close()

    with pytest.raises(InputError, match="move the file away"):
        track(["imc"], trained)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Return a port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port that refuses connections."""
    with socket.socket() as bound:  # not listening, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_is_away_leaves_a_list_and_no_error(
    trained: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    shown = f"http://me:…@127.0.0.1:{closed_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shown.replace("…", "secret"))

    *lines, last = track(["leukemia", "imc"], trained).lines()

    assert lines == [
        f"leukemia: 0 runs recorded, 3 not recorded; {shown}",
        "  not recorded: data/leukemia/train/cnn-subject/run.json",
        "  not recorded: data/leukemia/train/forest-image/run.json",
        "  not recorded: data/leukemia/train/forest-subject/run.json",
        f"imc: 0 runs recorded, 1 not recorded; {shown}",
        "  not recorded: data/imc/train/cnn/run.json",
    ]
    assert last.startswith(f"MLflow at {shown}: Connection refused. Nothing is lost")
    assert not (trained / "mlflow.db").exists()


def test_a_server_that_never_answers_is_given_up_when_the_user_says(
    trained: Path, monkeypatch: pytest.MonkeyPatch, deaf_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    (trained / "reports/imc/figures").mkdir(parents=True)
    (trained / "reports/imc/figures/roc.png").write_bytes(b"curve")
    began = time.monotonic()

    report = track(["imc"], trained)

    assert time.monotonic() - began < 4.5  # ours alone would wait for 5 s
    assert report.problem == "timed out"
    assert report.lines()[0].startswith(
        "imc: 0 runs recorded, 1 not recorded, figures not recorded; http://"
    )


def test_requests_are_bounded_for_a_while_but_never_against_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")

    with bounded_requests(seconds=5, retries=1):
        within = dict(os.environ)

    assert within["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
    assert within["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"


@pytest.mark.parametrize(
    ("uri", "shown", "is_server"),
    [
        ("", "sqlite:///mlflow.db", False),
        ("sqlite:///elsewhere.db", "sqlite:///elsewhere.db", False),
        ("postgresql://me:pw@host/runs", "postgresql://me:…@host/runs", False),
        ("https://me:p%40w@host", "https://me:…@host", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000", True),
    ],
)
def test_an_address_is_shown_without_its_password(
    monkeypatch: pytest.MonkeyPatch, uri: str, shown: str, *, is_server: bool
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    address = Address.chosen(Path())

    assert (address.shown, address.is_server) == (shown, is_server)


def test_a_reason_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host/")

    reason = Address.chosen(Path()).reason(ValueError("http://me:secret@host/api said no"))

    assert reason == "http://me:…@host/api said no"


def test_the_cause_of_a_problem_is_one_short_line() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapped = RuntimeError("API request to http://me:secret@host failed")
    wrapped.__cause__ = refused

    assert cause_of(wrapped) == "Connection refused"
    assert cause_of(ValueError("first.\nsecond")) == "first"
    assert cause_of(TimeoutError()) == "TimeoutError"
    assert len(cause_of(ValueError("x" * 1000))) == 301
