"""Branches run at the same time, and a failure stops what depends on it alone."""

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from project_tree import Tree, wait_for_left_stages

from tissuetrace.pipeline.branches import run_branches
from tissuetrace.pipeline.steps import Step


def step(name: str, *after: str) -> Step:
    return Step(name=name, branch=name.partition("@")[2], after=frozenset(after))


STEPS = [
    step("fetch"),
    step("cut@a", "fetch"),
    step("cut@b", "fetch"),
    step("train@a", "cut@a"),
    step("train@b", "cut@b"),
    step("plain@a", "cut@a"),
    step("report", "train@a", "train@b"),
]


class Recorder:
    """Stands for DVC: remembers what ran, and fails where it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.ran: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def reproduce(self, branch: Sequence[Step]) -> str | None:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            for one in branch:
                time.sleep(0.02)
                with self.lock:
                    assert one.after <= set(self.ran), f"{one.name} ran too early"
                    if one.name in self.failing:
                        return one.name
                    self.ran.append(one.name)
        finally:
            with self.lock:
                self.at_once -= 1
        return None

    def stop(self) -> None:
        self.stopped = True


def test_every_step_runs_once_after_what_it_waits_for_and_two_branches_at_once() -> None:
    recorder = Recorder()

    assert run_branches(STEPS, 2, recorder) == []
    assert sorted(recorder.ran) == sorted(one.name for one in STEPS)
    assert recorder.most_at_once == 2


def test_no_more_branches_run_than_jobs_allow() -> None:
    recorder = Recorder()
    many = [step(f"draw@{number}") for number in range(9)]

    assert run_branches(many, 3, recorder) == []
    assert recorder.most_at_once == 3


def test_a_failure_stops_what_depends_on_it_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = Recorder("train@a")

    assert run_branches(STEPS, 2, recorder) == ["train@a"]
    assert set(recorder.ran) == {"fetch", "cut@a", "cut@b", "train@b", "plain@a"}
    assert capsys.readouterr().err == "skipped, since train@a failed: report\n"


def test_two_failures_are_both_told() -> None:
    recorder = Recorder("train@a", "cut@b")

    assert sorted(run_branches(STEPS, 2, recorder)) == ["cut@b", "train@a"]
    assert set(recorder.ran) == {"fetch", "cut@a", "plain@a"}


def test_after_a_failure_at_the_start_nothing_runs() -> None:
    recorder = Recorder("fetch")

    assert run_branches(STEPS, 2, recorder) == ["fetch"]
    assert recorder.ran == []


@pytest.mark.slow
def test_two_jobs_give_the_bytes_of_one(toy: Tree) -> None:
    toy.edit("params.yaml", "low: 1.0", "low: 2.0")
    other = toy.copy(toy.root.parent / "other")
    one = other.run("tissuetrace", "repro", "toy")

    two = toy.run("tissuetrace", "repro", "toy", "--jobs", "2")

    assert (one.returncode, two.returncode) == (0, 0), two.stdout + two.stderr
    assert "toy@a | Running stage 'toy-train@a':" in two.stdout
    assert "toy@b | Running stage 'toy-train@b':" in two.stdout
    assert "To track the changes" in one.stdout
    assert "To track the changes" not in two.stdout
    assert toy.outputs() == other.outputs()
    assert "up to date" in toy.run("dvc", "repro").stdout


@pytest.mark.slow
def test_a_variant_that_fails_leaves_the_other_to_finish(toy: Tree) -> None:
    toy.edit("params.yaml", "low: 1.0", "low: 2.0")
    toy.edit(
        "src/tissuetrace/studies/toy/train.py",
        '    write_json({"mean"',
        "    if model.name == 'a':\n        raise ValueError('a fault')\n    write_json({\"mean\"",
    )
    before = (toy.root / "data/toy/train/b/model.json").read_text()

    done = toy.run("tissuetrace", "repro", "toy", "--jobs", "2")

    assert done.returncode == 1
    assert "a stage broke off by a fault of ours" in done.stderr
    assert "skipped, since toy-train@a failed: toy-combine, toy-summarise" in done.stderr
    assert (toy.root / "data/toy/train/b/model.json").read_text() != before


@pytest.mark.slow
def test_a_gate_that_refuses_ends_two_jobs_with_3(toy: Tree) -> None:
    toy.edit("params.yaml", "low: 1.0", "low: -1.0")

    done = toy.run("tissuetrace", "repro", "toy", "--jobs", "2")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "a gate refused, and nothing was trained on these data" in done.stderr


@pytest.mark.slow
def test_what_dvc_itself_refuses_is_a_failure_of_the_branch(toy: Tree) -> None:
    Path(toy.root / ".dvc/config").write_text("[core]\n    remote = nowhere\n[nonsense\n")

    done = toy.run("tissuetrace", "repro", "toy", "--jobs", "2")

    assert done.returncode == 2
    assert "dvc repro failed" in done.stderr


@pytest.mark.slow
def test_a_stage_that_was_killed_is_the_one_that_failed(toy: Tree) -> None:
    toy.edit("params.yaml", "low: 1.0", "low: 2.0")
    toy.edit(
        "src/tissuetrace/studies/toy/train.py",
        '    write_json({"mean"',
        "    import os\n    if model.name == 'a':\n        os.kill(os.getpid(), 9)\n"
        '    write_json({"mean"',
    )

    done = toy.run("tissuetrace", "repro", "toy", "--jobs", "2")

    assert "skipped, since toy-train@a failed: toy-combine, toy-summarise" in done.stderr
    assert done.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_of_the_command_alone_ends_everything(toy: Tree, jobs: str) -> None:
    toy.edit("params.yaml", "pause_s: 0.0", "pause_s: 60.0")
    with subprocess.Popen(
        ["tissuetrace", "repro", "toy", "--jobs", jobs],
        cwd=toy.root,
        env=toy.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        started = toy.root / "data/toy/draw/.partial-draw/table.parquet"
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=30) == 130
    wait_for_left_stages(toy)
    toy.edit("params.yaml", "pause_s: 60.0", "pause_s: 0.0")
    assert toy.run("tissuetrace", "repro", "toy").returncode == 0
