"""What a reader brings from one acquisition before a panel names its channels, and how it fails."""

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

__all__ = ["DAMAGE", "Partial", "Stack", "one_line"]

Partial = Literal["refuse", "drop"]

# What the libraries raise on damaged files, as flipping bytes at random brings to light. Not all of
# it is meant: they divide by a height of 0, or reserve the memory that a header claims.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Channels of one acquisition.

    Args:
        labels: what the file calls each channel, empty where it does not.
        metals: isotope of each, empty where the file does not say.
        x: counts; 0 where nothing was acquired.
        acquired: pixels that the file holds.
        px_um: side of a pixel (µm), where the file or its metadata state one.
        recovered: `txt` where the mcd could not be read and its txt was.
        remarks: what the user should know though nothing is refused.
    """

    labels: tuple[str, ...]
    metals: tuple[str, ...]
    x: Float32[ndarray, "channel y x"]
    acquired: Bool[ndarray, "y x"]
    px_um: float | None
    recovered: Literal["", "txt"] = ""
    remarks: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """Number of pixels that the file does not hold."""
        return int(np.size(self.acquired) - np.count_nonzero(self.acquired))


def one_line(problem: BaseException) -> str:
    """Return what an error says, or at least its kind, for a message of one line."""
    return " ".join(str(problem).split()) or type(problem).__name__
