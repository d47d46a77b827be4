"""What the stages before the imc lane's report leave behind, made up in their columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_effect_tables import FREE, write_effect, write_search

from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.pipeline.gate import Finding, Rule, seal
from tissuetrace.report.tables import Table
from tissuetrace.studies.imc.cohorts import Cohort, Markers
from tissuetrace.studies.imc.decoy import Decoy
from tissuetrace.studies.imc.effect import Effect
from tissuetrace.studies.imc.evaluate import Evaluate
from tissuetrace.studies.imc.ingest import Ingest
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.patch import Patch
from tissuetrace.studies.imc.perturb import Perturb
from tissuetrace.studies.imc.report import report
from tissuetrace.studies.imc.split import Split
from tissuetrace.studies.imc.train_cnn import Cnn
from tissuetrace.studies.imc.train_mlp import Mlp

HOME = Path("data/imc")
SEEDS = 3
SIDE = 5
PATIENTS = 6

MELANOMA = Cohort(
    px_um=1.0,
    markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1", "LAG3")),
    threshold=3.0,
    predictors=(*FREE, "DapB", "SOX10"),
    free=FREE,
    control="DapB",
    tumour_marker="SOX10",
    tumour_threshold=0.5,
    tissue_min=1.0,
    cnn=("patient",),
)
COHORTS = {"melanoma": MELANOMA, "breast": replace(MELANOMA, tumour_marker="panCK", cnn=())}

SETTINGS: dict[str, Any] = {
    "ingest": Ingest(compensate="off", clip=None, partial="refuse", refused="stop"),
    "patch": Patch(
        size_um=40.0,
        radius_um=5.0,
        mean="retained",
        keep_min=0.1,
        label_min_um2=12.0,
        label_smooth_um=1.0,
        tumour_smooth_um=2.0,
    ),
    "split": Split(fractions=(0.65, 0.15, 0.2), seeds=SEEDS, seed=0, least=20, draws=100),
    "decoy": Decoy(kind="matched", nearest=10, seed=0),
    "mlp": Mlp(
        hidden=(30, 10), lr=0.003, batch=256, epochs=60, patience=12, pos_weight=1.0, seed=0
    ),
    "cnn": Cnn(repeats=2, lr=0.001, batch=64, epochs=6, patience=12, pos_weight=1.0, seed=0),
    "evaluate": Evaluate(thresholds=(0.8, 0.5), bootstrap=200, seed=0),
    "perturb": Perturb(
        p=0.8,
        c=100.0,
        c_steps="library",
        beta=0.1,
        theta=100.0,
        k=1,
        lr=0.01,
        steps=100,
        rounds=3,
        margin=1e-4,
        rule="improved",
        selection="best_valid",
        pool="above_p",
        start="any",
        betas=(0.02, 0.1, 0.5),
        ks=(1, 3, 5),
        variant_retrainings=2,
        cnn_patches=16,
    ),
    "effect": Effect(
        tolerance=0.1,
        agreement=0.75,
        p=0.8,
        aggregate="retrainings",
        relative="per_patch",
        bootstrap=200,
        seed=0,
    ),
}


def write_outcomes(
    cohorts: Mapping[str, Cohort] = COHORTS, *, kind: str = "phantom", why: str = ""
) -> None:
    """Write every input of `report` below the working directory.

    Args:
        cohorts: by name.
        kind: of the source.
        why: reason for tables of perturbations without a row; empty for full ones.
    """
    source = {"kind": kind, "licence": "none", "doi": None, "files": 9, "bytes": 1, "ignored": 0}
    write_json({**source, "facts": {}}, HOME / "fetch/source.json")
    for place, (name, settings) in enumerate(cohorts.items()):
        rng = np.random.default_rng(place)
        patches = _patches(name, rng)
        _write_cores(name, patches)
        _write_leaks(name, rng)
        _write_models(name, patches, settings, rng)
        write_search(HOME / f"perturb/{name}", patches, settings, why=why)
        write_effect(HOME / f"effect/{name}", patches, settings, why=why)
        found = _recovered() if kind == "phantom" and not why else {}
        write_json(found, Path(f"metrics/imc/recover_{name}.json"))
    write_gate(cohorts)


def write_gate(cohorts: Mapping[str, Cohort], *, held: bool = True) -> None:
    """Seal a token over what the report reads of the gate's inputs."""
    rule = Rule(name="melanoma: cores", table="melanoma.counts", expectation="E", todo="Mend it")
    findings = [
        Finding(
            rule=rule.name, severity="critical", held=held, found="12", bound="at least 1", todo=""
        ),
        Finding(
            rule="melanoma: warned", severity="warning", held=False, found="2", bound="0", todo=""
        ),
    ]
    findings += [
        Finding(
            rule=f"{name}: AUC of DapB alone, which should tell nothing (mean over seeds)",
            severity="warning",
            held=True,
            found="0.52",
            bound="0.45 to 0.55",
            todo="",
        )
        for name in cohorts
    ]
    inputs = [HOME / f"patch/{name}/tables" for name in cohorts]
    inputs += [Path(f"metrics/imc/leak_{name}.json") for name in cohorts]
    told = [
        {name: getattr(one, name) for name in ("rule", "severity", "held", "found", "bound")}
        for one in findings
    ]
    counts = {name: {"patches": 300, "positive_patches": 90} for name in cohorts}
    write_json({"findings": told, "counts": counts}, HOME / "validate/evidence.json")
    write_json(seal(findings, inputs, [rule], "code"), HOME / "validate/token.json")


def run_report(cohorts: Mapping[str, Cohort] = COHORTS, **settings: Any) -> Path:
    """Run the stage in the working directory and return its folder."""
    reads: dict[str, Any] = {}
    for name, path in report.reads.items():
        template = getattr(path, "template", None)
        reads[name] = (
            Path(str(path))
            if template is None
            else {cohort: Path(template.replace("{cohorts}", cohort)) for cohort in cohorts}
        )
    writes = {name: Path(output.path) for name, output in report.writes.items()}
    writes["pages"].mkdir(parents=True, exist_ok=True)
    report(**reads, **writes, cohorts=dict(cohorts), **{**SETTINGS, **settings})
    return writes["pages"]


def read_outcome(cohorts: Mapping[str, Cohort] = COHORTS, **settings: Any) -> Outcome:
    """Return what the page would be written from, in a folder where the inputs lie."""
    kept: list[Outcome] = []
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("tissuetrace.studies.imc.report")
        patch.setattr(module, "_write", lambda outcome, _: kept.append(outcome))
        run_report(cohorts, **settings)
    return kept[0]


def with_melanoma(outcome: Outcome, **changes: Any) -> Outcome:
    """Return an outcome with other parts of one cohort."""
    one = replace(outcome.cohorts["melanoma"], **changes)
    return replace(outcome, cohorts={**outcome.cohorts, "melanoma": one})


def table_of(outcome: Outcome, name: str) -> Table:
    """Return one table of the page, without making the others."""
    module, function = _TABLES[name]
    made: Table = getattr(import_module(f"tissuetrace.studies.imc.{module}"), function)(outcome)
    return made


_TABLES = {
    "agreements": ("search_summaries", "agreement_table"),
    "claims": ("claims", "claim_table"),
    "deviations": ("deviations", "deviation_table"),
    "excluded_patients": ("patient_tables", "patient_table"),
    "headline": ("findings", "headline_table"),
    "leaks": ("findings", "leak_table"),
    "recovery": ("robustness", "recovery_table"),
    "searches": ("search_summaries", "search_table"),
    "splits": ("findings", "scheme_table"),
    "stability": ("search_summaries", "stability_table"),
    "strategies": ("strategy_tables", "strategy_table"),
    "strategy_channels": ("strategy_tables", "channel_table"),
    "table_2_search": ("comparison", "search_setting_table"),
    "trainings": ("trainings", "training_table"),
}


def _patches(cohort: str, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (f"{image}:{row}:{col}", f"Q7X{patient}", image, row, col, patient % 2)
        for patient in range(PATIENTS)
        for image in [f"{cohort}_Q7X{patient}"]
        for row in range(SIDE)
        for col in range(SIDE)
        if (row, col) != (0, 0)
    ]
    table = pd.DataFrame(rows, columns=["item", "subject", "image", "row", "col", "hot"])
    table["label"] = (rng.random(len(table)) < 0.1 + 0.5 * table["hot"]).astype("int64")
    table["tissue"], table["tumour"] = 1.0, np.where(table["col"] < SIDE - 1, 0.9, 0.1)
    return table


def _write_cores(cohort: str, patches: pd.DataFrame) -> None:
    for image, part in patches.groupby("image"):
        path = HOME / f"patch/{cohort}/tables/{image}.parquet"
        write_table(part.drop(columns="hot").reset_index(drop=True), path)
    cores = patches.groupby(["image", "subject"]).size().rename("patches").reset_index()
    zero = dict.fromkeys(("constant_channels", "zero_markers", "non_finite", "negative"), 0)
    dropped = {"dropped_border": 4, "dropped_tissue": 2, "dropped_hole": 1}
    write_table(cores.assign(**dropped, erased=0.1, **zero), HOME / f"patch/{cohort}/cores.parquet")
    images = cores[["image", "subject"]].assign(
        file=cores["image"] + ".mcd",
        acquisition="1",
        recovered=["txt", *[""] * (len(cores) - 1)],
        height=200,
        width=200,
        px_um=1.0,
        missing=0,
        zero_channels=1,
    )
    write_table(images, HOME / f"ingest/{cohort}/images.parquet")
    write_table(_refused(()), HOME / f"ingest/{cohort}/refused.parquet")
    seeds = [(scheme, seed, seed) for scheme in ("patient", "random") for seed in range(SEEDS)]
    for folder, name, column in (("split", "redraws", "redraws"), ("decoy", "dropped", "dropped")):
        table = pd.DataFrame(seeds, columns=["scheme", "seed", column])
        write_table(table, HOME / f"{folder}/{cohort}/{name}.parquet")


def _refused(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["file", "acquisition", "reason"], dtype="str")


def write_refused(cohort: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """List acquisitions as skipped: file, acquisition, reason."""
    write_table(_refused(rows), HOME / f"ingest/{cohort}/refused.parquet")


def _write_leaks(cohort: str, rng: np.random.Generator) -> None:
    middle = {"auc": 0.9, "marginal_auc": 0.7, "gain": 0.01, "swap_auc": 0.51}
    rows = [
        (decoys, mean, quantity, seed, value + leak * (quantity == "gain") + rng.normal(0, 0.01))
        for mean in ("retained", "full")
        for decoys, leak in (("none", 0.1), ("marginal", 0.05), ("matched", 0.0))
        for quantity, value in middle.items()
        for seed in range(SEEDS)
    ]
    table = pd.DataFrame(rows, columns=["decoys", "mean", "quantity", "seed", "value"])
    write_table(table, HOME / f"probe/{cohort}/leaks.parquet")
    write_json(middle, Path(f"metrics/imc/leak_{cohort}.json"))


def _trained(settings: Cohort) -> list[tuple[str, str, int]]:
    return [
        ("mlp", "patient", SEEDS),
        ("mlp", "random", SEEDS),
        *[("cnn", scheme, 2) for scheme in settings.cnn],
    ]


def _write_models(
    cohort: str, patches: pd.DataFrame, settings: Cohort, rng: np.random.Generator
) -> None:
    tables: dict[str, list[pd.DataFrame]] = {"predictions": [], "scores": [], "cores": []}
    for model in ("mlp", "cnn"):
        for scheme in ("patient", "random"):
            folder = HOME / f"train/{cohort}/{model}/{scheme}"
            if model == "cnn" and scheme not in settings.cnn:
                write_json({"reason": "not asked for"}, folder / "why.json")
                continue
            seeds = SEEDS if model == "mlp" else 2
            named = {"scheme": scheme, "model": model}
            write_table(_history(seeds), folder / "history.parquet")
            tables["predictions"].append(_predictions(patches, rng, seeds=seeds).assign(**named))
            tables["scores"].append(_scores(seeds, better=0.03 * (scheme == "random"), **named))
            tables["cores"].append(_shares(patches, rng).assign(**named))
    gap = {"auc": 0.03}
    tables["scores"].append(_score_rows(gap, SEEDS, scheme="random-patient", model="mlp"))
    for name, parts in tables.items():
        write_table(pd.concat(parts, ignore_index=True), HOME / f"evaluate/{cohort}/{name}.parquet")


def _history(seeds: int) -> pd.DataFrame:
    rows = [
        (seed, epoch, 0.6, 0.6, 0.5 + 0.05 * epoch - 0.01 * seed)
        for seed in range(seeds)
        for epoch in range(5)
    ]
    columns = ["seed", "epoch", "train_loss", "validation_loss", "validation_mcc"]
    return pd.DataFrame(rows, columns=columns)


def _predictions(patches: pd.DataFrame, rng: np.random.Generator, *, seeds: int) -> pd.DataFrame:
    names = np.array(["train", "validation", "test"])
    number = patches["subject"].str[-1].astype("int64").to_numpy()
    sign = 2 * patches["label"].to_numpy(dtype=np.float64) - 1
    runs = []
    for seed in range(seeds):
        place = np.minimum(rng.permutation(PATIENTS)[number] // 2, 2)
        guess = 1 / (1 + np.exp(-(2.5 * sign + rng.normal(0, 1, len(patches)))))
        own = patches[["item", "subject", "image", "label"]]
        runs.append(own.assign(seed=seed, split=names[place], probability=guess))
    return pd.concat(runs, ignore_index=True)


def _scores(seeds: int, *, better: float, scheme: str, model: str) -> pd.DataFrame:
    middle = {"auc": 0.9, "precision": 0.7, "recall": 0.6, "f1": 0.65, "mcc": 0.55}
    values = {name: value + better for name, value in middle.items()}
    return _score_rows(values, seeds, scheme=scheme, model=model)


def _score_rows(
    values: Mapping[str, float], seeds: int, *, scheme: str, model: str
) -> pd.DataFrame:
    rows = [
        {"metric": metric, "threshold": threshold, "value": value - 0.1 * (threshold == 0.8)}
        for metric, value in values.items()
        for threshold in ((0.0,) if metric == "auc" else (0.8, 0.5))
    ]
    table = pd.DataFrame(rows).assign(model=model, scheme=scheme, split="test", subjects=4)
    value = table["value"]
    table = table.assign(low=value - 0.02, high=value + 0.02, retrainings=seeds, undefined=0)
    return table.assign(first=value + 0.01, subject_low=value - 0.1, subject_high=value + 0.08)


def _shares(patches: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    actual = patches.groupby(["image", "subject"])["label"].mean().rename("actual").reset_index()
    noise = rng.normal(0, 0.03, len(actual))
    return actual.assign(predicted=(actual["actual"] + noise).clip(0, 1))


def _recovered() -> dict[str, float]:
    return {
        "auc": 0.9,
        "auc_oracle": 0.95,
        "auc_below_oracle": 0.05,
        "sign_precision": 1.0,
        "sign_recall": 0.8,
        "null_largest": 0.02,
        "combination_gain": 0.25,
        "combination_over_single": 0.2,
        "true_gain": 0.4,
        "cold_rising": 1.0,
        "fig3b_r": 0.97,
        "found_rate": 0.97,
    }
