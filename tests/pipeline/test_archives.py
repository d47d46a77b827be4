import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tissuetrace.pipeline.archives import LIMITS, Limits, open_archive, path_mistake
from tissuetrace.pipeline.errors import InputError


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "cells.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in members.items():
            # ZipInfo keeps a name that ZipFile.write would clean
            written.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def contents(path: Path, *, limits: Limits = LIMITS) -> dict[str, bytes]:
    with open_archive(path, name=path.name, wanted=lambda _: True, limits=limits) as opened:
        return {member.path: b"".join(opened.chunks(member)) for member in opened.members}


def test_members_come_back_byte_by_byte_in_the_order_of_their_paths(tmp_path: Path) -> None:
    members = {"b/2.bmp": bytes(range(256)) * 9000, "b/10.bmp": b"", "a.bmp": b"one"}

    found = contents(archive(tmp_path, members))

    assert found == members
    assert list(found) == ["a.bmp", "b/10.bmp", "b/2.bmp"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("../x.bmp", ".."),
        ("a/../../x.bmp", ".."),
        ("a/..", ".."),
        ("a\\..\\x.bmp", "backslash"),
        ("\\\\host\\x.bmp", "backslash"),
        ("C:/x.bmp", "drive"),
        ("c:x.bmp", "drive"),
        ("a/x\x00.bmp", "unprintable"),
        ("a/x\n.bmp", "unprintable"),
        ("", "empty"),
        ("./", "empty"),
    ],
)
def test_a_path_that_climbs_out_is_named_with_its_reason(path: str, reason: str) -> None:
    assert reason in (path_mistake(path) or "")


@pytest.mark.parametrize("path", ["x.bmp", "a/b c/ü.bmp", "a/..b/x..bmp", "./a/x.bmp", "~/x.bmp"])
def test_a_path_that_stays_inside_is_let_through(path: str) -> None:
    assert path_mistake(path) is None


@pytest.mark.parametrize("name", ["/x.bmp", "../x.bmp", "a/../../x.bmp", "a\\x.bmp", "C:/x.bmp"])
def test_one_member_that_climbs_out_refuses_the_archive_wanted_or_not(
    tmp_path: Path, name: str
) -> None:
    path = archive(tmp_path, {"good.bmp": b"good", name: b"bad"})

    with (
        pytest.raises(InputError, match="member paths are refused"),
        open_archive(path, name="cells.zip", wanted=lambda member: member == "good.bmp"),
    ):
        pass


def test_all_members_that_climb_out_are_listed(tmp_path: Path) -> None:
    path = archive(tmp_path, {"../1.bmp": b"", "../2.bmp": b"", "good.bmp": b""})

    with pytest.raises(InputError, match=r"2 member paths(?s:.*)\.\./1(?s:.*)\.\./2"):
        contents(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "no plain"), (stat.S_IFCHR, "no plain")],
)
def test_a_member_that_is_no_plain_file_is_refused_where_it_is_wanted(
    tmp_path: Path, kind: int, reason: str
) -> None:
    path = tmp_path / "cells.zip"
    with zipfile.ZipFile(path, "w") as written:
        link = zipfile.ZipInfo("link.bmp")
        link.external_attr = (kind | 0o777) << 16
        written.writestr(link, "/etc/passwd")
        written.writestr("good.bmp", b"good")

    with pytest.raises(InputError, match=rf"link\.bmp: is {reason}"):
        contents(path)
    with open_archive(path, name="x", wanted=lambda member: member == "good.bmp") as opened:
        assert b"".join(opened.chunks(opened.members[0])) == b"good"


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.bmp": b"secret"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"a\.bmp: is encrypted"):
        contents(path)


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_a_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.bmp": bytes(5_000_000)})
    limits = Limits(ratio=250, harmless_bytes=1_000_000, total_bytes=1 << 40, members=10)

    with pytest.raises(InputError, match=r"archive bomb: would unpack .*-fold to 5000000 bytes"):
        contents(path, limits=limits)


def test_a_black_frame_is_no_bomb_however_well_it_packs(tmp_path: Path) -> None:
    path = archive(tmp_path, {"black.bmp": bytes(608_454)})

    assert path.stat().st_size * 250 < 608_454
    assert len(contents(path)["black.bmp"]) == 608_454


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(ratio=9e9, harmless_bytes=0, total_bytes=5, members=10), "at most 5"),
        (Limits(ratio=9e9, harmless_bytes=0, total_bytes=99, members=1), "found 2 members"),
    ],
)
def test_too_many_bytes_or_members_are_a_bomb(tmp_path: Path, limits: Limits, reason: str) -> None:
    with pytest.raises(InputError, match=f"archive bomb.*{reason}"):
        contents(archive(tmp_path, {"a": b"abc", "b": b"abc"}), limits=limits)


def test_members_that_share_their_packed_bytes_are_a_bomb(tmp_path: Path) -> None:
    written = archive(tmp_path, {"a.bmp": bytes(range(250)) * 4}).read_bytes()
    start = written.index(b"PK\x01\x02")
    end = written.index(b"PK\x05\x06")
    directory = written[start:end]
    count = 1000
    tail = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory) * count, start, 0
    )
    # a packed length as large as the file itself, a thousand times
    directory = directory[:20] + struct.pack("<L", 5_000_000) + directory[24:]
    path = tmp_path / "quine.zip"
    path.write_bytes(written[:start] + directory * count + tail)

    with pytest.raises(InputError, match="archive bomb: members overlap"):
        contents(path)


def test_a_member_longer_than_declared_is_cut_and_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.bmp": bytes(300_000)})
    declared, lie = struct.pack("<L", 300_000), struct.pack("<L", 10)
    path.write_bytes(path.read_bytes().replace(declared, lie))

    with pytest.raises(InputError, match=r"cells\.zip!a\.bmp: cannot be unpacked"):
        contents(path)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_truncated_archive_is_refused(tmp_path: Path, at: float) -> None:
    path = archive(tmp_path, {"a.bmp": bytes(range(256)) * 40, "b.bmp": b"b" * 999})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * at)])

    with pytest.raises(InputError, match="cannot be unpacked"):
        contents(path)


def test_a_member_shorter_than_declared_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.bmp": bytes(10_000)})
    declared, lie = struct.pack("<L", 10_000), struct.pack("<L", 300_000)
    path.write_bytes(path.read_bytes().replace(declared, lie))

    with pytest.raises(InputError, match="found 10000 bytes, expected 300000"):
        contents(path)


def test_a_name_that_goes_on_behind_a_nul_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.bmp@/../../x.bmp": b"x"})
    path.write_bytes(path.read_bytes().replace(b"a.bmp@", b"a.bmp\0"))

    with pytest.raises(InputError, match="unprintable"):
        contents(path)


@pytest.mark.parametrize(("at", "value"), [(35, 0x07), (60, 0xFF)])
def test_a_damaged_member_is_named(tmp_path: Path, at: int, value: int) -> None:
    path = archive(tmp_path, {"a.bmp": bytes(range(256)) * 40, "b.bmp": b"b" * 999})
    content = bytearray(path.read_bytes())
    content[at] = value  # the kind of the first block, and its inside
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"a\.bmp: cannot be unpacked"):
        contents(path)


def test_a_file_that_only_looks_like_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.zip"
    path.write_bytes(b"Rar!" + bytes(100))

    with pytest.raises(InputError, match="cannot be unpacked"):
        contents(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_read_and_their_damage_is_found(tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as written:
        written.writestr("a.bmp", bytes(range(256)) * 40)
    content = bytearray(buffer.getvalue())
    path = tmp_path / "cells.zip"
    path.write_bytes(content)

    assert contents(path) == {"a.bmp": bytes(range(256)) * 40}

    content[80] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        contents(path)
