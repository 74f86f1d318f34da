"""Instance masks from COCO segmentations: polygons, compressed and uncompressed run lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Mask = NDArray[np.uint8]
_LEAST = 6  # numbers of a ring that encloses something: 3 points
_FAR = 1e5  # px; no image is so large, and pycocotools walks along every edge


def rasterise(segmentation: Any, height: int, width: int) -> Mask | None:
    """A COCO segmentation as a mask.

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...] in pixels of the image, or a run-length encoding with
            `size` and `counts` (bytes or str: compressed; list: uncompressed, as crowds have).  None or an empty list:
            no mask.  A polygon of fewer than 3 points beside others has no area, and is left out.
        height, width: of the image, px.

    Returns:
        (H, W) uint8 0 / 1, or None where there is no segmentation.

    Raises:
        DataError: anything else, and runs that do not cover the image exactly (pycocotools reads past their end).

    >>> rasterise([[0, 0, 2, 0, 2, 2, 0, 2]], 3, 4).sum()
    4
    >>> rasterise({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2).tolist()  # down the columns, beginning with background
    [[0, 1], [1, 0]]
    """
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    try:
        if isinstance(segmentation, dict):
            return _from_runs(segmentation, height, width)
        return _from_polygons(segmentation, height, width)
    except Exception as error:
        raise DataError(
            f"a segmentation cannot be read ({error}); expected COCO polygons [[x0, y0, x1, y1, ...], ...] or a "
            f"run-length encoding dict(size=[H, W], counts=...); got {str(segmentation)[:80]}. Correct the annotation "
            "file, or go on without masks: diagnosis.samples.mask='none'"
        ) from error


def fault(segmentation: Any, size: tuple[int, int] | None) -> str:
    """Why a segmentation cannot be rasterised, '' where it can or there is none.

    Args:
        size: (H, W) of the image; None where it is not known yet.

    >>> fault([[1, 2, 3, 4]], None), fault([[0, 0, 5, 0, 5, 3]], None), fault(None, None)
    ('a polygon needs at least 3 points, as x and y in turn', '', '')
    """
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return ""
    try:
        if isinstance(segmentation, dict):
            height, width = size or segmentation["size"]
            _runs(segmentation, int(height), int(width))
        else:
            _polygons(segmentation)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _from_polygons(segmentation: Any, height: int, width: int) -> Mask:
    from pycocotools import mask as coco

    decoded: Mask = coco.decode(coco.merge(coco.frPyObjects(_polygons(segmentation), height, width)))
    return decoded


def _polygons(segmentation: Any) -> list[list[float]]:
    if not isinstance(segmentation, (list, tuple)) or not all(isinstance(p, (list, tuple)) for p in segmentation):
        raise ValueError(f"no list of polygons but {type(segmentation).__name__}")
    polygons = [[float(v) for v in p] for p in segmentation]
    with_area = [p for p in polygons if len(p) >= _LEAST]  # leaving out the others is exact: they enclose nothing
    if not with_area or any(len(p) % 2 for p in polygons):
        raise ValueError("a polygon needs at least 3 points, as x and y in turn")
    if not all(abs(v) < _FAR for p in polygons for v in p):  # NaN as well
        raise ValueError(f"a polygon has a coordinate beyond {_FAR:g} px or not a number")
    return with_area


def flat_rings(segmentation: Any) -> int:
    """How many rings of a segmentation that can be read have fewer than 3 points, and so no area.

    >>> flat_rings([[0, 0, 5, 0, 5, 3], [1, 1], []])
    2
    """
    if not isinstance(segmentation, (list, tuple)) or fault(segmentation, None):
        return 0
    return sum(len(ring) < _LEAST for ring in segmentation)


def _from_runs(segmentation: dict[str, Any], height: int, width: int) -> Mask:
    runs = _runs(segmentation, height, width)
    pixels = np.repeat(np.arange(len(runs), dtype=np.int64) % 2, runs).astype(np.uint8)
    return np.ascontiguousarray(pixels.reshape(width, height).T)  # runs go down the columns


def _runs(segmentation: dict[str, Any], height: int, width: int) -> list[int]:
    if [int(v) for v in segmentation["size"]] != [height, width]:
        raise ValueError(f"its size is {list(segmentation['size'])}, the image's {[height, width]}")
    counts = segmentation["counts"]
    runs = _run_lengths(counts) if isinstance(counts, (str, bytes)) else [int(v) for v in counts]
    if any(r < 0 for r in runs) or sum(runs) != height * width:
        raise ValueError(f"its runs cover {sum(runs)} pixels, the image has {height * width}")
    return runs


def _run_lengths(counts: str | bytes) -> list[int]:
    """COCO's compressed run lengths: five bits a character; from the fourth on, differences to the last but one."""
    text = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the character {chr(character)!r} is no part of a compressed run length")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:  # more to come
            continue
        if bits & 0x10:  # negative
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the compressed run lengths break off")
    return runs


def is_box(segmentation: Any) -> bool:
    """Whether a segmentation is nothing but an upright rectangle: some data sets write an instance's box there.

    >>> is_box([[0, 0, 5, 0, 5, 3, 0, 3]]), is_box([[0, 0, 5, 1, 5, 3, 0, 3]])
    (True, False)
    """
    rings = [r for r in segmentation if len(r) >= _LEAST] if isinstance(segmentation, list) else []
    if len(rings) != 1 or len(rings[0]) < 8:
        return False
    numbers = [float(v) for v in rings[0]]
    xs, ys = numbers[0::2], numbers[1::2]
    corners = {(x, y) for x in (min(xs), max(xs)) for y in (min(ys), max(ys))}
    points = list(zip(xs, ys, strict=False))
    upright = all(a[0] == b[0] or a[1] == b[1] for a, b in zip(points, [*points[1:], points[0]], strict=True))
    on_border = all(x in (min(xs), max(xs)) or y in (min(ys), max(ys)) for x, y in points)
    return upright and on_border and corners <= set(points)


def union(masks: Iterable[Mask | None]) -> Mask | None:
    """All masks in one; None where there is none.

    >>> union([None, np.eye(2, dtype=np.uint8)]).tolist()
    [[1, 0], [0, 1]]
    """
    present = [m for m in masks if m is not None]
    return np.maximum.reduce(present) if present else None


def warp_mask(mask: Mask, warp: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.bool_]:
    """The mask in the input frame, by the image's own affine map and the nearest pixel.

    Args:
        mask: (H0, W0) in the original image.
        warp: (2, 3), original px (x, y, 1) -> input px.
        size: (H, W) of the input.

    Returns:
        (H, W) bool; False where the input looks beyond the image.

    >>> warp_mask(np.eye(3, dtype=np.uint8), np.array([[1.0, 0, 1], [0, 1, 0]]), (3, 4)).sum(0).tolist()
    [0, 1, 1, 1]
    """
    import cv2

    height, width = size
    warped = cv2.warpAffine(mask, warp, (width, height), flags=cv2.INTER_NEAREST)
    return np.asarray(warped > 0)
