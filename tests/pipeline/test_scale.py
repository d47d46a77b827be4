from dataclasses import dataclass
from pathlib import Path

import pytest
from project_tree import Tree

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.scale import merge_scale
from tissuetrace.pipeline.stage import Stage, of_variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    trees: int


def test_a_scale_changes_what_it_names_and_keeps_the_comments(toy: Tree) -> None:
    (toy.root / "params/paper.yaml").write_text("toy:\n  kinds: [a, b, c]\n  draw: {rows: 50}\n")
    source = (toy.root / "sources/toy.json").read_bytes()

    done = toy.run("tissuetrace", "scale", "paper")

    assert done.returncode == 0, done.stderr
    assert "toy.draw.rows: 5 → 50" in done.stdout
    assert "rows: 50  # how many" in (toy.root / "params.yaml").read_text()
    assert "- data/toy/train/c" in (toy.root / "dvc.yaml").read_text()
    assert (toy.root / "sources/toy.json").read_bytes() == source


def test_a_variant_that_is_no_more_leaves_no_checksums(toy: Tree) -> None:
    checksums = toy.root / "metrics/toy/checksums"
    assert (checksums / "train@b.json").exists()
    toy.edit("params.yaml", "kinds: [a, b]", "kinds: [a]")

    assert toy.run("tissuetrace", "pipeline", "--write").returncode == 0

    assert (checksums / "train@a.json").exists()
    assert not (checksums / "train@b.json").exists()


def test_a_scale_that_is_there_already_says_so(toy: Tree) -> None:
    (toy.root / "params/paper.yaml").write_text("toy:\n  draw: {rows: 5}\n")

    assert "already" in toy.run("tissuetrace", "scale", "paper").stdout


def test_a_scale_with_a_value_that_no_stage_takes_changes_nothing(toy: Tree) -> None:
    (toy.root / "params/paper.yaml").write_text("toy:\n  draw: {rows: many}\n")
    before = (toy.root / "params.yaml").read_bytes()

    done = toy.run("tissuetrace", "scale", "paper")

    assert done.returncode == 2
    assert "toy.draw.rows: is 'many'" in done.stderr
    assert (toy.root / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("text", ["toy: [", "# nothing\n", "toy:\n"])
def test_a_scale_that_is_no_mapping_of_sections_is_one_line(toy: Tree, text: str) -> None:
    (toy.root / "params/paper.yaml").write_text(text)

    done = toy.run("tissuetrace", "scale", "paper")

    assert done.returncode == 2
    assert "paper.yaml: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [("papr", "no scale 'papr' among"), ("paper", "params/paper.yaml: toy.rows: params.yaml has")],
)
def test_a_wrong_scale_is_refused_and_changes_nothing(toy: Tree, name: str, message: str) -> None:
    (toy.root / "params/paper.yaml").write_text("toy:\n  draw: {low: 9.0}\n  rows: 5\n")
    before = (toy.root / "params.yaml").read_bytes()

    done = toy.run("tissuetrace", "scale", name)

    assert done.returncode == 2
    assert message in done.stderr
    assert (toy.root / "params.yaml").read_bytes() == before


def test_a_scale_leaves_out_variants_that_the_project_has_not(tmp_path: Path) -> None:
    stage = Stage(
        function=print,
        study="cells",
        name="measure",
        module="x",
        summary="",
        reads={},
        writes={},
        params={"tissue": of_variant(Tissue)},
        matrix="tissues",
        gate=None,
        resumes=False,
    )
    (tmp_path / "params").mkdir()
    (tmp_path / "params.yaml").write_text("cells:\n  tissues:\n    skin: {trees: 1}\n")
    scale = tmp_path / "params/paper.yaml"
    scale.write_text("cells:\n  tissues:\n    skin: {trees: 9}\n    lung: {trees: 9}\n")

    assert merge_scale("paper", tmp_path, [stage]) == ["cells.tissues.skin.trees: 1 → 9"]

    scale.write_text("cells:\n  tissues:\n    skin: {tres: 9}\n")
    with pytest.raises(InputError, match=r"cells\.tissues\.skin\.tres"):
        merge_scale("paper", tmp_path, [stage])
