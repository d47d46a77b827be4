"""A project with trained runs on disk, none of them sent, and questions to its database."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tissuetrace.pipeline.runs import write_run

ALL_RUNS = ["cnn", "cnn-subject", "forest-image", "forest-subject", "seed 0", "seed 1"]


def trained_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with four runs of two studies the working directory."""
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (root / "table.parquet").write_bytes(b"numbers")
    (root / "images").mkdir()
    (root / "images/one.bmp").write_bytes(b"pixels")
    (root / "admission.json").write_text('{"token": "f00d"}', encoding="utf-8")
    add_run("leukemia", "forest-image")
    add_run("leukemia", "forest-subject", children=[_child(0), _child(1)])
    history = [{"epoch": 0, "loss": 0.7}, {"epoch": 1, "loss": 0.5}]
    add_run("leukemia", "cnn-subject", history=history)
    add_run("imc", "cnn")
    return root


def add_run(study: str, variant: str, **changes: object) -> None:
    home = Path("data") / study / "train" / variant
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.joblib").write_bytes(f"{study} {variant}".encode())
    (home / "card.json").write_text('{"card": 1}', encoding="utf-8")
    (home / "predictions.parquet").write_bytes(b"subject H10")
    arguments: dict[str, Any] = {
        "study": study,
        "variant": variant,
        "parameters": {"trees": 100, "glcm": {"distances": [1], "normed": True}},
        "metrics": {"auc": 0.9, "loss": 0.4},
        "history": [],
        "inputs": {"features": Path("table.parquet"), "images": Path("images")},
        "files": [home / name for name in ("model.joblib", "card.json", "predictions.parquet")],
        "admission": Path("admission.json"),
    }
    write_run(home / "run.json", **arguments | changes)


def ask(root: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(root / "mlflow.db")
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def names_of_runs(root: Path) -> list[str]:
    query = "SELECT name FROM runs WHERE lifecycle_stage = 'active' ORDER BY name"
    return [name for (name,) in ask(root, query)]


def versions_of_models(root: Path) -> list[tuple[Any, ...]]:
    query = "SELECT name, version FROM model_versions WHERE current_stage = 'None' ORDER BY 1, 2"
    return ask(root, query)


def _child(seed: int) -> dict[str, Any]:
    return {"name": f"seed {seed}", "parameters": {"seed": seed}, "metrics": {"auc": 0.8}}
