"""Joints of a hand before a pinhole camera: projection, the mirrored hand, the turned hand.

Frame: the camera at the origin, x to the right, y down, z away; lengths in mm.  K is (3, 3), px, pixel centres at
    integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["intrinsics", "mirror_camera", "mirror_pixels", "mirror_points", "project", "turn_of"]

Array = NDArray[Any]


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> Array:
    """K (3, 3) of focal lengths and principal point, px."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def project(points: Array, camera: Array, root: Array | Sequence[float] = (0.0, 0.0, 0.0)) -> Array:
    """Where points appear in the picture.

    Args:
        points: (..., K, 3) mm, relative to `root`.
        camera: (..., 3, 3) K.
        root: (..., 3) mm, where the points' origin is in the camera's frame; the data sets' `root_3d`.

    Returns:
        (..., K, 2) px (x, y); NaN for what is not before the camera.

    >>> points = np.array([[0.0, 10.0, 0.0], [0.0, 0.0, -600.0]])
    >>> project(points, intrinsics(270, 270, 64, 64), (0.0, 0.0, 540.0)).tolist()
    [[64.0, 69.0], [nan, nan]]
    """
    there = np.asarray(points, np.float64) + np.asarray(root, np.float64)[..., None, :]
    pixels = there @ np.swapaxes(np.asarray(camera, np.float64), -1, -2)
    depth = np.where(there[..., 2:] > 0, pixels[..., 2:], np.nan)
    found: Array = pixels[..., :2] / depth
    return found


def mirror_pixels(pixels: Array, width: int) -> Array:
    """(..., 2) px in the picture mirrored left to right: pixel 0 becomes pixel `width` - 1.

    >>> mirror_pixels(np.array([0.0, 7.0]), 640).tolist()
    [639.0, 7.0]
    """
    return np.stack([width - 1 - pixels[..., 0], pixels[..., 1]], -1)


def mirror_points(points: Array) -> Array:
    """(..., 3) mm of the hand in the mirrored picture: x changes its sign."""
    mirrored: Array = points * np.array([-1, 1, 1], points.dtype)
    return mirrored


def mirror_camera(camera: Array, width: int) -> Array:
    """K (..., 3, 3) that projects mirrored points into the mirrored picture.

    >>> mirror_camera(intrinsics(600, 600, 300, 240), 640)[0].tolist()
    [600.0, 0.0, 339.0]
    """
    picture = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], camera.dtype)
    mirrored: Array = picture @ camera @ np.diag([-1, 1, 1]).astype(camera.dtype)
    return mirrored


def turn_of(warp: Array) -> Array:
    """The rotation (3, 3) about the optical axis by which an affine map (2, 3) of the picture turns what is in it.

    >>> turn_of(np.array([[0.0, -2.0, 5.0], [2.0, 0.0, 7.0]])).tolist()  # a quarter, from x towards y
    [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    along, across = warp[0, 0] + warp[1, 1], warp[1, 0] - warp[0, 1]
    c, s = np.array([along, across], np.float64) / np.hypot(along, across)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
