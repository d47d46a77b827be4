"""Train the convolutional network on the images, under both schemes and every seed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen, MultipleOf

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.runs import write_run
from tissuetrace.pipeline.stage import stage, tolerance
from tissuetrace.studies.leukemia.items import ADMISSION, ASKED, SCHEMES, predicted, read_items

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray

    from tissuetrace.learn.cell_training import CellClassifier, Recipe, Rows

__all__ = [
    "ADMISSION",
    "THRESHOLD",
    "Cnn",
    "cache_pixels",
    "labels_of",
    "metrics_of",
    "recipe_of",
    "rows_of",
    "train_cnn",
]

THRESHOLD = 0.5  # a probability from here on is called a blast


@dataclass(frozen=True, slots=True, kw_only=True)
class Cnn:
    """How the network is built, trained and its images augmented."""

    input_px: Annotated[int, Ge(8), MultipleOf(8)]  # three poolings by 2
    epochs: Annotated[int, Ge(1)]
    batch: Annotated[int, Ge(1)]
    lr: Annotated[float, Gt(0)]
    patience: Annotated[int, Ge(1)]  # epochs without a better validation loss
    block: Literal["relu_norm", "norm_relu"]
    rotate_deg: Annotated[float, Ge(0), Le(180)]
    shift: Annotated[float, Ge(0), Le(0.5)]  # of the side
    flip: Literal["none", "horizontal"]
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]  # the first one's model is kept


ABOUT = (
    "network under the {} scheme: model.safetensors (first seed), card.json, history.parquet "
    "(seed, epoch, losses), run.json, predictions.parquet (validation, test, prelim; all seeds)"
)


@stage(
    reads={
        "images": "data/leukemia/fetch/images",
        "table": "data/leukemia/ingest/table.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "groups": "data/leukemia/split/groups.parquet",
    },
    writes={
        scheme: tolerance(
            f"data/leukemia/train_cnn/{scheme}",
            ABOUT.format(scheme),
            within=1e-3,
            records=("run.json",),
        )
        for scheme in SCHEMES
    },
    params={"cnn": Cnn},
    gate=ADMISSION,
    resumes=True,
)
def train_cnn(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    images: Path,
    table: Path,
    splits: Path,
    groups: Path,
    admission: Path,
    image: Path,
    subject: Path,
    cnn: Cnn,
    resume: Path,
) -> None:
    """Train side by side; write model, card, history, run and predictions of each scheme."""
    items = {
        scheme: read_items(table=table, splits=splits, groups=groups, scheme=scheme)
        for scheme in SCHEMES
    }
    pixels = cache_pixels(images, table, side_px=cnn.input_px, folder=resume)
    jobs = [
        _Job(items=items[scheme], pixels=pixels, cnn=cnn, seed=seed, resume=resume)
        for scheme in SCHEMES
        for seed in cnn.seeds
    ]
    trained = parallel_map(_train, jobs, title="train the network")
    inputs = {"images": images, "table": table, "splits": splits, "groups": groups}
    for scheme, folder in zip(SCHEMES, (image, subject), strict=True):
        mine = [done for job, done in zip(jobs, trained, strict=True) if job.scheme == scheme]
        _write_files(folder, items[scheme], mine, cnn)
        _write_run(folder, scheme, mine, cnn, inputs=inputs, admission=admission)


def cache_pixels(images: Path, table: Path, *, side_px: int, folder: Path) -> Path:
    """Decode every image of the table once, in its order, into a file that can be mapped."""
    from tissuetrace.imaging.resized import cache_images
    from tissuetrace.pipeline.files import read_table

    paths = [images / path for path in read_table(table, ["path"])["path"]]
    return cache_images(paths, side_px=side_px, folder=folder)


def recipe_of(cnn: Cnn) -> "Recipe":
    """Return the section of `params.yaml` as the training takes it, with cross-entropy."""
    from tissuetrace.learn.augmentation import Augmentation
    from tissuetrace.learn.cell_training import Recipe
    from tissuetrace.learn.loop import Schedule
    from tissuetrace.learn.losses import CrossEntropy

    return Recipe(
        schedule=Schedule(epochs=cnn.epochs, lr=cnn.lr, patience=cnn.patience),
        batch=cnn.batch,
        block=cnn.block,
        augmentation=Augmentation(rotate_deg=cnn.rotate_deg, shift=cnn.shift, flip=cnn.flip),
        loss=CrossEntropy(),
    )


def rows_of(items: "pd.DataFrame") -> "Rows":
    """Return which positions of the image array train and which validate."""
    from tissuetrace.learn.cell_training import Rows

    return Rows(
        training=items.loc[items["split"] == "train", "row"].to_numpy(),
        validation=items.loc[items["split"] == "validation", "row"].to_numpy(),
    )


def labels_of(items: "pd.DataFrame", count: int) -> "ndarray":
    """Return a label for each position of the image array, 0 where no item asks for it."""
    import numpy as np

    labels = np.zeros(count, dtype=np.int64)
    labels[items["row"].to_numpy()] = items["label"].to_numpy()
    return labels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    items: "pd.DataFrame"
    pixels: Path
    cnn: Cnn
    seed: int
    resume: Path

    @property
    def scheme(self) -> str:
        return str(self.items["scheme"].iloc[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    seed: int
    classifier: "CellClassifier"
    history: list[dict[str, float]]
    predictions: "pd.DataFrame"


def _train(job: _Job) -> _Trained:
    import numpy as np

    from tissuetrace.learn.cell_training import probabilities, train_classifier
    from tissuetrace.pipeline.live import live_logger

    images = np.load(job.pixels, mmap_mode="r")
    classifier, history = train_classifier(
        images,
        labels_of(job.items, len(images)),
        rows=rows_of(job.items),
        recipe=recipe_of(job.cnn),
        seed=job.seed,
        device=machine.device(),
        resume=job.resume / f"{job.scheme}-{job.seed}",
        tell=live_logger("leukemia", f"cnn-{job.scheme}-seed-{job.seed}"),
    )
    asked = job.items[job.items["split"].isin(ASKED)]
    answers = probabilities(classifier, images, asked["row"].to_numpy(), device=machine.device())
    return _Trained(
        seed=job.seed,
        classifier=classifier,
        history=history,
        predictions=predicted(asked, answers, model="cnn", seed=job.seed),
    )


def _write_files(
    folder: Path, items: "pd.DataFrame", trained: Sequence[_Trained], cnn: Cnn
) -> None:
    import pandas as pd

    from tissuetrace.learn.cell_training import save_classifier

    first = trained[0]
    save_classifier(first.classifier, folder / "model.safetensors")
    write_json(_card(folder / "model.safetensors", items, first, cnn), folder / "card.json")
    history = [
        {"seed": done.seed, **epoch, "epoch": int(epoch["epoch"])}
        for done in trained
        for epoch in done.history
    ]
    write_table(pd.DataFrame(history), folder / "history.parquet")
    predictions = pd.concat([done.predictions for done in trained], ignore_index=True)
    write_table(predictions, folder / "predictions.parquet")


def _card(model: Path, items: "pd.DataFrame", first: _Trained, cnn: Cnn) -> dict[str, Any]:
    from tissuetrace.learn.cell_training import parameter_count

    training = items[items["split"] == "train"]
    best = min(first.history, key=lambda epoch: epoch["validation_loss"])
    return {
        "model": "cnn",
        "what": "probability that a segmented blood cell is a leukemic blast (ALL)",
        "not_for": "diagnosis: one centre, one stain, blasts against normal precursors",
        "scheme": str(items["scheme"].iloc[0]),
        "input": f"RGB, {cnn.input_px} x {cnn.input_px} px, resized by area, black background",
        "standard": asdict(first.classifier.standard),
        "parameters": parameter_count(first.classifier),
        "block": cnn.block,
        "seed": first.seed,
        "best_epoch": int(best["epoch"]),
        "threshold": THRESHOLD,
        "training": {
            "images": len(training),
            "blasts": int(training["label"].sum()),
            "subjects": int(training["subject"].nunique()),
        },
        "sha256": digest(model).sha256,
    }


def _write_run(
    folder: Path,
    scheme: str,
    trained: Sequence[_Trained],
    cnn: Cnn,
    *,
    inputs: dict[str, Path],
    admission: Path,
) -> None:
    first = trained[0]
    files = ["model.safetensors", "card.json", "history.parquet", "predictions.parquet"]
    write_run(
        folder / "run.json",
        study="leukemia",
        variant=f"cnn-{scheme}",
        parameters={"cnn": asdict(cnn), "scheme": scheme},
        metrics=metrics_of(first.predictions),
        history=first.history,
        inputs=inputs,
        files=[folder / name for name in files],
        admission=admission,
        children=[
            {
                "name": f"seed {done.seed}",
                "parameters": {"seed": done.seed},
                "metrics": metrics_of(done.predictions),
                "history": done.history,
            }
            for done in trained
        ],
    )


def metrics_of(predictions: "pd.DataFrame") -> dict[str, float]:
    """Return AUC and accuracy of validation and test, where both classes are there."""
    from tissuetrace.stats.classification import accuracy, auc

    found = {}
    for split in ("validation", "test"):
        rows = predictions[predictions["split"] == split]
        labels, answers = rows["label"].to_numpy(), rows["probability"].to_numpy()
        if rows["label"].nunique() == 2:  # noqa: PLR2004  # both classes
            found[f"{split}_auc"] = auc(labels, answers)
            found[f"{split}_accuracy"] = accuracy(labels, answers, threshold=THRESHOLD)
    return found
