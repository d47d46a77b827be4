"""Several perceptrons side by side."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from tissuetrace.models.mlp_stack import MlpStack, load_mlps, save_mlps


@pytest.fixture
def stack() -> MlpStack:
    made = MlpStack([4, 30, 10], seeds=[0, 1, 5])
    made.draw([Generator().manual_seed(seed) for seed in (3, 4, 5)])
    rng = np.random.default_rng(0)
    made.mean, made.sd = rng.uniform(1, 2, (3, 4)), rng.uniform(0.5, 2, (3, 4))
    return made


def ordinary(stack: MlpStack, member: int) -> nn.Sequential:
    """Return one member as layers of torch."""
    layers = []
    for weight, bias in zip(stack.weights, stack.biases, strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[2])
        layer.weight.data = weight[member].detach().T.clone()
        layer.bias.data = bias[member, 0].detach().clone()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_the_network_has_the_layers_of_the_paper(stack: MlpStack) -> None:
    shapes = [tuple(weight.shape) for weight in stack.weights]

    assert shapes == [(3, 4, 30), (3, 30, 10), (3, 10, 1)]
    assert [tuple(bias.shape) for bias in stack.biases] == [(3, 1, 30), (3, 1, 10), (3, 1, 1)]


@pytest.mark.parametrize("member", [0, 1, 2])
def test_each_member_is_an_ordinary_network_of_its_own_weights(
    stack: MlpStack, member: int
) -> None:
    z = torch.randn(3, 7, 4, generator=Generator().manual_seed(0))

    with torch.no_grad():
        found, expected = stack(z)[member], ordinary(stack, member)(z[member]).squeeze(1)

    torch.testing.assert_close(found, expected)


def test_some_members_answer_for_their_own_rows_as_among_all(stack: MlpStack) -> None:
    z = torch.randn(3, 7, 4, generator=Generator().manual_seed(0))

    torch.testing.assert_close(stack(z[[2, 0]], [2, 0]), stack(z)[[2, 0]])


def gradient(probability: Tensor, z: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(probability.sum(), z)
    return found


def test_a_member_is_differentiable_in_the_precision_of_its_input(stack: MlpStack) -> None:
    z = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)

    found = stack.probability(1)(z)

    expected = torch.sigmoid(ordinary(stack, 1).double()(z).squeeze(1))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(found, z), gradient(expected, z), rtol=1e-12, atol=1e-12)


def test_means_in_counts_are_standardised_by_the_members_own_training(stack: MlpStack) -> None:
    x = np.random.default_rng(1).uniform(0, 4, (9, 4))

    found = stack.probabilities(x, 2)

    z = torch.from_numpy((x - stack.mean[2]) / stack.sd[2])
    np.testing.assert_array_equal(found, stack.probability(2)(z).numpy())
    assert not np.allclose(found, stack.probabilities(x, 1))


def test_initial_weights_are_those_of_a_dense_layer_and_the_members_own() -> None:
    alone, among = MlpStack([900, 30], seeds=[7]), MlpStack([900, 30], seeds=[3, 7])

    alone.draw([Generator().manual_seed(7)])
    among.draw([Generator().manual_seed(3), Generator().manual_seed(7)])

    first, usual = alone.weights[0].detach(), nn.Linear(900, 30).weight.detach()
    torch.testing.assert_close(first[0], among.weights[0].detach()[1], rtol=0, atol=0)
    assert float(first.abs().max()) == pytest.approx(1 / 30, rel=0.01)  # 1 / sqrt(inputs)
    assert float(first.std()) == pytest.approx(float(usual.std()), rel=0.02)


def test_what_is_written_is_read_back_and_has_the_same_bytes_twice(
    stack: MlpStack, tmp_path: Path
) -> None:
    x = np.random.default_rng(1).uniform(0, 4, (9, 4))

    save_mlps(stack, tmp_path / "model.safetensors")
    read = load_mlps(tmp_path / "model.safetensors")
    save_mlps(read, tmp_path / "again.safetensors")

    assert (read.members, read.seeds) == (3, (0, 1, 5))
    np.testing.assert_array_equal(read.mean, stack.mean)
    np.testing.assert_array_equal(read.sd, stack.sd)
    np.testing.assert_array_equal(read.probabilities(x, 1), stack.probabilities(x, 1))
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "model.safetensors"
    ).read_bytes()
