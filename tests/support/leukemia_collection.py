"""A small drawn collection on disk, the stages up to the gate run on it, and ways to damage it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.studies.leukemia.drawing import bitmap_bytes
from tissuetrace.studies.leukemia.featurize import Featurize, Glcm, featurize
from tissuetrace.studies.leukemia.ingest import Ingest, ingest
from tissuetrace.studies.leukemia.phantom import Phantom, draw_phantom
from tissuetrace.studies.leukemia.split import Split, split
from tissuetrace.studies.leukemia.validate import validate

PHANTOM = Phantom(
    seed=5, size_px=64, subjects_all=7, subjects_hem=6, cells=0.1, delta=1, plant_duplicates=0
)
SPLIT = Split(fractions=(0.70, 0.15, 0.15), seed=0, link="pixels", near=0.998)
FEATURIZE = Featurize(
    reading="image",
    blur=0,
    mask="above_zero",
    aspect_ratio="ellipse",
    glcm=Glcm(distances=(1,), angles=(0, 90), levels=256, symmetric=True, normed=True),
    canny=(100, 200),
    canny_cell=(30, 60),
)
TRAINING = "C-NMC_Leukemia/training_data"
PHASE = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
HEADER = "Patient_ID,new_names,labels"
# Cells of subjects that training does not have.
ROWS = ("UID_801_1_1_all.bmp,1.bmp,1", "UID_H801_1_1_hem.bmp,2.bmp,0")


@dataclass(frozen=True, slots=True)
class Collection:
    """Images below `root/images`; every stage writes beside them."""

    root: Path

    def __truediv__(self, name: str) -> Path:
        """Return the path of a file of the collection."""
        return self.root / name

    @property
    def images(self) -> Path:
        """The folder of all images."""
        return self.root / "images"

    def copy(self, root: Path) -> "Collection":
        """Copy images and tables to be damaged."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Collection(root)

    def find(self, pattern: str) -> list[Path]:
        """Return image files by a pattern of their names, sorted."""
        return sorted(self.images.rglob(pattern))

    def table(self, name: str) -> pd.DataFrame:
        """Read a table that a stage wrote."""
        return read_table(self.root / f"{name}.parquet")

    def write(self, name: str, table: pd.DataFrame) -> None:
        """Write a table over that of a stage."""
        write_table(table, self.root / f"{name}.parquet")

    def ingest(self, *, frame_px: int = 450) -> None:
        """Run the stage."""
        ingest(
            images=self.images,
            source=self / "source.json",
            table=self / "table.parquet",
            prelim=self / "prelim.json",
            params=Ingest(frame_px=frame_px),
        )

    def split(self, params: Split = SPLIT) -> None:
        """Run the stage."""
        split(
            table=self / "table.parquet",
            groups=self / "groups.parquet",
            splits=self / "splits.parquet",
            pairs=self / "pairs.parquet",
            params=params,
        )

    def featurize(self) -> None:
        """Run the stage."""
        featurize(
            table=self / "table.parquet",
            images=self.images,
            features=self / "features.parquet",
            features_other=self / "features_other.parquet",
            params=FEATURIZE,
        )

    def validate(self) -> None:
        """Run the stage."""
        names = ("table", "groups", "splits", "pairs", "features", "features_other")
        validate(
            images=self.images,
            source=self / "source.json",
            prelim=self / "prelim.json",
            **{name: self / f"{name}.parquet" for name in names},
            evidence=self / "evidence.json",
            token=self / "token.json",
            ingest=Ingest(frame_px=450),
        )


def draw_collection(root: Path, *, plant_duplicates: int = 0) -> Collection:
    """Draw a collection; nothing has run on it yet."""
    drawn = Collection(root)
    draw_phantom(replace(PHANTOM, plant_duplicates=plant_duplicates), drawn.images)
    write_json({"kind": "phantom", "facts": {"frame_px": PHANTOM.size_px}}, drawn / "source.json")
    return drawn


def add_preliminary(
    collection: Collection,
    rows: Sequence[str] = ROWS,
    *,
    images: Sequence[str] = ("1.bmp", "2.bmp"),
    header: str = HEADER,
    ending: str = "\n",
) -> None:
    """Write the preliminary table and draw images of it."""
    folder = collection.images / PHASE
    folder.mkdir(parents=True)
    other = replace(PHANTOM, seed=77, subjects_all=1, subjects_hem=1)
    draw_phantom(other, collection / "other")
    drawn = sorted((collection / "other").rglob("*.bmp"))
    for name, path in zip(images, drawn, strict=False):
        shutil.copy(path, folder / name)
    text = ending.join([header, *rows, ""])
    (folder.parent / f"{folder.name}_labels.csv").write_bytes(text.encode())


def bitmap_with_long_header(frame_bytes: bytes) -> bytes:
    """Return the same pixels behind the longer header of the preliminary phase (124 + 14)."""
    start = (138).to_bytes(4, "little")
    longer = (124).to_bytes(4, "little")
    return frame_bytes[:10] + start + longer + frame_bytes[18:54] + bytes(84) + frame_bytes[54:]


__all__ = [
    "FEATURIZE",
    "HEADER",
    "PHANTOM",
    "PHASE",
    "ROWS",
    "SPLIT",
    "TRAINING",
    "Collection",
    "add_preliminary",
    "bitmap_bytes",
    "bitmap_with_long_header",
    "draw_collection",
]
