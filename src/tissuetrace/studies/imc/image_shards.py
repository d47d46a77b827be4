"""One shard per image: counts with channel names, and its row of the cohort's table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from tissuetrace.imaging.acquisitions import (
    Acquisition,
    counts_sha256,
    read_acquisition,
    source_files,
)
from tissuetrace.imaging.array_files import write_arrays
from tissuetrace.imaging.compensation import Spillover, compensate, read_spillover
from tissuetrace.imaging.ion_images import read_mask
from tissuetrace.imaging.panels import Panel, read_panel
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.hashing import digest, sha256_of_bytes
from tissuetrace.pipeline.keeping import KEYS_FILE, FreshShard
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.studies.imc.image_table import ListedImage

if TYPE_CHECKING:
    from tissuetrace.studies.imc.ingest import Ingest

__all__ = [
    "CohortTables",
    "Refusal",
    "deviating",
    "library_versions",
    "listed_twice",
    "made_from",
    "make_shards",
    "read_rows",
]

_LIBRARIES = ("imagecodecs", "numpy", "readimc", "tifffile")

_PX_WITHIN = 0.01  # share by which a file and params.yaml may differ in the size of a pixel
_BATCH_BYTES = 200_000_000  # read in one worker's turn; starting a process takes as long


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortTables:
    """What a cohort's folder says of all its images.

    Args:
        folder: of the cohort.
        panel: from `panel.csv`.
        spillover: from `spillover.csv`, where it is to be used.
    """

    folder: Path
    panel: Panel | None
    spillover: Spillover | None

    @classmethod
    def read(cls, folder: Path, settings: "Ingest") -> "CohortTables":
        """Read both tables.

        Raises:
            InputError: one of them is wrong, or no spillover is there though it is to be used.
        """
        panel, spillover = _tables_of(folder)
        return cls(
            folder=folder,
            panel=read_panel(panel) if panel.exists() else None,
            spillover=read_spillover(spillover) if settings.compensate == "matrix" else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An acquisition that cannot be used.

    Args:
        image: its name.
        file: as the table of images has it.
        acquisition: as above.
        reason: one line, with the file's name and the channel.
    """

    image: str
    file: str
    acquisition: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    shard: FreshShard
    image: ListedImage
    tables: CohortTables
    px_um: float
    settings: "Ingest"
    size: int


def made_from(images: Iterable[ListedImage], folder: Path) -> dict[str, list[str]]:
    """Return name of each image → its row and checksums of all files that it is made from."""
    known: dict[Path, str] = {}
    found = {}
    for image in images:
        files = [folder / mask for mask in (image.tissue_mask, image.tumour_mask) if mask]
        files += source_files(folder / image.file)
        files += [path for path in _tables_of(folder) if path.exists()]
        known |= {path: digest(path).sha256 for path in files if path not in known}
        names = [f"{path.relative_to(folder).as_posix()} {known[path]}" for path in sorted(files)]
        found[image.image] = [sha256_of_bytes(repr(image).encode()), *names]
    return found


def make_shards(
    fresh: Sequence[FreshShard],
    images: Mapping[str, ListedImage],
    tables: CohortTables,
    *,
    px_um: float,
    settings: "Ingest",
) -> tuple[list[Refusal], list[dict[str, Any]]]:
    """Read and write the images that have changed; return what was refused, and their rows."""
    jobs = [
        _Job(
            shard=shard,
            image=images[shard.name],
            tables=tables,
            px_um=px_um,
            settings=settings,
            size=_bytes_of(tables.folder / images[shard.name].file),
        )
        for shard in fresh
    ]
    done = parallel_map(_make_batch, list(_batches(jobs)), title="reading images")
    results = [result for batch in done for result in batch]
    refused = [result for result in results if isinstance(result, Refusal)]
    return refused, [result for result in results if not isinstance(result, Refusal)]


def library_versions() -> dict[str, str]:
    """Return versions of the libraries that decode images."""
    return {name: version(name) for name in _LIBRARIES}


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of all shards, sorted by image, without opening an image."""
    paths = sorted(path for path in folder.glob("*.json") if path.name != KEYS_FILE)
    return sorted((read_json(path) for path in paths), key=lambda row: str(row["image"]))


def deviating(rows: Sequence[Mapping[str, Any]]) -> list[Refusal]:
    """Return the images whose channels are not those of most images of the cohort."""
    sets = [frozenset(row["channels"]) for row in rows]
    if len(set(sets)) < 2:  # noqa: PLR2004  # one set of channels, or no image
        return []
    usual = max(Counter(sets).items(), key=lambda pair: (pair[1], -sets.index(pair[0])))[0]
    return [
        _refusal(row, f"{row['file']}: {_difference(set(row['channels']), set(usual))}")
        for row, channels in zip(rows, sets, strict=True)
        if channels != usual
    ]


def listed_twice(rows: Sequence[Mapping[str, Any]]) -> list[Refusal]:
    """Return the images that hold the same counts as another: one acquisition under two names.

    All of them, since nobody knows whose the acquisition is; under two subjects it would stand in
    training and test.
    """
    times = Counter(row["counts_sha256"] for row in rows if row["counts_sha256"])
    refused = []
    for row in rows:
        if times[row["counts_sha256"]] > 1:
            alike = [one for one in rows if one["counts_sha256"] == row["counts_sha256"]]
            named = ", ".join(f"{one['image']} ({_source(one)})" for one in alike if one is not row)
            refused.append(_refusal(row, f"{_source(row)}: the same counts as image {named}"))
    return refused


def _source(row: Mapping[str, Any]) -> str:
    return ", acquisition ".join(filter(None, (row["file"], row["acquisition"])))


def _refusal(row: Mapping[str, Any], reason: str) -> Refusal:
    return Refusal(
        image=row["image"], file=row["file"], acquisition=row["acquisition"], reason=reason
    )


def _difference(found: set[str], usual: set[str]) -> str:
    lacking, extra = sorted(usual - found), sorted(found - usual)
    return (
        f"channels missing: {', '.join(lacking) or 'none'}; extra: {', '.join(extra) or 'none'} "
        f"(found {', '.join(sorted(found))}; most images of the cohort have "
        f"{', '.join(sorted(usual))})"
    )


def _tables_of(folder: Path) -> tuple[Path, Path]:
    return folder / "panel.csv", folder / "spillover.csv"


def _bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


def _batches(jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
    batch: list[_Job] = []
    for job in jobs:
        if batch and sum(one.size for one in batch) + job.size > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _make_batch(jobs: Sequence[_Job]) -> list[Refusal | dict[str, Any]]:
    return [_make(job) for job in jobs]


def _make(job: _Job) -> Refusal | dict[str, Any]:
    """Read one image and write its shard; what is wrong with it comes back as a value."""
    image, folder = job.image, job.tables.folder
    try:
        found = read_acquisition(
            folder / image.file,
            acquisition=image.acquisition,
            panel=job.tables.panel,
            partial=job.settings.partial,
        )
        _check_px(found, job)
        arrays = _arrays(found, job)
    except InputError as problem:
        return _refusal(asdict(image), " ".join(str(problem).split()))
    row = _row(found, image, arrays, job.px_um)
    with job.shard.writing() as place:
        write_arrays(place / f"{image.image}.npz", arrays)
        write_json(row, place / f"{image.image}.json")
    return row


def _check_px(found: Acquisition, job: _Job) -> None:
    if found.px_um is not None and abs(found.px_um - job.px_um) > _PX_WITHIN * job.px_um:
        raise InputError(
            f"the file says {found.px_um:g} µm a pixel, params.yaml {job.px_um:g}",
            where=job.image.file,
            todo="Correct px_um of the cohort",
        )


def _arrays(found: Acquisition, job: _Job) -> dict[str, ndarray]:
    x = found.x
    if job.tables.spillover is not None:
        x = compensate(x, names=found.names, metals=found.metals, spillover=job.tables.spillover)
    if job.settings.clip is not None:
        x = np.minimum(x, np.float32(job.settings.clip))
    # the cohort's: patches of one size in px are of one size in µm
    px_um = np.array(job.px_um, dtype=np.float64)
    arrays = {"x": x, "names": np.array(found.names), "px_um": px_um}
    height, width = found.acquired.shape
    for name in ("tissue", "tumour"):
        mask = getattr(job.image, f"{name}_mask")
        if mask:
            arrays[name] = read_mask(job.tables.folder / mask, height=height, width=width)
    if found.missing:
        arrays["acquired"] = found.acquired
        arrays["tissue"] = found.acquired & arrays.get("tissue", np.True_)
    return arrays


def _row(
    found: Acquisition, image: ListedImage, arrays: Mapping[str, ndarray], px_um: float
) -> dict[str, Any]:
    empty = [
        name for name, counts in zip(found.names, arrays["x"], strict=True) if not counts.any()
    ]
    return {
        "image": image.image,
        "subject": image.subject,
        "file": image.file,
        "acquisition": image.acquisition,
        "recovered": found.recovered,
        "height": arrays["x"].shape[1],
        "width": arrays["x"].shape[2],
        "px_um": px_um,
        "missing": found.missing,
        "channels": list(found.names),
        "counts_sha256": counts_sha256(found),
        "empty_channels": empty,
        "remarks": list(found.remarks),
    }
