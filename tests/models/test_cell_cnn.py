"""The network's shape, size and order of layers."""

import pytest
import torch
from torch import nn

from tissuetrace.models.cell_cnn import EMBEDDING_UNITS, Block, CellCNN


def test_the_network_has_the_parameters_of_the_paper_at_128_px() -> None:
    network = CellCNN(128, block="relu_norm")

    found = sum(value.numel() for value in network.parameters())

    convolutions = 9 * (3 * 32 + 32 * 64 + 64 * 128) + 32 + 64 + 128
    norms = 2 * (32 + 64 + 128)
    dense = (16 * 16 * 128 + 1) * 128 + (128 + 1) * 64 + (64 + 1)
    assert found == convolutions + norms + dense == 4_296_449


def test_one_logit_and_64_units_that_are_not_negative_for_each_image() -> None:
    network = CellCNN(16, block="relu_norm").eval()
    images = torch.randn(5, 3, 16, 16)

    with torch.no_grad():
        logits, embedding = network(images), network.embed(images)

    assert logits.shape == (5,)
    assert embedding.shape == (5, EMBEDDING_UNITS)
    assert float(embedding.min()) >= 0
    torch.testing.assert_close(network.head(embedding).squeeze(1), logits)


@pytest.mark.parametrize(
    ("block", "kinds"),
    [
        ("relu_norm", [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d]),
        ("norm_relu", [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]),
    ],
)
def test_the_order_inside_each_of_three_blocks_is_the_one_asked_for(
    block: Block, kinds: list[type]
) -> None:
    network = CellCNN(16, block=block)

    parts = list(network.blocks.children())
    assert [[type(layer) for layer in part.children()] for part in parts] == [kinds] * 3


def test_dropout_is_half_before_the_second_dense_layer_and_less_before_the_logit() -> None:
    network = CellCNN(16, block="relu_norm")

    shares = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]

    assert shares == [0.5, 0.3]


@pytest.mark.parametrize("side_px", [0, 4, 20])
def test_a_side_that_pooling_would_cut_off_is_refused(side_px: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        CellCNN(side_px, block="relu_norm")
