"""Measure the shape, texture, intensity and edges of every cell, in two readings."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import exact, stage

__all__ = ["COLUMNS", "Featurize", "Glcm", "featurize"]

COLUMNS = {
    "name": "string: image, without its ending",
    "subject": "string: as the name says",
    "label": "int64: 1 leukemic (ALL), 0 normal",
    "area": "double: pixels of the cell, holes filled (px)",
    "perimeter": "double: length of the outline through its pixels' centres (px)",
    "circularity": "double: 4 pi times the outline's area over its squared length; 1 is a disc",
    "solidity": "double: the outline's area over that of its convex hull; 1 has no dent",
    "aspect_ratio": "double: longer over shorter axis, from 1",
    "glcm_contrast": "double: mean squared difference of neighbours (gray values squared)",
    "glcm_dissimilarity": "double: mean absolute difference of neighbours (gray values)",
    "glcm_homogeneity": "double: mean of 1 / (1 + squared difference) of neighbours, up to 1",
    "glcm_energy": "double: root of the summed squares of the pairs' shares, up to 1",
    "glcm_correlation": "double: correlation of neighbours, -1 to 1",
    "mean": "double: mean gray value, 0 to 255",
    "std": "double: standard deviation of gray values",
    "skewness": "double: skewness of gray values; 0 where all are equal",
    "edge_density": "double: share of pixels on a Canny edge",
    "sobel_mean": "double: mean length of the gradient, unscaled 3x3 Sobel kernel (gray values)",
}

# Fixed, so that the number of processes changes nothing. Large, since a process takes longer to
# start than these take to be measured; a phantom is one chunk.
_CHUNK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Glcm:
    """Which pairs of pixels make the texture; the paper does not say."""

    distances: Annotated[tuple[Annotated[int, Gt(0)], ...], MinLen(1)]  # px
    angles: Annotated[tuple[Annotated[float, Ge(0), Lt(360)], ...], MinLen(1)]  # degrees
    levels: Annotated[int, Ge(2), Le(256)]
    symmetric: bool
    normed: bool  # the five properties are of the normed matrix in either case


@dataclass(frozen=True, slots=True, kw_only=True)
class Featurize:
    """How a cell is measured where the paper leaves it open."""

    reading: Literal["image", "cell"]
    blur: Literal[0, 3]  # side of a Gaussian kernel (px)
    mask: Literal["above_zero", "otsu"]
    aspect_ratio: Literal["ellipse", "box"]
    glcm: Glcm
    canny: Annotated[tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]], Len(2, 2)]
    canny_cell: Annotated[tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]], Len(2, 2)]


@stage(
    reads={
        "table": "data/leukemia/ingest/table.parquet",
        "images": "data/leukemia/fetch/images",
    },
    writes={
        "features": exact(
            "data/leukemia/featurize/features.parquet",
            "15 measurements of each cell, in the reading that featurize.reading chooses",
            columns=COLUMNS,
        ),
        "features_other": exact(
            "data/leukemia/featurize/features_other.parquet",
            "the same measurements in the other reading",
            columns=COLUMNS,
        ),
    },
    params=Featurize,
)
def featurize(
    *, table: Path, images: Path, features: Path, features_other: Path, params: Featurize
) -> None:
    """One row per image, images of the preliminary phase included, in the order of the table.

    Raises:
        InputError: lists every image that cannot be read or holds no cell.
    """
    import numpy as np
    import pandas as pd

    from tissuetrace.imaging.cell_files import measure_files
    from tissuetrace.imaging.cells import FEATURES
    from tissuetrace.imaging.cooccurrence import Cooccurrence

    rows = read_table(table, columns=["name", "path", "subject", "label"])
    paths = rows.pop("path").tolist()
    measure = partial(
        measure_files,
        folder=images,
        mask=params.mask,
        aspect_ratio=params.aspect_ratio,
        blur=params.blur,
        glcm=Cooccurrence(
            distances=params.glcm.distances,
            angles_deg=params.glcm.angles,
            levels=params.glcm.levels,
            symmetric=params.glcm.symmetric,
            normed=params.glcm.normed,
        ),
        canny={"image": params.canny, "cell": params.canny_cell},
    )
    chunks = [paths[start : start + _CHUNK] for start in range(0, max(1, len(paths)), _CHUNK)]
    measured = parallel_map(measure, chunks, title="measuring cells")
    mistakes = [mistake for chunk in measured for mistake in chunk.mistakes]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} of {len(paths)} images cannot be measured",
            where=str(images),
            todo="Mend or remove these files at the source, then run tissuetrace repro",
            items=mistakes,
        )
    for reading in ("image", "cell"):
        values = np.concatenate([chunk.features[reading] for chunk in measured])
        found = pd.concat([rows, pd.DataFrame(values, columns=list(FEATURES))], axis=1)
        write_table(found, features if reading == params.reading else features_other)
