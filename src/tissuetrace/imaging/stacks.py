"""What a reader brings from one acquisition, before its channels are named by a panel."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

__all__ = ["Partial", "Stack"]

Partial = Literal["refuse", "drop"]


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
