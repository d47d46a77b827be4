"""The network for one patch of many channels: two convolutions, their average, two dense layers."""

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["PatchCNN"]

_AVERAGED = 5  # cells a side, into which the last maps are averaged whatever the patch's size


class PatchCNN(nn.Module):
    """Tell from the pixels of a patch whether a T cell is in it.

    Convolution 3x3 (16 maps), ReLU, max pooling 2, convolution 3x3 (32 maps), ReLU, dropout .25,
    average in 5x5 cells, 64 units with ReLU, one logit. Borders are padded with 0, which is a
    channel's mean. Dropout stands before the average, where it is noise rather than loss of maps.

    Args:
        channels: of a patch.

    Source: Wang & Thomson, Methods (CNN).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding="same"),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.AdaptiveAvgPool2d(_AVERAGED),
        )
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(32 * _AVERAGED**2, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(self, z: Float[Tensor, "patch channel height width"]) -> Float[Tensor, " patch"]:
        """Return the logit of a T cell for z values of square roots of counts."""
        logits: Tensor = self.dense(self.maps(z))
        return logits.squeeze(1)
