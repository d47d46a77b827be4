"""Synthetic cells with a known answer, in the layout and names of the collection."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from tissuetrace.pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray
    from numpy.random import Generator

__all__ = ["LATENTS", "SIGNAL", "Phantom", "best_auc", "draw_phantom"]

LATENTS = ("z1", "z2", "z3", "z4", "z5", "z6")
SIGNAL = LATENTS[:3]  # the others differ between subjects, not between classes
# Shift of a blast's latents, and spreads between and within subjects.
_SHIFT = (1.4, 0.9, -0.8, 0.0, 0.0, 0.0)
_BETWEEN = (0.6, 0.5, 0.5, 1.6, 1.6, 1.6)
_WITHIN = (1.0, 1.0, 1.0, 0.4, 0.4, 0.4)
_GAIN = 0.05
_FIRST_ID = 901  # no subject of the collection has an id above 100
_CELLS_PER_IMAGE = 4
_FOLDS = 3
_COPYING = 2  # key of the generator that chooses copies; 0 and 1 are the classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """What is drawn, and how strong its signal is."""

    seed: Annotated[int, Ge(0)]
    size_px: Annotated[int, Ge(32)]  # side of a frame
    subjects_all: Annotated[int, Ge(1)]
    subjects_hem: Annotated[int, Ge(1)]
    cells: Annotated[float, Gt(0)]  # mean of a Poisson number per subject, at least 4
    delta: Annotated[float, Ge(0)]  # strength of the signal; 0 is the null phantom
    plant_duplicates: Annotated[int, Ge(0)]  # images copied under a second subject's name


@dataclass(frozen=True, slots=True)
class _Subject:
    label: int
    number: int
    id: str
    fold: int

    def path(self, cell: int) -> str:
        image, number = cell // _CELLS_PER_IMAGE + 1, cell % _CELLS_PER_IMAGE + 1
        folder = "all" if self.label else "hem"
        name = f"UID_{self.id}_{image}_{number}_{folder}.bmp"
        return f"C-NMC_Leukemia/training_data/fold_{self.fold}/{folder}/{name}"


@dataclass(frozen=True, slots=True)
class _Drawn:
    path: str
    content: bytes
    latents: tuple[float, ...]
    area_px: float


def draw_phantom(params: Phantom, folder: Path) -> "pd.DataFrame":
    """Write the images below a folder, in the collection's layout.

    Every cell has its own generator, keyed by seed, subject and cell, so that one more cell or
    subject changes no other.

    Args:
        params: what to draw.
        folder: where `C-NMC_Leukemia/training_data/fold_N/{all,hem}/` is made.

    Returns:
        The truth, sorted by name: `name` (file name without its ending), latents `z1` to `z6`
        and `area_px`, the true area of the outline in px².

    Raises:
        InputError: duplicates are asked for and no class has two subjects.
    """
    import pandas as pd

    subjects = _subjects(params)
    drawn = {subject: list(_draw_subject(params, subject)) for subject in subjects}
    cells = [cell for group in drawn.values() for cell in group] + _copies(params, drawn)
    for cell in cells:
        path = folder / cell.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cell.content)
    rows = sorted((Path(cell.path).stem, *cell.latents, cell.area_px) for cell in cells)
    return pd.DataFrame(rows, columns=["name", *LATENTS, "area_px"])


def best_auc(delta: float) -> float:
    """Return the AUC that nothing can beat on a new subject: Φ(δ√(½ Σ D²/(between² + within²)))."""
    from scipy.stats import norm

    terms = zip(_SHIFT, _BETWEEN, _WITHIN, strict=True)
    distance = sum(shift**2 / (between**2 + within**2) for shift, between, within in terms)
    return float(norm.cdf(delta * (distance / 2) ** 0.5))


def _subjects(params: Phantom) -> list[_Subject]:
    blasts = [
        _Subject(1, _FIRST_ID + k, f"{_FIRST_ID + k}", k % _FOLDS)
        for k in range(params.subjects_all)
    ]
    normals = [
        _Subject(0, _FIRST_ID + k, f"H{_FIRST_ID + k}", k % _FOLDS)
        for k in range(params.subjects_hem)
    ]
    normals[-1] = replace(normals[-1], id=normals[-1].id.lower())  # as h3 in the collection
    return [*blasts, *normals]


def _draw_subject(params: Phantom, subject: _Subject) -> Iterator[_Drawn]:
    import numpy as np

    from tissuetrace.studies.leukemia.drawing import bitmap_bytes, draw_cell

    rng = _generator(params.seed, subject.label, subject.number)
    mean = params.delta * subject.label * np.array(_SHIFT) + rng.normal(0, _BETWEEN)
    gain = float(np.exp(rng.normal(0, _GAIN)))
    for cell in range(max(4, int(rng.poisson(params.cells)))):
        own = _generator(params.seed, subject.label, subject.number, cell + 1)
        z: ndarray = mean + own.normal(0, _WITHIN)
        frame, area_px = draw_cell(z, size_px=params.size_px, gain=gain, rng=own)
        latents = tuple(float(value) for value in z)
        yield _Drawn(subject.path(cell), bitmap_bytes(frame), latents, area_px)


def _copies(params: Phantom, drawn: dict[_Subject, list[_Drawn]]) -> list[_Drawn]:
    """Copy images of one subject under the name of another of its class, as one image more."""
    if params.plant_duplicates == 0:
        return []
    classes = [[subject for subject in drawn if subject.label == label] for label in (1, 0)]
    classes = [subjects for subjects in classes if len(subjects) > 1]
    if not classes:
        raise InputError(
            "a copy needs two subjects of one class",
            where="leukemia.phantom.plant_duplicates",
            todo="Set it to 0, or draw more subjects",
        )
    rng = _generator(params.seed, _COPYING)
    taken = {subject: _next_image(cells) for subject, cells in drawn.items()}
    copies = []
    for number in range(params.plant_duplicates):
        subjects = classes[number % len(classes)]
        first, second = (subjects[int(k)] for k in rng.choice(len(subjects), 2, replace=False))
        original = drawn[first][int(rng.integers(len(drawn[first])))]
        copies.append(replace(original, path=second.path(taken[second])))
        taken[second] += _CELLS_PER_IMAGE
    return copies


def _next_image(cells: list[_Drawn]) -> int:
    """Return the number of the first cell of the image after the last."""
    return -(-len(cells) // _CELLS_PER_IMAGE) * _CELLS_PER_IMAGE


def _generator(seed: int, *key: int) -> "Generator":
    """Return the generator of a subject (label, id) or of one cell (label, id, cell from 1)."""
    import numpy as np

    # as spawn key, since SeedSequence([1, 2]) equals SeedSequence([1, 2, 0])
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
