"""Every place where we do otherwise than the paper, or choose where it can be read in two ways."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tissuetrace.report.tables import Table, text
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.paper import MEASURED

__all__ = ["deviation_table"]

_Row = tuple[str, str, str, str]  # what, the readings, the one used, where it is set

_MEANS = {
    "retained": "over the retained area",
    "full": "over the full area, the hole as 0 (the literal text; leaks)",
}
_DECOYS = {
    "matched": (
        "matched: every patch without T cells also loses the hole of one of the {nearest} patches "
        "with them that are nearest in channel means, not in space"
    ),
    "marginal": "marginal: every patch without T cells also loses the hole of any one with them",
    "none": "none, as in the paper (leaks)",
}
_POOLS = {
    "above_p": "training patches with f > p",
    "predicted": "training patches with f > 0.5, as in the library",
    "label": "training patches with T cells by label",
}
_STARTS = {"any": "of any split, recorded", "test": "of the test split"}
_SELECTIONS = {
    "best_valid": "best_valid: smallest β‖δ‖₁ + ‖δ‖² among iterates with f > p",
    "final": "final: the minimiser of Eq. 1",
}
_AGGREGATES = {
    "retrainings": "median per retraining over found patches, then over retrainings",
    "one": "median over found patches of one retraining",
}
_RELATIVES = {
    "per_patch": "median of each patch's (x_cf − x₀)/x₀ in raw units; x₀ near 0 left out",  # noqa: RUF001  # a minus sign
    "of_medians": "median change over median x₀",
}


def deviation_table(outcome: Outcome) -> Table:
    """Return one row for each, with the readings that the paper allows and where ours is set."""
    rows = [
        *_of_patches(outcome),
        *_of_models(outcome),
        *_of_search(outcome),
        *_of_effects(outcome),
    ]
    columns = ["what", "paper", "here", "setting"]
    return Table(
        name="deviations",
        title="What we do otherwise, or chose where the paper can be read in two ways",
        caption=(
            "What has a name in the last column can be changed under it in params.yaml. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=tuple(text(column, column) for column in columns),
    )


def _of_patches(outcome: Outcome) -> list[_Row]:
    patch, split, decoy = (getattr(outcome.settings, name) for name in ("patch", "split", "decoy"))
    images = "a phantom's cores" if outcome.is_phantom else "the cores given"
    label = (
        f"at least {patch.label_min_um2:g} µm² with smoothed (SD {patch.label_smooth_um:g} µm) CD3 "
        "and CD8 above the threshold and no exhaustion marker"
    )
    thresholds = ", ".join(
        f"{one.name} {one.settings.threshold:g}" for one in outcome.cohorts.values()
    )
    shares = " / ".join(f"{100 * share:g}" for share in split.fractions)
    return [
        ("cores", "melanoma 159, breast 749", images, "tissuetrace source"),
        ("label of a patch", "non-exhausted CD8⁺ T cells, not defined further", label, "imc.patch"),
        ("threshold of the markers", "not said", thresholds, "imc.cohorts"),
        (
            "what is erased",
            "T cells, how is not said",
            f"all within {patch.radius_um:g} µm of CD3 or CD8 pixels, before cutting",
            "imc.patch.radius_um",
        ),
        ("mean of a patch", "not said", _MEANS[patch.mean], "imc.patch.mean"),
        ("decoys", "none", _DECOYS[decoy.kind].format(nearest=decoy.nearest), "imc.decoy.kind"),
        (
            "unit of the split",
            "the words allow patients or patches",
            (
                f"both; the headline is by patients; {shares} %, drawn again until each split has "
                f"{split.least} of both labels"
            ),
            "imc.split",
        ),
        ("tumour patch", "on the tumour mask", "more than 50 % in it", "imc.cohorts"),
        *_of_channels(outcome),
    ]


def _of_channels(outcome: Outcome) -> list[_Row]:
    """Return what the models see and what the search may change, by cohort."""
    measured = " and ".join(f"{count} ({name})" for name, count in MEASURED.items())
    return [
        (
            "channels that the models see",
            f"of {measured} that were measured; which, is not said",
            _channels({one.name: one.settings.predictors for one in outcome.cohorts.values()}),
            "imc.cohorts",
        ),
        (
            "channels that may change",
            "chemokines",
            _channels({one.name: one.settings.free for one in outcome.cohorts.values()}),
            "imc.cohorts",
        ),
    ]


def _channels(of_cohorts: Mapping[str, Sequence[str]]) -> str:
    """List channels by cohort, once where cohorts have the same."""
    named: dict[tuple[str, ...], list[str]] = {}
    for cohort, channels in of_cohorts.items():
        named.setdefault(tuple(channels), []).append(cohort)
    return "; ".join(
        f"{len(channels)} ({' and '.join(cohorts)}): {', '.join(channels) or 'none'}"
        for channels, cohorts in named.items()
    )


def _of_models(outcome: Outcome) -> list[_Row]:
    mlp, cnn = outcome.settings.mlp, outcome.settings.cnn
    hidden = "→".join(str(units) for units in mlp.hidden)
    kept = "the epoch with the best validation MCC at 0.5 is kept"
    return [
        (
            "MLP",
            "on patch means; training not said",
            (
                f"{hidden}→1, Adam {mlp.lr:g}, batch {mlp.batch}, at most {mlp.epochs} epochs, "
                f"patience {mlp.patience}; {kept}"
            ),
            "imc.mlp",
        ),
        (
            "CNN",
            "on pixels; training not said",
            (
                f"two convolutions, Adam {cnn.lr:g}, batch {cnn.batch}, at most {cnn.epochs} "
                f"epochs, {cnn.repeats} retrainings; {kept}"
            ),
            "imc.cnn",
        ),
        (
            "retrainings",
            "8",
            f"{outcome.settings.split.seeds} of the MLP, each with its own split",
            "imc.split.seeds",
        ),
    ]


def _of_search(outcome: Outcome) -> list[_Row]:
    used = outcome.settings.perturb
    c = "starts at c and is searched as in the library" if used.c_steps == "library" else "fixed"
    rule = {
        "improved": "the library's recurrence with a rate of at most 1/(2(1+θ)), then polished",
        "cfproto": "the library's recurrence",
    }[used.rule]
    return [
        (
            "patches to start from",
            "not said",
            f"tumour, without T cells, f < p, {_STARTS[used.start]}",
            "imc.perturb.start",
        ),
        (
            "prototypes: classified as having T cells",
            "not said",
            _POOLS[used.pool],
            "imc.perturb.pool",
        ),
        (
            "k",
            "nearest, or mean of k",
            f"the {_ordinal(used.k)} nearest, over all predictors",
            "imc.perturb.k",
        ),
        ("returned instance", "not said", _SELECTIONS[used.selection], "imc.perturb.selection"),
        ("c", "100", c, "imc.perturb.c_steps"),
        ("algorithm", "the library's, changed", rule, "imc.perturb.rule"),
        (
            "steps",
            "not said",
            f"{used.rounds} rounds of {used.steps}, learning rate {outcome.settings.rate_in_words}",
            "imc.perturb.lr, .steps, .rounds",
        ),
    ]


def _of_effects(outcome: Outcome) -> list[_Row]:
    used, raised = outcome.settings.effect, outcome.settings.ingest
    spilled = {"off": "none", "matrix": "by the cohort's matrix"}[raised.compensate]
    return [
        ("spillover between channels", "not said", spilled, "imc.ingest.compensate"),
        (
            "tumour-wide δ",
            "median, over what is not said",
            _AGGREGATES[used.aggregate],
            "imc.effect.aggregate",
        ),
        ("relative change", "not defined", _RELATIVES[used.relative], "imc.effect.relative"),
        (
            "channels applied",
            "those of Fig. 4A",
            (
                f"|median| above {used.tolerance:g}, same sign in {100 * used.agreement:g} % of "
                "the retrainings"
            ),
            "imc.effect.tolerance, .agreement",
        ),
        (
            "immune-excluded patients",
            "34 of 69, rule not said",
            (
                "level by f before any change strictly below the cohort's median; where that is "
                "0, the patients at 0"
            ),
            "",
        ),
        (
            "infiltration level",
            "share of patches; threshold not said",
            f"share of tumour patches with f > {used.p:g}; Fig. 3: 0.5",
            "imc.effect.p",
        ),
        (
            "test of the effect",
            "not said",
            (
                "Wilcoxon over patients, Holm in two families; intervals from resampling patients, "
                f"{used.bootstrap:,} draws"
            ),
            "imc.effect.bootstrap",
        ),
    ]


def _ordinal(k: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(k, f"{k}th")
