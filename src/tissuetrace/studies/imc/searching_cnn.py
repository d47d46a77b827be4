"""The search on pixels with one retraining of the CNN: of whole channels, and pixel by pixel."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from tissuetrace.explain.counterfactual import Counterfactuals, Probability, search
from tissuetrace.explain.prototypes import nearest_rows
from tissuetrace.explain.strategies import channel_floors, relative_changes
from tissuetrace.learn.determinism import reproducible
from tissuetrace.learn.moments import mean_and_sd
from tissuetrace.learn.patch_networks import PatchNetwork, load_patch_cnn, probability
from tissuetrace.pipeline import machine
from tissuetrace.pipeline.files import read_table
from tissuetrace.studies.imc.search_tables import counterfactual_table, pool_row
from tissuetrace.studies.imc.searching import Rows, Search, Searched, rows_of, search_settings
from tissuetrace.studies.imc.seen_pixels import PatchFiles, SeenPixels

__all__ = ["first_of_each", "search_cnn"]

_AT_ONCE = 256  # patches with their pixels in memory: 33 MB a buffer of 20 channels of 40 x 40
_LEAST_RATIO = 1e-6  # of a channel mean after to before

Found = tuple[Counterfactuals, Float[ndarray, "patch channel"]]


def search_cnn(job: Search, seen: pd.DataFrame) -> Searched:
    """Search some patches by channel and by pixel; none where there is no prototype.

    Args:
        job: the retraining and its variants.
        seen: what all retrainings see, from `read_seen`.
    """
    # as the stage that trained: a search must start from the very probabilities it was given
    with reproducible(0, machine.device()):
        return _search(_Retraining.read(job, seen))


def _search(cnn: "_Retraining") -> Searched:
    job = cnn.job
    starts = np.flatnonzero(cnn.rows.start)
    if job.inputs.params.cnn_patches:
        subjects = cnn.rows.table["subject"].to_numpy()[starts]
        starts = starts[first_of_each(subjects, job.inputs.params.cnn_patches)]
    starts = starts if job.pool else starts[:0]
    tables, pools = [], []
    for variant in job.variants:
        parts = np.split(starts, range(_AT_ONCE, len(starts), _AT_ONCE))
        table = pd.concat([cnn.searched(part, variant) for part in parts], ignore_index=True)
        tables.append(table)
        pools.append(pool_row(job, table, variant=variant))
    return Searched(counterfactuals=pd.concat(tables, ignore_index=True), pools=pd.DataFrame(pools))


def first_of_each(groups: ndarray, count: int) -> Int[ndarray, " chosen"]:
    """Return positions of `count` items, as many of each group as can be, the first of each.

    Args:
        groups: group of each item, in the order of the items.
        count: how many to choose; where it does not divide evenly, the first groups give one more.

    Returns:
        In the order of the items; all of them where there are no more.
    """
    turn = pd.Series(groups).groupby(groups).cumcount().to_numpy()
    return np.sort(np.lexsort((groups, turn))[:count])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retraining:
    """One network, what it has seen, and what is needed to change it.

    Args:
        rows: with `donor` and `orientation`.
        files: pixels and masks of the cohort's patches.
        mean: of the channel means over the training patches (counts).
        sd: of the same.
        peaks: largest square root of a count in the training patches.
    """

    job: Search
    rows: Rows
    network: PatchNetwork
    files: PatchFiles
    mean: Float[ndarray, " channel"]
    sd: Float[ndarray, " channel"]
    peaks: Float[ndarray, " channel"]

    @classmethod
    def read(cls, job: Search, seen: pd.DataFrame) -> "_Retraining":
        inputs = job.inputs
        rows = rows_of(job, seen)
        donors = read_table(inputs.decoys, ["item", "seed", "donor", "orientation"])
        donors = donors[donors["seed"] == job.seed].drop(columns="seed")
        rows = replace(rows, table=rows.table.merge(donors, on="item", validate="one_to_one"))
        network = load_patch_cnn(inputs.cnn / f"model.{job.seed}.safetensors")
        files = PatchFiles.open(inputs.pixels, inputs.tables)
        mean, sd = mean_and_sd(rows.x[rows.train])
        return cls(
            job=job,
            rows=rows,
            network=replace(network, model=network.model.to(machine.device())),
            mean=mean,
            sd=sd,
            files=files,
            peaks=files.peaks(rows.table[rows.train]),
        )

    def searched(self, chosen: Int[ndarray, " patch"], variant: str) -> pd.DataFrame:
        """Search some patches, given by their positions."""
        table, x0 = self.rows.table.iloc[chosen], self.rows.x[chosen]
        if len(chosen) == 0:
            found, delta = _nothing(), np.zeros_like(x0)
        elif variant == "cnn_channels":
            found, delta = self._by_channel(chosen)
        else:
            found, delta = self._by_pixel(chosen)
        floor = channel_floors(self.rows.x[self.rows.train])
        relative = relative_changes(delta, x0, sd=self.sd, floor=floor, free=self.rows.free)
        changes = {"delta": delta, "relative": relative}
        return counterfactual_table(self.job, table, found, variant=variant, changes=changes)

    def _by_channel(self, chosen: Int[ndarray, " patch"]) -> Found:
        """Search for channel means m; the pixels of a channel are scaled by m over the mean."""
        z = self._means()
        x0, means = z[chosen], self.rows.x[chosen]
        changing = _tensor(self.rows.free & (means > 0)).bool()  # nothing can be scaled up from 0
        zero = _tensor(-self.mean / self.sd)
        found = search(
            _Scaled.of(self, self._pixels(chosen), means),
            x0,
            z[self._prototypes(chosen)],
            lower=torch.where(changing, torch.minimum(zero, x0), x0),
            upper=torch.where(changing, torch.maximum(z[self.rows.train].amax(dim=0), x0), x0),
            **search_settings(self.job.inputs.params),
        )
        return _on_cpu(found), (found.changed - x0).double().cpu().numpy()

    def _by_pixel(self, chosen: Int[ndarray, " patch"]) -> Found:
        """Search for every pixel that is not erased; means are told of what was found."""
        seen = self._pixels(chosen)
        x0 = self._standardised(seen)
        changing = (
            _tensor(seen.kept)[:, None].bool() & _tensor(self.rows.free)[:, None, None].bool()
        )
        ends = [(end - self.network.mean) / self.network.sd for end in (0, self.peaks)]
        low, high = (_tensor(end)[:, None, None] for end in ends)
        found = search(
            probability(self.network),
            x0,
            self._standardised(self._pixels(self._prototypes(chosen))),
            lower=torch.where(changing, torch.minimum(low, x0), x0),
            upper=torch.where(changing, torch.maximum(high, x0), x0),
            **search_settings(self.job.inputs.params),
        )
        after, before = (self._mean_counts(z, seen) for z in (found.changed, x0))
        return _on_cpu(found), (after - before) / self.sd

    def _means(self) -> Tensor:
        return _tensor((self.rows.x - self.mean) / self.sd)

    def _prototypes(self, chosen: Int[ndarray, " patch"]) -> Int[ndarray, " patch"]:
        """Return the position of each patch's k-th nearest prototype, by their means."""
        z, pool = self._means(), np.flatnonzero(self.rows.pool)
        k = min(self.job.inputs.params.k, len(pool))
        found: Int[ndarray, " patch"] = pool[nearest_rows(z[chosen], z[pool], k).numpy()]
        return found

    def _pixels(self, chosen: Int[ndarray, " patch"]) -> SeenPixels:
        return self.files.read(self.rows.table.iloc[chosen])

    def _standardised(self, seen: SeenPixels) -> Tensor:
        """Return what the network sees: z values, 0 where erased."""
        mean, sd = (_tensor(v)[:, None, None] for v in (self.network.mean, self.network.sd))
        return (_tensor(seen.roots) - mean) / sd * _tensor(seen.kept)[:, None]

    def _mean_counts(self, z: Tensor, seen: SeenPixels) -> Float[ndarray, "patch channel"]:
        """Return the mean count of each channel over what is not erased."""
        roots = z.double().cpu().numpy() * self.network.sd[:, None, None]
        counts = np.maximum(roots + self.network.mean[:, None, None], 0) ** 2
        kept = seen.kept[:, None]
        means: Float[ndarray, "patch channel"] = counts.mean(axis=(2, 3), where=kept)
        return means


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaled:
    """The network as a function of channel means, holding the pixels of each row.

    Args:
        ask: the network, of z values of pixels.
        roots: square roots of the counts of each row's pixels over the network's own standard
            deviation, 0 where erased.
        centres: the network's own mean over its standard deviation, 0 where erased.
        means: channel means of each row before (counts), 1 where they are 0.
        mean: of the channel means, that their z is made with.
        sd: of the same.
    """

    ask: Probability
    roots: Tensor
    centres: Tensor
    means: Tensor
    mean: Tensor
    sd: Tensor

    @classmethod
    def of(
        cls, cnn: _Retraining, seen: SeenPixels, means: Float[ndarray, "patch channel"]
    ) -> "_Scaled":
        network, kept = cnn.network, _tensor(seen.kept)[:, None]
        centre, spread = (_tensor(v)[:, None, None] for v in (network.mean, network.sd))
        return cls(
            ask=probability(network),
            roots=_tensor(seen.roots) / spread * kept,
            centres=centre / spread * kept,
            means=_tensor(np.where(means > 0, means, 1.0)),
            mean=_tensor(cnn.mean),
            sd=_tensor(cnn.sd),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return f for means in z, one row for each row of pixels."""
        # at 0 the root's slope has no bound, and a gradient through it no number
        ratio = ((x * self.sd + self.mean) / self.means).clamp_min(_LEAST_RATIO).sqrt()
        return self.ask(self.roots * ratio[:, :, None, None] - self.centres)

    def rows(self, index: Int[Tensor, " some"]) -> "_Scaled":
        """Return the same of some rows."""
        return replace(
            self,
            roots=self.roots[index],
            centres=self.centres[index],
            means=self.means[index],
        )


def _tensor(values: ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(machine.device())


def _nothing() -> Counterfactuals:
    none = torch.zeros(0)
    return Counterfactuals(
        changed=none[:, None],
        found=none.bool(),
        probability=none,
        distance=none,
        iterations=none,
        frozen=0.0,
    )


def _on_cpu(found: Counterfactuals) -> Counterfactuals:
    return Counterfactuals(
        changed=found.changed.cpu(),
        found=found.found.cpu(),
        probability=found.probability.cpu(),
        distance=found.distance.cpu(),
        iterations=found.iterations.cpu(),
        frozen=found.frozen,
    )
