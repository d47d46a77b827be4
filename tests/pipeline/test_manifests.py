import json
from pathlib import Path

import pytest

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.listings import SourceFile
from tissuetrace.pipeline.manifests import read_manifest

A, B = "a" * 64, "b" * 64
PATTERNS = ("**/*.bmp",)


def manifest(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "here.bmp").write_bytes(b"12345")
    rows = [
        {"path": "x/a.bmp", "url": "https://example.org/a?v=1", "sha256": A, "bytes": 7},
        {"file": "here.bmp", "sha256": B, "bytes": 5},
    ]
    table = (
        "\ufeffpath,url,file,sha256,bytes\r\n"
        f"x/a.bmp,https://example.org/a?v=1,,{A.upper()},7\r\n"
        f",,here.bmp,{B},5\r\n"
    )

    from_csv = read_manifest(manifest(tmp_path, table), PATTERNS)
    from_json = read_manifest(manifest(tmp_path, json.dumps(rows), "list.json"), PATTERNS)
    from_object = read_manifest(
        manifest(tmp_path, json.dumps({"files": rows}), "object.json"), PATTERNS
    )

    assert from_csv == from_json == from_object
    assert from_csv[0].files == [
        SourceFile(path="here.bmp", bytes=5, sha256=B),
        SourceFile(path="x/a.bmp", bytes=7, sha256=A, url="https://example.org/a?v=1"),
    ]
    assert from_csv[1] == {"here.bmp": str(tmp_path / "here.bmp")}


def test_a_row_without_a_path_takes_the_last_part_of_the_address(tmp_path: Path) -> None:
    row = {"url": "https://example.org/x/my%20cell.bmp?download=1", "sha256": A, "bytes": 1}

    listing, _ = read_manifest(manifest(tmp_path, json.dumps([row]), "l.json"), PATTERNS)

    assert listing.files[0].path == "my cell.bmp"


def test_archives_are_kept_and_rows_that_match_no_pattern_counted(tmp_path: Path) -> None:
    names = ["a.bmp", "cells.zip", "notes.txt", "b.txt"]
    rows = [{"url": f"http://h/{name}", "sha256": A, "bytes": 1} for name in names]

    listing, _ = read_manifest(manifest(tmp_path, json.dumps(rows), "l.json"), PATTERNS)

    assert [file.path for file in listing.files] == ["a.bmp", "cells.zip"]
    assert listing.ignored == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "abc"}, "sha256 is 'abc', expected 64"),
        ({"sha256": ""}, "sha256 is ''"),
        ({"bytes": "-1"}, "bytes is '-1', expected a whole number"),
        ({"bytes": "1.5"}, "bytes is '1.5'"),
        ({"bytes": "²"}, "bytes is '²'"),
        ({"url": ""}, "found neither"),
        ({"file": "x.bmp"}, "found both"),
        ({"url": "", "file": "absent.bmp"}, "no file at absent.bmp"),
        ({"url": "ftp://h/a.bmp"}, "expected http or https"),
        ({"url": "file:///etc/passwd"}, "expected http or https"),
        ({"url": "https://me:secret@h/a.bmp"}, "holds a password"),
        ({"path": "../a.bmp"}, "climbs out"),
        ({"path": "/a.bmp"}, "is absolute"),
        ({"path": "C:\\a.bmp"}, "holds a backslash"),
        ({"sha": A}, "no such column 'sha'; the nearest is 'sha256'"),
    ],
)
def test_a_wrong_row_is_named_by_its_number(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    good = {"path": "a.bmp", "url": "https://h/a.bmp", "sha256": A, "bytes": "1"}
    rows = [good, good | change]

    with pytest.raises(InputError) as caught:
        read_manifest(manifest(tmp_path, json.dumps(rows), "l.json"), PATTERNS)

    first, *lines = str(caught.value).splitlines()
    assert "in 2 rows" in first
    assert [line.partition(": ")[0] for line in lines] == ["  row 2"]
    assert reason in lines[0]


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    row = {"url": "https://me:secret@h/a.bmp", "sha256": A, "bytes": 1}

    with pytest.raises(InputError) as caught:
        read_manifest(manifest(tmp_path, json.dumps([row]), "l.json"), PATTERNS)

    assert "secret" not in str(caught.value)


def test_two_rows_with_one_path_and_different_bytes_are_refused(tmp_path: Path) -> None:
    rows = [{"url": "http://h/a.bmp", "sha256": sha256, "bytes": 1} for sha256 in (A, B)]

    with pytest.raises(InputError, match=r"a\.bmp: other bytes"):
        read_manifest(manifest(tmp_path, json.dumps(rows), "l.json"), PATTERNS)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("l.json", "{", "no valid JSON"),
        ("l.json", '{"files": 3}', "expected a list of objects"),
        ("l.json", '["a.bmp"]', "expected a list of objects"),
    ],
)
def test_a_list_of_another_form_is_refused(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        read_manifest(manifest(tmp_path, text, name), PATTERNS)


def test_a_csv_row_with_too_many_or_too_few_cells_is_refused(tmp_path: Path) -> None:
    text = f"url,sha256,bytes\nhttp://h/a.bmp,{A}\nhttp://h/b.bmp,{A},1,2\n"

    with pytest.raises(InputError, match=r"row 1: bytes is ''(?s:.*)row 2: "):
        read_manifest(manifest(tmp_path, text), PATTERNS)


def test_a_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InputError, match="no valid CSV"):
        read_manifest(tmp_path / "l.csv", PATTERNS)
