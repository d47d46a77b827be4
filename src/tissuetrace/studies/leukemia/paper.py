"""The published numbers, as plain data, each with where it stands in the paper.

Swastika, Prilianti, Irawan & Setiawan, "Comparative analysis of random forest and deep learning
approaches for automated acute lymphoblastic leukemia detection using morphological and textural
features", Kursor 13 (1), doi 10.21107/kursor.v13i1.427.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ANCHORS",
    "CITATION",
    "COLLECTION",
    "CONFIDENCES",
    "CONFUSIONS",
    "CONTRADICTIONS",
    "IMPORTANCES",
    "QUOTED",
    "Confusion",
    "Contradiction",
    "Quoted",
    "confusion_of",
    "quoted",
]

CITATION = "Swastika, Prilianti, Irawan & Setiawan, Kursor 13 (1), doi 10.21107/kursor.v13i1.427"


# To be cited where an image of the collection is shown.
COLLECTION = (
    "C-NMC 2019, Gupta A., Gupta R. and others (SBILab, IIIT-Delhi and AIIMS New Delhi), The "
    "Cancer Imaging Archive, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A confusion table; ALL (blast) is positive.

    Args:
        model: forest or cnn.
        split: validation or test.
        tn: normal cells called normal.
        fp: normal cells called ALL.
        fn: ALL cells called normal.
        tp: ALL cells called ALL.
        place: where it stands.
        state: as printed, or made to agree with the text (contradiction 1).
    """

    model: str
    split: str
    tn: int
    fp: int
    fn: int
    tp: int
    place: str
    state: Literal["printed", "reconstructed"]

    @property
    def items(self) -> int:
        """Sum of the four cells."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def accuracy(self) -> float:
        """Share of cells called right, 0 to 1."""
        return (self.tn + self.tp) / self.items

    @property
    def sensitivity(self) -> float:
        """Share of ALL cells called ALL, 0 to 1."""
        return self.tp / (self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of normal cells called normal, 0 to 1."""
        return self.tn / (self.tn + self.fp)

    @property
    def precision(self) -> float:
        """Share of cells called ALL that are, 0 to 1."""
        return self.tp / (self.tp + self.fp)

    @property
    def precision_normal(self) -> float:
        """Share of cells called normal that are, 0 to 1."""
        return self.tn / (self.tn + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """Share of normal cells called ALL, 0 to 1."""
        return self.fp / (self.tn + self.fp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """One number as quoted.

    Args:
        metric: named as our scores are.
        model: forest or cnn.
        split: validation or test.
        value: share, 0 to 1.
        place: where it stands.
    """

    metric: str
    model: str
    split: str
    value: float
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A place where the paper contradicts itself or its data.

    Args:
        title: what is meant, in a few words.
        printed: what the paper says, and where.
        other: what stands against it.
        consequence: what follows, or which of the two is printed here.
    """

    title: str
    printed: str
    other: str
    consequence: str


CONFUSIONS = (
    Confusion(
        model="forest",
        split="validation",
        tn=342,
        fp=166,
        fn=62,
        tp=1029,
        place="Table 2",
        state="printed",
    ),
    Confusion(
        model="forest",
        split="test",
        tn=335,
        fp=174,
        fn=72,
        tp=1019,
        place="Table 3",
        state="printed",
    ),
    Confusion(
        model="cnn",
        split="test",
        tn=369,
        fp=174,
        fn=68,
        tp=1203,
        place="Table 4",
        state="printed",
    ),
    Confusion(
        model="cnn",
        split="test",
        tn=369,
        fp=140,
        fn=68,
        tp=1023,
        place="Table 4 with the text",
        state="reconstructed",
    ),
)

QUOTED = (
    Quoted(metric="accuracy", model="forest", split="validation", value=0.86, place="text"),
    Quoted(metric="accuracy", model="forest", split="test", value=0.85, place="abstract, text"),
    Quoted(metric="accuracy", model="cnn", split="test", value=0.870, place="abstract, text"),
    Quoted(metric="precision_normal", model="forest", split="validation", value=0.85, place="text"),
    Quoted(metric="precision", model="forest", split="validation", value=0.86, place="text"),
    Quoted(metric="precision_normal", model="forest", split="test", value=0.82, place="text"),
    Quoted(metric="precision", model="forest", split="test", value=0.85, place="text"),
    Quoted(metric="specificity", model="forest", split="validation", value=0.67, place="text"),
    Quoted(metric="sensitivity", model="forest", split="validation", value=0.94, place="text"),
    Quoted(metric="specificity", model="forest", split="test", value=0.66, place="text"),
    Quoted(metric="sensitivity", model="forest", split="test", value=0.93, place="abstract, text"),
    Quoted(metric="sensitivity", model="cnn", split="test", value=0.938, place="text"),
    Quoted(
        metric="false_positive_rate",
        model="forest",
        split="test",
        value=0.3576,
        place="abstract, text",
    ),
    Quoted(
        metric="false_positive_rate",
        model="cnn",
        split="test",
        value=0.2750,
        place="abstract, text",
    ),
)

# Mean decrease in impurity, percent of the whole: the ten that are printed (Table 1). The other
# five share 22.78.
IMPORTANCES = {
    "area": 11.03,
    "skewness": 10.73,
    "glcm_energy": 10.68,
    "perimeter": 8.70,
    "glcm_homogeneity": 7.98,
    "mean": 6.69,
    "std": 6.06,
    "glcm_dissimilarity": 5.17,
    "sobel_mean": 5.13,
    "aspect_ratio": 5.05,
}

# Probability of the wrong class among misclassified cells, as quoted in the text.
CONFIDENCES = {"false_positive": (0.61, 0.77), "false_negative": (0.63, 0.79)}

ANCHORS = (
    "What others reached on subjects that were never seen, as weighted F1: the winner of the "
    "C-NMC challenge 91.04 % on the final set and 92.50 % on the preliminary one (Pan and others, "
    "neighbourhood correction), Prellberg & Kramer 88.91 %."
)

CONTRADICTIONS = (
    Contradiction(
        title="Confusion table of the CNN",
        printed="Table 4: 369 / 174 / 68 / 1,203, which sums to 1,814 with rows of 543 and 1,271",
        other="1,600 test cells, 509 normal and 1,091 ALL; the text has TN 369 and TP 1,023",
        consequence="FP 140 and FN 68 follow: accuracy 87.0 %, recall 93.77 %, FPR 27.50 %, all as "
        "quoted. The 174 repeats the forest's cell, 1,203 is 1,023 misprinted; as printed the "
        "accuracy is 86.66 % and the FPR 32.04 %. Printed here: 369 / 140 / 68 / 1,023, marked "
        "reconstructed.",
    ),
    Contradiction(
        title="False-positive rate of the forest",
        printed="35.76 % (abstract, text), which is 182 of 509",
        other="Table 3: 174 of 509, which is 34.18 %",
        consequence="Both are printed. With the next point it fits two different forests.",
    ),
    Contradiction(
        title="Importance of the features",
        printed="area 10.71, energy 10.67, skewness 10.50 % (abstract, conclusion)",
        other="area 11.03, skewness 10.73, energy 10.68 % (text, Table 1): another order",
        consequence="We compare with Table 1, which has ten features.",
    ),
    Contradiction(
        title="Accuracy of the forest on test",
        printed='85 %, once "remained stable at 86 % versus 85 %"',
        other="Tables 2 and 3: 85.74 % on validation, 84.63 % on test",
        consequence="We compare with the tables.",
    ),
    Contradiction(
        title="Counts called rates",
        printed="166 and 174 as false-positive rates (text)",
        other="They are counts of cells in Tables 2 and 3",
        consequence="As rates they are 32.68 % and 34.18 %.",
    ),
    Contradiction(
        title="Size of the collection",
        printed="15,135 images (text)",
        other="The published collection holds 15,114",
        consequence="The 10,661 training images that were used agree.",
    ),
    Contradiction(
        title="Superiority of the CNN",
        printed="87.0 % against 84.6 % on 1,600 cells is called superior",
        other="Unpaired z = 1.93, p = 0.054, before any clustering of cells by subject",
        consequence="Without paired data it is not shown.",
    ),
    Contradiction(
        title="Augmentation for the forest",
        printed="Rotation, shift and flip are claimed for both models",
        other="A forest on 15 measured features takes no images",
        consequence="Augmentation is used for the CNN only.",
    ),
)


def confusion_of(model: str, split: str) -> Confusion:
    """Return the confusion table that ours is compared with: reconstructed where one is.

    Raises:
        KeyError: the paper has none.
    """
    found = [table for table in CONFUSIONS if (table.model, table.split) == (model, split)]
    if not found:
        raise KeyError(f"the paper has no confusion table of {model} on {split}")
    return found[-1]


def quoted(metric: str, model: str, split: str) -> Quoted | None:
    """Return a number as the paper quotes it, or nothing where it quotes none."""
    wanted = (metric, model, split)
    return next((one for one in QUOTED if (one.metric, one.model, one.split) == wanted), None)
