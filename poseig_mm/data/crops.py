"""The way of an image through a pipeline, run step by step, so that the affine map to the network's input is known.

A top-down pipeline crops one person (TopdownAffine); a bottom-up one fits the whole image in, other persons and all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError

WHOLE_IMAGE = ("BottomupResize", "BottomupRandomChoiceResize")  # transforms that fit a whole image into the input
TOLERANCE = 0.01  # input px between a keypoint as MMPose warped it and as the affine map puts it
_EDGE = 1e-3  # px of the image: a centre that is nearer to an edge lies on it (MMPose makes maps in float32)
_RANDOM = {"Albumentation", "PhotometricDistortion", "Mosaic", "YOLOXMixUp", "YOLOXHSVRandomAug", "MixUp"}


@dataclass(frozen=True)
class Crop:
    """One person in the network's input, cropped out or among others."""

    packed: dict[str, Any]  # what the pipeline gives: inputs and data_samples
    results: Mapping[str, Any]  # what that was made from
    warp: NDArray[np.float64]  # (2, 3) original px (x, y, 1) -> input px
    original_size: tuple[int, int]  # (H, W) of the image as loaded
    whole_image: bool = False  # the input holds the whole image


def split_pipeline(transforms: Sequence[Any]) -> tuple[list[Any], Any, list[Any], Any]:
    """(before the crop, the crop, between crop and packing, the packing) of a pipeline's transforms.

    The crop is a TopdownAffine, or what fits the whole image in (`WHOLE_IMAGE`).

    Raises:
        DataError: no PackPoseInputs at its end, or not exactly one crop in it.
    """
    from mmpose.datasets.transforms import PackPoseInputs, TopdownAffine

    names = ", ".join(type(t).__name__ for t in transforms) or "nothing"
    if not transforms or not isinstance(transforms[-1], PackPoseInputs):
        raise DataError(f"the data pipeline must end with PackPoseInputs; it holds {names}")
    crops = [i for i, t in enumerate(transforms) if isinstance(t, TopdownAffine) or is_whole(t)]
    if len(crops) != 1:
        raise DataError(
            "the data pipeline must hold exactly one TopdownAffine, which crops one person to the network's input, or "
            f"one {' or '.join(WHOLE_IMAGE)}, which fits the whole image in; it holds {names}"
        )
    crop = crops[0]
    return list(transforms[:crop]), transforms[crop], list(transforms[crop + 1 : -1]), transforms[-1]


def random_transforms(transforms: Sequence[Any]) -> list[str]:
    """Names of the transforms that draw random numbers, as far as MMPose's naming tells."""
    names = [type(t).__name__ for t in transforms]
    return [name for name in names if "Random" in name or name in _RANDOM]


def run_pipeline(transforms: Sequence[Any], info: dict[str, Any]) -> Crop:
    """Everything a pipeline does to one annotated person.

    The affine map is the crop's `input_warp` (2, 3), where a plugin's crop leaves one, else MMPose's own function makes
    it from the numbers that the crop leaves; it is checked on the keypoints that the crop warped.  A flip of the whole
    image before it is part of the map.  What fits a whole image in leaves keypoints alone (or clips them): there they
    are warped here.

    Args:
        transforms: of the pipeline, see `split_pipeline`.
        info: of the data set; may be changed.

    Raises:
        DataError: a transform gave nothing, or moved pixels or keypoints in a way that is not known here.
    """
    before, crop, between, pack = split_pipeline(transforms)
    results = run_transforms(before, info)
    if results.get("keypoints") is None:
        raise DataError("the sample has no keypoints; a diagnosis needs annotated persons, not detections")
    size = tuple(int(v) for v in np.shape(results["img"])[:2])
    if size != tuple(int(v) for v in results.get("ori_shape", size)[:2]):
        raise DataError(
            f"the image was {tuple(results['ori_shape'])} px (H, W) when loaded and is {size} before "
            f"{type(crop).__name__}: "
            "a transform resizes it, and maps could not be drawn on the original. Take it out of the pipeline"
        )
    keypoints, flip = np.array(results["keypoints"]), results.get("flip_direction")
    results = run_transforms([crop], results)
    warp = _affine(results, crop)
    if whole := is_whole(crop):
        results["transformed_keypoints"] = _warped(keypoints, warp)
    results = run_transforms(between, results)
    _check(keypoints, results, warp)
    return Crop(pack(results), results, warp @ _flip(flip, size), (size[0], size[1]), whole)


def is_whole(transform: Any) -> bool:
    """Whether a transform fits a whole image into the network's input."""
    return any(c.__name__ in WHOLE_IMAGE for c in type(transform).__mro__)


def run_transforms(transforms: Sequence[Any], results: dict[str, Any]) -> dict[str, Any]:
    """One after the other; DataError where one gives nothing."""
    for transform in transforms:
        changed = transform(results)
        if changed is None:
            raise DataError(f"{type(transform).__name__} of the data pipeline gave no result")
        results = changed
    return results


def _affine(results: Mapping[str, Any], crop: Any) -> NDArray[np.float64]:
    from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

    if "input_warp" in results:
        return np.asarray(results["input_warp"], dtype=np.float64)
    if hasattr(crop, "scales"):  # BottomupRandomChoiceResize, as it moves keypoints before it clips them
        return np.diag([*np.asarray(results["scale_factor"], dtype=np.float64), 1.0])[:2]
    rotation, size = float(np.ravel(results.get("bbox_rotation", 0.0))[0]), crop.input_size
    if is_whole(crop):
        if crop.aug_scales:
            raise DataError(
                f"{type(crop).__name__} makes an image of each of aug_scales {crop.aug_scales}; a diagnosis takes one: "
                "leave aug_scales out of the pipeline (and model.test_cfg.multiscale_test False)"
            )
        rotation, size = 0.0, results["input_size"]
        if crop.use_udp:
            size, _ = crop._get_input_size(img_size=results["ori_shape"][::-1], input_size=crop.input_size)
    make = get_udp_warp_matrix if crop.use_udp else get_warp_matrix
    warp = make(results["input_center"], results["input_scale"], rotation, output_size=size)
    return np.asarray(warp, dtype=np.float64)


def _warped(keypoints: NDArray[Any], warp: NDArray[np.float64]) -> NDArray[Any]:
    import cv2

    moved: NDArray[Any] = cv2.transform(keypoints[..., :2], warp) if keypoints.size else keypoints[..., :2]
    return moved


def _check(keypoints: NDArray[Any], results: Mapping[str, Any], warp: NDArray[np.float64]) -> None:
    there = np.asarray(results["transformed_keypoints"])[..., :2]
    here = _warped(keypoints, warp)
    if here.shape != there.shape:
        raise DataError(f"the crop was given keypoints of shape {here.shape}, the pipeline ends with {there.shape}")
    distance = np.linalg.norm(here - there, axis=-1)
    worst = float(np.nanmax(distance, initial=0.0))
    if worst > TOLERANCE:
        raise DataError(
            f"a keypoint lies {worst:.3g} input px from where the crop's affine map puts it (expected at most "
            f"{TOLERANCE}): "
            "a transform beside the crop moves keypoints. Take it out of the pipeline"
        )


def _flip(direction: str | None, size: Sequence[int]) -> NDArray[np.float64]:
    """(3, 3) original px -> px of the flipped image, as RandomFlip does it."""
    height, width = size
    matrix = np.eye(3)
    if direction in ("horizontal", "diagonal"):
        matrix[0] = (-1, 0, width - 1)
    if direction in ("vertical", "diagonal"):
        matrix[1] = (0, -1, height - 1)
    return matrix


def invert(warp: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map (2, 3) that undoes another.

    >>> invert(np.array([[2.0, 0, 6], [0, 4, 8]])).tolist()
    [[0.5, 0.0, -3.0], [0.0, 0.25, -2.0]]
    """
    linear = np.linalg.inv(warp[:, :2])
    result: NDArray[np.float64] = np.hstack([linear, -linear @ warp[:, 2:]]) + 0.0  # no negative zeros
    return result


def pixels_in_image(crop: Crop, size: Sequence[int], padded: Sequence[int]) -> torch.Tensor:
    """Which pixels of the network's input show the image, and not what a crop or a preprocessor pads it with.

    Args:
        crop: with the map from the image.
        size: (h, w) of the pipeline's pixels.
        padded: (H, W) of the input, at least (h, w): what the preprocessor adds lies to the right and below.

    Returns:
        (H, W) bool: a pixel's centre, mapped back, lies within the area of the image, whose pixels reach half a pixel
        beyond their centres; its edges are part of it.
    """
    y, x = np.ogrid[: size[0], : size[1]]  # without rotation, columns alone decide on u, and rows on v
    u, v = ((a * x if a else 0) + (b * y if b else 0) + c for a, b, c in invert(crop.warp))
    height, width = crop.original_size
    beyond = 0.5 + _EDGE
    inside = (u >= -beyond) & (u <= width - 1 + beyond) & (v >= -beyond) & (v <= height - 1 + beyond)
    result = torch.zeros(tuple(padded), dtype=torch.bool)
    result[: size[0], : size[1]] = torch.from_numpy(inside)
    return result


def places_of(results: Mapping[str, Any], width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """((K, 2) input px, NaN where not annotated; (K,) annotated and inside the crop's pixel centres)."""
    points = torch.as_tensor(np.asarray(results["transformed_keypoints"])[0, :, :2], dtype=torch.float32)
    given = np.asarray(results["keypoints_visible"])[0]  # (K,), or (K, 2) with weights beside
    annotated = torch.as_tensor((given if given.ndim == 1 else given[:, 0]) > 0)
    inside = ((points >= 0) & (points <= torch.tensor([width - 1.0, height - 1.0]))).all(1)
    return points.where(annotated[:, None], points.new_tensor(torch.nan)), annotated & inside


def about_person(person: Mapping[str, Any], crop: Crop, places: torch.Tensor) -> dict[str, Any]:
    """What studies may want: box and area in original px, the box in input px (around the joints where there is none),
    the crop's centre and scale, and the annotation's own id."""
    box, area = person.get("bbox"), person.get("area")
    return {
        "bbox": None if box is None else [float(v) for v in np.asarray(box).reshape(-1, 4)[0]],  # x0, y0, x1, y1
        "input_bbox": _input_box(box, crop.warp, places),
        "whole_image": crop.whole_image,
        "area": None if area is None else float(np.ravel(area)[0]),
        "iscrowd": int(person.get("iscrowd", 0)),
        "input_center": [float(v) for v in crop.results["input_center"]],
        "input_scale": [float(v) for v in crop.results["input_scale"]],
        "ori_shape": crop.original_size,
        "annotation_id": person.get("id"),
    }


def _input_box(box: Any, warp: NDArray[np.float64], places: torch.Tensor) -> list[float] | None:
    """(x0, y0, x1, y1) in input px, upright around the warped corners; of the joints (K, 2) where there is no box."""
    if box is None:
        given = places[places.isfinite().all(1)]
        return [*given.amin(0).tolist(), *given.amax(0).tolist()] if len(given) else None
    x0, y0, x1, y1 = np.asarray(box, dtype=np.float64).reshape(-1, 4)[0]
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) @ warp.T  # (4, 2)
    return [float(v) for v in (*corners.min(0), *corners.max(0))]
