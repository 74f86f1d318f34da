"""The transform against analytic truth: which pixels change, to what, and which do not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from poseig_mm.errors import ConfigError

WIDTH, HEIGHT = 96, 128
SIZE, RADIUS = 60.0, 0.1  # px of the person; share of it
JOINTS = np.array([(40.0, 50.0), (60.0, 90.0), (30.0, 90.0), (70.0, 20.0)])  # wrist, right wrist, its elbow, far away
MARK = (0.2, -0.2)  # 12 px right and up of the wrist
ALWAYS: dict[str, Any] = {"prob": 1.0, "ways": ("blur",), "decoys": 0}
YS, XS = np.mgrid[:HEIGHT, :WIDTH]
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _ready(mmpose_ready: None) -> None:
    np.random.seed(0)  # noqa: NPY002  # what MMPose's transforms draw from


def destroy(joint: int = 0, **settings: Any) -> Any:
    from poseig_mm.treatments.shortcut_augmentation.erasing import DestroyEvidence

    return DestroyEvidence(joint, RADIUS, **settings)


def noise(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def cropped(picture: Array, **others: Any) -> dict[str, Any]:
    """What TopdownAffine leaves of a picture that is the network's input already: the identity."""
    return {
        "img": picture.copy(), "keypoints": JOINTS[None].copy(), "transformed_keypoints": JOINTS[None].copy(),
        "keypoints_visible": np.ones((1, 4)), "bbox": np.array([[18.0, 34.0, 78.0, 94.0]]),
        "input_center": np.array([WIDTH / 2, HEIGHT / 2]), "input_scale": np.array([WIDTH, HEIGHT]),
        "input_size": (WIDTH, HEIGHT), "ori_shape": (HEIGHT, WIDTH), "flip_indices": [1, 0, 2, 3],
        "skeleton_links": [(1, 2)], **others,
    }  # fmt: skip


def disc(x: float, y: float, radius: float = RADIUS * SIZE) -> Array:
    return np.hypot(XS - x, YS - y) <= radius


def changed(transform: Any, picture: Array, **others: Any) -> Array:
    """(H, W): pixels that differ."""
    return (transform(cropped(picture, **others))["img"] != picture).any(2)


def test_a_mark_s_disc_is_destroyed_and_nothing_else() -> None:
    """The disc at the offset, in the person's size; keypoints stay."""
    results = cropped(noise())
    made = destroy(offset=MARK, **ALWAYS)(results)
    differs = (made["img"] != noise()).any(2)
    there = disc(52.0, 38.0)
    assert not (differs & ~there).any()
    assert differs[there].mean() > 0.95  # a pixel may keep its colour by chance
    assert np.array_equal(made["transformed_keypoints"], JOINTS[None])


def test_nothing_of_what_was_there_is_left() -> None:
    """Two pictures that differ in the disc alone become the same."""
    first, second = noise(), noise()
    second[disc(52.0, 38.0)] = 7
    made = [destroy(offset=MARK, **ALWAYS)(cropped(p))["img"] for p in (first, second)]
    assert np.array_equal(*made)


def test_surroundings_of_joints_are_left_alone_up_to_the_middle() -> None:
    """A disc 6 px from the wrist overlaps its surroundings: what is nearer to the wrist stays as it is."""
    near = (0.1, 0.0)  # 6 px right: middle at (46, 50)
    differs = changed(destroy(offset=near, **ALWAYS), noise())
    to_wrist, to_middle = np.hypot(XS - 40, YS - 50), np.hypot(XS - 46, YS - 50)
    kept = (to_wrist <= 6) & (to_wrist < to_middle)
    assert not (differs & kept).any()
    assert differs[(to_middle <= 6) & ~kept].mean() > 0.95


def test_a_joint_that_is_not_annotated_has_no_surroundings() -> None:
    """Its place in the array means nothing."""
    visible = np.ones((1, 4))
    visible[0, 3] = 0
    on_far_joint = ((70.0 - 40) / SIZE, (20.0 - 50) / SIZE)
    differs = changed(destroy(offset=on_far_joint, **ALWAYS), noise(), keypoints_visible=visible)
    assert differs[disc(70.0, 20.0)].mean() > 0.95
    without = np.ones((1, 4, 2))  # with weights beside, as some targets have it
    without[0, 0] = 0
    assert not changed(destroy(offset=MARK, **ALWAYS), noise(), keypoints_visible=without).any()


def test_a_partner_s_disc_and_bone_are_destroyed_but_for_the_elbow() -> None:
    """Disc around joint 1, the bone to joint 2 half as wide, without joint 2's own surroundings."""
    differs = changed(destroy(around=(1,), bones=((1, 2),), **ALWAYS), noise())
    bone = (np.abs(YS - 90) <= 3) & (XS >= 30) & (XS <= 60) & ~disc(30.0, 90.0)
    there = disc(60.0, 90.0) | bone
    assert not (differs & ~there).any()
    assert differs[there].mean() > 0.95


@pytest.mark.parametrize("flip", [False, True])
def test_the_background_is_what_the_annotated_mask_leaves_out(flip: bool) -> None:
    """Pixels on the mask, flipped with the picture, and around joints stay."""
    polygon = [[50, 5, 80, 5, 80, 60, 50, 60]]
    about = {"flip": True, "flip_direction": "horizontal"} if flip else {}
    differs = changed(destroy(background=True, **ALWAYS), noise(), segmentation=polygon, **about)
    inner = (XS >= 52) & (XS <= 78) & (YS >= 7) & (YS <= 58)
    person = inner[:, ::-1] if flip else inner
    assert not (differs & person).any()
    around = np.logical_or.reduce([disc(x, y) for x, y in JOINTS])
    assert not (differs & around).any()
    outside = ~around & ~person
    far = outside & ((YS > 70) | (XS < 10))
    assert differs[far].mean() > 0.95


def test_stripes_of_a_background_are_gone() -> None:
    """What told their direction, a contrast of 200, is at most 2 grey values far from the person."""
    stripes = np.where(((XS + YS) // 5 % 2)[..., None] > 0, 220, 20).astype(np.uint8).repeat(3, 2)
    made = destroy(background=True, **ALWAYS)(cropped(stripes))["img"]
    far = made[50:60, 82:94].astype(int)
    assert np.ptp(far) <= 2


def test_without_a_mask_the_person_is_discs_and_bones() -> None:
    """The bone from joint 1 to 2 is 30 px long and a quarter as thick to each side."""
    differs = changed(destroy(background=True, **ALWAYS), noise())
    bone = (np.abs(YS - 90) <= 7.5) & (XS >= 30) & (XS <= 60)
    person = np.logical_or.reduce([bone, *(disc(x, y) for x, y in JOINTS)])
    assert not (differs & person).any()
    assert differs[(YS > 105) & ~person].mean() > 0.95


def test_with_probability_0_nothing_changes_and_a_seed_repeats_what_does() -> None:
    """NumPy's own generator, as MMPose's transforms use it."""
    assert not changed(destroy(offset=MARK, prob=0.0), noise()).any()

    def drawn(seed: int) -> Array:
        np.random.seed(seed)  # noqa: NPY002
        return np.stack([changed(destroy(offset=MARK), noise(i)) for i in range(8)])

    assert np.array_equal(drawn(3), drawn(3))
    assert not np.array_equal(drawn(3), drawn(4))


def test_in_the_share_of_pictures_that_was_asked_for() -> None:
    """400 draws at 0.3."""
    transform, picture = destroy(offset=MARK, prob=0.3, ways=("blur",), decoys=0), noise()
    hits = np.mean([changed(transform, picture).any() for _ in range(400)])
    assert hits == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / 400) ** 0.5)


def test_a_swap_puts_in_another_picture_at_the_same_place() -> None:
    """The picture before; of the very first one the surroundings, blurred."""
    transform = destroy(offset=MARK, prob=1.0, ways=("swap",), decoys=0)
    first = transform(cropped(noise(0)))["img"]
    second = transform(cropped(noise(1)))["img"]
    there = disc(52.0, 38.0)
    assert np.array_equal(first, destroy(offset=MARK, **ALWAYS)(cropped(noise(0)))["img"])
    assert np.array_equal(second, np.where(there[..., None], noise(0), noise(1)))  # as it was, not as it became


def test_the_control_destroys_as_many_pixels_elsewhere() -> None:
    """The same disc, somewhere; without a joint in its way the count is the disc's."""
    transform = destroy(offset=MARK, elsewhere=True, ways=("blur",), prob=1.0, decoys=0)
    alone = np.zeros((1, 4))
    alone[0, 0] = 1  # the wrist
    where = [changed(transform, noise(), keypoints_visible=alone) for _ in range(60)]
    area, around = disc(52.0, 38.0).sum(), disc(40.0, 50.0)
    counts = np.array([w.sum() for w in where])
    assert counts.max() <= area
    assert np.median(counts) > 0.95 * area
    assert any((w & disc(40.0, 50.0, 9.0)).any() for w in where)  # some come near
    assert not any((w & around).any() for w in where)
    assert np.mean(where, 0).max() < 0.3  # at many places


def test_decoys_have_the_form_of_the_evidence() -> None:
    """Two more discs; none for a background, which leaves no room."""
    picture = noise()
    differs = changed(destroy(offset=MARK, ways=("blur",), prob=1.0, decoys=2), picture)
    area = disc(52.0, 38.0).sum()
    assert differs[disc(52.0, 38.0)].mean() > 0.9
    assert 1.2 * area < differs.sum() <= 3 * area
    assert destroy(background=True, decoys=2).decoys == 0


@pytest.mark.parametrize(
    ("steps", "dot"),
    [
        ([], (60, 40)),
        ([{"type": "RandomFlip", "prob": 1.0}], (60, 40)),
        ([{"type": "RandomBBoxTransform", "shift_prob": 0, "rotate_prob": 1.0, "rotate_factor": 60.0}], (60, 40)),
    ],
)
@pytest.mark.parametrize("use_udp", [False, True])
def test_a_flipped_or_turned_picture_is_followed(
    steps: list[dict[str, Any]], dot: tuple[int, int], use_udp: bool
) -> None:
    """A white dot 12 px right and 8 px up of the left wrist is gone, wherever MMPose's own pipeline has put it."""
    from mmcv.transforms import Compose
    from mmengine.registry import init_default_scope

    from poseig_mm.treatments.shortcut_augmentation.erasing import _Person

    init_default_scope("mmpose")
    picture = np.full((100, 120, 3), 50, np.uint8)
    picture[dot[1] - 1 : dot[1] + 2, dot[0] - 1 : dot[0] + 2] = 255
    points = np.array([[(48.0, 48.0), (90.0, 48.0), (70.0, 90.0), (20.0, 90.0)]], np.float32)
    info = {
        "img": picture, "img_path": "", "bbox": np.array([[10.0, 10.0, 110.0, 95.0]], np.float32),
        "keypoints": points, "keypoints_visible": np.ones((1, 4), np.float32), "flip_indices": [1, 0, 2, 3],
        "skeleton_links": [],
    }  # fmt: skip
    size = float(np.sqrt(100 * 85))
    pipeline = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, *steps]
    warp = {"type": "TopdownAffine", "input_size": (WIDTH, HEIGHT), "use_udp": use_udp}
    crop = Compose([*pipeline, warp])(info)
    assert (crop["img"] > 150).any()  # the dot is in the input
    person = _Person.of(crop, use_udp)
    assert person is not None
    assert cv2.transform(crop["keypoints"], person.warp) == pytest.approx(crop["transformed_keypoints"], abs=1e-3)
    transform = destroy(offset=(12 / size, -8 / size), use_udp=use_udp, **ALWAYS)
    assert not (transform(crop)["img"] > 60).any()


def test_a_disc_outside_the_picture_and_a_person_without_joints_change_nothing() -> None:
    """Nor does a detected box, which has no keypoints, or one without area."""
    transform = destroy(offset=(5.0, 0.0), **ALWAYS)  # 300 px
    assert not changed(transform, noise()).any()
    marked = destroy(offset=MARK, **ALWAYS)
    assert not changed(marked, noise(), keypoints_visible=np.zeros((1, 4))).any()
    assert not changed(marked, noise(), keypoints=None, transformed_keypoints=np.zeros([])).any()
    assert not changed(marked, noise(), bbox=np.array([[5.0, 5.0, 5.0, 50.0]])).any()


@pytest.mark.parametrize(("settings", "word"), [({"offset": MARK, "ways": ("burn",)}, "swap"), ({}, "background")])
def test_what_cannot_be_done_is_an_error(settings: dict[str, Any], word: str) -> None:
    """An unknown way, and nothing to destroy."""
    with pytest.raises(ConfigError, match=word):
        destroy(**settings)
