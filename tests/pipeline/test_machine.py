import os
import subprocess
import sys


def test_torch_and_numpy_compute_with_one_thread_whatever_the_machine_says() -> None:
    program = (
        "from tissuetrace.pipeline.machine import compute_with_one_thread\n"
        "compute_with_one_thread()\n"
        "import numpy, torch, threadpoolctl\n"
        "found = [pool['num_threads'] for pool in threadpoolctl.threadpool_info()]\n"
        "print(torch.get_num_threads(), *found)"
    )
    asked = os.environ | {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}

    done = subprocess.run(
        [sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()) == {"1"}
