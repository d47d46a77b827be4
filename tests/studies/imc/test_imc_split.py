from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from imc_cores import SPLIT, Cores, draw_cores

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes, read_table, write_table
from tissuetrace.studies.imc.features import patch_table
from tissuetrace.studies.imc.split import Split, split


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cores:
    home = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.chdir(home)
        patcher.setenv("TISSUETRACE_WORKERS", "1")
        cores = draw_cores(home)
        cores.patch()
    return cores


@pytest.fixture
def cores(cut: Cores, monkeypatch: pytest.MonkeyPatch) -> Cores:
    monkeypatch.chdir(cut.home)
    return cut


def joined(cores: Cores, scheme: str) -> pd.DataFrame:
    patches = patch_table(cores.home / cores.out("patch", "tables"))
    return cores.table("split", scheme).merge(patches[["item", "subject", "label"]], on="item")


def test_the_tables_have_the_declared_columns(cores: Cores) -> None:
    cores.split()

    for name in ("patient", "random", "redraws"):
        path = cores.home / cores.out("split", f"{name}.parquet")
        assert column_mistakes(path, split.writes[name].columns) == []


@pytest.mark.parametrize("scheme", ["patient", "random"])
def test_every_patch_stands_once_per_seed_in_item_order(cores: Cores, scheme: str) -> None:
    cores.split()

    items = patch_table(cores.home / cores.out("patch", "tables"))["item"].tolist()
    table = cores.table("split", scheme)
    assert table["item"].tolist() == items * 3
    assert table["seed"].tolist() == [seed for seed in range(3) for _ in items]
    assert table.groupby("item")["split"].nunique().max() > 1  # seeds divide differently


def test_patients_stay_together_under_one_scheme_and_not_under_the_other(cores: Cores) -> None:
    cores.split()

    splits = [
        joined(cores, scheme).groupby(["seed", "subject"])["split"].nunique().max()
        for scheme in ("patient", "random")
    ]
    assert splits == [1, 3]


@pytest.mark.parametrize("scheme", ["patient", "random"])
def test_every_split_has_enough_of_both_labels(cores: Cores, scheme: str) -> None:
    cores.split()

    counts = joined(cores, scheme).groupby(["seed", "split", "label"]).size()
    assert len(counts) == 3 * 3 * 2
    assert counts.min() >= SPLIT.least


def test_redraws_are_written_down(cores: Cores) -> None:
    cores.split(replace(SPLIT, seeds=30, least=14, draws=1000))

    redraws = cores.table("split", "redraws")
    assert redraws["scheme"].tolist() == ["patient"] * 30 + ["random"] * 30
    assert redraws["seed"].tolist() == [*range(30), *range(30)]
    assert redraws["redraws"].max() > 0


def test_too_few_positives_stop_with_the_counts(cores: Cores) -> None:
    with pytest.raises(InputError) as caught:
        cores.split(replace(SPLIT, least=1000))

    patches = patch_table(cores.home / cores.out("patch", "tables"))
    positive = int(patches["label"].sum())
    message = str(caught.value)
    assert message.startswith("imc.split, scheme patient, 10 patients: ")
    assert f"{positive} positive and {len(patches) - positive} negative patches" in message
    assert "none of 100 draws has 1000 of both" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.assign(label=0), "0 positive and {0} negative patches"),
        (lambda table: table.assign(label=1), "{0} positive and 0 negative patches"),
        (lambda table: table.assign(subject="only"), "1 patient"),
    ],
)
def test_a_cohort_that_cannot_be_divided_stops_with_the_counts(
    cores: Cores, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], told: str
) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in (cores.home / cores.out("patch", "tables")).glob("*.parquet"):
        write_table(change(read_table(path)), tables / path.name)
    outs = {name: tmp_path / f"{name}.parquet" for name in ("patient", "random", "redraws")}

    with pytest.raises(InputError, match=r"imc\.split") as caught:
        split(tables=tables, params=SPLIT, **outs)

    assert told.format(len(patch_table(tables))) in str(caught.value)
    assert not any(path.exists() for path in outs.values())


def test_a_seed_has_the_same_division_however_many_follow(cores: Cores) -> None:
    cores.split(replace(SPLIT, seeds=2))
    two = read_table(cores.out("split", "patient.parquet"))
    cores.split()

    three = cores.table("split", "patient")
    pd.testing.assert_frame_equal(three[three["seed"] < 2], two)


def test_shares_must_make_a_whole() -> None:
    with pytest.raises(ValueError, match=r"shares add up to 0\.9"):
        Split(fractions=(0.6, 0.1, 0.2), seeds=1, seed=0, least=1, draws=1)
