"""A machine with a GPU may have torch and numpy, and nothing else."""

from __future__ import annotations

import subprocess
import sys

from bare import run_bare

ONE_MAP = """
import torch
from torch.nn import functional as F
import poseig_mm
from poseig_mm.functional import path_attribution, soft_argmax
from poseig_mm.functional.fast_backward import FastBackward

torch.manual_seed(0)
weight = torch.randn(2, 3, 3, 3)
coords = lambda x: soft_argmax(F.conv2d(x, weight, padding=1).relu(), 1.0)
images, keypoints = torch.rand(1, 3, 24, 20), torch.tensor([[[5.0, 4.0], [3.0, 8.0]]])
exact, fast = (path_attribution(coords, images, keypoints, nodes=4, backward=b).maps for b in (None, FastBackward()))
print(torch.cosine_similarity(exact.flatten(2), fast.flatten(2), dim=2).min().item() > 0.99)
"""
EVERY_MODULE = """
import poseig_mm.functional
for module in pkgutil.iter_modules(poseig_mm.functional.__path__, "poseig_mm.functional."):
    importlib.import_module(module.name)
print(*sorted(set(sys.modules) & {"pluggy", "scipy", "polars", "rich", "matplotlib", "mmengine", "cv2"}))
"""


def alone(code: str) -> str:
    """What the code prints there."""
    done = run_bare(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_maps_need_torch_and_numpy_alone() -> None:
    """A whole attribution with the walked backward pass, in the same directions as autograd's."""
    assert alone(ONE_MAP) == "True"


def test_every_module_of_the_maths_imports_alone() -> None:
    """scipy, where a function needs it, is imported by that function."""
    assert alone(EVERY_MODULE) == ""


def test_the_others_are_absent() -> None:
    """Without that the two tests above would say nothing."""
    names = ["pluggy", "scipy", "polars", "rich", "matplotlib", "mmengine", "mmpose", "cv2", "plotly", "safetensors"]
    assert alone(f"print(*(name for name in {names} if importlib.util.find_spec(name)))") == ""
    here = "import importlib.util; print(importlib.util.find_spec('pluggy') is not None)"
    assert subprocess.run([sys.executable, "-c", here], capture_output=True, text=True).stdout.strip() == "True"
