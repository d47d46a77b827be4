"""One server of MLflow on a folder that was moved: it serves models, takes runs, shows epochs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from trained_runs import trained_project

from tissuetrace.pipeline.live import live_logger
from tissuetrace.pipeline.tracking import serve_command, track

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Served:
    uri: str
    elsewhere: Path  # a second project with the same runs on disk and no database


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Track, move the folder away, and serve it from there until the tests are done."""
    home = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        trained = trained_project(home / "project", patch)
        track(["imc"], trained)
        shutil.copytree(trained / "data", home / "elsewhere/data")
        moved = trained.rename(home / "moved")
        port = _free_port()
        process = subprocess.Popen(
            serve_command(moved, port),
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield Served(f"http://127.0.0.1:{port}", home / "elsewhere")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def test_a_moved_folder_still_serves_its_models(served: Served, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    model = download_artifacts(
        "models:/imc-cnn/1",
        tracking_uri=served.uri,
        registry_uri=served.uri,
        dst_path=str(tmp_path),
    )

    assert (Path(model) / "model.joblib").read_bytes() == b"imc cnn"


def test_a_server_takes_runs_with_their_files_and_keeps_those_it_knows(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.uri)

    report = track(["imc", "leukemia"], served.elsewhere)

    assert [(study.present, study.recorded) for study in report.studies] == [(1, 0), (0, 3)]
    client = MlflowClient(tracking_uri=served.uri)
    (version,) = client.search_model_versions("name = 'leukemia-forest-image'")
    run_id = version.run_id or ""
    listed = [file.path for file in client.list_artifacts(run_id, "model")]
    record = Path(client.download_artifacts(run_id, "run.json", str(tmp_path)))
    assert listed == ["model/card.json", "model/model.joblib"]
    assert json.loads(record.read_text(encoding="utf-8"))["variant"] == "forest-image"


def test_the_epochs_of_a_training_can_be_watched(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(
        "atexit.register", lambda function, *values: at_exit.append(partial(function, *values))
    )
    monkeypatch.setenv("TISSUETRACE_LIVE", served.uri)

    log = live_logger("histology", "network")
    log(0, {"loss": 0.7})
    log(1, {"loss": 0.5})
    (finish,) = at_exit
    finish()

    client = MlflowClient(tracking_uri=served.uri)
    experiment = client.get_experiment_by_name("histology-live")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert (run.info.run_name, run.info.status) == ("network", "FINISHED")
    assert [(point.step, point.value) for point in history] == [(0, 0.7), (1, 0.5)]
    assert capsys.readouterr().err == ""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(480):
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  # a loopback address
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.25)
        else:
            return
    raise AssertionError(f"{url} did not answer within two minutes")
