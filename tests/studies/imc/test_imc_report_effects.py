"""Effects on the page: who scores them, what they rest on, and whether the strategy holds."""

from typing import Any

import numpy as np
import pytest
from imc_outcomes import SETTINGS, read_outcome, table_of, with_melanoma, write_outcomes

from tissuetrace.report.tables import ABSENT
from tissuetrace.studies.imc.effect_levels import unseen_levels
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.statements import of_holding
from tissuetrace.studies.imc.variants import repeats_default, variant_name
from tissuetrace.studies.imc.wording import answer


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A phantom's outcome."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("imc"))
        write_outcomes()
        return read_outcome()


def melanoma(outcome: Outcome) -> CohortOutcome:
    return outcome.cohorts["melanoma"]


def with_one_untrained_risen(outcome: Outcome) -> Outcome:
    """Every retraining that had not trained on a patient sees its tumours rise by 10 points."""
    one = melanoma(outcome)
    said = one.predictions.query("model == 'mlp' and scheme == 'patient'")
    splits = said[["subject", "seed", "split"]].drop_duplicates()
    levels = one.levels.merge(splits, on=["subject", "seed"])
    apart = (levels["scorer"] == "same") & (levels["split"] != "train")
    after = levels["after"].where(~apart, levels["before"] + 0.1)
    return with_melanoma(outcome, levels=levels.assign(after=after))


def test_unseen_models_are_those_that_had_not_trained_on_the_patient(outcome: Outcome) -> None:
    changed = with_one_untrained_risen(outcome)

    cores = unseen_levels(melanoma(changed), "all")

    np.testing.assert_allclose(cores["after"] - cores["before"], 0.1)
    assert cores["models"].max() < 3
    strategies = table_of(changed, "strategies").frame
    rows = strategies[strategies["cohort"] == "melanoma"]
    np.testing.assert_allclose(rows["unseen_change"], 0.1)
    patients = table_of(changed, "excluded_patients").frame
    seen = patients[(patients["cohort"] == "melanoma") & (patients["unseen_models"] > 0)]
    np.testing.assert_allclose(seen["unseen_difference"], 0.1)


def test_a_patient_that_every_retraining_trained_on_has_a_dash(outcome: Outcome) -> None:
    one = melanoma(outcome)
    all_trained = one.predictions.assign(split="train")

    table = table_of(with_melanoma(outcome, predictions=all_trained), "excluded_patients")

    row = table.shown[0]
    assert row[-2:] == [ABSENT, ABSENT]


def test_other_betas_say_on_how_many_retrainings_they_rest(outcome: Outcome) -> None:
    table = table_of(outcome, "strategies")
    rows: Any = table.frame[table.frame["cohort"] == "melanoma"].set_index("strategy")

    assert rows.loc["all", "retrainings"] == 3
    assert rows.loc["beta=0.5", ["name", "retrainings"]].tolist() == ["β = 0.5", 2]
    assert "β and k rows use only retrainings 0 and 1 of 3" in table.caption


@pytest.mark.parametrize(
    ("variant", "name", "repeats"),
    [
        ("beta=0.1", "β = 0.1", True),
        ("beta=0.10", "β = 0.1", True),
        ("beta=3.0", "β = 3", False),
        ("k=1", "k = 1", True),
        ("k=3", "k = 3", False),
        ("compat", "compat", False),
        ("default", "default", False),
    ],
)
def test_a_variant_has_a_name_and_may_repeat_the_default(
    variant: str, name: str, repeats: object
) -> None:
    assert variant_name(variant) == name
    assert repeats_default(variant, SETTINGS["perturb"]) is repeats


def test_rows_that_repeat_the_default_are_left_out_and_failures_told(outcome: Outcome) -> None:
    one = melanoma(outcome)
    told = {**one.strategy["stability"], "beta=0.1": {"sign_agreement": 1.0}}
    told["cnn_pixels"] = {"sign_agreement": 0.18, "rank_correlation": 0.9}
    changed = with_melanoma(outcome, strategy={**one.strategy, "stability": told})

    rows = table_of(changed, "agreements").frame
    said = of_holding(changed)

    assert "beta=0.1" not in set(rows["variant"])
    assert "cnn_pixels" in set(rows["variant"])
    assert said.startswith("Melanoma: retrainings treat 90 % of the channels alike")
    assert "holds under β = 0.02, β = 0.5, k = 3, k = 5; it does not under the CNN changed" in said
    assert "pixel by pixel (only 18 % of the channels alike). Breast" in said


def test_searches_that_fail_are_no_strategy_that_holds(outcome: Outcome) -> None:
    one = melanoma(outcome)
    found = one.stability["found"].where(one.stability["variant"] != "beta=0.5", 0.4)
    changed = with_melanoma(outcome, stability=one.stability.assign(found=found))

    assert "not under β = 0.5 (only 40 % of the searches found a change)" in of_holding(changed)


def test_a_channel_that_is_left_as_it_is_has_no_sign_to_share(outcome: Outcome) -> None:
    one = melanoma(outcome)
    still = one.channels["channel"] == "CXCL13"
    channels = one.channels.assign(
        median=one.channels["median"].where(~still, 0.0),
        agreement=one.channels["agreement"].where(~still, 0.0),
    )
    flat = one.stability["channel"] == "CXCL13"
    stability = one.stability.assign(median=one.stability["median"].where(~flat, 0.0))

    changed = with_melanoma(outcome, channels=channels, stability=stability)

    (row,) = [
        row
        for row in table_of(changed, "strategy_channels").shown
        if row[:2] == ["melanoma", "CXCL13"]
    ]
    assert row[3] == ABSENT
    rows = table_of(changed, "stability").frame.query(
        "cohort == 'melanoma' and channel == 'CXCL13'"
    )
    assert rows["same_sign"].isna().all()


def test_columns_without_content_are_left_out_with_their_explanation(outcome: Outcome) -> None:
    one = melanoma(outcome)
    channels = one.channels.assign(control=(one.channels["channel"] == "CXCL13").astype("int64"))

    without = table_of(outcome, "strategy_channels")
    having = table_of(with_melanoma(outcome, channels=channels), "strategy_channels")

    assert "control" not in [column.title for column in without.columns]
    assert "Control:" not in without.caption
    assert "control" in [column.title for column in having.columns]
    assert "Control:" in having.caption
    assert "remark" not in [column.title for column in table_of(outcome, "searches").columns]


def test_the_median_level_stands_beside_the_mean_and_the_share_by_label(outcome: Outcome) -> None:
    one = melanoma(outcome)
    excluded = one.levels.loc[one.levels["excluded"] == 1, "subject"].unique()
    tumour = one.patches.query("tumour > 0.5")
    share = tumour.loc[tumour["subject"].isin(excluded), "label"].mean()
    first = min(excluded)
    raised = one.levels["before"].where(one.levels["subject"] != first, 0.05)
    changed = with_melanoma(outcome, levels=one.levels.assign(before=raised))

    said = answer(changed)[1]

    assert "without it 2.0 % (mean 3.0 %; by label " in said
    assert f"by label {100 * share:.0f} % of these patches hold T cells, but f > 0.8 is" in said
    row = table_of(changed, "strategies").shown[0]
    assert row[7] == "2.0 % (3.0 %)"


def test_the_least_p_follows_from_the_number_of_patients(outcome: Outcome) -> None:

    caption = table_of(outcome, "strategies").caption

    assert "allow, 2^(1−n): melanoma 0.25 with 3, breast 0.25 with 3." in caption  # noqa: RUF001  # a minus sign
    assert "a median of 0 can have a small p" in caption
    assert "melanoma 0.031 with 6" in table_of(outcome, "strategy_channels").caption


def test_the_claims_of_the_paper_stand_beside_ours(outcome: Outcome) -> None:
    table = table_of(outcome, "claims")
    rows = table.frame[table.frame["cohort"] == "melanoma"].set_index("claim")
    n = table_of(outcome, "excluded_patients").frame.query("cohort == 'melanoma'")
    fold = n["ratio"].median()

    assert rows["here"].tolist()[:4] == [
        "CCL19, CXCL9 and CXCL10 raised, CCL8 lowered",
        f"{fold:.1f}",
        "3 of 3; unseen 3 of 3",
        "the best, CXCL10, changes +2.0 points, the whole strategy +28.0 points",
    ]
    assert rows["here"].iloc[4] == (
        "1: +6.0 points; 2: +14.0 points; 3: +22.0 points; 4: +30.0 points; all 4: +28.0 points"
    )
    assert set(table.frame.loc[table.frame["cohort"] == "breast", "paper"]) == {""}
    assert "compares nothing with patients" in table.caption


def test_the_base_of_what_was_left_out_is_told(outcome: Outcome) -> None:
    row = table_of(outcome, "searches").frame.iloc[0]

    found = round(row["found"] * row["starts"])
    assert row["left_out_of"] == f"9 of {5 * found:,}"
