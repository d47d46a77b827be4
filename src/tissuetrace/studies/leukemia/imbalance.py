"""Compare ways to meet the imbalance of classes, on unseen subjects of the one split.

Whatever is resampled are rows of the training split, after the split was made.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.files import write_table
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import stage, tolerance
from tissuetrace.studies.leukemia.items import ADMISSION, ASKED, predicted, read_items
from tissuetrace.studies.leukemia.strategies import Imbalance, fit_by
from tissuetrace.studies.leukemia.train_cnn import (
    Cnn,
    cache_pixels,
    labels_of,
    recipe_of,
    rows_of,
)
from tissuetrace.studies.leukemia.train_forest import Forest, with_features

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.learn.imbalance import Strategy

__all__ = ["FOCAL", "imbalance"]

SCHEME = "subject"
FOCAL = "cnn_focal"


@stage(
    reads={
        "features": "data/leukemia/featurize/features.parquet",
        "images": "data/leukemia/fetch/images",
        "table": "data/leukemia/ingest/table.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "groups": "data/leukemia/split/groups.parquet",
    },
    writes={
        "strategies": tolerance(
            "data/leukemia/imbalance/strategies.parquet",
            "Predictions of every strategy against imbalance, on cells that did not train it",
            within=1e-3,
            columns={
                "item": "string: name of the cell",
                "subject": "string: as the name says",
                "group": "int64: linked subjects",
                "image": "int64: number of the image that the cell was cut from",
                "split": "string: validation, test or prelim",
                "scheme": "string: always subject",
                "model": "string: forest (boosted stumps for easy_ensemble), or cnn",
                "seed": "int64: of resampling and training",
                "label": "int64: 1 leukemic (ALL), 0 normal",
                "probability": "double: of ALL, 0 to 1",
                "strategy": "string: none, balanced, cost, smote, undersampling, "
                "balanced_forest, easy_ensemble or cnn_focal",
            },
        )
    },
    params={"params": Imbalance, "forest": Forest, "cnn": Cnn},
    gate=ADMISSION,
    resumes=True,
)
def imbalance(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    features: Path,
    images: Path,
    table: Path,
    splits: Path,
    groups: Path,
    admission: Path,
    strategies: Path,
    params: Imbalance,
    forest: Forest,
    cnn: Cnn,
    resume: Path,
) -> None:
    """Fit the forests' strategies beside the network's focal loss, which takes longest."""
    import pandas as pd

    from tissuetrace.learn.imbalance import STRATEGIES

    del admission  # the spine compared it with the inputs before this began
    items = read_items(table=table, splits=splits, groups=groups, scheme=SCHEME)
    measured, names = with_features(items, features)
    pixels = cache_pixels(images, table, side_px=cnn.input_px, folder=resume)
    network = _NetworkJob(items=items, pixels=pixels, params=params, cnn=cnn, resume=resume)
    forests = [
        _ForestJob(items=measured, names=names, strategy=strategy, params=params, forest=forest)
        for strategy in STRATEGIES
    ]
    # the longest first, so that the others run beside it
    jobs: list[_ForestJob | _NetworkJob] = [network, *forests]
    focal, *judged = parallel_map(_judge, jobs, title="strategies")
    write_table(pd.concat([*judged, focal], ignore_index=True), strategies)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ForestJob:
    items: "pd.DataFrame"
    names: list[str]
    strategy: "Strategy"
    params: Imbalance
    forest: Forest


@dataclass(frozen=True, slots=True, kw_only=True)
class _NetworkJob:
    items: "pd.DataFrame"
    pixels: Path
    params: Imbalance
    cnn: Cnn
    resume: Path


def _judge(job: _ForestJob | _NetworkJob) -> "pd.DataFrame":
    return _judge_by_network(job) if isinstance(job, _NetworkJob) else _judge_by_forest(job)


def _judge_by_forest(job: _ForestJob) -> "pd.DataFrame":
    from tissuetrace.learn.forests import positive_probability

    training = job.items[job.items["split"] == "train"]
    asked = job.items[job.items["split"].isin(ASKED)]
    fit = fit_by(job.strategy, forest=job.forest, imbalance=job.params)
    model = fit(training[job.names].to_numpy(), training["label"].to_numpy())
    probability = positive_probability(model, asked[job.names].to_numpy())
    found = predicted(asked, probability, model="forest", seed=job.params.seed)
    return found.assign(strategy=job.strategy)


def _judge_by_network(job: _NetworkJob) -> "pd.DataFrame":
    import numpy as np

    from tissuetrace.learn.cell_training import probabilities, train_classifier
    from tissuetrace.learn.losses import FocalLoss

    training = job.items[job.items["split"] == "train"]
    majority = int(training["label"].mean() >= 0.5)  # noqa: PLR2004  # more of class 1 than of 0
    loss = FocalLoss(gamma=job.params.gamma, alpha=job.params.alpha, majority=majority)
    images = np.load(job.pixels, mmap_mode="r")
    classifier, _ = train_classifier(
        images,
        labels_of(job.items, len(images)),
        rows=rows_of(job.items),
        recipe=replace(recipe_of(job.cnn), loss=loss),
        seed=job.params.seed,
        device=machine.device(),
        resume=job.resume / FOCAL,
    )
    asked = job.items[job.items["split"].isin(ASKED)]
    answers = probabilities(classifier, images, asked["row"].to_numpy(), device=machine.device())
    found = predicted(asked, answers, model="cnn", seed=job.params.seed)
    return found.assign(strategy=FOCAL)
