"""Small lifting models of each kind, a linear one whose attribution is known, and a walk of ten frames in H36M's
form.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from torch import Tensor

from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.registry import MODELS  # noqa: E402

K, FRAMES, WIDTH, HEIGHT = 17, 10, 1000, 1002
FOCAL, CENTRE = np.array([1100.0, 1120.0]), np.array([510.0, 490.0])
KINDS = ("image", "image_whole", "video", "video_strided", "semi", "motion")


@MODELS.register_module()
class AsItIs(BaseModule):
    """(B, K * C, T) -> (B, K * C * T, 1): with the head's convolution the model is linear."""

    def __init__(self, in_channels: int, frames: int) -> None:
        super().__init__()
        self.in_channels, self.kernel_sizes, self.causal = in_channels, (frames,), False

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x.flatten(1)[..., None],)


def codec_of(kind: str) -> dict[str, Any]:
    """The codec's config; numbers of the normalisations are random, the same each time."""
    random = np.random.default_rng(1)
    if kind.startswith("image"):
        whole = kind == "image_whole"
        stats = {
            "keypoints_mean": random.uniform(400, 600, (K, 2)).tolist(),
            "keypoints_std": random.uniform(60, 120, (K, 2)).tolist(),
            "target_mean": random.normal(0, 0.3, (K - (not whole), 3)).tolist(),
            "target_std": random.uniform(0.1, 0.3, (K - (not whole), 3)).tolist(),
        }
        return {"type": "ImagePoseLifting", "num_keypoints": K, "root_index": 0, "remove_root": not whole, **stats}
    if kind == "motion":
        return {"type": "MotionBERTLabel", "num_keypoints": K, "concat_vis": True, "rootrel": True}
    return {"type": "VideoPoseLifting", "num_keypoints": K, "zero_center": True, "root_index": 0, "remove_root": False}


def model_of(kind: str) -> dict[str, Any]:
    """The model's config."""
    codec = codec_of(kind)
    if kind == "motion":
        backbone: dict[str, Any] = {"type": "DSTFormer", "in_channels": 3, "feat_size": 16, "depth": 1, "num_heads": 2,
                                    "mlp_ratio": 2, "seq_len": 5}  # fmt: skip
        head: dict[str, Any] = {"type": "MotionRegressionHead", "in_channels": 16, "embedding_size": 16}
        head |= {"loss": {"type": "MPJPEVelocityJointLoss"}, "decoder": codec}
        return {"type": "PoseLifter", "backbone": backbone, "head": head, "test_cfg": {"flip_test": True}}
    head = {"type": "TemporalRegressionHead", "num_joints": K - (kind == "image"), "decoder": codec}
    head["loss"] = {"type": "MSELoss"}
    if kind == "linear":
        return {"type": "PoseLifter", "backbone": {"type": "AsItIs", "in_channels": 2 * K, "frames": 3},
                "head": {**head, "in_channels": 2 * K * 3}}  # fmt: skip
    kernels = (1, 1) if kind.startswith("image") else (3, 3)
    backbone = {"type": "TCN", "in_channels": 2 * K, "stem_channels": 8, "num_blocks": 1, "kernel_sizes": kernels}
    backbone["use_stride_conv"] = kind == "video_strided"
    model = {"type": "PoseLifter", "backbone": backbone, "head": {**head, "in_channels": 8}}
    if kind == "semi":
        trajectory = {"type": "TrajectoryRegressionHead", "in_channels": 8, "num_joints": 1, "decoder": codec,
                      "loss": {"type": "MPJPELoss", "use_target_weight": True}}  # fmt: skip
        model |= {"traj_backbone": dict(backbone), "traj_head": trajectory}
    return model


def frames_of(kind: str) -> int:
    """How many frames the model is given."""
    return {"image": 1, "image_whole": 1, "motion": 5, "linear": 3}.get(kind, 9)


def build(kind: str) -> Any:
    """The model, its weights random but for a batch norm that has seen something."""
    from mmengine.registry import DefaultScope

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(model_of(kind)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
        if kind == "motion" and isinstance(module, torch.nn.Linear):  # MMPose's small initial weights make maps flat
            torch.nn.init.normal_(module.weight, std=0.3)
    return model


def poses() -> tuple[Any, Any]:
    """(10, 17, 3) metres in the camera's frame, and where they are seen, (10, 17, 2) px: a walk to the right."""
    random = np.random.default_rng(3)
    still = random.normal(0, 0.4, (K, 3)) + np.array([0, 0, 5])
    step = np.array([0.03, 0.01, -0.02])  # metres
    space = still + np.arange(FRAMES)[:, None, None] * step + random.normal(0, 0.02, (FRAMES, K, 3))
    return space, space[..., :2] / space[..., 2:] * FOCAL + CENTRE


def write(folder: Path) -> None:
    """`walk.npz` and `cameras.pkl`, as MMPose's Human36mDataset reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    space, seen = poses()
    ones = np.ones((FRAMES, K, 1))
    names = [f"S9_Walking.54138969_{i:06d}.jpg" for i in range(1, FRAMES + 1)]
    np.savez(
        folder / "walk.npz", imgname=np.array(names), S=np.concatenate([space, ones], -1),
        part=np.concatenate([seen, ones], -1), center=np.zeros((FRAMES, 2)), scale=np.ones(FRAMES),
    )  # fmt: skip
    camera = {"R": np.eye(3), "T": np.zeros((3, 1)), "c": CENTRE[:, None], "f": FOCAL[:, None], "k": np.zeros((3, 1)),
              "p": np.zeros((2, 1)), "w": WIDTH, "h": HEIGHT, "name": "camera1", "id": "54138969"}  # fmt: skip
    (folder / "cameras.pkl").write_bytes(pickle.dumps({("S9", "54138969"): camera}))


def config(kind: str, folder: Path, diagnosis: dict[str, Any] | None = None) -> Config:
    """A config over the walk; call `write` first."""
    keys = ("id", "category_id", "target_img_path", "flip_indices", "target_root", "factor", "camera_param")
    sequence = {"seq_len": 1, "multiple_target": frames_of(kind)} if kind == "motion" else {"seq_len": frames_of(kind)}
    if kind != "motion":
        sequence |= {"pad_video_seq": True, "causal": False}
    dataset = {
        **{"type": "Human36mDataset", "data_root": f"{folder}/", "ann_file": "walk.npz", "data_prefix": {"img": ""}},
        **{"camera_param_file": "cameras.pkl", "test_mode": True, **sequence},
        "pipeline": [
            {"type": "GenerateTarget", "encoder": codec_of(kind)},
            {"type": "PackPoseInputs", "meta_keys": keys},
        ],
    }
    found = {
        "default_scope": "mmpose",
        "model": model_of(kind),
        "test_dataloader": {"batch_size": 1, "dataset": dataset},
    }
    settings = {"report": {"enabled": False}, "indices": ["di", "fi", "li", "ri"], **(diagnosis or {})}
    return Config({**found, "diagnosis": settings})
