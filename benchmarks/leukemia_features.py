"""CPU time of the 15 measurements of a cell: ours, plain scikit-image, mahotas; same images.

    python benchmarks/leukemia_features.py                    # 450 px cells drawn here
    python benchmarks/leukemia_features.py DIRECTORY          # BMPs, or zip archives of them
    python benchmarks/leukemia_features.py DIRECTORY --json

Every time is the processor's, of one thread, decoding included where a row says so; each the best
of several rounds in which all take turns. Texture is compared on the same gray values.
"""

# scikit-image publishes types for a part of its functions only
# mypy: disable-error-code="no-untyped-call"

import argparse
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mahotas
import numpy as np
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.feature import canny, graycomatrix, graycoprops
from skimage.filters import sobel
from skimage.io import imread
from skimage.measure import label, regionprops
from skimage.util import img_as_ubyte

from tissuetrace.imaging.bitmaps import read_bgr
from tissuetrace.imaging.cells import FEATURES, Reading, measure_cell, to_gray
from tissuetrace.imaging.cooccurrence import PROPERTIES, Cooccurrence

SIZE_PX = 450
ANGLES_DEG = (0.0, 45.0, 90.0, 135.0)
GLCM = Cooccurrence(distances=(1,), angles_deg=ANGLES_DEG, levels=256, symmetric=True, normed=True)
CANNY: dict[Reading, tuple[float, float]] = {"image": (100.0, 200.0), "cell": (30.0, 60.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to measure a file.

    Args:
        name: as the table prints it.
        measure: what is timed.
    """

    name: str
    measure: Callable[[Path], object]


def main() -> None:
    """Time all contenders on the same files and print a table, or JSON."""
    arguments = _arguments()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = _images(arguments.directory, Path(folder), count=arguments.images)
        times_ms = _times_ms(CONTENDERS, paths, rounds=arguments.rounds)
        difference = max(_glcm_difference(path) for path in paths)
    ours_ms, scikit_image_ms = times_ms[OURS], times_ms[SCIKIT_IMAGE]
    if arguments.json:
        found = {
            "ours_ms": ours_ms,
            "scikit_image_ms": scikit_image_ms,
            "ratio": scikit_image_ms / ours_ms,
            "glcm_difference": difference,
        }
        print(json.dumps(found, indent=2))
        return
    _print(times_ms, paths=len(paths), difference=difference)


def measure_ours(path: Path, reading: Reading) -> ndarray:
    """Measure all 15 with this package."""
    return measure_cell(
        read_bgr(path),
        reading=reading,
        mask="above_zero",
        aspect_ratio="ellipse",
        blur=0,
        glcm=GLCM,
        canny=CANNY[reading],
    )


def measure_scikit_image(path: Path) -> list[float]:
    """Measure the same 15 as the library's own gallery and documentation do."""
    gray = img_as_ubyte(rgb2gray(imread(path)))
    regions = regionprops(label(gray > 0))
    cell = max(regions, key=lambda region: region.area)
    grays = gray.ravel().astype(float)
    return [
        cell.area,
        cell.perimeter,
        4 * np.pi * cell.area / cell.perimeter**2,
        cell.solidity,
        cell.axis_major_length / cell.axis_minor_length,
        *_graycoprops(gray),
        grays.mean(),
        grays.std(),
        ((grays - grays.mean()) ** 3).mean() / grays.std() ** 3,
        canny(gray).mean(),
        sobel(gray).mean(),
    ]


def measure_mahotas(path: Path) -> ndarray:
    """Haralick's 13 texture features in four directions, without decoding."""
    textures: ndarray = mahotas.features.haralick(_decoded(path))
    return textures


def measure_texture(path: Path) -> list[float]:
    """Five texture properties by scikit-image, without decoding."""
    return _graycoprops(_decoded(path))


OURS = "tissuetrace, 15 features, image reading"
SCIKIT_IMAGE = "scikit-image, 15 features"
CONTENDERS = (
    Contender(name=OURS, measure=lambda path: measure_ours(path, "image")),
    Contender(
        name="tissuetrace, 15 features, cell reading",
        measure=lambda path: measure_ours(path, "cell"),
    ),
    Contender(name=SCIKIT_IMAGE, measure=measure_scikit_image),
    Contender(name="scikit-image, 5 texture properties, no decoding", measure=measure_texture),
    Contender(name="mahotas, 13 texture features, no decoding", measure=measure_mahotas),
)

_GRAYS: dict[Path, ndarray] = {}


def _decoded(path: Path) -> ndarray:
    if path not in _GRAYS:
        _GRAYS[path] = to_gray(read_bgr(path))
    return _GRAYS[path]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "directory", nargs="?", type=Path, help="BMPs, or zip archives of them; else drawn cells"
    )
    parser.add_argument("--images", type=int, default=60, help="how many, spread over all found")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _images(directory: Path | None, folder: Path, *, count: int) -> list[Path]:
    if directory is None:
        return [_draw(folder / f"{seed}.bmp", seed=seed) for seed in range(count)]
    for archive in sorted(directory.rglob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            members = [name for name in opened.namelist() if name.endswith(".bmp")]
            opened.extractall(folder / archive.stem, members=members)
    found = sorted([*directory.rglob("*.bmp"), *folder.rglob("*.bmp")], key=lambda path: path.name)
    if not found:
        raise SystemExit(f"{directory}: no BMP, and no zip archive with one")
    spread = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[index] for index in spread]


def _draw(path: Path, *, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:SIZE_PX, :SIZE_PX] - SIZE_PX / 2
    angle = np.arctan2(row, column)
    waves = rng.normal(0, 0.03, 5)
    outline = 1 + sum(wave * np.cos(k * angle + seed) for k, wave in enumerate(waves, start=2))
    inside = np.hypot(row, column) < 85 * np.exp(rng.normal(0, 0.15)) * outline
    chromatin = ndimage.gaussian_filter(rng.normal(size=row.shape), 3)
    gray = 110 + 14 * chromatin / chromatin.std() + rng.normal(0, 2, row.shape)
    bgr = gray[..., None] * np.array([1.0, 0.5, 0.8])
    frame = np.where(inside[..., None], bgr.clip(8, 250), 0).round().astype(np.uint8)
    cv2.imwrite(str(path), frame)
    return path


def _times_ms(
    contenders: Sequence[Contender], paths: Sequence[Path], *, rounds: int
) -> dict[str, float]:
    for contender in contenders:
        for path in paths[:2]:
            contender.measure(path)  # compiled, imported and cached before the clock starts
    for path in paths:
        _decoded(path)
    taken: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            start = time.process_time()
            for path in paths:
                contender.measure(path)
            taken[contender.name].append((time.process_time() - start) / len(paths) * 1e3)
    return {name: min(times) for name, times in taken.items()}


def _glcm_difference(path: Path) -> float:
    first = FEATURES.index("glcm_contrast")
    ours = measure_ours(path, "image")[first : first + len(PROPERTIES)]
    theirs = np.array(_graycoprops(_decoded(path)))
    return float((abs(ours - theirs) / abs(theirs)).max())


def _graycoprops(gray: ndarray) -> list[float]:
    matrices = graycomatrix(
        gray, [1], np.radians(ANGLES_DEG), levels=256, symmetric=True, normed=True
    )
    return [float(graycoprops(matrices, name).mean()) for name in PROPERTIES]


def _print(times_ms: dict[str, float], *, paths: int, difference: float) -> None:
    table = Table(title=f"CPU time per image, one thread, {paths} images of {SIZE_PX} px")
    table.add_column("what")
    table.add_column("ms", justify="right")
    table.add_column("times ours", justify="right")
    for name, taken_ms in times_ms.items():
        table.add_row(name, f"{taken_ms:.2f}", f"{taken_ms / times_ms[OURS]:.1f}")
    console = Console()
    console.print(table)
    console.print(f"largest relative difference of a texture property: {difference:.1e}")


if __name__ == "__main__":
    main()
