"""CPU time of eight perceptrons trained as one stack, and of eight ordinary loops over them.

    python benchmarks/mlp_stack.py
    python benchmarks/mlp_stack.py --batch 64 --json

Both train the same networks from the same initial weights, on the same rows in the same order, for
the same number of epochs; one thread. Each time is the best of several rounds in which both take
turns. How far their answers differ in the end is printed beside.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor, nn

from tissuetrace.learn.loop import Schedule
from tissuetrace.learn.retrainings import Examples, Recipe, Retraining, streams_of, train_mlps
from tissuetrace.stats.classification import mcc

CHANNELS, HIDDEN = 20, (30, 10)
TRAINING, VALIDATION = 1_900, 430  # patches, as the phantom's
LR = 0.003


def main() -> None:
    """Time both on the same patches and print a table, or JSON."""
    arguments = _arguments()
    torch.set_num_threads(1)
    retrainings = [_retraining(seed) for seed in range(arguments.members)]
    recipe = Recipe(
        hidden=HIDDEN,
        # no early end: both do the same work
        schedule=Schedule(epochs=arguments.epochs, lr=LR, patience=arguments.epochs),
        batch=arguments.batch,
        pos_weight=1.0,
    )
    stack_s, loops_s = _times_s(
        lambda: train_mlps(retrainings, recipe=recipe, seed=0, device="cpu"),
        lambda: [train_alone(one, recipe) for one in retrainings],
        rounds=arguments.rounds,
    )
    found = {
        "members": arguments.members,
        "batch": arguments.batch,
        "epochs": arguments.epochs,
        "stack_s": stack_s,
        "loops_s": loops_s,
        "ratio": loops_s / stack_s,
        "difference": largest_difference(retrainings, recipe),
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)


def train_alone(one: Retraining, recipe: Recipe) -> nn.Sequential:
    """Train one network with Linear layers, permuted batches, Adam and a validation each epoch."""
    weights, orders = streams_of(0, one.seed)
    network = _network(weights)
    z, labels = _tensors(one, one.training)
    seen, truth = _tensors(one, one.validation)
    adam = torch.optim.Adam(network.parameters(), lr=recipe.schedule.lr, fused=True)
    loss = nn.BCEWithLogitsLoss()
    best, kept = (-2.0, 0.0), network.state_dict()
    for _ in range(recipe.schedule.epochs):
        order = torch.randperm(len(z), generator=orders)
        for start in range(0, len(z), recipe.batch):
            rows = order[start : start + recipe.batch]
            adam.zero_grad()
            loss(network(z[rows]).squeeze(1), labels[rows]).backward()
            adam.step()
        with torch.no_grad():
            logits = network(seen).squeeze(1)
            score = mcc(one.validation.labels, logits.double().numpy(), threshold=0.0)
            merit = (0.0 if np.isnan(score) else score, -float(loss(logits, truth)))
        if merit > best:
            best, kept = merit, {name: part.clone() for name, part in network.state_dict().items()}
    network.load_state_dict(kept)
    return network


def largest_difference(retrainings: Sequence[Retraining], recipe: Recipe) -> float:
    """Return how far the probabilities of both differ at most, over all validation patches."""
    stack = train_mlps(retrainings, recipe=recipe, seed=0, device="cpu").stack
    differences = []
    for member, one in enumerate(retrainings):
        network = train_alone(one, recipe)
        with torch.no_grad():
            alone = torch.sigmoid(network(_tensors(one, one.validation)[0])).squeeze(1)
        found = stack.probabilities(one.validation.x, member)
        differences.append(float(np.abs(found - alone.numpy()).max()))
    return max(differences)


def _network(generator: Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, units in zip((CHANNELS, *HIDDEN), (*HIDDEN, 1), strict=True):
        layer, bound = nn.Linear(width, units), width**-0.5
        drawn = torch.empty(width, units).uniform_(-bound, bound, generator=generator)
        layer.weight.data = drawn.T.contiguous()
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _tensors(one: Retraining, part: Examples) -> tuple[Tensor, Tensor]:
    z = (part.x - one.training.x.mean(axis=0)) / one.training.x.std(axis=0)
    return torch.from_numpy(z).float(), torch.from_numpy(part.labels).float()


def _retraining(seed: int) -> Retraining:
    rng = np.random.default_rng(seed)
    direction = np.random.default_rng(99).normal(0, 0.6, CHANNELS)
    return Retraining(
        seed=seed,
        # splits by patient differ in size
        training=_examples(TRAINING - 7 * seed, direction, rng),
        validation=_examples(VALIDATION + 3 * seed, direction, rng),
    )


def _examples(count: int, direction: ndarray, rng: np.random.Generator) -> Examples:
    logs = rng.normal(0, 0.5, (count, CHANNELS))
    chance = 1 / (1 + np.exp(-2 * logs @ direction))
    return Examples(x=np.exp(logs), labels=(rng.random(count) < chance).astype(np.int64))


def _times_s(*trainings: Callable[[], object], rounds: int) -> list[float]:
    taken: list[list[float]] = [[] for _ in trainings]
    for _ in range(rounds + 1):
        for times, training in zip(taken, trainings, strict=True):
            start = time.process_time()
            training()
            times.append(time.process_time() - start)
    return [min(times[1:]) for times in taken]  # the first round warms up


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _print(found: dict[str, float]) -> None:
    table = Table("", "CPU s", title=f"{found['members']} perceptrons, batch {found['batch']}")
    table.add_row("one stack", f"{found['stack_s']:.2f}")
    table.add_row("one loop each", f"{found['loops_s']:.2f}")
    console = Console()
    console.print(table)
    console.print(f"ratio {found['ratio']:.1f}, probabilities differ by {found['difference']:.1e}")


if __name__ == "__main__":
    main()
