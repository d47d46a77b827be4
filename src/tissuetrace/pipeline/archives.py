"""Zip archives from elsewhere: which members are safe to read, and their bytes under a cap."""

import contextlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tissuetrace.pipeline.errors import InputError

__all__ = ["CHUNK_BYTES", "LIMITS", "Archive", "Limits", "Member", "open_archive", "path_mistake"]

CHUNK_BYTES = 1 << 20

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may grow to; beyond it is taken for a bomb.

    Args:
        ratio: bytes unpacked per byte packed, over the whole archive.
        harmless_bytes: below this the ratio does not count; a black frame shrinks 1,000-fold.
        total_bytes: unpacked, over the whole archive.
        members: number of files.
    """

    ratio: float
    harmless_bytes: int
    total_bytes: int
    members: int


# images in colour shrink 2- to 20-fold; deflate itself ends at 1,032
LIMITS = Limits(ratio=250.0, harmless_bytes=64 << 20, total_bytes=1 << 40, members=2_000_000)


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive.

    Args:
        path: relative, with `/`, without `.` and empty parts.
        info: as the archive's directory describes it.
    """

    path: str
    info: zipfile.ZipInfo

    @property
    def size(self) -> int:
        """Bytes after unpacking, as declared; reading stops there."""
        return self.info.file_size


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive whose members were checked; threads may read from it at once."""

    name: str
    members: Sequence[Member]
    _zip: zipfile.ZipFile

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Unpack one member piece by piece.

        Raises:
            InputError: the member is corrupt, or longer or shorter than declared.
        """
        where = f"{self.name}!{member.path}"
        with _readable(where):
            file = self._zip.open(member.info)
        left = member.size
        with file:
            while True:
                with _readable(where):
                    chunk = file.read(CHUNK_BYTES)
                if not chunk:
                    break
                left -= len(chunk)
                yield chunk
        if left:
            raise _corrupt(where, f"found {member.size - left} bytes, expected {member.size}")


def path_mistake(path: str) -> str | None:
    """Say why a relative path is not safe to write to, or nothing where it is.

    Args:
        path: as an archive, a manifest or a folder gives it, with `/` between its parts.
    """
    if not path.isprintable():
        return "holds an unprintable character"
    if "\\" in path:
        return "holds a backslash"
    if path.startswith("/"):
        return "is absolute"
    if _DRIVE.match(path):
        return "starts with a drive letter"
    if ".." in path.split("/"):
        return "climbs out with .."
    return None if PurePosixPath(path).name else "is empty"


@contextlib.contextmanager
def open_archive(
    path: Path, *, name: str, wanted: Callable[[str], bool], limits: Limits = LIMITS
) -> Iterator[Archive]:
    """Open a zip archive after checking its directory; nothing is unpacked yet.

    Args:
        path: of the archive.
        name: to call it by in messages.
        wanted: whether a member is to be read, by its path. Members that climb out refuse the
            whole archive, wanted or not; encrypted ones and links only where they are wanted.
        limits: above which the archive is taken for a bomb.

    Yields:
        The archive; its members are all files, wanted or not, in the order of their paths.

    Raises:
        InputError: it is corrupt or a bomb, or a member climbs out, is encrypted or a link.
    """
    with _readable(name):
        opened = zipfile.ZipFile(path)
    with opened:
        infos = [info for info in opened.infolist() if not info.is_dir()]
        _check_names(opened.infolist(), name)
        _check_limits(infos, path.stat().st_size, name, limits)
        members = [Member(PurePosixPath(info.filename).as_posix(), info) for info in infos]
        _check_kinds([member for member in members if wanted(member.path)], name)
        yield Archive(name, sorted(members, key=lambda member: member.path), opened)


def _check_names(infos: Sequence[zipfile.ZipInfo], name: str) -> None:
    # orig_filename is what stands in the file; zipfile cuts filename at a NUL
    found = {info.orig_filename: path_mistake(info.orig_filename) for info in infos}
    mistakes = [f"{path!r} {mistake}" for path, mistake in found.items() if mistake]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} member paths are refused",
            where=name,
            todo="Do not unpack it; ask its author",
            items=mistakes[:20],
        )


def _check_limits(
    infos: Sequence[zipfile.ZipInfo], archive_bytes: int, name: str, limits: Limits
) -> None:
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    mistake = ""
    if len(infos) > limits.members:
        mistake = f"found {len(infos)} members, expected at most {limits.members}"
    elif packed > archive_bytes:
        mistake = f"members overlap: {packed} packed bytes in a file of {archive_bytes}"
    elif total > limits.total_bytes:
        mistake = f"would unpack to {total} bytes, expected at most {limits.total_bytes}"
    elif total > max(limits.harmless_bytes, limits.ratio * archive_bytes):
        mistake = (
            f"would unpack {total / archive_bytes:.0f}-fold to {total} bytes, "
            f"expected at most {limits.ratio:g}-fold"
        )
    if mistake:
        raise InputError(
            f"archive bomb: {mistake}",
            where=name,
            todo="If you trust it, unpack it by hand and name the folder as the source",
        )


def _check_kinds(members: Sequence[Member], name: str) -> None:
    mistakes = [
        f"{member.path}: {mistake}" for member in members if (mistake := _kind_mistake(member))
    ]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} members cannot be read",
            where=name,
            todo="Pack plain files without a password",
            items=mistakes[:20],
        )


def _kind_mistake(member: Member) -> str | None:
    if member.info.flag_bits & 0x1:
        return "is encrypted"
    kind = stat.S_IFMT(member.info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link, which may point outside"
    return None if kind in {0, stat.S_IFREG} else "is no plain file"


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as found:
        raise _corrupt(where, str(found)) from found
    except OSError as found:  # bz2 says "Invalid data stream" without a number
        raise _corrupt(where, found.strerror or str(found)) from found


def _corrupt(where: str, reason: str) -> InputError:
    return InputError(f"cannot be unpacked ({reason})", where=where, todo="Download it again")
