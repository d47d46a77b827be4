"""A folder in which `imc.ingest` runs as the spine runs it, with what DVC would remember of it."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy import ndarray

from tissuetrace.imaging.ome_export import write_ome
from tissuetrace.pipeline.files import column_mistakes, read_table
from tissuetrace.pipeline.hashing import digest, files_below
from tissuetrace.studies.imc.cohorts import Cohort, Markers
from tissuetrace.studies.imc.ingest import Ingest, ingest

CHANNELS = ("CD3", "CD8", "PD1", "CXCL9")
FILES = Path("data/imc/fetch/files/toy")
FINAL = Path("data/imc/ingest/toy")
HEADER = "image,subject,file,acquisition,tissue_mask,tumour_mask"


def cohort(px_um: float = 1.0) -> Cohort:
    return Cohort(
        px_um=px_um,
        markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1",)),
        threshold=3.0,
        predictors=("CXCL9",),
        free=(),
        control="",
        tumour_marker="",
        tumour_threshold=0.0,
        tissue_min=0.0,
        cnn=(),
    )


def settings(**changed: Any) -> Ingest:
    standard = {"compensate": "off", "clip": None, "partial": "refuse", "refused": "stop"}
    return Ingest(**{**standard, **changed})


def draw(seed: int, channels: int = len(CHANNELS)) -> ndarray:
    return np.random.default_rng(seed).poisson(2.0, (channels, 9, 11)).astype(np.uint16)


@dataclass
class Project:
    """The working directory: files of one cohort, and its outputs."""

    rows: dict[str, str] = field(default_factory=dict)

    def add(self, image: str, row: str) -> None:
        """List an image: the cells after its name."""
        self.rows[image] = row
        self.write_table()

    def add_ome(self, image: str, seed: int, *, px_um: float = 1.0) -> None:
        FILES.mkdir(parents=True, exist_ok=True)
        write_ome(FILES / f"{image}.ome.tiff", draw(seed), CHANNELS, px_um)
        self.add(image, f"p_{image},{image}.ome.tiff,,,")

    def remove(self, image: str) -> None:
        del self.rows[image]
        (FILES / f"{image}.ome.tiff").unlink()
        self.write_table()

    def write_table(self) -> None:
        FILES.mkdir(parents=True, exist_ok=True)
        lines = [f"{image},{row}" for image, row in self.rows.items()]
        (FILES / "images.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")

    def ingest(self, *, px_um: float = 1.0, **changed: Any) -> None:
        """Run the stage; where it ends well its outputs go in place, and into DVC's cache."""
        aside = FINAL / ".partial-ingest@toy"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        places = {name: aside / Path(output.path).name for name, output in ingest.writes.items()}
        try:
            ingest(files=FILES, **places, cohort=cohort(px_um), ingest=settings(**changed))
            for name, place in places.items():
                columns = ingest.writes[name].columns
                assert not columns or column_mistakes(place, columns) == []
                final = FINAL / place.name
                if final.is_dir():
                    shutil.rmtree(final)
                place.replace(final)
        finally:
            shutil.rmtree(aside)
        self._remember()

    def image(self, name: str) -> dict[str, ndarray]:
        with np.load(FINAL / f"images/{name}.npz") as found:
            return dict(found)

    def table(self, name: str = "images") -> pd.DataFrame:
        return read_table(FINAL / f"{name}.parquet")

    def _remember(self) -> None:
        folder = FINAL / "images"
        listing = []
        for path in files_below(folder):
            md5 = digest(path).md5
            _store(path.read_bytes(), md5)
            listing.append({"md5": md5, "relpath": path.relative_to(folder).as_posix()})
        md5 = digest(folder).md5
        _store(json.dumps(listing).encode(), md5)
        entry = f"- path: {folder.as_posix()}\n      hash: md5\n      md5: {md5}\n"
        Path("dvc.lock").write_text(entry)


def write_mask(name: str, mask: ndarray) -> None:
    tifffile.imwrite(FILES / name, mask.astype(np.uint8), metadata=None)


def _store(content: bytes, md5: str) -> None:
    place = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
