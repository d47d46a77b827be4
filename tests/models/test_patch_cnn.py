"""The network for patches: its layers and its size."""

import pytest
import torch
from torch import nn

from tissuetrace.models.patch_cnn import PatchCNN


def test_the_layers_stand_in_the_order_of_the_paper() -> None:
    network = PatchCNN(20)

    kinds = [type(layer) for layer in (*network.maps, *network.dense)]

    assert kinds == [
        *(nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Conv2d, nn.ReLU, nn.Dropout),
        *(nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear, nn.ReLU, nn.Linear),
    ]


def test_the_network_has_as_many_weights_as_its_layers_say() -> None:
    found = sum(value.numel() for value in PatchCNN(20).parameters())

    convolutions = (9 * 20 + 1) * 16 + (9 * 16 + 1) * 32
    assert found == convolutions + (32 * 25 + 1) * 64 + 64 + 1


@pytest.mark.parametrize("side_px", [12, 40, 82])
def test_a_patch_of_any_size_gets_one_logit(side_px: int) -> None:
    network = PatchCNN(3).eval()

    with torch.no_grad():
        found = network(torch.randn(2, 3, side_px, side_px))

    assert found.shape == (2,)


def test_at_40_px_the_last_maps_are_averaged_in_squares_of_four() -> None:
    network = PatchCNN(3).eval()
    patch = torch.randn(1, 3, 40, 40)

    with torch.no_grad():
        maps = network.maps[:-1](patch)
        found = network.maps(patch)

    assert maps.shape == (1, 32, 20, 20)
    torch.testing.assert_close(found, nn.functional.avg_pool2d(maps, 4))


def test_dropout_works_while_training_alone() -> None:
    network, patch = PatchCNN(3), torch.randn(1, 3, 40, 40)

    with torch.no_grad():
        noisy = [network.train()(patch).item() for _ in range(2)]
        quiet = [network.eval()(patch).item() for _ in range(2)]

    assert noisy[0] != noisy[1]
    assert quiet[0] == quiet[1]
