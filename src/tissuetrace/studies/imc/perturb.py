"""Search for each tumour patch without T cells the smallest change that the models call T cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import of_variant, stage, tolerance
from tissuetrace.studies.imc.cohorts import Cohort, Perturbed

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.imc.searching import Search, Searched

__all__ = ["Perturb", "perturb"]

Share = Annotated[float, Gt(0), Lt(1)]

_STEPS_OF_A_TURN = 10_000  # with the MLP; starting a process takes as long as some thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturb:
    """How counterfactuals are searched (Wang & Thomson, Table 2 and Eq. 1)."""

    p: Share  # probability that a counterfactual must exceed
    c: Annotated[float, Gt(0)]  # weight of the first term, or where its search starts
    c_steps: Literal["library", "fixed"]
    beta: Annotated[float, Ge(0)]  # weight of the absolute change
    theta: Annotated[float, Ge(0)]  # weight of the squared distance from the prototype
    k: Annotated[int, Ge(1)]  # the k-th nearest prototype
    lr: Annotated[float, Gt(0)]
    steps: Annotated[int, Ge(1)]  # of a round
    rounds: Annotated[int, Ge(1)]  # of the search for c
    margin: Annotated[float, Ge(0)]  # above p, that is aimed at
    rule: Literal["improved", "cfproto"]
    selection: Literal["best_valid", "final"]
    pool: Literal["above_p", "predicted", "label"]  # what is "classified as having T cells"
    start: Literal["any", "test"]  # splits that patches are taken from
    betas: tuple[Annotated[float, Ge(0)], ...]  # of the sweep of Fig. 4E
    ks: tuple[Annotated[int, Ge(1)], ...]
    variant_retrainings: Annotated[int, Ge(1)]  # the variants are searched on the first so many
    cnn_patches: Annotated[int, Ge(0)]  # searched with the CNN, equal per patient; 0 is all


@stage(
    reads={
        "tables": "data/imc/patch/{cohorts}/tables",
        "pixels": "data/imc/patch/{cohorts}/pixels",
        "decoys": "data/imc/decoy/{cohorts}/patient.parquet",
        "mlp": "data/imc/train/{cohorts}/mlp/patient",
        "cnn": "data/imc/train/{cohorts}/cnn/patient",
    },
    writes={
        "counterfactuals": tolerance(
            "data/imc/perturb/{cohorts}/counterfactuals.parquet",
            "One row a search: item, subject, image, split, scheme, model, seed, variant (default; "
            "or compat, final, beta=…, k=…, cnn_channels, cnn_pixels), found (0 or 1), "
            "probability, distance (β‖δ‖₁ + ‖δ‖² in z; NaN where not found), iterations (steps "
            "until the returned change was reached), then for every predictor delta_<channel> "
            "(change of the patch's mean, in z) and relative_<channel> (change over the mean "
            "before; NaN where that is too small to divide by); both NaN where not found",
            within=1e-2,
        ),
        "pool": tolerance(
            "data/imc/perturb/{cohorts}/pool.parquet",
            "What each search had to choose from and found",
            within=1e-2,
            columns={
                "model": "string: mlp or cnn",
                "variant": "string: as in counterfactuals.parquet, or none where nothing was "
                "searched",
                "seed": "int64: of the retraining; -1 where nothing was searched",
                "pool": "int64: prototypes, which are training patches classified as having T "
                "cells",
                "starts": "int64: tumour patches without T cells, searched from",
                "found": "int64: of them, with a valid change",
                "distance": "double: median β‖δ‖₁ + ‖δ‖² over the found; NaN where none",
                "left_out": "int64: relative changes not formed, since the mean before is at or "
                "below the 1st percentile of the channel's positive training means",
                "why": "string: a caution, or the reason why nothing was searched; else empty",
            },
        ),
    },
    params={"cohort": of_variant(Perturbed, of=Cohort), "params": Perturb},
    matrix="cohorts",
)
def perturb(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    tables: Path,
    pixels: Path,
    decoys: Path,
    mlp: Path,
    cnn: Path,
    counterfactuals: Path,
    pool: Path,
    cohort: Perturbed,
    params: Perturb,
    variant: str,
) -> None:
    """Search with every retraining of the MLP, and with the CNN where it was trained."""
    from tissuetrace.studies.imc.search_tables import no_search, write_searches
    from tissuetrace.studies.imc.searching import Inputs, check_pools, planned

    inputs = Inputs(
        tables=tables,
        pixels=pixels,
        decoys=decoys,
        mlp=mlp,
        cnn=cnn,
        predictors=cohort.predictors,
        free=cohort.free,
        params=params,
    )
    if cohort.free:
        searches = planned(inputs, cohort=variant)
        check_pools(searches, cohort=variant)
        turns = parallel_map(_search_all, list(_turns(searches)), title="counterfactuals")
        found = [searched for turn in turns for searched in turn]
    else:
        found = [no_search(cohort.predictors, f"no channel is free (imc.cohorts.{variant}.free)")]
    write_searches(found, counterfactuals=counterfactuals, pool=pool)


def _turns(searches: Sequence["Search"]) -> Iterator[list["Search"]]:
    """Give what one worker does in a go: a search with the CNN, or enough of those with the MLP."""
    turn: list[Search] = []
    steps = 0
    for search in searches:
        turn.append(search)
        params = search.inputs.params
        steps += len(search.variants) * params.steps * params.rounds
        if search.model == "cnn" or steps >= _STEPS_OF_A_TURN:
            yield turn
            turn, steps = [], 0
    if turn:
        yield turn


def _search_all(turn: list["Search"]) -> list["Searched"]:
    from tissuetrace.studies.imc.searching import read_seen

    seen = read_seen(turn[0].inputs)
    return [_search(search, seen) for search in turn]


def _search(job: "Search", seen: "pd.DataFrame") -> "Searched":
    if job.model == "mlp":
        from tissuetrace.studies.imc.searching_mlp import search_mlp

        return search_mlp(job, seen)
    from tissuetrace.studies.imc.searching_cnn import search_cnn

    return search_cnn(job, seen)
