"""Which modules of ours can change what a stage computes: its imports, read from the source."""

import ast
from functools import cache
from pathlib import Path

__all__ = ["NEUTRAL", "code_of", "imports_of"]

PACKAGE = "tissuetrace"

# Modules that cannot change a result, so a change in them reruns nothing.
NEUTRAL = {
    "tissuetrace": "says the version of the whole",
    "tissuetrace.pipeline.errors": "says what went wrong, in words",
    "tissuetrace.pipeline.exit_codes": "says how a stage ended",
    "tissuetrace.pipeline.live": "shows epochs on a server",
    "tissuetrace.pipeline.machine": "settings of a machine; results do not depend on them",
    "tissuetrace.pipeline.progress": "draws a bar",
    "tissuetrace.pipeline.stage": "what is declared stands in dvc.yaml itself",
    "tissuetrace.pipeline.runs": "describes a training after it is done",
}


def code_of(module: str, root: Path) -> list[str]:
    """Return the files, relative to the project, that a module's results depend on.

    The module itself, every module of ours that it imports, directly or not, imports inside
    functions included, the packages they lie in, and the files beside a module that it names
    (a template, a style sheet). A file that holds a docstring and nothing else is left out.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _is_neutral(name):
            continue
        seen.add(name)
        waiting += imports_of(_file(name, root), root)
        waiting += [name.rpartition(".")[0]] if "." in name else []
    files = [file for name in seen if _computes(file := _file(name, root))]
    files += [named for file in files for named in _named_beside(file)]
    return sorted({file.relative_to(root).as_posix() for file in files})


@cache
def imports_of(file: Path, root: Path) -> list[str]:
    """Return the modules of ours that one file imports, anywhere in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [node.module, *(name for name in members if _is_module(name, root))]
    return sorted({name for name in found if name.split(".")[0] == PACKAGE})


@cache
def _computes(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return ast.get_docstring(ast.Module(body, [])) is None or len(body) > 1


@cache
def _named_beside(file: Path) -> list[Path]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    others = [path for path in file.parent.iterdir() if path.is_file() and path.suffix != ".py"]
    return [path for path in others if path.name in words]


def _is_neutral(name: str) -> bool:
    # a study's own __init__ says its title and plots, and no stage reads it
    return name in NEUTRAL or name.rpartition(".")[0] == f"{PACKAGE}.studies"


def _is_module(name: str, root: Path) -> bool:
    return name.split(".", maxsplit=1)[0] == PACKAGE and _candidate(name, root) is not None


def _file(name: str, root: Path) -> Path:
    found = _candidate(name, root)
    if found is None:
        raise ModuleNotFoundError(name)
    return found


def _candidate(name: str, root: Path) -> Path | None:
    base = root / "src" / Path(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.exists():
            return file
    return None
