"""The small trained model that is shipped."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import poseig_transpose
import pytest
import torch

CONFIG = Path(__file__).parents[3] / "configs" / "transpose" / "transpose_tiny_synthetic_figures.py"
WEIGHTS = Path(poseig_transpose.__file__).parent / "checkpoints" / "transpose_tiny_synthetic_figures.pth"


def test_it_finds_the_joints_of_unseen_figures() -> None:
    """48 test figures: mean error as the README says, give or take the figures; the differentiable one is near to
    it.
    """
    if not CONFIG.is_file() or find_spec("poseig_synthetic_figures") is None:
        pytest.skip("needs the repository's configs and plugins/synthetic_figures")
    from mmengine.config import Config

    from poseig_mm import load_adapter
    from poseig_mm.data.samples import SampleSource

    adapter = load_adapter(str(CONFIG), str(WEIGHTS))
    samples = SampleSource(Config.fromfile(str(CONFIG)), preprocess=adapter.model.data_preprocessor).first(48)
    images, truth = (torch.stack([getattr(s, name) for s in samples]) for name in ("image", "keypoints"))
    visible = torch.stack([s.visible for s in samples])
    found = adapter.predict(images)
    error = (found - truth).norm(dim=-1)[visible]
    assert error.mean() < 4.0
    assert error.median() < 2.5
    assert adapter.calibrate(images, joints=visible).good


def test_it_is_small_and_plain() -> None:
    """At most 3 MB, read without running anything."""
    assert WEIGHTS.stat().st_size < 3e6
    content = torch.load(WEIGHTS, weights_only=True)
    assert content["meta"]["seed"] == 0
