"""Drawn hands of a mesh, what losses compare with, and CMR's own losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.structures import PoseDataSample
from poseig_hand_models.cmr import CMR
from poseig_hand_models.cmr_head import CMRHead, joint_heatmaps
from poseig_hand_models.hand_camera import project, turn_of
from poseig_hand_models.hand_crops import GetHandBox, HandAffine
from poseig_hand_models.hand_targets import HandTargets
from poseig_hand_models.lixel_head import LixelMeshHead
from poseig_hand_models.rotations import rotations_from_axis_angles
from poseig_hand_models.skinning import mano_layer
from poseig_hand_models.synthetic_hands import CAMERA, SyntheticMeshHands
from poseig_hand_models.template import mesh_levels

from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    init_default_scope("mmpose")


def entry(number: int = 0, **settings: Any) -> dict[str, Any]:
    return SyntheticMeshHands(length=4, **settings).get_data_info(number)


def cropped(number: int = 0, degrees: float = 0.0, padding: float = 1.4) -> dict[str, Any]:
    boxed = GetHandBox("joints", padding)({**entry(number), "img_shape": (224, 224), "ori_shape": (224, 224)})
    return HandAffine((64, 64))({**boxed, "bbox_rotation": np.array([degrees])})


@pytest.mark.parametrize("test_mode", [False, True])
def test_what_is_known_of_a_drawn_hand_fits_together(test_mode: bool) -> None:
    """MANO's parameters make the mesh; joints project to keypoints; the hand is where the mask is, brighter or darker
    than the ground; numbers and splits differ, the same number is the same.
    """
    layer = mano_layer("synthetic").double()
    info = entry(1, test_mode=test_mode)
    pose = torch.from_numpy(info["mano_pose"]).double()
    full = pose + torch.cat([torch.zeros(1, 3).double(), layer.th_hands_mean], 1)
    vertices, joints = layer(
        rotations_from_axis_angles(full.reshape(1, 16, 3)), torch.from_numpy(info["mano_shape"]).double()
    )
    wrist = joints[:, :1]
    assert info["vertices_3d"] == pytest.approx(1000 * (vertices - wrist).numpy(), abs=1e-2)
    assert info["keypoints_3d"] == pytest.approx(1000 * (joints - wrist).numpy(), abs=1e-2)
    assert project(info["keypoints_3d"], info["camera"], info["root_3d"]) == pytest.approx(info["keypoints"], abs=1e-2)
    mask = rasterise(info["segmentation"], 224, 224).astype(bool)
    x, y = np.round(project(info["vertices_3d"], CAMERA, info["root_3d"])[0]).astype(int).T
    assert mask[y, x].mean() > 0.95
    ground = np.median(info["img"][~mask], axis=0)
    assert (np.abs(info["img"][mask] - ground).max(-1) > 20).mean() > 0.9
    assert (info["img"] == entry(1)["img"]).all()
    for other in (entry(0), entry(1, split="val"), entry(1, seed=1)):
        assert (info["keypoints"] != other["keypoints"]).any()
    with pytest.raises(ConfigError, match="'train'"):
        SyntheticMeshHands("trian")


@pytest.mark.parametrize("degrees", [0.0, 40.0])
def test_labels_are_in_the_input_s_frame(degrees: float) -> None:
    """Fractions and depth behind the wrist of joints and vertices, a mask of half the size; MANO's pose turns along."""
    crop = cropped(2, degrees)
    made = PackPoseInputs(meta_keys=())(HandTargets()(dict(crop)))["data_samples"]
    labels = made.gt_instance_labels
    pixels = project(crop["keypoints_3d"], crop["input_camera"], crop["root_3d"])
    assert labels.keypoint_labels.numpy() == pytest.approx(pixels / 64, abs=1e-4)
    assert labels.keypoint_weights.tolist() == [[1.0] * 21]
    assert labels.joints_image[..., :2].numpy() == pytest.approx(pixels / 64, abs=1e-4)
    assert labels.joints_image[..., 2].numpy() == pytest.approx(crop["keypoints_3d"][..., 2], abs=1e-3)
    mesh = labels.mesh_image[0].numpy()
    again = project(crop["vertices_3d"], crop["input_camera"], crop["root_3d"])[0] / 64
    inside = ((again >= 0) & (again < 1)).all(1)
    assert mesh[inside, :2] == pytest.approx(again[inside], abs=1e-4)
    assert np.isnan(mesh[~inside]).all()
    assert labels.hand_mask.shape == (1, 32, 32)
    cells = (again[inside] * 32).astype(int)
    assert labels.hand_mask[0].numpy()[cells[:, 1], cells[:, 0]].mean() > 0.8
    assert set(np.unique(np.round(labels.hand_mask.numpy(), 6))) > {0.0, 1.0}
    layer = mano_layer("synthetic").double()
    pose = torch.from_numpy(made.gt_instances.mano_pose).double()
    full = pose + torch.cat([torch.zeros(1, 3).double(), layer.th_hands_mean], 1)
    shape = torch.from_numpy(made.gt_instances.mano_shape).double()
    vertices, joints = layer(rotations_from_axis_angles(full.reshape(1, 16, 3)), shape)
    relative = 1000 * (vertices - joints[:, :1]).numpy()
    assert relative == pytest.approx(crop["vertices_3d"], abs=0.02)
    assert (np.abs(turn_of(crop["input_warp"]) - np.eye(3)).max() > 0.1) == (degrees != 0)


def test_what_leaves_the_input_has_no_labels() -> None:
    """A crop of half the hand: joints outside have weight 0 and no place; the losses stay numbers all the same."""
    crop = HandTargets()(cropped(2, padding=0.6))
    outside = crop["keypoint_weights"][0] == 0
    assert outside.any()
    assert (~outside).any()
    assert np.isnan(crop["joints_image"][0, outside]).all()
    assert np.isfinite(crop["joints_image"][0, ~outside]).all()
    assert np.isnan(crop["mesh_image"]).any()
    reader = LixelMeshHead((64, 64), size=16, regressor="synthetic", topology="synthetic")
    sample = PoseDataSample()
    labels = {name: torch.from_numpy(crop[name]) for name in ("joints_image", "mesh_image")}
    sample.gt_instance_labels = InstanceData(**labels)
    feats = {"mesh_image": torch.rand(1, 778, 3).requires_grad_(), "pose_image": torch.rand(1, 21, 3)}
    losses = reader.loss(feats, [sample])
    assert set(losses) == {"loss_mesh", "loss_joints", "loss_pose", "loss_normal", "loss_edge"}
    assert all(0 < value.item() < float("inf") for value in losses.values())
    sum(losses.values()).backward()
    assert feats["mesh_image"].grad.isfinite().all()
    with pytest.raises(DataError, match="behind HandAffine"):
        HandTargets()(entry())


def test_cmr_s_heatmaps() -> None:
    """Means of 2 x 2 pixels of a Gaussian of sigma 3.5 px, 13 px wide, around the joint's pixel; weight 0: none."""
    labels = torch.tensor([[[20.7 / 64, 33.2 / 48], [0.5, 0.5], [0.0, 0.0]]], dtype=torch.float64)
    heat = joint_heatmaps(labels, torch.tensor([[1.0, 0.0, 1.0]]), (64, 48))
    meant = np.zeros((24, 32))
    for row in range(24):
        for column in range(32):
            for y in (2 * row, 2 * row + 1):
                for x in (2 * column, 2 * column + 1):
                    if max(abs(x - 20), abs(y - 33)) <= 6:
                        meant[row, column] += np.exp(-((x - 20) ** 2 + (y - 33) ** 2) / (2 * 3.5**2)) / 4
    assert heat[0, 0].numpy() == pytest.approx(meant, abs=1e-12)
    assert heat[0, 1].abs().max() == 0
    assert heat[0, 2, 0, 0].item() == pytest.approx((1 + np.exp(-1 / 24.5)) ** 2 / 4)


@pytest.mark.parametrize(("variant", "maps", "masks"), [("g", 2, 1), ("sg", 2, 2), ("pg", 3, 1)])
def test_cmr_s_losses(variant: str, maps: int, masks: int) -> None:
    """10 x the cross entropy of each heatmap, 0.5 x that of each mask, L1 of each coarser mesh; early predictions
    count.  In evaluation the backbone gives what it always does.
    """
    torch.manual_seed(0)
    network = CMR("synthetic", variant, width=4, latent=10, decoder_channels=(8, 8, 12, 16), blocks=(1, 1, 1, 1))
    images = torch.randn(2, 3, 64, 64)
    feats = network.train()(images)
    assert (len(feats["heatmaps_all"]), len(feats["masks_all"])) == (maps, masks)
    levels = mesh_levels("synthetic")
    assert [len(v[0]) for v in (feats["vertices"], *feats["levels"])] == list(levels.counts[:4])
    crops = [HandTargets()(cropped(i)) for i in (0, 1)]
    samples = [PackPoseInputs(meta_keys=())(crop)["data_samples"] for crop in crops]
    head = CMRHead((64, 64), scale=200.0, regressor="synthetic", topology="synthetic")
    losses = head.loss(feats, samples)
    labels, mask = (torch.cat([s.gt_instance_labels[n] for s in samples]) for n in ("keypoint_labels", "hand_mask"))
    target = joint_heatmaps(labels, torch.ones(2, 21), (64, 64))

    def entropy(p: Any, t: Any) -> Any:
        return -(t * p.log() + (1 - t) * (1 - p).log()).mean()

    meant = 10 * sum(entropy(m, target) for m in feats["heatmaps_all"])
    assert losses["loss_heatmaps"].item() == pytest.approx(meant.item(), rel=1e-4)
    assert losses["loss_masks"].item() == pytest.approx(
        0.5 * sum(entropy(m, mask) for m in feats["masks_all"]).item(), rel=1e-4
    )
    truth = np.concatenate([s.gt_instances.vertices_3d for s in samples]) / 200
    away = []
    for down, level in zip(levels.down, feats["levels"], strict=False):
        truth = np.stack([down @ v for v in truth])
        away.append(np.abs(level.detach().numpy() - truth).mean())
    assert losses["loss_levels"].item() == pytest.approx(sum(away), rel=1e-4)
    assert "loss_uv" not in losses
    sum(losses.values()).backward()
    unused = {n for n, p in network.named_parameters() if p.grad is None}
    assert all("fc." in name for name in unused)  # codes of encoders that no mesh is made of
    assert set(network.eval()(images)) == {"uv", "uv_decided", "heatmaps", "vertices"}
    halved = CMRHead((64, 64), scale=200.0, topology="synthetic", loss_weights=dict(masks=0.25, vertices=2.0))
    again = halved.loss(feats, samples)
    assert again["loss_masks"].item() == pytest.approx(losses["loss_masks"].item() / 2)
    with pytest.raises(ConfigError, match="loss_weights name mask"):
        CMRHead((64, 64), loss_weights=dict(mask=1.0))
