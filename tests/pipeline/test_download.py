import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken_server import MOST_BYTES, Manner, Server, serve

import tissuetrace.pipeline.download as module
from tissuetrace.pipeline.download import download
from tissuetrace.pipeline.errors import InputError

CONTENT = bytes(range(256)) * 1200  # 300 KiB


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "_SILENCE_S", 0.3)
    with serve() as served:
        served.files["/a.bmp"] = CONTENT
        yield served


def get(server: Server, folder: Path, content: bytes = CONTENT) -> Path:
    url = f"{server.url}/a.bmp"
    return download(url, folder, sha256=sha256(content), size=len(content))


def test_a_file_arrives_whole_under_its_checksum(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path)

    assert path == tmp_path / sha256(CONTENT)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_arrives(server: Server, tmp_path: Path) -> None:
    server.files["/a.bmp"] = b""

    assert get(server, tmp_path, b"").read_bytes() == b""


def test_what_is_here_already_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    get(server, tmp_path)

    assert len(server.asked) == 1


def test_a_file_that_was_spoilt_here_is_loaded_again(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path).write_bytes(b"spoilt")

    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.manners = ["breaks_off", "well"]

    path = get(server, tmp_path)

    assert path.read_bytes() == CONTENT
    assert server.ranges == ["", f"bytes={len(CONTENT) // 2}-"]
    assert server.asked[1][1]["If-Range"] == server.tag


def test_a_download_goes_on_in_another_process(server: Server, tmp_path: Path) -> None:
    server.manners = ["breaks_off", "absent"]
    with pytest.raises(InputError, match="404"):
        get(server, tmp_path)
    server.manners = ["well"]

    path = get(server, tmp_path)

    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={len(CONTENT) // 2}-"


def test_only_the_missing_bytes_travel_again(server: Server, tmp_path: Path) -> None:
    server.part = 0.3
    server.manners = ["breaks_off"]

    get(server, tmp_path)

    step = int(len(CONTENT) * 0.3)
    assert server.ranges == ["", *(f"bytes={step * count}-" for count in (1, 2, 3))]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_validator_the_checksum_alone_decides(
    server: Server, tmp_path: Path, tag: str
) -> None:
    server.tag = tag
    server.manners = ["breaks_off", "well"]

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert "If-Range" not in server.asked[1][1]
    assert server.ranges[1]


def test_a_server_that_ignores_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.manners = ["breaks_off", "no_ranges"]

    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("manner", ["wrong_range", "refuses_range"])
def test_a_range_that_was_not_asked_for_starts_anew(
    server: Server, tmp_path: Path, manner: Manner
) -> None:
    server.manners = ["breaks_off", manner, "well"]

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["", f"bytes={len(CONTENT) // 2}-", ""]


def test_a_file_that_changed_meanwhile_is_loaded_anew(server: Server, tmp_path: Path) -> None:
    server.files["/a.bmp"] = b"x" * len(CONTENT)
    server.manners = ["breaks_off", "absent"]
    with pytest.raises(InputError):
        get(server, tmp_path)
    server.files["/a.bmp"] = CONTENT
    server.manners, server.tag = ["well"], '"two"'

    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_patchwork_of_two_versions_is_loaded_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{sha256(CONTENT)}.part").write_bytes(b"x" * 1000)

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", ""]


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{sha256(CONTENT)}.part").write_bytes(CONTENT + b"x")

    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [""]


def test_a_wrong_checksum_is_refused_and_nothing_stays(server: Server, tmp_path: Path) -> None:
    server.files["/a.bmp"] = b"y" * len(CONTENT)

    with pytest.raises(InputError, match=f"checksum found .*, expected {sha256(CONTENT)}"):
        get(server, tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("too_short", f"offers {len(CONTENT) // 2} bytes, expected {len(CONTENT)}"),
        ("too_long", f"offers {len(CONTENT) + 9} bytes, expected {len(CONTENT)}"),
        ("endless", f"sends more than {len(CONTENT)} bytes"),
        ("absent", "answers 404"),
        ("gone_to_ftp", "no address to load from"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused_at_once(
    server: Server, tmp_path: Path, manner: Manner, reason: str
) -> None:
    server.manners = [manner]

    with pytest.raises(InputError, match=reason):
        get(server, tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_an_endless_answer_is_cut(server: Server, tmp_path: Path) -> None:
    server.manners = ["endless"]

    with pytest.raises(InputError):
        get(server, tmp_path)

    assert server.endless_bytes < MOST_BYTES


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("breaks_off_no_ranges", "the connection was lost"),
        ("busy", "status 503"),
        ("silent", "no answer in time"),
    ],
)
def test_attempts_that_bring_nothing_new_end(
    server: Server, tmp_path: Path, manner: Manner, reason: str
) -> None:
    server.manners = [manner]

    with pytest.raises(InputError, match=f"broke off 5 times in a row, last: {reason}"):
        get(server, tmp_path)

    assert len(server.asked) <= 6


def test_a_server_that_forgets_and_begins_anew_again_and_again_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORTH_BYTES", 1000)
    server.manners = ["breaks_off", "refuses_range"] * 20

    with pytest.raises(InputError, match="broke off 5 times"):
        get(server, tmp_path)

    assert len(server.asked) < 12


def test_a_server_that_passes_through_a_bad_moment_is_forgiven(
    server: Server, tmp_path: Path
) -> None:
    server.manners = ["busy", "silent", "well"]

    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("server")
def test_no_server_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the connection was lost"):
        download("http://127.0.0.1:9/a.bmp", tmp_path, sha256="0" * 64, size=3)


def test_compressed_transport_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)

    assert server.asked[0][1]["Accept-Encoding"] == "identity"
