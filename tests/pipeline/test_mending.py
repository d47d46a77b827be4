import fcntl
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import load_yaml
from project_tree import ROOT, Tree

from tissuetrace.pipeline.mending import mend_dvc_files

LOCK = (ROOT / "dvc.lock").read_text()


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize("share", [number / 60 for number in range(60)])
def test_a_lock_cut_off_anywhere_is_readable_again_and_keeps_the_entries_before(
    tmp_path: Path, share: float
) -> None:
    short = "".join(LOCK.partition("\n  leukemia-split:")[:1]) + "\n"
    cut = short[: int(len(short) * share)]
    path = written(tmp_path, "dvc.lock", cut)

    mend_dvc_files(tmp_path)

    content = COMPILED_LOCKFILE_SCHEMA(load_yaml(path))
    whole = load_yaml(written(tmp_path, "whole.yaml", short))["stages"]
    kept = content.get("stages") or {}
    assert list(kept) == list(whole)[: len(kept)]
    assert len(kept) >= cut.count("\n  leukemia-") - 1
    assert [name for name in list(kept)[:-1] if kept[name] != whole[name]] == []


def test_a_whole_lock_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "dvc.lock", LOCK)

    assert mend_dvc_files(tmp_path) == []
    assert path.read_text() == LOCK


def test_a_conflict_of_a_merge_is_left_for_its_author(tmp_path: Path) -> None:
    conflict = LOCK.replace(
        "    cmd: exec tissuetrace run leukemia.split\n", "<<<<<<< ours\n=======\n>>>>>>> theirs\n"
    )
    assert conflict != LOCK
    path = written(tmp_path, "dvc.lock", conflict)

    assert mend_dvc_files(tmp_path) == []
    assert path.read_text() == conflict


@pytest.mark.parametrize("content", ["", '{"/data/a": {"write": {"pid": 12'])
def test_a_list_of_readers_cut_off_by_a_kill_is_removed(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, ".dvc/tmp/rwlock", content)

    assert mend_dvc_files(tmp_path) == [".dvc/tmp/rwlock was cut off by a kill: removed"]
    assert not path.exists()


@pytest.mark.slow
def test_repro_goes_on_after_a_kill_that_cut_the_lock(toy: Tree) -> None:
    before = toy.outputs()
    lock = toy.root / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: whole.rindex("md5:") + 2])
    (toy.root / ".dvc/tmp/rwlock").write_text("{")
    assert toy.run("dvc", "repro").returncode != 0

    done = toy.run("tissuetrace", "repro", "toy")

    assert done.returncode == 0, done.stderr
    assert "dvc.lock was cut off by a kill" in done.stderr
    assert toy.outputs() == before


def test_files_that_another_dvc_is_writing_are_left_alone(tmp_path: Path) -> None:
    cut = written(tmp_path, "dvc.lock", LOCK[: LOCK.rindex("md5:") + 2])
    half = cut.read_text()
    held = written(tmp_path, ".dvc/tmp/rwlock", "")
    with written(tmp_path, ".dvc/tmp/lock", "").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert mend_dvc_files(tmp_path) == []
        assert (cut.read_text(), held.exists()) == (half, True)

    assert len(mend_dvc_files(tmp_path)) == 2
