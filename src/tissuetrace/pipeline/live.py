"""Watching a long training while it runs, on the server of MLflow that `TISSUETRACE_LIVE` names.

What is watched lies in an experiment of its own, `<study>-live`: the record of the training is
its `run.json`, which `tissuetrace track` sends in the end. A server that fails is told of once
and left alone; the training goes on.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tissuetrace.pipeline.machine import quieten_libraries
from tissuetrace.pipeline.tracking_address import bounded_requests, cause_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["LogEpoch", "live_logger"]

LogEpoch = Callable[[int, Mapping[str, float]], None]
"""Takes the number of an epoch, from 0, and its numbers."""


def live_logger(study: str, variant: str) -> LogEpoch:
    """Return what to call after each epoch; it does nothing where the variable is not set.

    Args:
        study: name of the study.
        variant: what is trained; the name of the run.

    Returns:
        A function that never raises and waits for no more than seconds.
    """
    uri = os.environ.get("TISSUETRACE_LIVE", "")
    watched: tuple[MlflowClient, str] | None = None
    gave_up = not uri

    def log(epoch: int, numbers: Mapping[str, float]) -> None:
        nonlocal watched, gave_up
        if gave_up:
            return
        try:
            with bounded_requests(seconds=3, retries=0):
                watched = watched or _start(uri, study, variant)
                _log(*watched, epoch, numbers)
        except Exception as problem:  # noqa: BLE001  # watching must never end a training of days
            gave_up = True
            sys.stderr.write(f"TISSUETRACE_LIVE: no longer watched, {cause_of(problem)}\n")

    return log


def _start(uri: str, study: str, variant: str) -> tuple["MlflowClient", str]:
    if urlsplit(uri).scheme not in {"http", "https"}:
        raise ValueError("expected the address of a server, http://… or https://…")
    quieten_libraries()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    name = f"{study}-live"
    experiment = client.get_experiment_by_name(name)
    identity = experiment.experiment_id if experiment else client.create_experiment(name)
    run_id = client.create_run(identity, run_name=variant).info.run_id
    atexit.register(_finish, client, run_id)
    return client, run_id


def _log(client: "MlflowClient", run_id: str, epoch: int, numbers: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now_ms = round(1000 * time.time())
    metrics = [Metric(name, float(value), now_ms, epoch) for name, value in numbers.items()]
    client.log_batch(run_id, metrics=metrics)


def _finish(client: "MlflowClient", run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        with bounded_requests(seconds=3, retries=0):
            client.set_terminated(run_id)
    except (MlflowException, OSError) as problem:
        sys.stderr.write(f"TISSUETRACE_LIVE: end not told, {cause_of(problem)}\n")
