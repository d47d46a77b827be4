"""The one training loop: early stopping, the best weights kept, exact resumption after a kill."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn

from tissuetrace.learn.checkpoint import read_checkpoint, write_checkpoint
from tissuetrace.learn.determinism import reproducible
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.progress import progress

__all__ = [
    "Batch",
    "Batches",
    "Fitted",
    "Loss",
    "Metric",
    "Schedule",
    "Tell",
    "Validation",
    "fit",
]

Batch = tuple[Tensor, Tensor]
Batches = Callable[[Generator], Iterable[Batch]]
Loss = Callable[[Tensor, Tensor], Tensor]
Tell = Callable[[int, Mapping[str, float]], None]
Metric = Callable[[Tensor, Tensor], float]

CHECKPOINT = "last.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast.

    Args:
        epochs: passes over the training batches at most, above 0.
        lr: learning rate of Adam, above 0.
        patience: epochs without a better value of the watched metric before it stops.
    """

    epochs: int
    lr: float
    patience: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What is measured after each epoch, and which of it decides.

    Args:
        batches: as for the training; should give the same items each time.
        watch: `validation_loss`, or the name of one of the metrics; of equal values the one with
            the lower loss is better.
        better: whether the watched value should be `lower` or `higher`.
        metrics: name → function of all outputs and all targets, both on the CPU.
        tell: called with the number of each finished epoch and its row of the history.
    """

    batches: Batches
    watch: str
    better: Literal["lower", "higher"]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tell: Tell | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training did; the model itself was changed in place.

    Args:
        history: one row per epoch: `epoch` from 1, `train_loss`, `validation_loss`, the metrics.
        best_epoch: the epoch whose weights the model now has.
    """

    history: list[dict[str, float]]
    best_epoch: int


def fit(
    model: nn.Module,
    *,
    loss: Loss,
    training: Batches,
    validation: Validation,
    schedule: Schedule,
    seed: int,
    device: str,
    resume: Path | None,
) -> Fitted:
    """Train a model with Adam and leave it with the weights of its best epoch, on the CPU.

    A killed call that is repeated with the same arguments goes on after its last whole epoch and
    ends with the same bits: the checkpoint holds model, optimiser, history, best weights, torch's
    generator (dropout) and the generator that the batches draw from.

    Args:
        model: on the CPU, with its initial weights.
        loss: of outputs and targets of a batch, a mean over its items.
        training: called once an epoch with a generator, gives batches of inputs and targets;
            shuffling and augmentation draw from that generator alone. A function over arrays in
            memory does, and so does `lambda g: DataLoader(dataset, shuffle=True, generator=g)`.
        validation: what decides about stopping and about the best weights.
        schedule: epochs, learning rate, patience.
        seed: of dropout, shuffling and augmentation.
        device: `cpu` (one thread, else sums differ) or `cuda`.
        resume: folder of the checkpoint, for these arguments and data alone; None keeps none.

    Raises:
        InputError: a loss is not finite, or the checkpoint cannot be read.
        ValueError: the watched metric is not among those measured.
    """
    if validation.watch not in {"validation_loss", *validation.metrics}:
        raise ValueError(f"{validation.watch!r} is watched but not measured")
    with reproducible(seed, device):
        run = _Run(model, validation, schedule, seed=seed, device=device)
        checkpoint = None if resume is None else resume / CHECKPOINT
        if checkpoint is not None:
            run.restore(read_checkpoint(checkpoint))
        title = "training" if resume is None else f"training {resume.name}"
        for _ in progress(range(run.epoch, schedule.epochs), title=title):
            if run.is_over():
                break
            run.one_epoch(loss, training)
            if validation.tell is not None:
                validation.tell(run.epoch, run.history[-1])
            if checkpoint is not None:
                write_checkpoint(run.state(), checkpoint)
        run.take_best()
    return Fitted(run.history, run.best_epoch)


class _Run:
    """A training between two epochs: all that a checkpoint must hold."""

    def __init__(
        self,
        model: nn.Module,
        validation: Validation,
        schedule: Schedule,
        *,
        seed: int,
        device: str,
    ) -> None:
        self.fabric = Fabric(accelerator=device, devices=1)
        adam = torch.optim.Adam(model.parameters(), lr=schedule.lr, fused=True)
        self.model = model
        self.network, self.optimiser = self.fabric.setup(model, adam)
        self.validation = validation
        self.schedule = schedule
        self.generator = Generator().manual_seed(_shuffle_seed(seed))
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        shapes = [(name, list(value.shape)) for name, value in model.state_dict().items()]
        self.made_for = repr((schedule, validation.watch, validation.better, seed, device, shapes))

    @property
    def epoch(self) -> int:
        return len(self.history)

    def is_over(self) -> bool:
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.schedule.epochs or waited >= self.schedule.patience > 0

    def one_epoch(self, loss: Loss, training: Batches) -> None:
        row: dict[str, float] = {"epoch": self.epoch + 1, "train_loss": self._train(loss, training)}
        row |= self._validate(loss)
        wrong = [name for name, value in row.items() if not math.isfinite(value)]
        if wrong:
            raise InputError(
                f"{', '.join(wrong)} not finite after epoch {self.epoch + 1}",
                where="training",
                todo="Lower the learning rate (lr)",
            )
        self.history.append(row)
        if self._is_best():
            self.best_epoch = self.epoch
            self.best_weights = _copy(self.model.state_dict())

    def take_best(self) -> None:
        self.model.load_state_dict(self.best_weights)
        self.model.eval().to("cpu")

    def state(self) -> dict[str, Any]:
        return {
            "made_for": self.made_for,
            "model": _copy(self.model.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "generator": self.generator.get_state(),
            "torch_generators": _torch_generators(self.fabric.device),
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on where a checkpoint stopped, unless it was made with other settings."""
        if state is None or state["made_for"] != self.made_for:
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = list(state["history"])
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]
        self.generator.set_state(state["generator"])
        _restore_torch_generators(state["torch_generators"])

    def _train(self, loss: Loss, training: Batches) -> float:
        self.network.train()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        items = 0
        for batch in training(self.generator):
            inputs, targets = self.fabric.to_device(batch)
            self.optimiser.zero_grad()
            value = loss(self.network(inputs), targets)
            self.fabric.backward(value)
            self.optimiser.step()
            total += value.detach() * len(targets)
            items += len(targets)
        return _mean(total, items, "training")

    def _validate(self, loss: Loss) -> dict[str, float]:
        self.network.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        outputs, targets = [], []
        with torch.no_grad():
            for batch in self.validation.batches(self.generator):
                inputs, truth = self.fabric.to_device(batch)
                output = self.network(inputs)
                total += loss(output, truth) * len(truth)
                outputs.append(output.cpu())
                targets.append(truth.cpu())
        mean = _mean(total, sum(map(len, targets)), "validation")
        seen = torch.cat(outputs), torch.cat(targets)
        found = {name: metric(*seen) for name, metric in self.validation.metrics.items()}
        return {"validation_loss": mean, **found}

    def _is_best(self) -> bool:
        return self.epoch == 1 or self._merit(-1) < self._merit(self.best_epoch - 1)

    def _merit(self, place: int) -> tuple[float, float]:
        """Return what the best epoch has least of; equal watched values are told by the loss.

        Where positives are rare, nothing is called positive for many epochs and MCC stays 0; an
        untrained network would count as best, and patience end there.
        """
        row = self.history[place]
        watched = row[self.validation.watch]
        return (
            watched if self.validation.better == "lower" else -watched,
            row["validation_loss"],
        )


def _mean(total: Tensor, items: int, name: str) -> float:
    if items == 0:
        raise ValueError(f"no {name} items")
    return float(total) / items


def _copy(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _shuffle_seed(seed: int) -> int:
    """Return a seed for the batches that shares no stream with dropout's."""
    (child,) = np.random.SeedSequence(seed).spawn(1)
    return int(child.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _torch_generators(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.cuda.get_rng_state(device)]


def _restore_torch_generators(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
