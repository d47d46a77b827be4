"""Take the source as it is."""

import shutil
from pathlib import Path

from tissuetrace.pipeline.stage import exact, stage

PATTERNS = ("*.txt",)


@stage(
    reads={"source": "sources/toy.json"},
    writes={"origin": exact("data/toy/fetch/source.json", "what the study was fed with")},
)
def fetch(*, source: Path, origin: Path) -> None:
    """Copy the description."""
    shutil.copyfile(source, origin)
