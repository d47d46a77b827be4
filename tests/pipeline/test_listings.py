import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.listings import SourceFile, list_folder, matches, settle

PATTERNS = ("**/fold_*/{all,hem}/*.bmp", "**/labels.csv")


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def pack(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def listed(path: str, content: bytes, archive: str = "") -> SourceFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return SourceFile(path=path, bytes=len(content), sha256=sha256, archive=archive)


@pytest.mark.parametrize(
    "path", ["fold_0/all/a.bmp", "x/fold_1/hem/a b.bmp", "x/y/fold_/all/[a].bmp", "labels.csv"]
)
def test_a_glob_reaches_any_depth_and_each_choice(path: str) -> None:
    assert matches(path, PATTERNS)


@pytest.mark.parametrize(
    "path",
    [
        "fold_0/other/a.bmp",
        "fold_0/all/deeper/a.bmp",
        "fold_0/all/a.bmp.part",
        "fold_0/all/abmp",
        "fold_0/all/._a.bmp",
        "xfold_0/all/a.bmp",
        ".trash/fold_0/all/a.bmp",
        "my_labels.csv",
    ],
)
def test_a_glob_leaves_other_and_hidden_files_alone(path: str) -> None:
    assert not matches(path, PATTERNS)


def test_loose_files_and_members_are_listed_together_and_the_others_counted(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"fold_0/all/a.bmp": b"a", "notes.txt": b"", ".DS_Store": b""})
    pack(tmp_path / "sub/one.ZIP", {"fold_1/hem/b.bmp": b"b", "readme": b"", "fold_1/": b""})

    listing = list_folder(tmp_path, PATTERNS)

    assert listing.files == [
        listed("fold_0/all/a.bmp", b"a"),
        listed("fold_1/hem/b.bmp", b"b", "sub/one.ZIP"),
    ]
    assert (listing.ignored, listing.repeated) == (3, 0)
    assert set(listing.stamps) == {"fold_0/all/a.bmp", "sub/one.ZIP"}


def test_equal_bytes_loose_and_in_an_archive_count_once_and_the_loose_one_stays(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"fold_0/all/a.bmp": b"a"})
    pack(tmp_path / "one.zip", {"fold_0/all/a.bmp": b"a"})

    listing = list_folder(tmp_path, PATTERNS)

    assert listing.files == [listed("fold_0/all/a.bmp", b"a")]
    assert listing.repeated == 1


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("loose", "one.zip", "other bytes in the folder than in one.zip"),
        ("two.zip", "one.zip", "other bytes in one.zip than in two.zip"),
    ],
)
def test_one_path_with_different_bytes_is_refused(
    tmp_path: Path, first: str, second: str, reason: str
) -> None:
    write(tmp_path, {"fold_0/all/a.bmp": b"a"} if first == "loose" else {"note": b""})
    pack(tmp_path / second, {"fold_0/all/a.bmp": b"other"})
    pack(tmp_path / "two.zip", {"fold_0/all/a.bmp": b"a"} if first == "two.zip" else {})

    with pytest.raises(InputError, match=f"fold_0/all/a.bmp: {reason}"):
        list_folder(tmp_path, PATTERNS)


def test_paths_that_differ_by_case_only_are_refused() -> None:
    files = [listed("fold_0/hem/UID_h3.bmp", b"a"), listed("fold_0/hem/UID_H3.bmp", b"b")]

    with pytest.raises(InputError, match=r"UID_H3\.bmp and .*UID_h3\.bmp: differ by upper and"):
        settle(files)


def test_paths_that_differ_by_the_spelling_of_an_umlaut_are_refused() -> None:
    with pytest.raises(InputError, match="differ by"):
        settle([listed("\u00fc.bmp", b"a"), listed("u\u0308.bmp", b"b")])


def test_a_file_in_the_place_of_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="a/b: a file here, a folder there"):
        settle([listed("a/b", b"a"), listed("a/b/c", b"b")])


def test_all_links_that_point_outside_are_named(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    write(outside, {"secret.bmp": b"secret", "fold_0/all/c.bmp": b"c"})
    write(inside, {"fold_0/all/a.bmp": b"a"})
    (inside / "fold_0/all/b.bmp").symlink_to(outside / "secret.bmp")
    (inside / "fold_0/all/d.bmp").symlink_to("../../../outside/secret.bmp")
    (inside / "more").symlink_to(outside)
    (inside / "one.zip").symlink_to(outside / "one.zip")

    with pytest.raises(InputError, match="4 files are refused") as caught:
        list_folder(inside, PATTERNS)

    assert str(caught.value).splitlines()[1:] == [
        "  fold_0/all/b.bmp: a link that points outside",
        "  fold_0/all/d.bmp: a link that points outside",
        "  more: a link that points outside",
        "  one.zip: a link to nothing",
    ]


def test_a_link_that_stays_inside_is_followed_to_a_file_and_not_to_a_folder(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"fold_0/all/a.bmp": b"a"})
    (tmp_path / "fold_0/all/b.bmp").symlink_to("a.bmp")
    (tmp_path / "round").symlink_to(tmp_path)

    listing = list_folder(tmp_path, PATTERNS)

    assert listing.files == [listed("fold_0/all/a.bmp", b"a"), listed("fold_0/all/b.bmp", b"a")]


def test_a_folder_that_is_itself_reached_by_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path / "real", {"fold_0/all/a.bmp": b"a"})
    (tmp_path / "link").symlink_to("real")

    assert len(list_folder(tmp_path / "link", PATTERNS).files) == 1


def test_a_pipe_with_the_name_of_an_image_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"fold_0/all/a.bmp": b"a"})
    os.mkfifo(tmp_path / "fold_0/all/b.bmp")

    with pytest.raises(InputError, match=r"b\.bmp: no plain file"):
        list_folder(tmp_path, PATTERNS)
