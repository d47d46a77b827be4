"""Train the convolutional network on the pixels of patches, under the cohort's schemes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_table, write_json
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import of_variant, stage
from tissuetrace.studies.imc.cohorts import ADMISSION, Cohort, Convolved, Scheme
from tissuetrace.studies.imc.features import (
    PREFIX,
    mean_columns,
    patch_table,
    predicted,
    read_features,
)
from tissuetrace.studies.imc.retrained import READS, Scheduled, outputs, write_scheme

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray

    from tissuetrace.learn.loop import Fitted
    from tissuetrace.learn.patch_networks import Patches, PatchNetwork
    from tissuetrace.learn.patch_pixels import PatchPixels
    from tissuetrace.learn.patch_training import Recipe

__all__ = ["Cnn", "patches_of", "recipe_of", "train_cnn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cnn:
    """How the network is trained, and how often (Wang & Thomson, Methods)."""

    repeats: Annotated[int, Ge(1)]  # of the split's seeds, the first so many
    lr: Annotated[float, Gt(0)]
    batch: Annotated[int, Ge(1)]
    epochs: Annotated[int, Ge(1)]
    patience: Annotated[int, Ge(1)]  # epochs without a better validation MCC
    pos_weight: Annotated[float, Gt(0)]  # of a positive patch in the loss
    seed: Annotated[int, Ge(0)]


@stage(
    reads={**READS, "pixels": "data/imc/patch/{cohorts}/pixels"},
    writes=outputs(
        "cnn",
        files="model.<seed>.safetensors",
        instead="; where the cohort's settings leave the scheme out, why.json alone",
    ),
    params={"cohort": of_variant(Convolved, of=Cohort), "cnn": Cnn},
    matrix="cohorts",
    gate=ADMISSION,
    resumes=True,
)
def train_cnn(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    tables: Path,
    pixels: Path,
    split_patient: Path,
    split_random: Path,
    decoy_patient: Path,
    decoy_random: Path,
    admission: Path,
    patient: Path,
    random: Path,
    cohort: Convolved,
    cnn: Cnn,
    variant: str,
    resume: Path,
) -> None:
    """Train schemes and seeds side by side; write models, history, run and predictions."""
    schemes: dict[Scheme, tuple[Path, Path, Path]] = {
        "patient": (split_patient, decoy_patient, patient),
        "random": (split_random, decoy_random, random),
    }
    patches = patch_table(tables)
    jobs: list[_Job] = []
    for scheme, (splits, decoys, folder) in schemes.items():
        if scheme in cohort.cnn:
            rows = _read_rows(tables, decoys, scheme=scheme, splits=splits)
            jobs += _jobs(rows, patches, cnn=cnn, resume=resume)
        else:
            reason = f"imc.cohorts.{variant}.cnn does not name the {scheme} scheme"
            write_json({"reason": reason}, folder / "why.json")
    if jobs:
        _cache(pixels, jobs[0])
    trained = parallel_map(_train, jobs, title="train the network on patches")
    for scheme in cohort.cnn:
        splits, decoys, folder = schemes[scheme]
        mine = [done for job, done in zip(jobs, trained, strict=True) if job.scheme == scheme]
        inputs = {"tables": tables, "pixels": pixels, "splits": splits, "decoys": decoys}
        scheduled = _write_models(folder, mine, scheme=scheme, cnn=cnn, variant=variant)
        write_scheme(scheduled, folder, inputs=inputs, admission=admission)


def recipe_of(cnn: Cnn) -> "Recipe":
    """Return the section of `params.yaml` as the training takes it."""
    from tissuetrace.learn.loop import Schedule
    from tissuetrace.learn.patch_training import Recipe

    return Recipe(
        schedule=Schedule(epochs=cnn.epochs, lr=cnn.lr, patience=cnn.patience),
        batch=cnn.batch,
        pos_weight=cnn.pos_weight,
    )


def patches_of(pixels: "PatchPixels", rows: "pd.DataFrame") -> "Patches":
    """Return all patches as one seed sees them.

    Args:
        pixels: of all patches of the cohort, in the order of `patch_table`.
        rows: of that seed: `place` and `donor_place` in that order (-1 for no donor),
            `orientation` and `label`. A patch without a row keeps its own hole alone.
    """
    import numpy as np

    from tissuetrace.learn.patch_networks import Patches
    from tissuetrace.learn.patch_pixels import erased_with_donors

    count, place = len(pixels.core), rows["place"].to_numpy()
    donors, orientations = np.full(count, -1), np.full(count, -1)
    donors[place], orientations[place] = rows["donor_place"], rows["orientation"]
    labels = np.zeros(count, dtype=np.int64)
    labels[place] = rows["label"]
    erased = erased_with_donors(pixels, donors, orientations)
    return Patches(pixels=pixels, erased=erased, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    rows: "pd.DataFrame"  # of one seed
    images: Sequence[str]
    sizes: Sequence[int]  # patches of each image
    channels: Sequence[str]
    cnn: Cnn
    resume: Path

    @property
    def scheme(self) -> str:
        return str(self.rows["scheme"].iloc[0])

    @property
    def seed(self) -> int:
        return int(self.rows["seed"].iloc[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    job: _Job
    network: "PatchNetwork"
    fitted: "Fitted"
    predictions: "pd.DataFrame"


def _read_rows(tables: Path, decoys: Path, *, scheme: Scheme, splits: Path) -> "pd.DataFrame":
    """Return what every seed sees, with each row's donor."""
    rows = read_features(tables, decoys, scheme=scheme, splits=splits)
    donors = read_table(decoys, ["item", "seed", "donor", "orientation"])
    return rows.merge(donors, on=["item", "seed"], how="left", validate="one_to_one")


def _jobs(
    rows: "pd.DataFrame", patches: "pd.DataFrame", *, cnn: Cnn, resume: Path
) -> Sequence[_Job]:
    seeds = sorted(rows["seed"].unique())
    if len(seeds) < cnn.repeats:
        raise InputError(
            f"is {cnn.repeats}, and the split has {len(seeds)} seeds",
            where="imc.cnn.repeats",
            todo="Lower it, or raise imc.split.seeds, in params.yaml",
        )
    channels = [name.removeprefix(PREFIX) for name in mean_columns(rows)]
    sizes = patches.groupby("image", sort=True).size()
    places = dict(zip(patches["item"], range(len(patches)), strict=True))
    known = rows.drop(columns=mean_columns(rows)).assign(
        place=rows["item"].map(places),
        donor_place=rows["donor"].map({**places, "": -1}),
    )
    return [
        _Job(
            rows=known[known["seed"] == seed].reset_index(drop=True),
            images=[str(image) for image in sizes.index],
            sizes=sizes.tolist(),
            channels=channels,
            cnn=cnn,
            resume=resume,
        )
        for seed in seeds[: cnn.repeats]
    ]


def _cache(pixels: Path, job: _Job) -> None:
    """Write the pixels of all cores so that workers can share them, and see that they fit."""
    from tissuetrace.learn.patch_pixels import cache_patches, open_patches

    cache_patches(pixels, job.images, job.resume / "pixels")
    found = open_patches(job.resume / "pixels", job.images)
    if [len(core) for core in found.cores] != list(job.sizes):
        raise ValueError(f"the tables and {pixels} differ in patches")
    if list(found.names) != list(job.channels):
        raise ValueError(f"the tables and {pixels} differ in channels")


def _train(job: _Job) -> _Trained:
    from tissuetrace.learn.patch_networks import probabilities
    from tissuetrace.learn.patch_pixels import open_patches
    from tissuetrace.learn.patch_training import train_patch_cnn
    from tissuetrace.pipeline.live import live_logger

    rows = job.rows
    patches = patches_of(open_patches(job.resume / "pixels", job.images), rows)
    network, fitted = train_patch_cnn(
        patches,
        training=_places(rows, "train"),
        validation=_places(rows, "validation"),
        recipe=recipe_of(job.cnn),
        seed=job.cnn.seed,
        split_seed=job.seed,
        device=machine.device(),
        resume=job.resume / f"{job.scheme}-{job.seed}",
        tell=live_logger("imc", f"cnn-{job.scheme}-seed-{job.seed}"),
    )
    answers = probabilities(network, patches, rows["place"].to_numpy(), device=machine.device())
    predictions = predicted(rows, model="cnn", probability=answers)
    return _Trained(job=job, network=network, fitted=fitted, predictions=predictions)


def _places(rows: "pd.DataFrame", split: str) -> "ndarray":
    return rows.loc[rows["split"] == split, "place"].to_numpy()


def _write_models(
    folder: Path, trained: Sequence[_Trained], *, scheme: Scheme, cnn: Cnn, variant: str
) -> Scheduled:
    import pandas as pd

    from tissuetrace.learn.patch_networks import parameter_count, save_patch_cnn

    first = trained[0]
    files = [folder / f"model.{done.job.seed}.safetensors" for done in trained]
    for path, done in zip(files, trained, strict=True):
        save_patch_cnn(done.network, path)
    return Scheduled(
        model="cnn",
        variant=variant,
        scheme=scheme,
        settings=asdict(cnn),
        files=files,
        input_text="square roots of counts, z-scored over what is not erased of the training "
        "patches of the seed, 0 where erased",
        channels=first.job.channels,
        parameters=parameter_count(first.network),
        histories={done.job.seed: done.fitted.history for done in trained},
        best_epochs={done.job.seed: done.fitted.best_epoch for done in trained},
        rows=pd.concat([done.job.rows for done in trained], ignore_index=True),
        predictions=pd.concat([done.predictions for done in trained], ignore_index=True),
    )
