"""Turn the changes of patches into one for a whole tumour, and say what it does to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.stage import of_variant, stage, tolerance
from tissuetrace.studies.imc.cohorts import Cohort, Perturbed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Effect", "effect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How a tumour-wide strategy is made and judged (Wang & Thomson, section 2 and Fig. 4)."""

    tolerance: Annotated[float, Ge(0)]  # |relative change| above which a channel may be called
    agreement: Annotated[float, Gt(0), Le(1)]  # least share of retrainings with the same sign
    p: Annotated[float, Gt(0), Lt(1)]  # probability above which a patch is called infiltrated
    aggregate: Literal["retrainings", "one"]
    relative: Literal["per_patch", "of_medians"]
    bootstrap: Annotated[int, Ge(2)]  # draws of patients for an interval
    seed: Annotated[int, Ge(0)]


LEVELS = {
    "subject": "string: patient",
    "image": "string: core",
    "seed": "int64: of the retraining",
    "scorer": "string: same (the strategy of all retrainings, scored by this one), own (what this "
    "one found, of the channels that all together call, scored by itself), other (the same, mean "
    "over all other retrainings)",
    "strategy": "string: as in strategies.parquet",
    "before": "double: share of tumour patches with f above effect.p, 0 to 1",
    "after": "double: the same with the strategy applied",
    "patches": "int64: tumour patches that this retraining sees in the core",
    "excluded": "int64: 1 for an immune-excluded patient",
}
CHANNELS = {
    "channel": "string: name of a free channel",
    "median": "double: relative change, 0.5 raised by half; NaN where no patch tells",
    "low": "double: lower end of the 95 % interval, from resampling patients",
    "high": "double: upper end",
    "agreement": "double: share of the retrainings with the same sign, 0 to 1",
    "called": "int64: 1 where it is applied",
    "p": "double: Wilcoxon signed rank over patients' median changes, two-sided",
    "p_holm": "double: adjusted over the channels",
    "control": "int64: 1 for the channel that should tell nothing",
    "left_out": "int64: found patches whose level is too low to form a relative change",
}
STRATEGIES = {
    "strategy": "string: all, the name of a target, without …, best …, beta=…",
    "kind": "string: all, single (one target alone), without (one left out), subset (the best of "
    "its size, chosen on the same images), beta (called at another β)",
    "channels": "string: targets, joined by +",
    "size": "int64: how many",
    "found": "double: share of the searches that found a change",
    "before": "double: median over cores of immune-excluded patients of the level, mean over "
    "retrainings; NaN without such a patient",
    "after": "double: the same with the strategy applied",
    "low": "double: lower end of the 95 % interval of after less before, from resampling patients",
    "high": "double: upper end",
    "p": "double: paired Wilcoxon over patients' medians, two-sided",
    "p_holm": "double: adjusted over all, single and without; NaN for others",
}
STABILITY = {
    "variant": "string: of the search",
    "seed": "int64: of the retraining",
    "channel": "string: name",
    "median": "double: relative change over found patches; NaN where none tells",
    "found": "double: share of the searches that found a change",
}
MAPS = {
    "image": "string: core of an immune-excluded patient with the median rise",
    "item": "string: patch",
    "row": "int64: of the patch in the core",
    "col": "int64: of the patch in the core",
    "tumour": "int64: 1 where more than half is tumour",
    "observed": "int64: 1 where T cells are",
    "before": "double: probability of T cells, mean over retrainings",
    "after": "double: the same with the strategy applied; as before outside the tumour",
}


@stage(
    reads={
        "counterfactuals": "data/imc/perturb/{cohorts}/counterfactuals.parquet",
        "pool": "data/imc/perturb/{cohorts}/pool.parquet",
        "tables": "data/imc/patch/{cohorts}/tables",
        "decoys": "data/imc/decoy/{cohorts}/patient.parquet",
        "mlp": "data/imc/train/{cohorts}/mlp/patient",
    },
    writes={
        "strategy": tolerance(
            "data/imc/effect/{cohorts}/strategy.json",
            "The tumour-wide strategy: relative change and agreement of each channel, which are "
            "called (applied), settings, share of values clipped at the box, how far retrainings "
            "and variants agree, the immune-excluded patients counted; or why there is none",
            within=1e-2,
        ),
        "levels": tolerance(
            "data/imc/effect/{cohorts}/levels.parquet",
            "Infiltration of every core before and after each strategy",
            within=1e-2,
            columns=LEVELS,
        ),
        "channels": tolerance(
            "data/imc/effect/{cohorts}/channels.parquet",
            "The strategy channel by channel (Fig. 4A)",
            within=1e-2,
            columns=CHANNELS,
        ),
        "strategies": tolerance(
            "data/imc/effect/{cohorts}/strategies.parquet",
            "Effect on immune-excluded tumours of the strategy and its parts (Fig. 4C to 4E)",
            within=1e-2,
            columns=STRATEGIES,
        ),
        "stability": tolerance(
            "data/imc/effect/{cohorts}/stability.parquet",
            "The change of each channel by every variant and retraining of the search",
            within=1e-2,
            columns=STABILITY,
        ),
        "maps": tolerance(
            "data/imc/effect/{cohorts}/maps.parquet",
            "One core of an immune-excluded patient, patch by patch (Fig. 4B)",
            within=1e-2,
            columns=MAPS,
        ),
    },
    params={"cohort": of_variant(Perturbed, of=Cohort), "params": Effect},
    matrix="cohorts",
)
def effect(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    counterfactuals: Path,
    pool: Path,
    tables: Path,
    decoys: Path,
    mlp: Path,
    strategy: Path,
    levels: Path,
    channels: Path,
    strategies: Path,
    stability: Path,
    maps: Path,
    cohort: Perturbed,
    params: Effect,
) -> None:
    """Find the strategy, apply it to every tumour, and take it apart."""
    from threadpoolctl import threadpool_limits

    from tissuetrace.studies.imc.judging import judged, without_strategy

    searches = read_table(counterfactuals)
    why = _why_not(searches, read_table(pool))
    if why:
        found = without_strategy(why, params)
    else:
        with threadpool_limits(1):
            found = judged(
                searches, tables=tables, decoys=decoys, mlp=mlp, cohort=cohort, params=params
            )
    write_json(found.strategy, strategy)
    for table, columns, path in (
        (found.levels, LEVELS, levels),
        (found.channels, CHANNELS, channels),
        (found.strategies, STRATEGIES, strategies),
        (found.stability, STABILITY, stability),
        (found.maps, MAPS, maps),
    ):
        write_table(_in_order(table, columns), path)


def _why_not(searches: "pd.DataFrame", pool: "pd.DataFrame") -> str:
    """Say why there is no strategy; empty where there is one."""
    if (pool["variant"] == "none").all():
        return str(pool["why"].iloc[0])
    default = searches[searches["variant"] == "default"]
    if (default["found"] == 1).any():
        return ""
    return f"none of {len(default):,} searches found a change"


def _in_order(table: "pd.DataFrame", columns: Mapping[str, str]) -> "pd.DataFrame":
    """Return the declared columns; of a table without a row, with their types."""
    import pandas as pd

    if len(table):
        return table[list(columns)]
    kinds = {"string": "str", "double": "float64", "int64": "int64"}
    empty = {name: kinds[text.partition(":")[0]] for name, text in columns.items()}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})
