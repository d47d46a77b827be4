"""The pixels of some patches, with what one seed erases of them, a core at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from tissuetrace.imaging.masks import unite, unpack
from tissuetrace.pipeline.files import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SeenPixels", "read_peaks", "read_pixels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPixels:
    """Patches in the order they were asked for.

    Args:
        roots: square roots of counts.
        kept: pixels that are not erased, a decoy's hole included.
    """

    roots: Float32[ndarray, "patch channel height width"]
    kept: Bool[ndarray, "patch height width"]


def read_pixels(pixels: Path, tables: Path, rows: "pd.DataFrame") -> SeenPixels:
    """Read some patches.

    Args:
        pixels: folder of `patch` with pixels and masks of each core.
        tables: folder of `patch` that tells which row of a core is which patch.
        rows: of one seed, with their index from 0: `item, image, donor, orientation`.
    """
    cores = list(_cores(pixels, tables, rows))
    order = np.argsort(np.concatenate([part.index.to_numpy() for part, _ in cores]))
    return SeenPixels(
        roots=np.concatenate([seen.roots for _, seen in cores])[order],
        kept=np.concatenate([seen.kept for _, seen in cores])[order],
    )


def read_peaks(pixels: Path, tables: Path, rows: "pd.DataFrame") -> Float32[ndarray, " channel"]:
    """Return the largest square root of a count that these patches show in each channel.

    Args:
        pixels: as in `read_pixels`; one core is held at a time.
        tables: likewise.
        rows: likewise.
    """
    peaks = [
        np.where(seen.kept[:, None], seen.roots, 0).max(axis=(0, 2, 3))
        for _, seen in _cores(pixels, tables, rows)
    ]
    largest: Float32[ndarray, " channel"] = np.max(peaks, axis=0)
    return largest


def _cores(
    pixels: Path, tables: Path, rows: "pd.DataFrame"
) -> Iterator[tuple["pd.DataFrame", SeenPixels]]:
    """Yield the rows of each core with their pixels."""
    masks, shape = _read_masks(pixels, tables)
    nothing = np.zeros_like(next(iter(masks.values())))
    for image, part in rows.groupby("image", sort=True):
        own = np.stack([masks[item] for item in part["item"]])
        donors = np.stack([masks.get(donor, nothing) for donor in part["donor"]])
        erased = unite(
            unpack(own, shape), unpack(donors, shape), part["orientation"].to_numpy(np.int64)
        )
        places = _places(tables, str(image))
        with np.load(pixels / f"{image}.npz") as core:
            counts = core["pixels"][[places[item] for item in part["item"]]]
        yield part, SeenPixels(roots=np.sqrt(counts, dtype=np.float32), kept=~erased)


def _read_masks(pixels: Path, tables: Path) -> tuple[dict[str, "ndarray"], tuple[int, int]]:
    """Return the packed mask of every patch, since a donor may lie in any core."""
    masks: dict[str, ndarray] = {}
    shapes = set()
    for path in sorted(pixels.glob("*.npz")):
        with np.load(path) as core:
            packed = core["masks"]
            shapes.add(tuple(core["shape"].tolist()))
        masks |= {item: packed[place] for item, place in _places(tables, path.stem).items()}
    if len(shapes) != 1:
        raise ValueError(f"{pixels} has patches of {len(shapes)} sizes")
    height, width = shapes.pop()
    return masks, (height, width)


def _places(tables: Path, image: str) -> dict[str, int]:
    items = read_table(tables / f"{image}.parquet", ["item"])["item"]
    return {item: place for place, item in enumerate(items)}
