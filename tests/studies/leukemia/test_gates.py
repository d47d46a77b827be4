"""Every rule of the suite holds on sound data and is broken by what it is there for."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from leukemia_collection import Collection, draw_collection

from tissuetrace.pipeline.expectations import check_rules
from tissuetrace.pipeline.gate import Finding
from tissuetrace.studies.leukemia.evidence import bad_bitmaps, gather
from tissuetrace.studies.leukemia.gates import COLLECTION_IMAGES, SUITE

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_parse' is deprecated")

Tables = dict[str, pd.DataFrame]
Damage = Callable[[Tables], None]

NAMES = ("table", "groups", "splits", "pairs", "features", "features_other")
EARLY = {"rows": 0, "present": 0, "missing": 0, "unlabelled": 0}
# What a small collection cannot help.
SMALL = {"groups of the rarer class in the smallest split of the subject scheme"}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    drawn = draw_collection(tmp_path_factory.mktemp("drawn"))
    drawn.ingest()
    drawn.split()
    drawn.featurize()
    return drawn


@pytest.fixture
def tables(collection: Collection) -> Tables:
    return {name: collection.table(name) for name in NAMES}


def check(
    tables: Tables, *, early: Mapping[str, int] = EARLY, bitmaps_wrong: int = 0
) -> list[Finding]:
    gathered = gather(tables, preliminary=early, bitmaps_wrong=bitmaps_wrong)
    return check_rules(SUITE, gathered.tables())


def broken(findings: list[Finding]) -> dict[str, tuple[str, str]]:
    return {
        finding.rule: (finding.severity, finding.found)
        for finding in findings
        if not finding.held and finding.rule not in SMALL
    }


def test_sound_data_break_no_rule(tables: Tables) -> None:
    assert broken(check(tables)) == {}


def put(tables: Tables, name: str, column: str, values: Mapping[int, object]) -> None:
    """Put values into rows of one column."""
    changed = tables[name][column].tolist()
    for row, value in values.items():
        changed[row] = value
    tables[name][column] = changed


def everywhere(tables: Tables, column: str, value: object) -> None:
    """Put a value into the first row of every table of images, so that they still agree."""
    for name in ("table", "features", "features_other"):
        put(tables, name, column, {0: value})


def set_label(tables: Tables) -> None:
    everywhere(tables, "label", 1 - tables["table"]["label"].iloc[0])


def set_subject(tables: Tables) -> None:
    everywhere(tables, "subject", "902")


def set_folder(tables: Tables) -> None:
    path = str(tables["table"]["path"].iloc[0])
    put(tables, "table", "path", {0: path.replace("/all/", "/hem/")})


def set_components(tables: Tables) -> None:
    put(tables, "table", "components", {3: 2, 5: 2})


def set_odd_masks(tables: Tables) -> None:
    frame = 64 * 64
    put(tables, "table", "mask_px", {3: 0.019 * frame, 5: 0.61 * frame, 6: 0.61 * frame})


def equal_pixels(tables: Tables, first: str, second: str) -> None:
    rows = {name: row for row, name in enumerate(tables["table"]["name"])}
    pixels = tables["table"]["pixel_sha256"].iloc[rows[first]]
    put(tables, "table", "pixel_sha256", {rows[second]: pixels})


def share_across_groups(tables: Tables) -> None:
    equal_pixels(tables, *names_of_two_splits(tables))


def names_of_two_splits(tables: Tables) -> tuple[str, str]:
    rows = tables["splits"]
    rows = rows[(rows["scheme"] == "subject") & rows["name"].str.endswith("_all")]
    return str(rows[rows["split"] == "train"]["name"].iloc[0]), str(
        rows[rows["split"] == "test"]["name"].iloc[0]
    )


def share_inside_a_subject(tables: Tables) -> None:
    equal_pixels(tables, "UID_901_1_1_all", "UID_901_1_2_all")


def near(tables: Tables, first: str, second: str) -> None:
    tables["pairs"] = pd.DataFrame({"name_a": [first], "name_b": [second], "kind": ["near"]})


def near_across_groups(tables: Tables) -> None:
    near(tables, *names_of_two_splits(tables))


def near_inside_a_subject(tables: Tables) -> None:
    near(tables, "UID_901_1_1_all", "UID_901_1_2_all")


def fewer_normals(tables: Tables) -> None:
    kept = tables["table"]["subject"].isin(["H901", "H902"]) | (tables["table"]["label"] == 1)
    names = set(tables["table"].loc[kept, "name"])
    for name in ("table", "splits", "features", "features_other"):
        tables[name] = tables[name][tables[name]["name"].isin(names)].reset_index(drop=True)


def move_a_cell(tables: Tables) -> None:
    rows = tables["splits"]
    name = names_of_two_splits(tables)[0]
    rows.loc[(rows["name"] == name) & (rows["scheme"] == "subject"), "split"] = "test"


def drop_the_subject_scheme(tables: Tables) -> None:
    tables["splits"] = tables["splits"][tables["splits"]["scheme"] == "image"]


def empty_a_split(tables: Tables) -> None:
    rows = tables["splits"]
    hem = rows["name"].str.endswith("_hem") & (rows["scheme"] == "image")
    rows.loc[hem & (rows["split"] == "test"), "split"] = "train"


def drop_a_split_row(tables: Tables) -> None:
    tables["splits"] = tables["splits"].drop(index=0)


def double_a_split_row(tables: Tables) -> None:
    row = tables["splits"].iloc[[0]]
    tables["splits"] = pd.concat([tables["splits"], row], ignore_index=True)


def forget_a_group(tables: Tables) -> None:
    tables["groups"] = tables["groups"][tables["groups"]["subject"] != "901"]


def spoil_a_feature(tables: Tables) -> None:
    put(tables, "features_other", "skewness", {4: np.nan})


def drop_a_feature_row(tables: Tables) -> None:
    tables["features"] = tables["features"].drop(index=4)


def relabel_a_feature_row(tables: Tables) -> None:
    put(tables, "features", "label", {4: 1 - tables["features"]["label"].iloc[4]})


UNPLACED = "images without exactly one split in each scheme, or without a group"
UNMEASURED = "images without finite features in both readings, or with another label there"
LABELS = "images whose name does not parse, or whose label is not that of folder, suffix and prefix"
EXACT = "pixel-identical images in two groups"


@pytest.mark.parametrize(
    ("damage", "rule", "outcome"),
    [
        (set_label, LABELS, ("critical", "1")),
        (set_subject, LABELS, ("critical", "1")),
        (set_folder, LABELS, ("critical", "1")),
        (set_components, "one component in every image", ("critical", "2 of 52 rows outside")),
        (
            set_odd_masks,
            "area of the cell, as a share of the frame",
            ("warning", "3 of 52 rows outside"),
        ),
        (share_across_groups, EXACT, ("critical", "1")),
        (
            share_across_groups,
            "pixel-identical images in two splits of the subject scheme",
            ("critical", "1"),
        ),
        (share_inside_a_subject, "pixel-identical images inside one subject", ("warning", "1")),
        (near_across_groups, "near-identical images in two groups", ("warning", "1")),
        (near_inside_a_subject, "near-identical images inside one subject", ("warning", "1")),
        (fewer_normals, "ALL images for one normal image", ("warning", "3.5")),
        (move_a_cell, "splits that one group lies in, subject scheme", ("critical", "2")),
        (
            drop_the_subject_scheme,
            "splits that one group lies in, subject scheme",
            ("critical", "0"),
        ),
        (empty_a_split, "images of the rarer class in the smallest split", ("critical", "0")),
        (drop_a_split_row, UNPLACED, ("critical", "1")),
        (double_a_split_row, UNPLACED, ("critical", "1")),
        (forget_a_group, UNPLACED, ("critical", "4")),
        (spoil_a_feature, UNMEASURED, ("critical", "1")),
        (drop_a_feature_row, UNMEASURED, ("critical", "1")),
        (relabel_a_feature_row, UNMEASURED, ("critical", "1")),
    ],
)
def test_damage_breaks_its_rule(
    damage: Damage, rule: str, outcome: tuple[str, str], tables: Tables
) -> None:
    damage(tables)

    assert broken(check(tables)).get(rule) == outcome


def test_a_pair_of_one_group_is_no_leak(tables: Tables) -> None:
    first, second = names_of_two_splits(tables)
    equal_pixels(tables, first, second)
    subjects = tables["table"].set_index("name")["subject"]
    groups = tables["groups"].set_index("subject")["group"]
    groups[subjects[second]] = groups[subjects[first]]
    tables["groups"] = groups.reset_index()

    rules = broken(check(tables))

    assert EXACT not in rules
    assert "pixel-identical images in two splits of the subject scheme" in rules


def test_a_name_that_stands_twice_refuses(tables: Tables) -> None:
    row = tables["table"].iloc[[0]]
    tables["table"] = pd.concat([tables["table"], row], ignore_index=True)

    assert broken(check(tables))["names that stand for more than one image"] == ("critical", "2")


def test_bad_bitmaps_refuse(collection: Collection, tables: Tables) -> None:
    paths = [*tables["table"]["path"].tolist(), "absent.bmp"]

    assert bad_bitmaps(collection.images, paths, size_px=64) == 1
    assert bad_bitmaps(collection.images, paths, size_px=65) == len(paths)
    assert broken(check(tables, bitmaps_wrong=1)) == {
        "images that are no 24-bit BMP of the frame's size": ("critical", "1")
    }


def twice(tables: Tables) -> None:
    """Put every image in a second time, of another subject and by another name."""
    for name in ("table", "splits"):
        copy = tables[name].assign(name=tables[name]["name"] + "b")
        copy = copy.assign(**{key: copy[key] + "b" for key in ("subject",) if key in copy})
        tables[name] = pd.concat([tables[name], copy], ignore_index=True)


def groups_in_each_split(tables: Tables, each: int) -> None:
    """Divide subjects by their order: so many of each class in validation and test."""
    table, rows = tables["table"], tables["splits"]
    split_of: dict[str, str] = {}
    for label in (0, 1):
        subjects = sorted(set(table.loc[table["label"] == label, "subject"]))
        names = ["validation"] * each + ["test"] * each + ["train"] * len(subjects)
        split_of |= dict(zip(subjects, names, strict=False))
    tables["groups"] = pd.DataFrame({"subject": sorted(split_of), "group": range(len(split_of))})
    subject_of = dict(zip(table["name"], table["subject"], strict=True))
    moved = rows["name"].map(subject_of).map(split_of)
    rows["split"] = rows["split"].where(rows["scheme"] == "image", moved)


@pytest.mark.parametrize(("each", "outcome"), [(3, "holds"), (2, "warning")])
def test_three_groups_of_a_class_in_each_split_hold_and_two_warn(
    each: int, outcome: str, tables: Tables
) -> None:
    twice(tables)
    groups_in_each_split(tables, each)

    (found,) = [finding for finding in check(tables) if finding.rule in SMALL]

    assert ("holds" if found.held else found.severity, found.found) == (outcome, str(each))


def test_missing_preliminary_images_only_warn(tables: Tables) -> None:
    assert broken(check(tables, early={**EARLY, "rows": 9, "missing": 9})) == {
        "images of the preliminary table that are absent": ("warning", "9")
    }


def add_preliminary_row(tables: Tables, name: str, *, label: int) -> None:
    row = (
        tables["table"]
        .iloc[[0]]
        .assign(
            name=name,
            subject=name.split("_")[1],
            label=label,
            fold=-1,
            path="v/C-NMC_test_prelim_phase_data/1.bmp",
            pixel_sha256="of its own",
        )
    )
    tables["table"] = pd.concat([tables["table"], row], ignore_index=True)
    for reading in ("features", "features_other"):
        features = tables[reading].iloc[[0]].assign(name=name, subject=name.split("_")[1])
        tables[reading] = pd.concat([tables[reading], features.assign(label=label)])
    splits = pd.DataFrame({"name": name, "scheme": ["image", "subject"], "split": "prelim"})
    tables["splits"] = pd.concat([tables["splits"], splits], ignore_index=True)


def test_a_sound_preliminary_row_breaks_nothing(tables: Tables) -> None:
    add_preliminary_row(tables, "UID_801_1_1_all", label=1)

    assert broken(check(tables)) == {}


def test_a_preliminary_row_with_another_label_refuses(tables: Tables) -> None:
    add_preliminary_row(tables, "UID_801_1_1_all", label=0)

    assert broken(check(tables)) == {
        "preliminary rows whose label is not that of suffix and prefix, or whose name is taken": (
            "critical",
            "1",
        )
    }


def test_a_preliminary_image_that_training_shows_warns(tables: Tables) -> None:
    add_preliminary_row(tables, "UID_801_1_1_all", label=1)
    equal_pixels(tables, "UID_901_1_1_all", "UID_801_1_1_all")

    assert broken(check(tables)) == {
        "preliminary images that also show a cell of training": ("warning", "1")
    }


def test_one_subject_with_many_images_warns(tables: Tables) -> None:
    subjects = tables["table"]["subject"]
    kept = set(tables["table"].loc[subjects.isin(["901", "902", "H901", "h906"]), "name"])
    for name in ("table", "splits", "features", "features_other"):
        tables[name] = tables[name][tables[name]["name"].isin(kept)].reset_index(drop=True)

    rule = "share of the largest subject in all images"
    assert broken(check(tables))[rule][0] == "warning"


def test_a_collection_that_is_nearly_whole_is_counted(tables: Tables) -> None:
    table = pd.concat([tables["table"]] * 204, ignore_index=True)
    table["pixel_sha256"] = table.index.astype(str)
    tables["table"] = table
    tables["splits"] = tables["splits"].iloc[:0]  # the names repeat; splits are not the matter

    bounded = gather(tables, preliminary=EARLY, bitmaps_wrong=0).bounded

    assert bounded["images_off_collection"] == COLLECTION_IMAGES - 52 * 204
    assert bounded["subjects_off_collection"] == 73 - 13


def test_duplicates_across_splits_by_image_are_counted_and_bound_by_no_rule(
    tables: Tables,
) -> None:
    rows = tables["splits"]
    chosen = rows[(rows["scheme"] == "image") & rows["name"].str.startswith("UID_9")]
    train = chosen[chosen["split"] == "train"]["name"].str.split("_").str[1]
    test = chosen[chosen["split"] == "test"]
    inside = test[test["name"].str.split("_").str[1].isin(train)].iloc[0]["name"]
    partner = chosen[(chosen["split"] == "train") & chosen["name"].str.startswith(inside[:8])].iloc[
        0
    ]["name"]
    equal_pixels(tables, partner, inside)

    gathered = gather(tables, preliminary=EARLY, bitmaps_wrong=0)

    assert gathered.counts["exact_pairs_across_image_splits"] == 1
    assert not any("image_splits" in str(rule.arguments) for rule in SUITE)


def test_every_rule_names_a_column_that_is_made(tables: Tables) -> None:
    made = gather(tables, preliminary=EARLY, bitmaps_wrong=0).tables()

    assert [rule.name for rule in SUITE if rule.arguments["column"] not in made[rule.table]] == []
    assert {rule.arguments["column"] for rule in SUITE if rule.table == "counts"} == set(
        made["counts"]
    )
