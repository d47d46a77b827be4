"""T-cell classifiers and counterfactual perturbations of tumours (imaging mass cytometry)."""

from collections.abc import Mapping
from typing import Any

from tissuetrace.pipeline.stage import Headline, Needs, Plot, Study

__all__ = ["STUDY"]


def _needs(params: Mapping[str, Any], files: int, size: int) -> Needs:
    """Images, their counts as float32 and the patches' pixels; a worker holds one core."""
    phantom = params["phantom"]
    drawn = phantom["patients"] * phantom["cores"] * len(params["cohorts"])
    channels = max(len(cohort["predictors"]) for cohort in params["cohorts"].values()) + 4
    core = round(phantom["diameter_um"] ** 2) * channels * 4
    core = max(core, size // files) if files else core
    pixels = size or drawn * core // 8
    return Needs(disk=6 * pixels + (200 << 20), memory_per_worker=(1 << 30) + 6 * core)


CURVES = "data/imc/evaluate/{cohorts}/curves.csv"
PLOTS = (
    Plot(
        name="roc",
        x="rate",
        y={CURVES: ("sensitivity_mlp_patient", "sensitivity_mlp_random")},
        title="ROC of the MLP: unseen patients and a random split",
        x_label="false-positive rate",
        y_label="sensitivity",
    ),
    Plot(
        name="precision_recall",
        x="rate",
        y={CURVES: ("precision_mlp_patient", "precision_mlp_random")},
        title="Precision and recall of the MLP: unseen patients and a random split",
        x_label="recall of patches with T cells",
        y_label="precision",
    ),
)

HEADLINE = (
    Headline("melanoma_auc", "AUC, melanoma, MLP", "0.92, split not named"),
    Headline("breast_auc", "AUC, breast, MLP", "0.94, split not named"),
    Headline("melanoma_mcc", "MCC at 0.5, melanoma, MLP", "0.53, threshold not named"),
    Headline("breast_mcc", "MCC at 0.5, breast, MLP", "0.47, threshold not named"),
    Headline("melanoma_found", "share of searches that found a change, melanoma", ""),
    Headline("melanoma_level_before", "infiltrated share of excluded tumours, melanoma", ""),
    Headline(
        "melanoma_level_after",
        "the same after the strategy, melanoma",
        "no share given, ten times the one before",
    ),
    Headline("breast_level_after", "the same after the strategy, breast", "not perturbed"),
)

STUDY = Study(
    title="Which molecules to raise or lower so that T cells come in?",
    question="Do chemokines around tell where T cells are, and which change would bring them in?",
    citation=(
        "Wang, Thomson: Generating counterfactual explanations of tumor spatial proteomes to "
        "discover effective, combinatorial therapies that enhance cancer immunotherapy"
    ),
    stages=(
        "fetch",
        "ingest",
        "patch",
        "split",
        "decoy",
        "probe",
        "validate",
        "admit",
        "train_mlp",
        "train_cnn",
        "evaluate",
        "perturb",
        "effect",
        "recover",
        "report",
    ),
    needs=_needs,
    plots=PLOTS,
    headline=HEADLINE,
)
