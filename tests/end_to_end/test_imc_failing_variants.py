"""What is known to forge therapies is found out by the bounds that the lane itself keeps."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imc_chain import COHORT, TABLE, draw, inside, learn, recovered, run, search, settings, take

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.imc import probing
from tissuetrace.studies.imc.gates import suite
from tissuetrace.studies.imc.probe import probe
from tissuetrace.studies.imc.recovery import BOUNDS

pytestmark = pytest.mark.slow

SEED = 101  # of those on which the lane recovers the law


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cohort cut into patches."""
    folder = tmp_path_factory.mktemp("drawn")
    with inside(folder):
        draw(SEED)
    yield folder
    shutil.rmtree(folder)  # the pixels of a cohort are 200 MB


@pytest.fixture(scope="module")
def leaking(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with models that see the holes: no decoys, means over the full area."""
    folder = tmp_path_factory.mktemp("leaking")
    with inside(folder):
        take(drawn)
        learn(decoys={"kind": "none"}, patches={"mean": "full"})
    return folder


def broken(found: dict[str, float]) -> set[str]:
    """Names of the bounds that do not hold."""
    table = judge(found, BOUNDS)
    return set(table.loc[~table["passed"], "key"])


def test_models_that_see_the_holes_forge_therapies(leaking: Path) -> None:
    with inside(leaking):
        search()
        found = recovered()

    assert {"sign_precision", "null_largest"} <= broken(found), found
    assert found["auc_below_oracle"] < 0  # better than who knows the law


def test_the_gate_refuses_holes_that_tell_the_label(
    leaking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "KINDS", ("none",))
    given = settings(probe)
    rules = {rule.arguments["column"]: rule for rule in suite({COHORT: ""})}

    with inside(leaking):
        run(
            probe,
            decoy=replace(given["decoy"], kind="none"),
            patch=replace(given["patch"], mean="full"),
        )
        leaks = read_table(Path(f"data/imc/probe/{COHORT}/leaks.parquet"))

    means = leaks.groupby(["mean", "quantity"])["value"].mean()
    assert rules["gain"].severity == rules["swap_auc"].severity == "critical"
    # means over the full area tell the hole by themselves, so that knowing it as well adds little
    assert means["full", "swap_auc"] > rules["swap_auc"].arguments["max_value"], means
    assert means["retained", "gain"] > rules["gain"].arguments["max_value"], means


def test_models_of_permuted_labels_have_no_prototype(drawn: Path, tmp_path: Path) -> None:
    with inside(tmp_path):
        take(drawn)
        patches = read_table(TABLE)
        permuted = np.random.default_rng(0).permutation(patches["label"].to_numpy())
        write_table(patches.assign(label=permuted), TABLE)
        learn()

        with pytest.raises(GateRefused, match=r"no prototype in \d of 8 retrainings"):
            search()


def test_the_minimiser_of_eq_1_calls_channels_without_effect(drawn: Path, tmp_path: Path) -> None:
    with inside(tmp_path):
        take(drawn)
        learn()
        search(selection="final")
        found = recovered(aggregate="one")

    assert "sign_precision" in broken(found), found
