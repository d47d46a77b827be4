"""Every test computes with one thread, as the stages do."""

from tissuetrace.pipeline.machine import compute_with_one_thread

compute_with_one_thread()
