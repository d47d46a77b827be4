"""The commands. Nothing heavy is imported before a command needs it."""

import errno
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tissuetrace import __version__
from tissuetrace.pipeline.errors import InputError, ProjectError
from tissuetrace.pipeline.exit_codes import write_exit_code

if TYPE_CHECKING:
    from tissuetrace.pipeline.stage import Stage, Study

__all__ = ["cli", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `tissuetrace doctor`, then `tissuetrace repro`. Each command shows examples "
    "with --help.",
)
@click.version_option(__version__)
def cli() -> None:
    """Four published tissue-imaging studies as one data-versioned, audited project."""


@cli.command()
@click.argument("study", required=False)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Studies and variants that run at once; each takes its own memory, and all one GPU.",
)
def repro(study: str | None, jobs: int) -> None:
    """Reproduce with DVC, record the runs, check the gates.

    That is `dvc repro`, which goes on with whatever does not depend on a failure, then
    `tissuetrace track`, then `tissuetrace gates`. A gate that refuses ends it with exit code 3
    and leaves the last accepted models where they were.

    \b
    Examples:
      tissuetrace repro              all studies
      tissuetrace repro leukemia     one of them
      tissuetrace repro --jobs 2     two branches at the same time
    """
    from tissuetrace.pipeline import dvcfile, params, repro

    root = _project_root()
    studies, stages = _declarations()
    content = params.load_params(root / "params.yaml")
    params.check_params(stages, content)
    dvcfile.require_current(studies, stages, content, root)
    wanted = [stage for stage in stages if study in {None, stage.study}]
    names = _chosen(study)
    failure = repro.reproduce(wanted, content, root, everything=study is None, jobs=jobs)
    problems = [] if failure is None else [failure]
    for tell in (_track, _audit):
        try:
            tell(names, root)
        except ProjectError as problem:
            problems.append(problem)
    for later in problems[1:]:
        click.echo(str(later), err=True)
    if problems:
        raise problems[0]


@cli.command()
@click.argument("stage")
@click.option("--variant", help="One value of the stage's matrix.")
def run(stage: str, variant: str | None) -> None:
    """Run one stage, as DVC does.

    \b
    Examples:
      tissuetrace run leukemia.split
      tissuetrace run imc.patch --variant melanoma
    """
    from tissuetrace.pipeline import machine

    machine.die_with_parent()  # before the imports, which take half a second
    machine.compute_with_one_thread()
    from tissuetrace.pipeline import execute, registry

    _project_root()
    execute.execute(registry.find_stage(stage), variant=variant)


@cli.command()
@click.argument("study", required=False)
def track(study: str | None) -> None:
    """Send every run to MLflow; known ones stay as they are.

    Runs are files beside the models, so a deleted database or a fresh clone is filled again.

    \b
    Examples:
      tissuetrace track
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 tissuetrace track leukemia
    """
    _track(_chosen(study), _project_root())


@cli.command()
@click.argument("study", required=False)
def gates(study: str | None) -> None:
    """Check every gate's token against lock, code and data.

    Exit code 3 when data were edited or committed after the gate, a token was put back, or the
    gate refused.

    \b
    Examples:
      tissuetrace gates
      tissuetrace gates leukemia
    """
    _audit(_chosen(study), _project_root())


@cli.command()
@click.option("--write", "action", flag_value="write", help="Write dvc.yaml and data/README.md.")
@click.option("--check", "action", flag_value="check", help="Fail where they are stale (exit 2).")
def pipeline(action: str | None) -> None:
    """Write or check dvc.yaml from the stages' declarations.

    \b
    Examples:
      tissuetrace pipeline --write    after a change of a stage
      tissuetrace pipeline --check    in a hook
    """
    from tissuetrace.pipeline import dvcfile, params

    if action is None:
        raise InputError("say --write or --check", where="tissuetrace pipeline")
    root = _project_root()
    studies, stages = _declarations()
    content = params.load_params(root / "params.yaml")
    params.check_params(stages, content)
    if action == "check":
        dvcfile.require_current(studies, stages, content, root)
        click.echo("dvc.yaml and data/README.md say what the code says")
        return
    changed = dvcfile.write_files(studies, stages, content, root)
    click.echo(f"written: {', '.join(changed)}" if changed else "nothing to write")


@cli.command()
@click.argument("name")
def scale(name: str) -> None:
    """Merge a scale's parameters into params.yaml.

    \b
    Examples:
      tissuetrace scale paper    what the studies used, for a machine with a GPU
      tissuetrace scale demo     minutes on two cores
    """
    from tissuetrace.pipeline import dvcfile, params, scale

    root = _project_root()
    studies, stages = _declarations()
    lines = scale.merge_scale(name, root, stages)
    dvcfile.write_files(studies, stages, params.load_params(root / "params.yaml"), root)
    click.echo("\n".join(lines) if lines else f"params.yaml is at the scale {name!r} already")


@cli.command()
@click.argument("study")
@click.argument("where")
@click.option(
    "--names",
    type=click.Choice(["plain", "checksums"]),
    default="plain",
    help="checksums: names that may identify a patient do not reach git.",
)
@click.option("--reference", is_flag=True, help="Leave the files where they are; check them only.")
@click.option("--licence", default="", help="Of the data, for the record.")
@click.option("--doi", default="", help="Of the data, for the record.")
def source(study: str, where: str, **options: Any) -> None:  # noqa: ANN401  # click's options
    """Say what a study is fed with.

    A phantom, a directory or a manifest (CSV or JSON list of files and URLs). Writes
    sources/STUDY.json (names, bytes, SHA-256), which belongs into git. The folder's own
    path stays on this machine.

    \b
    Examples:
      tissuetrace source leukemia phantom
      tissuetrace source leukemia ~/C-NMC --doi 10.7937/tcia.2019.dc64i46r
      tissuetrace source leukemia files.csv
    """
    from tissuetrace.pipeline import registry, sources

    if options["reference"] and registry.find_study(study).references == "refused":
        raise InputError(
            "reads its files from data/ alone", where=study, todo="Leave --reference out"
        )
    patterns = registry.source_patterns(study)
    named = where if where == "phantom" else str(Path(where).expanduser().resolve())
    for line in sources.set_source(study, named, patterns, _project_root(), **options):
        click.echo(line)


@cli.command()
@click.argument("study", required=False)
def doctor(study: str | None) -> None:
    """Find what would stop a long run, each with its remedy.

    \b
    Examples:
      tissuetrace doctor
      TISSUETRACE_DEVICE=cuda tissuetrace doctor leukemia
    """
    from tissuetrace.pipeline import doctor

    root = _project_root()
    checks = doctor.examine(_chosen(study), root)
    for check in checks:
        click.echo(check.line())
    failed = sum(not check.passed for check in checks)
    if failed:
        raise InputError(f"{failed} of {len(checks)} checks failed", where="doctor")


@cli.command()
@click.argument("study")
@click.argument("what")
@click.argument("folder")
@click.option("--variant", help="One value of the study's matrix; all where it is left out.")
def export(study: str, what: str, folder: str, variant: str | None) -> None:
    """Write a study's data in the format of another tool.

    \b
    Examples:
      tissuetrace export imc ome-tiff ~/images    for QuPath, Fiji, napari
      tissuetrace export imc anndata ~/patches --variant melanoma
    """
    from tissuetrace.pipeline import params, registry

    target = Path(folder).expanduser().resolve()  # before the project's folder is entered
    root = _project_root()
    content = params.load_params(root / "params.yaml")
    written, variants = registry.find_export(study, what, content, variant)
    for name in variants:
        for path in written(name, target):
            click.echo(path)


@cli.command()
@click.option("--port", default=5000, show_default=True, help="On loopback.")
def ui(port: int) -> None:
    """Serve the MLflow pages on loopback.

    \b
    Examples:
      tissuetrace ui
      tissuetrace ui --port 5001
    """
    import subprocess

    from tissuetrace.pipeline import tracking

    done = subprocess.run(tracking.serve_command(_project_root(), port), check=False)
    if done.returncode:
        raise InputError("the server ended", where=f"port {port}", todo="Try --port 5001")


def main() -> None:
    """Run the command line; one line on standard error for what a user can mend."""
    from tissuetrace.pipeline.machine import quieten_libraries

    quieten_libraries()
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except ProjectError as problem:
        _end(str(problem), problem.exit_code)
    except OSError as problem:
        if problem.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
            write_exit_code(1)
            raise
        _end(str(_disk_error(problem)), 2)
    except Exception:
        write_exit_code(1)
        raise


def _end(message: str, code: int) -> None:
    click.echo(message, err=True)
    write_exit_code(code)
    sys.exit(code)


def _disk_error(problem: OSError) -> InputError:
    """Say what the operating system refused to write, and how to mend it."""
    where = _relative(problem.filename)
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        return InputError(
            "the disk is full; nothing half-written was left",
            where=where,
            todo="Make room (tissuetrace doctor says how much), then run it again",
        )
    return InputError("no permission", where=where, todo="Correct the permissions of the folder")


def _relative(filename: str | None) -> str:
    if not filename:
        return "output"
    # a stage writes beside its outputs, which is no name that a user knows
    path = Path(*(part for part in Path(filename).parts if not part.startswith(".partial-")))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


@functools.cache
def _project_root() -> Path:
    """Find the project's folder from the working directory upwards, and go there."""
    import os

    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "params.yaml").exists() and (folder / ".dvc").is_dir():
            os.chdir(folder)
            return folder
    raise InputError(
        "no params.yaml and .dvc here or above", where="project", todo="Go into your clone"
    )


def _declarations() -> "tuple[dict[str, Study], list[Stage]]":
    from tissuetrace.pipeline import registry

    names = registry.study_names()
    studies = {name: registry.find_study(name) for name in names}
    return studies, [stage for name in names for stage in registry.stages_of(name)]


def _chosen(study: str | None) -> list[str]:
    from tissuetrace.pipeline import registry

    if study is not None:
        registry.find_study(study)
    return registry.study_names() if study is None else [study]


def _track(studies: list[str], root: Path) -> None:
    from tissuetrace.pipeline import tracking

    for line in tracking.track(studies, root).lines():
        click.echo(line)


def _audit(studies: list[str], root: Path) -> None:
    from tissuetrace.pipeline import gate_audit

    for line in gate_audit.audit_gates(root, studies):
        click.echo(line)


if __name__ == "__main__":
    main()
