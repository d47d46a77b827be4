"""Tiny images for the tables of the leukemia lane: blasts are larger discs than normal cells."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from leukemia_tables import Tables, write_tables

from tissuetrace.pipeline.files import read_table
from tissuetrace.studies.leukemia.train_cnn import Cnn

SIDE_PX = 24  # of the files; the networks of the tests see 16

SMALL = Cnn(
    input_px=16,
    epochs=2,
    batch=16,
    lr=0.003,
    patience=2,
    block="relu_norm",
    rotate_deg=15,
    shift=0.1,
    flip="horizontal",
    seeds=(3, 4),
)


def write_cells(folder: Path) -> Tables:
    """Write tables and an image for each of their cells."""
    tables = write_tables(folder)
    tables.images.mkdir()
    rng = np.random.default_rng(0)
    cells = read_table(tables.table)
    for path, label in zip(cells["path"], cells["label"], strict=True):
        _write_cell(tables.images / path, radius=6 + 3 * label + rng.normal() / 2, rng=rng)
    return tables


def _write_cell(path: Path, *, radius: float, rng: np.random.Generator) -> None:
    axis = np.arange(SIDE_PX) - (SIDE_PX - 1) / 2
    inside = axis[:, None] ** 2 + axis[None, :] ** 2 < radius**2
    gray = np.clip(rng.normal(120, 15, inside.shape), 1, 255) * inside
    bgr = (gray[..., None] * np.array([1.0, 0.5, 0.8])).astype(np.uint8)
    path.write_bytes(cv2.imencode(".bmp", bgr)[1].tobytes())


def digests(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file that is no record of one execution."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def split_of(tables: Tables, scheme: str, *splits: str) -> pd.Series:
    """Return the names of one scheme in some of its splits, sorted."""
    rows = read_table(tables.splits)
    chosen = rows[(rows["scheme"] == scheme) & rows["split"].isin(splits)]
    return chosen["name"].sort_values(ignore_index=True)
