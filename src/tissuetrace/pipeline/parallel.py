"""The same function over many items, on many cores or machines, with the same bytes."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
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
    to send the work to. Neither can change a result: nothing is shared between two calls, and
    every worker computes with one thread.

    Args:
        function: a function at the top level of a module.
        items: small things such as paths and seeds.
        title: what is being done, for the message when a worker dies.

    Raises:
        InputError: a worker was killed, mostly for want of memory.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    work: Sequence[Item] = list(items)
    count = max(1, min(workers(), len(work)))
    scheduler = os.environ.get("TISSUETRACE_DASK")
    try:
        with _backend(scheduler):
            run = joblib.Parallel(n_jobs=-1 if scheduler else count)
            if count == 1 and not scheduler:
                return [function(item) for item in work]
            return list(run(joblib.delayed(_work)(function, item) for item in work))
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


def _backend(scheduler: str | None) -> AbstractContextManager[object]:
    import joblib

    if not scheduler:
        local: AbstractContextManager[object] = joblib.parallel_config(
            backend="loky", inner_max_num_threads=1
        )
        return local
    from distributed import Client

    Client(scheduler)  # type: ignore[no-untyped-call]  # distributed types it not
    remote: AbstractContextManager[object] = joblib.parallel_config(backend="dask")
    return remote


def _cause(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if "SIG" in line]
    return lines[-1] if lines else "no exit code"
