"""Write requirements/lock-cpu.txt and lock-cuda.txt from pyproject.toml.

Run `python scripts/lock.py` with uv on the PATH after a change of dependencies; delete
lock-cuda.txt first to move every pin to its newest version. One resolution is split in two, since
pip prefers a listed registry build of torch over a local CPU wheel when one file names both: the
CPU lock pins `torch==…+cpu` alone and leaves the CUDA packages out.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
GROUPS = ("test", "lint", "benchmark")
CUDA_ONLY = re.compile(r"(nvidia|cuda|triton)(-|==)")

# SHA-256 of the CPU wheels for Linux x86_64, as published on PyTorch's CPU index.
TORCH_CPU = {
    "2.13.0": (
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",  # CPython 3.11
        "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",  # CPython 3.12
    )
}
TORCHVISION_CPU = {
    "0.28.0": (
        "1dad604dfc0177ecebe0891bd9701fe2c62ec3f7819a247be541b3fb6effee99",  # CPython 3.11
    )
}


def main() -> None:
    """Resolve once, write both locks."""
    entries = split_entries(resolve())
    write("lock-cuda.txt", "a CUDA machine", entries)
    write("lock-cpu.txt", "a CPU machine (Linux x86_64)", cpu_entries(entries))


def resolve() -> str:
    """Return uv's universal resolution with hashes, without options of this machine."""
    groups = [argument for group in GROUPS for argument in ("--group", group)]
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--all-extras"]
    quiet = ["--quiet", "--no-header", "--no-annotate"]
    quiet += ["--no-emit-index-url", "--no-emit-find-links"]
    # pins that stand in the file stay, unless a bound forbids them
    kept = ["--output-file", "requirements/lock-cuda.txt"]
    command = ["uv", "pip", "compile", "pyproject.toml", *options, *groups, *quiet, *kept]
    subprocess.run(command, cwd=ROOT, check=True)
    return (ROOT / "requirements/lock-cuda.txt").read_text(encoding="utf-8")


def split_entries(text: str) -> list[str]:
    """Split a requirements text into entries: a pin with its marker and hashes."""
    return re.findall(r"^[\w.-]+==(?:.*\\\n)+.*\n", text, flags=re.MULTILINE)


def cpu_entries(entries: list[str]) -> list[str]:
    """Exchange torch for its CPU build and drop what only CUDA needs."""
    kept = (entry for entry in entries if not CUDA_ONLY.match(entry))
    return [_cpu_build(entry) for entry in kept]


def _cpu_build(entry: str) -> str:
    name, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]  # split_entries matched it
    if name == "torch":
        return f"torch=={version}+cpu \\\n" + _hash_lines(TORCH_CPU[version]) + "\n"
    if name == "torchvision":
        return entry.rstrip("\n") + " \\\n" + _hash_lines(TORCHVISION_CPU[version]) + "\n"
    return entry


def _hash_lines(hashes: tuple[str, ...]) -> str:
    return " \\\n".join(f"    --hash=sha256:{digest}" for digest in hashes)


def write(name: str, machine: str, entries: list[str]) -> None:
    """Write one lock with a line that says what it is for."""
    head = f"# Locked dependencies for {machine}. Written by scripts/lock.py: do not edit.\n"
    (ROOT / "requirements" / name).write_text(head + "".join(entries))


if __name__ == "__main__":
    main()
