"""The phantom's melanoma cohort from drawing to recovery, stage by stage in this process.

Settings are those of the project. Left out is what costs time and tells nothing of recovery: files
of images (cores are kept as `ingest` would read them), the CNN, all but one of the retrainings on
patches split at random, the variants of the search, subsets of targets, draws of intervals, and
checks of shapes.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch

from tissuetrace.pipeline.files import read_json, read_table, write_json, write_table
from tissuetrace.pipeline.params import load_params, stage_params
from tissuetrace.pipeline.stage import Stage
from tissuetrace.studies.imc import phantom as phantom_module
from tissuetrace.studies.imc import targets
from tissuetrace.studies.imc.cohorts import SCHEMES
from tissuetrace.studies.imc.decoy import decoy
from tissuetrace.studies.imc.drawing import Core
from tissuetrace.studies.imc.effect import effect
from tissuetrace.studies.imc.evaluate import evaluate
from tissuetrace.studies.imc.features import patch_table
from tissuetrace.studies.imc.fetch import fetch
from tissuetrace.studies.imc.patch import patch
from tissuetrace.studies.imc.perturb import perturb
from tissuetrace.studies.imc.phantom import draw_phantom
from tissuetrace.studies.imc.recover import recover
from tissuetrace.studies.imc.split import split
from tissuetrace.studies.imc.train_mlp import train_mlp

__all__ = [
    "COHORT",
    "TABLE",
    "draw",
    "inside",
    "learn",
    "recovered",
    "run",
    "search",
    "settings",
    "take",
]

COHORT = "melanoma"
TABLE = Path(f"data/imc/patch/{COHORT}/tables/all.parquet")

_PROJECT = Path(__file__).parents[2]
_UNCHANGED: Mapping[str, Any] = MappingProxyType({})


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, in which stages find the code that made their outputs, and in one process.

    Args:
        folder: is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    code = folder / "src"
    if not code.exists():
        code.symlink_to(_PROJECT / "src")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker; two test processes share the cores
    try:
        with pytest.MonkeyPatch.context() as patcher:
            patcher.chdir(folder)
            patcher.setenv("TISSUETRACE_WORKERS", "1")
            patcher.setattr(jaxtyping.config, "jaxtyping_disable", True)
            yield
    finally:
        torch.set_num_threads(threads)


def settings(stage: Stage) -> dict[str, Any]:
    """Return the typed sections of `params.yaml` that a stage is given for the cohort."""
    return stage_params(stage, _params(), COHORT)


def run(stage: Stage, **changed: object) -> None:
    """Run a stage in the working directory, without its gate."""
    reads = {name: _place(str(path)) for name, path in stage.reads.items()}
    writes = {name: _place(output.path) for name, output in stage.writes.items()}
    for path in writes.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    more: dict[str, object] = {"variant": COHORT} if stage.takes_variant else {}
    more |= {"admission": Path(stage.gate)} if stage.gate else {}
    stage(**{**reads, **writes, **settings(stage), **more, **changed})


def draw(seed: int) -> None:
    """Draw the cohort from a seed of its own and cut it into patches.

    Args:
        seed: in place of the cohort's in `params.yaml`.
    """
    phantom = settings(fetch)["phantom"]
    cohort = replace(phantom.cohorts[COHORT], seed=seed)
    home = Path("data/imc/ingest")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(phantom_module, "_write_core", _keep_core)
        truth = draw_phantom(replace(phantom, cohorts={COHORT: cohort}), home)
    write_table(truth, Path("data/imc/fetch/truth.parquet"))
    images = pd.read_csv(home / COHORT / "images.csv", dtype="str")
    write_table(images[["image", "subject"]], home / "images.parquet")
    run(patch, images=home / COHORT, table=home / "images.parquet")
    shutil.rmtree(home)
    # one table in place of one a core, since later stages read them a dozen times
    patches = patch_table(TABLE.parent)
    for path in TABLE.parent.glob("*.parquet"):
        path.unlink()
    write_table(patches, TABLE)


def take(drawn: Path) -> None:
    """Bring a cohort that was drawn elsewhere into the working directory.

    Args:
        drawn: its folder; the table of patches is copied, so that a test may spoil it.
    """
    TABLE.parent.mkdir(parents=True)
    shutil.copy(drawn / TABLE, TABLE)
    for path in (TABLE.parents[1] / "pixels", Path("data/imc/fetch")):
        path.symlink_to(drawn / path)


def learn(
    *, decoys: Mapping[str, Any] = _UNCHANGED, patches: Mapping[str, Any] = _UNCHANGED
) -> None:
    """Divide the patches, draw decoys, train the perceptrons and ask them about every patch.

    Args:
        decoys: changed settings of `imc.decoy`.
        patches: changed settings of `imc.patch`, for the means that models see.
    """
    run(split)
    _keep_first_retraining(_place("data/imc/split/{cohorts}/random.parquet"))
    given = settings(decoy)
    run(
        decoy,
        params=replace(given["params"], **decoys),
        patch=replace(given["patch"], **patches),
    )
    write_json({"token": ""}, Path(str(train_mlp.gate)))
    run(train_mlp)
    for scheme in SCHEMES:
        write_json({"why": "left out"}, _place(f"data/imc/train/{{cohorts}}/cnn/{scheme}/why.json"))
    run(evaluate, params=replace(settings(evaluate)["params"], bootstrap=2))


def search(**changed: object) -> None:
    """Search counterfactuals with every retraining.

    Args:
        changed: settings of `imc.perturb`.
    """
    # with no retraining left for them, not even the fixed variants are searched
    alone: dict[str, Any] = {"betas": (), "ks": (), "variant_retrainings": 0}
    run(perturb, params=replace(settings(perturb)["params"], **alone, **changed))


def recovered(**changed: object) -> dict[str, float]:
    """Make the strategy of the searches; return what was found of the known answer.

    Args:
        changed: settings of `imc.effect`.
    """
    params: Any = settings(effect)["params"]
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(targets, "_LARGEST", 0)
        run(effect, params=replace(params, bootstrap=2, **changed))
    run(recover)
    found: dict[str, float] = read_json(_place(recover.writes["recovered"].path))
    return found


@cache
def _params() -> dict[str, Any]:
    return load_params(_PROJECT / "params.yaml")


def _place(path: str) -> Path:
    return Path(path.replace("{cohorts}", COHORT))


def _keep_core(job: Any, core: Core) -> None:
    """Write a drawn core as `ingest` would have read it from its TIFF."""
    np.savez(
        job.folder / f"{job.image}.npz",
        x=core.counts.astype(np.float32),
        names=np.array(core.names),
        px_um=np.float64(1.0),
        tissue=core.tissue,
    )


def _keep_first_retraining(path: Path) -> None:
    table = read_table(path)
    write_table(table[table["seed"] == 0], path)
