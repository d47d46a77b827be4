"""Combine forest and network: the mean of both, or a forest on features and embedding."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.runs import write_run
from tissuetrace.pipeline.stage import stage, tolerance
from tissuetrace.studies.leukemia.items import ADMISSION, ASKED, SCHEMES, predicted, read_items
from tissuetrace.studies.leukemia.train_cnn import THRESHOLD, Cnn, metrics_of
from tissuetrace.studies.leukemia.train_forest import Forest

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.leukemia.concatenation import Concatenated

__all__ = ["Hybrid", "train_hybrid"]

ABOUT = (
    "hybrid under the {} scheme: model.json (mean) or model.joblib and embedding.parquet "
    "(concat), card.json, run.json, predictions.parquet (validation, test, prelim)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid:
    """How the two models are combined; the study names a hybrid as future work only."""

    combine: Literal["mean", "concat"]
    embedding_folds: Annotated[int, Ge(2)]  # by group; used by concat alone


@stage(
    reads={
        "images": "data/leukemia/fetch/images",
        "table": "data/leukemia/ingest/table.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "groups": "data/leukemia/split/groups.parquet",
        "features": "data/leukemia/featurize/features.parquet",
        **{f"forest_{scheme}": f"data/leukemia/train_forest/{scheme}" for scheme in SCHEMES},
        **{f"cnn_{scheme}": f"data/leukemia/train_cnn/{scheme}" for scheme in SCHEMES},
    },
    writes={
        scheme: tolerance(
            f"data/leukemia/train_hybrid/{scheme}",
            ABOUT.format(scheme),
            within=1e-3,
            records=("run.json",),
        )
        for scheme in SCHEMES
    },
    params={"hybrid": Hybrid, "cnn": Cnn, "forest": Forest},
    gate=ADMISSION,
    resumes=True,
)
def train_hybrid(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    images: Path,
    table: Path,
    splits: Path,
    groups: Path,
    features: Path,
    forest_image: Path,
    forest_subject: Path,
    cnn_image: Path,
    cnn_subject: Path,
    admission: Path,
    image: Path,
    subject: Path,
    hybrid: Hybrid,
    cnn: Cnn,
    forest: Forest,
    resume: Path,
) -> None:
    """Write model, card, run and predictions of each scheme."""
    cells = {"table": table, "splits": splits, "groups": groups}
    folders = {"image": image, "subject": subject}
    forests = {"image": forest_image, "subject": forest_subject}
    networks = {"image": cnn_image, "subject": cnn_subject}
    if hybrid.combine == "mean":
        seeds = {"forest": forest.seeds[0], "cnn": cnn.seeds[0]}
        for scheme, folder in folders.items():
            items = read_items(**cells, scheme=scheme)
            _write_mean(folder, items, forests[scheme], networks[scheme], seeds=seeds)
    else:
        cells |= {"images": images, "features": features}
        made = _concatenate(cells, networks, hybrid, cnn=cnn, forest=forest, resume=resume)
        for scheme, folder in folders.items():
            _write_concat(folder, made[scheme], forest.seeds[0])
    for scheme, folder in folders.items():
        _write_run(
            folder,
            scheme,
            settings={"hybrid": asdict(hybrid), "cnn": asdict(cnn), "forest": asdict(forest)},
            inputs={**cells, "forest": forests[scheme], "cnn": networks[scheme]},
            admission=admission,
        )


def _write_mean(
    folder: Path,
    items: "pd.DataFrame",
    forest: Path,
    network: Path,
    *,
    seeds: Mapping[str, int],
) -> None:
    """Average the probabilities of the first seeds, whose models are kept."""
    asked = items[items["split"].isin(ASKED)]
    probability = (
        _answers(forest, asked, seeds["forest"]) + _answers(network, asked, seeds["cnn"])
    ) / 2
    predictions = predicted(asked, probability, model="hybrid", seed=seeds["forest"])
    write_table(predictions, folder / "predictions.parquet")
    models = {"forest": forest / "model.joblib", "cnn": network / "model.safetensors"}
    rule = {
        "rule": "mean of the probabilities of both models",
        **{
            name: {"seed": seeds[name], "sha256": digest(model).sha256}
            for name, model in models.items()
        },
    }
    write_json(rule, folder / "model.json")
    card = {
        **_card(folder / "model.json", items, seed=seeds["forest"]),
        "combine": "mean",
        "input": "probabilities of forest and network for the same cell",
    }
    write_json(card, folder / "card.json")


def _answers(folder: Path, asked: "pd.DataFrame", seed: int) -> Any:  # noqa: ANN401  # an array
    """Return one model's probability for each asked item.

    Raises:
        ValueError: the model was not asked about exactly these items.
    """
    table = read_table(folder / "predictions.parquet")
    answers = table[table["seed"] == seed].set_index("item")["probability"]
    if sorted(answers.index) != sorted(asked["item"]):
        raise ValueError(f"{folder} was asked about other items than the splits say")
    return answers.loc[asked["item"]].to_numpy()


def _concatenate(
    cells: Mapping[str, Path],
    networks: Mapping[str, Path],
    hybrid: Hybrid,
    *,
    cnn: Cnn,
    forest: Forest,
    resume: Path,
) -> dict[str, "Concatenated"]:
    from tissuetrace.studies.leukemia.concatenation import concatenate

    return concatenate(
        cells=cells,
        networks={scheme: folder / "model.safetensors" for scheme, folder in networks.items()},
        cnn=cnn,
        forest=forest,
        folds=hybrid.embedding_folds,
        resume=resume,
    )


def _write_concat(folder: Path, made: "Concatenated", seed: int) -> None:
    import pandas as pd

    from tissuetrace.learn.forests import save_forest

    save_forest(made.model, folder / "model.joblib")
    write_table(made.embedding, folder / "embedding.parquet")
    write_table(pd.concat(made.predictions, ignore_index=True), folder / "predictions.parquet")
    card = {
        **_card(folder / "model.joblib", made.items, seed=seed),
        "combine": "concat",
        "input": "the measured features, then the 64 units of embedding.parquet",
        "features": made.features,
        "importance": made.importance,
    }
    write_json(card, folder / "card.json")


def _card(model: Path, items: "pd.DataFrame", *, seed: int) -> dict[str, Any]:
    training = items[items["split"] == "train"]
    return {
        "model": "hybrid",
        "what": "probability that a segmented blood cell is a leukemic blast (ALL)",
        "not_for": "diagnosis: one centre, one stain, blasts against normal precursors",
        "scheme": str(items["scheme"].iloc[0]),
        "seed": seed,
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
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path],
    admission: Path,
) -> None:
    files = sorted(path for path in folder.iterdir() if path.name != "run.json")
    predictions = read_table(folder / "predictions.parquet")
    scores = {
        int(seed): metrics_of(predictions[predictions["seed"] == seed])
        for seed in predictions["seed"].unique()
    }
    write_run(
        folder / "run.json",
        study="leukemia",
        variant=f"hybrid-{scheme}",
        parameters={**settings, "scheme": scheme},
        metrics=next(iter(scores.values())),
        history=[],
        inputs=inputs,
        files=files,
        admission=admission,
        children=[
            {"name": f"seed {seed}", "parameters": {"seed": seed}, "metrics": found, "history": []}
            for seed, found in scores.items()
        ],
    )
