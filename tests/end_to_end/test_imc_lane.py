"""The imc lane from `tissuetrace repro` to the page, on a small phantom of two cohorts."""

import json
import re
from pathlib import Path

import pytest
from project_tree import Tree
from way_back import walk_back

from tissuetrace.studies.imc.wording import trace

pytestmark = pytest.mark.slow

COHORTS = ("melanoma", "breast")


def test_the_lane_ends_on_a_page_metrics_and_recorded_runs(cohorts_accepted: Tree) -> None:
    root = cohorts_accepted.root
    headline = json.loads((root / "metrics/imc/headline.json").read_text())

    assert (root / "reports/imc/index.html").stat().st_size > 100_000
    assert 0 < len(headline) <= 15
    assert {f"{cohort}_auc" for cohort in COHORTS} <= set(headline)
    assert len(list((root / "data/imc/train").rglob("run.json"))) == 5
    assert cohorts_accepted.run("tissuetrace", "gates").returncode == 0


def test_every_artefact_that_others_rely_on_is_there(cohorts_accepted: Tree) -> None:
    from tissuetrace.pipeline.files import read_table

    root = cohorts_accepted.root
    for cohort in COHORTS:
        predictions = read_table(root / f"data/imc/evaluate/{cohort}/predictions.parquet")
        shared = ["item", "subject", "image", "split", "scheme", "model", "seed", "label"]
        assert [*shared, "probability"] == list(predictions.columns)
        assert set(predictions["scheme"]) == {"patient", "random"}
        found = read_table(root / f"data/imc/perturb/{cohort}/counterfactuals.parquet")
        assert {"found", "probability", "distance", "iterations", "delta_CXCL9"} <= set(found)
        pinned = found.loc[found["found"] == 1, ["relative_DNA", "delta_DNA"]].dropna()
        assert (pinned == 0).all().all()
        strategy = json.loads((root / f"data/imc/effect/{cohort}/strategy.json").read_text())
        assert {"channels", "called", "agreement", "settings"} <= set(strategy)


def test_the_page_loads_nothing_from_outside(cohorts_accepted: Tree) -> None:
    page = (cohorts_accepted.root / "reports/imc/index.html").read_text()

    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert sources
    assert [s for s in sources if not s.startswith(("data:", "#")) and "doi.org" not in s] == []


def test_no_name_of_a_patient_or_core_leaves_the_data(cohorts_accepted: Tree) -> None:
    root = cohorts_accepted.root
    published = [
        *(root / "metrics").rglob("*.json"),
        *(root / "reports").rglob("*.html"),
        *(root / "reports").rglob("*.csv"),
        *(root / "data/imc/validate").glob("*.json"),
        *(root / "data").rglob("run.json"),
        *(root / "data").rglob("card.json"),
    ]
    texts = {path.name: path.read_text() for path in published}

    assert len(published) > 10
    assert [name for name, text in texts.items() if re.search(r"patient_\d|core_\d", text)] == []
    assert [name for name, text in texts.items() if str(root) in text] == []


def test_a_second_repro_runs_nothing_and_records_nothing_anew(cohorts: Tree) -> None:
    done = cohorts.run("tissuetrace", "repro", "imc")

    assert done.returncode == 0, done.stderr
    assert "Running stage" not in done.stdout
    assert "0 runs recorded" in done.stdout


def test_a_change_of_one_cohort_cuts_nothing_of_the_other(cohorts: Tree) -> None:
    cohorts.edit("params.yaml", "tumour_marker: panCK\n      tumour_threshold: 0.5", CHANGED)

    planned = cohorts.run("dvc", "repro", "--dry").stdout

    assert "Running stage 'imc-patch@breast'" in planned
    assert "Running stage 'imc-patch@melanoma'" not in planned
    assert "Running stage 'imc-ingest@breast'" not in planned


CHANGED = "tumour_marker: panCK\n      tumour_threshold: 0.6"


def test_data_without_decoys_are_refused_and_the_last_models_stay(cohorts: Tree) -> None:
    models = cohorts.root / "data/imc/train/melanoma/mlp/patient/model.safetensors"
    before = models.read_bytes()
    cohorts.edit("params.yaml", "kind: matched ", "kind: none ")

    done = cohorts.run("tissuetrace", "repro", "imc")

    assert done.returncode == 3
    assert "the hole" in done.stderr or "leak" in done.stderr or "erased" in done.stderr
    assert models.read_bytes() == before


def test_images_leave_as_ome_tiff_and_patches_as_anndata(cohorts: Tree, tmp_path: Path) -> None:
    import tifffile

    done = cohorts.run("tissuetrace", "export", "imc", "ome-tiff", str(tmp_path / "images"))
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "images").rglob("*.ome.tiff"))
    assert len(written) == 48
    with tifffile.TiffFile(written[0]) as file:
        assert 'Name="CXCL9"' in (file.ome_metadata or "")

    asked = ("anndata", str(tmp_path), "--variant", "breast")
    done = cohorts.run("tissuetrace", "export", "imc", *asked)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.glob("*.h5ad")] == ["breast.h5ad"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("imc", "ome-tif", "x"), "Did you mean 'ome-tiff'?"),
        (("imc", "anndata", "x", "--variant", "lung"), "no variant named 'lung'"),
    ],
)
def test_a_wrong_export_is_one_line(
    cohorts_accepted: Tree, asked: tuple[str, ...], message: str
) -> None:
    done = cohorts_accepted.run("tissuetrace", "export", *asked)

    assert done.returncode == 2
    assert message in done.stderr


def test_the_way_back_on_the_page_leads_to_the_bytes_of_an_image(cohorts_accepted: Tree) -> None:
    walk_back(cohorts_accepted, trace("breast"), "data/imc/fetch/files")
