"""Losses of a binary classifier that gives logits."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

__all__ = ["CrossEntropy", "FocalLoss"]


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Binary cross-entropy of logits, mean over the items (nats)."""

    def __call__(
        self, logits: Float[Tensor, " item"], labels: Float[Tensor, " item"]
    ) -> Float[Tensor, ""]:
        """Return the mean loss; labels are 0 or 1."""
        return binary_cross_entropy_with_logits(logits, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FocalLoss:
    """Focal loss: items that are already right weigh less, the majority class weighs less.

    -alpha_y (1 - p_y)^gamma log p_y, where p_y is the probability of the true class.

    Args:
        gamma: how fast the weight of an easy item falls, at least 0; 0 is weighted cross-entropy.
        alpha: weight of the majority class, between 0 and 1; the minority gets 1 - alpha.
        majority: which label, 0 or 1, more training items have.

    Source: Lin, Goyal, Girshick, He, Dollar, Focal loss for dense object detection, equation 5.
        There alpha belongs to the positive class; here to the majority, whichever it is.
    """

    gamma: float
    alpha: float
    majority: int

    def __call__(
        self, logits: Float[Tensor, " item"], labels: Float[Tensor, " item"]
    ) -> Float[Tensor, ""]:
        """Return the mean loss; labels are 0 or 1."""
        signed = logits * (2 * labels - 1)  # the logit of the true class
        of_majority = labels == self.majority
        weight = of_majority * self.alpha + ~of_majority * (1 - self.alpha)
        # (1 - p)^gamma through its logarithm: exact where p is within rounding of 1
        easiness = (self.gamma * logsigmoid(-signed)).exp()
        return -(weight * easiness * logsigmoid(signed)).mean()
