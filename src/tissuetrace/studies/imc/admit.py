"""Let both cohorts through to training, or refuse with every broken rule; the last models stay."""

from pathlib import Path

from tissuetrace.pipeline.gate import admit_token
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.imc.cohorts import ADMISSION

__all__ = ["admit"]


@stage(
    reads={
        "token": "data/imc/validate/token.json",
        "evidence": "data/imc/validate/evidence.json",
    },
    writes={
        "admission": exact(
            ADMISSION, "the pass token, where the verdict is a pass; every training depends on it"
        )
    },
)
def admit(*, token: Path, evidence: Path, admission: Path) -> None:
    """Copy a token that passed; raise where it says fail, so that nothing trains."""
    admit_token(token, evidence, admission)
