"""A small cohort with a classifier of known weights, as perturb and effect find them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tissuetrace.models.mlp_stack import MlpStack, load_mlps, save_mlps
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.imc.cohorts import Cohort, Markers
from tissuetrace.studies.imc.features import predicted, read_features
from tissuetrace.studies.imc.perturb import Perturb

PREDICTORS = ("CXCL9", "CCL8", "CCL2", "DapB", "CD31")
WEIGHTS = (2.0, -1.5, 0.0, 0.0, 1.0)  # of the logit, for z of each predictor
BIAS = -2.0
PATIENTS, CORES, SIDE = 8, 2, 5  # the later half of the patients is hot

COHORT = Cohort(
    px_um=1.0,
    markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1",)),
    threshold=3.0,
    predictors=PREDICTORS,
    free=("CXCL9", "CCL8", "CCL2", "DapB"),
    control="DapB",
    tumour_marker="SOX10",
    tumour_threshold=1.0,
    tissue_min=0.0,
    cnn=(),
)

PERTURB = Perturb(
    p=0.8,
    c=100.0,
    c_steps="library",
    beta=0.1,
    theta=1.0,
    k=1,
    lr=0.01,
    steps=60,
    rounds=2,
    margin=1e-4,
    rule="improved",
    selection="best_valid",
    pool="above_p",
    start="any",
    betas=(0.1, 0.5),
    ks=(1, 3),
    variant_retrainings=1,
    cnn_patches=4,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Where the inputs of perturb and effect lie."""

    tables: Path
    pixels: Path
    decoys: Path
    mlp: Path
    cnn: Path


def plant(folder: Path, *, seeds: int = 3, weights: tuple[float, ...] = WEIGHTS) -> Planted:
    """Write patch tables, decoys, an MLP of a linear logit and what it says."""
    planted = Planted(
        tables=folder / "tables",
        pixels=folder / "pixels",
        decoys=folder / "patient.parquet",
        mlp=folder / "mlp",
        cnn=folder / "cnn",
    )
    planted.cnn.mkdir(parents=True)
    patches = _patches()
    for image, core in patches.groupby("image"):
        write_table(core, planted.tables / f"{image}.parquet")
    write_table(_decoys(patches, seeds), planted.decoys)
    write_mlp(planted, weights=weights)
    return planted


def write_mlp(planted: Planted, *, weights: tuple[float, ...], bias: float = BIAS) -> None:
    """Write a stack whose every member has the logit w·z + b, and its predictions."""
    rows = _split(read_features(planted.tables, planted.decoys, scheme="patient"))
    means = [f"mean_{name}" for name in PREDICTORS]
    seeds = sorted(rows["seed"].unique().tolist())
    stack = MlpStack([len(PREDICTORS), 2], seeds=seeds)
    train = [rows.loc[(rows["seed"] == s) & (rows["split"] == "train"), means] for s in seeds]
    stack.mean = np.stack([part.mean().to_numpy() for part in train])
    stack.sd = np.stack([part.std(ddof=0).to_numpy() for part in train])
    with torch.no_grad():
        for member in range(len(seeds)):
            w = torch.tensor(weights)
            stack.weights[0][member] = torch.stack([w, -w], dim=1)  # relu(a) - relu(-a) = a
            stack.weights[1][member] = torch.tensor([[1.0], [-1.0]])
            stack.biases[1][member] = bias - 0.3 * member  # so that retrainings differ
    save_mlps(stack, planted.mlp / "model.safetensors")
    said = [
        stack.probabilities(part[means].to_numpy(), member)
        for member, (_, part) in enumerate(rows.groupby("seed"))
    ]
    probability = np.concatenate(said)
    write_table(
        predicted(rows, model="mlp", probability=probability), planted.mlp / "predictions.parquet"
    )


def stack_of(planted: Planted) -> MlpStack:
    """Return the models."""
    return load_mlps(planted.mlp / "model.safetensors")


def predictions_of(planted: Planted) -> pd.DataFrame:
    """Return what they say."""
    return read_table(planted.mlp / "predictions.parquet")


def _patches() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for patient in range(PATIENTS):
        hot = 1.0 if patient >= PATIENTS // 2 else -1.0
        for core in range(CORES):
            image = f"P{patient}_{core}"
            for row, col in np.ndindex(SIDE, SIDE):
                field = rng.normal(size=len(PREDICTORS)) + hot * np.array([0.7, -0.7, 0, 0, 0])
                means = 0.5 * np.exp(0.5 * field)
                chance = 1 / (1 + np.exp(-2 * (field[0] - field[1] - 1)))
                rows.append(
                    {
                        "item": f"{image}:{row}:{col}",
                        "subject": f"P{patient}",
                        "image": image,
                        "row": row,
                        "col": col,
                        "label": int(rng.random() < chance),
                        "tissue": 1.0,
                        "tumour": 0.2 if col == 0 else 0.9,
                        **dict(zip([f"mean_{n}" for n in PREDICTORS], means, strict=True)),
                    }
                )
    return pd.DataFrame(rows)


def _decoys(patches: pd.DataFrame, seeds: int) -> pd.DataFrame:
    means = [f"mean_{name}" for name in PREDICTORS]
    parts = [
        patches[["item"]].assign(
            seed=seed,
            donor="",
            orientation=-1,
            erased_um2=0.0,
            components=0,
            # what a decoy hides moves a mean a little
            **{name: patches[name] * (1 + 0.01 * seed) for name in means},
        )
        for seed in range(seeds)
    ]
    return pd.concat(parts, ignore_index=True)


def _split(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the patients of each seed to splits, hot and cold ones to each."""
    patient = rows["subject"].str[1:].astype(int)
    turn = (patient + rows["seed"]) % (PATIENTS // 2)
    return rows.assign(split=turn.map({0: "test", 1: "validation"}).fillna("train"))
