"""The network for one segmented blood cell: three convolution blocks and three dense layers."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["CHANNELS", "EMBEDDING_UNITS", "Block", "CellCNN"]

Block = Literal["relu_norm", "norm_relu"]

EMBEDDING_UNITS = 64

CHANNELS = (32, 64, 128)


class CellCNN(nn.Module):
    """Tell a leukemic blast from a normal precursor.

    [convolution 3x3, ReLU, batch normalisation, max pooling 2] with 32, 64 and 128 channels, then
    dense layers of 128 and 64 units and one logit; dropout .5 and .3. At 128 px it has 4.30
    million parameters, nearly all of them in the first dense layer.

    Args:
        side_px: side of the square input, a multiple of 8.
        block: order inside a block; `relu_norm` as published, `norm_relu` as is usual today.

    Raises:
        ValueError: the side is no multiple of 8, so pooling would drop a border.

    Source: Swastika, Prilianti, Irawan, Setiawan, section on the CNN architecture.
    """

    def __init__(self, side_px: int, *, block: Block) -> None:
        super().__init__()
        if side_px < 8 or side_px % 8:  # noqa: PLR2004  # three poolings by 2
            raise ValueError(f"the side must be a multiple of 8 px, is {side_px}")
        inputs = (3, *CHANNELS[:-1])
        self.blocks = nn.Sequential(
            *(_block(i, o, block) for i, o in zip(inputs, CHANNELS, strict=True))
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(CHANNELS[-1] * (side_px // 8) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, EMBEDDING_UNITS),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(EMBEDDING_UNITS, 1))

    def forward(self, images: Float[Tensor, "cell 3 side side"]) -> Float[Tensor, " cell"]:
        """Return the logit of a blast for standardised RGB images."""
        logits: Tensor = self.head(self.embed(images))
        return logits.squeeze(1)

    def embed(self, images: Float[Tensor, "cell 3 side side"]) -> Float[Tensor, "cell 64"]:
        """Return the last 64 units before the logit, at least 0."""
        embedding: Tensor = self.dense(self.blocks(images))
        return embedding


def _block(inputs: int, outputs: int, block: Block) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding="same")
    norm, relu = nn.BatchNorm2d(outputs), nn.ReLU()
    middle = (relu, norm) if block == "relu_norm" else (norm, relu)
    return nn.Sequential(convolution, *middle, nn.MaxPool2d(2))
