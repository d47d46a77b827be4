"""The same function over many items, on many cores or machines, with the same bytes."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from threadpoolctl import threadpool_limits

    work: Sequence[Item] = list(items)
    count = max(1, min(workers(), len(work)))
    scheduler = os.environ.get("TISSUETRACE_DASK")
    if count == 1 and not scheduler:
        with threadpool_limits(1):
            return [function(item) for item in work]
    try:
        with _backend(scheduler):
            run = joblib.Parallel(n_jobs=-1 if scheduler else count)
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


@contextlib.contextmanager
def _backend(scheduler: str | None) -> Iterator[None]:
    import joblib

    if scheduler is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=10)  # type: ignore[no-untyped-call]  # distributed has no types
    except (OSError, ValueError) as problem:
        raise InputError(
            f"no scheduler answers at {scheduler}",
            where="TISSUETRACE_DASK",
            todo="Start one (dask scheduler), or unset the variable",
        ) from problem
    with client, joblib.parallel_config(backend="dask"):
        yield


def _cause(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if "SIG" in line]
    return lines[-1] if lines else "no exit code"
