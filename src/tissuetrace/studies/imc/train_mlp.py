"""Train the perceptrons on channel means of patches, all retrainings of a cohort at once."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, MinLen

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.stage import stage
from tissuetrace.studies.imc.cohorts import ADMISSION, Scheme
from tissuetrace.studies.imc.features import PREFIX, mean_columns, predicted, read_features
from tissuetrace.studies.imc.retrained import READS, Scheduled, outputs, write_scheme

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.learn.retrainings import Examples, Recipe, Retraining
    from tissuetrace.models.mlp_stack import MlpStack

__all__ = ["Mlp", "recipe_of", "retrainings_of", "train_mlp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """How the perceptrons are built and trained (Wang & Thomson, Methods)."""

    hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]  # units of each layer
    lr: Annotated[float, Gt(0)]
    batch: Annotated[int, Ge(1)]
    epochs: Annotated[int, Ge(1)]
    patience: Annotated[int, Ge(1)]  # epochs without a better validation MCC
    pos_weight: Annotated[float, Gt(0)]  # of a positive patch in the loss
    seed: Annotated[int, Ge(0)]


@stage(
    reads=READS,
    writes=outputs("mlp", files="model.safetensors (stacked weights, mean and sd of each seed)"),
    params={"mlp": Mlp},
    matrix="cohorts",
    gate=ADMISSION,
)
def train_mlp(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    tables: Path,
    split_patient: Path,
    split_random: Path,
    decoy_patient: Path,
    decoy_random: Path,
    admission: Path,
    patient: Path,
    random: Path,
    mlp: Mlp,
    variant: str,
) -> None:
    """Train each scheme's retrainings side by side; write models, history, run, predictions."""
    folders: dict[Scheme, tuple[Path, Path, Path]] = {
        "patient": (split_patient, decoy_patient, patient),
        "random": (split_random, decoy_random, random),
    }
    for scheme, (splits, decoys, folder) in folders.items():
        rows = read_features(tables, decoys, scheme=scheme, splits=splits)
        trained = _train(rows, folder, scheme=scheme, mlp=mlp, variant=variant)
        inputs = {"tables": tables, "splits": splits, "decoys": decoys}
        write_scheme(trained, folder, inputs=inputs, admission=admission)


def recipe_of(mlp: Mlp) -> "Recipe":
    """Return the section of `params.yaml` as the training takes it."""
    from tissuetrace.learn.loop import Schedule
    from tissuetrace.learn.retrainings import Recipe

    return Recipe(
        hidden=mlp.hidden,
        schedule=Schedule(epochs=mlp.epochs, lr=mlp.lr, patience=mlp.patience),
        batch=mlp.batch,
        pos_weight=mlp.pos_weight,
    )


def retrainings_of(rows: "pd.DataFrame") -> "list[Retraining]":
    """Return what each seed learns from, in the order of the seeds.

    Args:
        rows: from `read_features`, with splits.
    """
    from tissuetrace.learn.retrainings import Retraining

    return [
        Retraining(
            seed=int(str(seed)),
            training=_examples(own[own["split"] == "train"]),
            validation=_examples(own[own["split"] == "validation"]),
        )
        for seed, own in rows.groupby("seed", sort=True)
    ]


def _examples(rows: "pd.DataFrame") -> "Examples":
    from tissuetrace.learn.retrainings import Examples

    return Examples(x=rows[mean_columns(rows)].to_numpy(), labels=rows["label"].to_numpy())


def _train(
    rows: "pd.DataFrame", folder: Path, *, scheme: Scheme, mlp: Mlp, variant: str
) -> Scheduled:
    from tissuetrace.learn.retrainings import train_mlps
    from tissuetrace.models.mlp_stack import save_mlps

    trained = train_mlps(
        retrainings_of(rows), recipe=recipe_of(mlp), seed=mlp.seed, device=machine.device()
    )
    stack = trained.stack
    save_mlps(stack, folder / "model.safetensors")
    return Scheduled(
        model="mlp",
        variant=variant,
        scheme=scheme,
        settings=asdict(mlp),
        files=[folder / "model.safetensors"],
        input_text="mean counts of each channel over what is left of a patch, z-scored by the "
        "training patches of the seed",
        channels=[name.removeprefix(PREFIX) for name in mean_columns(rows)],
        parameters=sum(value.numel() for value in stack.parameters()) // stack.members,
        histories=dict(zip(stack.seeds, trained.histories, strict=True)),
        best_epochs=dict(zip(stack.seeds, trained.best_epochs, strict=True)),
        rows=rows,
        predictions=_predictions(stack, rows),
    )


def _predictions(stack: "MlpStack", rows: "pd.DataFrame") -> "pd.DataFrame":
    import numpy as np

    means, answers = mean_columns(rows), np.empty(len(rows))
    for member, seed in enumerate(stack.seeds):
        own = (rows["seed"] == seed).to_numpy()
        answers[own] = stack.probabilities(rows.loc[own, means].to_numpy(), member)
    return predicted(rows, model="mlp", probability=answers)
