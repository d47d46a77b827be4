"""Peak memory of cutting a cohort of phantom cores and of drawing their decoys.

    python benchmarks/patch_memory.py                 # 100 cores of 400 µm
    python benchmarks/patch_memory.py --cores 20 --json

Each stage runs in a process of its own, as in the pipeline. The peak is that of this process and
all its workers together, sampled a hundred times a second: `rss` counts a page once for each
process that holds it, `pss` (Linux) divides it among them.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tissuetrace.studies.imc.patch import Patch

PROJECT = Path(__file__).parents[1]
PREDICTORS = (
    *("CCL2", "CCL4", "CCL8", "CCL18", "CCL19", "CCL22", "CXCL8", "CXCL9", "CXCL10", "CXCL12"),
    *("CXCL13", "DapB", "SOX10", "Vimentin", "SMA", "CD31", "CD68", "HLADR", "CD45", "DNA"),
)
PATIENTS = 25
RATE_PER_UM2 = 1.2e-4


def main() -> None:
    """Draw, cut, divide, give decoys; print the peaks as a table, or as JSON."""
    arguments = _arguments()
    if arguments.step:
        os.chdir(arguments.home)
        STEPS[arguments.step](arguments.home)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "src").symlink_to(PROJECT / "src")  # what the spine hashes
        (home / "cores").write_text(f"{arguments.cores}")
        found: dict[str, float] = {"cores": arguments.cores}
        for step in STEPS:
            found |= {f"{step}_{name}": value for name, value in _measure(home, step).items()}
    for kind in ("rss", "pss"):
        found[f"peak_{kind}_mb"] = max(found[f"cut_{kind}_mb"], found[f"decoys_{kind}_mb"])
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:14} {value:10.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cores", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(home: Path, step: str) -> dict[str, float]:
    """Run one step in a process of its own and watch it."""
    start = time.perf_counter()
    own = [sys.executable, __file__, "--step", step, "--home", str(home)]
    with subprocess.Popen(own) as running:
        process = psutil.Process(running.pid)
        rss, pss = 0, 0
        while running.poll() is None:
            rss, pss = max(rss, _memory(process, "rss")), max(pss, _memory(process, "pss"))
            time.sleep(0.01)
    if running.returncode:
        raise SystemExit(f"{step} failed")
    return {"rss_mb": rss / 1e6, "pss_mb": pss / 1e6, "s": time.perf_counter() - start}


def _memory(process: psutil.Process, kind: str) -> int:
    total = 0
    # a process may end between being listed and being asked; what is gone holds no memory
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found = one.memory_info() if kind == "rss" else one.memory_full_info()
                total += getattr(found, kind, 0)
    return total


def _draw(home: Path) -> None:
    """Write cores as `ingest` does."""
    import numpy as np
    import pandas as pd

    from tissuetrace.pipeline.files import write_table
    from tissuetrace.studies.imc.drawing import draw_core, patient_offsets

    images = home / "images"
    images.mkdir()
    rows = []
    for number in range(int((home / "cores").read_text())):
        patient = number % PATIENTS
        rng = np.random.default_rng([0, patient])
        core = draw_core(
            patient_offsets(1 if patient % 2 else -1, rng),
            diameter_um=400.0,
            rate_per_um2=RATE_PER_UM2,
            tumour_marker="SOX10",
            rng=np.random.default_rng([1, number]),
        )
        name = f"core_{number:04d}"
        counts = core.counts.astype(np.float32)
        np.savez(
            images / f"{name}.npz",
            x=counts,
            names=np.array(core.names),
            px_um=np.float64(1),
            tissue=core.tissue,
        )
        rows.append((name, f"patient_{patient:02d}"))
    write_table(pd.DataFrame(rows, columns=["image", "subject"]), home / "images.parquet")


def _cut(home: Path) -> None:
    from tissuetrace.studies.imc.cohorts import Cohort, Markers
    from tissuetrace.studies.imc.patch import patch

    patch(
        images=home / "images",
        table=home / "images.parquet",
        tables=home / "tables",
        pixels=home / "pixels",
        cores=home / "cores.parquet",
        params=_patch_params(),
        cohort=Cohort(
            px_um=1.0,
            markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1", "LAG3")),
            threshold=3.0,
            predictors=PREDICTORS,
            free=(),
            control="DapB",
            tumour_marker="SOX10",
            tumour_threshold=0.5,
            tissue_min=1.0,
            cnn=(),
        ),
    )


def _split(home: Path) -> None:
    from tissuetrace.studies.imc.split import Split, split

    split(
        tables=home / "tables",
        patient=home / "split_patient.parquet",
        random=home / "split_random.parquet",
        redraws=home / "redraws.parquet",
        params=Split(fractions=(0.65, 0.15, 0.2), seeds=8, seed=0, least=20, draws=100),
    )


def _decoys(home: Path) -> None:
    from tissuetrace.studies.imc.decoy import Decoy, decoy

    decoy(
        tables=home / "tables",
        pixels=home / "pixels",
        split_patient=home / "split_patient.parquet",
        split_random=home / "split_random.parquet",
        patient=home / "patient.parquet",
        random=home / "random.parquet",
        dropped=home / "dropped.parquet",
        params=Decoy(kind="matched", nearest=10, seed=0),
        patch=_patch_params(),
    )


def _patch_params() -> "Patch":
    from tissuetrace.studies.imc.patch import Patch

    return Patch(
        size_um=40.0,
        radius_um=5.0,
        mean="retained",
        keep_min=0.1,
        label_min_um2=12.0,
        label_smooth_um=1.0,
        tumour_smooth_um=2.0,
    )


STEPS = {"draw": _draw, "cut": _cut, "split": _split, "decoys": _decoys}

if __name__ == "__main__":
    main()
