"""A copy of the project in which the lanes are replaced by a toy study, and a way to run it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
TOY_PARAMS = """\
toy:
  kinds: [a, b]
  draw:
    rows: 5   # how many
    low: 1.0
    pause_s: 0.0
  train:
    shift: 0.0
"""


@dataclass(frozen=True)
class Tree:
    """A copy of the project's code, in which commands run against that copy."""

    root: Path

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TISSUETRACE", "MLFLOW"))}
        return {
            **kept,
            "PATH": path,
            "PYTHONPATH": str(self.root / "src"),
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc/site"),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{
                f"GIT_{who}_{what}": "tests@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
            **more,
        }

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def write(self, name: str, content: bytes) -> None:
        """Replace a file; an output may be a link into DVC's cache."""
        path = self.root / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def copy(self, target: Path) -> "Tree":
        shutil.copytree(self.root, target, symlinks=True)
        return Tree(target)

    def outputs(self) -> Mapping[str, bytes]:
        """Bytes of every output that is no record, by path."""
        folders = [self.root / "data", self.root / "metrics", self.root / "reports"]
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "run.json" and "checksums" not in path.parts
        }


def copy_of_project(target: Path) -> Tree:
    """Copy what git would hold: code, params, pipeline, tests are left out."""
    target.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", target / "src", ignore=ignored)
    for folder in ("params", "sources", "docs"):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("local"))
    for name in (
        "params.yaml",
        "dvc.yaml",
        "README.md",
        ".gitignore",
        ".dvcignore",
        "Makefile",
        "data/README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        ".dvc/config",
        ".dvc/.gitignore",
    ):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return Tree(target)


def project_of(study: str, target: Path) -> Tree:
    """A copy of the project with one of its lanes alone."""
    tree = copy_of_project(target)
    for lane in (target / "src/tissuetrace/studies").iterdir():
        if lane.is_dir() and lane.name != study:
            shutil.rmtree(lane)
    for source in (target / "sources").glob("*.json"):
        if source.stem != study:
            source.unlink()
    for file in [target / "params.yaml", *(target / "params").glob("*.yaml")]:
        sections = re.split(r"^(?=\w+:)", file.read_text(), flags=re.MULTILINE)
        file.write_text("".join(part for part in sections if part.startswith(f"{study}:")))
    return tree


def toy_project(target: Path) -> Tree:
    """A copy with the toy study alone, under git, its pipeline written."""
    tree = project_of("toy", target)
    shutil.copytree(
        ROOT / "tests/pipeline/toy_study",
        target / "src/tissuetrace/studies/toy",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (target / "params.yaml").write_text(TOY_PARAMS)
    (target / "sources/toy.json").write_text('{"kind": "phantom", "files": []}\n')
    commit_project(tree)
    return tree


def commit_project(tree: Tree) -> None:
    """Write the pipeline, and put everything under git."""
    for command in (
        ["tissuetrace", "pipeline", "--write"],
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "as accepted"],
    ):
        done = tree.run(*command)
        assert done.returncode == 0, done.stderr


def wait_for_left_stages(tree: Tree) -> None:
    """Wait for a stage that began in the very moment in which its dvc was killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(
        process.info["cwd"] == str(tree.root) and "run" in (process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "cwd"])
    ):
        time.sleep(0.1)
