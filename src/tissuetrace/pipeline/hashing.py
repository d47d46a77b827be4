"""Checksums of files and folders: DVC's md5 and our SHA-256."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Digest", "digest", "files_below", "sha256_of_bytes"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """Checksums of a file or folder.

    Args:
        md5: as `dvc.lock` prints it; of a folder it ends on `.dir`.
        sha256: of the content; of a folder, over its sorted relative names and contents.
        size: bytes in all.
    """

    md5: str
    sha256: str
    size: int


def digest(path: Path) -> Digest:
    """Hash a file, or every file below a folder.

    Raises:
        FileNotFoundError: there is nothing at the path.
    """
    if path.is_dir():
        return _digest_folder(path)
    return _digest_file(path)


def files_below(folder: Path) -> list[Path]:
    """Return every file below a folder, sorted by relative name."""
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: path.relative_to(folder).as_posix(),
    )


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _digest_file(path: Path) -> Digest:
    md5 = hashlib.md5(usedforsecurity=False)  # what DVC names its objects by
    sha256 = hashlib.sha256()
    size = 0
    for chunk in _chunks(path):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Digest(md5.hexdigest(), sha256.hexdigest(), size)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _digest_folder(folder: Path) -> Digest:
    paths = files_below(folder)
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter's lock
        digests = list(pool.map(_digest_file, paths))
    names = [path.relative_to(folder).as_posix() for path in paths]
    members = list(zip(names, digests, strict=True))
    # the JSON that DVC hashes, to the letter
    listing = [{"md5": digest.md5, "relpath": name} for name, digest in members]
    lines = "".join(f"{digest.sha256}  {name}\n" for name, digest in members)
    return Digest(
        hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest() + ".dir",
        sha256_of_bytes(lines.encode()),
        sum(digest.size for digest in digests),
    )
