import json
import os
import zipfile
from pathlib import Path

import pytest

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.source_files import locate
from tissuetrace.pipeline.sources import describe_source, drift, read_source, set_source

PATTERNS = ("**/*.bmp",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two loose images, one with an Umlaut, and two in an archive."""
    made = tmp_path / "Müller, Eva"
    made.mkdir()
    (made / "a.bmp").write_bytes(b"a")
    (made / "ü.bmp").write_bytes(b"u")
    with zipfile.ZipFile(made / "one.zip", "w") as archive:
        archive.writestr("z/c.bmp", b"c")
        archive.writestr("z/d.bmp", b"d")
    return made


def written(root: Path) -> str:
    return (root / "sources/cells.json").read_text(encoding="utf-8")


def test_what_is_written_comes_back(folder: Path, tmp_path: Path) -> None:
    source, local = describe_source(
        "cells", str(folder), PATTERNS, licence="CC BY 3.0", doi="10.1/x"
    )

    set_source("cells", str(folder), PATTERNS, tmp_path, licence="CC BY 3.0", doi="10.1/x")

    assert read_source(tmp_path / "sources/cells.json") == source
    assert locate(tmp_path / "sources/cells.json") == (source, local)
    assert [file.path for file in source.files] == ["a.bmp", "z/c.bmp", "z/d.bmp", "ü.bmp"]


def test_the_committed_part_knows_no_folder_and_is_written_alike_twice(
    folder: Path, tmp_path: Path
) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    first = written(tmp_path)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    set_source("cells", str(moved), PATTERNS, tmp_path)

    assert written(tmp_path) == first
    assert "Müller" not in first
    assert str(tmp_path) not in first
    assert "/elsewhere" in (tmp_path / "sources/local/cells.json").read_text()


def test_a_committed_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)

    lines = [line for line in written(tmp_path).splitlines() if "sha256" in line and "path" in line]

    assert len(lines) == 4
    assert json.loads(written(tmp_path))["kind"] == "directory"


def test_the_summary_counts_files_archives_and_the_rest(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("")

    summary = "\n".join(set_source("cells", str(folder), PATTERNS, tmp_path))

    assert "4 files" in summary
    assert "2 of them in 1 archive" in summary
    assert "1 other files ignored" in summary
    assert "tissuetrace repro cells" in summary


def test_a_phantom_needs_no_folder_and_forgets_the_former_one(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    set_source("cells", "phantom", PATTERNS, tmp_path)

    assert read_source(tmp_path / "sources/cells.json").kind == "phantom"
    assert not (tmp_path / "sources/local/cells.json").exists()
    assert drift("cells", tmp_path) == []


def test_names_that_may_identify_a_patient_do_not_reach_git(folder: Path, tmp_path: Path) -> None:
    (folder / "Meier.bmp").write_bytes(b"m")
    set_source("cells", str(folder), PATTERNS, tmp_path, names="checksums")

    assert "Meier" not in written(tmp_path)
    assert "one.zip" not in written(tmp_path)
    source, _ = locate(tmp_path / "sources/cells.json")
    assert "Meier.bmp" in [file.path for file in source.files]


def test_a_rename_is_seen_in_git_though_the_name_is_not(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path, names="checksums")
    before = written(tmp_path)
    (folder / "a.bmp").rename(folder / "b.bmp")
    set_source("cells", str(folder), PATTERNS, tmp_path, names="checksums")

    assert written(tmp_path) != before


def test_a_local_part_of_another_state_is_refused(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path, names="checksums")
    committed = written(tmp_path)
    (folder / "a.bmp").rename(folder / "b.bmp")
    set_source("cells", str(folder), PATTERNS, tmp_path, names="checksums")
    (tmp_path / "sources/cells.json").write_text(committed)

    with pytest.raises(InputError, match="does not fit"):
        locate(tmp_path / "sources/cells.json")


def test_a_clone_without_the_local_part_says_what_to_run(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    (tmp_path / "sources/local/cells.json").unlink()

    with pytest.raises(InputError, match="Run tissuetrace source cells"):
        locate(tmp_path / "sources/cells.json")


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("absent", "nothing there, expected phantom, a folder or a manifest"),
        ("one.zip", r"a \.zip file(?s:.*)name the folder it lies in"),
        ("empty", "none of 0 files matches"),
    ],
)
def test_a_source_that_is_none_writes_nothing(
    folder: Path, tmp_path: Path, where: str, reason: str
) -> None:
    (folder / "empty").mkdir()

    with pytest.raises(InputError, match=reason):
        set_source("cells", str(folder / where), PATTERNS, tmp_path)

    assert not (tmp_path / "sources").exists()


def test_a_refused_folder_leaves_the_former_source(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    before = written(tmp_path)
    (folder / "b.bmp").symlink_to("/etc/passwd")

    with pytest.raises(InputError, match="points outside"):
        set_source("cells", str(folder), PATTERNS, tmp_path)

    assert written(tmp_path) == before


def test_files_in_an_archive_cannot_be_referenced(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no reference(?s:.*)z/c\.bmp"):
        set_source("cells", str(folder), PATTERNS, tmp_path, reference=True)


@pytest.mark.parametrize("path", ["../x.bmp", "/x.bmp", "a\\x.bmp"])
def test_a_committed_path_that_climbs_out_is_refused(
    folder: Path, tmp_path: Path, path: str
) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    changed = written(tmp_path).replace('"a.bmp"', json.dumps(path))
    (tmp_path / "sources/cells.json").write_text(changed, encoding="utf-8")

    with pytest.raises(InputError, match="1 paths are refused"):
        read_source(tmp_path / "sources/cells.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "kind: "),
        ('{"kind": "tape"}', "'phantom', 'directory' or 'manifest'"),
        ('{"kind": "phantom", "licens": ""}', "licens"),
        ("[", "no valid JSON"),
    ],
)
def test_a_committed_part_edited_by_hand_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "cells.json").write_text(text)

    with pytest.raises(InputError, match=reason):
        read_source(tmp_path / "cells.json")


def test_an_untouched_folder_has_not_drifted(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    os.utime(folder / "a.bmp")
    os.utime(folder / "one.zip")

    assert drift("cells", tmp_path) == []


@pytest.mark.parametrize("names", ["plain", "checksums"])
def test_every_change_of_a_folder_is_named(folder: Path, tmp_path: Path, names: str) -> None:
    (folder / "b.bmp").write_bytes(b"b")
    set_source("cells", str(folder), PATTERNS, tmp_path, names=names)  # type: ignore[arg-type]  # a parameter of the test
    (folder / "a.bmp").write_bytes(b"A")
    (folder / "b.bmp").unlink()
    (folder / "new.bmp").write_bytes(b"")
    with zipfile.ZipFile(folder / "one.zip", "w") as archive:
        archive.writestr("z/c.bmp", b"c")
        archive.writestr("z/d.bmp", b"D")

    assert drift("cells", tmp_path) == [
        "a.bmp: changed",
        "b.bmp: vanished",
        "one.zip!z/d.bmp: changed",
        "new.bmp: appeared",
    ]


def test_a_new_member_of_an_archive_has_appeared(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    with zipfile.ZipFile(folder / "one.zip", "a") as archive:
        archive.writestr("z/e.bmp", b"e")

    assert drift("cells", tmp_path) == ["one.zip!z/e.bmp: appeared"]


def test_a_folder_that_is_gone_has_drifted(folder: Path, tmp_path: Path) -> None:
    set_source("cells", str(folder), PATTERNS, tmp_path)
    folder.rename(tmp_path / "elsewhere")

    assert drift("cells", tmp_path) == [f"{folder}: vanished"]


def test_files_of_a_manifest_drift_too(folder: Path, tmp_path: Path) -> None:
    source, _ = describe_source("cells", str(folder), ("a.bmp", "ü.bmp"))
    rows = [{"file": f.path, "sha256": f.sha256, "bytes": f.bytes} for f in source.files]
    (folder / "list.json").write_text(json.dumps(rows))
    set_source("cells", str(folder / "list.json"), PATTERNS, tmp_path)

    assert drift("cells", tmp_path) == []

    (folder / "a.bmp").write_bytes(b"A")
    (folder / "ü.bmp").unlink()
    assert drift("cells", tmp_path) == ["a.bmp: changed", "ü.bmp: vanished"]
