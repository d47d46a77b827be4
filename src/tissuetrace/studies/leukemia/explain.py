"""Say which features the forest relies on, three ways, and how much of each is the cell's area."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le

from tissuetrace.pipeline.files import read_json, read_table, write_table
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import exact, stage, tolerance
from tissuetrace.studies.leukemia.featurize import Featurize

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.explain.importances import Importances

__all__ = ["EMBEDDING", "Explain", "explain"]

HELD_OUT = ("validation", "test")  # neither was used to fit
EMBEDDING = "embedding"  # the network's units, which count as one feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """How importances are found (section 4)."""

    repeats: Annotated[int, Ge(1)]  # shuffles of each feature
    seed: Annotated[int, Ge(0)]
    cluster: Annotated[float, Ge(0), Le(1)]  # |rank correlation| above which features are joined


@stage(
    reads={
        "forest_image": "data/leukemia/train_forest/image",
        "forest_subject": "data/leukemia/train_forest/subject",
        "hybrid_image": "data/leukemia/train_hybrid/image",
        "hybrid_subject": "data/leukemia/train_hybrid/subject",
        "features": "data/leukemia/featurize/features.parquet",
        "features_other": "data/leukemia/featurize/features_other.parquet",
        "splits": "data/leukemia/split/splits.parquet",
    },
    writes={
        "importances": tolerance(
            "data/leukemia/explain/importances.parquet",
            "Importance of each feature, by scheme, model and method; the hybrid's where it is a "
            "forest on features and embedding",
            within=1e-3,
            columns={
                "scheme": "string: image or subject, how the model's cells were split",
                "model": "string: forest or hybrid",
                "method": "string: mdi (share of the impurity decrease), permutation (loss of AUC "
                "on validation and test), permutation_cluster (the same for its whole cluster of "
                "correlated features), treeshap (mean size of the contribution, in probability)",
                "feature": "string: name, or embedding for all units of the network as one",
                "importance": "double: in the unit of the method",
                "spread": "double: standard deviation over trees (mdi), repeats (permutation) or "
                "cells (treeshap)",
                "cluster": "string: features that were shuffled together, joined by +",
            },
        ),
        "correlations": exact(
            "data/leukemia/explain/correlations.parquet",
            "How much of each feature is the area, in both readings",
            columns={
                "reading": "string: image or cell",
                "feature": "string: name",
                "spearman_with_area": "double: rank correlation over all cells, -1 to 1; NaN where "
                "the feature is constant",
            },
        ),
    },
    params={"params": Explain, "featurize": Featurize},
)
def explain(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    forest_image: Path,
    forest_subject: Path,
    hybrid_image: Path,
    hybrid_subject: Path,
    features: Path,
    features_other: Path,
    splits: Path,
    importances: Path,
    correlations: Path,
    params: Explain,
    featurize: Featurize,
) -> None:
    """Ask the kept models; a hybrid that only averages has no importance of its own."""
    import pandas as pd

    folders = [
        ("image", "forest", forest_image),
        ("subject", "forest", forest_subject),
        ("image", "hybrid", hybrid_image),
        ("subject", "hybrid", hybrid_subject),
    ]
    jobs = [
        _Job(
            scheme=scheme,
            model=model,
            folder=folder,
            features=features,
            splits=splits,
            params=params,
        )
        for scheme, model, folder in folders
        if (folder / "model.joblib").exists()
    ]
    found = parallel_map(_importances, jobs, title="importances")
    write_table(pd.concat(found, ignore_index=True), importances)
    other = "image" if featurize.reading == "cell" else "cell"
    readings = {featurize.reading: features, other: features_other}
    table = [_correlations(reading, readings[reading]) for reading in ("image", "cell")]
    write_table(pd.concat(table, ignore_index=True), correlations)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    scheme: str
    model: str
    folder: Path
    features: Path
    splits: Path
    params: Explain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What a kept model reads: columns in its order, and which of them count as one."""

    cells: "pd.DataFrame"
    columns: list[str]
    parts: dict[str, list[int]]


def _importances(job: _Job) -> "pd.DataFrame":
    import pandas as pd

    from tissuetrace.explain.importances import impurity_importances, shapley_importances
    from tissuetrace.learn.forests import load_forest

    model: Any = load_forest(job.folder / "model.joblib")
    inputs = _read_inputs(job)
    parts = list(inputs.parts.values())
    held_out = inputs.cells[inputs.cells["split"].isin(HELD_OUT)][inputs.columns].to_numpy()
    names = list(inputs.parts)
    alone = {name: name for name in names}
    tables = [
        _rows(job, "mdi", impurity_importances(model, parts), alone),
        _rows(job, "permutation", _permuted(job, model, inputs, parts), alone),
        _cluster_rows(job, model, inputs),
        _rows(job, "treeshap", shapley_importances(model, held_out, parts), alone),
    ]
    return pd.concat(tables, ignore_index=True)


def _read_inputs(job: _Job) -> _Inputs:
    names = list(read_json(job.folder / "card.json")["features"])
    splits = read_table(job.splits)
    splits = splits.loc[splits["scheme"] == job.scheme, ["name", "split"]]
    cells = read_table(job.features, ["name", "label", *names])
    cells = cells.merge(splits, on="name", how="inner", validate="one_to_one", sort=False)
    parts = {name: [number] for number, name in enumerate(names)}
    embedding = job.folder / "embedding.parquet"
    if not embedding.exists():
        return _Inputs(cells=cells, columns=names, parts=parts)
    wide = read_table(embedding).drop(columns="split").rename(columns={"item": "name"})
    units = [str(column) for column in wide.columns if column != "name"]
    both = cells.merge(wide, on="name", how="inner", validate="one_to_one", sort=False)
    parts[EMBEDDING] = list(range(len(names), len(names) + len(units)))
    return _Inputs(cells=both, columns=[*names, *units], parts=parts)


def _permuted(
    job: _Job,
    model: Any,  # noqa: ANN401  # scikit-learn has no types
    inputs: _Inputs,
    parts: Sequence[Sequence[int]],
) -> "Importances":
    from functools import partial

    from tissuetrace.explain.importances import permutation_importances
    from tissuetrace.learn.forests import positive_probability

    held_out = inputs.cells[inputs.cells["split"].isin(HELD_OUT)]
    return permutation_importances(
        partial(positive_probability, model),
        held_out[inputs.columns].to_numpy(),
        held_out["label"].to_numpy(),
        parts=parts,
        repeats=job.params.repeats,
        seed=job.params.seed,
    )


def _cluster_rows(
    job: _Job,
    model: Any,  # noqa: ANN401  # as above
    inputs: _Inputs,
) -> "pd.DataFrame":
    """Give every feature the importance of its cluster; clusters are found on training cells."""
    from tissuetrace.explain.importances import Importances, correlated_clusters

    names = [name for name in inputs.parts if name != EMBEDDING]
    training = inputs.cells[inputs.cells["split"] == "train"]
    clusters = correlated_clusters(training[names].to_numpy(), above=job.params.cluster)
    members = [[names[column] for column in cluster] for cluster in clusters]
    if EMBEDDING in inputs.parts:
        members.append([EMBEDDING])
    parts = [[column for name in cluster for column in inputs.parts[name]] for cluster in members]
    found = _permuted(job, model, inputs, parts)
    place = {name: number for number, cluster in enumerate(members) for name in cluster}
    order = [place[name] for name in inputs.parts]
    told = {name: " + ".join(members[place[name]]) for name in inputs.parts}
    spread = Importances(means=found.means[order], spread=found.spread[order])
    return _rows(job, "permutation_cluster", spread, told)


def _rows(job: _Job, method: str, found: "Importances", clusters: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "scheme": job.scheme,
            "model": job.model,
            "method": method,
            "feature": list(clusters),
            "importance": found.means,
            "spread": found.spread,
            "cluster": list(clusters.values()),
        }
    )


def _correlations(reading: str, path: Path) -> "pd.DataFrame":
    import pandas as pd

    from tissuetrace.stats.agreement import rank_correlation

    table = read_table(path)
    names = [str(column) for column in table.columns if column not in {"name", "subject", "label"}]
    area = table["area"].to_numpy()
    found = [rank_correlation(table[name].to_numpy(), area) for name in names]
    return pd.DataFrame({"reading": reading, "feature": names, "spearman_with_area": found})
