"""The run book: runs, metrics, files and model versions in MLflow, written by its client.

Importing this module imports MLflow; turn its telemetry off first
(`pipeline.machine.quieten_libraries`).
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException

from tissuetrace.pipeline.run_files import RunFile

__all__ = ["COMPLETE", "RUN_SHA256", "MlflowException", "RunBook", "open_database", "open_server"]

RUN_SHA256 = "tissuetrace.run_sha256"
"""Tag that holds the checksum of the file a run was made from."""

COMPLETE = "FINISHED"
"""Status of a run that was recorded to its end; any other is taken back and recorded again."""

_PROXIED = "mlflow-artifacts:/"
_PARENT = "mlflow.parentRunId"
_METRICS_PER_REQUEST, _PARAMS_PER_REQUEST = 1000, 100

T = TypeVar("T")


@contextlib.contextmanager
def open_database(uri: str, files: Path) -> Iterator["RunBook"]:
    """Open a database, making its tables where it has none, and close it again.

    Args:
        uri: such as `sqlite:////absolute/mlflow.db`.
        files: folder that artefacts are copied into.
    """
    from mlflow.store.model_registry.sqlalchemy_store import (
        SqlAlchemyStore as RegistryStore,
    )
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    # the client alone would write this machine's folder into MLflow's default experiment
    tracking = TrackingStore(uri, _PROXIED)  # type: ignore[no-untyped-call]  # MLflow's
    registry = RegistryStore(uri)  # type: ignore[no-untyped-call]  # as above
    try:
        yield RunBook(MlflowClient(tracking_uri=uri, registry_uri=uri), files)
    finally:
        for engine in (tracking.engine, registry.engine):
            engine.dispose()


def open_server(uri: str) -> "RunBook":
    """Write to a server, which takes artefacts too."""
    return RunBook(MlflowClient(tracking_uri=uri), None)


@dataclass(frozen=True, slots=True)
class RunBook:
    """MLflow at one address.

    Args:
        client: of MLflow.
        files: folder that artefacts are copied into; None where a server takes them.
    """

    client: MlflowClient
    files: Path | None

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made or taken out of the bin where need be.

        Beside a database its artefacts are named relative to the server that will serve them,
        so that the folder can be moved; a server chooses by itself.
        """
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = None if self.files is None else f"{_PROXIED}{name}"
            return self.client.create_experiment(name, artifact_location=location)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def holds(self, experiment: str, sha256: str) -> bool:
        """Say whether the file of this checksum was recorded to its end.

        What a killed process left of it is removed.
        """
        found = self._search(experiment, RUN_SHA256, sha256)
        for run in found:
            if run.info.status != COMPLETE:
                self._take_back(experiment, run)
        return any(run.info.status == COMPLETE for run in found)

    def add_run(self, experiment: str, run: RunFile) -> None:
        """Record a trained variant, its seeds or folds, its files and its model version."""
        content = run.content
        tags = _tags(run)
        started = self._start(experiment, content["variant"], tags, content)
        self._log(started, content, content)
        self.client.log_inputs(started.info.run_id, datasets=_datasets(content["inputs"]))
        self._put(started, [run.path], "")
        self._put(started, run.model_files, "model")
        for child in content["children"]:
            family = {_PARENT: started.info.run_id, **_shared(tags)}
            nested = self._start(experiment, child["name"], family, content)
            self._log(nested, child, content)
            self._finish(nested, content)
        if run.model_files:
            self._add_version(f"{content['study']}-{content['variant']}", started, tags, content)
        self._finish(started, content)

    def add_figures(self, experiment: str, sha256: str, figures: Sequence[Path]) -> None:
        """Record the figures of a study as one run named `report`."""
        started = self.client.create_run(
            experiment, run_name="report", tags={RUN_SHA256: sha256, "kind": "report"}
        )
        self._put(started, figures, "figures")
        self.client.set_terminated(started.info.run_id)

    def _start(
        self, experiment: str, name: str, tags: Mapping[str, str], content: Mapping[str, Any]
    ) -> Run:
        return self.client.create_run(
            experiment, run_name=name, tags=dict(tags), start_time=_millis(content["started"])
        )

    def _finish(self, run: Run, content: Mapping[str, Any]) -> None:
        self.client.set_terminated(run.info.run_id, COMPLETE, _millis(content["ended"]))

    def _log(self, run: Run, part: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        run_id = run.info.run_id
        for params in _batches(_params(part["parameters"]), _PARAMS_PER_REQUEST):
            self.client.log_batch(run_id, params=params)
        for metrics in _batches(_metrics(part, _millis(content["ended"])), _METRICS_PER_REQUEST):
            self.client.log_batch(run_id, metrics=metrics)

    def _put(self, run: Run, files: Sequence[Path], folder: str) -> None:
        if self.files is None:
            for file in files:
                self.client.log_artifact(run.info.run_id, str(file), folder or None)
            return
        target = self._folder(self.files, run) / folder
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, target / file.name)

    @staticmethod
    def _folder(files: Path, run: Run) -> Path:
        return files / str(run.info.artifact_uri).removeprefix(_PROXIED).lstrip("/")

    def _add_version(
        self, model: str, run: Run, tags: Mapping[str, str], content: Mapping[str, Any]
    ) -> None:
        if not self.client.search_registered_models(f"name = '{model}'"):
            self.client.create_registered_model(model)
        self.client.create_model_version(
            model,
            source=f"{run.info.artifact_uri}/model",
            run_id=run.info.run_id,
            tags={**_shared(tags), RUN_SHA256: tags[RUN_SHA256], **_checksums(content["files"])},
            await_creation_for=0,
        )

    def _search(self, experiment: str, tag: str, value: str) -> list[Run]:
        return list(self.client.search_runs([experiment], f"tags.`{tag}` = '{value}'"))

    def _take_back(self, experiment: str, run: Run) -> None:
        for version in self.client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            self.client.delete_model_version(version.name, version.version)
        for gone in [*self._search(experiment, _PARENT, run.info.run_id), run]:
            self.client.delete_run(gone.info.run_id)
            if self.files is not None:
                shutil.rmtree(self._folder(self.files, gone).parent, ignore_errors=True)


def _tags(run: RunFile) -> dict[str, str]:
    content = run.content
    git = content["git"]
    return {
        RUN_SHA256: run.sha256,
        "kind": "training",
        "variant": content["variant"],
        "commit": git["commit"],
        "mlflow.source.git.commit": git["commit"],  # what MLflow's own pages show
        "dirty": json.dumps(git["dirty"]),
        "gate": content["gate"],
        **{f"version.{name}": version for name, version in content["versions"].items()},
        **{f"sha256.{name}": sha256 for name, sha256 in content["locks"].items()},
        **{f"machine.{key}": _text(value) for key, value in content["machine"].items()},
    }


def _shared(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: tags[key] for key in ("variant", "commit", "dirty", "gate")}


def _checksums(files: Mapping[str, str]) -> dict[str, str]:
    """Return the checksum of each file of a model, and of its first checkpoint as `sha256`."""
    tags = {f"sha256.{name}": sha256 for name, sha256 in files.items()}
    checkpoint = [sha256 for name, sha256 in files.items() if name.startswith("model.")]
    return {**tags, "sha256": checkpoint[0]} if checkpoint else tags


def _datasets(inputs: Mapping[str, Mapping[str, Any]]) -> list[DatasetInput]:
    return [
        DatasetInput(
            Dataset(
                name=name,
                digest=found["md5"].removesuffix(".dir"),  # MLflow takes 36 characters
                source_type="local",
                source=json.dumps({"uri": found["path"]}),
                schema=None,
                profile=None,
            ),
            [
                InputTag("mlflow.data.context", "training"),
                InputTag("sha256", found["sha256"]),
                InputTag("bytes", str(found["bytes"])),
            ],
        )
        for name, found in inputs.items()
    ]


def _params(parameters: Mapping[str, Any], prefix: str = "") -> list[Param]:
    params: list[Param] = []
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            params += _params(value, f"{prefix}{key}.")
        else:
            params.append(Param(f"{prefix}{key}", _text(value)))
    return params


def _metrics(part: Mapping[str, Any], time_ms: int) -> list[Metric]:
    """Return the numbers of every epoch, then the final ones one step later.

    MLflow shows the number of the latest step, which must be the final one where both have the
    same name.
    """
    epochs = [
        (int(row.get("epoch", index)), {key: row[key] for key in row if key != "epoch"})
        for index, row in enumerate(part["history"])
    ]
    last = max((step for step, _ in epochs), default=-1)
    rows = [*epochs, (last + 1, part["metrics"])]
    return [Metric(key, value, time_ms, step) for step, row in rows for key, value in row.items()]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _millis(moment: str) -> int:
    return round(1000 * datetime.fromisoformat(moment).timestamp())


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
