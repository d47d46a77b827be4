"""What a report tells of must have passed the gate, as it lies there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.gate import token_mistakes
from tissuetrace.pipeline.hashing import digest

__all__ = ["require_pass"]


def require_pass(sealed: Mapping[str, Any], inputs: Sequence[Path], *, study: str) -> None:
    """Refuse to tell of data that the gate has not let pass.

    Args:
        sealed: the gate's token.
        inputs: paths that the report reads and the gate has seen.
        study: the lane.

    Raises:
        GateRefused: lists all that does not fit.
    """
    mistakes = token_mistakes(sealed)
    if not mistakes and sealed["verdict"] != "pass":
        mistakes = [f"the verdict is {sealed['verdict']!r}"]
    for path in inputs:
        seen = sealed.get("inputs", {}).get(str(path))
        if seen is None or digest(path).sha256 != seen["sha256"]:
            mistakes.append(f"{path} is not what the gate has seen")
    if mistakes:
        raise GateRefused(
            "; ".join(mistakes),
            where=f"{study}.report",
            todo=f"No page was written. Run tissuetrace repro {study}",
        )
