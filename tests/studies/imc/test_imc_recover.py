import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_cores import PATCH

from tissuetrace.pipeline.files import read_json, write_json, write_table
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.imc.recover import recover
from tissuetrace.studies.imc.recovery import (
    BOUNDS,
    classifier_recovery,
    level_recovery,
    mean_over_seeds,
    strategy_recovery,
    true_levels,
)
from tissuetrace.studies.imc.truth import bayes_auc

RIGHT = {"CXCL9": 0.6, "CXCL10": 0.5, "CXCL12": 0.4, "CCL19": 0.5, "CCL8": -0.4}

# What the method's prototype measured on five seeds, as means.
MEASURED = {
    "auc_below_oracle": 0.946 - 0.91,
    "sign_precision": 0.966,
    "sign_recall": 1.0,
    "null_largest": 0.026,
    "combination_gain": 0.286,
    "combination_over_single": 0.34 - 0.102,
    "true_gain": 0.516 - 0.144,
    "cold_rising": 1.0,
    "fig3b_r": 0.962,
    "found_rate": 1.0,
}


def strategy(called: dict[str, float], *, left: dict[str, float] | None = None) -> dict[str, Any]:
    return {"channels": called | (left or {}), "called": called}


def truth(expected: list[float]) -> pd.DataFrame:
    """One square a patient, the first half hot, all of it tumour."""
    n = len(expected)
    return pd.DataFrame(
        {
            "cohort": "melanoma",
            "item": [f"core_{k}:0:0" for k in range(n)],
            "subject": [f"patient_{k}" for k in range(n)],
            "image": [f"core_{k}" for k in range(n)],
            "row": 0,
            "col": 0,
            "hot": [1 if k < n // 2 else -1 for k in range(n)],
            "tumour": 1.0,
            "tissue": 1.0,
            "expected": expected,
        }
    )


def predictions(probability: list[float], labels: list[int], **columns: str | int) -> pd.DataFrame:
    named: dict[str, str | int] = {"split": "test", "scheme": "patient", "model": "mlp", "seed": 0}
    named |= columns
    n = len(labels)
    items = [f"core_{k}:0:0" for k in range(n)]
    table = {"item": items, "label": labels, "probability": probability}
    return pd.DataFrame(table).assign(**named)


def cores(predicted: list[float], **columns: str | int) -> pd.DataFrame:
    named: dict[str, str | int] = {"scheme": "patient", "model": "mlp"}
    named |= columns
    actual = np.linspace(0, 1, len(predicted))
    return pd.DataFrame({"actual": actual, "predicted": predicted}).assign(**named)


def levels(rows: list[tuple[str, str, int, str, float, float]]) -> pd.DataFrame:
    names = ["subject", "image", "seed", "strategy", "before", "after"]
    return pd.DataFrame(rows, columns=names).assign(scorer="same")


KINDS = pd.DataFrame(
    {
        "strategy": ["all", "CXCL9", "CCL8", "no CCL8"],
        "kind": ["all", "single", "single", "without"],
    }
)
# patients 2 and 3 are cold
LEVELS = levels(
    [
        ("patient_0", "a", 0, "all", 0.9, 1.0),
        ("patient_2", "b", 0, "all", 0.0, 0.2),
        ("patient_2", "c", 0, "all", 0.0, 0.4),
        ("patient_2", "b", 1, "all", 0.0, 0.5),
        ("patient_3", "d", 0, "all", 0.2, 0.1),
        ("patient_2", "b", 0, "CXCL9", 0.0, 0.1),
        ("patient_3", "d", 0, "CXCL9", 0.2, 0.2),
        ("patient_2", "b", 0, "CCL8", 0.0, 0.02),
        ("patient_2", "b", 0, "no CCL8", 0.0, 0.9),
    ]
)
FOUR = truth([3.0, 1.0, 0.5, 0.1])


def test_a_called_channel_counts_only_with_its_true_sign() -> None:
    called = RIGHT | {"CCL8": 0.4, "CCL2": -0.25}  # one turned round, one without effect

    found = strategy_recovery(strategy(called))

    assert found["sign_precision"] == pytest.approx(4 / 6)
    assert found["sign_recall"] == pytest.approx(4 / 5)


def test_a_null_channel_counts_whether_it_is_called_or_not() -> None:
    found = strategy_recovery(strategy(RIGHT, left={"CCL2": -0.09, "CCL22": 0.05}))

    assert found["null_largest"] == 0.09
    assert (found["sign_precision"], found["sign_recall"]) == (1, 1)


def test_nothing_called_has_no_precision_and_no_recall() -> None:
    found = strategy_recovery(strategy({}, left=RIGHT))

    assert math.isnan(found["sign_precision"])
    assert found["sign_recall"] == 0


def test_levels_are_means_over_cores_then_retrainings_then_cold_patients() -> None:
    found = level_recovery(FOUR, LEVELS, KINDS)

    after = (((0.2 + 0.4) / 2 + 0.5) / 2 + 0.1) / 2
    assert found["cold_before"] == pytest.approx(0.1)
    assert found["cold_after"] == pytest.approx(after)
    assert found["combination_gain"] == pytest.approx(after - 0.1)
    assert found["cold_rising"] == 0.5


def test_the_best_single_target_is_held_against_the_combination() -> None:
    found = level_recovery(FOUR, LEVELS, KINDS)

    assert found["best_single_gain"] == pytest.approx(0.05)  # CXCL9; leaving one out is no single
    difference = found["combination_gain"] - 0.05
    assert found["combination_over_single"] == pytest.approx(difference)


def test_what_other_retrainings_score_is_left_out() -> None:
    others = LEVELS.assign(scorer="other", after=1.0)

    found = level_recovery(FOUR, pd.concat([LEVELS, others]), KINDS)

    assert found == level_recovery(FOUR, LEVELS, KINDS)


def test_the_true_level_follows_from_the_law() -> None:
    found = true_levels(FOUR, {"CXCL9": 1.0, "CCL2": 5.0})

    cold = np.array([0.5, 0.1])
    assert found["true_before"] == pytest.approx((1 - np.exp(-cold)).mean())
    assert found["true_after"] == pytest.approx((1 - np.exp(-cold * 2**1.6)).mean())
    assert found["true_gain"] == pytest.approx(found["true_after"] - found["true_before"])


def test_the_auc_is_the_mean_over_retrainings_on_unseen_patients() -> None:
    labels = [1, 1, 0, 0]
    right, wrong = [0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]
    made = [
        predictions(right, labels),
        predictions(wrong, labels, seed=1),
        predictions(right, labels, seed=1, split="train"),
        predictions(right, labels, seed=2, scheme="random"),
        predictions(right, labels, seed=2, model="cnn"),
    ]

    found = classifier_recovery(FOUR, pd.concat(made), cores([0.0, 0.4, 1.0]))

    assert found["auc"] == 0.5
    assert found["auc_oracle"] == pytest.approx(bayes_auc(FOUR["expected"].to_numpy()))
    assert found["auc_below_oracle"] == pytest.approx(found["auc_oracle"] - 0.5)


def test_the_oracle_sees_the_test_patches_alone() -> None:
    seen = predictions([0.9, 0.1, 0.1], [1, 0, 0])

    found = classifier_recovery(FOUR, seen, cores([0.0, 1.0]))

    assert found["auc_oracle"] == pytest.approx(bayes_auc(np.array([3.0, 1.0, 0.5])))


def test_the_correlation_over_cores_is_that_of_the_mlp_on_unseen_patients() -> None:
    mixed = pd.concat([cores([0.1, 0.2, 0.3]), cores([0.9, 0.1, 0.1], scheme="random")])

    found = classifier_recovery(FOUR, predictions([0.9, 0.1], [1, 0]), mixed)

    assert found["fig3b_r"] == pytest.approx(1)


def test_cores_all_alike_have_no_correlation() -> None:
    found = classifier_recovery(FOUR, predictions([0.9, 0.1], [1, 0]), cores([0.2, 0.2]))

    assert math.isnan(found["fig3b_r"])


def test_what_was_measured_while_building_passes_every_bound() -> None:
    assert judge(MEASURED, BOUNDS)["passed"].all()
    assert set(MEASURED) == {bound.key for bound in BOUNDS}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sign_precision", 0.63),  # means over the full area, without decoys
        ("null_largest", 0.25),  # the same
        ("null_largest", 0.21),  # Eq. 1's own minimiser as the strategy
        ("sign_recall", 0.93),
        ("auc_below_oracle", 0.081),
        ("combination_gain", 0.14),
        ("combination_over_single", 0.1),
        ("true_gain", 0.1),
        ("cold_rising", 0.89),
        ("fig3b_r", 0.89),
        ("found_rate", 0.94),
    ],
)
def test_each_bound_can_fail(key: str, value: float) -> None:
    verdict = judge(MEASURED | {key: value}, BOUNDS)

    assert verdict.loc[~verdict["passed"], "key"].tolist() == [key]


def test_a_number_that_is_missing_fails_its_bound() -> None:
    without = {key: value for key, value in MEASURED.items() if key != "found_rate"}

    verdict = judge(without | {"cold_rising": math.nan}, BOUNDS)

    assert verdict.loc[~verdict["passed"], "key"].tolist() == ["cold_rising", "found_rate"]


def test_the_mean_over_seeds_has_only_what_every_seed_has() -> None:
    found = mean_over_seeds([{"auc": 0.8, "called": 5.0}, {"auc": 0.9}])

    assert found == {"auc": pytest.approx(0.85)}


def test_a_mean_over_seeds_forgives_one_miss() -> None:
    seeds = [MEASURED | {"null_largest": value} for value in (0.0, 0.2, 0.05)]

    assert judge(mean_over_seeds(seeds), BOUNDS)["passed"].all()
    assert not judge(seeds[1], BOUNDS)["passed"].all()


SEARCHES = pd.DataFrame(
    {
        "model": ["mlp", "mlp", "mlp", "cnn"],
        "variant": ["default", "default", "final", "default"],
        "found": [1, 0, 1, 1],
    }
)


def run(
    folder: Path,
    *,
    drawn: pd.DataFrame = FOUR,
    searches: pd.DataFrame = SEARCHES,
    called: dict[str, float] = RIGHT,
    size_um: float = 40.0,
) -> Any:
    tables = {
        "truth": drawn,
        "predictions": predictions([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]),
        "cores": cores([0.1, 0.3, 0.5]),
        "counterfactuals": searches,
        "levels": LEVELS,
        "strategies": KINDS,
    }
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        write_table(table, paths[name])
    write_json(strategy(called, left={"CCL2": 0.02}), folder / "strategy.json")
    made = folder / "metrics/recovered.json"
    recover(
        variant="melanoma",
        strategy=folder / "strategy.json",
        recovered=made,
        patch=replace(PATCH, size_um=size_um),
        **paths,
    )
    return read_json(made)


def test_a_phantom_is_scored_on_everything_that_is_bounded(tmp_path: Path) -> None:
    found = run(tmp_path)

    assert {bound.key for bound in BOUNDS} <= set(found)
    assert found["found_rate"] == 0.5  # of the MLP's default searches
    assert found["null_largest"] == 0.02
    assert all(isinstance(value, float) for value in found.values())


def test_another_cohorts_truth_is_left_out(tmp_path: Path) -> None:
    other = FOUR.assign(cohort="breast", expected=9.0, hot=-1)

    assert run(tmp_path, drawn=pd.concat([FOUR, other])) == run(tmp_path)


def test_real_input_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    assert run(tmp_path, drawn=FOUR.iloc[:0]) == {}


def test_patches_of_another_size_than_the_truths_squares_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, size_um=30.0) == {}
    told = capsys.readouterr().err
    assert "the answer is known for squares of 40 µm, patches have 30" in told


def test_without_a_search_the_classifier_alone_is_scored(tmp_path: Path) -> None:
    found = run(tmp_path, searches=SEARCHES.iloc[:0])

    assert sorted(found) == ["auc", "auc_below_oracle", "auc_oracle", "fig3b_r"]


def test_an_undefined_number_is_missing_from_the_file(tmp_path: Path) -> None:
    found = run(tmp_path, called={})

    assert "sign_precision" not in found
    assert (found["sign_recall"], found["true_gain"]) == (0, 0)
