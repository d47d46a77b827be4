"""Functions that worker processes import by name."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def draw(seed: int) -> bytes:
    return np.random.default_rng(seed).normal(size=100).tobytes()


def die_on_three(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def sleep_long(item: int) -> int:
    time.sleep(120)
    return item


def read_text(name: str) -> str:
    return Path(name).read_text()
