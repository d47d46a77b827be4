"""The paper's numbers against each other: each contradiction is recomputed from the data."""

import math

import pytest

from tissuetrace.studies.leukemia.paper import (
    CONFUSIONS,
    CONTRADICTIONS,
    IMPORTANCES,
    QUOTED,
    Confusion,
    Quoted,
    confusion_of,
    quoted,
)

PRINTED = {(table.place): table for table in CONFUSIONS}


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def test_table_4_as_printed_does_not_hold_the_test_set() -> None:
    table = PRINTED["Table 4"]

    assert table.items == 1814
    assert (table.tn + table.fp, table.fn + table.tp) == (543, 1271)
    assert percent(table.accuracy) == "86.66"
    assert percent(table.false_positive_rate) == "32.04"


def test_the_reconstruction_gives_every_quoted_number_of_the_cnn() -> None:
    table = confusion_of("cnn", "test")

    assert table.state == "reconstructed"
    assert table.items == 1600
    assert percent(table.accuracy) == "87.00"
    assert percent(table.sensitivity) == "93.77"
    assert percent(table.false_positive_rate) == "27.50"


def test_the_reconstruction_keeps_the_classes_of_the_forests_test_set() -> None:
    forest, cnn = confusion_of("forest", "test"), confusion_of("cnn", "test")

    assert (cnn.tn + cnn.fp, cnn.fn + cnn.tp) == (forest.tn + forest.fp, forest.fn + forest.tp)


def test_the_quoted_rate_of_the_forest_is_not_that_of_table_3() -> None:
    said = quoted("false_positive_rate", "forest", "test")

    assert said is not None
    assert percent(said.value) == percent(182 / 509)
    assert percent(confusion_of("forest", "test").false_positive_rate) == "34.18"


def test_accuracies_of_tables_2_and_3() -> None:
    assert percent(confusion_of("forest", "validation").accuracy) == "85.74"
    assert confusion_of("forest", "test").accuracy == pytest.approx(0.84625)


def test_the_printed_importances_leave_five_features_the_rest() -> None:
    assert len(IMPORTANCES) == 10
    assert sum(IMPORTANCES.values()) == pytest.approx(77.22)


def test_superiority_is_not_shown_by_the_counts() -> None:
    first, second = confusion_of("cnn", "test").accuracy, confusion_of("forest", "test").accuracy
    pooled = (first + second) / 2

    z = (first - second) / math.sqrt(2 * pooled * (1 - pooled) / 1600)

    assert f"{z:.2f}" == "1.93"
    assert f"{math.erfc(z / math.sqrt(2)):.3f}" == "0.054"


@pytest.mark.parametrize(
    "said", QUOTED, ids=lambda said: f"{said.model}-{said.split}-{said.metric}"
)
def test_quoted_percentages_fit_their_table_or_are_a_listed_contradiction(said: Quoted) -> None:
    table = confusion_of(said.model, said.split)
    listed = {("false_positive_rate", "forest", "test"): 0.017}
    allowed = listed.get((said.metric, said.model, said.split), 0.0051)

    assert abs(said.value - getattr(table, said.metric)) < allowed


def test_there_are_eight_contradictions_with_two_sides_each() -> None:
    assert len(CONTRADICTIONS) == 8
    assert all(one.printed and one.other and one.consequence for one in CONTRADICTIONS)


def test_a_table_that_the_paper_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="cnn on validation"):
        confusion_of("cnn", "validation")


def test_rates_of_a_table_worked_by_hand() -> None:
    table = Confusion(
        model="forest", split="test", tn=6, fp=2, fn=1, tp=3, place="", state="printed"
    )

    assert (table.accuracy, table.sensitivity) == (0.75, 0.75)
    assert (table.specificity, table.false_positive_rate) == (0.75, 0.25)
