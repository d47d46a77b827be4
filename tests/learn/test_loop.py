"""The training loop, killed in the middle and otherwise."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from tissuetrace.learn import loop
from tissuetrace.learn.checkpoint import read_checkpoint
from tissuetrace.learn.loop import Batch, Batches, Fitted, Schedule, Validation, fit
from tissuetrace.pipeline.errors import InputError

# A small network with everything that a checkpoint must hold: batch normalisation, dropout (torch's
# generator), shuffling and noise on the inputs (the generator of the batches). Every run is a
# process of its own that really dies; they are forked from one, which imports torch once.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
from torch import nn
from torch.nn.functional import mse_loss
from tissuetrace.learn.checkpoint import read_checkpoint, write_checkpoint
from tissuetrace.learn.loop import Schedule, Validation, fit

def run(folder, kill, broken):
    steps = 0

    def training(generator):
        nonlocal steps
        for rows in torch.randperm(48, generator=generator).split(8):
            steps += 1
            if kill == f"step {steps}":
                os.kill(os.getpid(), signal.SIGKILL)
            noise = torch.rand(len(rows), 4, generator=generator)
            yield inputs[rows] + noise / 10, targets[rows]

    replace = Path.replace
    def dying_replace(path, target):
        if kill == f"write {steps // 6}":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    if broken:
        spoil(folder / "kept" / "last.pt", broken)
    Path.replace = dying_replace
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets = 2 * inputs[:, 0]  # easy, so that the last epoch is the best
    model = nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(16, 1), nn.Flatten(0),
    )
    found = fit(
        model, loss=mse_loss, training=training,
        validation=Validation(
            batches=lambda _: [(inputs[48:], targets[48:])],
            watch="validation_loss", better="lower",
        ),
        schedule=Schedule(epochs=6, lr=0.01, patience=6), seed=3, device="cpu",
        resume=folder / "kept",
    )
    torch.save({"weights": model.state_dict(), "history": found.history, "best": found.best_epoch},
               folder / "result.pt")

def spoil(path, key):
    content = read_checkpoint(path)
    if key == "generator":
        content[key] = torch.Generator().manual_seed(1).get_state()
    if key == "torch_generators":
        content[key] = [torch.Generator().manual_seed(1).get_state()]
    if key == "optimiser":
        for state in content[key]["state"].values():
            state["exp_avg"].zero_()
    write_checkpoint(content, path)

codes = {}
for name, runs in json.loads(sys.argv[2]).items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    codes[name] = []
    for kill, broken in runs:
        child = os.fork()
        if child == 0:
            run(folder, kill, broken)
            os._exit(0)
        codes[name].append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""

# six steps an epoch: within the first, the second and the last; while a checkpoint is written
KILLS = ["step 3", "step 8", "step 13", "step 36", "write 1", "write 4"]
SPOILED = ["generator", "torch_generators", "optimiser"]
RUNS: dict[str, list[tuple[str, str]]] = {
    "undisturbed": [("", "")],
    **{kill: [(kill, ""), ("", "")] for kill in KILLS},
    "thrice": [("step 15", ""), ("step 7", ""), ("write 2", ""), ("", "")],
    **{key: [("step 15", ""), ("", key)] for key in SPOILED},
}


@dataclass(frozen=True)
class Outcomes:
    folder: Path
    codes: dict[str, list[int]]

    def result(self, name: str) -> tuple[dict[str, bytes], list[dict[str, float]], int]:
        content = torch.load(self.folder / name / "result.pt", weights_only=True)
        weights = {key: value.numpy().tobytes() for key, value in content["weights"].items()}
        return weights, content["history"], content["best"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), json.dumps(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return Outcomes(folder, json.loads(done.stdout))


@pytest.mark.parametrize("kill", KILLS)
def test_a_training_killed_and_resumed_ends_with_the_same_bits(
    outcomes: Outcomes, kill: str
) -> None:
    assert outcomes.codes[kill] == [-signal.SIGKILL, 0]
    assert outcomes.result(kill) == outcomes.result("undisturbed")


def test_a_training_killed_three_times_ends_with_the_same_bits(outcomes: Outcomes) -> None:
    assert outcomes.codes["thrice"] == [-signal.SIGKILL] * 3 + [0]
    assert outcomes.result("thrice") == outcomes.result("undisturbed")


@pytest.mark.parametrize("key", SPOILED)
def test_with_one_part_of_the_checkpoint_lost_the_bits_differ(outcomes: Outcomes, key: str) -> None:
    assert outcomes.codes[key] == [-signal.SIGKILL, 0]
    assert outcomes.result(key)[0] != outcomes.result("undisturbed")[0]


INPUTS = torch.linspace(-1, 1, 32)[:, None]
TARGETS = 2 * INPUTS


def _in_order(_: Generator) -> Iterator[Batch]:
    yield from zip(INPUTS.chunk(4), TARGETS.chunk(4), strict=True)


def _line() -> nn.Linear:
    line = nn.Linear(1, 1)
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    return line


def _fit(model: nn.Module, **changes: Any) -> Fitted:
    arguments: dict[str, Any] = {
        "loss": mse_loss,
        "training": _in_order,
        "validation": Validation(batches=_in_order, watch="validation_loss", better="lower"),
        "schedule": Schedule(epochs=5, lr=0.05, patience=5),
        "seed": 0,
        "device": "cpu",
        "resume": None,
    }
    return fit(model, **{**arguments, **changes})


def _scripted(values: list[float]) -> Callable[[Tensor, Tensor], float]:
    """Return a metric that says the given values, one an epoch."""
    left = iter(values)
    return lambda _outputs, _targets: next(left)


def _watching(values: list[float], better: str) -> Validation:
    return Validation(
        batches=_in_order,
        watch="told",
        better=better,  # type: ignore[arg-type]  # one of the two words, from the table of a test
        metrics={"told": _scripted(values)},
    )


def test_a_line_is_learnt() -> None:
    line = nn.Linear(1, 1)

    found = _fit(line, schedule=Schedule(epochs=200, lr=0.05, patience=200))

    assert found.history[-1]["validation_loss"] < 1e-4
    torch.testing.assert_close(line.weight.detach(), torch.tensor([[2.0]]), rtol=0, atol=0.02)


def test_the_losses_are_means_over_items_also_where_batches_differ_in_size() -> None:
    def uneven(_: Generator) -> Iterator[Batch]:
        yield INPUTS[:30], TARGETS[:30]
        yield INPUTS[30:], TARGETS[30:]

    line = _line()
    validation = Validation(batches=uneven, watch="validation_loss", better="lower")
    still = Schedule(epochs=1, lr=1e-12, patience=1)

    found = _fit(line, training=uneven, validation=validation, schedule=still)

    with torch.no_grad():
        expected = float(mse_loss(line(INPUTS), TARGETS))
    assert found.history[0]["validation_loss"] == pytest.approx(expected)
    assert found.history[0]["train_loss"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("better", "values", "epochs", "best"),
    [
        ("lower", [3.0, 2.0, 2.5, 2.2, 9.0], 4, 2),  # two epochs without a lower value
        ("higher", [3.0, 2.0, 2.5, 4.0, 9.0], 3, 1),
        (
            "higher",
            [3.0, 2.0, 4.0, 4.0, 9.0],
            5,
            5,
        ),  # equal is not better, and patience starts anew
        ("lower", [5.0, 4.0, 3.0, 2.0, 1.0], 5, 5),
    ],
)
def test_it_stops_after_the_patience_and_keeps_the_best_epoch(
    better: str, values: list[float], epochs: int, best: int
) -> None:
    found = _fit(
        _line(),
        validation=_watching(values, better),
        schedule=Schedule(epochs=5, lr=0.05, patience=2),
    )

    assert [row["told"] for row in found.history] == values[:epochs]
    assert [row["epoch"] for row in found.history] == list(range(1, epochs + 1))
    assert found.best_epoch == best


def test_of_equal_watched_values_the_lower_loss_is_better() -> None:
    found = _fit(
        _line(),
        validation=_watching([0.0] * 5, "higher"),
        schedule=Schedule(epochs=5, lr=0.05, patience=2),
    )

    losses = [row["validation_loss"] for row in found.history]
    assert losses == sorted(losses, reverse=True)
    assert found.best_epoch == 5


def test_the_model_is_left_with_the_weights_of_the_best_epoch() -> None:
    stopped, whole = _line(), _line()

    _fit(whole, schedule=Schedule(epochs=2, lr=0.05, patience=2))
    _fit(stopped, validation=_watching([3.0, 2.0, 4.0, 4.0, 4.0], "lower"))

    assert torch.equal(stopped.weight, whole.weight)
    assert not stopped.training


def test_each_epoch_is_told_with_its_row_of_the_history() -> None:
    told: list[tuple[int, Any]] = []

    found = _fit(
        _line(),
        validation=Validation(
            batches=_in_order,
            watch="validation_loss",
            better="lower",
            tell=lambda epoch, row: told.append((epoch, row)),
        ),
    )

    assert told == list(enumerate(found.history, start=1))


def test_a_finished_training_called_again_trains_nothing(tmp_path: Path) -> None:
    first, second = _line(), _line()
    done = _fit(first, resume=tmp_path)

    def never(_: Generator) -> Iterator[Batch]:
        raise AssertionError("trained again")
        yield

    again = _fit(second, training=never, resume=tmp_path)

    assert again == done
    assert torch.equal(first.weight, second.weight)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"schedule": Schedule(epochs=5, lr=0.1, patience=5)}]
)
def test_a_checkpoint_of_other_settings_is_not_gone_on_with(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    _fit(_line(), resume=tmp_path, schedule=Schedule(epochs=3, lr=0.05, patience=5))
    resumed, fresh = _line(), _line()

    _fit(resumed, resume=tmp_path, **change)
    _fit(fresh, **change)

    assert torch.equal(resumed.weight, fresh.weight)


def test_the_checkpoint_keeps_the_best_weights_beside_the_last(tmp_path: Path) -> None:
    line = _line()

    _fit(line, validation=_watching([1.0, 2.0, 3.0, 4.0, 5.0], "lower"), resume=tmp_path)

    kept = read_checkpoint(tmp_path / loop.CHECKPOINT)
    assert kept is not None
    assert torch.equal(kept["best_weights"]["weight"], line.weight)
    assert not torch.equal(kept["model"]["weight"], line.weight)


def test_batches_of_a_data_loader_serve_as_well() -> None:
    dataset = TensorDataset(INPUTS, TARGETS)

    def loader(generator: Generator) -> Any:
        return DataLoader(dataset, batch_size=8, shuffle=True, generator=generator)

    lines = [_line(), _line()]
    for line in lines:
        _fit(line, training=loader)

    assert torch.equal(lines[0].weight, lines[1].weight)
    assert not torch.equal(lines[0].weight, _line().weight)


def test_the_order_and_the_dropout_of_two_seeds_differ() -> None:
    def shuffled(generator: Generator) -> Iterator[Batch]:
        rows = torch.randperm(32, generator=generator)
        yield from zip(INPUTS[rows].chunk(4), TARGETS[rows].chunk(4), strict=True)

    lines = [_line(), _line()]
    for seed, line in enumerate(lines):
        _fit(line, training=shuffled, seed=seed)

    assert not torch.equal(lines[0].weight, lines[1].weight)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_it_computes_with_one_thread_and_puts_back_what_torch_was_set_to() -> None:
    model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    before = torch.get_rng_state()
    threads: list[int] = []

    def counted(outputs: Tensor, targets: Tensor) -> Tensor:
        threads.append(torch.get_num_threads())
        return mse_loss(outputs, targets)

    _fit(model, loss=counted)

    assert set(threads) == {1}
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_off_while_validating() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    model.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    seen: list[float] = []

    def loss(outputs: Tensor, _: Tensor) -> Tensor:
        seen.append(float((outputs == 0).double().mean()))
        return outputs.mean() + model.get_parameter("unused").sum()

    _fit(model, loss=loss, schedule=Schedule(epochs=1, lr=0.05, patience=1))

    trained, validated = seen[:4], seen[4:]
    assert min(trained) > 0
    assert validated == [0, 0, 0, 0]


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    def broken(outputs: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(outputs, targets) * float("nan")

    with pytest.raises(InputError, match=r"not finite after epoch 1\. Lower the learning rate"):
        _fit(_line(), loss=broken)


def test_a_metric_that_is_watched_must_be_measured() -> None:
    unmeasured = Validation(batches=_in_order, watch="auc", better="higher")

    with pytest.raises(ValueError, match="'auc' is watched but not measured"):
        _fit(_line(), validation=unmeasured)


@pytest.mark.parametrize("empty", ["training", "validation"])
def test_no_items_are_a_broken_promise(empty: str) -> None:
    def nothing(_: Generator) -> list[Batch]:
        return []

    batches: Batches = nothing
    change = {
        "training": batches,
        "validation": Validation(batches=batches, watch="validation_loss", better="lower"),
    }[empty]

    with pytest.raises(ValueError, match=f"no {empty} items"):
        _fit(_line(), **{empty: change})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_learns_the_same_line_twice_with_the_same_bits() -> None:
    lines = [_line(), _line()]
    for line in lines:
        _fit(line, device="cuda", schedule=Schedule(epochs=50, lr=0.05, patience=50))

    reference = _line()
    _fit(reference, schedule=Schedule(epochs=50, lr=0.05, patience=50))

    assert torch.equal(lines[0].weight, lines[1].weight)
    torch.testing.assert_close(lines[0].weight, reference.weight, rtol=1e-3, atol=1e-3)
