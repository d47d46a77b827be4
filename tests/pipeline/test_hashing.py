import hashlib
from pathlib import Path

import pytest
from project_tree import Tree

from tissuetrace.pipeline.hashing import digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"b.txt": "2", "a/z.txt": "1", "a-b/c.txt": "3", "a.txt": ""}.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "folder"


def test_a_file_has_the_checksums_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"tissue")

    found = digest(tmp_path / "a")

    assert found.md5 == hashlib.md5(b"tissue").hexdigest()  # noqa: S324  # what DVC uses
    assert found.sha256 == hashlib.sha256(b"tissue").hexdigest()
    assert found.size == 6


def test_a_folder_has_the_md5_that_dvc_gives_it(folder: Path, toy: Tree) -> None:
    folder.rename(toy.root / "folder")

    assert toy.run("dvc", "add", "--quiet", "folder").returncode == 0

    assert f"md5: {digest(toy.root / 'folder').md5}\n" in (toy.root / "folder.dvc").read_text()


def renamed(folder: Path) -> None:
    (folder / "b.txt").rename(folder / "c.txt")


def changed(folder: Path) -> None:
    (folder / "b.txt").write_text("3")


def moved(folder: Path) -> None:
    (folder / "a/z.txt").rename(folder / "z.txt")


def added(folder: Path) -> None:
    (folder / "more").touch()


@pytest.mark.parametrize("change", [renamed, changed, moved, added])
def test_any_change_of_name_or_content_changes_a_folder_s_sha256(folder: Path, change) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # one of the four above
    before = digest(folder).sha256

    change(folder)

    assert digest(folder).sha256 != before


def test_the_sha256_of_a_folder_does_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    for name, order in {"one": "abc", "two": "cba"}.items():
        (tmp_path / name).mkdir()
        for letter in order:
            (tmp_path / name / letter).write_text(letter)

    assert digest(tmp_path / "one") == digest(tmp_path / "two")
