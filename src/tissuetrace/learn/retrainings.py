"""Training the perceptrons of all retrainings at once, each as if it were alone.

Each has its own rows, standardisation, order of rows, epochs and end. All take one step of Adam at
a time; one with fewer rows is through its epoch after fewer steps and begins its next one, so that
nobody waits and everybody's step has the same number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tissuetrace.learn.determinism import reproducible
from tissuetrace.learn.loop import Schedule
from tissuetrace.learn.moments import mean_and_sd
from tissuetrace.learn.padding import batch_shares, padded, taken
from tissuetrace.models.mlp_stack import MlpStack
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.progress import progress
from tissuetrace.stats.classification import mcc

__all__ = [
    "Examples",
    "Recipe",
    "Retraining",
    "Trained",
    "streams_of",
    "train_mlps",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Patches of one split.

    Args:
        x: channel means of each patch (counts).
        labels: 1 = a T cell is in it, 0 = none.
    """

    x: Float64[ndarray, "patch channel"]
    labels: Int64[ndarray, " patch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """What one member of the stack learns from.

    Args:
        seed: of its split; its name, and what tells its random numbers from those of the others.
        training: what the weights are fitted to, and what it is standardised by.
        validation: what decides about its end and its best epoch.
    """

    seed: int
    training: Examples
    validation: Examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the members are trained.

    Args:
        hidden: units of each hidden layer.
        schedule: epochs, learning rate, patience on the validation MCC.
        batch: patches of one member in one step.
        pos_weight: how many negative patches a positive one weighs in the loss.
    """

    hidden: tuple[int, ...]
    schedule: Schedule
    batch: int
    pos_weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What became of all members.

    Args:
        stack: each member with the weights of its best epoch, on the CPU.
        histories: of each member, one row an epoch: `epoch` from 1, `train_loss`,
            `validation_loss`, `validation_mcc` (at probability 0.5; 0 where undefined).
        best_epochs: of each member, the one whose weights it has: of the best validation MCC, and
            among equals of the lowest validation loss.
    """

    stack: MlpStack
    histories: list[list[dict[str, float]]]
    best_epochs: list[int]


def train_mlps(
    retrainings: Sequence[Retraining], *, recipe: Recipe, seed: int, device: str
) -> Trained:
    """Train one perceptron for each retraining; the same arguments give the same bits.

    Args:
        retrainings: one or more, of any numbers of patches.
        recipe: how.
        seed: of initial weights and order of rows. A member's are its own: they do not depend on
            who else trains.
        device: `cpu` (one thread) or `cuda`.

    Raises:
        InputError: a loss is not finite.
        ValueError: there is no retraining, or one lacks patches or one of the two labels.

    Source: Wang & Thomson, Methods (MLP): binary cross-entropy, Adam, best validation MCC.
    """
    _check(retrainings)
    with reproducible(seed, device):
        run = _Run(retrainings, recipe, seed=seed, device=device)
        for _ in progress(range(run.steps), title=f"training {len(retrainings)} perceptrons"):
            if not run.alive.any():
                break
            run.one_step()
    return Trained(stack=run.best, histories=run.histories, best_epochs=run.best_epochs)


def streams_of(seed: int, name: int) -> tuple[Generator, Generator]:
    """Return what the member of a split seed draws its weights from, and its orders of rows."""
    children = np.random.SeedSequence(seed, spawn_key=(name,)).spawn(2)
    seeds = [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]
    first, second = (Generator().manual_seed(number) for number in seeds)
    return first, second


def _check(retrainings: Sequence[Retraining]) -> None:
    if not retrainings:
        raise ValueError("no retraining")
    for one in retrainings:
        for name, examples in (("training", one.training), ("validation", one.validation)):
            if set(np.unique(examples.labels)) != {0, 1}:
                raise ValueError(f"seed {one.seed}: {name} lacks one of the two labels")


class _Run:
    """All members between two steps; where they stand in their epochs is their own affair."""

    def __init__(
        self, retrainings: Sequence[Retraining], recipe: Recipe, *, seed: int, device: str
    ) -> None:
        self.recipe = recipe
        self.stack, self.best = (_empty_stack(retrainings, recipe.hidden) for _ in range(2))
        streams = [streams_of(seed, one.seed) for one in retrainings]
        self.stack.draw([first for first, _ in streams])
        self.stack.to(device)
        self.orders = [second for _, second in streams]
        self.truths = [one.validation.labels for one in retrainings]
        longest = max(map(len, self.truths))
        parts = [one.validation for one in retrainings]
        self.validation_z = padded(self._z(parts), longest).to(device)
        lr = recipe.schedule.lr
        self.adam = torch.optim.Adam(self.stack.parameters(), lr=lr, fused=True)
        self.pos_weight = torch.tensor(recipe.pos_weight, device=device)
        self.alive = np.ones(len(retrainings), dtype=bool)
        self.histories: list[list[dict[str, float]]] = [[] for _ in retrainings]
        self.best_epochs = [0] * len(retrainings)
        self._lay_out([one.training for one in retrainings], device)

    def _lay_out(self, training: Sequence[Examples], device: str) -> None:
        """Put all rows into whole batches, those of a member's last one padded with weight 0."""
        self.rows = np.array([len(one.labels) for one in training])
        batch = self.recipe.batch
        batches = math.ceil(self.rows.max() / batch)
        self.steps = self.recipe.schedule.epochs * batches
        length = batches * batch
        self.z = padded(self._z(training), length).to(device)
        self.y = padded([one.labels for one in training], length).to(device)
        shares = [batch_shares(int(rows), batch) for rows in self.rows]
        self.shares = padded(shares, length).to(device)
        members = torch.arange(len(training), device=device)[:, None]
        # places count from the first member's first row: one index is faster than two
        self.first = members * self.z.shape[1] + torch.arange(batch, device=device)
        self.drawn = torch.arange(self.y.numel(), device=device).view_as(self.y)
        self.position = np.zeros(len(training), dtype=np.int64)
        self.losses = torch.zeros(len(training), device=device, dtype=torch.float64)
        for member in range(len(training)):
            self._begin_epoch(member)

    def _z(self, parts: Sequence[Examples]) -> list[Float64[ndarray, "_ channel"]]:
        standards = zip(parts, self.stack.mean, self.stack.sd, strict=True)
        return [(one.x - mean) / sd for one, mean, sd in standards]

    def one_step(self) -> None:
        """Let every member learn from its next batch, and end the epochs that end with it."""
        start = torch.from_numpy(self.position).to(self.first)
        places = self.first + start[:, None]
        chosen = taken(self.drawn, places)
        self.adam.zero_grad()
        logits = self.stack(taken(self.z, chosen))
        each = binary_cross_entropy_with_logits(
            logits,
            taken(self.y, chosen),
            weight=taken(self.shares, places),
            pos_weight=self.pos_weight,
            reduction="none",
        ).sum(dim=1)
        each.sum().backward()  # type: ignore[no-untyped-call]  # torch's own is untyped
        self.adam.step()
        own = np.minimum(self.rows - self.position, self.recipe.batch)
        self.losses += each.detach() * torch.from_numpy(own).to(self.losses)
        self.position += self.recipe.batch * self.alive
        ended = np.flatnonzero(self.alive & (self.position >= self.rows))
        if len(ended):
            self._end_epoch(ended)

    def _begin_epoch(self, member: int) -> None:
        """Draw an order of a member's rows."""
        rows = int(self.rows[member])
        order = torch.randperm(rows, generator=self.orders[member]).to(self.drawn)
        self.drawn[member, :rows] = order + self.first[member, 0]
        self.position[member] = 0
        self.losses[member] = 0.0

    def _end_epoch(self, ended: Int64[ndarray, " some"]) -> None:
        with torch.no_grad():
            logits = self.stack(self.validation_z[ended], ended.tolist()).cpu()
        for member, answers in zip(ended.tolist(), logits, strict=True):
            self._record(member, answers[: len(self.truths[member])])
            self._begin_epoch(member)  # who has ended is carried along; its best weights are kept

    def _record(self, member: int, logits: Float[Tensor, " patch"]) -> None:
        truth = self.truths[member]
        loss = binary_cross_entropy_with_logits(
            logits, torch.tensor(truth).to(logits), pos_weight=self.pos_weight.cpu()
        )
        agreement = mcc(truth, logits.double().numpy(), threshold=0.0)  # of a logit
        history = self.histories[member]
        row = {
            "epoch": len(history) + 1,
            "train_loss": float(self.losses[member]) / int(self.rows[member]),
            "validation_loss": float(loss),
            "validation_mcc": 0.0 if math.isnan(agreement) else agreement,
        }
        if not math.isfinite(row["train_loss"] + row["validation_loss"]):
            raise InputError(
                f"a loss is not finite after epoch {len(history) + 1}",
                where=f"retraining {self.stack.seeds[member]}",
                todo="Lower the learning rate (lr)",
            )
        history.append(row)
        self._judge(member)

    def _judge(self, member: int) -> None:
        """Keep the weights of a member's best epoch, and end it after enough worse ones."""
        history, best = self.histories[member], self.best_epochs[member]
        epoch, schedule = len(history), self.recipe.schedule
        if best == 0 or _merit(history[-1]) > _merit(history[best - 1]):
            self.best_epochs[member] = best = epoch
            with torch.no_grad():
                for kept, now in zip(self.best.parameters(), self.stack.parameters(), strict=True):
                    kept[member] = now[member]
        self.alive[member] = epoch < schedule.epochs and epoch - best < schedule.patience


def _merit(row: Mapping[str, float]) -> tuple[float, float]:
    """Return what the best epoch has most of.

    Where positive patches are rare, nothing is called positive for many epochs and MCC stays 0;
    without a second criterion an untrained network would count as best, and patience end there.
    """
    return row["validation_mcc"], -row["validation_loss"]


def _empty_stack(retrainings: Sequence[Retraining], hidden: Sequence[int]) -> MlpStack:
    standards = [mean_and_sd(one.training.x) for one in retrainings]
    widths = [retrainings[0].training.x.shape[1], *hidden]
    stack = MlpStack(widths, seeds=[one.seed for one in retrainings])
    stack.mean = np.stack([mean for mean, _ in standards])
    stack.sd = np.stack([sd for _, sd in standards])
    return stack
