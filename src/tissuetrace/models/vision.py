"""The one place that imports torchvision, also beside a torch without CUDA."""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

__all__ = ["load_torchvision"]

# torchvision registers Python halves of these two at import and fails where they are not declared
_DECLARED_IN_C = ("nms", "qnms")

_declarations: list[torch.library.Library] = []  # operators vanish with the object that declared


@cache
def load_torchvision() -> ModuleType:
    """Import torchvision.

    Its compiled half is linked to CUDA, so it does not load beside a CPU build of torch and the
    import fails at `torchvision::nms`. Declaring the two operators first lets everything in pure
    Python work: classification networks, `transforms.v2`, feature extractors. `nms`, detection
    networks and `torchvision.io` then raise RuntimeError when called; images are decoded by
    OpenCV here.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    try:
        _untyped(torch.ops).load_library(str(Path(found.origin).parent / "_C.so"))
    except OSError:
        library = _untyped(torch.library).Library("torchvision", "FRAGMENT")
        for name in _DECLARED_IN_C:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declarations.append(library)
    return importlib.import_module("torchvision")


def _untyped(module: Any) -> Any:  # noqa: ANN401  # torch gives these functions no types
    return module
