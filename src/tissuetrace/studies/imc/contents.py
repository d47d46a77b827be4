"""What patches hold under other holes than their own: measured core by core, many holes at once."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

from tissuetrace.imaging.masks import Mean, count_components, masked_means, unite, unpack
from tissuetrace.pipeline.parallel import parallel_map

__all__ = [
    "Covers",
    "Erased",
    "Holes",
    "erased_under",
    "means_under",
    "means_under_each",
    "read_holes",
]

_CHUNK = 50  # cores of one worker's turn; a process takes longer to start than some cores do


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """The own holes of all patches of a cohort, by image, row and column.

    Args:
        paths: of the cores' pixels, sorted by image.
        sizes: patches of each core.
        masks: packed (see `imaging.masks.pack`).
        side_px: side of a patch (px).
        px_um: side of a pixel of each patch (µm).
    """

    paths: tuple[Path, ...]
    sizes: tuple[int, ...]
    masks: UInt8[ndarray, "patch bytes"]
    side_px: int
    px_um: Float64[ndarray, " patch"]


@dataclass(frozen=True, slots=True)
class Covers:
    """What each patch is covered with, in several alternatives.

    Args:
        hosts: number of the patch whose own hole is taken; its own number leaves it its own.
        donors: number of the patch whose hole is added; -1 for none.
        orientations: in which it is added (see `imaging.masks.orient`); -1 for none.
    """

    hosts: Int64[ndarray, "patch alternative"]
    donors: Int64[ndarray, "patch alternative"]
    orientations: Int64[ndarray, "patch alternative"]

    def rows(self, part: slice) -> "Covers":
        """Return the covers of some patches."""
        return Covers(self.hosts[part], self.donors[part], self.orientations[part])


@dataclass(frozen=True, slots=True)
class Erased:
    """What is hidden of each patch under each cover.

    Args:
        px: erased pixels.
        components: parts of the erased area.
    """

    px: Int64[ndarray, "patch alternative"]
    components: Int64[ndarray, "patch alternative"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    path: Path
    masks: Path
    side_px: int
    covers: Covers
    mean: Mean


def read_holes(pixels: Path, images: Sequence[str]) -> Holes:
    """Read the holes of all patches, and no pixel.

    Args:
        pixels: folder of `patch`, one file a core.
        images: names of the cores that have patches, sorted.

    Raises:
        ValueError: cores with patches of different sizes.
    """
    paths = tuple(pixels / f"{image}.npz" for image in images)
    masks, shapes, px_um = [], set(), []
    for path in paths:
        with np.load(path) as core:
            masks.append(core["masks"])
            shapes.add(tuple(core["shape"].tolist()))
            px_um.append(float(core["px_um"]))
    if len(shapes) != 1:
        raise ValueError(f"patches of several sizes (px): {sorted(shapes)}")
    sizes = tuple(len(mask) for mask in masks)
    return Holes(
        paths=paths,
        sizes=sizes,
        masks=np.concatenate(masks),
        side_px=shapes.pop()[0],
        px_um=np.repeat(px_um, sizes),
    )


def erased_under(holes: Holes, covers: Covers) -> Erased:
    """Measure the hidden area of every patch under all its covers; no pixel is read."""
    count, alternatives = covers.hosts.shape
    found = Erased(*(np.empty((count, alternatives), dtype=np.int64) for _ in range(2)))
    for part in _parts(holes):
        united = _united(holes.masks, covers.rows(part), holes.side_px)
        of_part = (part.stop - part.start, alternatives)
        found.px[part] = np.count_nonzero(united, axis=(1, 2)).reshape(of_part)
        found.components[part] = count_components(united).reshape(of_part)
    return found


def means_under_each(
    holes: Holes, covers: Sequence[Covers], *, mean: Mean
) -> list[Float64[ndarray, "patch _ channel"]]:
    """Measure what is left of every patch under several sets of covers, reading pixels once."""
    parts = ("hosts", "donors", "orientations")
    whole = Covers(*(np.hstack([getattr(one, part) for one in covers]) for part in parts))
    ends = np.cumsum([one.hosts.shape[1] for one in covers])[:-1]
    return np.split(means_under(holes, whole, mean=mean), ends, axis=1)


def means_under(
    holes: Holes, covers: Covers, *, mean: Mean
) -> Float64[ndarray, "patch alternative channel"]:
    """Measure what is left of every patch under all its covers (counts).

    The pixels of one core are in memory at a time.
    """
    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "masks.npy"  # every worker maps it, none holds it
        np.save(masks, holes.masks)
        jobs = [
            _Job(
                path=path,
                masks=masks,
                side_px=holes.side_px,
                covers=covers.rows(part),
                mean=mean,
            )
            for path, part in zip(holes.paths, _parts(holes), strict=True)
        ]
        chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
        means = parallel_map(_measure_chunk, chunks, title="measuring patches")
    return np.concatenate([core for chunk in means for core in chunk])


def _parts(holes: Holes) -> list[slice]:
    """Return the patches of each core."""
    ends = np.cumsum(holes.sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, holes.sizes, strict=True)]


def _measure_chunk(jobs: Sequence[_Job]) -> list[Float64[ndarray, "patch alternative channel"]]:
    return [_measure_core(job) for job in jobs]


def _measure_core(job: _Job) -> Float64[ndarray, "patch alternative channel"]:
    with np.load(job.path) as core:
        pixels = core["pixels"]
    united = _united(np.load(job.masks, mmap_mode="r"), job.covers, job.side_px)
    shape = (*job.covers.hosts.shape, job.side_px, job.side_px)
    return masked_means(pixels, united.reshape(shape), mean=job.mean)


def _united(
    masks: UInt8[ndarray, "all bytes"], covers: Covers, side_px: int
) -> Bool[ndarray, "patch_alternative side side"]:
    shape = (side_px, side_px)
    own = unpack(masks[covers.hosts.ravel()], shape)
    given = unpack(masks[covers.donors.ravel()], shape)
    return unite(own, given, covers.orientations.ravel())
