"""A folder that was moved still serves its models, and a server takes runs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from trained_runs import trained_project

from tissuetrace.pipeline.tracking import serve_command, track


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained_project(tmp_path / "project", monkeypatch)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def serve() -> Iterator[Callable[[Sequence[str], Path, int], None]]:
    """Start servers of MLflow that end with the test."""
    started = []

    def serve_one(command: Sequence[str], folder: Path, port: int) -> None:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        wait_for(f"http://127.0.0.1:{port}/health", process)

    yield serve_one
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  # a loopback address
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.25)
        else:
            return
    raise AssertionError(f"{url} did not answer within a minute")


@pytest.mark.slow
def test_a_moved_folder_serves_its_models_and_takes_runs_from_elsewhere(
    trained: Path,
    serve: Callable[[Sequence[str], Path, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    track(["imc"], trained)
    moved = trained.parent / "moved"
    shutil.copytree(trained / "data", trained.parent / "other/data")
    trained.rename(moved)
    port = free_port()
    uri = f"http://127.0.0.1:{port}"

    serve(serve_command(moved, port), moved.parent, port)
    model = download_artifacts(
        "models:/imc-cnn/1", tracking_uri=uri, registry_uri=uri, dst_path="."
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    report = track(["imc", "leukemia"], trained.parent / "other")

    assert (Path(model) / "model.joblib").read_bytes() == b"imc cnn"
    assert [(study.present, study.recorded) for study in report.studies] == [(1, 0), (0, 3)]
    client = MlflowClient(tracking_uri=uri)
    (version,) = client.search_model_versions("name = 'leukemia-forest-image'")
    run = client.get_run(version.run_id or "")
    listed = [file.path for file in client.list_artifacts(run.info.run_id, "model")]
    assert listed == ["model/card.json", "model/model.joblib"]
    record = client.download_artifacts(run.info.run_id, "run.json", ".")
    assert json.loads(Path(record).read_text(encoding="utf-8"))["variant"] == "forest-image"
