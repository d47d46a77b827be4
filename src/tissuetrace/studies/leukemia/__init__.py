"""Random forest against CNN on single blood cells (C-NMC)."""

from tissuetrace.pipeline.stage import Study

__all__ = ["STUDY"]

STUDY = Study(
    title="Leukemic blast or normal precursor? Random forest against CNN",
    question="Which of the two tells blasts from normal cells better, and at which false-alarm cost?",
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
)
