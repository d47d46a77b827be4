"""Watching a training never fails, slows or ends it."""

import socket
import subprocess
import sys
import time

import pytest

from tissuetrace.pipeline.live import live_logger


def test_without_the_variable_nothing_is_done_or_imported() -> None:
    script = (
        "import sys; from tissuetrace.pipeline.live import live_logger; "
        "live_logger('imc', 'cnn')(0, {'loss': 1.0}); print('mlflow' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )

    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_server_that_is_away_is_told_of_once_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as bound:  # not listening, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "TISSUETRACE_LIVE", f"http://me:secret@127.0.0.1:{bound.getsockname()[1]}"
        )
        log = live_logger("imc", "cnn")

        log(0, {"loss": 0.7})
        began = time.monotonic()
        log(1, {"loss": 0.5})

    assert time.monotonic() - began < 0.05
    assert capsys.readouterr().err == "TISSUETRACE_LIVE: no longer watched, Connection refused\n"


@pytest.mark.parametrize("uri", ["sqlite:///runs.db", "runs", "://"])
def test_what_is_no_server_is_told_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str
) -> None:
    monkeypatch.setenv("TISSUETRACE_LIVE", uri)

    live_logger("imc", "cnn")(0, {"loss": 0.7})

    told = capsys.readouterr().err
    assert told.startswith("TISSUETRACE_LIVE: no longer watched, expected the address of a server")
    assert told.count("\n") == 1
