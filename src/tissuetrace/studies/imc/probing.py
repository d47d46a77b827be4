"""Leak probes of every kind of decoys and both readings of a mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy import ndarray

from tissuetrace.imaging.masks import Mean
from tissuetrace.learn.decoys import Decoys, Kind
from tissuetrace.learn.leaks import Rows, find_leak, separation
from tissuetrace.studies.imc.contents import (
    Covers,
    Erased,
    Holes,
    erased_under,
    means_under_each,
)
from tissuetrace.studies.imc.drawn_decoys import (
    SPLIT_NAMES,
    covers_of,
    draw_for_seeds,
    read_seed_splits,
)
from tissuetrace.studies.imc.features import mean_columns

if TYPE_CHECKING:
    from tissuetrace.studies.imc.decoy import Decoy
    from tissuetrace.studies.imc.patch import Patch
    from tissuetrace.studies.imc.probe import Probe

__all__ = ["KINDS", "MEANS", "Settings", "probe_leaks"]

KINDS: tuple[Kind, ...] = ("none", "marginal", "matched")
MEANS: tuple[Mean, ...] = ("retained", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The sections of parameters that a probe depends on."""

    probe: "Probe"
    patch: "Patch"
    decoy: "Decoy"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a model of one seed sees.

    Args:
        patches: their numbers.
        labels: of the patches whose holes these are.
        means: over the area that is left.
        erased: share of each patch that is hidden.
        components: parts of the hidden area.
    """

    patches: Int64[ndarray, " patch"]
    labels: Int64[ndarray, " patch"]
    means: Float64[ndarray, "patch channel"]
    erased: Float64[ndarray, " patch"]
    components: Int64[ndarray, " patch"]

    def rows(self, code: Int64[ndarray, " all"], mean: Mean) -> Rows:
        """Return what the models learn from and are tested on, with one reading of a mean."""
        split = code[self.patches]
        kept = 1 - self.erased[:, None]
        return Rows(
            features=self.means * kept if mean == "full" else self.means,
            labels=self.labels,
            training=split == SPLIT_NAMES.index("train"),
            test=split == SPLIT_NAMES.index("test"),
        )


def probe_leaks(
    patches: pd.DataFrame,
    holes: Holes,
    splits: pd.DataFrame,
    decoys: pd.DataFrame,
    *,
    settings: Settings,
) -> pd.DataFrame:
    """Probe all kinds of decoys; the kind in use by the very rows that trainings see.

    Args:
        patches: of all cores, in item order.
        holes: of the same patches.
        splits: of the patient scheme.
        decoys: of the patient scheme, as trainings see them.
        settings: of the stages that made these, and of the probe.

    Returns:
        `decoys, mean, quantity, seed, value`, in this order of columns and sorted by them, in
        the order of `KINDS` and `MEANS`.
    """
    codes = read_seed_splits(patches, splits)[: settings.probe.seeds]
    used = settings.decoy.kind
    drawn = {
        kind: _draw(patches, codes, holes, kind=kind, settings=settings)
        for kind in KINDS
        if kind != used
    }
    trained = [decoys[decoys["seed"] == seed] for seed in range(len(codes))]
    drawn[used] = [_read(patches, rows) for rows in trained]
    streams = np.random.SeedSequence(settings.probe.seed).spawn(len(KINDS))
    swaps = {
        kind: _exchanged(drawn[kind], codes, stream)
        for kind, stream in zip(KINDS, streams, strict=True)
    }
    covers = {kind: covers_of(_distinct(drawn[kind])) for kind in KINDS if kind != used}
    means = means_under_each(holes, [*covers.values(), *swaps.values()], mean="retained")
    plain = {
        kind: _see(patches, drawn[kind], holes, means=seen, erased=erased_under(holes, of_kind))
        for (kind, of_kind), seen in zip(covers.items(), means, strict=False)
    }
    plain[used] = [_as_trained(patches, rows, holes, settings.patch.mean) for rows in trained]
    swapped = {
        kind: _swap(plain[kind], swaps[kind].hosts, seen)
        for kind, seen in zip(KINDS, means[len(covers) :], strict=True)
    }
    rows = [
        (kind, mean, quantity, seed, value)
        for kind in KINDS
        for mean in MEANS
        for quantity, values in _probe(plain[kind], swapped[kind], codes, mean).items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["decoys", "mean", "quantity", "seed", "value"])


def _draw(
    patches: pd.DataFrame,
    codes: Int64[ndarray, "seed patch"],
    holes: Holes,
    *,
    kind: Kind,
    settings: Settings,
) -> Sequence[Decoys]:
    """Draw decoys that no stage has written down."""
    return draw_for_seeds(
        patches,
        codes,
        holes,
        scheme="patient",
        params=replace(settings.decoy, kind=kind),
        keep_min=settings.patch.keep_min,
    )


def _probe(
    plain: Sequence[_Seen],
    swapped: Sequence[_Seen],
    codes: Int64[ndarray, "seed patch"],
    mean: Mean,
) -> dict[str, list[float]]:
    leaks = [
        find_leak(seen.rows(code, mean), seen.erased, seen.components)
        for seen, code in zip(plain, codes, strict=True)
    ]
    swaps = [separation(s.rows(code, mean)) for s, code in zip(swapped, codes, strict=True)]
    return {
        "auc": [leak.auc for leak in leaks],
        "marginal_auc": [leak.marginal_auc for leak in leaks],
        "gain": [leak.gain for leak in leaks],
        "swap_auc": swaps,
    }


def _distinct(drawn: Sequence[Decoys]) -> Sequence[Decoys]:
    """Return the decoys of the first seed alone where there are none: then all see the same."""
    return drawn[:1] if all((decoys.donors < 0).all() for decoys in drawn) else drawn


def _see(
    patches: pd.DataFrame,
    drawn: Sequence[Decoys],
    holes: Holes,
    *,
    means: Float64[ndarray, "patch distinct channel"],
    erased: Erased,
) -> list[_Seen]:
    """Return what models would see under decoys that no stage has written down."""
    distinct = _distinct(drawn)
    seen = []
    for place, decoys in enumerate(distinct):
        kept = np.flatnonzero(~decoys.dropped)
        seen.append(
            _Seen(
                patches=kept,
                labels=patches["label"].to_numpy()[kept],
                means=means[kept, place],
                erased=erased.px[kept, place] / holes.side_px**2,
                components=erased.components[kept, place],
            )
        )
    return seen if len(distinct) == len(drawn) else seen * len(drawn)


def _as_trained(patches: pd.DataFrame, rows: pd.DataFrame, holes: Holes, mean: Mean) -> _Seen:
    """Return what the table of decoys says that a model sees."""
    places = pd.Index(patches["item"]).get_indexer(rows["item"])
    erased = rows["erased_um2"].to_numpy() / (holes.side_px * holes.px_um[places]) ** 2
    means = rows[mean_columns(rows)].to_numpy()
    return _Seen(
        patches=places,
        labels=patches["label"].to_numpy()[places],
        means=means / (1 - erased)[:, None] if mean == "full" else means,
        erased=erased,
        components=rows["components"].to_numpy(),
    )


def _read(patches: pd.DataFrame, rows: pd.DataFrame) -> Decoys:
    """Return the decoys of one seed that the table says."""
    numbers = pd.Index(patches["item"])
    places = numbers.get_indexer(rows["item"])
    nobody = np.full(len(patches), -1, dtype=np.int64)
    read = Decoys(nobody, nobody.copy(), np.ones(len(patches), dtype=np.bool_))
    read.donors[places] = numbers.get_indexer(rows["donor"])  # -1 where it is empty
    read.orientations[places] = rows["orientation"]
    read.dropped[places] = False
    return read


def _exchanged(
    drawn: Sequence[Decoys], codes: Int64[ndarray, "seed patch"], stream: np.random.SeedSequence
) -> Covers:
    """Return covers that lay the holes of another patch of the split over each content."""
    hosts = [
        _exchange(np.flatnonzero(~decoys.dropped), code, np.random.default_rng(seed))
        for decoys, code, seed in zip(drawn, codes, stream.spawn(len(drawn)), strict=True)
    ]
    donors = [decoys.donors[host] for decoys, host in zip(drawn, hosts, strict=True)]
    turns = [decoys.orientations[host] for decoys, host in zip(drawn, hosts, strict=True)]
    return Covers(*(np.stack(part, axis=1) for part in (hosts, donors, turns)))


def _swap(
    plain: Sequence[_Seen],
    hosts: Int64[ndarray, "patch seed"],
    means: Float64[ndarray, "patch seed channel"],
) -> list[_Seen]:
    """Return what models would see of exchanged holes; labels go with the holes."""
    swapped = []
    for place, seen in enumerate(plain):
        place_of = np.full(len(hosts), -1)
        place_of[seen.patches] = np.arange(len(seen.patches))
        hole = place_of[hosts[seen.patches, place]]
        swapped.append(
            _Seen(
                patches=seen.patches,
                labels=seen.labels[hole],
                means=means[seen.patches, place],
                erased=seen.erased[hole],
                components=seen.components[hole],
            )
        )
    return swapped


def _exchange(
    patches: Int64[ndarray, " some"], code: Int64[ndarray, " all"], rng: np.random.Generator
) -> Int64[ndarray, " all"]:
    """Return whose holes lie over each content: a permutation of the patches of each split."""
    hosts = np.arange(len(code))
    for split in range(len(SPLIT_NAMES)):
        members = patches[code[patches] == split]
        hosts[members] = rng.permutation(members)
    return hosts
