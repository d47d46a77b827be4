"""CPU time of a counterfactual: ours on a batch, alibi's CounterfactualProto patch by patch.

    python benchmarks/counterfactual.py                       # both settings; several minutes
    python benchmarks/counterfactual.py --json
    python benchmarks/counterfactual.py --patches-peer 4 --batch-defaults 0

Both sides get the same network (20-30-10-1), patches, prototypes, boxes, learning rate, rounds and
steps, in single precision, one thread; every time is the processor's. Making the peer's explainers,
one for each patch since each has its box, is not counted; what its `explain` takes the first time
is, and a second call beside it tells what it takes once its graph is warm. The peer gets an
environment of its own, made at the first call (2.5 GB): `--environment`, else
TISSUETRACE_PEER_ENVIRONMENT, else `.cache/peers/alibi`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tissuetrace.explain.counterfactual import Counterfactuals, search
from tissuetrace.explain.prototypes import nearest

CHANNELS, FREE = 20, 11
CAUSAL = (1.0, 1.0, 1.0, 1.0, -1.0)  # the first channels; the rest carry nothing
TRAINING_PATCHES = 6000
PEER = ("alibi==0.9.6", "tensorflow==2.15.1", "numpy<2", "click")
PROJECT = Path(__file__).parents[1]
Rule = Literal["improved", "cfproto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What both sides are given: Table 2 of Wang & Thomson, and the peer's own learning rate."""

    rounds: int
    steps: int
    c: float = 100.0
    beta: float = 0.1
    theta: float = 100.0
    p: float = 0.8
    lr: float = 0.01


SHORT = Settings(rounds=3, steps=100)
DEFAULTS = Settings(rounds=10, steps=1000)  # the library's


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A network and patches that it does not call positive.

    Args:
        network: one logit for each row of channel means in z.
        x0: where each search starts.
        prototypes: the nearest patch with f > p.
        lower: least value allowed.
        upper: greatest value allowed.
    """

    network: nn.Sequential
    x0: Tensor
    prototypes: Tensor
    lower: Tensor
    upper: Tensor

    def probability(self, x: Tensor) -> Tensor:
        """Return f; weights stand on the left, since wide products are the faster ones."""
        layers = linear_layers(self.network)
        columns = torch.addmm(layers[0].bias[:, None], layers[0].weight, x.t())
        for layer in layers[1:]:
            columns = torch.addmm(layer.bias[:, None], layer.weight, torch.relu(columns))
        return torch.sigmoid(columns.squeeze(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One side's result.

    Args:
        ms: processor's time per patch.
        found: share of the patches.
        distance: median of β‖δ‖₁ + ‖δ‖² over those found.
    """

    ms: float
    found: float
    distance: float


def main() -> None:
    """Time both sides at both settings and print a table, or JSON."""
    arguments = _arguments()
    torch.set_num_threads(1)
    short = _compare(SHORT, arguments, batch=arguments.batch, peers=arguments.patches_peer)
    defaults: dict[str, Outcome] = {}
    if arguments.batch_defaults:
        defaults = _compare(
            DEFAULTS,
            arguments,
            batch=arguments.batch_defaults,
            peers=arguments.patches_peer_defaults,
        )
    if arguments.json:
        print(json.dumps(_headline(short, defaults), indent=2))
        return
    console = Console()
    console.print(_table(SHORT, short))
    if defaults:
        console.print(_table(DEFAULTS, defaults))


def draw(batch: int, *, p: float) -> Problem:
    """Draw patches with a known law, train the network on them, and take those far from positive.

    Patches are drawn until as many start below one half, where the peer's class is the other one.
    """
    generator = torch.Generator().manual_seed(0)
    signs = torch.zeros(CHANNELS)
    signs[: len(CAUSAL)] = torch.tensor(CAUSAL)
    training = torch.randn(TRAINING_PATCHES, CHANNELS, generator=generator)
    chance = torch.sigmoid(1.2 * training @ signs - 2.5)
    network = _trained(training, torch.bernoulli(chance, generator=generator), generator)
    with torch.no_grad():
        pool = training[network(training).squeeze(1).sigmoid() > p]
        drawn = torch.randn(3 * batch, CHANNELS, generator=generator)
        x0 = drawn[network(drawn).squeeze(1) < 0][:batch]
    free = torch.arange(CHANNELS) < FREE
    return Problem(
        network=network,
        x0=x0,
        prototypes=nearest(x0, pool, 1),
        lower=torch.where(free, torch.minimum(training.amin(dim=0), x0), x0),
        upper=torch.where(free, torch.maximum(training.amax(dim=0), x0), x0),
    )


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights, in order."""
    return [layer for layer in network if isinstance(layer, nn.Linear)]


def _trained(training: Tensor, labels: Tensor, generator: torch.Generator) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(CHANNELS, 30), nn.ReLU(), nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 1)
    )
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(15):
        order = torch.randperm(len(training), generator=generator)
        for rows in torch.split(order, 256):
            adam.zero_grad()
            loss(network(training[rows]).squeeze(1), labels[rows]).backward()
            adam.step()
    return network.requires_grad_(requires_grad=False)


def _compare(
    settings: Settings, arguments: argparse.Namespace, *, batch: int, peers: int
) -> dict[str, Outcome]:
    """Return the outcomes by name; found and distance of all are those of the peer's patches."""
    problem = draw(batch, p=settings.p)
    compared = peers or batch
    repeats = arguments.repeats if settings == SHORT else 1
    outcomes: dict[str, Outcome] = {}
    rules: tuple[Rule, ...] = ("cfproto", "improved")
    for rule in rules:
        result, ms = _time_ours(problem, settings, rule, repeats=repeats)
        outcomes[rule] = Outcome(
            ms=ms,
            found=float(result.found[:compared].double().mean()),
            distance=_median(result.distance[:compared][result.found[:compared]].numpy()),
        )
        outcomes[f"{rule}, all patches"] = Outcome(
            ms=ms,
            found=float(result.found.double().mean()),
            distance=_median(result.distance[result.found].numpy()),
        )
    if peers:
        outcomes |= _time_peer(problem, settings, _environment(arguments), peers=peers)
    return outcomes


def _time_ours(
    problem: Problem, settings: Settings, rule: Rule, *, repeats: int
) -> tuple[Counterfactuals, float]:
    _search(problem, replace(settings, rounds=1, steps=2), rule)  # before the clock starts
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        result = _search(problem, settings, rule)
        taken.append((time.process_time() - start) / len(problem.x0) * 1e3)
    return result, float(np.median(taken))


def _search(problem: Problem, settings: Settings, rule: Rule) -> Counterfactuals:
    return search(
        problem.probability,
        problem.x0,
        problem.prototypes,
        lower=problem.lower,
        upper=problem.upper,
        c=settings.c,
        beta=settings.beta,
        theta=settings.theta,
        p=settings.p,
        selection="best_valid",
        rule=rule,
        lr=settings.lr,
        steps=settings.steps,
        rounds=settings.rounds,
        margin=0.0,
    )


def _time_peer(
    problem: Problem, settings: Settings, python: Path, *, peers: int
) -> dict[str, Outcome]:
    linear = linear_layers(problem.network)
    task = {f"weight{number}": layer.weight.numpy() for number, layer in enumerate(linear)}
    task |= {f"bias{number}": layer.bias.numpy() for number, layer in enumerate(linear)}
    for name in ("x0", "prototypes", "lower", "upper"):
        task[name] = getattr(problem, name)[:peers].numpy()
    for name in ("c", "beta", "theta", "p", "lr", "steps", "rounds"):
        task[name] = np.array(getattr(settings, name))
    answer = _ask_peer(task, python)
    found = answer["found"]
    delta = (answer["changed"] - task["x0"])[found].astype(float)
    distance = _median((settings.beta * abs(delta) + delta**2).sum(axis=1))
    return {
        name: Outcome(
            ms=float(np.median(answer[seconds])) * 1e3,
            found=float(found.mean()),
            distance=distance,
        )
        for name, seconds in (("peer", "seconds"), ("peer, called again", "seconds_again"))
    }


def _ask_peer(task: Mapping[str, ndarray], python: Path) -> dict[str, ndarray]:
    script = Path(__file__).with_name("counterfactual_peer.py")
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "task.npz", Path(folder) / "answer.npz"
        np.savez(question, **task)  # type: ignore[arg-type]  # a mapping of arrays, not the flag
        asked = subprocess.run(
            [str(python), str(script), str(question), str(answer)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise SystemExit(f"the peer failed:\n{asked.stderr[-2000:]}")
        with np.load(answer) as opened:
            return dict(opened)


def _environment(arguments: argparse.Namespace) -> Path:
    """Return the peer's interpreter, after making its environment where there is none."""
    python: Path = arguments.environment / "bin" / "python"
    finished = arguments.environment / "installed.txt"
    if not finished.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(arguments.environment)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PEER]
        subprocess.run(install, check=True, stdout=sys.stderr)
        finished.write_text("\n".join(PEER))
    return python


def _median(distances: ndarray) -> float:
    return float(np.median(distances)) if len(distances) else float("nan")


def _headline(
    short: Mapping[str, Outcome], defaults: Mapping[str, Outcome]
) -> dict[str, float | None]:
    peer = short.get("peer")
    return {
        "ratio": _ratio(short),
        "ratio_defaults": _ratio(defaults),
        "found_ours": short["cfproto"].found,
        "found_peer": peer.found if peer else None,
        "distance_ours": short["cfproto"].distance,
        "distance_peer": peer.distance if peer else None,
    }


def _ratio(outcomes: Mapping[str, Outcome]) -> float | None:
    return outcomes["peer"].ms / outcomes["cfproto"].ms if "peer" in outcomes else None


def _table(settings: Settings, outcomes: Mapping[str, Outcome]) -> Table:
    table = Table(title=f"{settings.rounds} rounds of {settings.steps} steps, θ {settings.theta:g}")
    table.add_column("what")
    for column in ("ms per patch", "found", "median distance", "times"):
        table.add_column(column, justify="right")
    slowest = max(outcome.ms for outcome in outcomes.values())
    for name, outcome in outcomes.items():
        values = (f"{outcome.ms:.3g}", f"{outcome.found:.3f}", f"{outcome.distance:.4f}")
        table.add_row(name, *values, f"{slowest / outcome.ms:,.0f}")
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=1024, help="patches of ours, 3 x 100")
    parser.add_argument(
        "--batch-defaults", type=int, default=4096, help="of ours, 10 x 1000; 0: none"
    )
    parser.add_argument("--patches-peer", type=int, default=12, help="0: without the peer")
    parser.add_argument("--patches-peer-defaults", type=int, default=3, help="0: without the peer")
    parser.add_argument("--repeats", type=int, default=5, help="of ours at 3 x 100; their median")
    parser.add_argument(
        "--environment",
        type=Path,
        default=os.environ.get(
            "TISSUETRACE_PEER_ENVIRONMENT", PROJECT / ".cache" / "peers" / "alibi"
        ),
        help="folder of the peer's environment, made if absent",
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
