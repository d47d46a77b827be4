"""Settings that belong to a machine: environment variables, never parameters."""

import ctypes
import os
import signal
import sys

from tissuetrace.pipeline.errors import InputError

__all__ = [
    "compute_with_one_thread",
    "device",
    "die_with_parent",
    "quieten_libraries",
    "workers",
]


_LIBC = ctypes.CDLL(None)  # here, since a forked child must not load a library


def workers() -> int:
    """Return how many processes may work at once: `TISSUETRACE_WORKERS`, else every core.

    Raises:
        InputError: the variable is no whole number above 0.
    """
    setting = os.environ.get("TISSUETRACE_WORKERS")
    if setting is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if not setting.isdecimal() or int(setting) < 1:
        raise InputError(
            f"is {setting!r}, expected a whole number above 0", where="TISSUETRACE_WORKERS"
        )
    return int(setting)


def device() -> str:
    """Return where networks train: `TISSUETRACE_DEVICE`, `cpu` (default) or `cuda`.

    Raises:
        InputError: the variable says anything else.
    """
    setting = os.environ.get("TISSUETRACE_DEVICE", "cpu")
    if setting not in {"cpu", "cuda"}:
        raise InputError(f"is {setting!r}, expected cpu or cuda", where="TISSUETRACE_DEVICE")
    return setting


def quieten_libraries() -> None:
    """Turn every library's telemetry off, for this process and its children."""
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["DVC_NO_ANALYTICS"] = "1"
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def compute_with_one_thread() -> None:
    """Let libraries that are imported from now on compute with one thread.

    Sums of several threads differ in their last bits from machine to machine, and the cores are
    taken by processes. Call it before numpy or torch is imported.
    """
    for library in ("MKL", "OMP", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"


def die_with_parent() -> None:
    """Let this process end when the process that started it is killed (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    pr_set_pdeathsig = 1
    _LIBC.prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before the signal was asked for
        os.kill(os.getpid(), signal.SIGTERM)
