"""Score the lane against the phantom's known answer."""

import math
import sys
from pathlib import Path

from tissuetrace.pipeline.files import read_json, read_table, write_json
from tissuetrace.pipeline.stage import metrics, stage
from tissuetrace.studies.imc.patch import Patch
from tissuetrace.studies.imc.phantom import SQUARE_UM

__all__ = ["recover"]

_EFFECT = "data/imc/effect/{cohorts}"


@stage(
    reads={
        "truth": "data/imc/fetch/truth.parquet",
        "predictions": "data/imc/evaluate/{cohorts}/predictions.parquet",
        "cores": "data/imc/evaluate/{cohorts}/cores.parquet",
        "counterfactuals": "data/imc/perturb/{cohorts}/counterfactuals.parquet",
        "strategy": f"{_EFFECT}/strategy.json",
        "levels": f"{_EFFECT}/levels.parquet",
        "strategies": f"{_EFFECT}/strategies.parquet",
    },
    writes={
        "recovered": metrics(
            "metrics/imc/recover_{cohorts}.json",
            "What the lane found of the phantom's known answer; nothing for real input",
            within=0.05,
        )
    },
    params={"patch": Patch},
    matrix="cohorts",
)
def recover(  # noqa: PLR0913  # one argument a file
    *,
    variant: str,
    truth: Path,
    predictions: Path,
    cores: Path,
    counterfactuals: Path,
    strategy: Path,
    levels: Path,
    strategies: Path,
    recovered: Path,
    patch: Patch,
) -> None:
    """Compare classifier, strategy and levels with the law that the phantom was drawn by."""
    from tissuetrace.studies.imc import recovery

    drawn = read_table(truth)
    drawn = drawn[drawn["cohort"] == variant]
    if len(drawn) and patch.size_um != SQUARE_UM:
        sys.stderr.write(
            f"imc.recover: {variant}: the answer is known for squares of {SQUARE_UM:g} µm, patches "
            f"have {patch.size_um:g}: nothing is compared\n"
        )
        drawn = drawn[:0]
    found: dict[str, float] = {}
    if len(drawn):
        found |= recovery.classifier_recovery(drawn, read_table(predictions), read_table(cores))
    searches = read_table(counterfactuals, ["model", "variant", "found"])
    searches = searches[(searches["model"] == "mlp") & (searches["variant"] == "default")]
    if len(drawn) and len(searches):
        said = read_json(strategy)
        found |= {"found_rate": float(searches["found"].mean())}
        found |= recovery.strategy_recovery(said)
        found |= recovery.level_recovery(drawn, read_table(levels), read_table(strategies))
        found |= recovery.true_levels(drawn, said["called"])
    # JSON has no NaN, and a number that is missing fails its bound
    write_json({key: value for key, value in found.items() if math.isfinite(value)}, recovered)
