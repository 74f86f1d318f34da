"""Poses in space from sequences of 2D poses (PoseLifter): VideoPose3D, SimpleBaseline3D, MotionBERT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import AdapterError, ConfigError, DataError
from ..types import Coordinates
from .base import CoordinateAdapter
from .heads import coordinate_head
from .sequence_input import is_lifter, pose_features, sequence_shape
from .truth import truth_in_space

MM = 1000.0  # of MMPose's poses, which are in metres
TRIED = 27  # frames of a transformer's example: cost grows with their square
TOKENS = 8192  # joints in a transformer's forward pass: about 4 GB with its graph


class LiftingAdapter(CoordinateAdapter):
    """Joints (B, K, 3) of one frame, relative to the root.  Arguments: `CoordinateAdapter`.

    The frame is the one that the model answers for; of models that answer for all (MotionBERT), the middle one.  Axes
    are the data set's (H36M: the camera's, x to the right, y down, z away).  Unit: mm; MotionBERT's own is half the
    image's width, in which it sees 2D poses too (MMPose makes metres of it with each video's camera).  A root that is 0
    by definition has no gradient.

    The default path is linear from the mean pose: the codec's, else that of the run's first persons, else the middle of
    the image.

    Raises:
        AdapterError: the head has no codec for lifting.
    """

    name = "lifting"
    head_types = ("TemporalRegressionHead", "MotionRegressionHead")
    takes_images = False
    default_path = "linear"

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        if not is_lifter(model):
            raise AdapterError(
                f"{type(coordinate_head(model)).__name__} has the codec "
                f"{type(getattr(coordinate_head(model), 'decoder', None)).__name__}; expected one for lifting: set "
                "`decoder` in the config's head to ImagePoseLifting, VideoPoseLifting or MotionBERTLabel"
            )
        self.codec = coordinate_head(model).decoder
        super().__init__(model, beta=beta, metainfo=metainfo)
        roots = self.codec.root_index
        self.roots: list[int] = [int(roots)] if isinstance(roots, int) else [int(r) for r in roots]
        self.every_frame = hasattr(self.codec, "rootrel")  # MotionBERTLabel
        self.unit = "w/2" if self.every_frame else "mm"
        self.relative = self.every_frame or bool(getattr(self.codec, "zero_center", True))
        self.most_at_once = max(1, TOKENS // (self.input_size[0] * self.input_size[1])) if self.every_frame else None
        channels, _, joints = sequence_shape(model)
        self.baseline = torch.zeros(1, channels, 1, joints)

    def find_input_size(self) -> tuple[int, int]:
        """(joints, frames)."""
        _, frames, joints = sequence_shape(self.model)
        return joints, frames

    def count_joints(self) -> int:
        """The root counts too, where the head leaves it out."""
        return int(self.codec.num_keypoints)

    def features(self, images: Tensor) -> Any:
        """Of sequences (B, C, T, K), see `sequences`."""
        return pose_features(self.model, images.clone())  # the model may change its input in place

    def decode(self, output: Any) -> Coordinates:
        """(B, K or K - 1, 3), or (B, T, K, 3) for every frame -> (B, K, 3) in `unit`, relative to the root."""
        if self.every_frame:
            points = output[:, output.shape[1] // 2]
            if self.codec.rootrel:  # MMPose puts joint 0 there before it takes the root off
                points = torch.cat([torch.zeros_like(points[:, :1]), points[:, 1:]], 1)
            return Coordinates(points - points[:, self.roots].mean(1, keepdim=True))
        if getattr(self.codec, "target_mean", None) is not None:
            output = output * output.new_tensor(self.codec.target_std) + output.new_tensor(self.codec.target_mean)
        if self._root_is_left_out():
            at = self.roots[0]
            output = torch.cat([output[:, :at], torch.zeros_like(output[:, :1]), output[:, at:]], 1)
        return Coordinates(output * MM)

    def own_decoding(self, feats: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """The head's `predict`, told that the root is at 0: (B, K, 3) in `unit`; every joint is decided."""
        from mmpose.structures import PoseDataSample

        root = {"target_root": np.zeros((1, 3), np.float32)} if self.relative and not self.every_frame else {}
        samples = [PoseDataSample(metainfo=root) for _ in images]
        predicted = self.head.predict(feats, samples, test_cfg=self.test_cfg())
        frames = [torch.as_tensor(i.keypoints).reshape(-1, self.count_joints(), 3) for i in predicted]  # (1 or T, K, 3)
        points = torch.stack([each[len(each) // 2] for each in frames]).to(images) * MM
        return points, torch.ones_like(points[..., 0], dtype=torch.bool)

    @property
    def threshold(self) -> float:
        """How near is near enough in `calibrate`: 1 mm, or what is about as much of half an image's width."""
        return 0.001 if self.every_frame else 1.0

    def truth(self, data_sample: Any) -> tuple[Tensor, Tensor]:
        """MMPose's `lifting_target` of the frame that `decode` gives, in `unit`.

        Raises:
            DataError: it is not there, or not in the codec's form.
        """
        instances = data_sample.gt_instances
        if "lifting_target" not in instances:
            return truth_in_space(data_sample)  # says what is there
        points = torch.as_tensor(np.asarray(instances.lifting_target), dtype=torch.float32)  # (T, K, 3)
        visible = torch.as_tensor(np.asarray(instances.lifting_target_visible)).reshape(points.shape[:2]) > 0
        frame = len(points) // 2
        if self.every_frame:
            return points[frame] * self._per_metre(data_sample, frame), visible[frame]
        root = points[frame, self.roots].mean(0, keepdim=True) if self.relative else 0.0
        return (points[frame] - root) * MM, visible[frame]

    def prepare(self, images: Tensor) -> None:
        """Take the mean pose of (B, C, T, K) as the baseline, unless all frames are the same."""
        if len(images) and bool((images != images[:1, :, :1]).any()):
            self.baseline = images.mean((0, 2), keepdim=True).cpu().float()
            if getattr(self.codec, "keypoints_mean", None) is not None:
                self.baseline[:, :2] = 0  # the codec has taken it off

    def joint_regions(self, size: tuple[int, int]) -> Tensor:
        """(K, T, K): joint m is column m, in all frames; RI(k -> m) is then K times the share of m in k's map."""
        return torch.eye(size[1])[:, None].expand(-1, size[0], -1)

    def pixel_range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Nothing is black or white here; the middle and the right or lower edge of the image."""
        return (0.0,), (1.0,)

    def example_input(self, batch: int = 1, seed: int = 0) -> Tensor:
        """Random poses (B, C, T, K), each joint seen; not all of the frames that a transformer could take."""
        channels, frames, joints = sequence_shape(self.model)
        frames = min(frames, TRIED) if self.every_frame else frames
        poses = torch.randn(batch, channels, frames, joints, generator=torch.Generator().manual_seed(seed))
        poses[:, 2:] = 1
        return poses

    def preprocess_file(self, path: str | Path) -> Tensor:
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"baseline {path} is an image, but the model's input is a sequence of 2D poses; leave it out")

    def _root_is_left_out(self) -> bool:
        return self.relative and bool(self.codec.remove_root) and len(self.roots) == 1

    def _per_metre(self, data_sample: Any, frame: int) -> float:
        """Half image widths a metre at the root's distance: what MotionBERT's codec multiplied by, undone."""
        about = data_sample.metainfo
        if "factor" not in about or "w" not in about.get("camera_param", {}):
            raise DataError(
                f"the data sample says {', '.join(sorted(about)) or 'nothing'} of itself; expected factor and "
                "camera_param with the image's width: name both in meta_keys of PackPoseInputs, and give the data set "
                "a camera_param_file"
            )
        factor = float(np.asarray(about["factor"]).reshape(-1)[frame])  # metres a thousand px
        return MM / factor / (float(about["camera_param"]["w"]) / 2)
