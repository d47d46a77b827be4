import pytest
from project_tree import Tree


def test_a_sound_project_passes_every_check(toy: Tree) -> None:
    done = toy.run("tissuetrace", "doctor", "toy")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    for name in ("Python", "libraries", "torch", "openslide", "params.yaml", "remote", "toy: disk"):
        assert f"ok   {name}" in done.stdout


STUDY = "src/tissuetrace/studies/toy/__init__.py"


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (("params.yaml", "rows: 5 ", "rows: -5 "), "toy.draw.rows: is -5, should be greater"),
        (("dvc.yaml", "toy.draw.low", "toy.draw.lower"), "dvc.yaml differ"),
        ((STUDY, "disk=", "disk=(1 << 60) + "), "toy: disk: needs"),
        ((STUDY, "1 << 20", "1 << 50"), "toy: memory: needs"),
        ((".dvc/config", "[cache]", "['remote \"r\"']\n    url = ../x\n[cache]"), "r is absent"),
    ],
)
def test_each_thing_that_would_stop_a_run_is_found_with_its_remedy(
    toy: Tree, edit: tuple[str, str, str], finding: str
) -> None:
    toy.edit(*edit)
    toy.edit(".dvc/config", "[core]", "[core]\n    remote = r" if "remote" in edit[2] else "[core]")

    done = toy.run("tissuetrace", "doctor", "toy")

    assert done.returncode == 2
    assert finding in done.stdout
    assert "doctor: 1 of" in done.stderr


def test_a_missing_cuda_device_is_found_before_training(toy: Tree) -> None:
    done = toy.run(
        "tissuetrace", "doctor", "toy", TISSUETRACE_DEVICE="cuda", CUDA_VISIBLE_DEVICES=""
    )

    assert done.returncode == 2
    assert "no CUDA device is seen. Set TISSUETRACE_DEVICE=cpu" in done.stdout


@pytest.mark.parametrize(
    ("variable", "value"), [("TISSUETRACE_WORKERS", "two"), ("TISSUETRACE_DEVICE", "gpu")]
)
def test_a_wrong_setting_of_the_machine_is_one_finding(
    toy: Tree, variable: str, value: str
) -> None:
    done = toy.run("tissuetrace", "doctor", "toy", **{variable: value})

    assert done.returncode == 2
    assert f"FAIL TISSUETRACE_* variables: {variable}: is '{value}'" in done.stdout
    assert "ok   Python" in done.stdout


def test_a_misspelt_parameter_that_the_estimate_needs_is_no_crash(project: Tree) -> None:
    project.edit("params.yaml", "subjects_all", "subject_all")

    done = project.run("tissuetrace", "doctor", "leukemia")

    assert done.returncode == 2
    assert "nearest is 'subjects_all'" in done.stdout
    assert "Traceback" not in done.stderr
