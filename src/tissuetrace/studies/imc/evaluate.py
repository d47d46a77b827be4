"""Score the classifiers on unseen patients and on random patches, over all retrainings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt, MinLen

from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.stage import stage, tolerance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCORE_COLUMNS", "SHARE_COLUMNS", "Evaluate", "evaluate"]

HOME = "data/imc/evaluate/{cohorts}"
TRAIN = "data/imc/train/{cohorts}"
WITHIN = 1e-3  # of a network's predictions on another machine

PREDICTION_COLUMNS = {
    "item": "string: patch, image:row:col",
    "subject": "string: patient",
    "image": "string: core",
    "split": "string: train, validation or test",
    "scheme": "string: patients kept together (patient) or patches drawn one by one (random)",
    "model": "string: mlp or cnn",
    "seed": "int64: of the retraining",
    "label": "int64: 1 T cells, 0 none",
    "probability": "double: of T cells",
}
SCORE_COLUMNS = {
    "model": "string: mlp or cnn",
    "scheme": "string: patient, random, or random-patient: the difference of the two",
    "split": "string: train, validation or test",
    "metric": "string: precision, recall, f1, auc, mcc, or mcc_bound = √(precision x recall)",
    "threshold": "double: probability from which a patch is called positive; 0 for auc",
    "value": "double: mean over retrainings, those left out that have no value",
    "low": "double: lower end of its 95 % interval (t, n-1 degrees of freedom)",
    "high": "double: upper end",
    "retrainings": "int64: that have a value",
    "undefined": "int64: retrainings without a value, as a precision where nothing is called",
    "first": "double: of the first retraining",
    "subject_low": "double: lower end of its 95 % interval over patients; on test alone",
    "subject_high": "double: upper end",
    "subjects": "int64: patients that it rests on; 0 without interval",
}
SHARE_COLUMNS = {
    "image": "string: core",
    "subject": "string: patient",
    "scheme": "string: patient or random",
    "model": "string: mlp or cnn",
    "actual": "double: share of the core's patches on test that are positive, 0 to 1",
    "predicted": "double: share of the same patches that are called positive at 0.5",
    "retrainings": "int64: in which the core has patches on test; both shares are their means",
    "patches": "int64: tested, over these retrainings",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """How scores and their intervals over patients are made.

    Args:
        thresholds: probabilities from which a patch is called positive.
        bootstrap: draws of patients.
        seed: of these draws.
    """

    thresholds: Annotated[tuple[Annotated[float, Gt(0), Lt(1)], ...], MinLen(1)]
    bootstrap: Annotated[int, Ge(2)]
    seed: Annotated[int, Ge(0)]


@stage(
    reads={
        "mlp_patient": f"{TRAIN}/mlp/patient",
        "mlp_random": f"{TRAIN}/mlp/random",
        "cnn_patient": f"{TRAIN}/cnn/patient",
        "cnn_random": f"{TRAIN}/cnn/random",
    },
    writes={
        "predictions": tolerance(
            f"{HOME}/predictions.parquet",
            "Predictions of both models under both schemes, one row a patch and retraining",
            within=WITHIN,
            columns=PREDICTION_COLUMNS,
        ),
        "scores": tolerance(
            f"{HOME}/scores.parquet",
            "Every measure with its interval over retrainings and over patients (Tables 1, 3)",
            within=WITHIN,
            columns=SCORE_COLUMNS,
        ),
        "curves": tolerance(
            f"{HOME}/curves.csv",
            "On test, means over retrainings: sensitivity at 100 false-positive rates and "
            "precision at 100 recalls, a column a model and scheme; empty where not trained",
            within=WITHIN,
        ),
        "cores": tolerance(
            f"{HOME}/cores.parquet",
            "Share of a core's patches that have T cells, true and predicted on test (Fig. 3B)",
            within=WITHIN,
            columns=SHARE_COLUMNS,
        ),
    },
    params=Evaluate,
    matrix="cohorts",
)
def evaluate(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    mlp_patient: Path,
    mlp_random: Path,
    cnn_patient: Path,
    cnn_random: Path,
    predictions: Path,
    scores: Path,
    curves: Path,
    cores: Path,
    params: Evaluate,
) -> None:
    """Join predictions and score them."""
    from tissuetrace.studies.imc.curves import curve_points
    from tissuetrace.studies.imc.scores import core_shares, score

    joined = _joined([mlp_patient, mlp_random, cnn_patient, cnn_random])
    write_table(joined, predictions)
    scored = score(joined, thresholds=params.thresholds, draws=params.bootstrap, seed=params.seed)
    write_table(scored, scores)
    points = curve_points(joined[joined["split"] == "test"])
    # six decimals, which two machines agree on
    points.to_csv(curves, index=False, float_format="%.6f", lineterminator="\n")
    write_table(core_shares(joined), cores)


def _joined(folders: "list[Path]") -> "pd.DataFrame":
    """Read all predictions; a folder that says why there is no model has none."""
    import pandas as pd

    trained = [folder for folder in folders if not (folder / "why.json").exists()]
    columns = list(PREDICTION_COLUMNS)
    tables = [read_table(folder / "predictions.parquet", columns) for folder in trained]
    return pd.concat(tables, ignore_index=True)
