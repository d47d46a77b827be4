import pytest
from project_tree import Tree


def test_a_scale_changes_what_it_names_and_keeps_the_comments(toy: Tree) -> None:
    (toy.root / "params/paper.yaml").write_text("toy:\n  kinds: [a, b, c]\n  draw: {rows: 50}\n")
    source = (toy.root / "sources/toy.json").read_bytes()

    done = toy.run("tissuetrace", "scale", "paper")

    assert done.returncode == 0, done.stderr
    assert "toy.draw.rows: 5 → 50" in done.stdout
    assert "rows: 50  # how many" in (toy.root / "params.yaml").read_text()
    assert "- data/toy/train/c" in (toy.root / "dvc.yaml").read_text()
    assert (toy.root / "sources/toy.json").read_bytes() == source


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
