"""Score every model on subjects it has not seen, with intervals over linked subjects."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

from tissuetrace.pipeline.files import read_json, read_table, write_json, write_table
from tissuetrace.pipeline.stage import exact, metrics, stage, tolerance
from tissuetrace.studies.leukemia.featurize import Featurize
from tissuetrace.studies.leukemia.folds import Folds
from tissuetrace.studies.leukemia.phantom import Phantom
from tissuetrace.studies.leukemia.train_forest import Forest

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.stats.recovery import Bound

__all__ = ["Evaluate", "evaluate"]

HOME = "data/leukemia/evaluate"
WITHIN = 1e-3  # of a network's predictions on another machine

PREDICTION_COLUMNS = {
    "item": "string: cell, name of its image",
    "subject": "string: as the file names it",
    "group": "int64: linked subjects; below 0 where unknown",
    "image": "int64: number of the field the cell was cut from",
    "split": "string: validation, test or prelim",
    "scheme": "string: items split at random (image) or by group (subject)",
    "model": "string: forest, cnn or hybrid",
    "seed": "int64: of the training",
    "label": "int64: 1 ALL, 0 normal",
    "probability": "double: of ALL",
}
SUBJECT_COLUMNS = {
    "source": "string: test (three models, one split) or folds (forest, out of fold)",
    "scheme": "string: image or subject",
    "model": "string: forest, cnn, hybrid or area",
    "group": "int64: linked subjects",
    "label": "int64: 1 ALL, 0 normal",
    "items": "int64: cells of the group that were scored",
    "accuracy": "double: share of them called right",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """How intervals and the second threshold are made."""

    bootstrap: Annotated[int, Ge(2)]  # draws of groups
    seed: Annotated[int, Ge(0)]
    sensitivity: Annotated[float, Gt(0), Le(1)]  # that the second threshold keeps on validation


@stage(
    reads={
        "forest_image": "data/leukemia/train_forest/image",
        "forest_subject": "data/leukemia/train_forest/subject",
        "cnn_image": "data/leukemia/train_cnn/image",
        "cnn_subject": "data/leukemia/train_cnn/subject",
        "hybrid_image": "data/leukemia/train_hybrid/image",
        "hybrid_subject": "data/leukemia/train_hybrid/subject",
        "out_of_fold": "data/leukemia/folds/folds.parquet",
        "strategies": "data/leukemia/imbalance/strategies.parquet",
        "origin": "data/leukemia/fetch/source.json",
        "truth": "data/leukemia/fetch/truth.parquet",
        "features": "data/leukemia/featurize/features.parquet",
        "features_other": "data/leukemia/featurize/features_other.parquet",
        "groups": "data/leukemia/split/groups.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "pairs": "data/leukemia/split/pairs.parquet",
    },
    writes={
        "predictions": tolerance(
            f"{HOME}/predictions.parquet",
            "Predictions of the three models under both schemes, one row a cell and seed",
            within=WITHIN,
            columns=PREDICTION_COLUMNS,
        ),
        "scores": tolerance(
            f"{HOME}/scores.parquet",
            "Every measure of every model with its interval over groups, one row a number",
            within=WITHIN,
            columns={
                "source": "string: test, validation, prelim, strategies, folds_image, folds_cell",
                "scheme": "string: image, subject; both where a gap is scored",
                "model": "string: a model, model:strategy, or first-second where compared",
                "metric": "string: the measure; endings are explained in scores.py",
                "value": "double: of the first seed's model; mean for _over_seeds",
                "low": "double: lower end of the 95 % interval; lowest seed for _over_seeds",
                "high": "double: its upper end; highest seed for _over_seeds",
                "se": "double: standard error over groups; standard deviation for _over_seeds",
                "groups": "int64: groups resampled; seeds for _over_seeds; 0 without interval",
                "items": "int64: cells scored",
            },
        ),
        "subjects": tolerance(
            f"{HOME}/subjects.parquet",
            "Accuracy within each group of linked subjects",
            within=WITHIN,
            columns=SUBJECT_COLUMNS,
        ),
        "recovered": exact(
            f"{HOME}/recovery.parquet",
            "What a phantom's known answer demands and what was found; no row on real images",
            columns={
                "key": "string: what was recovered",
                "about": "string: the same in words",
                "found": "double: on this phantom",
                "low": "double: smallest value that passes",
                "high": "double: largest value that passes",
                "passed": "bool: whether it lies between them",
            },
        ),
        "roc": tolerance(
            f"{HOME}/roc.csv",
            "Sensitivity on test at 101 false-positive rates, a column a model and scheme",
            within=WITHIN,
        ),
        "precision_recall": tolerance(
            f"{HOME}/precision_recall.csv",
            "Precision on test at 100 recalls, a column a model and scheme",
            within=WITHIN,
        ),
        "calibration": tolerance(
            f"{HOME}/calibration.csv",
            "Predicted and observed share of ALL on test in bins of equal count",
            within=WITHIN,
        ),
        "confusion": exact(
            f"{HOME}/confusion.csv",
            "Actual and called class on test, subject scheme, a row an item, sorted",
        ),
        "referral": tolerance(
            f"{HOME}/referral.csv",
            "Share kept and errors on test when unsure cells are referred, by threshold",
            within=WITHIN,
        ),
        "headline": metrics(
            "metrics/leukemia/headline.json", "The lane's numbers on unseen subjects", within=WITHIN
        ),
        "recovery": metrics(
            "metrics/leukemia/recovery.json",
            "Leakage and duplicates; on a phantom also how well its known answer is recovered",
            within=WITHIN,
        ),
    },
    params={
        "params": Evaluate,
        "featurize": Featurize,
        "folds": Folds,
        "forest": Forest,
        "phantom": Phantom,
    },
)
def evaluate(  # noqa: PLR0913  # every input and output of the declaration
    *,
    forest_image: Path,
    forest_subject: Path,
    cnn_image: Path,
    cnn_subject: Path,
    hybrid_image: Path,
    hybrid_subject: Path,
    out_of_fold: Path,
    strategies: Path,
    origin: Path,
    truth: Path,
    features: Path,
    features_other: Path,
    groups: Path,
    splits: Path,
    pairs: Path,
    predictions: Path,
    scores: Path,
    subjects: Path,
    recovered: Path,
    roc: Path,
    precision_recall: Path,
    calibration: Path,
    confusion: Path,
    referral: Path,
    headline: Path,
    recovery: Path,
    params: Evaluate,
    featurize: Featurize,
    folds: Folds,
    forest: Forest,
    phantom: Phantom,
) -> None:
    """Join the predictions, score them, thin their curves, and hold a phantom to its answer."""
    from tissuetrace.studies.leukemia import headline as kept
    from tissuetrace.studies.leukemia import scores as scoring
    from tissuetrace.studies.leukemia.curves import confusion_items, write_curve
    from tissuetrace.studies.leukemia.unseen import trained_groups

    folders = [forest_subject, cnn_subject, hybrid_subject, forest_image, cnn_image, hybrid_image]
    joined, judged_by_fold, divided = _joined(folders), read_table(out_of_fold), read_table(splits)
    trained = trained_groups(divided, read_table(features), read_table(groups))
    scored = _scored(joined, judged_by_fold, read_table(strategies), params, trained=trained)
    test = scoring.kept_seed(joined[joined["split"] == "test"])
    by_group = _by_group(test, judged_by_fold, reading=featurize.reading)
    for table, path in ((joined, predictions), (scored, scores), (by_group, subjects)):
        write_table(table, path)
    _write_curves(test, roc, precision_recall, calibration=calibration, referral=referral)
    write_curve(confusion_items(test[test["scheme"] == "subject"]), confusion)
    write_json(kept.headline_numbers(scored), headline)

    in_cell_reading = features if featurize.reading == "cell" else features_other
    drawn = (truth, in_cell_reading, groups) if _is_phantom(origin) else None
    bounds = _bounds(phantom, folds, forest)
    numbers, verdicts = _recovered(scored, drawn, bounds=bounds, seed=params.seed)
    torn = kept.duplicates_across_image_splits(read_table(pairs), divided)
    write_json({**numbers, "duplicates_across_image_splits": float(torn)}, recovery)
    write_table(verdicts, recovered)


def _is_phantom(origin: Path) -> bool:
    return bool(read_json(origin)["kind"] == "phantom")


def _write_curves(
    test: "pd.DataFrame", roc: Path, precision_recall: Path, *, calibration: Path, referral: Path
) -> None:
    from tissuetrace.studies.leukemia import curves
    from tissuetrace.studies.leukemia.scores import CALIBRATION_BINS

    curves.write_curve(curves.roc_points(test), roc)
    curves.write_curve(curves.precision_recall_points(test), precision_recall)
    curves.write_curve(curves.calibration_points(test, bins=CALIBRATION_BINS), calibration)
    curves.write_curve(curves.referral_points(test), referral)


def _bounds(phantom: Phantom, folds: Folds, forest: Forest) -> "tuple[Bound, ...]":
    from tissuetrace.studies.leukemia.recovery import bounds_for

    return bounds_for(
        phantom.delta,
        folds=folds.folds,
        trees=forest.trees,
        subjects=(phantom.subjects_all, phantom.subjects_hem),
    )


def _joined(folders: "list[Path]") -> "pd.DataFrame":
    import pandas as pd

    columns = list(PREDICTION_COLUMNS)
    tables = [read_table(folder / "predictions.parquet", columns) for folder in folders]
    return pd.concat(tables, ignore_index=True)


def _scored(
    joined: "pd.DataFrame",
    folds: "pd.DataFrame",
    strategies: "pd.DataFrame",
    params: Evaluate,
    *,
    trained: "pd.DataFrame",
) -> "pd.DataFrame":
    import pandas as pd

    from tissuetrace.studies.leukemia.scores import (
        score_folds,
        score_predictions,
        score_strategies,
    )

    draws, seed, keep = params.bootstrap, params.seed, params.sensitivity
    parts = [
        score_predictions(joined, trained=trained, sensitivity=keep, draws=draws, seed=seed),
        score_folds(folds, draws=draws, seed=seed),
        score_strategies(strategies, joined, sensitivity=keep, draws=draws, seed=seed),
    ]
    return pd.concat(parts, ignore_index=True)


def _by_group(test: "pd.DataFrame", folds: "pd.DataFrame", *, reading: str) -> "pd.DataFrame":
    import pandas as pd

    from tissuetrace.studies.leukemia.scores import accuracy_by_group

    forest = folds[(folds["reading"] == reading) & (folds["model"] == "forest")]
    parts = {"test": accuracy_by_group(test), "folds": accuracy_by_group(forest)}
    named = [part.assign(source=source) for source, part in parts.items()]
    return pd.concat(named, ignore_index=True)[list(SUBJECT_COLUMNS)].astype({"source": "str"})


def _recovered(
    scored: "pd.DataFrame",
    drawn: tuple[Path, Path, Path] | None,
    *,
    bounds: "tuple[Bound, ...]",
    seed: int,
) -> "tuple[dict[str, float | None], pd.DataFrame]":
    """Return the numbers of recovery.json and each bound with its verdict."""
    from tissuetrace.stats.recovery import judge
    from tissuetrace.studies.leukemia.headline import against_truth, leakage_numbers, without_nan

    numbers = leakage_numbers(scored, reading="cell")
    if drawn is None:
        del numbers["forest_auc_by_image"]  # the one by group and the gap say it
        return without_nan(numbers), judge({}, ())
    truth, features, groups = map(read_table, drawn)
    numbers |= against_truth(truth, features, groups, seed=seed)
    judged = judge(numbers, bounds)
    # the AUC by image is that by group and the gap; the top feature counts among the passed
    del numbers["forest_auc_by_image"], numbers["top_is_size"]
    if len(judged):  # where no bounds are known, none passed and none failed
        numbers["bounds_passed"] = float(judged["passed"].sum())
    return without_nan(numbers), judged
