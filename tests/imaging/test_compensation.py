from pathlib import Path

import numpy as np
import pytest

from tissuetrace.imaging.compensation import Spillover, compensate, read_spillover
from tissuetrace.pipeline.errors import InputError

SHARES = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.05], [0.02, 0.0, 1.0]])
NAMES = ("CD3", "CD8", "DNA")
METALS = ("Er170", "Dy162", "Ir191")


def observed(true: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,iyx->jyx", SHARES, true), dtype=np.float32)


def test_counts_before_spillover_are_found_again() -> None:
    true = np.random.default_rng(0).uniform(0, 50, (3, 4, 5))

    found = compensate(
        observed(true),
        names=NAMES,
        metals=METALS,
        spillover=Spillover(channels=NAMES, shares=SHARES),
    )

    np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-3)


def test_channels_are_found_by_metal_in_any_order() -> None:
    true = np.random.default_rng(1).uniform(0, 50, (3, 2, 2))
    order = [2, 0, 1]
    spillover = Spillover(channels=("191Ir", "Er170", "Dy162Di"), shares=SHARES[order][:, order])

    found = compensate(observed(true), names=NAMES, metals=METALS, spillover=spillover)

    np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-3)


def test_what_would_be_less_than_nothing_is_nothing() -> None:
    x = np.zeros((3, 1, 1), dtype=np.float32)
    x[0] = 10.0

    found = compensate(
        x, names=NAMES, metals=METALS, spillover=Spillover(channels=NAMES, shares=SHARES)
    )

    assert found.min() == 0.0
    assert found[0, 0, 0] > 9.9


@pytest.mark.parametrize("names", [("CD3", "CD8", "X"), ("CD3", "CD8")])
def test_other_channels_than_the_images_are_refused_with_both_lists(names: tuple[str, ...]) -> None:
    x = np.zeros((len(names), 1, 1), dtype=np.float32)
    spillover = Spillover(channels=NAMES, shares=SHARES)

    with pytest.raises(InputError, match="spillover of CD3, CD8, DNA; channels CD3, CD8"):
        compensate(x, names=names, metals=("",) * len(names), spillover=spillover)


def test_a_matrix_is_read_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "spillover.csv"
    path.write_text(",CD8,CD3\nCD3,0.1,1\nCD8,1,0\n")

    found = read_spillover(path)

    assert found.channels == ("CD3", "CD8")
    assert found.shares.tolist() == [[1.0, 0.1], [0.0, 1.0]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",CD3,CD8\nCD3,1,0.1\n",
        ",CD3,CD8\nCD3,1,0.1\nCD9,0,1\n",
        ",CD3,CD3\nCD3,1,0.1\nCD3,0,1\n",
        ",CD3,CD8\nCD3,1,x\nCD8,0,1\n",
        ",CD3,CD8\nCD3,1,-0.1\nCD8,0,1\n",
        ",CD3,CD8\nCD3,0.9,0.1\nCD8,0,1\n",
        ",CD3,CD8\nCD3,1\nCD8,0,1\n",
    ],
)
def test_a_table_that_is_no_matrix_of_shares_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spillover.csv").write_text(text)

    with pytest.raises(InputError, match=r"spillover\.csv"):
        read_spillover(tmp_path / "spillover.csv")


def test_a_matrix_that_cannot_be_solved_is_refused() -> None:
    x = np.zeros((2, 1, 1), dtype=np.float32)
    spillover = Spillover(channels=("a", "b"), shares=np.ones((2, 2)))

    with pytest.raises(InputError, match="cannot be solved"):
        compensate(x, names=("a", "b"), metals=("", ""), spillover=spillover)
