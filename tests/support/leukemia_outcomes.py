"""What the stages before `evaluate` and `report` leave behind, made up in their columns."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.gate import Finding, Rule, seal
from tissuetrace.studies.leukemia.evaluate import PREDICTION_COLUMNS, Evaluate, evaluate
from tissuetrace.studies.leukemia.featurize import COLUMNS as FEATURE_COLUMNS
from tissuetrace.studies.leukemia.featurize import Featurize, Glcm
from tissuetrace.studies.leukemia.folds import Folds
from tissuetrace.studies.leukemia.outcome import Outcome
from tissuetrace.studies.leukemia.phantom import Phantom, draw_phantom
from tissuetrace.studies.leukemia.report import report
from tissuetrace.studies.leukemia.split import Split
from tissuetrace.studies.leukemia.train_cnn import Cnn
from tissuetrace.studies.leukemia.train_forest import Forest
from tissuetrace.studies.leukemia.train_hybrid import Hybrid

HOME = Path("data/leukemia")
STRATEGIES = ("none", "balanced", "cost", "smote", "undersampling", "balanced_forest")
FEATURES = list(FEATURE_COLUMNS)[3:]
PHANTOM = Phantom(
    seed=3,
    size_px=48,
    subjects_all=14,
    subjects_hem=12,
    cells=8,
    delta=1.0,
    plant_duplicates=0,
)

EVALUATE = Evaluate(bootstrap=20, seed=0, sensitivity=0.93)
FEATURIZE = Featurize(
    reading="image",
    blur=0,
    mask="above_zero",
    aspect_ratio="ellipse",
    glcm=Glcm(distances=(1,), angles=(0,), levels=256, symmetric=True, normed=True),
    canny=(100, 200),
    canny_cell=(30, 60),
)
FOREST = Forest(trees=100, class_weight="balanced", seeds=(0, 1, 2))
CNN = Cnn(
    input_px=64,
    epochs=6,
    batch=32,
    lr=0.001,
    patience=5,
    block="relu_norm",
    rotate_deg=15,
    shift=0.1,
    flip="horizontal",
    seeds=(0,),
)
HYBRID = Hybrid(combine="mean", embedding_folds=3)
SPLIT = Split(fractions=(0.7, 0.15, 0.15), seed=0, link="pixels", near=0.998)


def write_outcomes(*, kind: str = "phantom", prelim: int = 0) -> None:
    """Write every input of `evaluate` and `report` below the working directory.

    Args:
        kind: of the source.
        prelim: preliminary cells with unknown subjects.
    """
    rng = np.random.default_rng(5)
    truth = draw_phantom(PHANTOM, HOME / "fetch/images")
    cells = _cells(truth)
    facts = {"frame_px": 48} if kind == "phantom" else {}
    source = {"kind": kind, "licence": "none", "doi": None, "files": len(cells)}
    write_json({**source, "bytes": 1, "ignored": 0, "facts": facts}, HOME / "fetch/source.json")
    write_table(truth if kind == "phantom" else truth.iloc[:0], HOME / "fetch/truth.parquet")
    write_table(cells.drop(columns=["group"]), HOME / "ingest/table.parquet")
    groups = cells[["subject", "group"]].drop_duplicates().sort_values("subject")
    write_table(groups, HOME / "split/groups.parquet")
    _write_splits(cells)
    _write_features(cells, truth, rng)
    _write_models(cells, rng, prelim=prelim)
    _write_folds(cells, rng)
    _write_strategies(cells, rng)
    _write_explained(rng)
    _write_gate()


def run_evaluate() -> dict[str, Path]:
    """Run the stage in the working directory and return what it wrote."""
    reads = {name: Path(str(path)) for name, path in evaluate.reads.items()}
    writes = {name: Path(output.path) for name, output in evaluate.writes.items()}
    for path in writes.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    evaluate(
        **reads,
        **writes,
        params=EVALUATE,
        featurize=FEATURIZE,
        folds=Folds(folds=5, seed=0),
        forest=Forest(trees=100, class_weight="balanced", seeds=(0,)),
        phantom=PHANTOM,
    )
    return writes


def run_report() -> Path:
    """Run the stage in the working directory and return its folder."""
    reads = {name: Path(str(path)) for name, path in report.reads.items()}
    pages = Path(report.writes["pages"].path)
    pages.mkdir(parents=True, exist_ok=True)
    settings = {"evaluate": EVALUATE, "featurize": FEATURIZE, "forest": FOREST, "cnn": CNN}
    report(**reads, pages=pages, hybrid=HYBRID, split=SPLIT, **settings)
    return pages


def read_outcome() -> Outcome:
    """Return what the page would be written from, in a folder where it was."""
    kept: list[Outcome] = []
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("tissuetrace.studies.leukemia.report")
        patch.setattr(module, "_write", lambda outcome, *_, **__: kept.append(outcome))
        run_report()
    return kept[0]


def rewrite_labels(label: int, split: str) -> None:
    """Give every cell of one split the same label, in all models and strategies."""
    folders = [
        HOME / f"train_{model}/{scheme}/predictions.parquet"
        for model in ("forest", "cnn", "hybrid")
        for scheme in ("image", "subject")
    ]
    for path in [*folders, HOME / "imbalance/strategies.parquet"]:
        table = read_table(path)
        table.loc[table["split"] == split, "label"] = label
        write_table(table, path)


def _cells(truth: pd.DataFrame) -> pd.DataFrame:
    parts = truth["name"].str.split("_", expand=True)
    images = {path.stem: path for path in (HOME / "fetch/images").rglob("*.bmp")}
    table = pd.DataFrame(
        {
            "name": truth["name"],
            "path": [
                str(images[name].relative_to(HOME / "fetch/images")) for name in truth["name"]
            ],
            "subject": parts[1],
            "image": parts[2].astype("int64"),
            "label": (parts[4] == "all").astype("int64"),
        }
    )
    table["group"] = table["subject"].rank(method="dense").astype("int64") - 1
    return table


def _write_features(cells: pd.DataFrame, truth: pd.DataFrame, rng: np.random.Generator) -> None:
    for name in ("features", "features_other"):
        values = pd.DataFrame(rng.normal(size=(len(cells), len(FEATURES))), columns=FEATURES)
        values["area"] = truth["area_px"].to_numpy() * rng.normal(1, 1e-3, len(cells))
        known = cells[["name", "subject", "label"]].reset_index(drop=True)
        write_table(pd.concat([known, values], axis=1), HOME / f"featurize/{name}.parquet")


def _split_of(cells: pd.DataFrame, scheme: str, rng: np.random.Generator) -> np.ndarray:
    names = np.array(["train", "validation", "test"])
    if scheme == "image":
        return names[rng.choice(3, len(cells), p=[0.4, 0.3, 0.3])]
    return np.take(names, cells["group"].to_numpy() % 3)


def _write_splits(cells: pd.DataFrame) -> None:
    divided = [
        cells[["name"]].assign(
            scheme=scheme, split=_split_of(cells, scheme, np.random.default_rng(1))
        )
        for scheme in ("image", "subject")
    ]
    write_table(pd.concat(divided, ignore_index=True), HOME / "split/splits.parquet")
    columns = ["name_a", "name_b", "kind", "subject_a", "subject_b"]
    write_table(pd.DataFrame(columns=columns, dtype="str"), HOME / "split/pairs.parquet")


def _probability(labels: np.ndarray, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    guess: np.ndarray = 1 / (
        1 + np.exp(-(rng.normal(size=len(labels)) + strength * (2 * labels - 1)))
    )
    return guess


def _predictions(
    cells: pd.DataFrame, rng: np.random.Generator, *, scheme: str, model: str, seeds: int
) -> pd.DataFrame:
    strength = {"forest": 0.8, "cnn": 1.0, "hybrid": 1.1}[model] + 0.4 * (scheme == "image")
    split = _split_of(cells, scheme, np.random.default_rng(1))
    asked = cells.assign(item=cells["name"], split=split, scheme=scheme, model=model)
    asked = asked[asked["split"] != "train"]
    runs = []
    for seed in range(seeds):
        guess = _probability(asked["label"].to_numpy(), rng, strength=strength)
        runs.append(asked.assign(seed=seed, probability=guess))
    return pd.concat(runs, ignore_index=True)[list(PREDICTION_COLUMNS)]


def _write_models(cells: pd.DataFrame, rng: np.random.Generator, *, prelim: int) -> None:
    extra = pd.DataFrame(
        {
            "item": [f"prelim_{number}" for number in range(prelim)],
            "subject": "",
            "group": np.full(prelim, -1),
            "image": np.full(prelim, -1),
            "split": "prelim",
            "label": np.arange(prelim) % 2,
            "probability": np.linspace(0.1, 0.9, prelim),
        }
    )
    for model, seeds in (("forest", 3), ("cnn", 1), ("hybrid", 1)):
        for scheme in ("image", "subject"):
            table = _predictions(cells, rng, scheme=scheme, model=model, seeds=seeds)
            if prelim:
                more = extra.assign(scheme=scheme, model=model, seed=0)
                table = pd.concat([table, more[list(PREDICTION_COLUMNS)]], ignore_index=True)
            write_table(table, HOME / f"train_{model}/{scheme}/predictions.parquet")


def _write_folds(cells: pd.DataFrame, rng: np.random.Generator) -> None:
    parts = []
    for reading in ("image", "cell"):
        for scheme, more in (("image", 0.3), ("subject", 0.0)):
            for model, strength in (("forest", 0.8), ("area", 0.5)):
                guess = _probability(cells["label"].to_numpy(), rng, strength=strength + more)
                named = {"reading": reading, "scheme": scheme, "model": model}
                part = cells.assign(item=cells["name"], fold=0, probability=guess, **named)
                parts.append(part)
    for name in STRATEGIES:
        guess = _probability(cells["label"].to_numpy(), rng, strength=0.8)
        named = {"reading": "image", "scheme": "subject", "model": name}
        parts.append(cells.assign(item=cells["name"], fold=0, probability=guess, **named))
    columns = ["item", "subject", "group", "label", "scheme", "fold", "reading", "model"]
    folds = pd.concat(parts, ignore_index=True)[[*columns, "probability"]]
    write_table(folds, HOME / "folds/folds.parquet")


def _write_strategies(cells: pd.DataFrame, rng: np.random.Generator) -> None:
    parts = []
    for model, names in (("forest", STRATEGIES), ("cnn", ("cnn_focal",))):
        for name in names:
            table = _predictions(cells, rng, scheme="subject", model=model, seeds=1)
            parts.append(table.assign(strategy=name))
    write_table(pd.concat(parts, ignore_index=True), HOME / "imbalance/strategies.parquet")


def _write_explained(rng: np.random.Generator) -> None:
    rows = [
        (scheme, "forest", method, feature, abs(rng.normal()), 0.01)
        for scheme in ("image", "subject")
        for method in ("mdi", "permutation", "treeshap")
        for feature in FEATURES
    ]
    columns = ["scheme", "model", "method", "feature", "importance", "spread"]
    write_table(pd.DataFrame(rows, columns=columns), HOME / "explain/importances.parquet")
    related = [
        (reading, feature, rng.uniform(-1, 1))
        for reading in ("image", "cell")
        for feature in FEATURES
    ]
    frame = pd.DataFrame(related, columns=["reading", "feature", "spearman_with_area"])
    write_table(frame, HOME / "explain/correlations.parquet")


def _write_gate() -> None:
    rule = Rule(name="one group, one split", table="groups", expectation="E", todo="Link them")
    finding = Finding(
        rule=rule.name,
        severity="warning",
        held=False,
        found="2 of 9 rows outside",
        bound="0",
        todo="Link them",
    )
    inputs = [HOME / "ingest/table.parquet", HOME / "split/groups.parquet", HOME / "fetch/images"]
    write_json(seal([finding], inputs, [rule], "code"), HOME / "validate/token.json")
    told = {"rule", "severity", "held", "found", "bound", "todo"}
    evidence = {
        "findings": [{key: getattr(finding, key) for key in sorted(told)}],
        "counts": {"exact pairs": 12, "near pairs": 11, "groups": 26},
    }
    write_json(evidence, HOME / "validate/evidence.json")
