"""Our own tables of the classifiers: headline, both splits, the leak probes, what was counted."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.report.tables import Column, Row, Table, count, number, percent, scored, text
from tissuetrace.stats.retrainings import mean_interval
from tissuetrace.studies.imc.gates import CHANCE, MOST_GAIN
from tissuetrace.studies.imc.headline import MEANINGS, SHARES, cohort_numbers
from tissuetrace.studies.imc.outcome import MODEL_NAMES, SCHEME_NAMES, CohortOutcome, Outcome
from tissuetrace.studies.imc.shown_scores import in_columns, range_of, shown_score
from tissuetrace.studies.imc.trainings import weak_first

__all__ = [
    "accounting_table",
    "headline_table",
    "leak_table",
    "refused_table",
    "scheme_table",
]

_DECOYS = {"none": "none (paper)", "marginal": "marginal", "matched": "matched"}
_MEANS = {"retained": "over retained area", "full": "over full area (the literal text)"}
_LEAK_COLUMNS = ("auc", "marginal_auc", "gain", "swap_auc")
_VALUE, _SHARE = number("value", ""), percent("value", "")

Rows = list[dict[str, Any]]


def headline_table(outcome: Outcome) -> Table:
    """Return the few numbers that git keeps, by cohort."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        numbers = cohort_numbers(one)
        rows += [
            {"cohort": one.name, "key": key, "quantity": MEANINGS[key], "value": value}
            for key, value in numbers.items()
        ]
    return Table(
        name="headline",
        title="The headline numbers",
        caption=(
            "As in metrics/imc/headline.json, all of the MLP. AUC and MCC: on test, mean over "
            "retrainings. Infiltration: share of tumour patches with f > "
            f"{outcome.settings.effect.p:g}, median over cores; the mean stands with the "
            f"strategies. {outcome.counted()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("cohort", "cohort"),
            text("quantity", "quantity"),
            Column(title="value", show=_headline),
        ),
    )


def scheme_table(outcome: Outcome) -> Table:
    """Return every classifier under both splits, with the MCC at both thresholds."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        for model in ("mlp", "cnn"):
            for scheme in ("patient", "random", "random-patient"):
                found = {
                    "auc_patients": one.over_patients(
                        "auc", model=model, scheme=scheme, threshold=0
                    ),
                    "auc": one.score("auc", model=model, scheme=scheme, threshold=0),
                    "mcc": one.score("mcc", model=model, scheme=scheme, threshold=0.5),
                    "mcc_strict": one.score("mcc", model=model, scheme=scheme, threshold=0.8),
                }
                if not found["auc"].retrainings:
                    continue
                row: dict[str, Any] = {"cohort": one.name, "model": MODEL_NAMES[model]}
                row |= {"split": SCHEME_NAMES[scheme]} | in_columns(found)
                row |= {"patients": found["auc_patients"].retrainings}
                rows.append(row | {"retrainings": found["auc"].retrainings})
    return Table(
        name="splits",
        title="Unseen patients against random patches",
        caption=(
            "Random patches: patches of one patient lie on both sides of the split, so a model can "
            f"recognise the patient. {outcome.untrained()}{outcome.retrained()} Over patients: of "
            "the first retraining, resampling whole patients of its test set. "
            f"{weak_first(outcome)}"
            f"{outcome.counted()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("cohort", "cohort"),
            text("model", "model"),
            text("split", "split"),
            scored("auc", "AUC"),
            scored("auc_patients", "AUC, over patients"),
            scored("mcc", "MCC at 0.5"),
            scored("mcc_strict", "MCC at 0.8"),
            count("retrainings", "retrainings"),
        ),
    )


def leak_table(outcome: Outcome) -> Table:
    """Return what the erased area gives away, by kind of decoy and of mean."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        table = one.leaks
        for mean, mean_name in _MEANS.items():
            for decoys, name in _DECOYS.items():
                part = table[(table["mean"] == mean) & (table["decoys"] == decoys)]
                if part.empty:
                    continue
                row: dict[str, Any] = {"cohort": one.name, "decoys": name, "mean": mean_name}
                for quantity in _LEAK_COLUMNS:
                    values = part.loc[part["quantity"] == quantity, "value"]
                    row |= _over_seeds(quantity, values)
                rows.append(row | {"seeds": part["seed"].nunique()})
    columns = ["cohort", "decoys", "mean", "seeds"]
    columns += [f"{name}{end}" for name in _LEAK_COLUMNS for end in ("", "_low", "_high", "_each")]
    frame = pd.DataFrame(rows, columns=columns)
    chosen = outcome.settings
    low, high = CHANCE
    return Table(
        name="leaks",
        title="Does the erased area give the label away?",
        caption=(
            "Erasing T cells leaves a hole where the label is. Decoys: none, a patch has its own "
            "hole alone; marginal, a patch without T cells also loses the hole of any patch with "
            f"them; matched, of one of the {chosen.decoy.nearest} nearest in channel means. AUC: "
            "of the features alone. AUC of the erased area alone: printed, not judged, since a "
            "hole matched to the content tells what the content tells. Gain: AUC of the features "
            "with erased share, count of holes and their products, less that of the features "
            f"alone; the gate stops above {MOST_GAIN:g}. Content swapped: contents permuted among "
            f"patches, masks and labels kept; the gate asks for {low:g} to {high:g}. "
            f"{_lesson(frame)}Configured: "
            f"decoys {chosen.decoy.kind}, mean {chosen.patch.mean}. Brackets: 95 % interval of the "
            f"mean over patient splits. {outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("cohort", "cohort"),
            text("mean", "mean"),
            text("decoys", "decoys"),
            scored("auc", "AUC"),
            scored("marginal_auc", "AUC of the erased area alone"),
            scored("gain", "gain"),
            scored("swap_auc", "content swapped, AUC"),
            count("seeds", "splits"),
        ),
    )


def accounting_table(outcome: Outcome) -> Table:
    """Return what came in, what was left out and why, as counts."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        rows += [{"cohort": one.name, "what": what, "count": n} for what, n in _counts(one)]
    return Table(
        name="accounting",
        title="What came in, what was left out",
        caption=(
            "Recovered: an acquisition whose main file was damaged, read from its text file. "
            f"Patches are dropped before any split, decoys within one. {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(text("cohort", "cohort"), text("what", "what"), count("count", "count")),
    )


def refused_table(outcome: Outcome) -> Table:
    """Return the reasons why acquisitions were skipped, without any name."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        reasons = [
            _without_names(str(row["reason"]), (str(row["file"]), str(row["acquisition"])))
            for row in one.refused.to_dict(orient="records")
        ]
        told = pd.Series(reasons, dtype=object).value_counts().sort_index()
        rows += [
            {"cohort": one.name, "reason": str(reason), "count": int(n)}
            for reason, n in told.items()
        ]
    return Table(
        name="refused",
        title="Acquisitions that were refused and skipped",
        caption=(
            "Names of files and acquisitions stand in data/imc/ingest/<cohort>/refused.parquet, "
            f"not here. {outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=["cohort", "reason", "count"]),
        columns=(
            text("cohort", "cohort"),
            text("reason", "reason"),
            count("count", "acquisitions"),
        ),
    )


def _counts(one: CohortOutcome) -> Iterable[tuple[str, float]]:
    cores, images = one.cores, one.images
    yield "patients", images["subject"].nunique()
    yield "cores read", len(images)
    yield "of these recovered from text files", int((images["recovered"] != "").sum())
    yield "acquisitions refused and skipped", len(one.refused)
    yield "cores with pixels that were not acquired", int((images["missing"] > 0).sum())
    yield (
        "pairs of channel and core where the channel is zero all over",
        int(images["zero_channels"].sum()),
    )
    yield "patches kept", int(cores["patches"].sum())
    yield "patches with a T cell", int((one.patches["label"] == 1).sum())
    yield "patches dropped: incomplete at the border", int(cores["dropped_border"].sum())
    yield "patches dropped: too little tissue", int(cores["dropped_tissue"].sum())
    yield "patches dropped: too little left after erasing", int(cores["dropped_hole"].sum())
    for scheme in ("patient", "random"):
        part = one.dropped[one.dropped["scheme"] == scheme]
        name = SCHEME_NAMES[scheme]
        yield f"patches without a decoy, mean over seeds, {name}", _mean(part["dropped"])
        again = one.redraws[one.redraws["scheme"] == scheme]
        yield f"splits drawn again, all seeds, {name}", float(again["redraws"].sum())


def _mean(values: "pd.Series[Any]") -> float:
    return float(values.mean()) if len(values) else float("nan")


def _over_seeds(name: str, values: "pd.Series[Any]") -> dict[str, float | str]:
    found = values.to_numpy(dtype=np.float64)
    within = range_of("gain" if name == "gain" else "auc")
    return in_columns({name: shown_score(mean_interval(found), each=found.tolist(), within=within)})


def _lesson(leaks: pd.DataFrame) -> str:
    """Say which means without decoys one test lets pass and the other catches."""
    low, high = CHANCE
    bare = leaks[(leaks["decoys"] == _DECOYS["none"]) & (leaks["mean"] == _MEANS["full"])]
    caught = bare[(bare["gain"] <= MOST_GAIN) & ~bare["swap_auc"].between(low, high)]
    said = [
        f"{row['cohort']} {row['gain']:.3f} and {row['swap_auc']:.3f}"
        for row in caught.to_dict(orient="records")
    ]
    if not said:
        return ""
    return (
        "Both tests are needed: full-area means without decoys hold the hole already, so that "
        f"they pass the gain and are caught by the swap ({'; '.join(said)}). "
    )


def _headline(row: Row) -> str:
    return (_SHARE if row["key"] in SHARES else _VALUE).show(row)


def _without_names(reason: str, names: tuple[str, ...]) -> str:
    """Take what may identify a patient out of a message: file, acquisition, any path."""
    reason = re.sub(r"\S*[/\\]\S*", "…", reason)
    parts = {part for name in names for part in (name, name.rpartition("/")[2])}
    parts |= {part.partition(".")[0] for part in parts}
    for part in sorted(parts, key=len, reverse=True):
        if re.search(r"[^\W\d]", part) or len(part) > 3:  # noqa: PLR2004  # a bare ordinal names none
            reason = reason.replace(part, "…")
    return reason
