"""The two lock files against each other, the declared bounds and this environment."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
CUDA_ONLY = re.compile(r"(nvidia|cuda)-|triton$")


def pins(name: str) -> dict[str, set[tuple[str, str]]]:
    """Version and marker of every pin, by package; a package may have one for each Python."""
    text = (ROOT / "requirements" / name).read_text()
    found: dict[str, set[tuple[str, str]]] = {}
    for package, release, marker in re.findall(
        r"^([\w.-]+)==([^\s;]+)(?: ; (.*?))? \\$", text, re.MULTILINE
    ):
        found.setdefault(package, set()).add((release, marker))
    return found


def test_the_locks_agree_on_everything_but_torch_and_cuda() -> None:
    cpu, cuda = pins("lock-cpu.txt"), pins("lock-cuda.txt")

    assert len(cpu) > 150
    shared = {name for name in cuda if not CUDA_ONLY.match(name)}
    assert set(cpu) == shared
    assert [name for name in shared - {"torch"} if cpu[name] != cuda[name]] == []
    assert {release for release, _ in cpu["torch"]} == {
        f"{release}+cpu" for release, _ in cuda["torch"]
    }


@pytest.mark.parametrize("name", ["lock-cpu.txt", "lock-cuda.txt"])
def test_every_pin_has_a_hash_and_no_line_names_a_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]

    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|index-url|find-links", text)


def test_this_environment_is_the_locked_one() -> None:
    torch = version("torch")
    locked = pins("lock-cpu.txt" if torch.endswith("+cpu") else "lock-cuda.txt")

    wrong = [
        f"{name} {version(name)}"
        for name, releases in locked.items()
        for release, marker in releases
        if (not marker or Marker(marker).evaluate()) and version(name) != release
    ]

    assert wrong == [], sys.version
