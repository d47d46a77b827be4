import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tissuetrace.pipeline.hashing import digest
from tissuetrace.stats.classification import auc
from tissuetrace.studies.imc.drawing import (
    FIELDS,
    MARKERS,
    Core,
    _fields,
    draw_core,
    draw_fields,
    patient_offsets,
    squares,
)
from tissuetrace.studies.imc.phantom import Phantom, PhantomCohort, draw_phantom
from tissuetrace.studies.imc.truth import SIGNS, bayes_auc, infiltrated, level, rate_factor

COHORTS = {
    "melanoma": PhantomCohort(seed=5, rate_per_um2=1.2e-4, tumour_marker="SOX10"),
    "breast": PhantomCohort(seed=1005, rate_per_um2=0.6e-4, tumour_marker="panCK"),
}
SMALL = Phantom(patients=4, cores=2, diameter_um=120.0, cohorts=COHORTS)
# far more T cells than the law's ceiling allows, and far fewer
FULL, RARE = 1.0, 1e-9


def core(
    *, raised: str = "", by: float = 0.0, rate: float = RARE, diameter_um: float = 400.0
) -> Core:
    offsets = np.array([by * (name == raised) for name in FIELDS])
    return draw_core(
        offsets,
        diameter_um=diameter_um,
        rate_per_um2=rate,
        tumour_marker="SOX10",
        rng=np.random.default_rng(11),
    )


def total(drawn: Core, name: str) -> int:
    return int(drawn.counts[drawn.names.index(name)].sum())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("phantom")
    return folder, draw_phantom(SMALL, folder)


@pytest.mark.parametrize("name", ["CXCL8", "CXCL9", "DNA"])
def test_counts_grow_with_the_exponent_of_half_their_field(name: str) -> None:
    ratio = total(core(raised=name, by=1.0), name) / total(core(), name)

    assert ratio == pytest.approx(math.exp(0.5), rel=0.02)


@pytest.mark.parametrize(("follower", "leader"), [("CXCL13", "CXCL9"), ("CCL22", "CCL19")])
def test_a_follower_goes_up_with_its_leader_by_six_tenths(follower: str, leader: str) -> None:
    ratio = total(core(raised=leader, by=1.0), follower) / total(core(), follower)

    assert ratio == pytest.approx(math.exp(0.5 * 0.6), rel=0.02)


def test_a_follower_has_its_leaders_spread_and_a_correlation_of_six_tenths() -> None:
    rng = np.random.default_rng(3)
    noise = list(rng.standard_normal((len(FIELDS), 20_000)))

    fields = _fields(np.zeros(len(FIELDS)), noise)

    follower, leader = fields["CXCL13"], fields["CXCL9"]
    assert np.corrcoef(follower, leader)[0, 1] == pytest.approx(0.6, abs=0.02)
    assert follower.std() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(follower, fields["CCL22"])[0, 1]) < 0.03


def test_the_control_has_a_fifth_of_a_count_everywhere_in_the_disc() -> None:
    drawn_core = core()
    control = drawn_core.counts[drawn_core.names.index("DapB")]

    assert control[drawn_core.tissue].mean() == pytest.approx(0.2, rel=0.03)
    assert control[drawn_core.tumour].mean() == pytest.approx(0.2, rel=0.04)


def test_the_tumour_marker_is_eleven_times_as_strong_in_the_tumour() -> None:
    drawn_core = core()
    marker = drawn_core.counts[drawn_core.names.index("SOX10")]
    outside = drawn_core.tissue & ~drawn_core.tumour

    # its own field differs between the two parts, by about a tenth
    ratio = marker[drawn_core.tumour].mean() / marker[outside].mean()
    assert ratio == pytest.approx(11, rel=0.35)


def test_nothing_is_counted_outside_the_disc() -> None:
    drawn_core = core(rate=FULL)

    assert drawn_core.counts[:, ~drawn_core.tissue].max() == 0
    assert drawn_core.expected[~drawn_core.tissue].max() == 0
    assert drawn_core.tissue.mean() == pytest.approx(math.pi / 4, rel=1e-3)


@pytest.mark.parametrize("name", ["CXCL9", "CXCL10", "CXCL12", "CCL19", "CCL8", "CCL2", "CXCL13"])
def test_the_rate_of_t_cells_follows_the_law_at_every_pixel(name: str) -> None:
    before, after = (core(raised=name, by=by, diameter_um=80).expected for by in (0.0, 1.0))

    expected = before * math.exp(0.8 * SIGNS.get(name, 0))
    np.testing.assert_allclose(after, expected, rtol=1e-12)


def test_the_rate_of_t_cells_stops_at_its_ceiling() -> None:
    drawn_core = core(rate=FULL)

    assert drawn_core.expected.max() == 0.75 * 0.004
    assert drawn_core.expected[drawn_core.tissue].mean() > 0.7 * 0.003


def test_a_quarter_of_the_t_cells_is_exhausted_and_every_one_carries_cd3_and_cd8() -> None:
    drawn_core = core(rate=FULL)

    cells = drawn_core.expected.sum() / 0.75  # about 500, of 49 pixels each
    assert total(drawn_core, "CD3") == pytest.approx(8 * 49 * cells, rel=0.15)
    assert total(drawn_core, "CD8") == pytest.approx(total(drawn_core, "CD3"), rel=0.02)
    assert total(drawn_core, "PD1") / total(drawn_core, "CD3") == pytest.approx(0.25, abs=0.06)
    assert total(drawn_core, "LAG3") == pytest.approx(total(drawn_core, "PD1"), rel=0.04)


def test_markers_are_silent_where_there_is_no_t_cell() -> None:
    drawn_core = core(rate=1e-300)

    assert [total(drawn_core, name) for name in MARKERS] == [0, 0, 0, 0]


def test_t_cells_add_to_the_channels_that_they_carry_besides() -> None:
    with_cells, without = core(rate=FULL), core(rate=1e-300)

    cd3 = total(with_cells, "CD3")
    names = ("CD45", "HLADR", "DNA", "CD31")
    added = [(total(with_cells, name) - total(without, name)) / cd3 for name in names]
    np.testing.assert_allclose(added, [6 / 8, 1.5 / 8, 3 / 8, 0], atol=0.02)


def test_fields_have_unit_spread_and_the_correlation_of_a_gaussian_of_25_um() -> None:
    field = draw_fields(800, side_px=120, rng=np.random.default_rng(2))

    here, there, rim = field[:, 54, 54], field[:, 54, 74], field[:, 4, 4]
    assert here.std() == pytest.approx(1, abs=0.08)
    assert rim.std() == pytest.approx(1, abs=0.08)  # the rim is no exception
    expected = math.exp(-(20**2) / (4 * 25**2))
    assert np.corrcoef(here, there)[0, 1] == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("hot", [1, -1])
def test_patients_differ_in_the_causal_fields_by_what_they_are(hot: int) -> None:
    rng = np.random.default_rng(4)
    drawn_offsets = np.stack([patient_offsets(hot, rng) for _ in range(4000)])
    table = pd.DataFrame(drawn_offsets, columns=list(FIELDS))

    means = table[["CXCL9", "CCL8", "CCL2"]].mean()
    np.testing.assert_allclose(means, [0.54 * hot, -0.54 * hot, 0], atol=0.03)
    np.testing.assert_allclose(table[["CXCL9", "CCL2"]].std(), [0.5, 0.25], rtol=0.05)


def test_squares_sum_up_to_the_core() -> None:
    drawn_core = core(rate=1e-4, diameter_um=120)

    table = squares(drawn_core, side_px=40)

    assert len(table) == 9
    assert table["expected"].sum() == pytest.approx(drawn_core.expected.sum())
    assert table["tissue"].sum() * 1600 == pytest.approx(drawn_core.tissue.sum())
    corner = drawn_core.tumour[80:, :40].mean()
    assert table.query("row == 2 and col == 0")["tumour"].item() == corner


def test_a_border_too_narrow_for_a_square_is_no_square() -> None:
    table = squares(core(diameter_um=119), side_px=40)

    assert table[["row", "col"]].to_numpy().max() == 1


def test_the_probability_of_a_t_cell_is_that_of_poisson_counts() -> None:
    rng = np.random.default_rng(0)
    expected = np.array([0.0, 0.01, 0.5, 3.0])

    seen = (rng.poisson(expected, (40_000, 4)) > 0).mean(0)

    np.testing.assert_allclose(infiltrated(expected), seen, atol=0.01)


def test_the_best_auc_is_that_of_labels_drawn_by_the_law() -> None:
    rng = np.random.default_rng(1)
    expected = rng.lognormal(-2, 2, 20_000).round(2)  # with ties

    labels = (rng.poisson(expected) > 0).astype(np.int64)

    assert bayes_auc(expected) == pytest.approx(auc(labels, expected), abs=0.005)


def test_the_best_auc_knows_its_ends() -> None:
    assert bayes_auc(np.array([0.0, 0.0, 1e9])) == 1
    assert bayes_auc(np.full(5, 0.3)) == pytest.approx(0.5)
    assert math.isnan(bayes_auc(np.zeros(3)))


def test_a_therapy_multiplies_the_rate_as_the_law_says() -> None:
    assert rate_factor({}) == 1
    assert rate_factor({"CXCL9": 1.0}) == pytest.approx(2**1.6)
    assert rate_factor({"CCL8": -0.5, "CXCL13": 3.0}) == pytest.approx(2**1.6)
    assert rate_factor({"CXCL10": 1.0, "CCL19": -0.5}) == pytest.approx(1)
    assert rate_factor({"CCL8": -1.0}) == pytest.approx(100**1.6)


def test_the_factor_of_a_therapy_is_what_drawing_with_its_counts_gives() -> None:
    shift = math.log(1.5) / 0.5  # of the field, for counts half as high again

    before, after = (core(raised="CXCL12", by=by, diameter_um=80).expected for by in (0.0, shift))

    assert after.sum() / before.sum() == pytest.approx(rate_factor({"CXCL12": 0.5}))


def test_a_level_is_a_mean_over_tumour_squares_then_over_patients() -> None:
    table = pd.DataFrame(
        {
            "subject": ["a", "a", "b", "b", "c"],
            "tumour": [1.0, 0.6, 1.0, 0.5, 1.0],
            "tissue": [1.0, 1.0, 1.0, 1.0, 0.9],
            "expected": [0.0, np.log(2), np.log(4), 50.0, 50.0],
        }
    )

    everyone = np.ones(5, dtype=bool)
    assert level(table, everyone) == pytest.approx((0.25 + 0.75) / 2)
    assert level(table, everyone, factor=2) == pytest.approx((0.375 + 0.9375) / 2)
    assert level(table, table["subject"].to_numpy() == "a") == pytest.approx(0.25)
    assert math.isnan(level(table, table["subject"].to_numpy() == "c"))


def test_a_cohort_has_enough_of_both_classes_and_an_answer_that_can_be_found(
    tmp_path: Path,
) -> None:
    cohorts = {"melanoma": COHORTS["melanoma"]}

    truth = draw_phantom(
        Phantom(patients=12, cores=1, diameter_um=200.0, cohorts=cohorts), tmp_path
    )

    expected = truth.loc[truth["tissue"] >= 1, "expected"].to_numpy()
    assert 0.02 < infiltrated(expected).mean() < 0.6
    assert 0.88 < bayes_auc(expected) < 0.99
    hot = level(truth, (truth["hot"] > 0).to_numpy())
    assert hot > 0.25 + level(truth, (truth["hot"] < 0).to_numpy())


def test_every_core_lies_where_the_table_of_images_says(drawn: tuple[Path, pd.DataFrame]) -> None:
    folder, truth = drawn
    images = pd.read_csv(folder / "melanoma/images.csv")

    assert list(images) == ["image", "subject", "file", "acquisition", "tissue_mask"]
    assert len(images) == SMALL.patients * SMALL.cores
    files = {*images["file"], *images["tissue_mask"], "images.csv"}
    assert files == {path.name for path in (folder / "melanoma").iterdir()}
    pairs = truth[truth["cohort"] == "melanoma"][["image", "subject"]].drop_duplicates()
    assert pairs.to_numpy().tolist() == images[["image", "subject"]].to_numpy().tolist()


def test_an_image_says_its_channels_and_its_pixel_size(drawn: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = drawn

    with tifffile.TiffFile(folder / "breast/core_003.ome.tiff") as file:
        said = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
        counts = file.asarray()

    names = [channel["Name"] for channel in said["Channel"]]
    assert names[11:13] == ["DapB", "panCK"]  # in the place of SOX10
    assert names[-4:] == list(MARKERS)
    assert (said["PhysicalSizeX"], said["PhysicalSizeYUnit"]) == (1, "µm")
    assert (counts.dtype.name, counts.shape) == ("uint16", (24, 120, 120))
    mask = tifffile.imread(folder / "breast/core_003_tissue.tiff")
    assert np.array_equal(counts.any(0) & (mask == 0), np.zeros((120, 120), dtype=bool))


def test_half_of_the_patients_are_hot_and_names_do_not_tell_which(tmp_path: Path) -> None:
    many = Phantom(patients=20, cores=1, diameter_um=40.0, cohorts=COHORTS)

    truth = draw_phantom(many, tmp_path)

    hot = truth[truth["cohort"] == "melanoma"].groupby("subject")["hot"].first()
    assert (hot == 1).sum() == 10
    assert 0 < (hot.iloc[:10] == 1).sum() < 10


def test_rows_are_in_the_order_of_cohort_image_row_and_column(
    drawn: tuple[Path, pd.DataFrame],
) -> None:
    _, truth = drawn

    keys = ["cohort", "image", "row", "col"]
    assert truth[keys].equals(truth[keys].sort_values(keys, ignore_index=True))
    assert truth["item"].iloc[5] == "core_001:1:2"
    assert len(truth) == 2 * 8 * 9


def test_one_more_core_changes_no_other(tmp_path: Path, drawn: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = drawn
    single = Phantom(patients=4, cores=1, diameter_um=120.0, cohorts=COHORTS)

    draw_phantom(single, tmp_path)

    second_patient = tifffile.imread(tmp_path / "breast/core_002.ome.tiff")
    assert np.array_equal(second_patient, tifffile.imread(folder / "breast/core_003.ome.tiff"))


def test_two_workers_draw_the_same_bytes(
    tmp_path: Path, drawn: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, truth = drawn
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")

    alone = draw_phantom(SMALL, tmp_path / "alone")
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")
    together = draw_phantom(SMALL, tmp_path / "together")

    assert digest(tmp_path / "alone") == digest(tmp_path / "together") == digest(folder)
    pd.testing.assert_frame_equal(alone, together)
    pd.testing.assert_frame_equal(alone, truth)


def test_another_seed_draws_other_cores(drawn: tuple[Path, pd.DataFrame]) -> None:
    _, truth = drawn

    tumour = {name: part["tumour"].to_numpy() for name, part in truth.groupby("cohort")}
    assert not np.allclose(tumour["melanoma"], tumour["breast"])
