"""Weights that are NaN cost the joints that they reach, and no other; the reason is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import FAMILIES, K, tiny_config, tiny_model

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
    """A training's own weights stay as they are; the joint is marked all the same."""
    model: Any = tiny_model("heatmap-msra")
    with torch.no_grad():
        model.head.final_layer.weight[2] = math.nan
    adapter = load_adapter(model)
    assert adapter.lost is not None
    assert adapter.lost.tolist() == [k == 2 for k in range(K)]
    assert model.head.final_layer.weight[2].isnan().all()
