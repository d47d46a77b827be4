"""Settings that belong to a machine: environment variables, never parameters."""

import os

from tissuetrace.pipeline.errors import InputError

__all__ = ["device", "quieten_libraries", "workers"]


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
