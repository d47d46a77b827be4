import errno
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from project_tree import ROOT, Tree, wait_for_left_stages

from tissuetrace.pipeline.execute import execute
from tissuetrace.pipeline.mending import mend_dvc_files
from tissuetrace.pipeline.stage import Stage, exact

MEANS = "data/toy/summarise/means.csv"


def test_checksums_of_every_output_are_kept_in_git(toy: Tree) -> None:
    import hashlib
    import json

    kept = json.loads((toy.root / "metrics/toy/checksums/summarise.json").read_text())

    assert kept[MEANS] == {
        "class": "exact",
        "md5": hashlib.md5((toy.root / MEANS).read_bytes()).hexdigest(),  # noqa: S324  # DVC's
        "sha256": hashlib.sha256((toy.root / MEANS).read_bytes()).hexdigest(),
    }


def test_a_missing_input_is_named_with_what_to_run(toy: Tree) -> None:
    (toy.root / "data/toy/draw/table.parquet").unlink()

    done = toy.run("tissuetrace", "run", "toy.validate")

    assert done.returncode == 2
    assert "toy.validate: 1 of 2 inputs are missing. Run tissuetrace repro toy" in done.stderr
    assert "data/toy/draw/table.parquet" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy.drew"], "no stage of toy named 'drew'. Did you mean 'draw'?"),
        (["tay.draw"], "no study named 'tay'. Did you mean 'toy'?"),
        (["toy.train", "--variant", "c"], "toy.train: no variant 'c' among a, b"),
        (["toy.draw", "--variant", "a"], "toy.draw: has no variants, got 'a'"),
    ],
)
def test_a_misspelt_stage_is_one_line_with_the_nearest(
    toy: Tree, arguments: list[str], message: str
) -> None:
    done = toy.run("tissuetrace", "run", *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_is_named_from_the_folder_one_stands_in(toy: Tree) -> None:
    (toy.root / "docs/pictures").mkdir()
    (toy.root / "docs/pictures/a.txt").write_text("a")

    done = subprocess.run(
        ["tissuetrace", "source", "toy", "pictures"],
        cwd=toy.root / "docs",
        env=toy.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '"a.txt"' in (toy.root / "sources/toy.json").read_text()


def test_a_lane_that_cannot_read_references_refuses_them(toy: Tree, tmp_path: Path) -> None:
    done = toy.run("tissuetrace", "source", "toy", str(tmp_path), "--reference")

    assert done.returncode == 2
    assert "toy: reads its files from data/ alone. Leave --reference out" in done.stderr


def test_a_folder_outside_a_project_is_told_so(toy: Tree, tmp_path: Path) -> None:
    done = subprocess.run(
        ["tissuetrace", "gates"],
        cwd=tmp_path,
        env=toy.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "project: no params.yaml and .dvc here or above. Go into your clone" in done.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errno.ENOSPC, "the disk is full; nothing half-written was left. Make room"),
        (errno.EACCES, "no permission. Correct the permissions of the folder"),
    ],
)
def test_a_disk_that_refuses_is_one_line_and_leaves_the_old_output(
    toy: Tree, error: int, message: str
) -> None:
    before = toy.outputs()
    toy.edit(
        "src/tissuetrace/studies/toy/summarise.py",
        "    write_json(found, headline)",
        f"    write_json(found, headline)\n    raise OSError({error}, 'refused', str(headline))",
    )

    done = toy.run("tissuetrace", "run", "toy.summarise")

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert toy.outputs() == before


def test_a_device_without_room_is_told_as_a_full_disk(toy: Tree) -> None:
    toy.edit(
        "src/tissuetrace/studies/toy/summarise.py",
        "    means.write_text(",
        "    means.symlink_to('/dev/full')\n    means.write_text(",
    )

    done = toy.run("tissuetrace", "run", "toy.summarise")

    assert done.returncode == 2
    assert "the disk is full" in done.stderr
    assert list(toy.root.rglob(".partial-*")) == []


def test_our_own_fault_shows_its_traceback_and_exits_1(toy: Tree) -> None:
    toy.edit("src/tissuetrace/studies/toy/summarise.py", "    means.write_text(", "    1 / 0; (")

    done = toy.run("tissuetrace", "run", "toy.summarise")

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"double: number"', '"int64: number"', "table.parquet: found"),
        ('"double: number"}', '"double: number", "y": "double: more"}', "declared"),
    ],
)
def test_a_table_that_breaks_its_declaration_never_appears(
    toy: Tree, old: str, new: str, message: str
) -> None:
    toy.edit("src/tissuetrace/studies/toy/draw.py", old, new)
    before = toy.outputs()

    done = toy.run("tissuetrace", "run", "toy.draw")

    assert done.returncode == 1
    assert message in done.stderr
    assert toy.outputs() == before


def test_leftovers_of_a_killed_run_are_removed_by_the_next(toy: Tree) -> None:
    left = toy.root / "data/toy/draw/.partial-draw"
    left.mkdir()
    (left / "table.parquet").write_text("half")

    assert toy.run("tissuetrace", "run", "toy.draw").returncode == 0

    assert not left.exists()


def test_what_a_stage_keeps_to_resume_stays_until_its_outputs_are_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*, out: Path, resume: Path) -> None:
        (resume / "last.pt").write_text("epoch 3")
        out.with_name("other").write_text("not what was declared")

    stage = Stage(
        function=train,
        study="leukemia",
        name="train_cnn",
        module="tissuetrace.pipeline.stage",
        summary="",
        reads={},
        writes={"out": exact("data/x/train/out", "")},
        params={},
        matrix=None,
        gate=None,
        resumes=True,
    )
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src")
    (tmp_path / "params.yaml").write_text("leukemia: {}\n")

    with pytest.raises(RuntimeError, match="not written"):
        execute(stage)

    (kept,) = (tmp_path / ".cache/resume").rglob("last.pt")
    assert kept.read_text() == "epoch 3"


@pytest.mark.slow
def test_killed_at_random_moments_the_next_repro_gives_the_same_bytes(toy: Tree) -> None:
    toy.edit("params.yaml", "pause_s: 0.0", "pause_s: 0.1")
    undisturbed = toy.copy(toy.root.parent / "undisturbed")
    assert undisturbed.run("dvc", "repro", "--quiet").returncode == 0
    moments = random.Random(20261121)  # noqa: S311  # moments of a test

    for _ in range(8):
        kill_after(toy, moments.uniform(0.2, 5.0))
    done = toy.run("dvc", "repro")

    assert done.returncode == 0, done.stdout + done.stderr
    assert toy.outputs() == undisturbed.outputs()
    assert list(toy.root.rglob(".partial-*")) == []


def kill_after(tree: Tree, seconds: float) -> None:
    """Start `dvc repro`, then kill dvc itself, not its children."""
    with subprocess.Popen(
        ["dvc", "repro", "--quiet", "--force"],
        cwd=tree.root,
        env=tree.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for_left_stages(tree)
    mend_dvc_files(tree.root)


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_does_not_outlive_the_dvc_that_started_it(toy: Tree, shell: str) -> None:
    toy.edit("params.yaml", "pause_s: 0.0", "pause_s: 30.0")
    process = subprocess.Popen(
        ["dvc", "repro", "--quiet", "toy-draw"],
        cwd=toy.root,
        env=toy.environment(SHELL=shell),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    aside = toy.root / "data/toy/draw/.partial-draw/table.parquet"
    wait_until(aside.exists)
    process.kill()
    process.wait()

    wait_until(lambda: not stages_running_in(toy.root))
    assert stages_running_in(toy.root) == []


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_neither_dvc_nor_a_stage_outlives_the_repro_that_started_them(toy: Tree, jobs: str) -> None:
    toy.edit("params.yaml", "pause_s: 0.0", "pause_s: 30.0")
    process = subprocess.Popen(
        ["tissuetrace", "repro", "toy", "--jobs", jobs],
        cwd=toy.root,
        env=toy.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until((toy.root / "data/toy/draw/.partial-draw/table.parquet").exists)
    process.kill()
    process.wait()

    wait_until(lambda: not processes_in(toy.root))
    assert processes_in(toy.root) == []


def wait_until(condition) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # any callable
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def processes_in(folder: Path) -> list[list[str]]:
    """Command lines of all processes that work in a folder."""
    import psutil

    return [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(folder) and process.pid != os.getpid()
    ]


def stages_running_in(folder: Path) -> list[list[str]]:
    return [command for command in processes_in(folder) if "run" in (command or [])]
