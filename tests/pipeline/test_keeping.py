import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_tree import Tree

pytestmark = pytest.mark.slow

# A stage as the spine runs it: written aside, renamed into place. It notes what it makes anew.
STAGE = """\
import hashlib, json, os, shutil, sys
from pathlib import Path
from tissuetrace.pipeline.keeping import forget_shards, plan_shards

aside = Path("data/toy/cut/.partial-cut/shards")
aside.parent.mkdir(parents=True)
inputs = {p.stem: [hashlib.sha256(p.read_bytes()).hexdigest()] for p in Path("raw").glob("*.txt")}
plan = plan_shards(aside, inputs, recipe=json.loads(Path("recipe.json").read_text()))
for shard in plan.fresh:
    with shard.writing() as folder:
        text = Path(f"raw/{shard.name}.txt").read_text() + Path("recipe.json").read_text()
        (folder / f"{shard.name}.cut").write_text(text)
    with open("made.log", "a") as log:
        log.write(shard.name + "\\n")
    if os.environ.get("BREAK_OFF"):
        shutil.rmtree(aside.parent)
        sys.exit(1)
plan.finish()
aside.rename("data/toy/cut/shards")
aside.parent.rmdir()
forget_shards(Path("data/toy/cut/shards"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "project")
    (tree.root / "raw").mkdir(parents=True)
    for name in "ab":
        (tree.root / f"raw/{name}.txt").write_text(f"slide {name}\n")
    (tree.root / "recipe.json").write_text("1")
    (tree.root / "stage.py").write_text(STAGE)
    shutil.copytree(Path(__file__).parents[2] / "src", tree.root / "src")
    (tree.root / "dvc.yaml").write_text(
        "stages:\n  cut:\n"
        f"    cmd: {sys.executable} stage.py\n"
        "    deps: [raw, recipe.json]\n    outs: [data/toy/cut/shards]\n"
    )
    assert tree.run("dvc", "init", "--no-scm", "--quiet").returncode == 0
    assert made(tree) == ["a", "b"]
    return tree


def made(tree: Tree, *options: str, **environment: str) -> list[str]:
    """Reproduce, and return which shards were made anew."""
    log = tree.root / "made.log"
    log.unlink(missing_ok=True)
    done = tree.run("dvc", "repro", "--no-run-cache", *options, **environment)
    assert (done.returncode == 0) != ("BREAK_OFF" in environment), done.stdout + done.stderr
    return log.read_text().split() if log.exists() else []


def shards(tree: Tree) -> dict[str, str]:
    folder = tree.root / "data/toy/cut/shards"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.cut"))}


def test_one_more_input_makes_one_more_shard_and_one_less_makes_none(project: Tree) -> None:
    (project.root / "raw/c.txt").write_text("slide c\n")
    assert made(project) == ["c"]
    assert list(shards(project)) == ["a.cut", "b.cut", "c.cut"]

    (project.root / "raw/a.txt").unlink()
    assert made(project) == []
    assert list(shards(project)) == ["b.cut", "c.cut"]


def test_a_changed_input_makes_its_shard_anew(project: Tree) -> None:
    (project.root / "raw/a.txt").write_text("slide a, scanned again\n")

    assert made(project) == ["a"]
    assert shards(project)["a.cut"] == "slide a, scanned again\n1"


def test_what_was_made_before_a_break_is_not_made_again(project: Tree) -> None:
    (project.root / "recipe.json").write_text("2")

    assert made(project, BREAK_OFF="1") == ["a"]
    assert made(project) == ["b"]
    assert shards(project) == {"a.cut": "slide a\n2", "b.cut": "slide b\n2"}
    assert not (project.root / ".cache/resume/shards").exists() or not list(
        (project.root / ".cache/resume/shards").iterdir()
    )


def test_an_edited_shard_is_put_back_from_the_cache(project: Tree) -> None:
    before = shards(project)
    project.write("data/toy/cut/shards/a.cut", b"edited")

    assert made(project, "--force") == []
    assert shards(project) == before


def test_a_damaged_object_of_the_cache_makes_that_shard_anew(project: Tree) -> None:
    before = shards(project)
    (damaged,) = [
        path
        for path in (project.root / ".dvc/cache/files/md5").rglob("*")
        if path.is_file() and path.read_text() == before["a.cut"]
    ]
    damaged.chmod(0o644)
    damaged.write_text("damaged")
    shutil.rmtree(project.root / "data")

    assert made(project, "--force") == ["a"]
    assert shards(project) == before


def test_another_recipe_makes_every_shard_anew(project: Tree) -> None:
    (project.root / "recipe.json").write_text("2")

    assert made(project) == ["a", "b"]


def test_reuse_is_turned_off_by_one_setting_and_gives_the_same_bytes(project: Tree) -> None:
    before = shards(project)

    assert made(project, "--force", TISSUETRACE_REUSE="0") == ["a", "b"]
    assert shards(project) == before


def test_a_moved_cache_is_found(project: Tree) -> None:
    (project.root / ".dvc/cache").rename(project.root.parent / "elsewhere")
    project.run("dvc", "config", "--local", "cache.dir", str(project.root.parent / "elsewhere"))
    (project.root / "raw/c.txt").write_text("slide c\n")

    assert made(project) == ["c"]


def test_a_lock_that_another_dvc_is_writing_is_waited_for(project: Tree) -> None:
    whole = (project.root / "dvc.lock").read_text()
    stage = [sys.executable, "stage.py"]
    shutil.rmtree(project.root / "data/toy/cut")
    (project.root / "made.log").unlink()
    with (project.root / ".dvc/tmp/lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (project.root / "dvc.lock").write_text(whole[:40])
        running = subprocess.Popen(stage, cwd=project.root, env=project.environment())
        time.sleep(1)
        assert running.poll() is None
        (project.root / "dvc.lock").write_text(whole)

    assert running.wait(timeout=60) == 0
    assert not (project.root / "made.log").exists()


def test_what_was_finished_waits_until_the_output_is_in_place(project: Tree) -> None:
    (project.root / "raw/c.txt").write_text("slide c\n")
    broken = STAGE.replace("plan.finish()\n", "plan.finish()\nsys.exit(1)\n")
    (project.root / "stage.py").write_text(broken)
    log = project.root / "made.log"
    log.unlink()
    project.run("dvc", "repro", "--no-run-cache")
    assert log.read_text().split() == ["c"]

    shutil.rmtree(project.root / "data/toy/cut", ignore_errors=True)
    (project.root / "stage.py").write_text(STAGE)

    assert made(project) == []
    assert list(shards(project)) == ["a.cut", "b.cut", "c.cut"]
