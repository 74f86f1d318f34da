"""Tiny data sets in the layouts of FreiHAND v2 and DexYCB, drawn: joints as coloured dots on a hand-shaped blob."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FREIHAND_K = np.array([[480.0, 0, 112.0], [0, 479.0, 111.0], [0, 0, 1]])
DEXYCB_K = dict(fx=615.0, fy=614.0, ppx=322.5, ppy=237.25)
DOT = (40, 220, 90)  # BGR of the fingertip of the index finger
TIP = 8


def hand(seed: int, wrist: tuple[float, float, float]) -> np.ndarray:
    """(21, 3) m: a fan of five fingers from the wrist, up and to the sides."""
    rng = np.random.default_rng(seed)
    joints = [np.zeros(3)]
    for finger, angle in enumerate(np.deg2rad([-60, -25, -5, 12, 30])):
        along = np.array([np.sin(angle), -np.cos(angle), 0.1 * rng.normal()])
        joints += [along * r for r in np.array([0.05, 0.075, 0.095, 0.11]) * (0.8 + 0.05 * finger)]
    return np.array(joints) + wrist


def pixels(joints: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The plain projection, written out."""
    return np.array([[k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]] for x, y, z in joints])


def blob(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 0 / 255: the hull of the joints, and a bit more."""
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    return cv2.dilate(mask, np.ones((9, 9), np.uint8))


def picture(points: np.ndarray, size: tuple[int, int], shade: int) -> np.ndarray:
    """(H, W, 3) BGR: a dark ground of a shade, the hand lighter, one fingertip coloured."""
    image = np.full((size[1], size[0], 3), shade, np.uint8)
    image[blob(points, size) > 0] = 150
    cv2.circle(image, tuple(np.round(points[TIP]).astype(int).tolist()), 5, DOT, -1)
    return image


def write_freihand(root: Path, count: int = 2, evaluation: bool = True) -> dict[str, list[np.ndarray]]:
    """`count` annotations, four versions of pictures, and as many evaluation pictures; joints (21, 3) m by split."""
    truth: dict[str, list[np.ndarray]] = {}
    for split, first in (("training", 0), ("evaluation", 100))[: 2 if evaluation else 1]:
        joints = [hand(first + i, (0.01 * i, 0.05, 0.7 + 0.02 * i)) for i in range(count)]
        truth[split] = joints
        vertices = [np.concatenate([j, j + 0.002]).tolist() for j in joints]
        contents: dict[str, Any] = {
            "xyz": [j.tolist() for j in joints],
            "K": [FREIHAND_K.tolist()] * count,
            "scale": [0.025 + 0.001 * i for i in range(count)],
            "verts": vertices,
        }
        for name, content in contents.items():
            (root / f"{split}_{name}.json").write_text(json.dumps(content))
        masks = root / split / ("mask" if split == "training" else "segmap")
        for folder in (root / split / "rgb", masks):
            folder.mkdir(parents=True)
        for version in range(4 if split == "training" else 1):
            for i, j in enumerate(joints):
                image = picture(pixels(j, FREIHAND_K), (224, 224), 10 + 20 * version)
                cv2.imwrite(str(root / split / "rgb" / f"{i + count * version:08d}.jpg"), image)
        for i, j in enumerate(joints):
            mask = blob(pixels(j, FREIHAND_K), (224, 224))
            if split == "training":
                cv2.imwrite(str(masks / f"{i:08d}.jpg"), mask)
            else:  # parts are numbered: any above 0 is the hand
                cv2.imwrite(str(masks / f"{i:08d}.png"), (mask > 0) * np.uint8(1 + i))
    return truth


def write_dexycb(
    root: Path,
    subjects: Iterable[str],
    serials: Iterable[str],
    frames: dict[int, int],
    sides: dict[int, str] | None = None,
    absent: Iterable[tuple[int, int]] = (),
) -> dict[str, np.ndarray]:
    """100 sequences of each subject; joints (1, 21, 3) m by 'subject/sequence/serial/frame'.

    Args:
        frames: number of frames by position of a sequence; others have none.
        sides: by position of a sequence; others are right.
        absent: (sequence, frame) without a hand.
    """
    truth: dict[str, np.ndarray] = {}
    serials = list(serials)
    k = np.array([[DEXYCB_K["fx"], 0, DEXYCB_K["ppx"]], [0, DEXYCB_K["fy"], DEXYCB_K["ppy"]], [0, 0, 1]])
    calibration = root / "calibration" / "intrinsics"
    calibration.mkdir(parents=True)
    for serial in serials:
        lines = "".join(f"  {name}: {value}\n" for name, value in DEXYCB_K.items())
        (calibration / f"{serial}_640x480.yml").write_text(f"color:\n{lines}depth:\n  fx: 1.0\n")
    for subject in subjects:
        for i in range(100):
            sequence = root / subject / f"{subject[:8]}_{i:06d}"
            sequence.mkdir(parents=True)
            side = (sides or {}).get(i, "right")
            meta = f"num_frames: {frames.get(i, 0)}\nmano_sides:\n- {side}\nycb_ids:\n- 3\n"
            (sequence / "meta.yml").write_text(meta)
            for c, serial in enumerate(serials if frames.get(i) else ()):
                for frame in range(frames[i]):
                    there = (i, frame) not in set(absent)
                    key = f"{subject}/{sequence.name}/{serial}/{frame}"
                    truth[key] = _dexycb_frame(sequence / serial, frame, c, k, side, there)
    return truth


def _dexycb_frame(folder: Path, frame: int, camera: int, k: np.ndarray, side: str, there: bool) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    joints = hand(frame, (0.05 + 0.02 * camera, 0.03, 0.8))
    if side == "left":
        joints = joints * [-1, 1, 1]
    points = pixels(joints, k)
    seg = np.zeros((480, 640), np.uint8)
    seg[300:420, 100:500] = 3  # an object
    seg[blob(points, (640, 480)) > 0] = 255
    cv2.imwrite(str(folder / f"color_{frame:06d}.jpg"), picture(points, (640, 480), 20))
    if not there:
        seg[seg == 255] = 0
        joints, points = np.full((21, 3), -1.0), np.full((21, 2), -1.0)
    labels = dict(seg=seg, joint_3d=joints[None].astype(np.float32), joint_2d=points[None].astype(np.float32))
    np.savez_compressed(folder / f"labels_{frame:06d}.npz", **labels, pose_m=np.zeros((1, 51), np.float32))
    return joints


def source(dataset: dict[str, Any], **options: Any) -> Any:
    """`SampleSource` over a data set's config."""
    from mmengine.config import Config
    from mmpose.registry import MODELS

    from poseig_mm.data.samples import SampleSource

    preprocessor = dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True)
    config = Config(dict(test_dataloader=dict(dataset=dataset)))
    return SampleSource(config, preprocess=MODELS.build(preprocessor), **options)
