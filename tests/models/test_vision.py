"""torchvision beside whichever torch is installed, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import torch
from tissuetrace.models.vision import load_torchvision

torchvision = load_torchvision()
assert load_torchvision() is torchvision
with torch.no_grad():
    print(tuple(torchvision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 64, 64)).shape))
from torchvision.transforms import v2
print(tuple(v2.Resize((8, 8), antialias=True)(torch.zeros(3, 16, 16)).shape))
if torch.version.cuda is None:
    try:
        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except RuntimeError:
        print("nms raises")
else:
    print("nms raises")
"""


def test_torchvision_imports_without_a_warning_and_its_networks_and_transforms_work() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(1, 1000)", "(3, 8, 8)", "nms raises"]
