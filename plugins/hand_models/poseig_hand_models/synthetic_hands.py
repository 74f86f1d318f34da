"""Drawn hands with all that is known of them: mesh, MANO's parameters, joints in space, mask.  For training without any
data set; the hand is `template.synthetic_hand`, whose numbers are MANO's and whose shape is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from poseig_mm.errors import ConfigError, did_you_mean

from .hand_camera import intrinsics, project
from .hand_entries import HandDataset, hand_entry
from .rotations import rotations_from_axis_angles
from .skinning import ManoLayer, mano_layer
from .template import synthetic_hand

from mmpose.registry import DATASETS  # isort: skip  (hand_entries prepares the environment)

__all__ = ["DrawnHand", "SyntheticMeshHands", "draw_hand"]

SPLITS = ("train", "val", "test")  # each its own seeds: no picture is in two of them
SIDE = 224  # px of a picture
CAMERA = intrinsics(480.0, 480.0, 111.5, 111.5)
UPRIGHT = np.array([0.0, 0.0, -np.pi / 2])  # fingers, along y in the mesh, to the right in the picture
MILLIMETRES = 1000.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnHand:
    """A picture and its truth; the camera's frame, mm; x to the right, y down, z away from it."""

    image: NDArray[np.uint8]  # (224, 224, 3) BGR
    mask: NDArray[np.bool_]  # (224, 224)
    joints: Floats  # (21, 3), FreiHAND's order
    vertices: Floats  # (778, 3)
    pose: Floats  # (48,), axis-angle without the mean pose
    shape: Floats  # (10,)


@lru_cache(maxsize=8)
def draw_hand(seed: tuple[int, ...]) -> DrawnHand:
    """The hand of a seed, always the same: turned, tilted and bent at random, before a ground of one colour.

    >>> hand = draw_hand((0, 0, 1))
    >>> hand.vertices.shape, bool(hand.mask.any() and not hand.mask.all())
    ((778, 3), True)
    """
    rng = np.random.default_rng(seed)
    layer = _layer()
    mean = layer.th_hands_mean[0].double().numpy()
    bent = rng.normal(0, 0.12, (15, 3)) + np.array([rng.uniform(-0.1, 0.5), 0, 0])
    pose = np.concatenate([UPRIGHT + rng.normal(0, (0.25, 0.25, 0.5)), bent.ravel() - mean])
    shape = rng.normal(0, 0.5, 10)
    full = torch.from_numpy(pose + np.concatenate([np.zeros(3), mean])).reshape(1, 16, 3)
    with torch.no_grad():
        mesh, skeleton = layer(rotations_from_axis_angles(full), torch.from_numpy(shape)[None])
    vertices, joints = (part[0].numpy() * MILLIMETRES for part in (mesh, skeleton))
    middle = (vertices.min(0) + vertices.max(0)) / 2
    place = np.array([*rng.uniform(-15, 15, 2), rng.uniform(560, 680)]) - middle
    image, mask = _drawn(vertices + place, rng)
    return DrawnHand(image, mask, joints + place, vertices + place, pose, shape)


@cache
def _layer() -> ManoLayer:
    return mano_layer("synthetic").double()


def _drawn(vertices: Floats, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Faces from the farthest to the nearest, each as bright as it faces the camera."""
    faces = synthetic_hand().mano.faces
    skin, ground = rng.uniform((110, 140, 180), (160, 190, 240)), rng.uniform(10, 110, 3)
    image = np.full((SIDE, SIDE, 3), ground, np.float32)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    corners, pixels = vertices[faces], project(vertices, CAMERA)[faces]  # (F, 3, 3), (F, 3, 2)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    light = 0.55 + 0.45 * np.abs(normals[:, 2]) / np.linalg.norm(normals, axis=1).clip(1e-9)
    for i in np.argsort(-corners[..., 2].mean(1)):
        outline = np.round(pixels[i]).astype(np.int32)
        cv2.fillConvexPoly(image, outline, (skin * light[i]).tolist())
        cv2.fillConvexPoly(mask, outline, (1,))
    image += rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask.astype(bool)


@DATASETS.register_module()
class SyntheticMeshHands(HandDataset):
    """Right hands of 778 vertices, drawn when they are asked for; entries: see `HandDataset`.

    Beside them `vertices_3d` (1, 778, 3), mm from the wrist, `mano_pose` (1, 48), axis-angle without the mean pose, and
    `mano_shape` (1, 10).

    Args:
        split: 'train', 'val' or 'test'.
        length: number of pictures.
        seed: another seed, other pictures in every split.
        masks, others: of `HandDataset`.

    Raises:
        ConfigError: an unknown split, or a length below 1.
    """

    NAME = "synthetic_mesh_hands"
    SOURCE = "It is drawn, from no file."

    def __init__(
        self, split: str = "train", length: int = 4096, seed: int = 0, masks: bool = True, **others: Any
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, which is unknown; {did_you_mean(split, SPLITS)}")
        if length < 1:
            raise ConfigError(f"length is {length}; expected at least one picture")
        self.split, self.length, self.seed = split, length, seed
        super().__init__("", masks, **others)

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a picture; a whole one in test mode, else its number alone."""
        return [self._entry(i) if self.test_mode else dict(id=i) for i in range(self.length)]

    def _hand(self, number: int) -> DrawnHand:
        return draw_hand((self.seed, SPLITS.index(self.split), number))

    def _entry(self, number: int) -> dict[str, Any]:
        hand = self._hand(number)
        pixels, wrist = project(hand.joints, CAMERA), hand.joints[:1]
        path = Path(f"{self.NAME}/{self.split}_{number:08d}.png")
        return {
            **hand_entry(path, number, hand.joints, pixels, CAMERA, (SIDE, SIDE)),
            "vertices_3d": (hand.vertices - wrist)[None].astype(np.float32),
            "mano_pose": hand.pose[None].astype(np.float32),
            "mano_shape": hand.shape[None].astype(np.float32),
        }

    def mask_of(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """The hand's pixels (224, 224)."""
        return self._hand(info["id"]).mask

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its picture, BGR as MMPose loads pictures."""
        info = super().get_data_info(idx)
        if "keypoints" not in info:
            info.update(self._entry(info["id"]))
        info["img"] = self._hand(info["id"]).image.copy()
        return info
