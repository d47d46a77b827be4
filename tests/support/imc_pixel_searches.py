"""Pixels for the small cohort of `imc_searches`, and a CNN of known weights."""

import numpy as np
import pandas as pd
import torch
from imc_searches import PREDICTORS, WEIGHTS, Planted, predictions_of

from tissuetrace.imaging.masks import orient, pack
from tissuetrace.learn.patch_networks import PatchNetwork, save_patch_cnn
from tissuetrace.models.patch_cnn import PatchCNN
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.imc.features import patch_table

SIDE_PX = 8
BIAS = -2.5


def plant_cnn(planted: Planted, *, hidden: float = 0.0) -> None:
    """Write pixels, decoys and a CNN for the first retraining.

    Args:
        planted: the cohort, without pixels.
        hidden: counts that stand under what is erased, a decoy's hole included.
    """
    patches = patch_table(planted.tables)
    decoys = _with_donors(read_table(planted.decoys), patches)
    write_table(decoys, planted.decoys)
    masks = {item: _mask(place) for place, item in enumerate(patches["item"])}
    rng = np.random.default_rng(5)
    noise = rng.uniform(0.5, 1.5, (len(patches), len(PREDICTORS), SIDE_PX, SIDE_PX))
    planted.pixels.mkdir(exist_ok=True)
    first = decoys[decoys["seed"] == 0].set_index("item").loc[patches["item"]]
    kept = np.stack(
        [
            ~(masks[item] | _turned(masks, donor, orientation))
            for item, donor, orientation in zip(
                patches["item"], first["donor"], first["orientation"], strict=True
            )
        ]
    )
    means = first[[f"mean_{name}" for name in PREDICTORS]].to_numpy()
    counts = noise * (means / noise.mean(axis=(2, 3), where=kept[:, None]))[:, :, None, None]
    counts = np.where(kept[:, None], counts, hidden).astype(np.float32)
    for image, rows in patches.groupby("image"):
        places = rows.index.to_numpy()
        np.savez(
            planted.pixels / f"{image}.npz",
            pixels=counts[places],
            masks=pack(np.stack([masks[item] for item in rows["item"]])),
            names=np.array(PREDICTORS),
            shape=np.array([SIDE_PX, SIDE_PX]),
            px_um=np.array(5.0),
        )
    _write_cnn(planted, counts, kept, patches)


def _write_cnn(
    planted: Planted, counts: np.ndarray, kept: np.ndarray, patches: pd.DataFrame
) -> None:
    said = predictions_of(planted)
    said = said[said["seed"] == 0].set_index("item").loc[patches["item"]].reset_index()
    roots = np.sqrt(counts.astype(np.float64))
    train = (said["split"] == "train").to_numpy()
    inside = np.broadcast_to(kept[train][:, None], roots[train].shape)
    mean = roots[train].mean(axis=(0, 2, 3), where=inside)
    sd = roots[train].std(axis=(0, 2, 3), where=inside)
    network = PatchNetwork(model=_network(), mean=mean, sd=sd)
    z = (roots - mean[:, None, None]) / sd[:, None, None] * kept[:, None]
    with torch.no_grad():
        answers = torch.sigmoid(network.model(torch.from_numpy(z).float())).double().numpy()
    save_patch_cnn(network, planted.cnn / "model.0.safetensors")
    table = said.assign(model="cnn", probability=answers)[predictions_of(planted).columns]
    write_table(table, planted.cnn / "predictions.parquet")


def _network() -> PatchCNN:
    """A logit that rises with w·z at every pixel."""
    model = PatchCNN(len(PREDICTORS)).eval()
    w = torch.tensor(WEIGHTS)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        first, second = (layer for layer in model.maps if isinstance(layer, torch.nn.Conv2d))
        first.weight[0, :, 1, 1], first.weight[1, :, 1, 1] = w, -w
        second.weight[0, 0, 1, 1] = second.weight[1, 1, 1, 1] = 1.0
        units, logit = (layer for layer in model.dense if isinstance(layer, torch.nn.Linear))
        units.weight[0, :25] = units.weight[1, 25:50] = 1 / 25
        logit.weight[0, 0], logit.weight[0, 1] = 1.0, -1.0
        logit.bias[0] = BIAS
    return model


def _with_donors(decoys: pd.DataFrame, patches: pd.DataFrame) -> pd.DataFrame:
    """Give every third negative patch the hole of the first positive one."""
    label = decoys["item"].map(patches.set_index("item")["label"])
    positive = patches.loc[patches["label"] == 1, "item"].iloc[0]
    chosen = (label == 0) & (np.arange(len(decoys)) % 3 == 0)
    return decoys.assign(
        donor=np.where(chosen, positive, ""), orientation=np.where(chosen, 5, -1).astype(np.int64)
    )


def _mask(place: int) -> np.ndarray:
    mask = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    mask[place % SIDE_PX, : 1 + place % 3] = True
    return mask


def _turned(masks: dict[str, np.ndarray], donor: str, orientation: int) -> np.ndarray:
    return orient(masks[donor], orientation) if donor else np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
