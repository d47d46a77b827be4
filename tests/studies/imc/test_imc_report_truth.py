"""What the page says of a phantom's known answer: computed, and able to be bad news."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from imc_outcomes import MELANOMA, read_outcome, table_of, write_outcomes

from tissuetrace.studies.imc.known_answer import false_mark, known_table
from tissuetrace.studies.imc.layout import all_tables
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.statements import of_search
from tissuetrace.studies.imc.truth import FOLLOWS
from tissuetrace.studies.imc.wording import answer


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A phantom's outcome."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imc"))
        write_outcomes()
        return read_outcome()


def with_channel(outcome: Outcome, channel: str, **values: Any) -> Outcome:
    """The outcome with another row of one channel in melanoma."""
    one = outcome.cohorts["melanoma"]
    channels = one.channels.copy()
    for name, value in values.items():
        channels.loc[channels["channel"] == channel, name] = value
    changed = replace(one, channels=channels)
    return replace(outcome, cohorts={**outcome.cohorts, "melanoma": changed})


def with_recovered(outcome: Outcome, **found: float) -> Outcome:
    """The outcome with other recovered numbers in melanoma."""
    one = outcome.cohorts["melanoma"]
    changed = replace(one, recovered={**one.recovered, **found})
    return replace(outcome, cohorts={"melanoma": changed})


def verdicts(outcome: Outcome) -> dict[str, str]:
    frame = known_table(outcome).frame
    rows = frame[frame["cohort"] == "melanoma"]
    return dict(zip(rows["channel"], rows["verdict"], strict=True))


def test_the_answer_begins_with_what_was_hidden_and_what_was_found(outcome: Outcome) -> None:
    first = answer(outcome)[0]

    assert first == (
        "The generator hides five causal chemokines (CXCL9, CXCL10, CXCL12 and CCL19 up; CCL8 "
        "down). Melanoma: four of the five found (CXCL12 is not free) and none false. Breast: four "
        "of the five found (CXCL12 is not free) and none false."
    )


def test_a_false_call_is_named_in_the_answer_and_marked_in_the_tables(outcome: Outcome) -> None:
    wrong = with_channel(outcome, "CXCL13", called=1, median=0.3)

    said = " ".join(answer(wrong))

    assert "and one false: CXCL13, which has no effect and follows CXCL9. Breast" in said
    assert "the strategy raises CCL19, CXCL9, CXCL10 and CXCL13 (false) and lowers CCL8." in said
    assert verdicts(wrong)["CXCL13"] == "WRONG, false"
    shown: Any = table_of(wrong, "strategy_channels").frame.set_index(["cohort", "channel"])
    assert shown.loc[("melanoma", "CXCL13"), "applied"] == "yes (false: follows CXCL9)"
    assert shown.loc[("breast", "CXCL13"), "applied"] == ""


def test_a_missed_channel_and_a_wrong_sign_are_no_finds(outcome: Outcome) -> None:
    missed = with_channel(outcome, "CXCL9", called=0)
    turned = with_channel(outcome, "CXCL9", median=-0.6)

    assert verdicts(missed)["CXCL9"] == "WRONG, missed"
    assert "three of the five found (CXCL9 was left alone, CXCL12 is not free)" in answer(missed)[0]
    assert verdicts(turned)["CXCL9"] == "WRONG, wrong sign"
    assert "one false: CXCL9, with the wrong sign" in answer(turned)[0]


def test_every_free_channel_has_its_truth_and_its_call(outcome: Outcome) -> None:
    rows: Any = known_table(outcome).frame.set_index(["cohort", "channel"])

    assert len(rows) == 2 * 5
    assert rows.loc[("melanoma", "CCL8"), ["truth", "found", "verdict"]].tolist() == [
        "down",
        "lowered",
        "right",
    ]
    assert rows.loc[("breast", "CXCL13"), ["truth", "found", "verdict"]].tolist() == [
        "no effect, follows CXCL9",
        "left alone",
        "right",
    ]


def test_a_null_without_a_leader_is_false_without_following() -> None:
    assert false_mark("CCL2", 1) == "false: no effect"
    assert {name: false_mark(name, -1) for name in FOLLOWS} == {
        name: f"false: follows {leader}" for name, leader in FOLLOWS.items()
    }
    assert false_mark("CCL2", 0) == ""


def test_what_moved_without_an_effect_is_named(outcome: Outcome) -> None:
    said = " ".join(of_search(outcome))

    assert "Without effect and not 0 here: melanoma CXCL13 +2.0 %; breast CXCL13 +2.0 %." in said
    assert "raising its β from .1 to .5 changed nothing" in said


def test_a_small_p_of_a_channel_without_effect_is_named(outcome: Outcome) -> None:
    small = with_channel(outcome, "CXCL13", p_holm=0.01)

    caption = table_of(small, "strategy_channels").caption

    assert "yet below 0.05 after Holm: melanoma CXCL13 (follows CXCL9). " in caption
    assert "after Holm:" not in table_of(outcome, "strategy_channels").caption


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("auc_below_oracle", 0.05, ("at most 0.08", "within bounds")),
        ("auc_below_oracle", 0.09, ("at most 0.08", "OUT OF BOUNDS")),
        ("null_largest", 0.02, ("at most 0.15", "within bounds")),
        ("true_gain", 0.4, ("at least 0.15", "within bounds")),
        ("sign_recall", 0.8, ("1.00", "OUT OF BOUNDS (4 of 5 found)")),
        ("sign_precision", 5 / 6, ("at least 0.80", "within bounds (1 of 6 called is false)")),
        ("sign_precision", 4 / 6, ("at least 0.80", "OUT OF BOUNDS (2 of 6 called are false)")),
        ("sign_precision", 1.0, ("at least 0.80", "within bounds (none of 6 called is false)")),
        ("fig3b_r", float("nan"), ("at least 0.90", "NOT MEASURED")),
    ],
)
def test_a_bound_says_which_side_it_binds_and_what_a_share_counts(
    outcome: Outcome, key: str, value: float, said: tuple[str, str]
) -> None:
    changed = with_recovered(outcome, called=6.0, **{key: value})

    rows: Any = table_of(changed, "recovery").frame.set_index("key")

    assert rows.loc[key, ["allowed", "state"]].tolist() == list(said)


def test_counts_among_the_recovered_are_whole_numbers(outcome: Outcome) -> None:
    shown = table_of(with_recovered(outcome, called=6.0), "recovery").shown

    assert ["melanoma", "channels called", "6", "–", "–"] in shown  # noqa: RUF001  # the dash


def test_real_images_have_no_known_answer_but_deviations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_outcomes({"melanoma": MELANOMA}, kind="directory")
    real = read_outcome({"melanoma": MELANOMA})

    tables = all_tables(real)

    assert {"known_answer", "recovery"}.isdisjoint(tables)
    assert answer(real)[0].startswith("Melanoma: the strategy raises CCL19, CXCL9 and CXCL10 and ")
    rows: Any = tables["table_1_classifiers"].frame.set_index(["model", "quantity"])
    assert rows.loc[("MLP", "precision"), "patient_deviation"] == pytest.approx(0.6 - 0.79)
    titles = [column.title for column in tables["table_1_classifiers"].columns]
    assert titles.count("deviation (points)") == 2
