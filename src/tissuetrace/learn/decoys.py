"""Decoys: negative patches get the hole of a positive one, so that the hole is no label."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64, UInt8
from numpy import ndarray
from scipy.spatial import cKDTree

from tissuetrace.imaging.masks import ORIENTATIONS, kept_shares, orient, pack, unpack

__all__ = ["DecoyRule", "Decoys", "Kind", "draw_decoys", "standardised"]

Kind = Literal["matched", "marginal", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoyRule:
    """How donors are drawn.

    Args:
        kind: `matched` draws uniformly among the nearest positives in z, `marginal` among all of
            the split, `none` draws nothing.
        nearest: positives among which `matched` draws; all where there are fewer.
        keep_min: share of a patch that must be left.
    """

    kind: Kind
    nearest: int
    keep_min: float


@dataclass(frozen=True, slots=True)
class Decoys:
    """Which hole each patch gets beside its own.

    Args:
        donors: number of the positive patch; -1 where there is none.
        orientations: in which the donor's hole is laid over (see `imaging.masks.orient`); -1 where
            there is no donor.
        dropped: negative patches of which no positive's hole would leave enough.
    """

    donors: Int64[ndarray, " patch"]
    orientations: Int64[ndarray, " patch"]
    dropped: Bool[ndarray, " patch"]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The positive patches of a split, their holes in all orientations."""

    members: Int64[ndarray, " positive"]
    holes: UInt8[ndarray, "positive 8 bytes"]
    tree: cKDTree
    area: int

    def nearest(
        self, z: Float[ndarray, "patch channel"], count: int
    ) -> Int64[ndarray, "patch rank"]:
        """Return the nearest positives of each patch, nearest first."""
        # a list of ranks, since the answer for a single number would have one axis less
        order: Int64[ndarray, "patch rank"] = self.tree.query(z, k=list(range(1, count + 1)))[1]
        return order

    def fits(
        self,
        chosen: Int64[ndarray, " chosen"],
        masks: UInt8[ndarray, "patch bytes"],
        turns: Int64[ndarray, " patch"],
        keep_min: float,
    ) -> Bool[ndarray, " chosen"]:
        """Say which unions with a candidate's hole leave enough; patches are one or as many."""
        enough: Bool[ndarray, " chosen"] = (
            kept_shares(masks | self.holes[chosen, turns], self.area) >= keep_min
        )
        return enough


def standardised(
    means: Float[ndarray, "patch channel"], training: Bool[ndarray, " patch"]
) -> Float64[ndarray, "patch channel"]:
    """Return channel means less those of training patches, over their standard deviation.

    A channel that is constant in training is 0 there, and not divided elsewhere.
    """
    mean, deviation = means[training].mean(axis=0), means[training].std(axis=0)
    # the deviation of a constant is rounding noise, by which no other patch may be divided
    varies = deviation > 1e-12 * np.abs(mean)
    z: Float64[ndarray, "patch channel"] = (means - mean) / np.where(varies, deviation, 1.0)
    return z


def draw_decoys(
    z: Float[ndarray, "patch channel"],
    labels: Int[ndarray, " patch"],
    splits: Int[ndarray, " patch"],
    masks: UInt8[ndarray, "patch bytes"],
    *,
    side_px: int,
    rule: DecoyRule,
    seed: np.random.SeedSequence,
) -> Decoys:
    """Draw for every negative patch a positive one of the same split, and an orientation.

    Where the united holes leave too little of the patch, the next nearest positive takes the
    donor's place (the next in order under `marginal`), in the same orientation, beginning again
    with the nearest after the farthest; where none fits, the patch is dropped.

    Args:
        z: standardised means under the patches' own holes (see `standardised`).
        labels: 1 for a positive patch, 0 for a negative one.
        splits: number of the split of each patch.
        masks: packed own holes (see `imaging.masks.pack`).
        side_px: side of a patch (px).
        rule: how donors are drawn.
        seed: of the draws.

    Raises:
        ValueError: a split has negative patches and no positive one.

    Source: ours. Wang & Thomson mask T cells without decoys, so that the hole is the label; a
        random donor's hole does not grow with the density of T cells as true holes do, hence
        `matched`.
    """
    nobody = np.full(len(labels), -1, dtype=np.int64)
    drawn = Decoys(nobody, nobody.copy(), np.zeros(len(labels), dtype=np.bool_))
    if rule.kind == "none":
        return drawn
    rng = np.random.default_rng(seed)
    chances, turns = rng.random(len(labels)), rng.integers(ORIENTATIONS, size=len(labels))
    for negatives, candidates in _by_split(z, labels, splits, masks, side_px=side_px):
        chosen = _choose(
            candidates,
            z=z[negatives],
            masks=masks[negatives],
            chances=chances[negatives],
            turns=turns[negatives],
            rule=rule,
        )
        fits = chosen >= 0
        drawn.donors[negatives] = np.where(fits, candidates.members[chosen], -1)
        drawn.orientations[negatives] = np.where(fits, turns[negatives], -1)
        drawn.dropped[negatives] = ~fits
    return drawn


def _by_split(
    z: Float[ndarray, "patch channel"],
    labels: Int[ndarray, " patch"],
    splits: Int[ndarray, " patch"],
    masks: UInt8[ndarray, "patch bytes"],
    *,
    side_px: int,
) -> Iterator[tuple[Int64[ndarray, " negative"], _Candidates]]:
    for split in np.unique(splits):
        negatives = np.flatnonzero((splits == split) & (labels == 0))
        members = np.flatnonzero((splits == split) & (labels == 1))
        if len(negatives) == 0:
            continue
        if len(members) == 0:
            raise ValueError(f"{len(negatives)} negative patches of a split, and no positive one")
        own = unpack(masks[members], (side_px, side_px))
        holes = np.stack([pack(orient(own, turn)) for turn in range(ORIENTATIONS)], axis=1)
        yield negatives, _Candidates(members, holes, cKDTree(z[members]), side_px**2)


def _choose(
    candidates: _Candidates,
    *,
    z: Float[ndarray, "negative channel"],
    masks: UInt8[ndarray, "negative bytes"],
    chances: Float64[ndarray, " negative"],
    turns: Int64[ndarray, " negative"],
    rule: DecoyRule,
) -> Int64[ndarray, " negative"]:
    """Return the number of the candidate whose hole each patch gets, -1 where none fits."""
    count = len(candidates.members)
    among = min(rule.nearest, count) if rule.kind == "matched" else count
    ranks = (chances * among).astype(np.int64)
    chosen = ranks
    if rule.kind == "matched":
        nearest = candidates.nearest(z, among)
        chosen = np.take_along_axis(nearest, ranks[:, None], axis=1)[:, 0]
    short = ~candidates.fits(chosen, masks, turns, rule.keep_min)
    for place in np.flatnonzero(short):  # few: a hole that leaves less than a tenth is rare
        order = np.arange(count)
        if rule.kind == "matched":
            order = candidates.nearest(z[[place]], count)[0]
        tried = np.roll(order, -ranks[place])
        fits = candidates.fits(tried, masks[[place]], turns[[place]], rule.keep_min)
        chosen[place] = tried[fits.argmax()] if fits.any() else -1
    return chosen
