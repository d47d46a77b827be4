"""Small mcd files as the instrument writes them, with schema and exports, to be damaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

METALS = ("Ag107", "Pr141", "Sm147")
LABELS = ("107Ag", "Cytoker_651((3356))Pr141", "CD3")
NAMESPACE = "http://www.fluidigm.com/IMC/MCDSchema_V2_0.xsd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An mcd and where its blocks begin and end."""

    path: Path
    images: Mapping[int, ndarray]
    blocks: Mapping[int, tuple[int, int]]

    def txt(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}_ROI_{number:03d}_{number}.txt")

    def overwrite(self, start: int, content: bytes) -> None:
        found = bytearray(self.path.read_bytes())
        found[start : start + len(content)] = content
        self.path.write_bytes(bytes(found))

    def truncate(self, share: float) -> None:
        content = self.path.read_bytes()
        self.path.write_bytes(content[: int(len(content) * share)])


def draw_counts(seed: int, *, height: int = 6, width: int = 8) -> ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.5, (len(METALS), height, width)) * rng.uniform(0.9, 1.1)
    return counts.astype(np.float32)


def write_mcd(
    folder: Path,
    *,
    name: str = "slide",
    sizes: Sequence[tuple[int, int]] = ((6, 8), (5, 7), (4, 4)),
    spacing_um: tuple[float, float] = (1.0, 1.0),
    records: Mapping[int, int] | None = None,
    labels: Sequence[str] = LABELS,
    metals: Sequence[str] = METALS,
) -> Written:
    """Write `<name>.mcd`, `.schema` and a txt for each acquisition.

    Args:
        folder: where.
        name: stem of all files.
        sizes: height and width of each acquisition (px).
        spacing_um: ablation distance along x and y.
        records: number of an acquisition → pixels recorded before it was broken off.
        labels: of the channels.
        metals: of the channels.
    """
    images, blocks, content = {}, {}, bytearray(b"slide image")
    for number, (height, width) in enumerate(sizes, start=1):
        images[number] = draw_counts(number, height=height, width=width)
        table = pixel_table(images[number])[: (records or {}).get(number)]
        start = len(content)
        content += table.astype("<f4").tobytes()
        blocks[number] = (start, len(content))
        write_txt(folder / f"{name}_ROI_{number:03d}_{number}.txt", table, labels, metals)
    xml = describe(blocks, sizes, spacing_um, (labels, metals))
    content += xml.encode("utf-16-le")
    path = folder / f"{name}.mcd"
    path.write_bytes(bytes(content))
    marked = xml.replace("<Slide>", '<Slide diffgr:id="Slide1" msdata:rowOrder="0">')
    path.with_suffix(".schema").write_bytes(b"\x00\x01binary" + marked.encode() + b"\x05\x04")
    return Written(path=path, images=images, blocks=blocks)


def pixel_table(image: ndarray) -> ndarray:
    """One row per pixel: x, y, z and the counts."""
    _, height, width = image.shape
    ys, xs = np.mgrid[:height, :width]
    order = np.arange(height * width)
    return np.column_stack([xs.ravel(), ys.ravel(), order, image.reshape(len(image), -1).T])


def write_txt(path: Path, table: ndarray, labels: Sequence[str], metals: Sequence[str]) -> None:
    channels = [f"{label}({metal}Di)" for label, metal in zip(labels, metals, strict=True)]
    header = ["Start_push", "End_push", "Pushes_duration", "X", "Y", "Z", *channels]
    lines = ["\t".join(header)]
    for row in table:
        place = [f"{value:.0f}" for value in row[:3]]
        lines.append("\t".join(["1", "2", "384", *place, *(f"{value:.3f}" for value in row[3:])]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(
    blocks: Mapping[int, tuple[int, int]],
    sizes: Sequence[tuple[int, int]],
    spacing_um: tuple[float, float],
    channels: tuple[Sequence[str], Sequence[str]],
) -> str:
    parts = [f'<MCDSchema xmlns="{NAMESPACE}">', "<Slide><ID>0</ID></Slide>"]
    parts.append("<Panorama><ID>1</ID><SlideID>0</SlideID><Type>Default</Type></Panorama>")
    parts.append("<AcquisitionROI><ID>1</ID><PanoramaID>1</PanoramaID></AcquisitionROI>")
    for (number, (start, end)), (height, width) in zip(blocks.items(), sizes, strict=True):
        values = {
            "ID": number,
            "Description": f"ROI_{number:03d}",
            "AblationDistanceBetweenShotsX": spacing_um[0],
            "AblationDistanceBetweenShotsY": spacing_um[1],
            "AcquisitionROIID": 1,
            "DataStartOffset": start,
            "DataEndOffset": end,
            "ValueBytes": 4,
            "MaxX": width,
            "MaxY": height,
        }
        parts.append(_element("Acquisition", values))
        named = [("X", "X"), ("Y", "Y"), ("Z", "Z")]
        named += [(f"{m[:2]}({m[2:]})", label) for label, m in zip(*channels, strict=True)]
        parts += [
            _element(
                "AcquisitionChannel",
                {
                    "ID": order,
                    "ChannelName": channel,
                    "OrderNumber": order,
                    "AcquisitionID": number,
                    "ChannelLabel": label,
                },
            )
            for order, (channel, label) in enumerate(named)
        ]
    return "".join([*parts, "</MCDSchema>"])


def _element(tag: str, values: Mapping[str, object]) -> str:
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in values.items())
    return f"<{tag}>{inner}</{tag}>"
