"""The search on channel means with one retraining of the MLP."""

from typing import TYPE_CHECKING

import pandas as pd
import torch

from tissuetrace.explain.counterfactual import Counterfactuals, Probability, search
from tissuetrace.explain.prototypes import nearest
from tissuetrace.explain.strategies import channel_floors, relative_changes
from tissuetrace.models.mlp_stack import load_mlps
from tissuetrace.studies.imc.search_tables import counterfactual_table, pool_row
from tissuetrace.studies.imc.searching import (
    Search,
    Searched,
    rows_of,
    search_settings,
    settings_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tissuetrace.studies.imc.perturb import Perturb
    from tissuetrace.studies.imc.searching import Rows

__all__ = ["search_mlp"]


def search_mlp(job: Search, seen: pd.DataFrame) -> Searched:
    """Search with every variant of one retraining; equal settings are searched once.

    Args:
        job: the retraining and its variants.
        seen: what all retrainings see, from `read_seen`.
    """
    rows = rows_of(job, seen)
    stack = load_mlps(job.inputs.mlp / "model.safetensors")
    member = stack.seeds.index(job.seed)
    mean, sd = stack.mean[member], stack.sd[member]
    # in double precision a row's result does not depend on the rows beside it
    z = torch.from_numpy((rows.x - mean) / sd)
    zero = torch.from_numpy(-mean / sd)
    floor = channel_floors(rows.x[rows.train])
    starts, x0 = rows.table[rows.start], rows.x[rows.start]
    done: dict[Perturb, Counterfactuals] = {}
    tables, pools = [], []
    for variant in job.variants:
        params = settings_of(variant, job.inputs.params)
        if params not in done:
            done[params] = _find(rows, z, zero, stack.probability(member), params=params)
        delta = (done[params].changed - z[rows.start]).numpy()
        relative = relative_changes(delta, x0, sd=sd, floor=floor, free=rows.free)
        table = counterfactual_table(
            job,
            starts,
            done[params],
            variant=variant,
            changes={"delta": delta, "relative": relative},
        )
        tables.append(table)
        pools.append(pool_row(job, table, variant=variant))
    return Searched(counterfactuals=pd.concat(tables, ignore_index=True), pools=pd.DataFrame(pools))


def _find(
    rows: "Rows", z: "Tensor", zero: "Tensor", probability: Probability, *, params: "Perturb"
) -> Counterfactuals:
    """Search from every start in the box of this retraining: raw 0 to its largest training value.

    What is not free is pinned, so that it comes back bit for bit.
    """
    x0 = z[rows.start]
    pool = z[rows.pool]
    free = torch.from_numpy(rows.free)
    return search(
        probability,
        x0,
        nearest(x0, pool, min(params.k, len(pool))),
        lower=torch.where(free, torch.minimum(zero, x0), x0),
        upper=torch.where(free, torch.maximum(z[rows.train].amax(dim=0), x0), x0),
        **search_settings(params),
    )
