"""Which cores of a cohort are cut, by whom, and what was left out of all of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json
from tissuetrace.pipeline.gate import code_sha256
from tissuetrace.pipeline.hashing import sha256_of_bytes
from tissuetrace.pipeline.keeping import ShardPlan, plan_shards
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.studies.imc.cohorts import Cut
from tissuetrace.studies.imc.one_core import COUNTED, COUNTS_SUFFIX, CoreJob, cut_core

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.imc.patch import Patch

__all__ = ["count_cores", "cut_cores"]

_CHUNK = 50  # cores of one worker's turn; a process takes longer to start than some cores do


def cut_cores(
    images: Path,
    subjects: Mapping[str, str],
    *,
    tables: Path,
    pixels: Path,
    params: "Patch",
    cohort: Cut,
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
        CoreJob(
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
        {"image": name, "subject": subjects[name], **read_json(tables / f"{name}{COUNTS_SUFFIX}")}
        for name in sorted(subjects)
    ]
    return pd.DataFrame(rows, columns=["image", "subject", *COUNTED])


def _check_channels(images: Path, subjects: Mapping[str, str], cohort: Cut) -> None:
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
    settings: tuple["Patch", Cut],
) -> list[ShardPlan]:
    import scipy

    params, cohort = settings
    recipe = {
        "params": asdict(params),
        "cohort": {part.name: asdict(cohort)[part.name] for part in fields(Cut)},
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


def _cut_chunk(jobs: Sequence[CoreJob]) -> None:
    for job in jobs:
        cut_core(job)
