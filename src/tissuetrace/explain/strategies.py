"""From the changes found for single patches to one change for a whole tumour."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

__all__ = [
    "Strategy",
    "changes_of_medians",
    "channel_floors",
    "channel_medians",
    "perturbed",
    "relative_changes",
    "sign_agreement",
    "tumour_strategy",
]

Patches = Float[ndarray, "patch channel"]
Channels = Float[ndarray, " channel"]

_FLOOR_PERCENT = 1.0  # of a channel's positive training means, below which a ratio says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One relative change for every channel, as a therapy would make it in a whole tumour.

    Args:
        relative: 0.5 means raised by half, -0.4 lowered by 40 %; NaN where no patch tells.
        agreement: share of the retrainings with the sign of `relative`; 0 where that has none.
        called: whether the change is large enough and the retrainings agree on it.
    """

    relative: Channels
    agreement: Channels
    called: Bool[ndarray, " channel"]

    @property
    def applied(self) -> Channels:
        """The change of the called channels, 0 elsewhere."""
        return np.where(self.called, self.relative, 0.0)


def channel_floors(training: Patches) -> Channels:
    """Return the mean of each channel at or below which a relative change is not formed.

    Args:
        training: channel means (counts) of the training patches.

    Returns:
        The 1st percentile of the positive means; infinite where a channel has none.
    """
    positive = [column[column > 0] for column in training.T]
    return np.array(
        [np.percentile(column, _FLOOR_PERCENT) if len(column) else np.inf for column in positive]
    )


def relative_changes(
    delta: Patches, x0: Patches, *, sd: Channels, floor: Channels, free: Bool[ndarray, " channel"]
) -> Patches:
    """Relative change of every channel of every patch, (x_cf - x0) / x0 in counts.

    Args:
        delta: change found for each patch (z units); NaN rows stay NaN in free channels.
        x0: channel means of each patch before the change (counts).
        sd: of each channel over the training patches (counts), that z was made with.
        floor: from `channel_floors`; patches at or below it are left out.
        free: channels that could change.

    Returns:
        delta · sd / x0, so that nothing is lost to a difference of two close numbers; NaN where
        left out, and exactly 0 where not free.

    Source: Wang & Thomson, section 2 (tumour-wide perturbation).
    """
    told = (x0 > floor) & free
    found: Patches = np.divide(delta * sd, x0, out=np.full(delta.shape, np.nan), where=told)
    found[:, ~free] = 0.0
    return found


def channel_medians(relative: Patches) -> Channels:
    """Return the median of each channel over the patches that tell; NaN where none does."""
    return _medians(relative)


def changes_of_medians(delta: Patches, x0: Patches, *, sd: Channels) -> Channels:
    """Return the median change over the median level, the other reading of a relative change.

    Args:
        delta: change found for each patch (z units).
        x0: channel means of the same patches (counts).
        sd: of each channel (counts).

    Returns:
        One number a channel; NaN where there is no patch, or the median level is 0.
    """
    change, level = _medians(delta * sd), _medians(x0)
    ratio: Channels = np.divide(change, level, out=np.full(len(sd), np.nan), where=level > 0)
    return ratio


def tumour_strategy(
    medians: Float[ndarray, "retraining channel"],
    *,
    aggregate: Literal["retrainings", "one"],
    tolerance: float,
    agreement: float,
) -> Strategy:
    """Join what the retrainings found, and call the channels that they agree on.

    Args:
        medians: relative change of each channel by each retraining; NaN where it tells none.
        aggregate: `retrainings` takes their median, `one` the first retraining that found any.
        tolerance: a called channel changes by more than this.
        agreement: least share of the retrainings with the same sign.

    Returns:
        Shares of agreement are over all retrainings (`one`: over that one): who tells nothing of a
        channel agrees with nobody.

    Source: Wang & Thomson, section 2 and Fig. 4A; the joining of retrainings is ours.
    """
    rows = medians[~np.isnan(medians).all(axis=1)]
    if aggregate == "one":
        rows = rows[:1]
    relative = _medians(rows)
    told = ~np.isnan(rows)
    same = (np.sign(rows) == np.sign(relative)) & told & (relative != 0)
    share = same.sum(axis=0) / max(len(rows) if aggregate == "one" else len(medians), 1)
    called = (np.abs(np.nan_to_num(relative)) > tolerance) & (share >= agreement)
    return Strategy(relative=relative, agreement=share, called=called)


def perturbed(
    x: Patches, relative: Channels, *, upper: Channels
) -> tuple[Patches, Bool[ndarray, "patch channel"]]:
    """Apply a strategy to every patch of a tumour.

    Args:
        x: channel means before (counts).
        relative: change of each channel, 0 where left alone.
        upper: largest value that the model has seen in training; never below a patch's own.

    Returns:
        x · (1 + relative) between 0 and `upper`, and which values were held at a bound.

    Source: Wang & Thomson, section 2: each channel of the image is scaled as a whole.
    """
    wanted = x * (1 + relative)
    allowed = np.clip(wanted, 0.0, np.maximum(upper, x))
    # a channel that is left alone is copied, not multiplied by one
    return np.where(relative == 0, x, allowed), (allowed != wanted) & (relative != 0)


def sign_agreement(first: Channels, second: Channels, *, tolerance: float) -> float:
    """Share of channels that two strategies treat alike: raised, lowered, or left alone.

    Args:
        first: relative changes.
        second: those of another retraining or another search, for the same channels.
        tolerance: a change up to this is none.

    Returns:
        0 to 1; NaN where the two share no channel that both tell.
    """
    told = ~np.isnan(first) & ~np.isnan(second)
    if not told.any():
        return float("nan")
    signs = [np.sign(one[told]) * (np.abs(one[told]) > tolerance) for one in (first, second)]
    return float((signs[0] == signs[1]).mean())


def _medians(values: Patches) -> Channels:
    """Median of each column, NaN left out; an empty column has none, and that is no fault."""
    told = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.median(column) if len(column) else np.nan for column in told])
