"""Every choice where the paper is silent stands in the table, as it was set."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from leukemia_outcomes import read_outcome, run_evaluate, write_outcomes

from tissuetrace.studies.leukemia.deviations import deviation_table
from tissuetrace.studies.leukemia.outcome import Outcome

GLCM: dict[str, Any] = {"distances": (2,), "angles": (0, 90), "levels": 64, "symmetric": False}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the page of a phantom's lane is written from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("lane"))
        write_outcomes()
        run_evaluate()
        return read_outcome()


def shown(outcome: Outcome) -> Mapping[str, str]:
    frame = deviation_table(outcome).frame
    return dict(zip(frame["what"], frame["here"], strict=True))


def changed(outcome: Outcome, section: str, **values: Any) -> Outcome:
    part = replace(getattr(outcome.settings, section), **values)
    return replace(outcome, settings=replace(outcome.settings, **{section: part}))


@pytest.mark.parametrize(
    ("section", "values", "row"),
    [
        ("featurize", {"reading": "cell"}, "texture, intensity, edges over"),
        ("featurize", {"blur": 3}, "noise reduction"),
        ("featurize", {"mask": "otsu"}, "mask of the cell"),
        ("featurize", {"aspect_ratio": "box"}, "aspect ratio"),
        ("featurize", {"canny": (90, 200)}, "thresholds of Canny's edges"),
        ("featurize", {"canny_cell": (20, 60)}, "thresholds of Canny's edges"),
        ("cnn", {"block": "norm_relu"}, "block of the CNN"),
        ("cnn", {"epochs": 30}, "CNN"),
        ("cnn", {"batch": 8}, "CNN"),
        ("cnn", {"patience": 2}, "CNN"),
        ("cnn", {"input_px": 128}, "CNN"),
        ("cnn", {"lr": 0.01}, "optimiser of the CNN"),
        ("cnn", {"rotate_deg": 5}, "augmentation"),
        ("cnn", {"shift": 0.2}, "augmentation"),
        ("cnn", {"flip": "none"}, "augmentation"),
        ("forest", {"class_weight": "none"}, "forest"),
        ("forest", {"trees": 7}, "forest"),
        ("evaluate", {"sensitivity": 0.9}, "threshold"),
        ("evaluate", {"bootstrap": 2000}, "intervals"),
        ("hybrid", {"combine": "concat"}, "hybrid of both models"),
        ("split", {"link": "off"}, "subjects"),
        ("split", {"near": 0.99}, "subjects"),
        ("split", {"fractions": (0.5, 0.25, 0.25)}, "shares of training, validation, test"),
    ],
)
def test_a_switch_changes_its_row_and_no_other(
    outcome: Outcome, section: str, values: dict[str, Any], row: str
) -> None:
    before, after = shown(outcome), shown(changed(outcome, section, **values))

    assert {what for what in before if before[what] != after[what]} == {row}


@pytest.mark.parametrize("name", sorted(GLCM))
def test_each_setting_of_the_cooccurrence_changes_its_row(outcome: Outcome, name: str) -> None:
    glcm = replace(outcome.settings.featurize.glcm, **{name: GLCM[name]})
    before, after = shown(outcome), shown(changed(outcome, "featurize", glcm=glcm))

    assert {what for what in before if before[what] != after[what]} == {"co-occurrence matrix"}


def test_what_has_no_switch_is_listed_too(outcome: Outcome) -> None:
    rows = shown(outcome)

    assert rows["class weighting of the CNN"] == "none"
    assert "training images" in rows["standardisation of the CNN's input"]
    assert rows["optimiser of the CNN"].startswith("Adam")
    assert rows["unit of the split"].startswith("both")


def test_treatments_and_hybrid_are_called_our_additions(outcome: Outcome) -> None:
    rows = shown(outcome)

    assert rows["treatments of the imbalance"].startswith("our addition: random forest: none;")
    assert "CNN: focal" in rows["treatments of the imbalance"]
    assert rows["hybrid of both models"].startswith("our addition")


def test_the_rotation_of_embeddings_is_told_where_there_are_any(outcome: Outcome) -> None:
    joined = changed(outcome, "hybrid", combine="concat")

    assert "orthogonal Procrustes" in shown(joined)["hybrid of both models"]
    assert "Procrustes" not in " ".join(shown(outcome).values())


def test_unlinked_subjects_are_not_called_linked(outcome: Outcome) -> None:
    assert "0.998" in shown(outcome)["subjects"]
    assert "become one group" not in shown(changed(outcome, "split", link="off"))["subjects"]
