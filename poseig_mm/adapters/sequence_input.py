"""MMPose's lifting models: what they take instead of images, and how it is laid out.

Everywhere else in this package their input is a picture (B, C, T, K): row = frame, column = joint, channels (x, y), and
the joint's confidence where the codec adds it.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ..errors import AdapterError, ShapeError
from .heads import coordinate_head

CODECS = ("ImagePoseLifting", "VideoPoseLifting", "MotionBERTLabel")


def is_lifter(model: Any) -> bool:
    """Whether a model takes sequences of 2D poses: its head's codec is one of MMPose's for lifting."""
    codec = getattr(coordinate_head(model), "decoder", None)
    return any(cls.__name__ in CODECS for cls in type(codec).__mro__)


def sequence_shape(model: Any) -> tuple[int, int, int]:
    """(C, T, K) of a lifting model's input: channels, frames, joints.

    T is as many frames as a temporal convolutional network (TCN) sees for one pose, or the most a transformer takes.

    Raises:
        AdapterError: the backbone is neither.
    """
    backbone, joints = model.backbone, int(coordinate_head(model).decoder.num_keypoints)
    if (kernels := getattr(backbone, "kernel_sizes", None)) is not None:
        return int(backbone.in_channels) // joints, math.prod(int(k) for k in kernels), joints
    if (embedding := getattr(backbone, "temp_embed", None)) is not None:
        return int(backbone.in_channels), int(embedding.shape[1]), joints
    raise AdapterError(
        f"the number of frames that {type(backbone).__name__} takes is not known here; expected MMPose's TCN or "
        "DSTFormer. Write an adapter with a find_input_size() of its own (docs/plugins.md)"
    )


def pose_features(model: Any, images: Tensor) -> Any:
    """Features for the head that gives the pose, of sequences (B, C, T, K); the trajectory's are left out.

    Raises:
        ShapeError: a number of channels, frames or joints that the model does not take.
    """
    channels, frames, joints = sequence_shape(model)
    convolutional = hasattr(model.backbone, "kernel_sizes")
    wrong = images.shape[2] != frames if convolutional else images.shape[2] > frames
    if images.shape[1] != channels or images.shape[3] != joints or wrong:
        limit = "" if convolutional else "at most "
        raise ShapeError(
            f"sequences have shape {tuple(images.shape)}; the model takes (B, C, T, K) = (B, {channels}, "
            f"{limit}{frames}, "
            f"{joints}). The number of frames is seq_len or multiple_target of the config's data set"
        )
    # (B, K * C, T) for convolutions over time, (B, T, K, C) for transformers: as MMPose's codecs lay them out
    inputs = images.permute(0, 3, 1, 2).flatten(1, 2) if convolutional else images.permute(0, 2, 3, 1)
    features = model.extract_feat(inputs)
    return features[0] if model.with_traj else features
