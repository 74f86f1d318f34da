"""Operators that mmcv has in C++ alone: what is there in plain torch works, what is not there says so when it is
called.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from adapter_models import RESNET, random_images, tiny_config, tiny_model

from benchmarks.coverage.trial import try_config
from poseig_mm.adapters.deformable import deform_conv2d
from poseig_mm.api import load_adapter
from poseig_mm.compat import EXTENSION, prepare_environment
from poseig_mm.errors import DependencyError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
MESSAGE = r"compiled operator 'modulated_deform_conv_forward' .* mmcv-lite.*mim install 'mmcv>=2\.0\.1,<2\.2'"
MODULATED = {**RESNET, "out_indices": (3,), "base_channels": 8, "stem_channels": 8, "conv_cfg": {"type": "DCNv2"}}


def test_a_missing_operator_is_named_with_its_remedy(tmp_path: Path) -> None:
    """A backbone of modulated deformable convolutions: it is built, and its first pass tells what to install."""
    if EXTENSION not in prepare_environment():
        pytest.skip("this mmcv has its operators")
    config = tiny_config("heatmap-msra", backbone=MODULATED)
    config.model.head.in_channels = 64
    adapter = load_adapter(config)
    with pytest.raises(DependencyError, match=MESSAGE):
        adapter(random_images(1))
    config.dump(str(tmp_path / "modulated.py"))
    trial = try_config("modulated", tmp_path / "modulated.py")
    assert trial is not None
    assert trial.reason.startswith("DependencyError: mmcv's compiled operator 'modulated_deform_conv_forward'")


def test_a_complete_mmcv_s_operators_are_used(tmp_path: Path) -> None:
    """The same backbone is diagnosed, and deformable convolution is mmcv's own."""
    if EXTENSION in prepare_environment():
        pytest.skip("mmcv-lite has no operators")
    config = tiny_config("heatmap-msra", backbone=MODULATED)
    config.model.head.in_channels = 64
    config.dump(str(tmp_path / "modulated.py"))
    trial = try_config("modulated", tmp_path / "modulated.py")
    assert trial is not None
    assert trial.reason == ""
    module = importlib.import_module("mmcv.ops.deform_conv")
    assert module.deform_conv2d is not deform_conv2d


@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolution_is_mmcv_s(groups: int) -> None:
    """Values and gradients of ours and of the compiled operator, in double precision, with offsets that leave the
    input.
    """
    if EXTENSION in prepare_environment():
        pytest.skip("mmcv-lite has no operators")
    operator = importlib.import_module("mmcv.ops.deform_conv").deform_conv2d
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 9, 7), (2, groups * 18, 5, 4), (6, 4 // groups, 3, 3))
    results = []
    for convolve in (operator, deform_conv2d):
        generator.manual_seed(0)
        tensors = [torch.randn(s, generator=generator, dtype=torch.double).requires_grad_() for s in shapes]
        out = convolve(*tensors, 2, 1, 1, groups, groups)
        results.append((out, *torch.autograd.grad(out.square().sum(), tensors)))
    for theirs, ours in zip(*results, strict=True):
        assert torch.allclose(theirs, ours, rtol=1e-9, atol=1e-9)


def test_deformable_convolution_is_there() -> None:
    """mmcv's module itself, built before or after: finite, and its gradient reaches the input."""
    tiny_model("regression")
    from mmcv.ops import DeformConv2dPack

    layer = DeformConv2dPack(3, 4, 3, padding=1)
    images = random_images(1).requires_grad_()
    layer(images).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().max() > 0
