import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster
from worker_functions import die_on_three, draw, read_text

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.parallel import parallel_map


@pytest.mark.parametrize("workers", ["2", "3"])
def test_the_number_of_workers_changes_no_byte(
    monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    alone = parallel_map(draw, range(7), title="drawing")

    monkeypatch.setenv("TISSUETRACE_WORKERS", workers)

    assert parallel_map(draw, range(7), title="drawing") == alone


def test_a_killed_worker_is_named_and_the_work_can_be_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")

    with pytest.raises(InputError, match=r"counting: a worker of 2 was killed .*SIGKILL"):
        parallel_map(die_on_three, range(6), title="counting")

    assert parallel_map(abs, range(6), title="counting") == list(range(6))


@pytest.mark.parametrize("setting", ["0", "two", "-1", "1.5"])
def test_a_wrong_number_of_workers_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", setting)

    with pytest.raises(InputError, match=r"TISSUETRACE_WORKERS: is .* above 0"):
        parallel_map(abs, [1], title="counting")


def test_a_dask_scheduler_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    support = str(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("PYTHONPATH", support)
    alone = [draw(seed) for seed in range(4)]

    with LocalCluster(  # type: ignore[no-untyped-call]  # distributed has no types
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        monkeypatch.setenv("TISSUETRACE_DASK", cluster.scheduler_address)
        assert parallel_map(draw, range(4), title="drawing") == alone


def test_workers_that_stand_in_another_folder_find_the_projects_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    support = str(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("PYTHONPATH", support)
    with LocalCluster(  # type: ignore[no-untyped-call]  # distributed has no types
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        monkeypatch.setenv("TISSUETRACE_DASK", cluster.scheduler_address)
        (tmp_path / "table.txt").write_text("rows")
        monkeypatch.chdir(tmp_path)

        assert parallel_map(read_text, ["table.txt"], title="reading") == ["rows"]


def test_a_worker_of_a_scheduler_that_dies_again_and_again_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    support = str(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("PYTHONPATH", support)
    with LocalCluster(  # type: ignore[no-untyped-call]  # distributed has no types
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        monkeypatch.setenv("TISSUETRACE_DASK", cluster.scheduler_address)

        with pytest.raises(InputError, match="counting: a worker of the scheduler was killed"):
            parallel_map(die_on_three, [3], title="counting")


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUETRACE_DASK", "tcp://127.0.0.1:9")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")

    with pytest.raises(InputError, match="TISSUETRACE_DASK: no scheduler answers at tcp://127"):
        parallel_map(draw, range(2), title="drawing")


WORK = """
from tissuetrace.pipeline.parallel import parallel_map
from worker_functions import sleep_long
parallel_map(sleep_long, range(2), title="sleeping")
"""


def test_workers_do_not_outlive_a_killed_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    stage = subprocess.Popen([sys.executable, "-c", WORK])
    workers = wait_for_children(stage.pid, count=2)

    stage.kill()
    stage.wait()

    _, alive = psutil.wait_procs(workers, timeout=20)
    assert len(workers) >= 2
    assert alive == []


def wait_for_children(pid: int, *, count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    asleep: list[psutil.Process] = []
    while len(asleep) < count and time.monotonic() < deadline:
        time.sleep(0.5)
        children = psutil.Process(pid).children(recursive=True)
        asleep = [child for child in children if "loky" in " ".join(child.cmdline())]
    time.sleep(2)  # until they have taken their items
    return asleep
