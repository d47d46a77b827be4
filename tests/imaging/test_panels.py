from pathlib import Path

import pytest

from tissuetrace.imaging.panels import (
    Panel,
    name_channels,
    read_panel,
    same_marker,
    standard_metal,
)
from tissuetrace.pipeline.errors import InputError

PANEL = Panel(channels=("Cytokeratin 5", "CD3", "DNA"), metals=("Pr141", "Er170", "Ir191"))


def panel_of(tmp_path: Path, text: str) -> Panel:
    (tmp_path / "panel.csv").write_text(text, encoding="utf-8")
    return read_panel(tmp_path / "panel.csv")


def panel_refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        panel_of(tmp_path, text)
    return str(caught.value)


def naming_refusal(labels: list[str], metals: list[str], panel: Panel | None) -> str:
    with pytest.raises(InputError) as caught:
        name_channels(labels, metals, panel)
    return str(caught.value)


@pytest.mark.parametrize(
    "header",
    ["channel,metal", "Target,Metal Tag", "name,channel", "Label,Isotope", "CHANNEL , Metal"],
)
def test_a_panel_is_read_by_its_columns_whatever_a_laboratory_calls_them(
    tmp_path: Path, header: str
) -> None:
    panel = panel_of(tmp_path, f"\ufeff{header}\nCD3,170Er\nHistone H3 ,Yb(176)\n,Ir191Di\n,\n")

    assert panel.channels == ("CD3", "Histone H3", "Ir191")
    assert panel.metals == ("Er170", "Yb176", "Ir191")


def test_empty_lines_of_a_panel_are_none_of_it_not_even_the_first(tmp_path: Path) -> None:
    panel = panel_of(tmp_path, "\n , \nchannel,metal\n\nCD3,Er170\n,,\n")

    assert (panel.channels, panel.metals) == (("CD3",), ("Er170",))


def test_a_panel_may_list_channels_alone_for_their_order(tmp_path: Path) -> None:
    assert panel_of(tmp_path, "channel\nH3\nCD99\n").channels == ("H3", "CD99")


def test_channels_and_metals_that_stand_twice_are_all_named(tmp_path: Path) -> None:
    message = panel_refusal(tmp_path, "channel,metal\nRu,Ru100\nRu ,Ru102\nA,In113\nB,113In\n")

    assert "channel 'Ru' in several rows; metal In113 in several rows" in message


@pytest.mark.parametrize("text", ["", "channel,metal\n", "protein,element\nCD3,Er170\n"])
def test_a_table_that_is_no_panel_is_refused(tmp_path: Path, text: str) -> None:
    assert panel_refusal(tmp_path, text).startswith("panel.csv: ")


def test_a_channel_gets_its_name_through_metal_and_panel() -> None:
    names, metals = name_channels(["Cytoker_651((3356))Pr141", "170Er"], ["141Pr", ""], PANEL)

    assert names == ("Cytokeratin 5", "CD3")
    assert metals == ("Pr141", "Er170")


def test_a_metal_at_the_end_of_a_label_counts_where_the_panel_has_it() -> None:
    names, _ = name_channels(["Cytoker_651((3356))Pr141", "YBX1_29Eu153"], ["", ""], PANEL)

    assert names == ("Cytokeratin 5", "YBX1_29Eu153")


def test_a_marker_that_ends_like_a_metal_is_none() -> None:
    panel = Panel(channels=("x", "y"), metals=("D163", "P63"))

    assert name_channels(["CD163"], [""], panel)[0] == ("CD163",)


@pytest.mark.parametrize(
    ("label", "name"), [("CD112", "CD112"), ("Cd112", "CD45"), ("112Cd", "CD45")]
)
def test_a_label_is_a_metal_only_as_isotopes_are_written(label: str, name: str) -> None:
    panel = Panel(channels=("CD45", "DNA"), metals=("Cd112", "Ir191"))

    assert name_channels([label], [""], panel)[0] == (name,)


def test_a_channel_without_a_label_is_called_by_its_metal() -> None:
    assert name_channels(["", "CD3 "], ["131Xe", ""], None)[0] == ("Xe131", "CD3")


def test_a_channel_outside_the_panel_keeps_its_label() -> None:
    assert name_channels(["107Ag", "CD3"], ["Ag107", "Er170"], PANEL)[0] == ("107Ag", "CD3")


def test_a_channel_known_by_name_gets_the_metal_of_the_panel() -> None:
    assert name_channels(["DNA"], [""], PANEL) == (("DNA",), ("Ir191",))


def test_two_channels_that_come_to_one_name_or_metal_are_refused() -> None:
    message = naming_refusal(["CD3", "x", "y"], ["", "Er170", "In115"], PANEL)
    assert "channel name 'CD3' twice" in message

    assert "metal In115 twice" in naming_refusal(["x", "y"], ["In115", "115In"], None)


def test_a_label_on_another_metal_than_the_panel_says_is_refused() -> None:
    assert "'CD3' is on Er170 by the panel, on Pr141 here" in naming_refusal(
        ["CD3"], ["Pr141"], PANEL
    )


def test_a_channel_without_name_and_metal_is_refused_by_its_number() -> None:
    assert "channel 2 has neither name nor metal" in naming_refusal(["a", " "], ["", ""], None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("PD-1", "PD1"),
        ("PD1", "CD279"),
        ("pd-1", "CD279"),
        ("CD8a", "CD8"),
        ("CD8\N{GREEK SMALL LETTER ALPHA}", "CD8"),
        ("HLA-DR", "HLADR"),
        ("CXCL9", "CXCL9"),
    ],
)
def test_aliases_are_one_marker_either_way_round(first: str, second: str) -> None:
    assert same_marker(first, second)
    assert same_marker(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [("PD-1", "PD-L1"), ("CD8", "CD80"), ("CD3", "CD31"), ("CXCL9", "CXCL10"), ("CD8a", "PD1")],
)
def test_different_markers_are_not_one(first: str, second: str) -> None:
    assert not same_marker(first, second)


@pytest.mark.parametrize(
    ("text", "metal"),
    [
        ("141Pr", "Pr141"),
        ("Pr(141)", "Pr141"),
        ("Pr141Di", "Pr141"),
        ("Y89", "Y89"),
        ("113", "113"),
    ],
)
def test_isotopes_are_written_in_one_way(text: str, metal: str) -> None:
    assert standard_metal(text) == metal
