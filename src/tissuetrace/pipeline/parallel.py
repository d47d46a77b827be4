"""The same function over many items, on many cores or machines, with the same bytes."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.machine import die_with_parent, workers

__all__ = ["parallel_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, title: str
) -> list[Result]:
    """Call a function on every item; results come in the order of the items.

    `TISSUETRACE_WORKERS` says how many processes work, `TISSUETRACE_DASK` names a Dask scheduler
    to send the work to, whose workers see this folder under the same path. Neither can change a
    result: nothing is shared between two calls, and every worker computes with one thread.

    Args:
        function: a function at the top level of a module.
        items: small things such as paths and seeds.
        title: what is being done, for the message when a worker dies.

    Raises:
        InputError: a worker was killed, mostly for want of memory.
    """
    work: Sequence[Item] = list(items)
    scheduler = os.environ.get("TISSUETRACE_DASK")
    if scheduler:
        return _on_machines(function, work, scheduler, title=title)
    count = max(1, min(workers(), len(work)))
    if count == 1:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return [function(item) for item in work]
    return _on_cores(function, work, count, title=title)


def _on_cores(
    function: Callable[[Item], Result], work: Sequence[Item], count: int, *, title: str
) -> list[Result]:
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            return list(joblib.Parallel(count)(joblib.delayed(_work)(function, i) for i in work))
    except TerminatedWorkerError as problem:
        raise InputError(
            f"a worker of {count} was killed ({_cause(problem)})",
            where=title,
            todo="Mostly memory: lower TISSUETRACE_WORKERS, then run it again",
        ) from problem


def _work(function: Callable[[Item], Result], item: Item) -> Result:
    """Do one item in a worker, which must not go on when the stage has been killed."""
    die_with_parent()
    return function(item)


def _on_machines(
    function: Callable[[Item], Result], work: Sequence[Item], scheduler: str, *, title: str
) -> list[Result]:
    # not through joblib, whose backend waits for ever for a worker that died
    from distributed import Client, KilledWorker

    try:
        client = Client(scheduler, timeout=10)  # type: ignore[no-untyped-call]  # distributed has no types
    except (OSError, ValueError) as problem:
        raise InputError(
            f"no scheduler answers at {scheduler}",
            where="TISSUETRACE_DASK",
            todo="Start one (dask scheduler), or unset the variable",
        ) from problem
    with client:
        call = partial(_work_in, str(Path.cwd()), function)
        futures = client.map(call, work, pure=False)
        try:
            found: list[Result] = client.gather(futures)  # type: ignore[no-untyped-call]  # as above
        except KilledWorker as problem:
            raise InputError(
                "a worker of the scheduler was killed, again and again, by the same item",
                where=title,
                todo="Mostly memory: give workers more of it, then run it again",
            ) from problem
    return found


def _work_in(folder: str, function: Callable[[Item], Result], item: Item) -> Result:
    """Do one item on another machine, whose workers may stand in any folder."""
    from threadpoolctl import threadpool_limits

    os.chdir(folder)
    with threadpool_limits(1):
        return function(item)


def _cause(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if "SIG" in line]
    return lines[-1] if lines else "no exit code"
