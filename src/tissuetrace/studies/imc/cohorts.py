"""What is said of a cohort: its markers, predictors and thresholds; shared by the lane's stages."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

__all__ = [
    "ADMISSION",
    "FEW_PROTOTYPES",
    "SCHEMES",
    "TUMOUR_SHARE",
    "Cohort",
    "Convolved",
    "Cut",
    "Imaged",
    "Markers",
    "Perturbed",
    "Scheme",
]

ADMISSION = "data/imc/admit/admission.json"

TUMOUR_SHARE = 0.5  # of a patch's pixels; above it the patch is a tumour's
FEW_PROTOTYPES = 30  # a pool below it is said aloud: a nearest one is chosen among few

Scheme = Literal["patient", "random"]
SCHEMES: tuple[Scheme, ...] = ("patient", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """Channels that make the label and are hidden from the predictors.

    Args:
        cd3: T cells.
        cd8: cytotoxic T cells.
        exhausted: any of these above the threshold marks a T cell as exhausted.
    """

    cd3: str
    cd8: str
    exhausted: tuple[str, ...]


# A stage is given the part that it needs, so that a change of the rest does not run it again.
@dataclass(frozen=True, kw_only=True)
class Imaged:
    """What reading a cohort's images needs.

    Args:
        px_um: side of a pixel (µm), for files that state none; a file that states another stops.
    """

    px_um: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What cutting a cohort's cores into patches needs.

    Args:
        markers: channels that make the label.
        threshold: smoothed counts above which a pixel is positive for a marker.
        predictors: channels that the classifiers see, in this order.
        tumour_marker: channel of tumour cells; empty where every patch counts as tumour.
        tumour_threshold: smoothed counts above which a pixel is tumour.
        tissue_min: least share of a patch inside the acquired area.
    """

    markers: Markers
    threshold: Annotated[float, Gt(0)]
    predictors: Annotated[tuple[str, ...], MinLen(1)]
    tumour_marker: str
    tumour_threshold: Annotated[float, Ge(0)]
    tissue_min: Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """What perturbing a cohort needs.

    Args:
        predictors: channels that the classifiers see, in this order.
        free: predictors that a perturbation may change; none leaves the search out.
        control: a channel that should tell nothing, such as DapB; empty where there is none.
    """

    predictors: Annotated[tuple[str, ...], MinLen(1)]
    free: tuple[str, ...]
    control: str


@dataclass(frozen=True, kw_only=True)
class Convolved:
    """What training the CNN on a cohort needs.

    Args:
        cnn: schemes under which it is trained; none leaves it out.
    """

    cnn: tuple[Scheme, ...]


@dataclass(frozen=True, kw_only=True)
class Cohort(Imaged, Cut, Perturbed, Convolved):
    """Everything that is said of one cohort (Wang & Thomson, Data)."""
