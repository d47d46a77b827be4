"""File names and folders of C-NMC: what they say of subject, image, cell, label and fold."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

__all__ = ["PATTERN", "CellName", "Kind", "Place", "parse_name", "parse_place"]

Kind = Literal["all", "hem"]  # leukemic blast, normal precursor

PATTERN = "UID_<subject>_<image>_<cell>_<all|hem>"
_NAME = re.compile(r"UID_(?P<subject>[Hh]?\d+)_(?P<image>\d+)_(?P<cell>\d+)_(?P<suffix>all|hem)")
_FOLD = re.compile(r"fold_(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellName:
    """What a name says of its cell.

    Args:
        subject: as written: `11`, `H10`, `h3`. Ids are unique with their prefix only.
        image: number of the field of view.
        cell: number of the cell in it.
        suffix: label at the end of the name.
    """

    subject: str
    image: int
    cell: int
    suffix: Kind

    @property
    def prefix(self) -> Kind:
        """Label by the subject's prefix: normal subjects carry an H."""
        return "hem" if self.subject[0] in "Hh" else "all"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image lies: phase of the challenge, and for training the fold and folder.

    Args:
        phase: `final` images were published without labels.
        fold: official fold, -1 outside training.
        folder: label of the folder, empty outside training.
    """

    phase: Literal["training", "preliminary", "final"]
    fold: int = -1
    folder: str = ""


def parse_name(stem: str) -> CellName | None:
    """Read a file name without its ending; nothing where it does not follow the pattern."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    return CellName(
        subject=match["subject"],
        image=int(match["image"]),
        cell=int(match["cell"]),
        suffix="all" if match["suffix"] == "all" else "hem",
    )


def parse_place(path: PurePosixPath) -> Place | None:
    """Read the folders of an image; nothing where they are none of the collection's."""
    folders = path.parts[:-1]
    if any("prelim_phase_data" in folder for folder in folders):
        return Place("preliminary")
    if any("final_phase_data" in folder for folder in folders):
        return Place("final")
    fold = _FOLD.fullmatch(folders[-2]) if len(folders) > 1 else None
    if fold is None or folders[-1] not in {"all", "hem"}:
        return None
    return Place("training", int(fold[1]), folders[-1])
