import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pytest
from broken_server import Server, serve

from tissuetrace.pipeline import copying, download
from tissuetrace.pipeline import fetch as module
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.fetch import MANIFEST_COLUMNS, fetch_source, referenced_folder
from tissuetrace.pipeline.files import column_mistakes, read_json, read_table
from tissuetrace.pipeline.sources import set_source

PATTERNS = ("**/*.bmp",)


@dataclass
class Lane:
    """A small project with a folder of images beside it."""

    root: Path
    folder: Path

    @property
    def out(self) -> Path:
        return self.root / "data"

    @property
    def downloads(self) -> Path:
        return self.root / "cache"

    def feed(self, where: Path | str, **options: object) -> None:
        set_source("cells", str(where), PATTERNS, self.root, **options)  # type: ignore[arg-type]  # passed through

    def fetch(self, phantom: Callable[[Path], pd.DataFrame] | None = None) -> pd.DataFrame | None:
        return fetch_source(
            self.root / "sources/cells.json",
            images=self.out / "images",
            manifest=self.out / "manifest.parquet",
            origin=self.out / "source.json",
            phantom=phantom or _no_phantom,
            facts={"side": 3},
            downloads=self.downloads,
        )

    @property
    def files(self) -> dict[str, bytes]:
        """What was fetched."""
        images = self.out / "images"
        return {
            path.relative_to(images).as_posix(): path.read_bytes()
            for path in images.rglob("*")
            if path.is_file()
        }

    @property
    def nothing_is_left(self) -> bool:
        return not self.out.exists() or list(self.out.iterdir()) == []


def _no_phantom(_: Path) -> pd.DataFrame:
    raise AssertionError("drawn although the source is no phantom")


def pack(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def row(content: bytes, **where: str) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **where}


CONTENTS = {
    "a.bmp": bytes(range(256)) * 9000,
    "empty.bmp": b"",
    "z/c.bmp": b"c" * 2_000_000,
    "z/d.bmp": b"d",
}


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    """Two loose images and two in an archive, described as the source."""
    folder = tmp_path / "camera"
    folder.mkdir()
    for name in ("a.bmp", "empty.bmp"):
        (folder / name).write_bytes(CONTENTS[name])
    (folder / "notes.txt").write_text("not an image")
    pack(folder / "one.zip", {name: CONTENTS[name] for name in ("z/c.bmp", "z/d.bmp")})
    made = Lane(tmp_path / "project", folder)
    made.feed(folder, licence="CC BY 3.0", doi="10.1/x")
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)
    monkeypatch.setattr(download, "_SILENCE_S", 0.3)
    with serve() as served:
        yield served


def feed_manifest(lane: Lane, rows: list[dict[str, object]]) -> None:
    path = lane.folder / "list.json"
    path.write_text(json.dumps(rows))
    lane.feed(path)


def test_bytes_are_untouched_loose_or_packed(lane: Lane) -> None:
    lane.fetch()

    assert lane.files == CONTENTS


def test_the_manifest_lists_every_file_with_its_origin(lane: Lane) -> None:
    lane.fetch()

    table = read_table(lane.out / "manifest.parquet")
    assert table.to_dict("list") == {
        "path": ["a.bmp", "empty.bmp", "z/c.bmp", "z/d.bmp"],
        "bytes": [2_304_000, 0, 2_000_000, 1],
        "sha256": [hashlib.sha256(CONTENTS[name]).hexdigest() for name in sorted(CONTENTS)],
        "archive": ["", "", "one.zip", "one.zip"],
    }
    assert column_mistakes(lane.out / "manifest.parquet", MANIFEST_COLUMNS) == []


def test_the_origin_tells_licence_and_counts_and_no_folder(lane: Lane) -> None:
    lane.fetch()

    assert read_json(lane.out / "source.json") == {
        "kind": "directory",
        "licence": "CC BY 3.0",
        "doi": "10.1/x",
        "files": 4,
        "bytes": 4_304_001,
        "ignored": 1,
        "reference": False,
        "facts": {},
    }


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_number_of_workers_changes_no_byte(
    lane: Lane, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    lane.fetch()
    first = (lane.out / "manifest.parquet").read_bytes()
    shutil.rmtree(lane.out)
    monkeypatch.setenv("TISSUETRACE_WORKERS", workers)
    lane.fetch()

    assert lane.files == CONTENTS
    assert (lane.out / "manifest.parquet").read_bytes() == first


def test_names_kept_out_of_git_are_the_files_names_here(lane: Lane) -> None:
    lane.feed(lane.folder, names="checksums")
    lane.fetch()

    assert lane.files == CONTENTS


def test_a_phantom_is_drawn_listed_and_its_truth_returned(lane: Lane) -> None:
    lane.feed("phantom")

    def draw(folder: Path) -> pd.DataFrame:
        (folder / "x").mkdir()
        (folder / "x/p.bmp").write_bytes(b"drawn")
        return pd.DataFrame({"name": ["p"]})

    truth = lane.fetch(draw)

    assert truth is not None
    assert list(truth["name"]) == ["p"]
    assert read_table(lane.out / "manifest.parquet")["path"].tolist() == ["x/p.bmp"]
    assert read_json(lane.out / "source.json")["facts"] == {"side": 3}


def test_a_phantom_that_fails_leaves_nothing(lane: Lane) -> None:
    lane.feed("phantom")

    def draw(folder: Path) -> pd.DataFrame:
        (folder / "p.bmp").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lane.fetch(draw)

    assert lane.nothing_is_left


def test_a_reference_leaves_the_files_where_they_are_and_checks_them(lane: Lane) -> None:
    (lane.folder / "one.zip").unlink()
    lane.feed(lane.folder, reference=True)
    lane.fetch()

    assert lane.files == {}
    assert (lane.out / "images").is_dir()
    assert read_table(lane.out / "manifest.parquet")["path"].tolist() == ["a.bmp", "empty.bmp"]
    assert referenced_folder(lane.root / "sources/cells.json", lane.out) == lane.folder


def test_a_referenced_file_that_changed_is_refused(lane: Lane) -> None:
    (lane.folder / "one.zip").unlink()
    lane.feed(lane.folder, reference=True)
    (lane.folder / "a.bmp").write_bytes(b"x" * len(CONTENTS["a.bmp"]))

    with pytest.raises(InputError, match=r"a\.bmp: checksum found"):
        lane.fetch()

    assert lane.nothing_is_left


def _one_byte_other(lane: Lane) -> None:
    (lane.folder / "a.bmp").write_bytes(b"x" + CONTENTS["a.bmp"][1:])


def _grown(lane: Lane) -> None:
    (lane.folder / "a.bmp").write_bytes(CONTENTS["a.bmp"] + b"x")


def _cut(lane: Lane) -> None:
    (lane.folder / "a.bmp").write_bytes(CONTENTS["a.bmp"][:-1])


def _removed(lane: Lane) -> None:
    (lane.folder / "a.bmp").unlink()


def _other_member(lane: Lane) -> None:
    pack(lane.folder / "one.zip", {"z/c.bmp": CONTENTS["z/c.bmp"], "z/d.bmp": b"D"})


def _grown_member(lane: Lane) -> None:
    pack(lane.folder / "one.zip", {"z/c.bmp": CONTENTS["z/c.bmp"], "z/d.bmp": bytes(9_000_000)})


def _member_removed(lane: Lane) -> None:
    pack(lane.folder / "one.zip", {"z/c.bmp": CONTENTS["z/c.bmp"]})


def _archive_removed(lane: Lane) -> None:
    (lane.folder / "one.zip").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_one_byte_other, r"a\.bmp: checksum found \w+, expected \w+"),
        (_grown, r"a\.bmp: found more than 2304000 bytes"),
        (_cut, r"a\.bmp: found 2303999 bytes, expected 2304000"),
        (_removed, r"a\.bmp: vanished"),
        (_other_member, r"one\.zip!z/d\.bmp: checksum found"),
        (_grown_member, r"one\.zip!z/d\.bmp: found more than 1 bytes"),
        (_member_removed, r"one\.zip!z/d\.bmp: vanished"),
        (_archive_removed, r"one\.zip!z/c\.bmp: vanished"),
    ],
)
def test_a_file_that_changed_since_it_was_described_is_refused_and_nothing_is_left(
    lane: Lane, change: Callable[[Lane], None], reason: str
) -> None:
    change(lane)

    with pytest.raises(InputError, match=reason) as caught:
        lane.fetch()

    assert "Run tissuetrace source cells again" in str(caught.value)
    assert lane.nothing_is_left


def test_every_changed_file_is_listed(lane: Lane) -> None:
    _cut(lane)
    _other_member(lane)

    with pytest.raises(InputError, match="2 of 4 files are not what cells") as caught:
        lane.fetch()

    assert len(str(caught.value).splitlines()) == 3


def test_a_file_replaced_by_a_link_to_outside_is_refused(lane: Lane, tmp_path: Path) -> None:
    shutil.move(lane.folder / "a.bmp", tmp_path / "outside.bmp")
    (lane.folder / "a.bmp").symlink_to(tmp_path / "outside.bmp")

    with pytest.raises(InputError, match=r"a\.bmp: a link that points outside"):
        lane.fetch()

    assert lane.nothing_is_left


def test_an_archive_replaced_by_one_that_climbs_out_is_refused(lane: Lane, tmp_path: Path) -> None:
    pack(lane.folder / "one.zip", {"z/c.bmp": b"", "../../climbed.bmp": b"out"})

    with pytest.raises(InputError, match="climbs out"):
        lane.fetch()

    assert lane.nothing_is_left
    assert not list(tmp_path.rglob("climbed.bmp"))


def test_a_committed_list_whose_paths_climb_out_is_refused(lane: Lane, tmp_path: Path) -> None:
    committed = lane.root / "sources/cells.json"
    committed.write_text(committed.read_text().replace('"a.bmp"', '"../climbed.bmp"'))
    shutil.copy(lane.folder / "a.bmp", tmp_path / "climbed.bmp")

    with pytest.raises(InputError, match="climbs out"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_damaged_archive_is_refused(lane: Lane) -> None:
    archive = lane.folder / "one.zip"
    archive.write_bytes(archive.read_bytes()[:-30])

    with pytest.raises(InputError, match=r"one\.zip: cannot be unpacked"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_folder_that_is_not_mounted_is_said(lane: Lane) -> None:
    lane.folder.rename(lane.folder.with_name("elsewhere"))

    with pytest.raises(InputError, match="the folder of the source is gone"):
        lane.fetch()

    assert lane.nothing_is_left


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said_and_nothing_is_left(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def new_file(path: Path) -> BinaryIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return Path("/dev/full").open("wb")  # the caller closes it

    monkeypatch.setattr(copying, "_new_file", new_file)

    with pytest.raises(InputError, match="disk full"):
        lane.fetch()

    assert lane.nothing_is_left


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_a_folder_that_cannot_be_written_is_said(
    lane: Lane, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def new_file(path: Path) -> BinaryIO:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(copying, "_new_file", new_file)

    with pytest.raises(InputError, match=f"cannot be written .{os.strerror(code)}"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_disk_with_too_little_room_is_not_begun_to_fill(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(lane.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4_304_000))

    with pytest.raises(InputError, match="disk full: 4304001 bytes are needed, 4304000 are free"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_manifest_brings_addresses_files_and_the_members_of_archives(
    lane: Lane, server: Server
) -> None:
    packed = (lane.folder / "one.zip").read_bytes()
    server.files = {"/x/b.bmp": b"bbb", "/one.zip": packed}
    feed_manifest(
        lane,
        [
            row(b"bbb", path="x/b.bmp", url=f"{server.url}/x/b.bmp"),
            row(b"bbb", path="x/same.bmp", url=f"{server.url}/x/b.bmp"),
            row(packed, url=f"{server.url}/one.zip"),
            row(CONTENTS["a.bmp"], file="a.bmp"),
        ],
    )
    lane.fetch()

    packed_files = {name: CONTENTS[name] for name in ("z/c.bmp", "z/d.bmp", "a.bmp")}
    assert lane.files == packed_files | {"x/b.bmp": b"bbb", "x/same.bmp": b"bbb"}
    table = read_table(lane.out / "manifest.parquet")
    assert dict(zip(table["path"], table["archive"], strict=True))["z/c.bmp"] == "one.zip"
    assert len(server.asked) == 2  # equal bytes travel once
    assert not (lane.downloads / "cells").exists()


def test_a_broken_download_resumes_at_the_next_run_and_what_arrived_is_kept(
    lane: Lane, server: Server
) -> None:
    server.files = {"/1.bmp": b"1" * 5000, "/2.bmp": b"2" * 5000}
    feed_manifest(lane, [row(server.files[f"/{n}.bmp"], url=f"{server.url}/{n}.bmp") for n in "12"])
    server.manners = ["well", "breaks_off", "absent"]
    with pytest.raises(InputError, match="1 downloads failed"):
        lane.fetch()
    assert lane.nothing_is_left
    server.asked.clear()
    server.manners = ["well"]

    lane.fetch()

    assert lane.files == {"1.bmp": b"1" * 5000, "2.bmp": b"2" * 5000}
    assert server.ranges == ["bytes=2500-"]


def test_a_large_download_comes_alone(
    lane: Lane, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SMALL_BYTES", 10)
    server.files = {"/1.bmp": b"1" * 5000}
    feed_manifest(lane, [row(b"1" * 5000, url=f"{server.url}/1.bmp")])

    lane.fetch()

    assert lane.files == {"1.bmp": b"1" * 5000}


def test_all_failed_downloads_are_listed_and_nothing_is_left(lane: Lane, server: Server) -> None:
    server.files = {"/1.bmp": b"x", "/2.bmp": b"x"}
    feed_manifest(lane, [row(n.encode(), url=f"{server.url}/{n}.bmp") for n in "12"])

    with pytest.raises(InputError, match=r"2 downloads failed(?s:.*)1\.bmp(?s:.*)2\.bmp"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_downloaded_archive_is_checked_before_it_is_opened(lane: Lane, server: Server) -> None:
    packed = (lane.folder / "one.zip").read_bytes()
    server.files = {"/one.zip": packed[:-1] + b"x"}
    feed_manifest(lane, [row(packed, url=f"{server.url}/one.zip")])

    with pytest.raises(InputError, match="checksum found"):
        lane.fetch()

    assert lane.nothing_is_left


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"../climbed.bmp": b"x"}, "climbs out"),
        ({"a.bmp": b"other"}, r"a\.bmp: other bytes in the folder than in evil\.zip"),
        ({"A.BMP.bmp": b"x", "a.bmp.bmp": b"x"}, "upper and lower case"),
        ({"a.bmp/inner.bmp": b"x"}, "a file here, a folder there"),
        ({"bomb.bmp": bytes(100_000_000)}, "archive bomb"),
    ],
)
def test_an_archive_of_a_manifest_is_refused_as_one_in_a_folder(
    lane: Lane, members: dict[str, bytes], reason: str
) -> None:
    pack(lane.folder / "evil.zip", members)
    evil = (lane.folder / "evil.zip").read_bytes()
    feed_manifest(lane, [row(evil, file="evil.zip"), row(CONTENTS["a.bmp"], file="a.bmp")])

    with pytest.raises(InputError, match=reason):
        lane.fetch()

    assert lane.nothing_is_left


def test_an_archive_of_a_manifest_that_changed_is_not_opened(lane: Lane) -> None:
    feed_manifest(lane, [row((lane.folder / "one.zip").read_bytes(), file="one.zip")])
    _other_member(lane)

    with pytest.raises(InputError, match=r"one\.zip: its checksum is not that of the manifest"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_manifest_of_addresses_needs_nothing_of_this_machine(lane: Lane, server: Server) -> None:
    server.files = {"/1.bmp": b"1"}
    feed_manifest(lane, [row(b"1", url=f"{server.url}/1.bmp")])
    shutil.rmtree(lane.root / "sources/local")

    lane.fetch()

    assert lane.files == {"1.bmp": b"1"}


def test_a_manifest_of_files_says_in_a_clone_what_to_run(lane: Lane) -> None:
    feed_manifest(lane, [row(CONTENTS["a.bmp"], file="a.bmp")])
    shutil.rmtree(lane.root / "sources/local")

    with pytest.raises(InputError, match=r"Run tissuetrace source(?s:.*)a\.bmp"):
        lane.fetch()

    assert lane.nothing_is_left


def test_a_file_of_a_manifest_may_be_referenced_under_its_own_path_only(lane: Lane) -> None:
    path = lane.folder / "list.json"
    path.write_text(json.dumps([row(CONTENTS["a.bmp"], file="a.bmp", path="b.bmp")]))

    with pytest.raises(InputError, match=r"no reference(?s:.*)b\.bmp"):
        lane.feed(path, reference=True)
