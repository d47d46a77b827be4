"""What git remembers of every output: the checksums that the spine wrote when a stage finished.

`dvc commit` writes whatever lies in the workspace into `dvc.lock`; it leaves these alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.stage import Reproducibility

__all__ = ["Recorded", "read_checksums", "write_checksums"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One output as its stage left it.

    Args:
        stage: name of the file that says so, `stage` or `stage@variant`.
        md5: as `dvc.lock` prints it.
        sha256: of the content.
    """

    stage: str
    md5: str
    sha256: str


def write_checksums(outputs: Mapping[str, tuple[Path, Reproducibility]], target: Path) -> None:
    """Write class, md5 and SHA-256 of a stage's outputs.

    Args:
        outputs: final path → where the output lies now, and its class.
        target: the JSON file.
    """
    found = {}
    for path, (place, kind) in outputs.items():
        hashes = digest(place)
        found[path] = {"class": kind, "md5": hashes.md5, "sha256": hashes.sha256}
    write_json(found, target)


def read_checksums(study: str, root: Path) -> dict[str, Recorded]:
    """Return what is recorded of a study's outputs, by path.

    Raises:
        InputError: a file is not of the form that `write_checksums` gives it.
    """
    recorded = {}
    for file in sorted((root / "metrics" / study / "checksums").glob("*.json")):
        try:
            for path, hashes in read_json(file).items():
                recorded[path] = Recorded(file.stem, hashes["md5"], hashes["sha256"])
        except (AttributeError, KeyError, TypeError) as problem:
            raise InputError(
                "is no list of checksums",
                where=str(file.relative_to(root)),
                todo=f"git checkout it, or run tissuetrace repro {study}",
            ) from problem
    return recorded
