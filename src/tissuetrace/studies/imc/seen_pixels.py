"""The pixels of some patches, with what one seed erases of them, a core at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from tissuetrace.imaging.masks import unite, unpack
from tissuetrace.pipeline.files import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PatchFiles", "SeenPixels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPixels:
    """Patches in the order they were asked for.

    Args:
        roots: square roots of counts.
        kept: pixels that are not erased, a decoy's hole included.
    """

    roots: Float32[ndarray, "patch channel height width"]
    kept: Bool[ndarray, "patch height width"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFiles:
    """Where a cohort's pixels lie, and the masks of all patches: a donor may lie in any core.

    Args:
        pixels: folder of `patch` with pixels and masks of each core.
        place: which row of its core's file a patch is.
        masks: its own erased pixels, packed.
        shape: height and width of a patch (px).
    """

    pixels: Path
    place: dict[str, int]
    masks: dict[str, UInt8[ndarray, " bytes"]]
    shape: tuple[int, int]

    @classmethod
    def open(cls, pixels: Path, tables: Path) -> "PatchFiles":
        """Read the masks.

        Args:
            pixels: folder of `patch`.
            tables: the other folder of `patch`, which tells which row of a core is which patch.

        Raises:
            ValueError: patches differ in size.
        """
        place: dict[str, int] = {}
        masks: dict[str, ndarray] = {}
        shapes = set()
        for path in sorted(pixels.glob("*.npz")):
            items = read_table(tables / f"{path.stem}.parquet", ["item"])["item"]
            place |= {str(item): row for row, item in enumerate(items)}
            with np.load(path) as core:
                masks |= dict(zip(items, core["masks"], strict=True))
                shapes.add(tuple(core["shape"].tolist()))
        if len(shapes) != 1:
            raise ValueError(f"{pixels} has patches of {len(shapes)} sizes")
        height, width = shapes.pop()
        return cls(pixels=pixels, place=place, masks=masks, shape=(height, width))

    def read(self, rows: "pd.DataFrame") -> SeenPixels:
        """Return some patches.

        Args:
            rows: of one seed: `item, image, donor, orientation`; a patch may come twice.
        """
        numbered = rows.reset_index(drop=True)
        cores = list(self._cores(numbered))
        order = np.argsort(np.concatenate([part.index.to_numpy() for part, _ in cores]))
        return SeenPixels(
            roots=np.concatenate([seen.roots for _, seen in cores])[order],
            kept=np.concatenate([seen.kept for _, seen in cores])[order],
        )

    def peaks(self, rows: "pd.DataFrame") -> Float32[ndarray, " channel"]:
        """Return the largest square root of a count that patches show in each channel.

        Args:
            rows: as in `read`; one core is held at a time.
        """
        peaks = [
            np.where(seen.kept[:, None], seen.roots, 0).max(axis=(0, 2, 3))
            for _, seen in self._cores(rows)
        ]
        largest: Float32[ndarray, " channel"] = np.max(peaks, axis=0)
        return largest

    def _cores(self, rows: "pd.DataFrame") -> Iterator[tuple["pd.DataFrame", SeenPixels]]:
        """Yield the rows of each core with their pixels."""
        nothing = np.zeros_like(next(iter(self.masks.values())))
        for image, part in rows.groupby("image", sort=True):
            own = np.stack([self.masks[item] for item in part["item"]])
            donors = np.stack([self.masks.get(donor, nothing) for donor in part["donor"]])
            erased = unite(
                unpack(own, self.shape),
                unpack(donors, self.shape),
                part["orientation"].to_numpy(np.int64),
            )
            with np.load(self.pixels / f"{image}.npz") as core:
                counts = core["pixels"][[self.place[item] for item in part["item"]]]
            yield part, SeenPixels(roots=np.sqrt(counts, dtype=np.float32), kept=~erased)
