"""The state of a training on disk: whole or absent, never half-written."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from tissuetrace.pipeline.errors import InputError

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers, texts, lists and mappings, replacing the file in one step.

    Raises:
        OSError: the disk is full or the folder not writable; the former file is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    memory = io.BytesIO()  # torch's own writer turns a full disk into a RuntimeError
    torch.save(content, memory)
    # a worker may outlive a killed stage for a while and write beside the run that goes on
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(memory, aside)
    except OSError:
        aside.unlink(missing_ok=True)  # half of it would keep the disk full
        raise
    aside.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read what `write_checkpoint` wrote onto the CPU; None where there is nothing.

    Raises:
        InputError: the file is no checkpoint, or holds anything but plain data.
    """
    if not path.exists():
        return None
    if not zipfile.is_zipfile(path):  # torch guesses at older formats and warns
        raise _no_checkpoint(path, "damaged")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as problem:
        raise _no_checkpoint(path, str(problem).partition("\n")[0]) from problem
    return content


def _write(content: io.BytesIO, path: Path) -> None:
    with path.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())  # else a power cut could leave the new name on empty content


def _no_checkpoint(path: Path, reason: str) -> InputError:
    return InputError(
        f"no checkpoint ({reason})",
        where=str(path),
        todo="Remove it, then the training starts again from its first epoch",
    )
