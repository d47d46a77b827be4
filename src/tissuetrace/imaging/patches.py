"""A core cut into square patches: what is in each, what was erased, what was left out and why."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Real, Shaped
from numpy import ndarray

from tissuetrace.imaging.erasing import erased_mask
from tissuetrace.imaging.masks import Mean, count_components, masked_means

__all__ = ["Layers", "Patches", "Rules", "cut", "patch_side_px", "squares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A core, layer by layer.

    Args:
        predictors: channels that a model may see (ion counts).
        marker: pixels that betray a T cell.
        t_cells: pixels that make the label.
        tissue: pixels that count as tissue.
        acquired: pixels that were measured; a patch that lacks one is dropped.
        tumour: pixels that count as tumour.
        px_um: side of a pixel (µm).
    """

    predictors: Real[ndarray, "channel height width"]
    marker: Bool[ndarray, "height width"]
    t_cells: Bool[ndarray, "height width"]
    tissue: Bool[ndarray, "height width"]
    acquired: Bool[ndarray, "height width"]
    tumour: Bool[ndarray, "height width"]
    px_um: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a core is cut.

    Args:
        size_um: side of a patch (µm).
        radius_um: around a T cell's pixels, hidden from the predictors (µm).
        mean: over the area that is left, or over the whole patch with what is hidden as 0.
        keep_min: share of a patch that must be left, else it is dropped.
        tissue_min: share of a patch that must be tissue, else it is dropped.
        label_min_um2: area of T cells' pixels that makes a patch positive (µm²).
    """

    size_um: float
    radius_um: float
    mean: Mean
    keep_min: float
    tissue_min: float
    label_min_um2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """The patches of a core that were kept, row by row, and how many were not.

    Args:
        rows: position from the top, from 0.
        cols: position from the left, from 0.
        labels: 1 where T cells' pixels cover enough, else 0.
        tissue: share that is tissue.
        tumour: share that is tumour.
        erased: pixels hidden from the predictors.
        components: parts of the erased area inside the patch, touching at corners included.
        marker_um2: area of the T cells' pixels that make the label (µm²).
        means: of every predictor (counts).
        pixels: of every predictor, erased ones included (counts).
        dropped_border: incomplete squares at the right and the lower border.
        dropped_tissue: squares with too little tissue, or with a pixel that was not acquired.
        dropped_hole: of the others, squares of which too little is left.
        erased_share: erased share of the core's tissue.
    """

    rows: Int64[ndarray, " patch"]
    cols: Int64[ndarray, " patch"]
    labels: Int64[ndarray, " patch"]
    tissue: Float64[ndarray, " patch"]
    tumour: Float64[ndarray, " patch"]
    erased: Bool[ndarray, "patch side side"]
    components: Int64[ndarray, " patch"]
    marker_um2: Float64[ndarray, " patch"]
    means: Float64[ndarray, "patch channel"]
    pixels: Real[ndarray, "patch channel side side"]
    dropped_border: int
    dropped_tissue: int
    dropped_hole: int
    erased_share: float


def patch_side_px(*, size_um: float, px_um: float) -> int:
    """Return the side of a patch in whole pixels, at least one."""
    return max(1, round(size_um / px_um))


def squares(
    image: Shaped[ndarray, "*channel height width"], side_px: int
) -> Shaped[ndarray, "patch *channel side side"]:
    """Cut an image into squares that do not overlap, from its top left corner, row by row.

    Incomplete squares at the right and the lower border are left out.
    """
    grid = _grid(image, side_px)
    return grid.reshape(-1, *grid.shape[2:]) if grid.size else grid.reshape(0, *grid.shape[2:])


def cut(layers: Layers, rules: Rules) -> Patches:
    """Erase T cells on the whole core, then cut it, and keep what has tissue and is not all hole.

    Source: Wang & Thomson, section 2 (patches of 40 µm with T cells masked).
    """
    side = patch_side_px(size_um=rules.size_um, px_um=layers.px_um)
    erased = erased_mask(layers.marker, radius_um=rules.radius_um, px_um=layers.px_um)
    height, width = erased.shape
    rows, cols = height // side, width // side
    tissue = squares(layers.tissue, side).mean(axis=(1, 2))
    holes = squares(erased, side)
    complete = squares(layers.acquired, side).all(axis=(1, 2))
    has_tissue = complete & (tissue >= rules.tissue_min)
    has_area = (~holes).mean(axis=(1, 2)) >= rules.keep_min
    kept = np.flatnonzero(has_tissue & has_area)
    marker_um2 = squares(layers.t_cells, side)[kept].sum(axis=(1, 2)) * layers.px_um**2
    # only the patches that stay are copied
    pixels = _grid(layers.predictors, side)[np.divmod(kept, max(cols, 1))]
    return Patches(
        rows=kept // max(cols, 1),
        cols=kept % max(cols, 1),
        # a hair less, since 12 pixels of .1 µm² are less than 1.2 µm² in binary
        labels=(marker_um2 >= rules.label_min_um2 * (1 - 1e-9)).astype(np.int64),
        tissue=tissue[kept],
        tumour=squares(layers.tumour, side)[kept].mean(axis=(1, 2)),
        erased=holes[kept],
        components=count_components(holes[kept]),
        marker_um2=marker_um2,
        means=masked_means(pixels, holes[kept][:, None], mean=rules.mean)[:, 0],
        pixels=pixels,
        dropped_border=-(-height // side) * -(-width // side) - rows * cols,
        dropped_tissue=int((~has_tissue).sum()),
        dropped_hole=int((has_tissue & ~has_area).sum()),
        erased_share=_share(erased, layers.tissue),
    )


def _grid(
    image: Shaped[ndarray, "*channel height width"], side_px: int
) -> Shaped[ndarray, "row col *channel side side"]:
    """Return a view of all whole squares by their row and column."""
    *channels, height, width = image.shape
    rows, cols = height // side_px, width // side_px
    whole = image[..., : rows * side_px, : cols * side_px]
    grid = whole.reshape(*channels, rows, side_px, cols, side_px)
    return np.moveaxis(grid, (-4, -2), (0, 1))


def _share(part: Bool[ndarray, "height width"], whole: Bool[ndarray, "height width"]) -> float:
    covered = np.count_nonzero(whole)
    return float(np.count_nonzero(part & whole) / covered) if covered else 0.0
