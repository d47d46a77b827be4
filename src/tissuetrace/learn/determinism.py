"""Computing so that the same call gives the same bits."""

import contextlib
import os
from collections.abc import Iterator

import torch

__all__ = ["reproducible"]


@contextlib.contextmanager
def reproducible(seed: int, device: str) -> Iterator[None]:
    """Compute with one thread, torch's generator seeded and deterministic algorithms.

    All of it is put back afterwards.
    """
    cuda = device == "cuda"
    if cuda:
        # cuBLAS reads it when it starts; without it matrix products may differ between runs
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads = torch.get_num_threads()
    deterministic = torch.get_deterministic_debug_mode()
    devices = [torch.cuda.current_device()] if cuda else []
    cudnn = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with torch.random.fork_rng(devices=devices), cudnn:
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        if cuda:
            torch.set_deterministic_debug_mode("warn")
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_deterministic_debug_mode(deterministic)
