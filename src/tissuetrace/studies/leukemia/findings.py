"""Our own tables: models, thresholds, leakage, imbalance, seeds, the gate, the phantom's answer."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from tissuetrace.report.tables import Column, Table, count, interval, number, percent_interval, text
from tissuetrace.studies.leukemia.outcome import MODEL_NAMES, MODELS, SCHEME_NAMES, Outcome
from tissuetrace.studies.leukemia.paper import ANCHORS, confusion_of

if TYPE_CHECKING:
    from tissuetrace.stats.intervals import Interval

__all__ = [
    "difference_table",
    "gate_tables",
    "headline_table",
    "leakage_table",
    "model_table",
    "recovery_table",
    "seed_table",
    "strategy_names",
    "strategy_table",
    "threshold_table",
    "verdict",
]

Rows = list[dict[str, Any]]


def verdict(found: "Interval", *, first: str, second: str) -> str:
    """Say in words whether a paired difference is shown: its interval must leave 0 out."""
    if not found.low <= found.high:  # NaN
        return "too few groups to tell"
    if found.low <= 0 <= found.high:
        return "no difference shown"
    return f"{first if found.low > 0 else second} higher"


def model_table(outcome: Outcome) -> Table:
    """Return every model under both schemes on its test set."""
    metrics = ("auc", "accuracy", "sensitivity", "false_positive_rate", "weighted_f1", "brier")
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            found = {name: outcome.score(name, model=model, scheme=scheme) for name in metrics}
            row = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            rows.append(row | _spread(found) | {"groups": found["auc"].groups})
    return Table(
        name="models",
        title="The three models on test, threshold 0.5",
        caption=(
            "Unseen subjects: no group of linked subjects lies in two splits. Random by image: as "
            "the paper splits; cells of one subject lie on both sides. "
            f"{outcome.resampled(model='forest')} First training seed of each model. "
            f"{ANCHORS} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            interval("auc", "AUC"),
            percent_interval("accuracy", "accuracy (%)"),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("false_positive_rate", "false-positive rate (%)"),
            percent_interval("weighted_f1", "weighted F1 (%)"),
            interval("brier", "Brier score"),
            count("groups", "groups"),
        ),
    )


def difference_table(outcome: Outcome) -> Table:
    """Return paired differences between models on the same test cells."""
    rows: Rows = []
    for scheme in ("subject", "image"):
        for first, second in (("cnn", "forest"), ("hybrid", "forest"), ("hybrid", "cnn")):
            pair = f"{first}-{second}"
            found = {
                name: outcome.score(f"{name}_difference", model=pair, scheme=scheme)
                for name in ("auc", "accuracy", "specificity")
            }
            names = {"first": MODEL_NAMES[first], "second": MODEL_NAMES[second]}
            row = {"pair": f"{names['first']} less {names['second']}"}
            row |= {"scheme": SCHEME_NAMES[scheme]}
            row |= {"verdict": verdict(found["auc"], **names)}
            p_value = outcome.score("mcnemar_p", model=pair, scheme=scheme).value
            rows.append(row | _spread(found) | {"mcnemar_p": p_value})
    return Table(
        name="differences",
        title="Is one model better? The same cells, model against model",
        caption=(
            "Differences of two models on the same test cells; a model is called higher only "
            "where the interval of the AUC leaves out 0. "
            f"{outcome.resampled(model='forest')} McNemar's exact p takes cells for "
            "independent, which those of one subject are not: a footnote, it decides nothing. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("pair", "difference"),
            text("scheme", "split"),
            interval("auc", "AUC"),
            text("verdict", "by AUC"),
            percent_interval("accuracy", "accuracy (points)"),
            percent_interval("specificity", "specificity (points)"),
            number("mcnemar_p", "McNemar p", digits=3),
        ),
    )


def threshold_table(outcome: Outcome) -> Table:
    """Return the models at the threshold that was chosen on validation."""
    metrics = ("accuracy", "sensitivity", "specificity", "false_positive_rate")
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            chosen = outcome.score(
                "threshold_chosen", model=model, scheme=scheme, source="validation"
            )
            found = {
                name: outcome.score(f"{name}_chosen", model=model, scheme=scheme)
                for name in metrics
            }
            row = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            rows.append(row | {"threshold": chosen.value} | _spread(found))
    keep = outcome.settings.evaluate.sensitivity
    return Table(
        name="thresholds",
        title=f"At the threshold that keeps {100 * keep:.0f} % sensitivity on validation",
        caption=(
            "The threshold was chosen on validation and applied to test once, so the sensitivity "
            f"on test may be another. {outcome.resampled(model='forest')} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            number("threshold", "threshold", digits=3),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("specificity", "specificity (%)"),
            percent_interval("false_positive_rate", "false-positive rate (%)"),
            percent_interval("accuracy", "accuracy (%)"),
        ),
    )


def leakage_table(outcome: Outcome) -> Table:
    """Return the gap between the two schemes over all cells, out of fold."""
    chosen = outcome.settings.featurize.reading
    other = "cell" if chosen == "image" else "image"
    rows: Rows = []
    for reading, model in ((chosen, "forest"), (other, "forest"), (chosen, "area")):
        source = f"folds_{reading}"
        found = {
            scheme: outcome.score("auc", model=model, scheme=scheme, source=source)
            for scheme in ("image", "subject")
        }
        for metric in ("auc", "accuracy", "specificity"):
            found[f"{metric}_gap"] = outcome.score(
                f"{metric}_gap", model=model, scheme="both", source=source
            )
        rows.append({"model": MODEL_NAMES[model], "reading": reading} | _spread(found))
    told = outcome.resampled(model="forest", source=outcome.folds_source)
    return Table(
        name="leakage",
        title="How much a random split flatters",
        caption=(
            "Every cell judged by a forest that has not seen its fold. Folds cut by image leave "
            "other cells of the same subject in training; folds by group do not. The gap is paired "
            f"on the same cells. {told} Area alone: a logistic regression on the cell's area. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("reading", "texture over"),
            interval("image", "AUC by image"),
            interval("subject", "AUC by group"),
            interval("auc_gap", "gap in AUC"),
            percent_interval("accuracy_gap", "in accuracy (points)"),
            percent_interval("specificity_gap", "in specificity (points)"),
        ),
    )


def strategy_names(outcome: Outcome) -> list[str]:
    """Return `model:strategy` of every treatment of the imbalance, in the order tried."""
    found = outcome.scores[outcome.scores["source"] == "strategies"]["model"]
    return list(dict.fromkeys(found))


def strategy_table(outcome: Outcome) -> Table:
    """Return every treatment of the imbalance, each also less none."""
    metrics = ("auc", "accuracy", "sensitivity", "specificity", "specificity_chosen", "brier")
    rows: Rows = []
    for name in strategy_names(outcome):
        model, _, strategy = name.partition(":")
        found = {
            metric: outcome.score(metric, model=name, source="strategies") for metric in metrics
        }
        found["gain"] = outcome.score("auc_minus_none", model=name, source="strategies")
        found["gain_folds"] = (
            outcome.score("auc_minus_none", model=strategy, source=outcome.folds_source)
            if model == "forest"
            else outcome.score("", model="")
        )
        row = {"strategy": f"{MODEL_NAMES[model]}: {strategy.replace('_', ' ')}"}
        shown = "" if strategy == "none" else verdict(found["gain"], first="better", second="worse")
        rows.append(row | _spread(found) | {"verdict": shown.removesuffix(" higher")})
    keep = outcome.settings.evaluate.sensitivity
    return Table(
        name="imbalance",
        title="Treatments of the imbalance of classes",
        caption=(
            "Test cells of unseen subjects; resampling touched training rows alone. The gain is "
            "paired on the same cells against no treatment of the same model; none is called "
            "better unless its interval leaves out 0. The last column repeats the forest's "
            f"comparison over all groups, out of fold. {outcome.resampled(model='forest')} "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("strategy", "treatment"),
            interval("auc", "AUC"),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("specificity", "specificity (%)"),
            percent_interval("specificity_chosen", f"specificity at {100 * keep:.0f} % kept (%)"),
            interval("brier", "Brier score"),
            interval("gain", "AUC less none"),
            text("verdict", "against none"),
            interval("gain_folds", "the same, all groups"),
        ),
    )


def seed_table(outcome: Outcome) -> Table:
    """Return what training again with another seed changes."""
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            over = outcome.score("auc_over_seeds", model=model, scheme=scheme)
            row: dict[str, Any] = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            row |= {"seeds": over.groups, "mean": over.value, "lowest": over.low}
            rows.append(row | {"highest": over.high, "standard_deviation": over.se})
    return Table(
        name="seeds",
        title="Training variance: the same data, other seeds",
        caption=(
            "AUC on test over all training seeds. This is a variance of its own and no part of the "
            "intervals above, which resample subjects for one trained model. One seed has no "
            f"spread. {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            count("seeds", "seeds"),
            number("mean", "mean AUC"),
            number("lowest", "lowest"),
            number("highest", "highest"),
            number("standard_deviation", "standard deviation", digits=4),
        ),
    )


def gate_tables(outcome: Outcome) -> list[Table]:
    """Return the rules of the gate with what was found, and its counts."""
    findings = pd.DataFrame(outcome.evidence["findings"])
    findings["state"] = [
        "holds" if held else ("warning" if severity == "warning" else "REFUSES")
        for held, severity in zip(findings["held"], findings["severity"], strict=True)
    ]
    counts = pd.DataFrame(
        [
            {"what": str(name).replace("_", " "), "count": value}
            for name, value in outcome.evidence["counts"].items()
        ]
    )
    return [
        Table(
            name="gate_rules",
            title="What the gate checked before anything was trained",
            caption=f"From evidence.json; counts alone, no value of a patient. {outcome.note}",
            frame=findings.drop(columns=["held"]),
            columns=(
                text("rule", "rule"),
                text("state", "state"),
                text("found", "found"),
                text("bound", "allowed"),
            ),
        ),
        Table(
            name="gate_counts",
            title="What the gate counted",
            caption=(
                "Pairs are images with equal pixels (exact) or almost equal ones (near). "
                f"{outcome.note}"
            ),
            frame=counts,
            columns=(text("what", "what"), count("count", "count")),
        ),
    ]


def recovery_table(outcome: Outcome) -> Table:
    """Return the phantom's known answer against what the lane found."""
    frame = outcome.recovered.assign(
        state=outcome.recovered["passed"].map({True: "recovered", False: "NOT recovered"})
    )
    return Table(
        name="recovery",
        title="Does the lane find what the phantom hides?",
        caption=(
            "The generator's answer is known, so the lane can be scored on it. Cell reading, five "
            "folds, all groups. The best AUC that anything can reach on a new subject is 0.873 at "
            "full signal. This shows that the method works; it confirms no paper."
        ),
        frame=frame,
        columns=(
            text("about", "what"),
            number("found", "found", digits=4),
            number("low", "from", digits=3),
            number("high", "to", digits=3),
            text("state", "state"),
        ),
    )


def headline_table(outcome: Outcome) -> Table:
    """Return the few numbers of the first screen, ours beside the paper's."""
    rows: Rows = []
    for metric, quantity in (
        ("auc", "AUC"),
        ("accuracy", "accuracy"),
        ("false_positive_rate", "false-positive rate"),
    ):
        for model in MODELS:
            for scheme in ("subject", "image"):
                found = outcome.score(metric, model=model, scheme=scheme)
                paper = float("nan")
                if scheme == "image" and metric != "auc" and model != "hybrid":
                    paper = getattr(confusion_of(model, "test"), metric)
                row: dict[str, Any] = {"quantity": quantity, "model": MODEL_NAMES[model]}
                row |= {"split": SCHEME_NAMES[scheme]} | _named(found, "ours")
                row |= {"groups": found.groups, "paper": paper}
                rows.append(row | {"deviation_points": 100 * (found.value - paper)})
    columns: tuple[Column, ...] = (
        text("quantity", "quantity"),
        text("model", "model"),
        text("split", "split"),
        interval("ours", "ours"),
        number("paper", "paper"),
        number("deviation_points", "deviation (points)", digits=1),
    )
    return Table(
        name="headline",
        title="Headline",
        caption=(
            "The paper splits at random by image and gives no AUC; its CNN's numbers are "
            f"reconstructed from its text. {outcome.resampled(model='forest')} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=columns,
    )


def _spread(found: "dict[str, Interval]") -> dict[str, float]:
    return {key: value for name, one in found.items() for key, value in _named(one, name).items()}


def _named(found: "Interval", name: str) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
