"""The hybrid that lets a forest learn from the measured features and the network's embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.studies.leukemia.items import ASKED, SCHEMES, predicted, read_items
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
    from numpy import ndarray

    from tissuetrace.learn.embedding import EmbeddedFold, FoldTask
    from tissuetrace.learn.forests import Classifier

__all__ = ["Concatenated", "concatenate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenated:
    """A forest on features and embedding, and what it says.

    Args:
        items: the cells of the scheme.
        model: the forest of the first seed.
        features: names of the measured features, the first columns of the forest's input.
        embedding: `item, split` and the units, out of fold for training cells; with the features
            all that the forest reads.
        importance: mean decrease in impurity: of each feature, of all units as `embedding`, and
            of each unit in `units`; features and `embedding` add up to 1.
        predictions: a table for each seed of the forest.
    """

    items: "pd.DataFrame"
    model: "Classifier"
    features: list[str]
    embedding: "pd.DataFrame"
    importance: dict[str, Any]
    predictions: list["pd.DataFrame"]


def concatenate(
    *,
    cells: Mapping[str, Path],
    networks: Mapping[str, Path],
    cnn: Cnn,
    forest: Forest,
    folds: int,
    resume: Path,
) -> dict[str, Concatenated]:
    """Embed the training cells out of fold by group, then fit forests, for each scheme.

    Args:
        cells: `table, splits, groups, features` and the folder `images`.
        networks: the final network of each scheme.
        cnn: how the networks of the folds are trained, as the final one was.
        forest: the forest's settings.
        folds: by group, of the training cells.
        resume: folder of checkpoints.

    Raises:
        InputError: a class has fewer groups to train on than there are folds.
    """
    pixels = cache_pixels(cells["images"], cells["table"], side_px=cnn.input_px, folder=resume)
    places = {name: cells[name] for name in ("table", "splits", "groups")}
    items = {scheme: read_items(**places, scheme=scheme) for scheme in SCHEMES}
    tasks = [
        task
        for scheme in SCHEMES
        for task in _tasks(items[scheme], pixels, cnn, folds=folds, resume=resume)
    ]
    embedded = parallel_map(_embed, tasks, title="embed the training cells")
    found = {}
    for number, scheme in enumerate(SCHEMES):
        mine = embedded[number * folds : (number + 1) * folds]
        table = _embedding_table(items[scheme], mine, pixels, networks[scheme])
        measured, names = with_features(items[scheme], cells["features"])
        found[scheme] = _fit(measured, names, table, forest)
    return found


def _tasks(
    items: "pd.DataFrame", pixels: Path, cnn: Cnn, *, folds: int, resume: Path
) -> list["FoldTask"]:
    import numpy as np

    from tissuetrace.learn.cell_training import Rows
    from tissuetrace.learn.embedding import FoldTask
    from tissuetrace.learn.splits import group_folds

    training = items[items["split"] == "train"]
    _check_groups(training, folds)
    rows = rows_of(items)
    cuts = group_folds(
        training["label"].to_numpy(), training["group"].to_numpy(), folds=folds, seed=cnn.seeds[0]
    )
    scheme = items["scheme"].iloc[0]
    return [
        FoldTask(
            pixels=pixels,
            labels=labels_of(items, len(np.load(pixels, mmap_mode="r"))),
            rows=Rows(training=rows.training[train], validation=rows.validation),
            held_out=rows.training[test],
            recipe=recipe_of(cnn),
            seed=cnn.seeds[0],
            device=machine.device(),
            resume=resume / f"{scheme}-fold-{number}",
        )
        for number, (train, test) in enumerate(cuts)
    ]


def _check_groups(training: "pd.DataFrame", folds: int) -> None:
    counts = training.groupby("label")["group"].nunique()
    few = [f"label {label}: {count} groups" for label, count in counts.items() if count < folds]
    if few:
        raise InputError(
            f"{folds} folds need as many groups of each class among the training cells",
            where=f"leukemia.hybrid.embedding_folds, scheme {training['scheme'].iloc[0]}",
            todo="Lower it, or set leukemia.hybrid.combine to mean",
            items=few,
        )


def _embed(task: "FoldTask") -> "EmbeddedFold":
    from tissuetrace.learn.embedding import embed_fold

    return embed_fold(task)


def _embedding_table(
    items: "pd.DataFrame", folds: list["EmbeddedFold"], pixels: Path, network: Path
) -> "pd.DataFrame":
    """Return the units of every cell: out of fold where it trains, of the final network else."""
    import numpy as np
    import pandas as pd

    from tissuetrace.learn.cell_training import embeddings, load_classifier
    from tissuetrace.learn.embedding import gather_folds, unit_names

    images = np.load(pixels, mmap_mode="r")
    final, rows = load_classifier(network), rows_of(items)
    reference = embeddings(final, images, rows.validation, device=machine.device())
    asked = items["split"].isin(ASKED).to_numpy()
    places = items["row"].to_numpy()
    units = np.empty((len(items), reference.shape[1]))
    units[asked] = embeddings(final, images, places[asked], device=machine.device())
    units[~asked] = gather_folds(folds, reference, places[~asked])
    table = pd.DataFrame(units, columns=unit_names())
    table.insert(0, "item", items["item"].to_numpy())
    table.insert(1, "split", items["split"].to_numpy())
    return table


def _fit(
    items: "pd.DataFrame", names: list[str], embedding: "pd.DataFrame", forest: Forest
) -> Concatenated:
    import numpy as np

    from tissuetrace.learn.embedding import unit_names
    from tissuetrace.learn.forests import fit_forest, positive_probability

    units = embedding[unit_names()].to_numpy()
    columns = np.hstack([items[names].to_numpy(dtype=np.float64), units])
    training = (items["split"] == "train").to_numpy()
    asked = items["split"].isin(ASKED).to_numpy()
    models = [
        fit_forest(
            columns[training],
            items["label"].to_numpy()[training],
            trees=forest.trees,
            class_weight=forest.class_weight,
            seed=seed,
        )
        for seed in forest.seeds
    ]
    return Concatenated(
        items=items,
        model=models[0],
        features=names,
        embedding=embedding,
        importance=_importance(models[0], names),
        predictions=[
            predicted(
                items[asked], positive_probability(model, columns[asked]), model="hybrid", seed=seed
            )
            for seed, model in zip(forest.seeds, models, strict=True)
        ],
    )


def _importance(model: Any, names: list[str]) -> dict[str, Any]:  # noqa: ANN401  # scikit-learn's
    values: ndarray = model.feature_importances_
    split = len(names)
    return {
        "mdi": {
            **dict(zip(names, values[:split].tolist(), strict=True)),
            "embedding": float(values[split:].sum()),
        },
        "units": values[split:].tolist(),
    }
