"""Train again on what the trainings made, as a hybrid does."""

from pathlib import Path

from tissuetrace.pipeline.stage import each, exact, stage


@stage(
    reads={"models": each("data/toy/train/{kinds}")},
    writes={"mean": exact("data/toy/combine/mean.json", "mean of the means")},
    gate="data/toy/admit/admission.json",
)
def combine(*, models: dict[str, Path], admission: Path, mean: Path) -> None:
    """Write the mean of the means."""
    from tissuetrace.pipeline.files import read_json, write_json

    del admission  # the spine compared it with the inputs
    means = [read_json(model / "model.json")["mean"] for model in models.values()]
    write_json({"mean": sum(means) / len(means)}, mean)
