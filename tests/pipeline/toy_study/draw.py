"""Draw a column of numbers."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt

from tissuetrace.pipeline.stage import exact, stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What is drawn; `pause_s` makes the stage long enough to be killed."""

    rows: Annotated[int, Gt(0)]
    low: float
    pause_s: Annotated[float, Ge(0)]


@stage(
    reads={"origin": "data/toy/fetch/source.json"},
    writes={
        "table": exact("data/toy/draw/table.parquet", "numbers", columns={"x": "double: number"}),
        "copies": exact("data/toy/draw/copies", "the table again, in several files"),
    },
    params=Draw,
)
def draw(*, origin: Path, table: Path, copies: Path, params: Draw) -> None:
    """Write a table, and slowly a folder."""
    import pandas as pd

    from tissuetrace.pipeline.files import read_json, write_table

    read_json(origin)
    numbers = pd.DataFrame({"x": [params.low + row for row in range(params.rows)]})
    write_table(numbers, table)
    for copy in range(3):
        time.sleep(params.pause_s)
        write_table(numbers, copies / f"{copy}.parquet")
