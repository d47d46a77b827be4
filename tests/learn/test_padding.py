"""Rows of unequal members in one array."""

import numpy as np
import pytest
import torch

from tissuetrace.learn.padding import batch_shares, padded, taken


def test_each_members_rows_come_first_and_zeros_behind() -> None:
    parts = [np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])]

    found = padded(parts, 3)

    expected = [[[1, 2], [0, 0], [0, 0]], [[3, 4], [5, 6], [0, 0]]]
    assert found.tolist() == expected


def test_labels_have_no_further_axis() -> None:
    assert padded([np.array([1, 0]), np.array([1])], 2).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(4, [1 / 2] * 4), (5, [1 / 2] * 4 + [1.0]), (1, [1.0])],
)
def test_the_shares_of_a_batch_add_up_to_one(rows: int, expected: list[float]) -> None:
    assert batch_shares(rows, 2).tolist() == expected


def test_places_count_through_all_members() -> None:
    values = torch.arange(12).view(2, 3, 2)

    found = taken(values, torch.tensor([[2, 0], [3, 5]]))

    assert torch.equal(found, torch.stack([values[0, [2, 0]], values[1, [0, 2]]]))
