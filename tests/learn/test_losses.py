"""Losses against closed forms."""

import math

import pytest
import torch

from tissuetrace.learn.losses import CrossEntropy, FocalLoss


def test_cross_entropy_of_an_undecided_network_is_the_logarithm_of_two() -> None:
    found = CrossEntropy()(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]))

    assert float(found) == pytest.approx(math.log(2))


@pytest.mark.parametrize("majority", [0, 1])
@pytest.mark.parametrize("label", [0, 1])
def test_focal_loss_of_one_item_is_its_closed_form(majority: int, label: int) -> None:
    odds = 3.0  # probability of the true class 3/4
    logits = torch.tensor([math.log(odds) * (2 * label - 1)])

    found = FocalLoss(gamma=2.0, alpha=0.25, majority=majority)(
        logits, torch.tensor([float(label)])
    )

    alpha = {True: 0.25, False: 0.75}[label == majority]
    assert float(found) == pytest.approx(-alpha * (1 / 4) ** 2 * math.log(3 / 4))


def test_focal_loss_without_focus_is_half_the_cross_entropy() -> None:
    logits, labels = torch.linspace(-3, 3, 7), torch.tensor([0.0, 1, 0, 1, 0, 1, 1])

    found = FocalLoss(gamma=0.0, alpha=0.5, majority=1)(logits, labels)

    assert float(found) == pytest.approx(float(CrossEntropy()(logits, labels)) / 2)


def test_focal_loss_is_the_mean_over_the_items() -> None:
    loss = FocalLoss(gamma=2.0, alpha=0.25, majority=1)
    logits, labels = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([1.0, 0.0, 0.0])

    each = [float(loss(logits[k : k + 1], labels[k : k + 1])) for k in range(3)]

    assert float(loss(logits, labels)) == pytest.approx(sum(each) / 3)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_focal_loss_and_its_gradient_stay_finite_for_a_sure_network(logit: float) -> None:
    logits = torch.tensor([logit], requires_grad=True)

    value = FocalLoss(gamma=2.0, alpha=0.25, majority=1)(logits, torch.tensor([1.0]))
    (gradient,) = torch.autograd.grad(value, logits)

    assert torch.isfinite(torch.stack([value.detach(), gradient[0]])).all()
