"""What patches hold under other holes than their own: measured core by core, many holes at once."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray

from tissuetrace.imaging.masks import Mean, count_components, masked_means, unite, unpack
from tissuetrace.pipeline.parallel import parallel_map

__all__ = ["Covers", "Holes", "Measured", "measure", "read_holes"]

_CHUNK = 32  # cores of one worker's turn, since a process takes longer to start than a few take


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
class Measured:
    """What is left of each patch under each cover.

    Args:
        means: of every predictor (counts).
        components: parts of the erased area.
        erased_px: erased pixels.
    """

    means: Float64[ndarray, "patch alternative channel"]
    components: Int64[ndarray, "patch alternative"]
    erased_px: Int64[ndarray, "patch alternative"]

    def each(self) -> Iterator["Measured"]:
        """Return one alternative after the other."""
        for number in range(self.means.shape[1]):
            part = slice(number, number + 1)
            yield Measured(self.means[:, part], self.components[:, part], self.erased_px[:, part])


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


def measure(holes: Holes, covers: Covers, *, mean: Mean) -> Measured:
    """Measure every patch under all its covers; the pixels of one core are in memory at a time."""
    ends = np.cumsum(holes.sizes)
    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "masks.npy"  # every worker maps it, none holds it
        np.save(masks, holes.masks)
        jobs = [
            _Job(
                path=path,
                masks=masks,
                side_px=holes.side_px,
                covers=covers.rows(slice(end - size, end)),
                mean=mean,
            )
            for path, size, end in zip(holes.paths, holes.sizes, ends, strict=True)
        ]
        chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
        measured = parallel_map(_measure_chunk, chunks, title="measuring patches")
    cores = [core for chunk in measured for core in chunk]
    return Measured(
        np.concatenate([core.means for core in cores]),
        np.concatenate([core.components for core in cores]),
        np.concatenate([core.erased_px for core in cores]),
    )


def _measure_chunk(jobs: Sequence[_Job]) -> list[Measured]:
    return [_measure_core(job) for job in jobs]


def _measure_core(job: _Job) -> Measured:
    with np.load(job.path) as core:
        pixels = core["pixels"]
    masks = np.load(job.masks, mmap_mode="r")
    shape = (job.side_px, job.side_px)
    hosts, donors = job.covers.hosts, job.covers.donors
    own = unpack(masks[hosts.ravel()], shape)
    given = unpack(masks[donors.ravel()], shape)
    united = unite(own, given, job.covers.orientations.ravel())
    return Measured(
        masked_means(pixels, united.reshape(*hosts.shape, *shape), mean=job.mean),
        count_components(united).reshape(hosts.shape),
        np.count_nonzero(united, axis=(1, 2)).reshape(hosts.shape),
    )
