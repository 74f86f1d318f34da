"""Instance masks from COCO segmentations: polygons, compressed and uncompressed run lengths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["rasterise", "union", "warp_mask"]

Mask = NDArray[np.uint8]


def rasterise(segmentation: Any, height: int, width: int) -> Mask | None:
    """A COCO segmentation as a mask.

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...] in pixels of the image, or a run-length encoding with `size`
            and `counts` (bytes or str: compressed; list: uncompressed, as crowds have).  None or an empty list: no mask.
        height, width: of the image, px.

    Returns:
        (H, W) uint8 0 / 1, or None where there is no segmentation.

    Raises:
        DataError: anything else; it says what was got.

    >>> rasterise([[0, 0, 2, 0, 2, 2, 0, 2]], 3, 4).sum()
    4
    """
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    from pycocotools import mask as coco

    try:
        if isinstance(segmentation, dict):
            if list(segmentation["size"]) != [height, width]:
                raise ValueError(f"its size is {list(segmentation['size'])}, the image's {[height, width]}")
            counts = segmentation["counts"]
            encoded = coco.frPyObjects(segmentation, height, width) if isinstance(counts, list) else segmentation
        else:
            polygons = [[float(v) for v in p] for p in segmentation]
            if any(len(p) < 6 or len(p) % 2 for p in polygons):
                raise ValueError("a polygon needs at least 3 points, as x and y in turn")
            encoded = coco.merge(coco.frPyObjects(polygons, height, width))
        decoded: Mask = coco.decode(encoded)
    except Exception as error:
        raise DataError(
            f"a segmentation cannot be read ({error}); expected COCO polygons [[x0, y0, x1, y1, ...], ...] or a run-length "
            f"encoding dict(size=[H, W], counts=...); got {str(segmentation)[:80]}"
        ) from error
    return decoded


def union(masks: Iterable[Mask | None]) -> Mask | None:
    """All masks in one; None where there is none.

    >>> union([None, np.eye(2, dtype=np.uint8)]).tolist()
    [[1, 0], [0, 1]]
    """
    found = [m for m in masks if m is not None]
    return np.maximum.reduce(found) if found else None


def warp_mask(mask: Mask, warp: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask in the input frame, by the image's own affine map and the nearest pixel.

    Args:
        mask: (H0, W0) in the original image.
        warp: (2, 3), original px (x, y, 1) -> input px.
        size: (H, W) of the input.

    Returns:
        (H, W) bool.

    >>> warp_mask(np.eye(3, dtype=np.uint8), np.array([[1.0, 0, 1], [0, 1, 0]]), (3, 4)).sum(0).tolist()
    [0, 1, 1, 1]
    """
    import cv2

    height, width = size
    warped = cv2.warpAffine(mask, warp, (width, height), flags=cv2.INTER_NEAREST)
    return np.asarray(warped > 0)
