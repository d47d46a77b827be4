"""Sentences, captions and the order of the page that are computed from this run."""

from pathlib import Path
from typing import Any

import pytest
from imc_outcomes import MELANOMA, read_outcome, table_of, with_melanoma, write_outcomes

from tissuetrace.report.pages import Page, Picture, TableBlock
from tissuetrace.studies.imc.layout import all_tables, compose
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.trainings import lagging, training_table
from tissuetrace.studies.imc.wording import answer, key_numbers, reading_help


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A phantom's outcome."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imc"))
        write_outcomes()
        return read_outcome()


def melanoma(outcome: Outcome) -> CohortOutcome:
    return outcome.cohorts["melanoma"]


def test_a_retraining_far_below_the_others_is_named_with_its_positives(outcome: Outcome) -> None:
    one = melanoma(outcome)
    weak = (one.histories["seed"] == 0) & (one.histories["model"] == "mlp")
    weak &= one.histories["scheme"] == "patient"
    lowered = one.histories["validation_mcc"].where(~weak, one.histories["validation_mcc"] - 0.45)
    changed = with_melanoma(outcome, histories=one.histories.assign(validation_mcc=lowered))

    (late,) = lagging(melanoma(changed))

    assert (late.model, late.scheme, late.seed) == ("mlp", "patient", 0)
    assert late.best == pytest.approx(0.25)
    positives = one.predictions.query(
        "model == 'mlp' and scheme == 'patient' and seed == 0 and split == 'validation'"
    )["label"].sum()
    assert (
        f"melanoma MLP on unseen patients, retraining 0: 0.250 with {positives} positive patches"
        in table_of(changed, "trainings").caption
    )
    for name in ("strategies", "searches", "agreements"):
        assert "retraining 0 of the melanoma MLP (0.25)" in table_of(changed, name).caption
    assert "far below the others: melanoma MLP" in table_of(changed, "splits").caption


def test_nothing_is_named_where_retrainings_are_alike(outcome: Outcome) -> None:
    table = training_table(outcome)

    assert lagging(melanoma(outcome)) == []
    assert "Far below" not in table.caption
    row = table.frame.query("cohort == 'melanoma' and model == 'MLP'").iloc[0]
    assert row[["best", "least", "largest"]].tolist() == pytest.approx([0.69, 0.68, 0.70])


def test_the_caption_of_the_trainings_knows_that_the_cnn_is_capped(outcome: Outcome) -> None:
    caption = training_table(outcome).caption

    assert "MLP: at most 60 epochs, ended 12 epochs after the best one so far." in caption
    assert "CNN: at most 6 epochs." in caption


def test_the_tile_of_the_levels_has_the_interval_of_the_change(outcome: Outcome) -> None:
    tile = key_numbers(outcome)[2]

    assert (tile.value, tile.interval) == ("2 → 30 %", "[+25, +31]")


def test_two_retrainings_print_their_values_and_no_interval(outcome: Outcome) -> None:
    shown = table_of(outcome, "splits").shown

    (cnn,) = [row for row in shown if row[:2] == ["melanoma", "CNN"]]
    (mlp,) = [row for row in shown if row[:3] == ["breast", "MLP", "unseen patients"]]
    assert cnn[3] == "0.900 (0.910; 0.890)"
    assert mlp[3] == "0.900 [0.880, 0.920]"


def test_the_interval_of_a_score_ends_where_the_score_ends(outcome: Outcome) -> None:
    one = melanoma(outcome)
    wide = one.scores.assign(low=-3.0, high=3.0)
    changed = melanoma(with_melanoma(outcome, scores=wide))

    ends = {
        (metric, scheme): (found.low, found.high)
        for metric in ("auc", "mcc")
        for scheme in ("patient", "random-patient")
        for found in [changed.score(metric, model="mlp", scheme=scheme, threshold=0.5)]
        if found.retrainings
    }
    assert ends == {
        ("auc", "patient"): (0.0, 1.0),
        ("auc", "random-patient"): (-1.0, 1.0),
        ("mcc", "patient"): (-1.0, 1.0),
    }


def test_predictors_and_free_channels_are_listed_and_counted(outcome: Outcome) -> None:
    rows: Any = table_of(outcome, "deviations").frame.set_index("what")["here"]
    free = ", ".join(MELANOMA.free)

    assert rows["channels that the models see"] == (f"7 (melanoma and breast): {free}, DapB, SOX10")
    assert rows["channels that may change"] == f"5 (melanoma and breast): {free}"
    assert "the means of 7 channels in a patch of 40 × 40 µm, 5 of them free" in answer(outcome)[3]  # noqa: RUF001  # by


def test_the_learning_rate_is_said_as_set_and_as_capped(outcome: Outcome) -> None:
    steps: Any = table_of(outcome, "deviations").frame.set_index("what").loc["steps", "here"]

    said = "learning rate 0.00495: 0.01 as set, capped at 1/(2(1+θ))"
    assert said in table_of(outcome, "table_2_search").caption
    assert said in steps


def test_the_lesson_of_the_full_area_is_told_where_the_numbers_show_it(outcome: Outcome) -> None:
    table = melanoma(outcome).leaks
    bare = (table["mean"] == "full") & (table["decoys"] == "none")
    caught = table["value"].where(~(bare & (table["quantity"] == "gain")), 0.015)
    caught = caught.where(~(bare & (table["quantity"] == "swap_auc")), 0.97)
    changed = with_melanoma(outcome, leaks=table.assign(value=caught))

    assert "(melanoma 0.015 and 0.970)" in table_of(changed, "leaks").caption
    assert "Both tests are needed" not in table_of(outcome, "leaks").caption


def test_shares_among_the_headline_numbers_are_percentages(outcome: Outcome) -> None:
    shown = {row[1]: row[2] for row in table_of(outcome, "headline").shown[:7]}

    assert shown["infiltration of immune-excluded patients, before"] == "2.0 %"
    assert shown["AUC, unseen patients"] == "0.900"


def test_the_words_of_the_page_are_explained(outcome: Outcome) -> None:
    said = " ".join(reading_help(outcome))

    missing = [
        word
        for word in (
            "Retraining:",
            "Decoy:",
            "Counterfactual:",
            "Prototype:",
            "Immune-excluded:",
            "Holm:",
            "0.5 is guessing",
            "40 × 40 µm",  # noqa: RUF001  # by
        )
        if word not in said
    ]
    assert missing == []


def composed(outcome: Outcome, *figures: str) -> Page:
    pictures = [
        Picture(file=Path(f"{name}.png"), title=name, caption="", alternative="")
        for name in figures
    ]
    return compose(outcome, all_tables(outcome), pictures)


def test_every_figure_stands_in_its_section_and_an_unknown_one_is_not_lost(
    outcome: Outcome,
) -> None:
    page = composed(
        outcome,
        "leaks",
        "figure_3a_maps_breast",
        "figure_4d_targets_breast",
        "figure_4e_sweep",
        "stability_breast",
        "another",
    )

    places = {
        block.file.stem: section.anchor
        for section in page.sections
        for block in section.blocks
        if isinstance(block, Picture)
    }
    assert places == {
        "leaks": "classifiers",
        "figure_3a_maps_breast": "classifiers",
        "figure_4d_targets_breast": "strategies",
        "figure_4e_sweep": "stability",
        "stability_breast": "stability",
        "another": "figures",
    }


def test_the_known_answer_comes_first_and_the_words_before_the_tables(outcome: Outcome) -> None:
    anchors = [section.anchor for section in composed(outcome).sections]

    assert anchors[:4] == ["known", "words", "classifiers", "strategies"]
    assert "figures" not in anchors


def test_the_papers_tables_stand_in_their_order(outcome: Outcome) -> None:
    (paper,) = [one for one in composed(outcome).sections if one.anchor == "paper"]
    titles = [block.table.title for block in paper.blocks if isinstance(block, TableBlock)]

    assert [title[:7] for title in titles[:3]] == ["Table 1", "Table 2", "Table 3"]
