"""From an ingested core to its table of patches and their pixels, one core at a time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Real
from numpy import ndarray

from tissuetrace.imaging.erasing import above, marker_mask, t_cell_mask
from tissuetrace.imaging.masks import pack
from tissuetrace.imaging.patches import Layers, Patches, Rules, cut
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, write_json, write_table
from tissuetrace.pipeline.gate import code_sha256
from tissuetrace.pipeline.hashing import sha256_of_bytes
from tissuetrace.pipeline.keeping import FreshShard, ShardPlan, plan_shards
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.studies.imc.cohorts import Cohort
from tissuetrace.studies.imc.features import PREFIX

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.imc.patch import Patch

__all__ = ["count_cores", "cut_cores"]

_CHUNK = 50  # cores of one worker's turn; a process takes longer to start than some cores do
_COUNTS = ".counts.json"
_COUNTED = (
    "patches",
    "dropped_border",
    "dropped_tissue",
    "dropped_hole",
    "erased",
    "constant_channels",
    "zero_markers",
    "non_finite",
    "negative",
)
_DECIDING = (  # of a cohort's settings; what may be perturbed, for one, cuts nothing
    "markers",
    "threshold",
    "predictors",
    "tumour_marker",
    "tumour_threshold",
    "tissue_min",
)
_WHOLE_MAX = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    image: Path
    subject: str
    table: FreshShard | None
    pixels: FreshShard | None
    params: "Patch"
    cohort: Cohort


def cut_cores(
    images: Path,
    subjects: Mapping[str, str],
    *,
    tables: Path,
    pixels: Path,
    params: "Patch",
    cohort: Cohort,
) -> None:
    """Write one table and one file of pixels a core; unchanged cores come from the cache.

    Args:
        images: folder of the ingested cores.
        subjects: of every core.
        tables: folder to write.
        pixels: folder to write.
        params: how a core is cut.
        cohort: which channels make the label, and which predict it.

    Raises:
        InputError: lists every channel that a core does not have.
    """
    _check_channels(images, subjects, cohort)
    plans = _plans(images, subjects, (tables, pixels), (params, cohort))
    fresh = [{shard.name: shard for shard in plan.fresh} for plan in plans]
    jobs = [
        _Job(
            image=images / f"{name}.npz",
            subject=subjects[name],
            table=fresh[0].get(name),
            pixels=fresh[1].get(name),
            params=params,
            cohort=cohort,
        )
        for name in sorted({*fresh[0], *fresh[1]})
    ]
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    parallel_map(_cut_chunk, chunks, title="cutting cores")
    for plan in plans:
        plan.finish()


def count_cores(tables: Path, subjects: Mapping[str, str]) -> "pd.DataFrame":
    """Return one row per core, sorted by name: patches, what was dropped, and what looks wrong."""
    import pandas as pd

    rows = [
        {"image": name, "subject": subjects[name], **read_json(tables / f"{name}{_COUNTS}")}
        for name in sorted(subjects)
    ]
    return pd.DataFrame(rows, columns=["image", "subject", *_COUNTED])


def _check_channels(images: Path, subjects: Mapping[str, str], cohort: Cohort) -> None:
    markers = (cohort.markers.cd3, cohort.markers.cd8, *cohort.markers.exhausted)
    wanted = dict.fromkeys((*markers, *cohort.predictors, cohort.tumour_marker))
    wanted.pop("", None)  # no marker of the tumour
    mistakes = []
    for name in sorted(subjects):
        with np.load(images / f"{name}.npz") as core:
            found = core["names"].tolist()
            masked = "tumour" in core
        needless = {cohort.tumour_marker} - {*markers, *cohort.predictors} if masked else set()
        missing = [channel for channel in wanted if channel not in {*found, *needless}]
        if missing:
            mistakes.append(f"{name}: no {', '.join(missing)} among {', '.join(found)}")
    if mistakes:
        raise InputError(
            f"{len(mistakes)} of {len(subjects)} cores lack a channel",
            where=str(images),
            todo="Correct markers, predictors or tumour_marker of imc.cohorts in params.yaml, or "
            "the panel table",
            items=mistakes,
        )


def _plans(
    images: Path,
    subjects: Mapping[str, str],
    outputs: Sequence[Path],
    settings: tuple["Patch", Cohort],
) -> list[ShardPlan]:
    import scipy

    params, cohort = settings
    recipe = {
        "params": asdict(params),
        "cohort": {name: asdict(cohort)[name] for name in _DECIDING},
        "code": code_sha256(__name__, Path()),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    inputs = {
        name: [_sha256(images / f"{name}.npz"), sha256_of_bytes(subject.encode())]
        for name, subject in subjects.items()
    }
    return [plan_shards(output, inputs, recipe) for output in outputs]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cut_chunk(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        _cut_core(job)


def _cut_core(job: _Job) -> None:
    name = job.image.stem
    with np.load(job.image) as file:
        core = dict(file)
    layers = _layers(core, job.params, job.cohort)
    patches = cut(layers, _rules(job.params, job.cohort))
    if job.table is not None:
        with job.table.writing() as folder:
            table = _table(patches, layers, (name, job.subject), job.cohort)
            write_table(table, folder / f"{name}.parquet")
            write_json(_counts(core, patches, job.cohort), folder / f"{name}{_COUNTS}")
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


def _layers(core: Mapping[str, Any], params: "Patch", cohort: Cohort) -> Layers:
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


def _tumour(
    core: Mapping[str, Any], params: "Patch", cohort: Cohort
) -> Bool[ndarray, "height width"]:
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


def _markers(core: Mapping[str, Any], cohort: Cohort) -> Float32[ndarray, "channel height width"]:
    markers = cohort.markers
    return _channels(core, [markers.cd3, markers.cd8, *markers.exhausted])


def _rules(params: "Patch", cohort: Cohort) -> Rules:
    return Rules(
        size_um=params.size_um,
        radius_um=params.radius_um,
        mean=params.mean,
        keep_min=params.keep_min,
        tissue_min=cohort.tissue_min,
        label_min_um2=params.label_min_um2,
    )


def _table(
    patches: Patches, layers: Layers, names: tuple[str, str], cohort: Cohort
) -> "pd.DataFrame":
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


def _counts(core: Mapping[str, Any], patches: Patches, cohort: Cohort) -> dict[str, float]:
    markers = _markers(core, cohort)
    found = core["names"].tolist()
    # one channel at a time, without a copy
    channels = [*markers, *(core["x"][found.index(name)] for name in cohort.predictors)]
    return {
        "patches": len(patches.rows),
        "dropped_border": patches.dropped_border,
        "dropped_tissue": patches.dropped_tissue,
        "dropped_hole": patches.dropped_hole,
        "erased": patches.erased_share,
        "constant_channels": sum(bool((counts == counts[0, 0]).all()) for counts in channels),
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
