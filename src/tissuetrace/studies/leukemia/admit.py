"""Let the data through to training, or refuse with every broken rule; the last model stays."""

from pathlib import Path

from tissuetrace.pipeline.gate import admit_token
from tissuetrace.pipeline.stage import exact, stage

__all__ = ["admit"]


@stage(
    reads={
        "token": "data/leukemia/validate/token.json",
        "evidence": "data/leukemia/validate/evidence.json",
    },
    writes={
        "admission": exact(
            "data/leukemia/admit/admission.json",
            "the pass token, where the verdict is a pass; every training depends on it",
        )
    },
)
def admit(*, token: Path, evidence: Path, admission: Path) -> None:
    """Copy a token that passed; raise where it says fail, so that nothing trains."""
    admit_token(token, evidence, admission)
