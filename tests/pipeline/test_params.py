from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.params import check_params, load_params, param_keys, stage_params
from tissuetrace.pipeline.stage import Stage, exact, of_variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    levels: Annotated[int, Gt(1)]
    angles: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    side_um: Annotated[float, Gt(0)]
    label: Literal["any", "some"]
    matrix: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    trees: Annotated[int, Gt(0)]


def measure_stage(**changes: Any) -> Stage:
    declared: dict[str, Any] = {
        "function": print,
        "study": "cells",
        "name": "measure",
        "module": "x",
        "summary": "",
        "reads": {},
        "writes": {"out": exact("data/cells/measure/out", "")},
        "params": {"params": Measure, "forest": Shared},
        "matrix": None,
        "gate": None,
        "resumes": False,
    }
    return Stage(**declared | changes)


def content(**changes: Any) -> dict[str, Any]:
    measure = {"side_um": 2, "label": "any", "matrix": {"levels": 8, "angles": [0, 45]}}
    return {"cells": {"measure": {**measure, **changes}, "forest": {"trees": 100}}}


def test_a_stage_is_given_frozen_values_of_the_declared_types() -> None:
    found = stage_params(measure_stage(), content())

    assert found == {
        "params": Measure(side_um=2.0, label="any", matrix=Matrix(levels=8, angles=(0, 45))),
        "forest": Shared(trees=100),
    }
    assert isinstance(found["params"].side_um, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sides_um": 3}, "cells.measure.sides_um: no such key; the nearest is 'side_um'"),
        ({"side_um": "3"}, "cells.measure.side_um: is '3', should be a valid number"),
        ({"side_um": -1}, "cells.measure.side_um: is -1, should be greater than 0"),
        ({"label": "all"}, "cells.measure.label: is 'all', should be 'any' or 'some'"),
        ({"matrix": {"levels": True, "angles": []}}, "cells.measure.matrix.levels: is "),
        ({"matrix": {"levels": 8.5, "angles": []}}, "cells.measure.matrix.levels: is 8.5"),
        ({"matrix": {"levels": 8}}, "cells.measure.matrix.angles: this key is missing"),
        ({"matrix": {"levels": 8, "angels": [], "angles": []}}, "nearest is 'angles'"),
    ],
)
def test_each_mistake_is_named_with_its_key_value_and_remedy(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        stage_params(measure_stage(), content(**changes))

    assert message in str(caught.value)
    assert str(caught.value).startswith("params.yaml: 1 mistake")


def test_all_mistakes_of_a_file_come_at_once() -> None:
    wrong = content(side_um=-1, label="all", extra=1)
    wrong["cells"]["forrest"] = {}
    del wrong["cells"]["forest"]

    with pytest.raises(InputError) as caught:
        check_params([measure_stage()], wrong)

    message = str(caught.value)
    assert "5 mistakes" in message
    assert "cells.forrest: no such section; the nearest is 'forest'" in message
    assert "cells.forest: this section is missing" in message


def test_dvc_tracks_the_fields_that_a_stage_is_given_and_no_others() -> None:
    assert param_keys(measure_stage()) == [
        "cells.forest.trees",
        "cells.measure.label",
        "cells.measure.matrix",
        "cells.measure.side_um",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "no valid YAML"), ("- a", "section"), ("a:", "section"), ("", "section")],
)
def test_a_file_that_is_no_mapping_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)

    with pytest.raises(InputError, match=message) as caught:
        load_params(tmp_path / "params.yaml")

    assert "\n" not in str(caught.value)


def test_a_study_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match="celsl: no such study; the nearest is 'cells'"):
        check_params([measure_stage()], {**content(), "celsl": {}})


def test_a_date_is_no_crash() -> None:
    with pytest.raises(InputError, match=r"cells.measure.side_um: is '2024-01-01'"):
        stage_params(measure_stage(), content(side_um=date(2024, 1, 1)))


def stage_of_tissues(kind: Any) -> Stage:
    return measure_stage(params={"tissue": kind}, matrix="tissues")


TISSUES = {"cells": {"tissues": {"skin": {"trees": 5}, "lung.left": {"trees": 7}}}}


def test_a_variant_is_given_its_own_settings() -> None:
    stage = stage_of_tissues(of_variant(Shared))

    assert stage_params(stage, TISSUES, "lung.left") == {"tissue": Shared(trees=7)}
    assert param_keys(stage) == ["cells.tissues.{tissues}.trees"]
    check_params([stage], TISSUES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    trees: int
    age: int


def test_a_stage_that_is_given_a_part_of_its_variant_tracks_that_part_alone() -> None:
    stage = stage_of_tissues(of_variant(Shared, of=Tissue))
    told = {"cells": {"tissues": {"skin": {"trees": 5, "age": 8}}}}

    assert stage_params(stage, told, "skin") == {"tissue": Shared(trees=5)}
    assert param_keys(stage) == ["cells.tissues.{tissues}.trees"]
    with pytest.raises(InputError, match=r"tissues\.skin\.age: this key is missing"):
        check_params([stage], {"cells": {"tissues": {"skin": {"trees": 5}}}})


def test_a_mistake_of_one_variant_is_named_once() -> None:
    whole = measure_stage(params={"tissues": dict[str, Shared]})
    wrong = {"cells": {"tissues": {"skin": {"trees": 5}, "lung": {"tres": 7}}}}

    with pytest.raises(InputError) as caught:
        check_params([stage_of_tissues(of_variant(Shared)), whole], wrong)

    assert str(caught.value).count("\n") == 2
    assert "cells.tissues.lung.trees: this key is missing" in str(caught.value)
    assert "cells.tissues.lung.tres: no such key; the nearest is 'trees'" in str(caught.value)


def test_a_reader_of_all_variants_is_given_a_mapping_and_tracks_it_whole() -> None:
    whole = measure_stage(params={"tissues": dict[str, Shared]})

    found = stage_params(whole, TISSUES)

    assert found == {"tissues": {"skin": Shared(trees=5), "lung.left": Shared(trees=7)}}
    assert param_keys(whole) == ["cells.tissues"]


@pytest.mark.parametrize("names", [{}, [], "skin", {"a b": {"trees": 5}}])
def test_variants_are_names_in_a_list_or_mapping(names: object) -> None:
    with pytest.raises(InputError, match="tissues"):
        check_params([stage_of_tissues(of_variant(Shared))], {"cells": {"tissues": names}})
