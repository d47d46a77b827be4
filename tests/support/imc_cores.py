"""Small ingested cores with T cells, and the stages that cut them, run in a folder of their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray

from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.imc.cohorts import Cohort, Markers
from tissuetrace.studies.imc.decoy import Decoy, decoy
from tissuetrace.studies.imc.patch import Patch, patch
from tissuetrace.studies.imc.probe import Probe, probe
from tissuetrace.studies.imc.split import Split, split

__all__ = ["COHORT", "DECOY", "PATCH", "PROBE", "SPLIT", "Cores", "draw_cores", "two_workers"]

PREDICTORS = ("CXCL9", "DapB", "SOX10")
CHANNELS = ("CD3", "CD8", "PD1", *PREDICTORS)
HEIGHT, WIDTH = 53, 64  # 5 x 6 patches, incomplete ones below and at the right

COHORT = Cohort(
    px_um=1.0,
    markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1",)),
    threshold=3.0,
    predictors=PREDICTORS,
    free=("CXCL9",),
    control="DapB",
    tumour_marker="SOX10",
    tumour_threshold=1.0,
    tissue_min=0.5,
    cnn=(),
)
PATCH = Patch(
    size_um=10.0,
    radius_um=2.0,
    mean="retained",
    keep_min=0.1,
    label_min_um2=12.0,
    label_smooth_um=1.0,
    tumour_smooth_um=2.0,
)
SPLIT = Split(fractions=(0.6, 0.2, 0.2), seeds=3, seed=0, least=5, draws=100)
DECOY = Decoy(kind="matched", nearest=10, seed=0)
PROBE = Probe(seeds=3, seed=0)


@dataclass(frozen=True)
class Cores:
    """A project's folder with one cohort in it; stages are called as the spine calls them."""

    home: Path

    @property
    def images(self) -> Path:
        return self.home / "data/imc/ingest/toy/images"

    def out(self, stage: str, name: str) -> Path:
        return Path(f"data/imc/{stage}/toy/{name}")

    def table(self, stage: str, name: str) -> pd.DataFrame:
        return read_table(self.home / self.out(stage, f"{name}.parquet"))

    def patch(self, params: Patch = PATCH, cohort: Cohort = COHORT, *, into: str = "") -> None:
        folder = self.out("patch", into) if into else self.out("patch", "tables").parent
        patch(
            images=self.images,
            table=self.images.with_suffix(".parquet"),
            tables=folder / "tables",
            pixels=folder / "pixels",
            cores=folder / "cores.parquet",
            params=params,
            cohort=cohort,
        )

    def split(self, params: Split = SPLIT) -> None:
        names = ("patient", "random", "redraws")
        outputs = {name: self.out("split", f"{name}.parquet") for name in names}
        split(tables=self.out("patch", "tables"), params=params, **outputs)

    def decoy(self, params: Decoy = DECOY, patch: Patch = PATCH) -> None:
        names = ("patient", "random", "dropped")
        outputs = {name: self.out("decoy", f"{name}.parquet") for name in names}
        decoy(
            tables=self.out("patch", "tables"),
            pixels=self.out("patch", "pixels"),
            split_patient=self.out("split", "patient.parquet"),
            split_random=self.out("split", "random.parquet"),
            params=params,
            patch=patch,
            **outputs,
        )

    def probe(self, params: Probe = PROBE, *, patch: Patch = PATCH, decoy: Decoy = DECOY) -> None:
        probe(
            tables=self.out("patch", "tables"),
            pixels=self.out("patch", "pixels"),
            splits=self.out("split", "patient.parquet"),
            decoys=self.out("decoy", "patient.parquet"),
            leak=Path("leak.json"),
            table=self.out("probe", "leaks.parquet"),
            params=params,
            patch=patch,
            decoy=decoy,
        )

    def edit(self, image: str, **arrays: Any) -> None:
        """Write one ingested core back with other arrays; None takes one out."""
        path = self.images / f"{image}.npz"
        with np.load(path) as core:
            content = {**dict(core), **arrays}
        np.savez(path, **{name: array for name, array in content.items() if array is not None})


def draw_cores(home: Path, *, subjects: int = 10, cells: float = 12.0) -> Cores:
    """Draw cores whose first predictor is higher where T cells are, as `ingest` would write them.

    Args:
        home: an empty folder; the project's source appears in it as a link.
        subjects: with one core each.
        cells: mean number of T cells of a core.
    """
    project = Path(__file__).parents[2]
    (home / "src").symlink_to(project / "src")
    cores = Cores(home)
    cores.images.mkdir(parents=True)
    rows = []
    for number in range(subjects):
        rng = np.random.default_rng([7, number])
        arrays = _core(rng, cells)
        np.savez(cores.images / f"core-{number:02d}.npz", **arrays)
        rows.append((f"core-{number:02d}", f"patient-{number:02d}"))
    table = pd.DataFrame(rows, columns=["image", "subject"])
    write_table(table, cores.images.with_suffix(".parquet"))
    return cores


@contextmanager
def two_workers() -> Iterator[None]:
    """Work in two new processes: those of an earlier test stand in another folder."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setenv("TISSUETRACE_WORKERS", "2")
        yield
    get_reusable_executor().shutdown(wait=True)


def _core(rng: np.random.Generator, cells: float) -> Mapping[str, Any]:
    row, col = np.mgrid[:HEIGHT, :WIDTH]
    warm = rng.random((HEIGHT // 10 + 1, WIDTH // 10 + 1)) < 0.5
    heat = np.kron(warm, np.ones((10, 10)))[:HEIGHT, :WIDTH]
    added = np.zeros((2, HEIGHT, WIDTH))
    places = np.argwhere(heat > 0)
    for y, x in places[rng.integers(len(places), size=rng.poisson(cells))]:
        exhausted = rng.random() < 0.25
        added[int(exhausted)] += (np.hypot(row - y, col - x) <= 2.5) * 10.0
    any_cell = added.sum(axis=0)
    tumour = rng.random() < 0.5
    means: list[ndarray] = [any_cell, any_cell, added[1], 1 + heat, 0 * row + 0.3]
    counts = [rng.poisson(mean) for mean in (*means, np.full(row.shape, 0.5 + 2 * tumour))]
    return {
        "x": np.stack(counts).astype(np.float32),
        "names": np.array(CHANNELS),
        "px_um": np.float64(1.0),
        "tissue": np.hypot((row - 26) / 26, (col - 32) / 40) <= 1,
    }
