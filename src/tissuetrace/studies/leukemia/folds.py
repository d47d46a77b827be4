"""Judge every cell by a forest that has not seen its fold, cut by image and by linked group.

One small test split is noisy; leakage, readings and strategies are compared on these pooled
predictions. The preliminary phase's images take no part.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.leukemia.featurize import Featurize
from tissuetrace.studies.leukemia.items import ADMISSION, SCHEMES
from tissuetrace.studies.leukemia.strategies import Imbalance, fit_by
from tissuetrace.studies.leukemia.train_forest import Forest, with_features

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy import ndarray

    from tissuetrace.learn.forests import Classifier
    from tissuetrace.learn.imbalance import Strategy

__all__ = ["Folds", "folds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How many parts the cells are cut into; no class may have fewer groups."""

    folds: Annotated[int, Ge(2)]
    seed: Annotated[int, Ge(0)]


@stage(
    reads={
        "features": "data/leukemia/featurize/features.parquet",
        "features_other": "data/leukemia/featurize/features_other.parquet",
        "groups": "data/leukemia/split/groups.parquet",
        "table": "data/leukemia/ingest/table.parquet",
    },
    writes={
        "predictions": exact(
            "data/leukemia/folds/folds.parquet",
            "Out-of-fold predictions: each cell once for every scheme, reading and model",
            columns={
                "item": "string: name of the cell",
                "subject": "string: as the name says",
                "group": "int64: linked subjects",
                "label": "int64: 1 leukemic (ALL), 0 normal",
                "scheme": "string: how folds were cut, by image or by subject (whole groups)",
                "fold": "int64: the fold that this cell was tested in, from 0",
                "reading": "string: of the features, image or cell",
                "model": "string: forest, area (logistic on the area alone), or the strategy "
                "against imbalance of a forest",
                "probability": "double: of ALL, 0 to 1",
            },
        )
    },
    params={"params": Folds, "forest": Forest, "imbalance": Imbalance, "featurize": Featurize},
    gate=ADMISSION,
)
def folds(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    features: Path,
    features_other: Path,
    groups: Path,
    table: Path,
    admission: Path,
    predictions: Path,
    params: Folds,
    forest: Forest,
    imbalance: Imbalance,
    featurize: Featurize,
) -> None:
    """Cut the same folds for every model of a scheme; the seed of the forest is its first."""
    import pandas as pd

    del admission  # the spine compared it with the inputs before this began
    chosen = featurize.reading
    other = "image" if chosen == "cell" else "cell"
    job = partial(
        _Job, groups=groups, table=table, params=params, forest=forest, imbalance=imbalance
    )
    # one of the strategies is the forest itself where weights and seed agree
    known = forest.class_weight if imbalance.seed == forest.seeds[0] else ""
    jobs = [
        *(
            job(features=path, reading=reading, scheme=scheme, model="forest")
            for path, reading in ((features, chosen), (features_other, other))
            for scheme in SCHEMES
        ),
        *(
            job(features=features, reading=chosen, scheme=scheme, model="area")
            for scheme in SCHEMES
        ),
        *(
            job(features=features, reading=chosen, scheme="subject", model=strategy)
            for strategy in _strategies()
            if strategy != known
        ),
    ]
    tables = parallel_map(_judge, jobs, title="folds")
    if known:
        tables.append(tables[SCHEMES.index("subject")].assign(model=known))
    write_table(pd.concat(tables, ignore_index=True), predictions)


def _strategies() -> tuple[str, ...]:
    from tissuetrace.learn.imbalance import FOREST_STRATEGIES

    return FOREST_STRATEGIES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    features: Path
    groups: Path
    table: Path
    params: Folds
    forest: Forest
    imbalance: Imbalance
    reading: str
    scheme: str
    model: str


def _judge(job: _Job) -> "pd.DataFrame":
    from tissuetrace.learn.forests import out_of_fold

    items, names = with_features(_read_cells(job.table, job.groups), job.features)
    used = ["area"] if job.model == "area" else names
    labels = items["label"].to_numpy()
    fold, probability = out_of_fold(
        _fit_of(job), items[used].to_numpy(), labels, _cut(items, job.scheme, job.params)
    )
    told = items.assign(
        scheme=job.scheme, fold=fold, reading=job.reading, model=job.model, probability=probability
    )
    columns = ["item", "subject", "group", "label", "scheme", "fold", "reading", "model"]
    return told[[*columns, "probability"]]


def _read_cells(table: Path, groups: Path) -> "pd.DataFrame":
    cells = read_table(table, columns=["name", "subject", "label", "fold"])
    cells = cells[cells["fold"] >= 0].drop(columns="fold").rename(columns={"name": "item"})
    linked = cells.merge(
        read_table(groups), on="subject", how="left", validate="many_to_one", sort=False
    )
    if linked["group"].isna().any():
        raise ValueError(f"{int(linked['group'].isna().sum())} cells of subjects without a group")
    return linked.astype({"group": "int64"}).sort_values("item", ignore_index=True)


def _cut(items: "pd.DataFrame", scheme: str, params: Folds) -> "list[tuple[ndarray, ndarray]]":
    from tissuetrace.learn.splits import group_folds, stratified_folds

    labels, groups = items["label"].to_numpy(), items["group"].to_numpy()
    rare = int(items.groupby("label")["group"].nunique().min())
    if rare < params.folds:
        raise InputError(
            f"{params.folds} folds, but a class has {rare} groups",
            where="leukemia.folds",
            todo="Lower leukemia.folds.folds in params.yaml, or add subjects",
        )
    if scheme == "image":
        return stratified_folds(labels, folds=params.folds, seed=params.seed)
    return group_folds(labels, groups, folds=params.folds, seed=params.seed)


def _fit_of(job: _Job) -> "Callable[[ndarray, ndarray], Classifier]":
    from typing import cast

    from tissuetrace.learn.forests import fit_forest, fit_logistic

    if job.model == "area":
        return fit_logistic
    if job.model != "forest":
        return fit_by(cast("Strategy", job.model), forest=job.forest, imbalance=job.imbalance)
    return partial(
        fit_forest,
        trees=job.forest.trees,
        class_weight=job.forest.class_weight,
        seed=job.forest.seeds[0],
    )
