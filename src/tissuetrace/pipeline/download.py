"""Downloads that go on where they broke off, and count only when their SHA-256 is right.

pooch knows files that are already here and checks what comes in, but begins every attempt from
zero; the downloader that it is given here keeps a `.part` file and asks for the rest.
"""

import functools
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tissuetrace.pipeline.archives import CHUNK_BYTES
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.listings import file_chunks, sha256_of
from tissuetrace.pipeline.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

__all__ = ["download"]

_ATTEMPTS = 5  # in a row that bring less than _WORTH_BYTES
_WORTH_BYTES = 1 << 20
_PAUSE_S = 1.0
_CONNECT_S = 10.0
_SILENCE_S = 60.0
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}

Bar = Literal["drawn", "hidden"]


def download(url: str, folder: Path, *, sha256: str, size: int, bar: Bar = "drawn") -> Path:
    """Fetch one file into a folder, under its SHA-256 as name.

    What an earlier, broken attempt has left in the folder is gone on with.

    Args:
        url: http or https.
        folder: outlives a failure; holds the `.part` file meanwhile.
        sha256: of the whole file.
        size: of the whole file, in bytes; never more is read.
        bar: whether progress is drawn; several downloads at once share one bar of their caller.

    Raises:
        InputError: the server does not have it, offers another length, breaks off again and
            again, or the checksum is wrong.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # else a line for every file
    wanted = _Wanted(url, folder / f"{sha256}.part", sha256, size, bar)
    path = pooch.retrieve(
        url,
        known_hash=f"sha256:{sha256}",
        fname=sha256,
        path=folder,
        downloader=functools.partial(_resume, wanted),
    )
    return Path(path)


@dataclass(frozen=True, slots=True)
class _Wanted:
    url: str
    part: Path
    sha256: str
    size: int
    bar: Bar

    @property
    def validator(self) -> Path:
        """File with the ETag or date that the `.part` was begun under."""
        return self.part.with_suffix(".validator")

    @property
    def done_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        """Drop what was downloaded so far."""
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)

    def refusal(self, found: str, todo: str) -> InputError:
        return InputError(found, where=self.url, todo=todo)


class _BrokenOffError(Exception):
    """An attempt ended early in a way that another attempt may mend."""


def _resume(wanted: _Wanted, _url: str, output_file: str, _pooch: object) -> None:
    """Write the whole file to `output_file`; pooch calls this."""
    was_resumed = wanted.done_bytes > 0
    was_resumed |= _complete(wanted) > 1
    found = sha256_of(file_chunks(wanted.part))
    if found != wanted.sha256 and was_resumed:
        # the rest may have come from another version of the file: once more from zero
        wanted.forget()
        _complete(wanted)
        found = sha256_of(file_chunks(wanted.part))
    if found != wanted.sha256:
        wanted.forget()
        raise wanted.refusal(
            f"checksum found {found}, expected {wanted.sha256}",
            "Correct the manifest, or ask who serves the file",
        )
    wanted.part.replace(output_file)
    wanted.forget()


def _complete(wanted: _Wanted) -> int:
    """Attempt until the `.part` has its full length; return the number of attempts."""
    attempts = fruitless = 0
    furthest = wanted.done_bytes
    while wanted.done_bytes != wanted.size or not wanted.part.exists():
        attempts += 1
        try:
            _attempt(wanted)
        except _BrokenOffError as problem:
            gained = wanted.done_bytes - furthest
            fruitless = 0 if gained >= _WORTH_BYTES else fruitless + 1
            furthest += max(gained, 0)
            if fruitless == _ATTEMPTS:
                raise wanted.refusal(
                    f"broke off {fruitless} times in a row, last: {problem}; "
                    f"{wanted.done_bytes} of {wanted.size} bytes are here",
                    "Run it again later: it goes on from there",
                ) from problem
            time.sleep(_PAUSE_S * fruitless)
    return attempts


def _attempt(wanted: _Wanted) -> None:
    import requests
    import urllib3

    try:
        with requests.get(
            wanted.url,
            headers=_headers(wanted),
            stream=True,
            timeout=(_CONNECT_S, _SILENCE_S),
        ) as answer:
            start = _start(wanted, answer)
            if start is not None:
                _store(wanted, answer, start)
    except (requests.exceptions.InvalidSchema, ValueError) as problem:
        raise wanted.refusal(f"no address to load from ({problem})", "Correct it") from problem
    except requests.exceptions.SSLError as problem:
        raise _BrokenOffError("the certificate is not trusted") from problem
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as problem:
        raise _BrokenOffError("no answer in time") from problem
    except (requests.RequestException, urllib3.exceptions.HTTPError) as problem:
        raise _BrokenOffError("the connection was lost") from problem
    if wanted.done_bytes < wanted.size:
        raise _BrokenOffError("the answer ended early")


def _headers(wanted: _Wanted) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}  # the checksum is of the file as it is stored
    done = wanted.done_bytes
    if done > wanted.size:
        wanted.forget()
    elif done:
        headers["Range"] = f"bytes={done}-"
        if wanted.validator.exists():
            headers["If-Range"] = wanted.validator.read_text(encoding="latin-1")
    return headers


def _start(wanted: _Wanted, answer: "requests.Response") -> int | None:
    """Return the byte at which the answer begins, or nothing where it is no part of the file."""
    status = answer.status_code
    if status == HTTPStatus.PARTIAL_CONTENT:
        unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
        start, _, _ = rest.partition("-")
        _check_length(wanted, rest.rpartition("/")[2])
        if unit == "bytes" and start == str(wanted.done_bytes):
            return wanted.done_bytes
    elif status == HTTPStatus.OK:  # no ranges here, or the file has changed
        _check_length(wanted, answer.headers.get("Content-Length", ""))
        return 0
    elif status in _PASSING:
        raise _BrokenOffError(f"status {status}")
    elif status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise wanted.refusal(f"the server answers {status} {answer.reason}", "Correct the address")
    wanted.forget()
    raise _BrokenOffError(f"status {status} with a range that was not asked for")


def _check_length(wanted: _Wanted, found: str) -> None:
    if found.isdecimal() and int(found) != wanted.size:
        wanted.forget()
        raise wanted.refusal(
            f"the server offers {found} bytes, expected {wanted.size}",
            "Correct the manifest, or ask who serves the file",
        )


def _store(wanted: _Wanted, answer: "requests.Response", start: int) -> None:
    validator = _strong_validator(answer)
    if start == 0:
        wanted.forget()
        if validator:
            wanted.validator.write_text(validator, encoding="latin-1")
    count = -(-(wanted.size - start) // CHUNK_BYTES)
    chunks: Iterator[bytes] = answer.raw.stream(CHUNK_BYTES, decode_content=False)
    title = f"downloading {wanted.url.rpartition('/')[2]}"
    shown = progress(chunks, title=title, total=count) if wanted.bar == "drawn" else chunks
    with wanted.part.open("ab") as file:
        for chunk in shown:
            start += len(chunk)
            if start > wanted.size:
                break
            file.write(chunk)
    if start > wanted.size:
        wanted.forget()
        raise wanted.refusal(
            f"the server sends more than {wanted.size} bytes",
            "Correct the manifest, or ask who serves the file",
        )


def _strong_validator(answer: "requests.Response") -> str:
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # a weak one must not stand in If-Range
        return tag
    return answer.headers.get("Last-Modified", "")
