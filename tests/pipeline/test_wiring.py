"""`dvc.yaml`, layers, README and help against the code; each guard is seen to fail.

Every wiring test is a function of a tree of files. It runs on the project, and, for each way in
which the project could be broken, on a broken copy.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project_tree import ROOT, Tree

from tissuetrace.cli import cli
from tissuetrace.pipeline.code import NEUTRAL, code_of, imports_of
from tissuetrace.pipeline.stage import Each, Stage

FLOORS = (
    ("tissuetrace.cli",),
    ("tissuetrace.lineage", "tissuetrace.studies"),
    ("tissuetrace.report",),
    ("tissuetrace.explain",),
    ("tissuetrace.learn",),
    ("tissuetrace.models", "tissuetrace.imaging", "tissuetrace.stats"),
    ("tissuetrace.pipeline",),
)
HEAVY = {
    "cv2", "dvc", "great_expectations", "lightning_fabric", "matplotlib", "mlflow", "numba",
    "numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch", "torchvision",
}  # fmt: skip
STAGE = "src/tissuetrace/studies/leukemia/split.py"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> int:
    return next(
        (level for level, names in enumerate(FLOORS) if any(in_package(module, n) for n in names)),
        len(FLOORS),
    )


def in_package(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def study_of(module: str) -> str | None:
    found = re.match(r"tissuetrace\.studies\.(\w+)", module)
    return found[1] if found else None


def layer_mistakes(root: Path) -> list[str]:
    mistakes = []
    for path in sorted((root / "src/tissuetrace").rglob("*.py")):
        module = module_name(path, root)
        for imported in imports_of.__wrapped__(path, root):
            upwards = floor_of(imported) < floor_of(module)
            sideways = study_of(imported) not in {None, study_of(module)} and study_of(module)
            if imported != "tissuetrace" and module != "tissuetrace" and (upwards or sideways):
                mistakes.append(f"{module} imports {imported}")
        mistakes += forbidden(path, module)
    return mistakes


MAY_IMPORT_BY_NAME = {
    "tissuetrace.pipeline.doctor",  # asks whether a library is there
    "tissuetrace.pipeline.registry",  # finds studies and stages
    "tissuetrace.models.vision",  # torchvision's shim
}


def imported_names(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Name) and node.id == "__import__":
            found.add("importlib")
    return found


def forbidden(path: Path, module: str) -> list[str]:
    """Imports by name outside the registry, torchvision past its shim, a lane in the spine."""
    names = imported_names(path)
    mistakes = []
    harmless = ("importlib.metadata", "importlib.resources")
    dynamic = [
        name for name in names if in_package(name, "importlib") and not name.startswith(harmless)
    ]
    if dynamic and module not in MAY_IMPORT_BY_NAME:
        mistakes.append(f"{module} imports dynamically")
    if (
        any(in_package(name, "torchvision") for name in names)
        and module != "tissuetrace.models.vision"
    ):
        mistakes.append(f"{module} imports torchvision past its shim")
    if in_package(module, "tissuetrace.pipeline") and re.search(
        r"leuk|cnmc|c-nmc|\bcells?\b|blast", path.read_text(), re.IGNORECASE
    ):
        mistakes.append(f"{module} knows a study")
    return mistakes


def test_imports_point_down_and_the_spine_knows_no_study() -> None:
    assert layer_mistakes(ROOT) == []


UPWARDS = {
    "pipeline/hashing.py": "import tissuetrace.stats.paired",
    "stats/paired.py": "from tissuetrace import learn",
    "learn/splits.py": "from tissuetrace.studies.leukemia import split",
    "imaging/bitmaps.py": "def read():\n    from tissuetrace.report import pages",
    "studies/other/a.py": "import tissuetrace.studies.leukemia.split",
    "pipeline/files.py": "LEUKEMIA = 1",
    "learn/linking.py": "import torchvision",
    "learn/forests.py": "from importlib import import_module",
    "learn/losses.py": "import torch, torchvision",
}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("pipeline/hashing.py", "imports tissuetrace.stats"),
        ("stats/paired.py", "imports tissuetrace.learn"),
        ("learn/splits.py", "imports tissuetrace.studies"),
        ("imaging/bitmaps.py", "imports tissuetrace.report"),
        ("studies/other/a.py", "imports tissuetrace.studies.leukemia"),
        ("pipeline/files.py", "knows a study"),
        ("learn/linking.py", "past its shim"),
        ("learn/forests.py", "imports dynamically"),
        ("learn/losses.py", "past its shim"),
    ],
)
def test_the_layer_test_sees_a_forbidden_import(project: Tree, file: str, message: str) -> None:
    path = project.root / "src/tissuetrace" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{UPWARDS[file]}\n")

    assert any(message in mistake for mistake in layer_mistakes(project.root))


def check_pipeline(tree: Tree) -> subprocess.CompletedProcess[str]:
    return tree.run("tissuetrace", "pipeline", "--check")


def test_the_written_pipeline_says_what_the_code_says(project: Tree) -> None:
    done = check_pipeline(project)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param(STAGE, "import", "import tissuetrace.stats.paired\nimport", id="new import"),
        pytest.param(STAGE, "groups.parquet", "other.parquet", id="other output"),
        pytest.param("params.yaml", "near: 0.998", "nears: 0.998", id="misspelt parameter"),
        pytest.param("dvc.yaml", "leukemia.split.near", "leukemia.split.seed", id="edited params"),
        pytest.param("dvc.yaml", "tissuetrace run leukemia.split", "true", id="edited command"),
        pytest.param("data/README.md", "groups.parquet", "group.parquet", id="edited readme"),
        pytest.param(
            "src/tissuetrace/imaging/bitmaps.py",
            "import",
            "from tissuetrace.stats import paired\nimport",
            id="transitive import",
        ),
    ],
)
def test_a_stale_pipeline_is_refused(project: Tree, file: str, old: str, new: str) -> None:
    path = project.root / file
    text = path.read_text()
    at = re.search(rf"^{old}" if old == "import" else re.escape(old), text, re.MULTILINE)
    assert at is not None
    path.write_text(text[: at.start()] + new + text[at.end() :])

    done = check_pipeline(project)

    assert done.returncode == 2
    assert done.stderr.strip()


def test_a_stage_whose_function_takes_something_else_is_refused(project: Tree) -> None:
    path = project.root / STAGE
    path.write_text(re.sub(r"\bgroups: Path", "group: Path", path.read_text(), count=1))

    done = check_pipeline(project)

    assert done.returncode == 1
    assert "leukemia.split takes" in done.stderr


def loaded_modules(tree: Tree, code: str) -> set[str]:
    done = tree.run(
        sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = """
import contextlib, sys
from tissuetrace import cli
sys.argv = ["tissuetrace", "{command}", "--help"]
with contextlib.suppress(SystemExit):
    cli.main()
"""
COMMANDS = sorted(cli.commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy_and_teaches_by_example(project: Tree, command: str) -> None:
    assert not HEAVY & loaded_modules(project, HELP.format(command=command))
    text = project.run("tissuetrace", command, "--help").stdout
    assert "Examples:" in text
    assert f"  tissuetrace {command}" in text


def test_the_first_help_names_every_command_and_costs_little(project: Tree) -> None:
    done = project.run(
        sys.executable,
        "-c",
        HELP.replace('"{command}", ', "")
        + "\nimport time; print(time.process_time(), file=sys.stderr)",
    )

    assert [name for name in COMMANDS if f"  {name}" not in done.stdout] == []
    assert float(done.stderr.splitlines()[-1]) < 0.3


def test_a_heavy_import_at_start_up_is_seen(project: Tree) -> None:
    project.edit(
        "src/tissuetrace/pipeline/errors.py", "from collections", "import numpy\nfrom collections"
    )

    assert HEAVY & loaded_modules(project, HELP.format(command="run"))


def study_package_mistakes(root: Path) -> list[str]:
    """What a study's own package imports beyond the words of a declaration."""
    return [
        f"{path.parent.name} imports {name}"
        for path in sorted((root / "src/tissuetrace/studies").glob("*/__init__.py"))
        for name in imports_of.__wrapped__(path, root)
        if not in_package("tissuetrace.pipeline.stage", name)
    ]


def test_a_study_package_declares_and_nothing_more() -> None:
    assert study_package_mistakes(ROOT) == []


def test_a_study_package_that_does_more_is_seen(project: Tree) -> None:
    path = project.root / "src/tissuetrace/studies/leukemia/__init__.py"
    path.write_text(path.read_text() + "\nfrom tissuetrace.stats import paired\n")

    assert "leukemia imports tissuetrace.stats.paired" in study_package_mistakes(project.root)


STAGES = """
from tissuetrace.pipeline import registry
[registry.stages_of(name) for name in registry.study_names()]
"""
LIGHT = HEAVY - {"numpy"}  # jaxtyping's annotations of arrays


def test_stage_modules_import_nothing_heavy_at_the_top(project: Tree) -> None:
    assert not LIGHT & loaded_modules(project, STAGES)


def test_a_heavy_import_at_the_top_of_a_stage_is_seen(project: Tree) -> None:
    project.edit(STAGE, "from pathlib", "import scipy\nfrom pathlib")

    assert loaded_modules(project, STAGES) & LIGHT == {"scipy"}


TRACED = """
import sys
from tissuetrace.pipeline import execute, registry
execute.execute(registry.find_stage("{stage}"))
"""


def unknown_modules(tree: Tree, stage: str) -> set[str]:
    """Modules of ours that a stage loads beyond the spine's own and that its code does not list."""
    study, _, name = stage.partition(".")
    spine = loaded_modules(tree, "from tissuetrace.pipeline import execute, registry")
    loaded = loaded_modules(tree, TRACED.format(stage=stage)) - spine
    files = code_of(f"tissuetrace.studies.{study}.{name}", tree.root)
    known = {module_name(tree.root / file, tree.root) for file in files}
    ours = {module for module in loaded if in_package(module, "tissuetrace")}
    return ours - known - set(NEUTRAL) - {f"tissuetrace.studies.{study}", "tissuetrace.studies"}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["toy.draw", "toy.validate"])
def test_the_computed_code_holds_every_module_that_a_stage_loads(toy: Tree, stage: str) -> None:
    assert unknown_modules(toy, stage) == set()


@pytest.mark.slow
def test_a_module_that_the_computed_code_misses_is_seen(toy: Tree) -> None:
    (toy.root / "src/tissuetrace/stats/hidden.py").write_text("")
    toy.edit(
        "src/tissuetrace/studies/toy/draw.py",
        "    read_json(origin)",
        "    __import__('tissuetrace.stats.hidden')\n    read_json(origin)",
    )

    assert unknown_modules(toy, "toy.draw") >= {"tissuetrace.stats.hidden"}


@pytest.mark.parametrize("stage", ["train_cnn", "featurize", "validate", "report"])
def test_the_code_of_a_stage_reaches_what_its_functions_import(stage: str) -> None:
    reached = {
        "train_cnn": "learn/loop.py",
        "featurize": "imaging/cooccurrence.py",
        "validate": "pipeline/expectations.py",
        "report": "report/page.html",
    }

    files = code_of(f"tissuetrace.studies.leukemia.{stage}", ROOT)

    assert f"src/tissuetrace/{reached[stage]}" in files


def readme_mistakes(root: Path) -> list[str]:
    """Commands that do not exist, files that are not there, in README and CONTRIBUTING."""
    targets = set(re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.MULTILINE))
    mistakes = []
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (root / name).read_text()
        commands = re.findall(r"\bmake ([a-z]+)", "\n".join(code_blocks(text)))
        mistakes += [f"{name}: make {word}" for word in commands if word not in targets]
        ours = re.findall(r"`?tissuetrace ([a-z]+)", "\n".join(code_blocks(text)))
        mistakes += [f"{name}: tissuetrace {word}" for word in ours if word not in COMMANDS]
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        mistakes += [f"{name}: {link}" for link in links if not (root / link).exists()]
    return mistakes


def code_blocks(text: str) -> list[str]:
    return re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)


def test_the_commands_and_links_of_the_readme_exist() -> None:
    assert readme_mistakes(ROOT) == []


def has_todays_numbers(tree: Tree) -> bool:
    """Whether the README's table is the one that the metrics in git give."""
    shutil.copytree(ROOT / "scripts", tree.root / "scripts")
    for headline in (ROOT / "metrics").glob("*/headline.json"):
        target = tree.root / headline.relative_to(ROOT)
        target.parent.mkdir(parents=True)
        shutil.copyfile(headline, target)
    lines = tree.run(sys.executable, "scripts/headline.py").stdout.splitlines(keepends=True)
    table = "".join(line for line in lines if line.startswith("|"))
    return table.count("\n") > 5 and table in (tree.root / "README.md").read_text()


def test_the_numbers_of_the_readme_are_those_of_the_metrics(project: Tree) -> None:
    assert has_todays_numbers(project)


def test_a_number_that_the_readme_makes_better_is_seen(project: Tree) -> None:
    readme = (project.root / "README.md").read_text()
    ours = re.findall(r"\| (0\.\d{3}) \(", readme)
    (project.root / "README.md").write_text(readme.replace(f"| {ours[0]} (", "| 0.999 ("))

    assert ours
    assert not has_todays_numbers(project)


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("`make dinner`", "README.md: make dinner"),
        ("`tissuetrace cook`", "README.md: tissuetrace cook"),
        ("[x](docs/nothing.md)", "README.md: docs/nothing.md"),
    ],
)
def test_a_command_or_link_that_does_not_exist_is_seen(
    project: Tree, line: str, mistake: str
) -> None:
    assert readme_mistakes(project.root) == []
    readme = project.root / "README.md"
    readme.write_text(readme.read_text() + line)

    assert readme_mistakes(project.root) == [mistake]


def outputs_that_git_sees(tree: Tree) -> list[str]:
    """Outputs that a `git add --all` would take, or that lie less than two folders deep."""
    from tissuetrace.pipeline import registry

    outputs = [
        output.path
        for study in registry.study_names()
        for stage in registry.stages_of(study)
        for output in stage.writes.values()
        if not output.is_metric
    ]
    tree.run("git", "init", "--quiet")
    # with a name below it, so that an output counts as the folder that it may be
    ignored = tree.run("git", "check-ignore", *[f"{path}/x" for path in outputs]).stdout
    return [
        path
        for path in outputs
        if f"{path}/x" not in ignored.splitlines() or len(Path(path).parts) < 2
    ]


def test_git_ignores_every_output(project: Tree) -> None:
    assert outputs_that_git_sees(project) == []


@pytest.mark.parametrize("rule", ["/data/*/", "/reports/*/"])
def test_an_output_that_git_would_take_is_seen(project: Tree, rule: str) -> None:
    project.edit(".gitignore", rule, "")

    assert outputs_that_git_sees(project)


def test_the_gate_covers_everything_that_a_training_stage_reads() -> None:
    from tissuetrace.pipeline import registry

    for study in registry.study_names():
        assert uncovered(registry.stages_of(study)) == []


def uncovered(stages: list[Stage]) -> list[str]:
    """Paths that a training stage reads, that no gated stage wrote, and that no gate has seen."""
    by_name = {stage.name: stage for stage in stages}
    seen = {path_of(read) for read in by_name["validate"].reads.values()}
    gated = [stage for stage in stages if stage.gate is not None]
    made = {output.path for stage in gated for output in stage.writes.values()}
    return [
        f"{stage.name}: {path}"
        for stage in gated
        for path in map(path_of, stage.reads.values())
        if path not in seen | made | {stage.gate}
    ]


def path_of(read: str | Each) -> str:
    """The path of one variant, whoever reads it: one stage of a matrix, or a reader of all."""
    return read.template if isinstance(read, Each) else read


def test_a_training_stage_that_reads_past_the_gate_is_seen() -> None:
    from dataclasses import replace

    from tissuetrace.pipeline import registry

    stages = registry.stages_of("leukemia")
    broken = [
        replace(stage, reads={**stage.reads, "more": "data/leukemia/other.parquet"})
        if stage.name == "train_forest"
        else stage
        for stage in stages
    ]

    assert uncovered(broken) == ["train_forest: data/leukemia/other.parquet"]


CODE = """
from pathlib import Path
from tissuetrace.pipeline.code import code_of
print(*code_of("{stage}", Path.cwd()))
"""


def test_a_file_that_computes_nothing_is_no_code_of_a_stage(project: Tree) -> None:
    package = project.root / "src/tissuetrace/stats/__init__.py"
    stage = "tissuetrace.studies.leukemia.evaluate"
    name = "src/tissuetrace/stats/__init__.py"
    done = project.run(sys.executable, "-c", CODE.format(stage=stage))
    assert name not in done.stdout.split()
    assert "src/tissuetrace/stats/intervals.py" in done.stdout.split()

    package.write_text(package.read_text() + "\nLEVEL = 0.95\n")

    assert name in project.run(sys.executable, "-c", CODE.format(stage=stage)).stdout.split()
