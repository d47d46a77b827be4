"""What would stop a long run, found before it starts."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tissuetrace.pipeline import dvcfile, params, registry, sources
from tissuetrace.pipeline.errors import ProjectError
from tissuetrace.pipeline.machine import device, workers

__all__ = ["Check", "examine"]

GIB = 1 << 30
LIBRARIES = (
    "cv2",
    "dvc",
    "great_expectations",
    "imblearn",
    "lightning_fabric",
    "mlflow",
    "numba",
    "openslide",
    "shap",
    "sklearn",
    "torch",
    "torchvision",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined.

    Args:
        name: what was looked at.
        passed: whether a run can go on with it.
        found: what was seen.
        remedy: what to do where it did not pass.
    """

    name: str
    passed: bool
    found: str
    remedy: str = ""

    def line(self) -> str:
        """Return what the user reads."""
        mark = "ok  " if self.passed else "FAIL"
        remedy = "" if self.passed or not self.remedy else f". {self.remedy}"
        return f"{mark} {self.name}: {self.found}{remedy}"


def examine(studies: list[str], root: Path) -> list[Check]:
    """Examine machine, environment and project for the given studies."""
    settings = _told("TISSUETRACE_* variables", _settings)
    declared = _told("params.yaml and dvc.yaml", lambda: _declared(root))
    checks = [_python(), _libraries(), settings, _openslide(), declared, _remote(root)]
    if settings.passed:
        checks.insert(3, _torch())
    for study in studies:
        checks += _source(study, root)
        if settings.passed and declared.passed:
            checks += _room(study, root)
    return checks


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer")


def _libraries() -> Check:
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    found = f"missing: {', '.join(missing)}" if missing else f"{len(LIBRARIES)} found"
    return Check("libraries", not missing, found, "Run make setup")


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as problem:
        return Check("torch", passed=False, found=str(problem), remedy="Run make setup")
    wanted = device()
    cuda = torch.cuda.is_available()
    found = f"{torch.__version__}, trains on {wanted}, {workers()} workers"
    remedy = "Set TISSUETRACE_DEVICE=cpu, or install with TORCH=cuda make setup"
    if wanted == "cuda" and not cuda:
        found += ", but no CUDA device is seen"
    return Check("torch", wanted == "cpu" or cuda, found, remedy)


def _openslide() -> Check:
    try:
        import openslide
    except (ImportError, OSError) as problem:
        return Check("openslide", passed=False, found=str(problem), remedy="Run make setup")
    return Check("openslide", passed=True, found=openslide.__library_version__)


def _told(name: str, examination: Callable[[], str]) -> Check:
    try:
        return Check(name, passed=True, found=examination())
    except ProjectError as problem:
        return Check(name, passed=False, found=str(problem))


def _settings() -> str:
    return f"device {device()}, {workers()} workers"


def _declared(root: Path) -> str:
    names = registry.study_names()
    studies = {name: registry.find_study(name) for name in names}
    stages = [stage for name in names for stage in registry.stages_of(name)]
    content = params.load_params(root / "params.yaml")
    params.check_params(stages, content)
    dvcfile.require_current(studies, stages, content, root)
    return f"{len(stages)} stages, as the code declares them"


def _remote(root: Path) -> Check:
    import configparser

    config = configparser.ConfigParser()
    config.read([root / ".dvc/config", root / ".dvc/config.local"])
    name = config.get("core", "remote", fallback="")
    if not name:
        return Check("remote", passed=True, found="none; outputs stay on this machine")
    url = config.get(f"'remote \"{name}\"'", "url", fallback="")
    if not url:
        return Check(
            "remote", passed=False, found=f"{name} has no url", remedy="Run dvc remote modify"
        )
    local = root / ".dvc" / url
    if "://" not in url and not local.exists():
        return Check(
            "remote", passed=False, found=f"the folder of {name} is absent", remedy="Mount it"
        )
    return Check("remote", passed=True, found=f"{name} is set")


def _source(study: str, root: Path) -> Iterator[Check]:
    try:
        source = sources.read_source(root / "sources" / f"{study}.json")
        changed = sources.drift(study, root)
    except ProjectError as problem:
        yield Check(f"{study}: source", passed=False, found=str(problem))
        return
    found = source.kind if not changed else f"{len(changed)} files differ from sources/{study}.json"
    yield Check(f"{study}: source", not changed, found, f"Run tissuetrace source {study} PATH")


def _room(study: str, root: Path) -> Iterator[Check]:
    import psutil

    try:
        source = sources.read_source(root / "sources" / f"{study}.json")
        content = params.load_params(root / "params.yaml")
    except ProjectError:
        return  # said above
    size = sum(file.bytes for file in source.files)
    needs = registry.find_study(study).needs(content[study], len(source.files), size)
    free_disk = shutil.disk_usage(root).free
    free_memory = psutil.virtual_memory().available
    memory = needs.memory_per_worker * workers()
    yield Check(
        f"{study}: disk",
        free_disk > needs.disk,
        f"needs about {needs.disk / GIB:.1f} GiB, {free_disk / GIB:.1f} GiB free",
        "Make room, or set cache.dir in .dvc/config.local to another disk",
    )
    yield Check(
        f"{study}: memory",
        free_memory > memory,
        f"needs about {memory / GIB:.1f} GiB for {workers()} workers, "
        f"{free_memory / GIB:.1f} GiB free",
        "Lower TISSUETRACE_WORKERS",
    )
