"""Random forest against CNN on single blood cells (C-NMC)."""

from collections.abc import Mapping
from typing import Any

from tissuetrace.pipeline.stage import Headline, Needs, Plot, Study

__all__ = ["STUDY"]


def _needs(params: Mapping[str, Any], files: int, size: int) -> Needs:
    """Images and their copy in the cache; a worker holds all resized images and a network."""
    phantom = params["phantom"]
    drawn = (phantom["subjects_all"] + phantom["subjects_hem"]) * phantom["cells"]
    count = files or drawn
    pixels = size or drawn * 3 * phantom["size_px"] ** 2
    resized = 3 * count * params["cnn"]["input_px"] ** 2
    return Needs(disk=2 * pixels + (200 << 20), memory_per_worker=(1 << 30) + 6 * resized)


def _on_unseen(*models: str, ending: str = "") -> tuple[str, ...]:
    return tuple(f"{model}_subject{ending}" for model in models)


EVALUATE = "data/leukemia/evaluate"
MODELS = ("forest", "cnn", "hybrid")
PLOTS = (
    Plot(
        name="roc",
        x="false_positive_rate",
        y={f"{EVALUATE}/roc.csv": _on_unseen(*MODELS)},
        title="ROC on unseen subjects",
        x_label="false-positive rate",
        y_label="sensitivity",
    ),
    Plot(
        name="leakage",
        x="false_positive_rate",
        y={
            f"{EVALUATE}/roc.csv": ("forest_subject", "forest_image", "cnn_subject", "cnn_image"),
        },
        title="ROC: unseen subjects against a random split",
        x_label="false-positive rate",
        y_label="sensitivity",
    ),
    Plot(
        name="precision_recall",
        x="recall",
        y={f"{EVALUATE}/precision_recall.csv": _on_unseen(*MODELS)},
        title="Precision and recall on unseen subjects",
        x_label="recall of ALL",
        y_label="precision of ALL",
    ),
    Plot(
        name="calibration",
        x="bin",
        y={f"{EVALUATE}/calibration.csv": _on_unseen(*MODELS, ending="_excess")},
        title="Calibration: observed less predicted share (0 is calibrated)",
        x_label="tenth of the cells by probability",
        y_label="observed less predicted share of ALL",
    ),
    Plot(
        name="referral",
        x="threshold",
        y={
            f"{EVALUATE}/referral.csv": (
                *_on_unseen("forest", "cnn", ending="_kept"),
                *_on_unseen("forest", "cnn", ending="_false_positive_rate"),
            )
        },
        title="Referral of unsure cells",
        x_label="certainty asked for",
        y_label="share",
    ),
    *(
        Plot(
            name=f"confusion_{model}",
            x="actual",
            y={f"{EVALUATE}/confusion.csv": (model,)},
            title=f"{model} on unseen subjects",
            x_label="actual",
            y_label="called",
            template="confusion",
        )
        for model in MODELS
    ),
)

HEADLINE = (
    Headline("forest_auc", "AUC, random forest", ""),
    Headline("cnn_auc", "AUC, CNN", ""),
    Headline("hybrid_auc", "AUC, hybrid", ""),
    Headline("cnn_minus_forest_auc", "AUC, CNN less forest", ""),
    Headline("forest_accuracy", "accuracy, random forest", "0.846, random by image"),
    Headline("cnn_accuracy", "accuracy, CNN", "0.870, random by image"),
    Headline(
        "forest_false_positive_rate",
        "false-positive rate, random forest",
        "0.342 or 0.358, random by image",
    ),
    Headline("cnn_false_positive_rate", "false-positive rate, CNN", "0.275, random by image"),
)

STUDY = Study(
    title="Leukemic blast or normal precursor? Random forest against CNN",
    question="Which of the two tells blasts from normal cells better, at which false-alarm cost?",
    citation=(
        "Swastika, Prilianti, Irawan, Setiawan: Comparative analysis of random forest and deep "
        "learning approaches for automated acute lymphoblastic leukemia detection using "
        "morphological and textural features"
    ),
    stages=(
        "fetch",
        "ingest",
        "split",
        "featurize",
        "validate",
        "admit",
        "train_forest",
        "train_cnn",
        "train_hybrid",
        "folds",
        "explain",
        "imbalance",
        "evaluate",
        "report",
    ),
    needs=_needs,
    plots=PLOTS,
    headline=HEADLINE,
)
