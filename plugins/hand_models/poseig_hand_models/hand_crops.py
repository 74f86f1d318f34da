"""Steps of a pipeline that keep a hand's joints in the picture and in space together: box, mirror, crop.

In this order: LoadImage, GetHandBox, MirrorLeftHands, (RandomBBoxTransform,) HandAffine, PackPoseInputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError, DataError, did_you_mean

from .hand_camera import mirror_camera, mirror_pixels, mirror_points, project, turn_of

prepare_environment()

from mmcv.transforms import BaseTransform  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.transforms import TopdownAffine  # noqa: E402
from mmpose.registry import TRANSFORMS  # noqa: E402
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix  # noqa: E402

__all__ = ["GetHandBox", "HandAffine", "MirrorLeftHands"]

SOURCES = ("centre", "mask", "joints", "box", "ready")
OUTSIDE = ("square", "stretch")
TOLERANCE = 2.0  # px of the image between a keypoint and its joint's projection


@TRANSFORMS.register_module()
class GetHandBox(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """A square around the hand as the models' authors lay it; in place of `GetBBoxCenterScale`.

    * 'centre': `size` x `padding` px about the middle of the image (MobRecon and CMR at FreiHAND's evaluation: 100 x
    1.3),
    * 'mask': upright box of the mask's largest piece, its longer side x `padding` (the same in training: 1.3),
    * 'joints': the joints' box x `padding`, cut at the image, then its longer side (HandOccNet: 1.5),
    * 'box': the annotated `bbox`, cut at the image, its longer side x `padding` (I2L-MeshNet, HandAR: 1.25),
    * 'ready': the `bbox` as it is, its longer side x `padding` (FreiHAND's `bbox_file`: 1).

    The cut of 'joints' and 'box' is the authors': the upper left corner moves into the image and the box *keeps* its
    width and height less 1 px, then right and lower sides end at the image; where nothing is left, it is the whole
    image.

    Args:
        source: one of the above.
        padding: see there.
        size: px, for 'centre'.
        outside: what becomes of the whole image, where nothing is left of a box: 'square', of its longer side; or
            'stretch', as HandOccNet's test does it: width and height are stretched to the input's, each by its own
            factor (`HandAffine` alone does that).

    Raises:
        ConfigError: an unknown source or `outside`.
        DataError: (at a sample) 'mask' without a mask, or after `MirrorLeftHands`.
    """

    def __init__(self, source: str, padding: float, size: float = 100.0, outside: str = "square") -> None:
        if source not in SOURCES:
            raise ConfigError(f"GetHandBox(source={source!r}) is unknown; {did_you_mean(source, SOURCES)}")
        if outside not in OUTSIDE:
            raise ConfigError(f"GetHandBox(outside={outside!r}) is unknown; {did_you_mean(outside, OUTSIDE)}")
        self.source, self.padding, self.size, self.outside = source, padding, size, outside

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `bbox_center` (1, 2) and `bbox_scale` (1, 2), px of the image, and `bbox_stretched`."""
        if results.get("flip_direction"):
            raise DataError(
                "GetHandBox must stand before MirrorLeftHands in the pipeline: masks are of the image as loaded"
            )
        height, width = results["img"].shape[:2]
        center, extent, whole = self._box(results, int(width), int(height))
        stretched = whole and self.outside == "stretch"
        return {
            **results,
            "bbox_center": np.asarray(center, np.float32)[None],
            "bbox_scale": np.broadcast_to(extent if stretched else np.max(extent), (1, 2)).astype(np.float32),
            "bbox_stretched": stretched,
        }

    def _box(self, results: dict[str, Any], width: int, height: int) -> tuple[Any, Any, bool]:
        """Middle, extent, and whether it is the whole image because nothing was left."""
        if self.source == "centre":
            return (width // 2, height // 2), self.size * self.padding, False
        if self.source == "mask":
            x, y, w, h = _largest_piece(results, width, height)
            return (x + w / 2, y + h / 2), max(w, h) * self.padding, False
        corners = np.asarray(results["bbox"], np.float64).reshape(2, 2)
        if self.source == "ready":
            return corners.mean(0), (corners[1] - corners[0]) * self.padding, False
        if self.source == "box":
            low, extent, whole = _cut(corners[0], corners[1] - corners[0], width, height)
            return low + extent / 2, extent if whole and self.outside == "stretch" else extent * self.padding, whole
        low, high = (f(results["keypoints"][0], axis=0).astype(np.float64) for f in (np.min, np.max))
        extent = (high - low) * self.padding
        low, extent, whole = _cut((low + high) / 2 - extent / 2, extent, width, height)
        return low + extent / 2, extent, whole

    def __repr__(self) -> str:
        settings = f"padding={self.padding}, size={self.size}, outside={self.outside!r}"
        return f"GetHandBox(source={self.source!r}, {settings})"


def _cut(low: NDArray[Any], extent: NDArray[Any], width: int, height: int) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Corner and extent of a box at the image, as the authors of I2L-MeshNet and HandOccNet do it.

    And whether nothing was left of it, so that it is the whole image.
    """
    limit = np.array([width - 1.0, height - 1.0])
    start = np.maximum(low, 0)
    end = np.minimum(limit, start + np.maximum(0, extent - 1))
    whole = bool((extent <= 0).any() or (end <= start).any())
    return (np.zeros(2), limit, True) if whole else (start, end - start, False)


def _largest_piece(results: dict[str, Any], width: int, height: int) -> tuple[int, int, int, int]:
    """(x, y, w, h) of the pixels of the mask's piece with the largest outline."""
    import cv2

    mask = rasterise(results.get("segmentation"), height, width)
    if mask is None or not mask.any():
        raise DataError(
            f"GetHandBox(source='mask') found no mask of the hand in {results.get('img_path')}; read the data set with "
            "masks=True, or take another source"
        )
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    x, y, w, h = cv2.boundingRect(max(outlines, key=cv2.contourArea))
    return int(x), int(y), int(w), int(h)


def _turned_pose(pose: NDArray[Any], turn: NDArray[Any]) -> NDArray[np.float32]:
    """MANO's pose (1, 48) with the wrist's rotation, its first three numbers, turned."""
    import cv2

    wrist, _ = cv2.Rodrigues(turn @ cv2.Rodrigues(pose[0, :3].astype(np.float64))[0])
    return np.asarray(np.concatenate([wrist.ravel(), pose[0, 3:]])[None], np.float32)


@TRANSFORMS.register_module()
class MirrorLeftHands(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """Make a right hand of a left one, as models of right hands take it: image, box and joints, in the picture and in
    space.

    `flip` and `flip_direction` say so, as MMPose's flips do, so that a diagnosis finds its way back to the image.
    `hand_side` stays what the hand is; predicted joints of a left hand are the mirrored hand's.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Right hands go through."""
        if results["hand_side"] != "left":
            return results
        picture = results["img"]
        width = int(picture.shape[1])
        changed = {
            "img": np.ascontiguousarray(picture[:, ::-1]),
            "keypoints": mirror_pixels(results["keypoints"], width),
            "camera": mirror_camera(results["camera"], width),
            "flip": True,
            "flip_direction": "horizontal",
        }
        box = results["bbox"]
        changed["bbox"] = np.stack([width - 1 - box[:, 2], box[:, 1], width - 1 - box[:, 0], box[:, 3]], -1)
        for name in ("keypoints_3d", "root_3d", "vertices_3d"):
            if name in results:
                changed[name] = mirror_points(results[name])
        if "bbox_center" in results:
            changed["bbox_center"] = mirror_pixels(results["bbox_center"], width)
        return {**results, **changed}

    def __repr__(self) -> str:
        return "MirrorLeftHands()"


@TRANSFORMS.register_module()
class HandAffine(TopdownAffine):  # type: ignore[misc]  # mmpose is untyped
    """MMPose's crop, which also turns the joints in space as it turns the picture (`RandomBBoxTransform`).

    A box that `GetHandBox` calls stretched fills the input with each side by its own factor.

    Afterwards `keypoints_3d`, `root_3d`, `vertices_3d` and the wrist of `mano_pose` are in the turned frame; `camera`
    projects them to `keypoints` (px of the image), and `input_camera` (1, 3, 3) to `transformed_keypoints` (px of the
    input); `input_warp` (2, 3) is the map from the image to the input.

    Args:
        input_size: (w, h) of the network's input, px.
        use_udp: as `TopdownAffine` has it.

    Raises:
        DataError: (at a sample) there are no joints in space, or their projections are not the keypoints: an earlier
            step (`RandomFlip`) moved the ones and not the others.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop, and turn."""
        self._check(results)
        rotation = float(np.ravel(results.get("bbox_rotation", 0.0))[0])
        if results.get("bbox_stretched"):
            results, warp = self._stretched(results, rotation)
        else:
            results = super().transform(dict(results))
            make = get_udp_warp_matrix if self.use_udp else get_warp_matrix
            warp = make(results["input_center"], results["input_scale"], rotation, output_size=self.input_size)
        results["input_warp"] = warp
        turn = turn_of(warp)
        for name in ("keypoints_3d", "root_3d", "vertices_3d"):
            if name in results:
                results[name] = (results[name] @ turn.T).astype(np.float32)
        if "mano_pose" in results:
            results["mano_pose"] = _turned_pose(results["mano_pose"], turn)
        camera = results["camera"].astype(np.float64) @ turn.T
        results["camera"] = camera.astype(np.float32)
        results["input_camera"] = (np.vstack([warp, [0.0, 0.0, 1.0]]) @ camera).astype(np.float32)
        return results

    def _stretched(self, results: dict[str, Any], rotation: float) -> tuple[dict[str, Any], NDArray[Any]]:
        import cv2

        size, center, scale = tuple(self.input_size), results["bbox_center"][0], results["bbox_scale"][0]
        warp = get_warp_matrix(center, scale, rotation, output_size=size, fix_aspect_ratio=False)
        changed = {
            "img": cv2.warpAffine(results["img"], warp, size, flags=cv2.INTER_LINEAR),
            "transformed_keypoints": cv2.transform(results["keypoints"], warp),
            "input_size": size,
            "input_center": center,
            "input_scale": scale,
        }
        return {**results, **changed}, warp

    def _check(self, results: dict[str, Any]) -> None:
        missing = [name for name in ("keypoints_3d", "root_3d", "camera") if name not in results]
        if missing:
            raise DataError(
                f"HandAffine needs {missing[0]}, which a FreiHAND3DDataset or DexYCBDataset gives; take TopdownAffine "
                "for data without joints in space"
            )
        found = project(results["keypoints_3d"], results["camera"], results["root_3d"])
        distance = np.linalg.norm(found - results["keypoints"], axis=-1)
        if not (distance <= TOLERANCE).all():
            raise DataError(
                f"a keypoint lies {distance.max():.3g} px from where its joint in space is projected (expected at most "
                f"{TOLERANCE}): a step of the pipeline before HandAffine moves keypoints and leaves space alone, as "
                "RandomFlip does. Take it out; MirrorLeftHands and RandomBBoxTransform may stay"
            )
