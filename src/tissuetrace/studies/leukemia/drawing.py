"""Drawing one synthetic blood cell from its six latents, pixel by pixel."""

import struct

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, gaussian_filter1d

__all__ = ["bitmap_bytes", "draw_cell"]

_ORDERS = np.arange(2, 7)  # harmonics k of the outline
_STAIN = np.array([1.0, 0.50, 0.80])  # blue, green, red, as the file stores them
_TRUNCATE = 4.0  # reach of the Gaussian kernel, in standard deviations


def draw_cell(
    z: Float[ndarray, "6"], *, size_px: int, gain: float, rng: Generator
) -> tuple[UInt8[ndarray, "size size 3"], float]:
    """Draw a cell on black: outline, chromatin, fine noise and stain.

    Args:
        z: latents of size, outline, grain, level, noise and chromatin contrast; no unit.
        size_px: side of the frame.
        gain: brightness of the subject's slide, about 1.
        rng: the cell's own generator.

    Returns:
        The frame (blue, green, red; 8 to 250 inside the cell, 0 outside) and the true area of
        the outline, πR²(1 + ½Σa²), in px².

    Source: specification of the phantom, section 6 (latents to pixels).
    """
    radius_px = 0.26 * size_px * np.exp(0.10 * z[0])
    spread = 0.030 * np.exp(0.35 * z[1])
    amplitudes = spread * rng.standard_normal(len(_ORDERS)) / np.sqrt(_ORDERS / 2)
    phases = rng.uniform(0, 2 * np.pi, len(_ORDERS))
    area_px = float(np.pi * radius_px**2 * (1 + 0.5 * (amplitudes**2).sum()))

    centre = (size_px - 1) / 2
    reach = int(np.ceil(radius_px * (1 + np.abs(amplitudes).sum())))
    low, high = max(0, int(centre) - reach), min(size_px, int(centre) + reach + 2)
    axis = np.arange(low, high) - centre
    inside = _inside(axis, radius_px=radius_px, amplitudes=amplitudes, phases=phases)
    gray = 100 + 9 * z[3] + _texture(z, inside.shape, rng)
    colour = np.clip(gray[..., None] * (_STAIN * gain), 8, 250)

    frame = np.zeros((size_px, size_px, 3), dtype=np.uint8)
    frame[low:high, low:high] = np.rint(colour) * inside[..., None]
    return frame, area_px


def bitmap_bytes(frame: UInt8[ndarray, "height width 3"]) -> bytes:
    """Encode a frame (blue, green, red) as a 24-bit BMP: 54 bytes of header, lowest row first."""
    height, width, _ = frame.shape
    padded = np.zeros((height, -(-3 * width // 4) * 4), dtype=np.uint8)
    padded[:, : 3 * width] = frame[::-1].reshape(height, -1)
    header = 54
    dots_per_metre = 3779  # as the writer of the collection left it; no pixel size
    return (
        struct.pack("<2sIHHI", b"BM", header + padded.size, 0, 0, header)
        + struct.pack("<IiiHHII", 40, width, height, 1, 24, 0, padded.size)
        + struct.pack("<iiII", dots_per_metre, dots_per_metre, 0, 0)
        + padded.tobytes()
    )


def _inside(
    axis: Float[ndarray, " side"],
    *,
    radius_px: float,
    amplitudes: Float[ndarray, " order"],
    phases: Float[ndarray, " order"],
) -> ndarray:
    """Say which pixel centres lie inside r(θ) = R(1 + Σ a cos(kθ + φ))."""
    point = axis[None, :] + 1j * axis[:, None]
    distance = np.abs(point)
    turn = np.divide(point, distance, out=np.ones_like(point), where=distance > 0)  # e^{iθ}
    # Horner's rule over k = 6 … 2: Σ a e^{iφ} turn^k
    total = np.zeros_like(point)
    for coefficient in (amplitudes * np.exp(1j * phases))[::-1]:
        total = total * turn + coefficient
    inside: ndarray = distance <= radius_px * (1 + (total * turn**2).real)
    return inside


def _texture(
    z: Float[ndarray, "6"], shape: tuple[int, ...], rng: Generator
) -> Float[ndarray, "height width"]:
    """Draw chromatin (a Gaussian field of known grain and contrast) plus noise of each pixel."""
    grain_px = 2 * np.exp(0.25 * z[2])
    white, fine = rng.standard_normal((2, *shape))
    field = gaussian_filter(white, grain_px, mode="wrap", truncate=_TRUNCATE)
    impulse = np.zeros(2 * int(_TRUNCATE * grain_px + 0.5) + 1)
    impulse[len(impulse) // 2] = 1
    kernel = gaussian_filter1d(impulse, grain_px, mode="constant", truncate=_TRUNCATE)
    field /= (kernel**2).sum()  # variance of the smoothed field is (Σw²)² in two dimensions
    texture: ndarray = 12 * np.exp(0.22 * z[5]) * field + 2 * np.exp(0.30 * z[4]) * fine
    return texture
