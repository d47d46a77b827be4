"""A study of one table and one mean, so that the spine is tested without any lane."""

from collections.abc import Mapping
from typing import Any

from tissuetrace.pipeline.stage import Needs, Plot, Study

__all__ = ["STUDY"]


def _needs(params: Mapping[str, Any], files: int, size: int) -> Needs:
    return Needs(disk=size + files + params["draw"]["rows"], memory_per_worker=1 << 20)


STUDY = Study(
    title="The mean of a column",
    question="How large is it?",
    citation="none",
    stages=("fetch", "draw", "validate", "admit", "train", "combine", "summarise"),
    needs=_needs,
    plots=(
        Plot(
            name="means",
            x="variant",
            y={"data/toy/summarise/means.csv": ("mean",)},
            title="Means",
            x_label="variant",
            y_label="mean",
        ),
    ),
)
