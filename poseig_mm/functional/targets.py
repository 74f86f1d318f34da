"""What is differentiated: one scalar a joint, for the joints that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import AttributionError, ShapeError
from .likelihood import Likelihood, resolve_likelihood

CoordsFn = Callable[[Tensor], Tensor]


def check_inputs(
    images: Tensor, keypoints: Tensor, contrast: Tensor | None, joints: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Keypoints like the images, which joints to compute (B, K), and which have finite references (B, K)."""
    if images.ndim != 4:
        raise ShapeError(f"images have shape {tuple(images.shape)}; expected (B, C, H, W)")
    if keypoints.ndim != 3 or len(keypoints) != len(images):
        raise ShapeError(f"keypoints have shape {tuple(keypoints.shape)}; expected (B, K, D) with B = {len(images)}")
    if contrast is not None and contrast.shape != keypoints.shape:
        raise ShapeError(
            f"contrast has shape {tuple(contrast.shape)}; expected that of keypoints, {tuple(keypoints.shape)}"
        )
    if joints is not None and joints.shape != keypoints.shape[:2]:
        raise ShapeError(f"joints has shape {tuple(joints.shape)}; expected (B, K) = {tuple(keypoints.shape[:2])}")
    if not images.isfinite().all():
        raise AttributionError("the images hold NaN or infinite values; check the data preprocessor and the files")
    keypoints = keypoints.to(images)
    finite = keypoints.isfinite().all(-1)
    if contrast is not None:
        finite = finite & contrast.to(keypoints).isfinite().all(-1)
    return keypoints, finite if joints is None else finite & joints.to(finite.device), finite


def make_target(
    likelihood: str | Likelihood, settings: dict[str, Any] | None, keypoints: Tensor, contrast: Tensor | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The scalar of each joint: (coords (n, K, D), index of each one's image (n,)) -> (n, K)."""
    function, settings = resolve_likelihood(likelihood), settings or {}
    here = keypoints.nan_to_num()  # joints without a finite keypoint are never asked for
    there = None if contrast is None else contrast.to(keypoints).nan_to_num()  # NaN times a zero cotangent is NaN

    def target(coords: Tensor, index: Tensor) -> Tensor:
        if coords.shape[1:] != here.shape[1:]:
            raise ShapeError(
                f"the model gives coordinates of shape (B, K, D) = {tuple(coords.shape)}, the keypoints are (K, D) = "
                f"{tuple(here.shape[1:])}; use the annotations and metainfo of the data set the model was made for"
            )
        value: Tensor = function(coords, here[index], **settings)
        return value if there is None else value - function(coords, there[index], **settings)

    return target


class Slot(NamedTuple):
    """One backward pass: a joint of each image that has one left."""

    images: Tensor  # (R,) indices of these images
    joints: Tensor  # (R,) the joint of each
    whole: bool  # whether these are all images, in their order


def joint_slots(asked: Tensor) -> list[Slot]:
    """Backward passes for joints that are asked for, (B, K) bool: slot s holds, for each image, its s-th such joint.

    >>> asked = torch.tensor([[True, False, True], [False, True, False]])
    >>> [(slot.images.tolist(), slot.joints.tolist()) for slot in joint_slots(asked)]
    [([0, 1], [0, 1]), ([0], [2])]
    """
    order = [torch.nonzero(row).flatten().tolist() for row in asked.cpu()]
    slots = []
    for s in range(max((len(o) for o in order), default=0)):
        images = [b for b, o in enumerate(order) if s < len(o)]
        chosen = torch.tensor([images, [order[b][s] for b in images]], device=asked.device)
        slots.append(Slot(chosen[0], chosen[1], len(images) == len(order)))
    return slots
