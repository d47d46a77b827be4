from pathlib import PurePosixPath

import pytest

from tissuetrace.studies.leukemia.names import CellName, Place, parse_name, parse_place


@pytest.mark.parametrize(
    ("stem", "subject", "prefix"),
    [
        ("UID_11_3_1_all", "11", "all"),
        ("UID_H10_3_1_hem", "H10", "hem"),
        ("UID_h3_3_1_hem", "h3", "hem"),
    ],
)
def test_a_name_gives_subject_image_cell_and_label(stem: str, subject: str, prefix: str) -> None:
    said = parse_name(stem)

    assert said == CellName(
        subject=subject, image=3, cell=1, suffix="all" if prefix == "all" else "hem"
    )
    assert said.prefix == prefix


@pytest.mark.parametrize(
    "stem", ["UID_11_3_all", "UID_11_3_1_ALL", "UID_X11_3_1_all", "UID_11_3_1_all_1", "1002"]
)
def test_a_name_of_another_form_is_not_guessed(stem: str) -> None:
    assert parse_name(stem) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("C-NMC_Leukemia/training_data/fold_2/hem/a.bmp", Place("training", 2, "hem")),
        ("fold_0/all/a.bmp", Place("training", 0, "all")),
        ("v/C-NMC_test_prelim_phase_data/7.bmp", Place("preliminary")),
        ("t/C-NMC_test_final_phase_data/7.bmp", Place("final")),
        ("fold_0/blast/a.bmp", None),
        ("all/a.bmp", None),
        ("a.bmp", None),
    ],
)
def test_folders_give_phase_fold_and_label(path: str, place: Place | None) -> None:
    assert parse_place(PurePosixPath(path)) == place
