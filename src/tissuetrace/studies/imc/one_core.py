"""From an ingested core to the table of its patches and their pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Real
from numpy import ndarray

from tissuetrace.imaging.erasing import above, marker_mask, t_cell_mask
from tissuetrace.imaging.masks import pack
from tissuetrace.imaging.patches import Layers, Patches, Rules, cut
from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.pipeline.keeping import FreshShard
from tissuetrace.studies.imc.cohorts import Cut
from tissuetrace.studies.imc.features import PREFIX

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.imc.patch import Patch

__all__ = ["COUNTED", "COUNTS_SUFFIX", "CoreJob", "cut_core"]

COUNTS_SUFFIX = ".counts.json"
COUNTED = (
    "patches",
    "dropped_border",
    "dropped_tissue",
    "dropped_hole",
    "erased",
    "constant_channels",
    "constant_names",
    "zero_markers",
    "non_finite",
    "negative",
)

_WHOLE_MAX = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreJob:
    """One core to be cut.

    Args:
        image: the ingested core.
        subject: the patient.
        table: shard of its table; None where the cache has it.
        pixels: shard of its pixels; None where the cache has it.
        params: how it is cut.
        cohort: which channels make the label, and which predict it.
    """

    image: Path
    subject: str
    table: FreshShard | None
    pixels: FreshShard | None
    params: "Patch"
    cohort: Cut


def cut_core(job: CoreJob) -> None:
    """Write the table of a core's patches and their pixels, where they are to be made."""
    name = job.image.stem
    with np.load(job.image) as file:
        core = dict(file)
    faults = _faults(core, job.cohort)
    layers = _layers(core, job.params, job.cohort)
    core.clear()  # the pixels of a core are most of the memory
    patches = cut(layers, _rules(job.params, job.cohort))
    if job.table is not None:
        with job.table.writing() as folder:
            table = _table(patches, layers, (name, job.subject), job.cohort)
            write_table(table, folder / f"{name}.parquet")
            write_json({**_left_out(patches), **faults}, folder / f"{name}{COUNTS_SUFFIX}")
    if job.pixels is not None:
        with job.pixels.writing() as folder:
            np.savez(
                folder / f"{name}.npz",
                pixels=_smallest(patches.pixels),
                masks=pack(patches.erased),
                names=np.array(job.cohort.predictors),
                shape=np.array(patches.pixels.shape[2:], dtype=np.int64),
                px_um=np.float64(layers.px_um),
            )


def _layers(core: Mapping[str, Any], params: "Patch", cohort: Cut) -> Layers:
    px_um = float(core["px_um"])
    cd3, cd8, *exhausted = _markers(core, cohort)
    smoothing = {"threshold": cohort.threshold, "px_um": px_um, "smooth_um": params.label_smooth_um}
    everywhere = np.ones(cd3.shape, dtype=bool)
    return Layers(
        predictors=_channels(core, cohort.predictors),
        marker=marker_mask(cd3, cd8, **smoothing),
        t_cells=t_cell_mask([cd3, cd8], exhausted, **smoothing),
        tissue=core.get("tissue", everywhere),
        acquired=core.get("acquired", everywhere),
        tumour=_tumour(core, params, cohort) if "tumour" not in core else core["tumour"],
        px_um=px_um,
    )


def _tumour(core: Mapping[str, Any], params: "Patch", cohort: Cut) -> Bool[ndarray, "height width"]:
    if not cohort.tumour_marker:
        return np.ones(core["x"].shape[1:], dtype=bool)
    (counts,) = _channels(core, [cohort.tumour_marker])
    return above(
        counts,
        threshold=cohort.tumour_threshold,
        px_um=float(core["px_um"]),
        smooth_um=params.tumour_smooth_um,
    )


def _channels(
    core: Mapping[str, Any], names: Sequence[str]
) -> Float32[ndarray, "channel height width"]:
    found = core["names"].tolist()
    chosen: Float32[ndarray, "channel height width"] = core["x"][[found.index(n) for n in names]]
    return chosen


def _markers(core: Mapping[str, Any], cohort: Cut) -> Float32[ndarray, "channel height width"]:
    return _channels(core, _marker_names(cohort))


def _marker_names(cohort: Cut) -> list[str]:
    return [cohort.markers.cd3, cohort.markers.cd8, *cohort.markers.exhausted]


def _rules(params: "Patch", cohort: Cut) -> Rules:
    return Rules(
        size_um=params.size_um,
        radius_um=params.radius_um,
        mean=params.mean,
        keep_min=params.keep_min,
        tissue_min=cohort.tissue_min,
        label_min_um2=params.label_min_um2,
    )


def _table(patches: Patches, layers: Layers, names: tuple[str, str], cohort: Cut) -> "pd.DataFrame":
    import pandas as pd

    image, subject = names
    places = zip(patches.rows.tolist(), patches.cols.tolist(), strict=True)
    table = pd.DataFrame(
        {
            "item": pd.array([f"{image}:{row}:{col}" for row, col in places], dtype="str"),
            "subject": pd.array([subject] * len(patches.rows), dtype="str"),
            "image": pd.array([image] * len(patches.rows), dtype="str"),
            "row": patches.rows,
            "col": patches.cols,
            "label": patches.labels,
            "tissue": patches.tissue,
            "tumour": patches.tumour,
            "kept": (~patches.erased).mean(axis=(1, 2)),
            "erased_um2": patches.erased.sum(axis=(1, 2)) * layers.px_um**2,
            "components": patches.components,
            "marker_um2": patches.marker_um2,
        }
    )
    columns = [f"{PREFIX}{channel}" for channel in cohort.predictors]
    return pd.concat([table, pd.DataFrame(patches.means, columns=columns)], axis=1)


def _left_out(patches: Patches) -> dict[str, float]:
    return {
        "patches": len(patches.rows),
        "dropped_border": patches.dropped_border,
        "dropped_tissue": patches.dropped_tissue,
        "dropped_hole": patches.dropped_hole,
        "erased": patches.erased_share,
    }


def _faults(core: Mapping[str, Any], cohort: Cut) -> dict[str, float | str]:
    markers = _markers(core, cohort)
    found = core["names"].tolist()
    # one channel at a time, without a copy
    channels = [*markers, *(core["x"][found.index(name)] for name in cohort.predictors)]
    named = zip((*_marker_names(cohort), *cohort.predictors), channels, strict=True)
    constant = [name for name, counts in named if (counts == counts[0, 0]).all()]
    return {
        "constant_channels": len(constant),
        "constant_names": ", ".join(constant),
        "zero_markers": int(not markers.any()),
        "non_finite": sum(int((~np.isfinite(counts)).sum()) for counts in channels),
        "negative": sum(int((counts < 0).sum()) for counts in channels),
    }


def _smallest(
    pixels: Real[ndarray, "patch channel side side"],
) -> Real[ndarray, "patch channel side side"]:
    """Return counts as whole numbers of two bytes where they are such, else as they are."""
    # a patch at a time, since the pixels of a large core are most of the memory
    whole = all(
        bool(((patch >= 0) & (patch <= _WHOLE_MAX) & (patch == np.rint(patch))).all())
        for patch in pixels
    )
    return pixels.astype(np.uint16) if whole else pixels
