"""Say what was found."""

from pathlib import Path

from tissuetrace.pipeline.stage import each, exact, metrics, stage


@stage(
    reads={"models": each("data/toy/train/{kinds}")},
    writes={
        "means": exact("data/toy/summarise/means.csv", "one row a variant"),
        "headline": metrics("metrics/toy/headline.json", "the means", within=1e-9),
    },
)
def summarise(*, models: dict[str, Path], means: Path, headline: Path) -> None:
    """Write a table of means, and the metrics."""
    from tissuetrace.pipeline.files import read_json, write_json

    found = {name: read_json(path / "model.json")["mean"] for name, path in models.items()}
    means.write_text("variant,mean\n" + "".join(f"{k},{v}\n" for k, v in found.items()))
    write_json(found, headline)
