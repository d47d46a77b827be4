"""Looking at one image of the collection: is it a single cell on black, and what are its sums."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tissuetrace.imaging.bitmaps import bitmap_mistake, pixels_or_reason
from tissuetrace.imaging.cells import cell_box, cell_mask, component_areas, thumbnail, to_gray

__all__ = ["inspect_batch"]


def inspect_batch(
    batch: tuple[Path, Sequence[str], int],
) -> list[tuple[dict[str, Any], str | None]]:
    """Look at some images.

    Args:
        batch: the folder, paths below it, and the side of a frame (px).

    Returns:
        For each image its columns of the table, and what is wrong with it, if anything is.
    """
    folder, paths, size_px = batch
    return [_inspect(folder, path, size_px) for path in paths]


def _inspect(folder: Path, path: str, size_px: int) -> tuple[dict[str, Any], str | None]:
    mistake = bitmap_mistake(folder / path, size_px=size_px)
    if mistake is not None:
        return {}, f"{path}: {mistake}"
    pixels = pixels_or_reason(folder / path)
    if isinstance(pixels, str):
        return {}, f"{path}: {pixels}"
    gray = to_gray(pixels)
    areas = component_areas(gray)
    if not areas:
        return {}, f"{path}: all black (found no pixel above 0, expected one cell)"
    if len(areas) > 1:
        sizes = f"found {areas[0]} px and a second of {areas[1]} px, expected one cell"
        return {}, f"{path}: {len(areas)} components ({sizes})"
    mask = cell_mask(gray, method="above_zero")
    height, width = gray.shape
    top, bottom, left, right = cell_box(mask)
    columns = {
        "width": width,
        "height": height,
        "components": len(areas),
        "mask_px": int(mask.sum()),
        "touches_frame": top == 0 or left == 0 or bottom == height or right == width,
        "sha256": sha256((folder / path).read_bytes()).hexdigest(),
        "pixel_sha256": sha256(pixels.tobytes()).hexdigest(),
        "thumb": thumbnail(gray),
    }
    return columns, None
