"""Take the mean, which stands for a training."""

from dataclasses import dataclass
from pathlib import Path

from tissuetrace.pipeline.stage import exact, stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How the mean is taken."""

    shift: float


@stage(
    reads={"table": "data/toy/draw/table.parquet", "copies": "data/toy/draw/copies"},
    writes={"model": exact("data/toy/train/{kinds}", "the mean", records=("run.json",))},
    params={"params": Train},
    matrix="kinds",
    gate="data/toy/admit/admission.json",
)
def train(*, table: Path, copies: Path, admission: Path, model: Path, params: Train) -> None:
    """Write the mean and the run."""
    from tissuetrace.pipeline.files import read_table, write_json
    from tissuetrace.pipeline.runs import write_run

    mean = float(read_table(table)["x"].mean()) + params.shift
    write_json({"mean": mean}, model / "model.json")
    write_json({"what": "a mean"}, model / "card.json")
    write_run(
        model / "run.json",
        study="toy",
        variant=f"train-{model.name}",
        parameters={"shift": params.shift},
        metrics={"mean": mean},
        history=[{"epoch": 0, "loss": mean}],
        inputs={"table": table, "copies": copies},
        files=[model / "model.json", model / "card.json"],
        admission=admission,
    )
