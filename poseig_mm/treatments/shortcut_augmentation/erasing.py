"""A transform for MMPose's pipelines that destroys what a joint is read from, in the frame of the network's input."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compat import prepare_environment
from ...data.masks import fault, rasterise, warp_mask
from ...data.person_masks import segmentation_of
from ...errors import ConfigError
from ...functional.limbs import limb_distance, skeleton_mask

prepare_environment()

from mmcv.transforms import BaseTransform  # noqa: E402  (needs a prepared environment)
from mmpose.registry import TRANSFORMS  # noqa: E402
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix  # noqa: E402

WAYS = ("blur", "swap")
REMEMBERED = 16  # pictures, one of which lends its content to a swap

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Picture = NDArray[np.uint8]


@TRANSFORMS.register_module()
class DestroyEvidence(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """Destroy the pixels that a joint should not be read from, in some pictures; keypoints stay as they are.

    Where it stands in a pipeline: behind `TopdownAffine`, before the targets.  What is destroyed is the union of a disc
    at an offset from the joint, discs around other joints, bones (half as wide), and the background.  Discs around the
    other annotated joints, and around the joint itself, are left alone, but for pixels that lie nearer to the middle of
    an evidence's disc.  A flipped or rotated picture is followed.  Random numbers are drawn by NumPy's generator, as in
    MMPose's transforms, which a worker seeds.

    Args:
        joint: index of the joint.
        radius: of discs, as a share of the person's size (the root of its box's area).
        offset: of a disc from the joint, in the same unit, (x, y), x to the right and y down in the upright image.
        around: indices of joints whose discs are destroyed.
        bones: pairs of joints between which all within half a radius is destroyed.
        background: destroy what is not the person, by its segmentation or, without one, what lies far from its joints
            and bones.
        prob: in which share of the pictures.
        ways: 'blur' fills in what lies around (of a background: its own colours, blurred), so that nothing of the
            content is left; 'swap' puts in another picture's content at the same place (one that came before).
        decoys: places of the same form that are destroyed elsewhere, each with `prob`, so that a destroyed place does
            not tell by itself where the joint is.  None for the background.
        elsewhere: destroy as many pixels at a random place instead: the control.
        use_udp: as `TopdownAffine` has it.

    Raises:
        ConfigError: an unknown way, or nothing to destroy.
    """

    def __init__(
        self,
        joint: int,
        radius: float,
        *,
        offset: Sequence[float] | None = None,
        around: Sequence[int] = (),
        bones: Sequence[Sequence[int]] = (),
        background: bool = False,
        prob: float = 0.5,
        ways: Sequence[str] = WAYS,
        decoys: int = 2,
        elsewhere: bool = False,
        use_udp: bool = False,
    ) -> None:
        super().__init__()
        if not ways or set(ways) - set(WAYS):
            raise ConfigError(f"DestroyEvidence got ways={ways!r}; expected some of {', '.join(WAYS)}")
        if offset is None and not around and not bones and not background:
            raise ConfigError(
                "DestroyEvidence has nothing to destroy; expected one of offset, around, bones and background"
            )
        self.joint, self.radius, self.offset = joint, radius, None if offset is None else tuple(offset)
        self.around, self.bones, self.background = tuple(around), tuple(tuple(b) for b in bones), background
        self.prob, self.ways, self.elsewhere, self.use_udp = prob, tuple(ways), elsewhere, use_udp
        self.decoys = 0 if background else decoys
        self._seen: deque[Picture] = deque(maxlen=REMEMBERED)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`; `results` as `TopdownAffine` leaves them."""
        picture = results["img"]
        person = _Person.of(results, self.use_udp)
        changed = picture
        if person is not None:
            evidence, near = self.evidence(person), person.nearest_joint()
            for distance in self._places(evidence):
                changed = self._destroyed(changed, _unspared(distance, near, self.radius * person.size), person.size)
        self._seen.append(picture)
        results["img"] = changed
        return results

    def evidence(self, person: _Person) -> Floats:
        """(H, W): distance from the middle of a pixel's disc; inf on bones and background, NaN elsewhere."""
        points, radius = person.points, self.radius * person.size
        distance = np.full(person.shape, np.nan)
        if self.background:
            distance[~person.mask(radius)] = np.inf
        for a, b in self.bones:
            ends = points[[person.index(a), person.index(b)]]
            if np.isfinite(ends).all():
                distance[limb_distance(ends[None], person.shape) <= radius / 2] = np.inf
        middles = [points[person.index(k)] for k in self.around]
        if self.offset is not None:
            middles.append(points[person.index(self.joint)] + person.turned(self.offset) * person.size)
        for middle in middles:
            far = _distance(middle, person.shape)
            distance = np.where(far <= radius, np.fmin(distance, far), distance)
        return distance

    def _places(self, evidence: Floats) -> list[Floats]:
        """The evidence, where chance has it, and decoys."""
        moves = [self.elsewhere, *[True] * self.decoys]
        return [_moved(evidence) if move else evidence for move in moves if np.random.random() < self.prob]  # noqa: NPY002

    def _destroyed(self, picture: Picture, place: Bools, size: float) -> Picture:
        if not place.any():
            return picture
        way = self.ways[np.random.randint(len(self.ways))]  # noqa: NPY002
        same = [other for other in self._seen if other.shape == picture.shape]
        if way == "swap" and same:
            filling = same[np.random.randint(len(same))]  # noqa: NPY002
        else:
            filling = smoothed(picture, place if self.background else ~place, self.radius * size)
        changed: Picture = np.where(place[..., None], filling, picture)
        return changed


@dataclass(frozen=True)
class _Person:
    """What a transform knows of the person, input px."""

    points: Floats  # (K, 2), NaN where not annotated
    size: float  # root of the box's area
    warp: Floats  # (2, 3) of the image, flipped if it is -> input
    shape: tuple[int, int]  # (H, W) of the input
    flipped: bool
    results: Mapping[str, Any]

    @staticmethod
    def of(results: Mapping[str, Any], use_udp: bool) -> _Person | None:
        """None where no joint is annotated, or the box has no area."""
        if results.get("keypoints") is None:
            return None
        points = np.array(results["transformed_keypoints"][0, :, :2], np.float64)
        visible = np.asarray(results["keypoints_visible"])[0]
        points[(visible if visible.ndim == 1 else visible[:, 0]) <= 0] = np.nan
        matrix = get_udp_warp_matrix if use_udp else get_warp_matrix
        turn = results["bbox_rotation"][0] if "bbox_rotation" in results else 0.0
        warp = matrix(results["input_center"], results["input_scale"], turn, output_size=results["input_size"])
        box = np.asarray(results["bbox"], np.float64).reshape(-1)[:4]
        size = float(np.sqrt((box[2:] - box[:2]).clip(0).prod() * abs(np.linalg.det(warp[:, :2]))))
        if not size > 0 or not np.isfinite(points).any():
            return None
        flipped = bool(results.get("flip")) and "horizontal" in str(results.get("flip_direction"))
        width, height = results["input_size"]
        return _Person(points, size, warp, (height, width), flipped, results)

    def index(self, joint: int) -> int:
        """Of the joint that carries its evidence: of a flipped picture the partner's."""
        return int(self.results["flip_indices"][joint]) if self.flipped else joint

    def nearest_joint(self) -> Floats:
        """(H, W): distance from the nearest annotated joint."""
        far = np.full(self.shape, np.inf)
        nearest: Floats = np.fmin.reduce([far, *(_distance(point, self.shape) for point in self.points)])
        return nearest

    def turned(self, offset: Sequence[float]) -> Floats:
        """An offset of the upright image as this input shows it, of the same length."""
        x, y = offset
        linear = self.warp[:, :2] / np.sqrt(abs(np.linalg.det(self.warp[:, :2])))
        turned: Floats = linear @ np.array([-x if self.flipped else x, y], np.float64)
        return turned

    def mask(self, radius: float) -> Bools:
        """(H, W) the person: as it is annotated, or discs and bones."""
        segmentation, size = segmentation_of(self.results), self.results.get("ori_shape")
        if segmentation and size is not None and not fault(segmentation, size[:2]):
            mask = rasterise(segmentation, *size[:2])
            if mask is not None and mask.any():
                mask = np.ascontiguousarray(mask[:, ::-1]) if self.flipped else mask
                return warp_mask(mask, self.warp, self.shape)
        drawn = skeleton_mask(self.points, self.results.get("skeleton_links") or (), self.shape)
        near = [_distance(point, self.shape) <= radius for point in self.points]  # False around NaN
        person: Bools = np.logical_or.reduce([*near, *([drawn] if drawn is not None else [])])
        return person


def _unspared(distance: Floats, nearest_joint: Floats, radius: float) -> Bools:
    """(H, W): what is destroyed: in a joint's surroundings only what lies nearer to the middle of a disc."""
    unspared: Bools = ~np.isnan(distance) & ~((nearest_joint <= radius) & (nearest_joint < distance))
    return unspared


def _distance(point: Floats, shape: tuple[int, int]) -> Floats:
    """(H, W): of pixel centres from a point (x, y)."""
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    distance: Floats = np.hypot(xs - point[0], ys - point[1])
    return distance


def _moved(evidence: Floats) -> Floats:
    """Its form at a random place, where all surroundings of joints are left alone.

    What leaves the picture comes in at the other side, so that no pixel is lost.
    """
    shift = [int(np.random.randint(n)) for n in evidence.shape]  # noqa: NPY002
    return np.roll(np.where(np.isnan(evidence), np.nan, np.inf), shift, (0, 1))


def smoothed(picture: Picture, source: Bools, sigma: float) -> Picture:
    """Colours of the source's pixels, spread by a Gaussian: what they are not is not in the result.

    Args:
        picture: (H, W, C).
        source: (H, W).
        sigma: px.

    Returns:
        (H, W, C); the source's mean where it is far, 0 where it is empty.

    >>> smoothed(np.array([[[9], [200], [9]]], np.uint8), np.array([[True, False, True]]), 1.0).ravel().tolist()
    [9, 9, 9]
    """
    import cv2

    if not source.any():
        return np.zeros_like(picture)
    weights = source.astype(np.float32)
    total = cv2.GaussianBlur(picture * weights[..., None], (0, 0), sigma).reshape(picture.shape)
    norm = cv2.GaussianBlur(weights, (0, 0), sigma)[..., None]
    mean = picture[source].mean(0, dtype=np.float64)
    spread = np.where(norm > 1e-3, total / np.maximum(norm, 1e-3), mean)
    rounded: Picture = np.rint(spread).clip(0, 255).astype(np.uint8)
    return rounded
