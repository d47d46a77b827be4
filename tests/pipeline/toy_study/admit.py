"""Let the data through, or stop."""

from pathlib import Path

from tissuetrace.pipeline.gate import admit_token
from tissuetrace.pipeline.stage import exact, stage


@stage(
    reads={
        "token": "data/toy/validate/token.json",
        "evidence": "data/toy/validate/evidence.json",
    },
    writes={"admission": exact("data/toy/admit/admission.json", "the token that passed")},
)
def admit(*, token: Path, evidence: Path, admission: Path) -> None:
    """Refuse where the verdict is a fail."""
    admit_token(token, evidence, admission)
