"""Random forest against CNN on single blood cells (C-NMC)."""

from collections.abc import Mapping
from typing import Any

from tissuetrace.pipeline.stage import Needs, Study

__all__ = ["STUDY"]


def _needs(params: Mapping[str, Any], files: int, size: int) -> Needs:
    """Images and their copy in the cache; a worker holds all resized images and a network."""
    phantom = params["phantom"]
    drawn = (phantom["subjects_all"] + phantom["subjects_hem"]) * phantom["cells"]
    count = files or drawn
    pixels = size or drawn * 3 * phantom["size_px"] ** 2
    resized = 3 * count * params["cnn"]["input_px"] ** 2
    return Needs(disk=2 * pixels + (200 << 20), memory_per_worker=(1 << 30) + 6 * resized)


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
)
