"""Several multilayer perceptrons of one shape, side by side: what retrainings differ in is an axis.

One product of stacked matrices does for all members what a loop would do for one at a time.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from safetensors.torch import load_file, save
from torch import Generator, Tensor, nn

__all__ = ["MlpStack", "load_mlps", "save_mlps"]


class MlpStack(nn.Module):
    """Tell from the channel means of a patch whether a T cell is in it, once for each member.

    Dense layers with ReLU between them and one logit at the end, as the paper has them with 30 and
    10 units. Inputs are z values: each member has its own training rows, and so its own mean and
    standard deviation.

    Args:
        widths: of the input, of each hidden layer.
        seeds: name of each member, the seed of the split that it was trained on.

    Source: Wang & Thomson, Methods (MLP).
    """

    def __init__(self, widths: Sequence[int], *, seeds: Sequence[int]) -> None:
        super().__init__()
        pairs = list(zip(widths, [*widths[1:], 1], strict=True))
        members = len(seeds)
        self.seeds = tuple(seeds)
        self.weights = nn.ParameterList(torch.zeros(members, i, o) for i, o in pairs)
        self.biases = nn.ParameterList(torch.zeros(members, 1, o) for _, o in pairs)
        # over the training rows of each member (counts): what z = (x - mean) / sd is made with
        self.mean: Float64[ndarray, "member channel"] = np.zeros((members, widths[0]))
        self.sd: Float64[ndarray, "member channel"] = np.ones((members, widths[0]))

    @property
    def members(self) -> int:
        """How many networks stand side by side."""
        return len(self.seeds)

    def draw(self, generators: Sequence[Generator]) -> None:
        """Give each member its initial weights, as `torch.nn.Linear` draws them."""
        with torch.no_grad():
            for member, generator in enumerate(generators):
                for weight, bias in zip(self.weights, self.biases, strict=True):
                    bound = 1 / math.sqrt(weight.shape[1])
                    weight[member].uniform_(-bound, bound, generator=generator)
                    bias[member].uniform_(-bound, bound, generator=generator)

    def forward(
        self, z: Float[Tensor, "member row channel"], members: Sequence[int] | None = None
    ) -> Float[Tensor, "member row"]:
        """Return the logits of each member, or of some, for its own rows."""
        weights, biases = list(self.weights), list(self.biases)
        if members is not None:
            weights = [value[list(members)] for value in weights]
            biases = [value[list(members)] for value in biases]
        return _logits(z, weights, biases)

    def probability(
        self, member: int
    ) -> Callable[[Float[Tensor, "row channel"]], Float[Tensor, " row"]]:
        """Return one member as a differentiable function of z values, in their precision."""
        # weights on the left: with few channels and many rows the products take half the time
        weights = [value.detach()[member].t().contiguous() for value in self.weights]
        biases = [value.detach()[member].t().contiguous() for value in self.biases]

        def ask(z: Float[Tensor, "row channel"]) -> Float[Tensor, " row"]:
            values = torch.addmm(biases[0].to(z), weights[0].to(z), z.t())
            for weight, bias in zip(weights[1:], biases[1:], strict=True):
                values = torch.addmm(bias.to(z), weight.to(z), torch.relu(values))
            return torch.sigmoid(values[0])

        return ask

    def probabilities(
        self, x: Float64[ndarray, "row channel"], member: int
    ) -> Float64[ndarray, " row"]:
        """Return what one member says of channel means (counts), in double precision."""
        z = torch.from_numpy((x - self.mean[member]) / self.sd[member])
        found: Float64[ndarray, " row"] = self.probability(member)(z).numpy()
        return found


def save_mlps(stack: MlpStack, path: Path) -> None:
    """Write weights, means, standard deviations and seeds as one safetensors file."""
    weights = {name: value.contiguous() for name, value in stack.state_dict().items()}
    constants = {
        "mean": torch.from_numpy(stack.mean),
        "sd": torch.from_numpy(stack.sd),
        "seeds": torch.tensor(stack.seeds, dtype=torch.int64),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors' own writer makes a file that nobody else may read
    path.write_bytes(save({**weights, **constants}))


def load_mlps(path: Path) -> MlpStack:
    """Read what `save_mlps` wrote."""
    content = load_file(path)
    mean, sd = content.pop("mean").numpy(), content.pop("sd").numpy()
    seeds = content.pop("seeds").tolist()
    layers = sum(name.startswith("weights.") for name in content)
    widths = [content[f"weights.{layer}"].shape[1] for layer in range(layers)]
    stack = MlpStack(widths, seeds=seeds)
    stack.load_state_dict(content)
    stack.mean, stack.sd = mean, sd
    return stack.eval()


def _logits(
    z: Float[Tensor, "member row channel"], weights: Sequence[Tensor], biases: Sequence[Tensor]
) -> Float[Tensor, "member row"]:
    values = torch.baddbmm(biases[0], z, weights[0])
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        values = torch.baddbmm(bias, torch.relu(values), weight)
    return values.squeeze(-1)
