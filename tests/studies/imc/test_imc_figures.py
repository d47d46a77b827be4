"""The figures of the imc lane: what stands on them can be read, and is what was found."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_outcomes import COHORTS, MELANOMA, read_outcome, write_outcomes
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tissuetrace.report.figures import Illustration, figure_style
from tissuetrace.studies.imc.classifier_figures import classifier_figures
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.therapy_figures import (
    found_changes,
    median_retraining,
    therapy_figures,
)

LANES = {"one": {"melanoma": MELANOMA}, "both": COHORTS}
SLACK_PX = 1.0  # of a rounded position


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What lanes of one and of two cohorts have found."""
    found = {}
    for name, cohorts in LANES.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp(name))
            write_outcomes(cohorts)
            found[name] = read_outcome(cohorts)
    return found


@pytest.fixture
def melanoma(outcomes: dict[str, Outcome]) -> CohortOutcome:
    return outcomes["both"].cohorts["melanoma"]


def illustrations(outcome: Outcome) -> list[Illustration]:
    return [*classifier_figures(outcome), *therapy_figures(outcome)]


def laid_out(one: Illustration) -> Figure:
    with figure_style():
        figure = one.draw()
        figure.draw_without_rendering()
    return figure


def drawn(outcome: Outcome, start: str) -> Figure:
    """Draw the first figure whose name begins so."""
    return laid_out(next(one for one in illustrations(outcome) if one.name.startswith(start)))


def texts_of(figure: Figure) -> Iterator[Text]:
    """Yield what is written on a figure, without labels of ticks that are out of sight."""
    yield from figure.texts
    for legend in figure.legends:
        yield from [*legend.get_texts(), legend.get_title()]
    for ax in figure.axes:
        yield from [ax.title, *ax.texts]
        own = ax.get_legend()
        yield from own.get_texts() if own else []
        if ax.axison:
            yield from axis_texts(ax)


def axis_texts(ax: Axes) -> Iterator[Text]:
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        places = [*axis.get_majorticklocs(), *axis.get_minorticklocs()]
        for tick, place in zip(ticks, places, strict=False):
            if low <= place <= high:
                yield from [tick.label1, tick.label2]
        yield axis.label


def boxes_of(figure: Figure) -> list[tuple[str, Bbox]]:
    return [
        (text.get_text(), text.get_window_extent())
        for text in texts_of(figure)
        if text.get_visible() and text.get_text().strip()
    ]


def cut_off(figure: Figure) -> list[str]:
    """Return texts that leave the figure."""
    page = figure.bbox.padded(SLACK_PX)
    return [
        said
        for said, box in boxes_of(figure)
        if not (page.contains(*box.min) and page.contains(*box.max))
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of texts that cover each other."""
    return [
        (first, second)
        for (first, box), (second, other) in combinations(boxes_of(figure), 2)
        for common in [Bbox.intersection(box, other)]
        if common is not None and min(common.width, common.height) > SLACK_PX
    ]


@pytest.mark.parametrize("lane", LANES)
def test_no_text_of_a_figure_is_cut_or_covers_another(
    outcomes: dict[str, Outcome], lane: str
) -> None:
    figures = {one.name: laid_out(one) for one in illustrations(outcomes[lane])}

    assert len(figures) > 8
    assert {name: cut for name, one in figures.items() if (cut := cut_off(one))} == {}
    assert {name: pairs for name, one in figures.items() if (pairs := overlapping(one))} == {}


def test_a_text_beyond_the_edge_and_one_upon_another_are_seen() -> None:
    figure = Figure(figsize=(2, 2))
    figure.text(0.9, 0.5, "far too long")
    figure.text(0.5, 0.5, "another one")

    assert cut_off(figure) == ["far too long"]
    assert overlapping(figure) == [("far too long", "another one")]


def legend_words(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


def test_maps_have_a_key_and_stand_in_lines_of_labels_and_predictions(
    outcomes: dict[str, Outcome],
) -> None:
    figure = drawn(outcomes["both"], "figure_3a_maps_melanoma")

    assert legend_words(figure) == [
        "One square: a patch of 40 µm",
        "T cells",
        "none",
        "no patch, or in no test set",
    ]
    names = [text.get_text() for text in figure.axes[0].texts if text.get_rotation() == 90]
    assert names == ["labelled", "predicted"]


@pytest.mark.parametrize("lane", LANES)
def test_shares_end_alike_in_every_panel(outcomes: dict[str, Outcome], lane: str) -> None:
    figure = drawn(outcomes[lane], "figure_3b_shares")

    assert {(*ax.get_xlim(), *ax.get_ylim()) for ax in figure.axes} == {(-3, 103, -3, 103)}
    assert {ax.get_ylabel() for ax in figure.axes} == {"predicted share (%)"}


def with_histories(one: CohortOutcome, best: dict[int, float]) -> CohortOutcome:
    """Give the MLP's retrainings on unseen patients these best values, in their second epoch."""
    rows = [
        (seed, epoch, value - 0.1 * (epoch != 1), "mlp", "patient")
        for seed, value in best.items()
        for epoch in range(3)
    ]
    columns = ["seed", "epoch", "validation_mcc", "model", "scheme"]
    other = one.histories[one.histories["scheme"] != "patient"].assign(validation_mcc=0.99)
    return replace(
        one, histories=pd.concat([pd.DataFrame(rows, columns=columns), other], ignore_index=True)
    )


@pytest.mark.parametrize(
    ("best", "chosen"),
    [
        ({0: 0.2, 1: 0.7, 2: 0.6}, (2, 0.6)),
        ({0: 0.6, 1: 0.7, 2: 0.9}, (1, 0.7)),
        ({0: 0.2, 1: 0.7, 2: 0.6, 8: 0.1, 9: 0.15}, (2, 0.6)),  # 8 and 9 searched nothing
        ({1: 0.7, 2: 0.6}, (2, 0.6)),
        ({}, (0, np.nan)),
    ],
)
def test_the_retraining_with_the_median_mcc_is_shown(
    melanoma: CohortOutcome, best: dict[int, float], chosen: tuple[int, float]
) -> None:
    one = with_histories(melanoma, best)

    assert median_retraining(one) == pytest.approx(chosen, nan_ok=True)
    table = one.counterfactuals.query("variant == 'default' and found == 1")
    assert len(found_changes(one)) == (table["seed"] == chosen[0]).sum()


def test_only_patients_with_room_are_numbered(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["one"]
    one = outcome.cohorts["melanoma"]
    table = one.counterfactuals.query("variant == 'default' and found == 1")
    is_first = table["subject"] == "Q7X0"
    single = table[is_first].groupby("seed").head(1)
    many = pd.concat([single, *[table[~is_first]] * 9], ignore_index=True)

    figure = drawn(
        replace(outcome, cohorts={"melanoma": replace(one, counterfactuals=many)}), "figure_4a"
    )

    heat = figure.axes[0]
    others = sorted(int(subject[-1]) + 1 for subject in set(table.loc[~is_first, "subject"]))
    numbers = [int(text.get_text()) for text in heat.get_yticklabels(minor=True)]
    assert numbers == others
    assert len(heat.get_yticks()) == len(others)  # an end between two patients, the first too


def test_a_label_of_the_core_has_a_key_of_its_own_beside_the_probability(
    outcomes: dict[str, Outcome],
) -> None:
    figure = drawn(outcomes["both"], "figure_4b_maps_breast")

    label, before, after, bar = figure.axes
    assert figure.get_suptitle() == "Patient 1, core 1: the excluded core with the median rise"
    legend = label.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["T cells", "none", "not tumour"]
    titles = [ax.texts[0].get_text() for ax in (label, before, after)]
    assert titles == ["labelled", "predicted before", "predicted after"]
    assert label.images[0].get_cmap() != before.images[0].get_cmap()
    assert before.images[0].get_cmap() == after.images[0].get_cmap()
    assert "infiltrated above 0.8" in bar.get_xlabel()


def test_patients_of_both_cohorts_stand_on_one_scale_with_one_legend(
    outcomes: dict[str, Outcome],
) -> None:
    outcome = outcomes["both"]
    low = outcome.cohorts["breast"]
    low = replace(low, levels=low.levels.assign(after=low.levels["before"]))

    figure = drawn(
        replace(outcome, cohorts={**outcome.cohorts, "breast": low}), "figure_4c_patients"
    )

    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[1] > 27
    assert legend_words(figure) == ["", "before", "after", "one core (gray: before)"]


def test_cores_of_a_patient_are_drawn_each(
    outcomes: dict[str, Outcome], melanoma: CohortOutcome
) -> None:
    levels = melanoma.levels
    second = levels[levels["excluded"] == 1].assign(image="second", after=0.9)
    images = melanoma.images.iloc[:1].assign(image="second")
    one = replace(
        melanoma,
        levels=pd.concat([levels, second], ignore_index=True),
        images=pd.concat([melanoma.images, images], ignore_index=True),
    )

    figure = drawn(replace(outcomes["one"], cohorts={"melanoma": one}), "figure_4c")

    cores = next(line for line in figure.axes[0].get_lines() if "core" in str(line.get_label()))
    heights = np.asarray(cores.get_ydata(), dtype=float)
    assert sorted(set(heights.round(6))) == [27.0, 90.0]
    places = np.asarray(cores.get_xdata(), dtype=float)
    assert sorted(places.round().tolist()) == [0, 0, 1, 1, 2, 2]


def test_small_effects_of_single_targets_are_written_and_the_whole_strategy_is_named(
    outcomes: dict[str, Outcome],
) -> None:
    figure = drawn(outcomes["one"], "figure_4d_targets_melanoma")

    alone, without = figure.axes
    assert [text.get_text() for text in alone.texts] == ["2.0"] * 4 + ["whole strategy: 28.0"]
    assert [text.get_text() for text in without.texts] == ["18.0"] * 4
    assert without.get_title() == "strategy without this target\n(low bar = target needed)"
    assert alone.get_ylim() == without.get_ylim()


def test_the_whole_strategy_stands_beside_other_beta_and_subsets(
    outcomes: dict[str, Outcome],
) -> None:
    figure = drawn(outcomes["both"], "figure_4e_sweep")

    left, right = figure.axes[:2]
    assert left.get_title() == "melanoma: β, first 2 of 3 retrainings"
    assert [text.get_text() for text in left.get_xticklabels()] == [
        "β = 0.02\n4 targets",
        "β = 0.1\n4 targets",
        "β = 0.5\n4 targets",
    ]
    lines: Any = [*left.get_lines(), *right.get_lines()]
    flat = [line.get_ydata()[0] for line in lines if line.get_linestyle() == ":"]
    assert flat == pytest.approx([28.0, 28.0, 28.0])
    (whole,) = [line for line in lines if line.get_marker() == "D"]
    assert whole.get_xdata() == [4.0]
    assert "whole strategy, all retrainings" in legend_words(figure)


def test_many_beta_are_named_shortly(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["one"]
    one = outcome.cohorts["melanoma"]
    row = one.effect("beta").iloc[:1]
    more = [row.assign(strategy=f"beta={value}") for value in (1, 2, 3)]
    one = replace(one, strategies=pd.concat([one.strategies, *more], ignore_index=True))

    figure = drawn(replace(outcome, cohorts={"melanoma": one}), "figure_4e_sweep")

    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == ["0.02\n4", "0.1\n4", "0.5\n4", "1\n4", "2\n4", "3\n4"]


def test_panels_of_one_quantity_have_the_same_ends(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["both"]
    worse = with_histories(outcome.cohorts["breast"], {0: 0.3})
    lower = replace(outcome, cohorts={**outcome.cohorts, "breast": worse})

    leaks, trainings = drawn(outcome, "leaks"), drawn(lower, "trainings")

    gains, swaps = leaks.axes[::2], leaks.axes[1::2]
    assert len({ax.get_xlim() for ax in gains}) == len({ax.get_xlim() for ax in swaps}) == 1
    assert len({ax.get_ylim() for ax in trainings.axes}) == 1
