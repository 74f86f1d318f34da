"""I2L-MeshNet's second stage: joints of the lixels' mesh to MANO's parameters and mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_parts import Weights, bn, estimator, linear, load, random_weights
from poseig_hand_models.i2l_meshnet import I2LMeshNet
from poseig_hand_models.official import convert, i2l_meshnet_weights
from poseig_hand_models.skinning import ManoLayer
from poseig_hand_models.template import synthetic_hand
from scipy.spatial.transform import Rotation
from test_hand_i2l import SMALL, beside, forward, shapes
from torch import Tensor

from poseig_mm.errors import CheckpointError, ConfigError

HAND = synthetic_hand()
FACES = len(HAND.mano.faces)
SIZES = {**SMALL, "vertices": 778, "num_joints": 21}
INSIDE = "human_model_layer."
# MANO's 16 joints and five tips, to FreiHAND's order: as the official repository lists it
ORDER = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
TIPS = [745, 317, 445, 556, 673]


def released(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """A file of both stages, with the synthetic hand in MANO's place."""
    weights = random_weights({**shapes(**SIZES), **beside(778)}, dtype=dtype)
    weights["param_regressor.fc_shape.0.weight"] *= 0.05
    layer = ManoLayer(faces=FACES).to(dtype).fill(HAND.mano)
    return {**weights, **{f"{INSIDE}{k}": v for k, v in layer.state_dict().items()}}


def config(joints: str = "param", mano: str = "checkpoint") -> Any:
    backbone = dict(type="I2LMeshNet", joints=joints, mano=mano, faces=FACES, neurons=(16, 12), **SIZES)
    return estimator(backbone, dict(type="HandMeshHead", input_size=(64, 64), scale=1000.0), ("i2l_meshnet",))


def second_stage(w: Weights, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Joints, mm from the wrist, pose without the mean and shape, by names alone; rotations by scipy."""
    regressor = np.concatenate([HAND.mano.joint_regressor, np.eye(778)[TIPS]])[ORDER]
    x = (torch.from_numpy(regressor) @ cells).reshape(len(cells), 63)
    for i in (0, 3):
        x = bn(w, f"param_regressor.fc.{i + 1}", linear(w, f"param_regressor.fc.{i}", x)).relu()
    six = linear(w, "param_regressor.fc_pose.0", x).reshape(-1, 3, 2).numpy()
    shape = linear(w, "param_regressor.fc_shape.0", x)
    a = six[:, :, 0] / np.linalg.norm(six[:, :, 0], axis=1, keepdims=True)
    b = six[:, :, 1] - (a * six[:, :, 1]).sum(1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    pose = Rotation.from_matrix(np.stack([a, b, np.cross(a, b)], -1)).as_rotvec().reshape(-1, 48)
    full = pose + np.concatenate([np.zeros(3), HAND.mano.hands_mean])
    turns = torch.from_numpy(Rotation.from_rotvec(full.reshape(-1, 3)).as_matrix()).reshape(-1, 16, 3, 3)
    vertices, _ = ManoLayer(faces=FACES).double().fill(HAND.mano)(turns, shape)
    joints = torch.from_numpy(regressor) @ vertices * 1000
    return joints - joints[:, :1], torch.from_numpy(pose), shape


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_the_layout_is_the_backbones() -> None:
    """Full size: 63 numbers to 1024, 512, then 16 x 6 and 10, and MANO's arrays."""
    with torch.device("meta"):
        own = {k: tuple(v.shape) for k, v in I2LMeshNet("param").state_dict().items()}
    first = shapes(64, (3, 4, 6, 3), 64, 256, 778, 21)
    second = {k: v for k, v in own.items() if k not in first}
    assert {k: own[k] for k in first} == first
    unused = {f"{INSIDE}th_betas", f"{INSIDE}th_selected_comps"}
    assert second.keys() == beside(778).keys() - unused
    assert {k: v for k, v in second.items() if k.startswith(INSIDE)} == {
        k: v for k, v in beside(778).items() if k.startswith(INSIDE) and k not in unused
    }
    assert second["param_regressor.fc.0.weight"] == (1024, 63)
    assert second["param_regressor.fc_pose.0.weight"] == (96, 512)


def test_the_joints_are_those_of_the_definition(images: Tensor) -> None:
    """In mm from the wrist, of the posed mesh by the regressor; pose and shape beside them."""
    adapter = load(config())
    weights = released()
    adapter.model.double().load_state_dict(i2l_meshnet_weights(weights, adapter.model), strict=False)
    with torch.no_grad():
        coords = adapter(images).coords
        given = adapter.model.backbone(images)
        joints, pose, shape = second_stage(weights, forward(weights, images, SMALL)[0])
    assert adapter.unit == "mm"
    assert torch.allclose(coords, joints, atol=1e-6)
    assert coords.abs().max() > 20
    assert torch.allclose(given["pose"], pose, atol=1e-9)
    assert torch.allclose(given["shape"], shape, atol=1e-9)
    assert (coords[0] - coords[1]).abs().max() > 1e-3


def test_training_leaves_the_first_stage_alone(images: Tensor) -> None:
    """Its parameters get no gradient, those of the second all; in evaluation the whole function has one."""
    network = I2LMeshNet("param", mano="synthetic", neurons=(16, 12), **SIZES).double()
    images.requires_grad_()
    network.train()(images)["joints"].square().sum().backward()
    reached = {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert reached == {"param_regressor"}
    assert images.grad is None
    network.eval()(images)["joints"].square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0


def test_a_file_serves_either_stage(tmp_path: Path) -> None:
    """With 'param' all of it is placed; without, the second stage and MANO's arrays are left out, by whole names; a
    file without MANO's arrays needs the user's.
    """
    weights = released(torch.float32)
    torch.save({"network": {f"module.{k}": v for k, v in weights.items()}}, tmp_path / "snapshot_29.pth.tar")
    told: list[str] = []
    saved = convert("i2l_meshnet", tmp_path / "snapshot_29.pth.tar", tmp_path / "out.pth", config(), note=told.append)
    assert told == [f"left out, no part of MANO's mesh: {INSIDE}th_betas, {INSIDE}th_selected_comps"]
    placed = torch.load(saved, weights_only=True)["state_dict"]
    assert all(torch.equal(placed[f"backbone.{k}"], v) for k, v in weights.items() if f"backbone.{k}" in placed)
    assert placed.keys() == {f"backbone.{k}" for k in weights} - {
        f"backbone.{INSIDE}th_betas",
        f"backbone.{INSIDE}th_selected_comps",
    }
    for name in ("param_regressor.more", f"{INSIDE}th_more"):
        for joints in ("param", "pose_net"):
            with pytest.raises(CheckpointError, match=f"unexpected: {name}"):
                i2l_meshnet_weights({**weights, name: torch.zeros(1)}, load(config(joints)).model)
    bare = {k: v for k, v in weights.items() if not k.startswith(INSIDE)}
    model = load(config()).model
    with pytest.raises(CheckpointError, match=r"no MANO layer: give your MANO_RIGHT.pkl \(--mano\)"):
        i2l_meshnet_weights(bare, model)
    mine = i2l_meshnet_weights(bare, model, HAND.mano)[f"backbone.{INSIDE}th_v_template"]
    assert np.allclose(mine[0].numpy(), HAND.mano.v_template, atol=1e-6)
    with pytest.raises(ConfigError, match="takes the 21 of MANO's mesh"):
        I2LMeshNet("param", **{**SIZES, "num_joints": 5})
