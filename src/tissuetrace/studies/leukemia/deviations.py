"""Every place where we do otherwise than the paper, or choose where it is silent."""

import pandas as pd

from tissuetrace.report.tables import Table, text
from tissuetrace.studies.leukemia.outcome import Outcome, strategy_label
from tissuetrace.studies.leukemia.robustness import strategy_names

__all__ = ["deviation_table"]

_Row = tuple[str, str, str, str]  # what, the paper's, ours, where it is set

_BLOCKS = {
    "relu_norm": "convolution, ReLU, batch normalisation, pooling",
    "norm_relu": "convolution, batch normalisation, ReLU, pooling",
}
_MASKS = {
    "above_zero": "gray above 0, largest outline, holes filled",
    "otsu": "gray above Otsu's threshold, largest outline, holes filled",
}
_HYBRIDS = {
    "mean": "our addition: mean of the two probabilities",
    "concat": "our addition: forest on the features and the CNN's embedding; the embeddings made "
    "out of fold are rotated onto the final network's by orthogonal Procrustes on the validation "
    "images",
}


def deviation_table(outcome: Outcome) -> Table:
    """Return one row for each, with what the paper says and where ours is set."""
    rows = [*_of_data(outcome), *_of_features(outcome), *_of_models(outcome), *_of_scores(outcome)]
    columns = ["what", "paper", "here", "setting"]
    return Table(
        name="deviations",
        title="What we do otherwise, or chose where the paper is silent",
        caption=(
            "What has a name in the last column can be changed under it in params.yaml. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=tuple(text(column, column) for column in columns),
    )


def _of_data(outcome: Outcome) -> list[_Row]:
    split = outcome.settings.split
    images = "a phantom's images" if outcome.is_phantom else f"{outcome.origin['files']:,} files"
    both = "both; the headline is by groups of subjects"
    shares = " / ".join(f"{100 * share:g}" for share in split.fractions)
    linked = {
        "pixels": "names that share an image become one group: equal pixels, or thumbnails that "
        f"correlate by {split.near:g} or more and areas that agree",
        "off": f"every name is a group of its own; pairs (from {split.near:g}) are only counted",
    }[split.link]
    return [
        ("images", "10,661 training images of C-NMC 2019", images, "tissuetrace source"),
        ("unit of the split", "random by image", both, ""),
        (
            "shares of training, validation, test",
            "70 / 15 / 15 %",
            f"{shares} %, seed {split.seed}",
            "leukemia.split",
        ),
        ("subjects", "not used", linked, "leukemia.split.link, .near"),
    ]


def _of_features(outcome: Outcome) -> list[_Row]:
    chosen, glcm = outcome.settings.featurize, outcome.settings.featurize.glcm
    reading = f"{chosen.reading}; the other reading stands beside"
    blur = "none" if chosen.blur == 0 else f"Gaussian {chosen.blur}x{chosen.blur}"
    counted = "counted in both directions" if glcm.symmetric else "counted in one direction"
    pairs = (
        f"distances {_listed(glcm.distances)}, angles {_listed(glcm.angles)}, {glcm.levels} "
        f"levels, {counted}, mean over the angles"
    )
    edges = (
        f"{_listed(chosen.canny)} over the image, {_listed(chosen.canny_cell)} over the cell alone"
    )
    section = "leukemia.featurize"
    return [
        ("texture, intensity, edges over", "not said", reading, f"{section}.reading"),
        ("noise reduction", "named, not described", blur, f"{section}.blur"),
        ("mask of the cell", "not said", _MASKS[chosen.mask], f"{section}.mask"),
        ("co-occurrence matrix", "not said", pairs, f"{section}.glcm"),
        ("aspect ratio", "not said", f"of the {chosen.aspect_ratio}", f"{section}.aspect_ratio"),
        ("thresholds of Canny's edges", "not said", edges, f"{section}.canny, .canny_cell"),
    ]


def _of_models(outcome: Outcome) -> list[_Row]:
    settings = outcome.settings
    cnn, forest = settings.cnn, settings.forest
    trees = (
        f"{forest.trees} trees, {forest.class_weight} class weights, {_seeds(len(forest.seeds))}"
    )
    training = (
        f"{cnn.input_px} px, at most {cnn.epochs} epochs of batches of {cnn.batch}, stopped after "
        f"{cnn.patience} without a better validation loss, {_seeds(len(cnn.seeds))}"
    )
    claimed = "rotation, shift, flip; sizes not said; claimed for both models"
    augmentation = f"±{cnn.rotate_deg:g} degrees, ±{100 * cnn.shift:g} %, flip {cnn.flip}; CNN only"
    standardised = "by mean and standard deviation of the training images' channels"
    tried = [strategy_label(name) for name in strategy_names(outcome)]
    hybrid = _HYBRIDS[settings.hybrid.combine]
    return [
        ("forest", "one training", trees, "leukemia.forest"),
        ("CNN", "size, epochs, batch, stopping not said", training, "leukemia.cnn"),
        ("block of the CNN", _BLOCKS["relu_norm"], _BLOCKS[cnn.block], "leukemia.cnn.block"),
        (
            "optimiser of the CNN",
            "not said",
            f"Adam, learning rate {cnn.lr:g}",
            "leukemia.cnn.lr",
        ),
        ("standardisation of the CNN's input", "not said", standardised, ""),
        ("class weighting of the CNN", "none stated", "none", ""),
        ("augmentation", claimed, augmentation, "leukemia.cnn"),
        (
            "treatments of the imbalance",
            "none compared",
            f"our addition: {'; '.join(tried)}",
            "leukemia.imbalance",
        ),
        ("hybrid of both models", "named as future work", hybrid, "leukemia.hybrid.combine"),
    ]


def _of_scores(outcome: Outcome) -> list[_Row]:
    chosen = outcome.settings.evaluate
    draws = f"95 %, groups resampled {chosen.bootstrap} times"
    thresholds = f"0.5, and one that keeps {100 * chosen.sensitivity:g} % sensitivity on validation"
    return [
        ("intervals", "none", draws, "leukemia.evaluate.bootstrap"),
        ("threshold", "0.5", thresholds, "leukemia.evaluate.sensitivity"),
    ]


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
