"""The lane from `tissuetrace repro` to the page, on a small phantom."""

import json
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from project_tree import Tree, wait_for_left_stages
from way_back import walk_back

from tissuetrace.pipeline.mending import mend_dvc_files
from tissuetrace.studies.leukemia.wording import TRACE

pytestmark = pytest.mark.slow


def test_the_lane_ends_on_a_page_metrics_and_recorded_runs(lane_accepted: Tree) -> None:
    root = lane_accepted.root
    headline = json.loads((root / "metrics/leukemia/headline.json").read_text())

    assert (root / "reports/leukemia/index.html").stat().st_size > 100_000
    assert {"forest_auc", "cnn_auc", "hybrid_auc"} <= set(headline)
    assert (root / "mlflow.db").exists()
    assert lane_accepted.run("tissuetrace", "gates").returncode == 0


def test_dvc_shows_at_most_15_headline_metrics_all_flat_numbers(lane_accepted: Tree) -> None:
    shown = json.loads(lane_accepted.run("dvc", "metrics", "show", "--json").stdout)

    numbers = [value for file in shown[""]["data"].values() for value in file["data"].values()]
    assert 0 < len(numbers) <= 15
    assert all(isinstance(number, int | float) for number in numbers)


def test_the_page_loads_nothing_from_outside(lane_accepted: Tree) -> None:
    page = (lane_accepted.root / "reports/leukemia/index.html").read_text()

    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert sources
    assert [s for s in sources if not s.startswith(("data:", "#")) and "doi.org" not in s] == []


def test_no_name_of_a_subject_or_path_of_this_machine_leaves_the_data(lane_accepted: Tree) -> None:
    root = lane_accepted.root
    published = [
        *(root / "metrics").rglob("*.json"),
        *(root / "reports").rglob("*.html"),
        *(root / "reports").rglob("*.csv"),
        *(root / "data/leukemia/validate").glob("*.json"),
        *(root / "data").rglob("run.json"),
        *(root / "data").rglob("card.json"),
    ]
    texts = {path.name: path.read_text() for path in published}

    assert len(published) > 10
    assert [name for name, text in texts.items() if re.search(r"UID_[Hh]?\d", text)] == []
    assert [name for name, text in texts.items() if str(root) in text] == []


def test_predictions_have_the_columns_that_every_lane_shares(lane_accepted: Tree) -> None:
    from tissuetrace.pipeline.files import read_table

    table = read_table(lane_accepted.root / "data/leukemia/evaluate/predictions.parquet")

    shared = ["item", "subject", "image", "split", "scheme", "model", "seed", "label"]
    assert {*shared, "probability", "group"} <= set(table.columns)
    assert set(table["model"]) == {"forest", "cnn", "hybrid"}
    assert set(table["scheme"]) == {"image", "subject"}
    assert table["probability"].between(0, 1).all()
    subject = table[table["scheme"] == "subject"]
    assert (subject.groupby("group")["split"].nunique() == 1).all()


def test_a_second_repro_runs_nothing_and_records_nothing_anew(lane: Tree) -> None:
    done = lane.run("tissuetrace", "repro", "leukemia")

    assert done.returncode == 0, done.stderr
    assert "Running stage" not in done.stdout
    assert "0 runs recorded" in done.stdout


def test_one_worker_and_two_give_the_same_bytes_and_a_kill_changes_none(lane: Tree) -> None:
    undisturbed = lane.outputs()
    moments = random.Random(7)  # noqa: S311  # moments of a test
    for made in ("data/leukemia", "metrics", "reports"):
        shutil.rmtree(lane.root / made)
    (lane.root / "dvc.lock").unlink()
    for _ in range(5):
        kill_after(lane, moments.uniform(2, 16))

    done = lane.run("dvc", "repro", "--no-run-cache", TISSUETRACE_WORKERS="1")

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    differing = [name for name, content in lane.outputs().items() if undisturbed[name] != content]
    assert differing == []
    assert set(lane.outputs()) == set(undisturbed)
    assert list(lane.root.rglob(".partial-*")) == []


def kill_after(tree: Tree, seconds: float) -> None:
    """Start a reproduction with one worker, then kill dvc, which takes its stage along."""
    with subprocess.Popen(
        ["dvc", "repro", "--quiet", "--no-run-cache"],
        cwd=tree.root,
        env=tree.environment(TISSUETRACE_WORKERS="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(seconds)
        process.kill()
        process.wait()
    wait_for_left_stages(tree)
    mend_dvc_files(tree.root)


def test_more_trees_show_in_the_params_and_metrics_of_a_pull_request(lane: Tree) -> None:
    lane.run("git", "add", "--all")
    lane.run("git", "commit", "--quiet", "--message", "accepted")
    lane.edit("params.yaml", "trees: 20", "trees: 5")

    done = lane.run("tissuetrace", "repro", "leukemia")

    assert done.returncode == 0, done.stderr[-2000:]
    params = json.loads(lane.run("dvc", "params", "diff", "--json").stdout)
    assert params["params.yaml"] == {"leukemia.forest.trees": {"old": 20, "new": 5, "diff": -15}}
    metrics = json.loads(lane.run("dvc", "metrics", "diff", "--json").stdout)
    assert "forest_auc" in metrics["metrics/leukemia/headline.json"]
    assert "Running stage 'leukemia-train_cnn'" not in done.stdout


def test_a_hybrid_of_features_and_embedding_reaches_the_page(lane: Tree) -> None:
    lane.edit("params.yaml", "combine: mean ", "combine: concat ")

    done = lane.run("tissuetrace", "repro", "leukemia")

    assert done.returncode == 0, done.stderr[-2000:]
    assert "Running stage 'leukemia-train_hybrid'" in done.stdout
    assert "Running stage 'leukemia-train_cnn'" not in done.stdout
    page = (lane.root / "reports/leukemia/index.html").read_text()
    assert re.search(r"<td[^>]*>embedding</td>", page)
    assert "orthogonal Procrustes" in page


def test_dvc_plots_draws_every_declared_plot(lane_accepted: Tree, tmp_path: Path) -> None:
    tree = lane_accepted.copy(tmp_path / "project")

    shown = json.loads(tree.run("dvc", "plots", "show", "--json").stdout)

    assert shown["errors"] == [] if "errors" in shown else True
    assert len(shown["data"]) >= 4
    assert all(plots and plots[0]["content"] for plots in shown["data"].values())


def test_one_broken_image_is_named_and_the_last_accepted_models_stay(lane: Tree) -> None:
    model = lane.root / "data/leukemia/train_forest/subject/model.joblib"
    accepted = model.read_bytes()
    source = copy_images_as_a_source(lane)
    victim = min(source.rglob("*.bmp"))
    victim.write_bytes(victim.read_bytes()[:500])
    lane.edit("params.yaml", "frame_px: 450 ", "frame_px: 96 ")
    assert lane.run("tissuetrace", "source", "leukemia", str(source)).returncode == 0

    done = lane.run("tissuetrace", "repro", "leukemia")

    assert done.returncode == 2
    assert f"{victim.stem}" in done.stderr
    assert "truncated" in done.stderr
    assert model.read_bytes() == accepted


def copy_images_as_a_source(lane: Tree) -> Path:
    source = lane.root.parent / "source"
    shutil.copytree(lane.root / "data/leukemia/fetch/images", source)
    for path in source.rglob("*.bmp"):
        path.chmod(0o644)
    return source


def test_the_way_back_on_the_page_leads_to_the_bytes_of_an_image(lane_accepted: Tree) -> None:
    walk_back(lane_accepted, TRACE, "data/leukemia/fetch/images")
