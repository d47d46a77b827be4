"""Images as OME-TIFF, which QuPath, Fiji and napari open with channel names and a scale."""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Real
from numpy import ndarray

__all__ = ["write_ome"]


def write_ome(
    path: Path, x: Real[ndarray, "channel y x"], names: Sequence[str], px_um: float
) -> None:
    """Write an image as OME-TIFF; the same image gives the same bytes.

    An image of the lane goes out so:

        image = np.load("data/imc/ingest/melanoma/images/core_1.npz")
        write_ome(Path("core_1.ome.tiff"), image["x"], image["names"].tolist(), image["px_um"])

    Args:
        path: of the file, ending on `.ome.tiff`.
        x: counts, in the type they are to have in the file.
        names: one for each channel.
        px_um: side of a pixel (µm), above 0.

    Raises:
        ValueError: not as many names as channels, or a name twice; px_um is not above 0.
    """
    if len(names) != len(x) or len(set(names)) != len(names):
        raise ValueError(f"{len(x)} channels and the names {', '.join(names)}")
    if not px_um > 0:
        raise ValueError(f"px_um must be above 0, is {px_um:g}")
    pixels = np.ascontiguousarray(x)
    content = hashlib.sha256(f"{list(names)} {float(px_um)!r} {x.shape} {x.dtype.str}".encode())
    content.update(pixels.data)
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": list(names)},
        "PhysicalSizeX": float(px_um),
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": float(px_um),
        "PhysicalSizeYUnit": "µm",
        # a random one would give other bytes each time
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content.hexdigest())),
    }
    tifffile.imwrite(
        path,
        pixels,
        ome=True,
        photometric="minisblack",
        compression="adobe_deflate",
        compressionargs={"level": 1},
        metadata=metadata,
    )
