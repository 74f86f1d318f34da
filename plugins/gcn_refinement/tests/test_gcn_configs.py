"""Refined configs: the shipped base sits beside any of MMPose's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from gcn_helpers import ROOT
from poseig_gcn_refinement.skeleton import edges_of

from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.operators import complete_operators

REFINED = """
_base_ = ["mmpose::body_2d_keypoint/topdown_heatmap/{base}.py", "{refined}"]

model = dict(
    type="poseig_gcn_refinement.estimator.RefinedPoseEstimator",
    refiner={{{{_base_.gcn_refiner}}}},
    skeleton={{{{_base_.dataset_type}}}},
    frozen_checkpoint="weights.pth",
)
train_dataloader = {{{{_base_.gcn_train_dataloader}}}}
train_cfg = {{{{_base_.gcn_train_cfg}}}}
optim_wrapper = {{{{_base_.gcn_optim_wrapper}}}}
param_scheduler = {{{{_base_.gcn_param_scheduler}}}}
"""


@pytest.fixture
def refined_base() -> Path:
    path = ROOT / "configs" / "gcn_refinement" / "_base_" / "refined.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def assert_refined(cfg: Any) -> None:
    """Simple Baseline's training, and nothing left of the base's own."""
    complete_operators()
    from mmpose.registry import MODELS

    assert MODELS.get(cfg.model.type).__name__ == "RefinedPoseEstimator"
    assert len(edges_of(cfg.model.skeleton, cfg.model.head.out_channels)) == 19
    assert cfg.optim_wrapper == {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": 1e-3}}
    assert cfg.param_scheduler[1].milestones == [90, 120]
    assert cfg.train_cfg.max_epochs == 140
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.train_dataloader.dataset.type == cfg.dataset_type


def test_the_example_is_a_refined_config(refined_base: Path) -> None:
    """The repository's, and README's text."""
    from mmengine.config import Config

    path = refined_base.parents[1] / "td-hm_res50_gcn_coco-256x192.py"
    assert_refined(Config.fromfile(str(path)))
    shown = re.search(r"```python\n(_base_.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)[1]
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", path.read_text())


@pytest.mark.parametrize(
    "base",
    [
        "coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192",
        "coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192",
        "coco/td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192",
        "humanart/td-hm_ViTPose-base_8xb64-210e_humanart-256x192",
    ],
)
def test_it_sits_beside_any_base(base: str, refined_base: Path, tmp_path: Path) -> None:
    """Those of ViTPose have `custom_imports` of their own, which stay."""
    from mmengine.config import Config

    (tmp_path / "refined.py").write_text(REFINED.format(base=base, refined=refined_base))
    cfg = Config.fromfile(str(tmp_path / "refined.py"))
    assert_refined(cfg)
    assert ("custom_imports" in cfg) == ("ViTPose" in base)


def test_a_refined_vitpose_is_built(refined_base: Path, tmp_path: Path) -> None:
    """From nothing but its config."""
    pytest.importorskip("mmpretrain")
    base = "coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192"
    (tmp_path / "refined.py").write_text(REFINED.format(base=base, refined=refined_base))
    model = build_model(tmp_path / "refined.py", weights_follow=True)
    assert {n.split(".")[1] for n, p in model.named_parameters() if p.requires_grad} == {"refiner"}
