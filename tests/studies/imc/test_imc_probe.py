import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from imc_cores import DECOY, PATCH, PROBE, Cores, draw_cores

from tissuetrace.pipeline.files import column_mistakes, read_json, read_table, write_table
from tissuetrace.studies.imc.probe import probe


@pytest.fixture(scope="module")
def decoyed(tmp_path_factory: pytest.TempPathFactory) -> Cores:
    home = tmp_path_factory.mktemp("decoyed")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.chdir(home)
        patcher.setenv("TISSUETRACE_WORKERS", "1")
        cores = draw_cores(home, subjects=24)
        cores.patch()
        cores.split()
        cores.decoy()
        cores.probe()
    return cores


@pytest.fixture
def cores(decoyed: Cores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cores:
    home = shutil.copytree(decoyed.home, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(home)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    return Cores(home)


def average(cores: Cores, quantity: str) -> "pd.Series[float]":
    table = cores.table("probe", "leaks")
    rows = table[table["quantity"] == quantity]
    return rows.groupby(["decoys", "mean"])["value"].mean()


def test_the_table_holds_every_kind_mean_quantity_and_seed(cores: Cores) -> None:
    table = cores.table("probe", "leaks")
    path = cores.home / cores.out("probe", "leaks.parquet")
    assert column_mistakes(path, probe.writes["table"].columns) == []
    assert len(table) == 3 * 2 * 4 * 3
    assert not table.duplicated(["decoys", "mean", "quantity", "seed"]).any()
    assert table["decoys"].unique().tolist() == ["none", "marginal", "matched"]
    assert table["value"].between(-0.5, 1).all()


def test_the_metrics_are_means_over_seeds_of_what_is_in_use(cores: Cores) -> None:
    table = cores.table("probe", "leaks")
    used = table[(table["decoys"] == "matched") & (table["mean"] == "retained")]
    leak = read_json(cores.home / "leak.json")
    assert leak == pytest.approx(used.groupby("quantity")["value"].mean().to_dict())
    assert set(leak) == {"auc", "gain", "marginal_auc", "swap_auc"}


def test_the_hole_is_the_label_without_decoys_and_tells_less_with_them(cores: Cores) -> None:
    marginal, gain = average(cores, "marginal_auc"), average(cores, "gain")
    assert marginal["none", "retained"] > 0.95
    assert 0.3 < marginal["marginal", "retained"] < 0.6  # negatives have small holes of their own
    assert gain["none", "retained"] > 0.1
    assert gain["matched", "retained"] < 0.03
    assert (marginal.xs("full", level="mean") == marginal.xs("retained", level="mean")).all()


def test_exchanged_contents_tell_nothing_unless_the_mean_tells_of_the_hole(cores: Cores) -> None:
    swapped = average(cores, "swap_auc")
    assert swapped["none", "retained"] == pytest.approx(0.5, abs=0.1)
    assert swapped["matched", "retained"] == pytest.approx(0.5, abs=0.1)
    assert swapped["none", "full"] > 0.9


def test_the_kind_in_use_is_probed_by_the_rows_that_trainings_see(cores: Cores) -> None:
    path = cores.home / cores.out("decoy", "patient.parquet")
    rows = read_table(path)
    patches = pd.concat(
        read_table(table)[["item", "label"]]
        for table in (cores.home / cores.out("patch", "tables")).glob("*.parquet")
    )
    labels = rows.merge(patches, on="item", how="left")["label"]
    write_table(rows.assign(mean_DapB=labels.astype(float)), path)  # the label as a feature

    cores.probe()

    auc = average(cores, "auc")
    assert auc["matched", "retained"] > 0.999
    assert auc["marginal", "retained"] < 0.95


def test_another_kind_in_use_gives_the_same_numbers_by_another_way(cores: Cores) -> None:
    first = cores.table("probe", "leaks")
    cores.decoy(replace(DECOY, kind="none"))
    cores.probe(decoy=replace(DECOY, kind="none"))

    second = cores.table("probe", "leaks")
    # decoys drawn here against decoys read from the table of the stage
    pd.testing.assert_frame_equal(first, second, atol=1e-9)


def test_tables_with_full_means_give_the_same_numbers_as_tables_with_retained_ones(
    cores: Cores,
) -> None:
    first = cores.table("probe", "leaks")
    full = replace(PATCH, mean="full")
    cores.decoy(patch=full)
    cores.probe(patch=full)

    second = cores.table("probe", "leaks")
    leak = read_json(cores.home / "leak.json")
    used = [(t["decoys"] == "matched") & (t["quantity"] == "swap_auc") for t in (first, second)]
    pd.testing.assert_frame_equal(first[used[0]], second[used[1]], atol=1e-9)
    assert leak["swap_auc"] == pytest.approx(average(cores, "swap_auc")["matched", "full"])


def test_fewer_seeds_are_the_first_ones(cores: Cores) -> None:
    three = cores.table("probe", "leaks")
    cores.probe(replace(PROBE, seeds=2))

    two = cores.table("probe", "leaks")
    expected = three[three["seed"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(two, expected)
