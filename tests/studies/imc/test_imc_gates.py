"""Every rule of the suite holds on a sound cohort and is broken by what it is there for."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from imc_cohorts import COHORT, edit, edit_names, paths_of, write_cohort

from tissuetrace.pipeline.expectations import check_rules
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.gate import Finding
from tissuetrace.studies.imc.cohort_tables import CohortFiles, read_cohort
from tissuetrace.studies.imc.cohorts import Cohort
from tissuetrace.studies.imc.evidence import gather
from tissuetrace.studies.imc.gates import suite

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_parse' is deprecated")

Paths = dict[str, Path]
Damage = Callable[[Paths], None]
CORE = "core-03"
SUITE = suite({"breast": "DapB"})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound")
    write_cohort(home, "breast")
    return home


@pytest.fixture
def paths(sound: Path, tmp_path: Path) -> Paths:
    shutil.copytree(sound, tmp_path / "copy")
    return paths_of(tmp_path / "copy", "breast")


def check(paths: Paths, cohort: Cohort = COHORT, *, only: str = "") -> list[Finding]:
    """Check all rules, or the one that is named: the library takes its time for each."""
    made = read_cohort(CohortFiles(**paths), control=cohort.control)
    rules = suite({"breast": cohort.control})
    chosen = [rule for rule in rules if rule.name == f"breast: {only}"] if only else rules
    return check_rules(chosen, gather(made, cohort).tables("breast"))


def broken(findings: list[Finding]) -> dict[str, tuple[str, str]]:
    return {
        finding.rule.removeprefix("breast: "): (finding.severity, finding.found)
        for finding in findings
        if not finding.held
    }


def put(path: Path, column: str, value: object, *, row: int = 0) -> None:
    """Put a value into one row of a table."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].tolist()
        values[row] = value
        return table.assign(**{column: values})

    edit(path, changed)


def table_of(paths: Paths) -> Path:
    return paths["tables"] / f"{CORE}.parquet"


def number(column: str, value: float) -> Damage:
    """Change a number of one core."""
    return lambda paths: put(paths["cores"], column, value, row=3)


def leak(key: str, value: float | None) -> Damage:
    return lambda paths: write_json({**read_json(paths["leaks"]), key: value}, paths["leaks"])


def without(argument: str, keep: Callable[[pd.DataFrame], Any]) -> Damage:
    return lambda paths: edit(paths[argument], lambda table: table[keep(table)])


def rename_a_channel(paths: Paths) -> None:
    edit_names(paths["channels"] / f"{CORE}.npz", ("CD3", "CD8", "PD1", "CXCL9", "CCL8", "CCL2"))


def repeat_a_channel(paths: Paths) -> None:
    for path in paths["channels"].glob("*.npz"):
        edit_names(path, ("CD3", "CD8", "PD1", "PD-1", "CXCL9", "CCL8", "DapB"))


def predict_from_a_marker(paths: Paths) -> None:
    edit_names(paths["pixels"] / f"{CORE}.npz", ("CXCL9", "CD279", "DapB"))


def swap_predictors(paths: Paths) -> None:
    edit_names(paths["pixels"] / f"{CORE}.npz", ("CCL8", "CXCL9", "DapB"))


def rename_a_mean(paths: Paths) -> None:
    edit(table_of(paths), lambda table: table.rename(columns={"mean_CCL8": "mean_CCL2"}))


def no_cores(paths: Paths) -> None:
    for argument in ("images", "cores"):
        edit(paths[argument], lambda table: table.iloc[:0])


def few_patches(count: int) -> Damage:
    return lambda paths: edit(table_of(paths), lambda table: table.iloc[:count])


def lose_a_table(paths: Paths) -> None:
    table_of(paths).unlink()


def lose_pixels(paths: Paths) -> None:
    (paths["pixels"] / f"{CORE}.npz").unlink()


def patch_value(column: str, value: object) -> Damage:
    return lambda paths: put(table_of(paths), column, value)


def twice(argument: str, row: int = 0) -> Damage:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table, table.iloc[[row]]])

    return lambda paths: edit(paths[argument], changed)


def decoy_value(column: str, value: object) -> Damage:
    return lambda paths: put(paths["decoy_random"], column, value, row=2)  # a negative patch


def lose_a_patch(paths: Paths) -> None:
    edit(table_of(paths), lambda table: table.drop(index=2))  # a negative one


def lose_a_positive(paths: Paths) -> None:
    edit(paths["decoy_patient"], lambda table: table.iloc[1:])


def of_split(paths: Paths, *, label: int, keep: int) -> None:
    """Leave only some items of a label in test of seed 0 where patches are split at random."""
    tables = [pd.read_parquet(path) for path in sorted(paths["tables"].glob("*.parquet"))]
    items = pd.concat(tables)
    chosen = set(items.loc[items["label"] == label, "item"])

    def thinned(table: pd.DataFrame) -> pd.DataFrame:
        split = pd.read_parquet(paths["random"]).set_index(["item", "seed"])["split"]
        where = split.reindex(pd.MultiIndex.from_frame(table[["item", "seed"]])).to_numpy()
        member = table["item"].isin(chosen) & (where == "test") & (table["seed"] == 0)
        stays: pd.DataFrame = table[~member | (member.cumsum() <= keep)]
        return stays

    edit(paths["decoy_random"], thinned)


def few_positives(paths: Paths) -> None:
    of_split(paths, label=1, keep=19)


def few_negatives(paths: Paths) -> None:
    of_split(paths, label=0, keep=19)


def move_a_patch(paths: Paths) -> None:
    put(paths["patient"], "split", "train")


def control_tells(paths: Paths) -> None:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(mean_DapB=table["mean_DapB"] + (table["donor"] == ""))

    edit(paths["decoy_patient"], changed)


def control_avoids(paths: Paths) -> None:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(mean_DapB=table["mean_DapB"] + (table["donor"] != ""))

    edit(paths["decoy_patient"], changed)


def no_positives(paths: Paths) -> None:
    of_split(paths, label=1, keep=0)


def donor_of_another_split(paths: Paths) -> None:
    splits = pd.read_parquet(paths["random"])
    other = splits[(splits["split"] == "train") & (splits["seed"] == 0)]
    positive = other[other["item"].isin(pd.read_parquet(table_of(paths))["item"])]["item"]
    put(paths["decoy_random"], "donor", positive.iloc[0], row=2)


STOP, WARN = "critical", "warning"
SHARE = "share of positive patches of a split and seed"
UNSOUND_PATCHES = (
    "patches listed twice, without label 0 or 1, or with a mean that is NaN, infinite or negative"
)
UNSOUND_DECOYS = (
    "rows of the decoys that are listed twice, unknown, or lack a positive patch, or have a mean "
    "that is NaN, infinite or negative"
)
UNPLACED = "patches without exactly one split of a seed and scheme"
UNCUT = "images without their cut core, or cores without an image"
GAIN = "AUC gained from size and number of holes (leak probe, mean over seeds)"
CONTROL = "AUC of DapB alone, which should tell nothing (mean over seeds)"
SWAP = "AUC after contents were swapped between patches (mean over seeds)"

CASES: list[tuple[Damage, str, tuple[str, str]]] = [
    (
        repeat_a_channel,
        "images in which two channels have one name, or names of one marker",
        (STOP, "12"),
    ),
    (rename_a_channel, "different sets of channels over the images", (STOP, "2")),
    (
        predict_from_a_marker,
        "predictors that are markers of the label, by name or by alias",
        (STOP, "1"),
    ),
    (
        swap_predictors,
        "cores whose predictors are not those of the settings, in their order",
        (STOP, "1"),
    ),
    (
        rename_a_mean,
        "cores whose predictors are not those of the settings, in their order",
        (STOP, "1"),
    ),
    (no_cores, "cores", (STOP, "0")),
    (few_patches(0), "patches of a core, at the least", (STOP, "1 of 12 rows outside")),
    (
        few_patches(19),
        "patches of a core, for a share that means something",
        (WARN, "1 of 12 rows outside"),
    ),
    (
        number("erased", 0.81),
        "share of a core that is erased around T cells, at the most",
        (STOP, "1 of 12 rows outside"),
    ),
    (
        number("erased", float("nan")),
        "share of a core that is erased around T cells, at the most",
        (STOP, "1 of 12 rows outside"),
    ),
    (
        number("erased", 0.41),
        "share of a core that is erased around T cells",
        (WARN, "1 of 12 rows outside"),
    ),
    (
        number("non_finite", 1),
        "counts of a core that are NaN or infinite",
        (STOP, "1 of 12 rows outside"),
    ),
    (number("negative", 1), "counts of a core that are negative", (STOP, "1 of 12 rows outside")),
    (
        number("constant_channels", 2),
        "channels that are constant in a core",
        (WARN, "1 of 12 rows outside"),
    ),
    (
        number("zero_markers", 1),
        "cores in which every marker is zero throughout",
        (WARN, "1 of 12 rows outside"),
    ),
    (lose_a_table, UNCUT, (STOP, "1")),
    (lose_pixels, UNCUT, (STOP, "1")),
    (twice("cores"), UNCUT, (STOP, "1")),
    (patch_value("label", 2), UNSOUND_PATCHES, (STOP, "1")),
    (patch_value("mean_CCL8", float("nan")), UNSOUND_PATCHES, (STOP, "1")),
    (patch_value("mean_CCL8", float("inf")), UNSOUND_PATCHES, (STOP, "1")),
    (patch_value("mean_CCL8", -0.1), UNSOUND_PATCHES, (STOP, "1")),
    (patch_value("item", "core-03:0:1"), UNSOUND_PATCHES, (STOP, "2")),
    (patch_value("kept", 0.09), "share of a patch that stays beside its own hole", (STOP, "0.09")),
    (
        patch_value("kept", float("nan")),
        "share of a patch that stays beside its own hole",
        (STOP, "-inf"),
    ),
    (
        decoy_value("erased_um2", 0.91 * 1600),
        "share of a patch that stays beside its own hole and its decoy",
        (STOP, "0.09"),
    ),
    (few_positives, "positive patches of a split and seed", (STOP, "1 of 12 rows outside")),
    (few_negatives, "negative patches of a split and seed", (STOP, "1 of 12 rows outside")),
    (few_negatives, SHARE, (WARN, "1 of 12 rows outside")),
    (no_positives, SHARE, (WARN, "1 of 12 rows outside")),
    (
        move_a_patch,
        "subjects of a seed that lie in more than one split, patient scheme",
        (STOP, "1"),
    ),
    (twice("random"), UNPLACED, (STOP, "1")),
    (without("patient", lambda table: table.index > 0), UNPLACED, (STOP, "1")),
    (without("random", lambda table: table.index < 0), UNPLACED, (STOP, "480")),
    (twice("decoy_random"), UNSOUND_DECOYS, (STOP, "1")),
    (twice("decoy_random", row=2), UNSOUND_DECOYS, (STOP, "2")),
    (lose_a_patch, UNPLACED, (STOP, "4")),
    (lose_a_patch, UNSOUND_DECOYS, (STOP, "4")),
    (lose_a_positive, UNSOUND_DECOYS, (STOP, "1")),
    (decoy_value("mean_CXCL9", float("nan")), UNSOUND_DECOYS, (STOP, "1")),
    (decoy_value("mean_CXCL9", float("inf")), UNSOUND_DECOYS, (STOP, "1")),
    (decoy_value("mean_CXCL9", -0.1), UNSOUND_DECOYS, (STOP, "1")),
    (decoy_value("item", "core-99:0:0"), UNSOUND_DECOYS, (STOP, "1")),
    (
        donor_of_another_split,
        "decoys whose donor is no positive patch of the same seed and split",
        (STOP, "1"),
    ),
    (
        decoy_value("donor", "core-00:0:2"),
        "decoys whose donor is no positive patch of the same seed and split",
        (STOP, "1"),
    ),
    (leak("gain", 0.031), GAIN, (STOP, "0.031")),
    (leak("gain", None), GAIN, (STOP, "inf")),
    (leak("swap_auc", 0.551), SWAP, (STOP, "0.551")),
    (leak("swap_auc", 0.449), SWAP, (STOP, "0.449")),
    (leak("swap_auc", None), SWAP, (STOP, "inf")),
    (
        control_tells,
        CONTROL,
        (WARN, "0.633084"),
    ),
    (
        control_avoids,
        CONTROL,
        (WARN, "0.366916"),
    ),
]


def test_a_sound_cohort_breaks_no_rule(paths: Paths) -> None:
    assert broken(check(paths)) == {}


@pytest.mark.parametrize(("damage", "rule", "expected"), CASES)
def test_a_rule_finds_what_it_is_there_for(
    damage: Damage, rule: str, expected: tuple[str, str], paths: Paths
) -> None:
    damage(paths)

    assert broken(check(paths, only=rule)) == {rule: expected}


def test_every_rule_has_a_case_that_breaks_it() -> None:
    tested = {(f"breast: {rule}", severity) for _, rule, (severity, _) in CASES}
    assert {(rule.name, rule.severity) for rule in SUITE} == tested


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (number("erased", 0.8), "share of a core that is erased around T cells, at the most"),
        (number("erased", 0.4), "share of a core that is erased around T cells"),
        (few_patches(20), "patches of a core, for a share that means something"),
        (few_patches(1), "patches of a core, at the least"),
        (leak("gain", 0.03), GAIN),
        (leak("gain", -0.2), GAIN),
        (leak("swap_auc", 0.45), SWAP),
        (leak("swap_auc", 0.55), SWAP),
        (patch_value("kept", 0.1), "share of a patch that stays beside its own hole"),
        (
            decoy_value("erased_um2", 0.9 * 1600),
            "share of a patch that stays beside its own hole and its decoy",
        ),
    ],
)
def test_a_value_on_the_bound_passes(damage: Damage, rule: str, paths: Paths) -> None:
    damage(paths)

    (finding,) = check(paths, only=rule)
    assert finding.held


def test_a_marker_among_the_settings_predictors_stops(paths: Paths) -> None:
    settings = replace(COHORT, predictors=("CXCL9", "CD8a", "DapB"))

    rule = "predictors that are markers of the label, by name or by alias"
    assert broken(check(paths, settings, only=rule)) == {rule: ("critical", "1")}


def test_a_cohort_without_a_control_channel_has_no_rule_for_it(paths: Paths) -> None:
    findings = check(paths, replace(COHORT, control=""))

    assert len(findings) == len(SUITE) - 1
    assert broken(findings) == {}


def test_names_of_rules_begin_with_their_cohort_and_are_unique() -> None:
    rules = suite({"breast": "DapB", "melanoma": ""})

    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names) == 2 * len(SUITE) - 1
    assert {name.partition(": ")[0] for name in names} == {"breast", "melanoma"}
    assert all(rule.table.startswith(rule.name.partition(": ")[0]) for rule in rules)


def test_every_rule_says_what_to_do() -> None:
    assert all(rule.todo for rule in SUITE)


def test_the_control_channel_is_measured_on_what_training_sees(paths: Paths) -> None:
    edit(paths["decoy_patient"], lambda table: table.assign(mean_DapB=1.0 * (table["donor"] == "")))

    assert broken(check(paths, only=CONTROL)) == {CONTROL: ("warning", "1")}
