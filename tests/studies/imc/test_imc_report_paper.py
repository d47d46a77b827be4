"""The paper's numbers against each other: every sentence is computed from what it prints."""

import math

import pytest

from tissuetrace.studies.imc.contradictions import (
    bound_table,
    contradictions,
    f1_of,
    mcc_bound,
    reachable,
    shrinkage,
)
from tissuetrace.studies.imc.paper import PUBLISHED, published


def said(letter: str) -> str:
    return next(
        f"{one.printed} {one.other} {one.consequence}"
        for one in contradictions()
        if one.letter == letter
    )


def test_all_six_contradictions_are_told() -> None:
    assert [one.letter for one in contradictions()] == ["a", "b", "c", "d", "e", "f"]


def test_all_printed_numbers_of_tables_1_and_3_are_held() -> None:
    assert len(PUBLISHED) == 4 * 5 + 4 * 3
    found = published("breast", "mlp", "f1", 0.5)
    assert found is not None
    assert (found.value, found.reach, found.place) == (0.48, 0.003, "Table 3")
    assert published("melanoma", "mlp", "auc", 0.0) is not None
    assert published("melanoma", "mlp", "mcc", 0.5) is None


def test_only_the_breast_cnn_has_both_precision_and_recall() -> None:
    assert "Of the 8 rows of Tables 1 and 3, 1 has both: breast CNN at p = 0.5" in said("a")


def test_the_mcc_of_breast_is_out_of_reach_at_its_own_threshold_alone() -> None:
    rows = bound_table().frame.set_index(["cohort", "model", "threshold"])["mcc_fits"]

    beyond = {key for key, state in rows.items() if state != "fits"}
    assert beyond == {("breast", "MLP", 0.8), ("breast", "CNN", 0.8)}
    assert "√(0.75 · 0.21) = 0.40" in said("b")
    assert "√(0.88 · 0.32) = 0.53" in said("b")
    assert "breast MLP 0.50; breast CNN 0.68" in said("b")
    assert "values cannot stem from p = 0.8; they fit p = 0.5." in said("b")


def test_the_f1_of_the_melanoma_cnn_is_the_only_one_out_of_reach() -> None:
    rows = bound_table().frame.set_index(["cohort", "model", "threshold"])["f1_fits"]

    assert [key for key, state in rows.items() if state != "fits"] == [("melanoma", "CNN", 0.8)]
    assert "= 0.58" in said("c")
    assert "F1 0.60" in said("c")


@pytest.mark.parametrize(("printed", "can_be"), [(0.50, True), (0.509, True), (0.52, False)])
def test_rounding_is_taken_in_favour_of_what_is_printed(printed: float, can_be: object) -> None:
    assert reachable(printed, mcc_bound, precision=0.5, recall=0.5) is can_be


def test_at_most_34_of_69_lie_below_their_median() -> None:
    assert "34 of 69" in said("d")
    assert "~30" in said("d")


def test_eq_1_is_read_as_argmin() -> None:
    assert "argmin" in said("e")


def test_no_sparsity_follows_from_theta_and_beta() -> None:
    assert shrinkage(beta=0.1, theta=100.0) == pytest.approx(0.1 / 202)
    assert "0.0005" in said("f")
    assert "= 2.02 > 2" in said("f")


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "tn"), [(30, 10, 20, 40), (1, 0, 99, 900), (5, 50, 5, 5), (9, 1, 1, 989)]
)
def test_no_counts_reach_beyond_the_bound(tp: int, fp: int, fn: int, tn: int) -> None:
    mcc = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))

    assert mcc <= mcc_bound(tp / (tp + fp), tp / (tp + fn))
    assert f1_of(tp / (tp + fp), tp / (tp + fn)) == pytest.approx(2 * tp / (2 * tp + fp + fn))
