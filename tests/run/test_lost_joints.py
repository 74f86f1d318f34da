"""Weights that are NaN cost the joints that they reach, and no other; the reason is said."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import FAMILIES, K, tiny_config, tiny_model
from instance_models import instance_image, instance_model

from poseig_mm.adapters.build_model import model_hash
from poseig_mm.adapters.lost_joints import lost_in_words
from poseig_mm.run.open import load_adapter

pytestmark = pytest.mark.usefixtures("mmpose_ready")
FAMILIES_OF_JOINT_WEIGHTS = ["heatmap-msra", "regression"]


def saved(family: str, folder: Path, joints: tuple[int, ...]) -> Path:
    """A checkpoint whose last layer has NaN in what these joints are made of."""
    state = tiny_model(family).state_dict()
    weight = [name for name in state if name.startswith("head.") and name.endswith(".weight")][-1]
    share = len(state[weight]) // K
    for k in joints:
        state[weight][k * share : (k + 1) * share] = torch.nan
    torch.save(state, folder / "w.pth")
    return folder / "w.pth"


@pytest.mark.parametrize("family", FAMILIES_OF_JOINT_WEIGHTS)
def test_the_other_joints_keep_their_predictions_and_gradients(family: str, tmp_path: Path) -> None:
    """To the bit those of the whole model; the joint itself is NaN, where MMPose decodes it to some place."""
    assert family in FAMILIES
    whole = load_adapter(tiny_config(family), saved(family, tmp_path, ()))
    adapter = load_adapter(tiny_config(family), saved(family, tmp_path, (1,)))
    assert whole.lost is None
    assert adapter.lost is not None
    assert adapter.lost.tolist() == [k == 1 for k in range(K)]
    others = [k for k in range(K) if k != 1]
    images = adapter.example_input(2).requires_grad_()
    for found, expected in ((adapter.predict(images), whole.predict(images)),
                            (adapter(images).coords, whole(images).coords)):  # fmt: skip
        assert found[:, 1].isnan().all()
        assert torch.equal(found[:, others], expected[:, others])
    (own,), (theirs,) = (torch.autograd.grad(a(images).coords[:, others].sum(), images) for a in (adapter, whole))
    assert own.isfinite().all()
    assert torch.equal(own, theirs)


def test_weights_that_all_joints_hang_on(tmp_path: Path) -> None:
    """NaN in the backbone: every joint is lost."""
    state = tiny_model("heatmap-msra").state_dict()
    state["backbone.conv1.conv.weight"][0] = torch.nan
    torch.save(state, tmp_path / "w.pth")
    adapter = load_adapter(tiny_config("heatmap-msra"), tmp_path / "w.pth")
    assert adapter.lost is not None
    assert adapter.lost.all()
    assert adapter.predict(adapter.example_input()).isnan().all()


def test_a_model_that_is_given_is_not_changed() -> None:
    """A training's own weights stay as they are; the joint is marked all the same, and the others keep their maps."""
    model: Any = tiny_model("heatmap-msra")
    whole = load_adapter(copy.deepcopy(model))
    with torch.no_grad():
        model.head.final_layer.weight[2] = math.nan
    before = model_hash(model)
    adapter = load_adapter(model)
    images = adapter.example_input(2).requires_grad_()
    others = [k for k in range(K) if k != 2]
    (own,), (theirs,) = (torch.autograd.grad(a(images).coords[:, others].sum(), images) for a in (adapter, whole))
    assert torch.equal(own, theirs)
    assert own.abs().sum() > 0
    assert adapter.predict(images)[:, 2].isnan().all()
    assert f"1 of {K} joints have no prediction" in lost_in_words(adapter)
    assert adapter.keypoint_names[2] in lost_in_words(adapter)
    assert model_hash(model) == before
    assert adapter.lost is not None
    assert adapter.lost.tolist() == [k == 2 for k in range(K)]
    assert model.head.final_layer.weight[2].isnan().all()


WEIGHTS_OF_JOINT_1 = {
    "associative_embedding": {"head.final_layer.weight": [1], "head.final_layer.bias": [1]},
    "associative_embedding-udp": {"head.final_layer.weight": [1]},
    "dekr": {"head.displacement_conv_layers.3.weight": [2, 3]},
    "cid": {"head.gfd_module.heatmap_conv.weight": [1]},
    "yolox_pose": {f"head.head_module.out_kpt.{level}.weight": [2, 3] for level in range(3)},
    "rtmo": {"head.dcc.pose_to_kpts.0.weight": list(range(16, 32))},
}


@pytest.mark.parametrize("family", WEIGHTS_OF_JOINT_1)
def test_a_joint_of_a_model_that_finds_several_persons(family: str) -> None:
    """It is NaN in predictions and coordinates of whoever is bound; the others have finite gradients where they do in
    the whole model.
    """
    model, image = instance_model(family), instance_image()
    persons = load_adapter(copy.deepcopy(model)).bind(image).predict(image)
    with torch.no_grad():
        for name, rows in WEIGHTS_OF_JOINT_1[family].items():
            dict(model.named_parameters())[name][rows] = math.nan
    before = model_hash(model)
    adapter = load_adapter(model)
    assert model_hash(model) == before
    assert adapter.lost is not None
    assert adapter.lost.tolist() == [k == 1 or family == "rtmo" for k in range(K)]  # whose attention mixes all joints
    kept = ~adapter.lost
    for keypoints in (None, persons):
        bound = adapter.bind(image, keypoints)
        if not bound.matched:
            continue
        images = image.clone().requires_grad_()
        coords = bound(images).coords[0]
        assert coords.isfinite().all(-1).tolist() == kept.tolist()
        assert bound.predict(image)[0].isfinite().all(-1).tolist() == kept.tolist()
        if kept.any():
            (gradient,) = torch.autograd.grad(coords[kept].sum(), images)
            assert gradient.isfinite().all()
    assert adapter.bind(image).matched
