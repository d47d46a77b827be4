"""Pixels of all patches of a cohort as batches, with no more than a batch of them in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Real, UInt8
from numpy import ndarray

from tissuetrace.imaging.masks import pack, unite, unpack

__all__ = ["PatchPixels", "cache_patches", "erased_with_donors", "open_patches"]

_CHUNK = 2048  # patches whose masks are unpacked at a time: 3 MB of 40 x 40 px


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPixels:
    """All patches of some cores, one after another, on disk.

    Args:
        names: of the channels.
        cores: of each core its patches, channels last, mapped from disk in the type they have.
        masks: erased pixels of each patch, packed as `imaging.masks.pack` does.
        shape: height and width of a patch (px).
        core: which core a patch is in.
        row: which of that core's patches it is.
    """

    names: tuple[str, ...]
    cores: tuple[Real[ndarray, "_ height width channel"], ...]
    masks: UInt8[ndarray, "patch bytes"]
    shape: tuple[int, int]
    core: Int64[ndarray, " patch"]
    row: Int64[ndarray, " patch"]

    def counts(
        self, patches: Int64[ndarray, " some"]
    ) -> Float32[ndarray, "some height width channel"]:
        """Return the counts of some patches, channels last."""
        found = np.empty((len(patches), *self.shape, len(self.names)), dtype=np.float32)
        for place, (core, row) in enumerate(
            zip(self.core[patches].tolist(), self.row[patches].tolist(), strict=True)
        ):
            found[place] = self.cores[core][row]
        return found


def cache_patches(pixels: Path, images: Sequence[str], folder: Path) -> None:
    """Write each core's patches once into files that can be mapped; what is there is left.

    Args:
        pixels: folder of `<image>.npz`, each with `pixels` (patch, channel, height, width),
            `masks`, `names` and `shape`.
        images: names of the cores.
        folder: where the files go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        done = folder / f"{image}.shape.npy"  # written last
        if done.exists():
            continue
        with np.load(pixels / f"{image}.npz") as core:
            # channels last, as convolutions on a CPU like them: half the time
            np.save(folder / f"{image}.pixels.npy", core["pixels"].transpose(0, 2, 3, 1).copy())
            np.save(folder / f"{image}.masks.npy", core["masks"])
            np.save(folder / f"{image}.names.npy", core["names"])
            partial = folder / f"{image}.partial.npy"
            np.save(partial, core["shape"])
            partial.replace(done)


def open_patches(folder: Path, images: Sequence[str]) -> PatchPixels:
    """Open what `cache_patches` wrote; patches follow each other in the order of the images.

    Raises:
        ValueError: the cores differ in channels or in the size of a patch.
    """

    def part(image: str, name: str) -> ndarray:
        mapped: ndarray = np.load(folder / f"{image}.{name}.npy", mmap_mode="r")
        return mapped

    kinds = {(*part(image, "names").tolist(), *part(image, "shape").tolist()) for image in images}
    if len(kinds) != 1:
        raise ValueError(f"the cores have patches of {len(kinds)} kinds of channels and sizes")
    *names, height, width = kinds.pop()
    cores = tuple(part(image, "pixels") for image in images)
    sizes = [len(core) for core in cores]
    return PatchPixels(
        names=tuple(names),
        cores=cores,
        masks=np.concatenate([part(image, "masks") for image in images]),
        shape=(height, width),
        core=np.repeat(np.arange(len(cores)), sizes),
        row=np.concatenate([np.arange(size) for size in sizes]),
    )


def erased_with_donors(
    pixels: PatchPixels,
    donors: Int64[ndarray, " patch"],
    orientations: Int64[ndarray, " patch"],
) -> UInt8[ndarray, "patch bytes"]:
    """Return each patch's erased pixels, its own united with those of its donor, packed.

    Args:
        pixels: of all patches.
        donors: position of each patch's donor; -1 where it has none.
        orientations: in which of the square's 8 positions the donor's mask is laid on; -1 where
            there is no donor.
    """
    erased = pixels.masks.copy()
    for start in range(0, len(erased), _CHUNK):
        part = slice(start, start + _CHUNK)
        own = unpack(pixels.masks[part], pixels.shape)
        given = unpack(pixels.masks[donors[part]], pixels.shape)
        erased[part] = pack(unite(own, given, orientations[part]))
    return erased
