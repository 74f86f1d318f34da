"""Kinds of errors of hand-placed points: s = 100 px and sigma 0.05, so that ks = exp(-d^2 / 200)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from conftest import SHARED, needs_shared

from poseig_mm.errors import ShapeError
from poseig_mm.studies.error_kinds.classify import (
    KINDS,
    average_precision,
    chance_counts,
    classify,
    corrected,
    keypoint_similarity,
    object_similarity,
)

GOOD_UP_TO = math.sqrt(-200 * math.log(0.85))  # 5.70 px
NEAR_UP_TO = math.sqrt(200 * math.log(2))  # 11.77 px
TRUTH = np.array([[[0.0, 0.0], [100.0, 0.0]], [[0.0, 500.0], [100.0, 500.0]]])  # two persons, joints 0 and 1
AREAS, SIGMAS = np.array([1e4, 1e4]), np.array([0.05, 0.05])


def kind(x: float, y: float, **changes: object) -> str:
    """Of joint 0 of person 0, predicted at (x, y)."""
    prediction = TRUTH.copy()
    prediction[0, 0] = x, y
    given: dict[str, Any] = {"visible": np.ones((2, 2), bool), "areas": AREAS, "partners": None, **changes}
    kinds, *_ = classify(TRUTH, prediction, given["visible"], given["areas"], SIGMAS, given["partners"])
    return KINDS[kinds[0, 0]] if kinds[0, 0] >= 0 else ""


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.0, "good"), (GOOD_UP_TO - 1e-6, "good"), (GOOD_UP_TO + 1e-6, "jitter"), (NEAR_UP_TO - 1e-6, "jitter"),
        (NEAR_UP_TO + 1e-6, "miss"), (100 - NEAR_UP_TO - 1e-6, "miss"), (100 - NEAR_UP_TO + 1e-6, "inversion"),
    ],
)  # fmt: skip
def test_thresholds_along_a_line(x: float, expected: str) -> None:
    """Good to ks 0.85, jitter to 0.5, then miss until the other joint is near."""
    assert kind(x, 0.0) == expected


def test_swap_is_another_persons_joint() -> None:
    """The same joint of another person, or any other of hers."""
    assert kind(0.0, 495.0) == "swap"
    assert kind(100.0, 495.0) == "swap"


def test_the_larger_similarity_decides_between_inversion_and_swap() -> None:
    """Half-way between own and other person's joints the nearer one wins."""
    truth = TRUTH.copy()
    truth[1, 1] = 100.0, 10.0  # 10 px beside joint 1 of person 0
    for y, expected in ((4.0, "inversion"), (6.0, "swap"), (5.0, "inversion")):
        prediction = truth.copy()
        prediction[0, 0] = 100.0, y
        kinds, *_ = classify(truth, prediction, np.ones((2, 2), bool), AREAS, SIGMAS)
        assert KINDS[kinds[0, 0]] == expected


def test_the_nearest_place_decides_from_half_on() -> None:
    """Near its own joint (ks 0.55), nearer to another (0.995): an inversion; nearer to its own: jitter."""
    truth = np.array([[[0.0, 0.0], [12.0, 0.0]]])
    for x, expected in ((11.0, "inversion"), (6.1, "inversion"), (5.9, "jitter")):
        prediction = np.array([[[x, 0.0], [12.0, 0.0]]])
        kinds, own, largest = classify(truth, prediction, np.ones((1, 2), bool), AREAS[:1], SIGMAS)
        assert KINDS[kinds[0, 0]] == expected
        assert own[0, 0] == pytest.approx(math.exp(-(x**2) / 200))
        assert largest[0, 0] == pytest.approx(math.exp(-(min(x, 12 - x) ** 2) / 200))


def test_equal_similarities_count_in_a_fixed_order() -> None:
    """Own before the same joint of others, that before the partner, that before the partner of others."""
    partners = {0: 1, 1: 0}
    # joint 0 of person 0 at the origin, predicted there; where its own place, partner and person 1's joints are
    for places, expected in (
        ([(0, 0), (0, 0), (0, 0), (0, 0)], "good"),
        ([(99, 0), (0, 0), (0, 0), (0, 0)], "swap"),
        ([(99, 0), (0, 0), (99, 0), (0, 0)], "inversion"),
        ([(99, 0), (99, 0), (99, 0), (0, 0)], "swap"),
    ):
        truth = np.array(places, dtype=float).reshape(2, 2, 2)
        kinds, *_ = classify(truth, np.zeros((2, 2, 2)), np.ones((2, 2), bool), AREAS, SIGMAS, partners)
        assert KINDS[kinds[0, 0]] == expected


def test_the_joint_s_own_sigma_counts_everywhere() -> None:
    """15 px from its partner, a joint of sigma 0.1 is inverted (ks 0.75), one of 0.05 is a miss (0.32)."""
    truth = np.array([[[0.0, 0.0], [300.0, 0.0]]])
    prediction = np.array([[[285.0, 0.0], [15.0, 0.0]]])
    kinds, *_ = classify(truth, prediction, np.ones((1, 2), bool), AREAS[:1], np.array([0.1, 0.05]), {0: 1, 1: 0})
    assert [KINDS[k] for k in kinds[0]] == ["inversion", "miss"]


def test_partners_alone_are_confusable() -> None:
    """With partners, other joints are misses, of the same person and of another."""
    assert kind(100.0, 0.0, partners={0: 1, 1: 0}) == "inversion"
    assert kind(100.0, 500.0, partners={0: 1, 1: 0}) == "swap"
    assert kind(100.0, 0.0, partners={}) == "miss"
    assert kind(100.0, 500.0, partners={}) == "miss"
    assert kind(0.0, 500.0, partners={}) == "swap"


def test_invisible_joints_are_neither_classified_nor_confused_with() -> None:
    """Own: no kind; the other's: a miss."""
    visible = np.ones((2, 2), bool)
    visible[0, 1] = False
    assert kind(100.0, 0.0, visible=visible) == "miss"
    visible[0] = [False, True]
    assert kind(0.0, 0.0, visible=visible) == ""


def test_a_persons_own_size_is_the_unit() -> None:
    """A swap is measured by the size of the person it lands on; without an area nobody lands there."""
    assert kind(0.0, 480.0, areas=np.array([1e4, 1e4])) == "miss"
    assert kind(0.0, 480.0, areas=np.array([1e4, 4e4])) == "swap"
    assert kind(0.0, 500.0, areas=np.array([1e4, math.nan])) == "miss"
    assert kind(0.0, 0.0, areas=np.array([math.nan, 1e4])) == ""


def test_similarity_is_cocos() -> None:
    """d = s k: exp(-1/2), with k twice sigma."""
    found = keypoint_similarity(np.array(100.0), np.array(1e4), np.array(0.5))
    assert float(found) == pytest.approx(math.exp(-0.5))


def coco_analyze_kind(k: int, p: int, at: Any, truth: Any, visible: Any, areas: Any, sigmas: Any, partners: Any) -> str:
    """The published code's rule for joint k of person p predicted at `at`, one number after the other."""
    columns = [(p, k, "own")] + [(q, k, "swap") for q in range(len(truth)) if q != p]
    mirror = partners.get(k, k)
    columns += [(p, mirror, "inversion")] + [(q, mirror, "swap") for q in range(len(truth)) if q != p]
    best, word = 0.0, "miss"
    for q, j, name in columns:
        squared = (at[0] - truth[q][j][0]) ** 2 + (at[1] - truth[q][j][1]) ** 2
        ks = math.exp(-squared / (2 * sigmas[k]) ** 2 / areas[q] / 2) if visible[q][j] else -1.0
        if ks > best:
            best, word = ks, name
    if best < 0.5:
        return "miss"
    return word if word != "own" else "jitter" if best < 0.85 else "good"


def crowd(seed: int, persons: int, joints: int = 8) -> tuple[Any, ...]:
    """Persons of an image who overlap, with joints put at, near and between annotations."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 60, (persons, joints, 2)) + rng.uniform(0, 60, (persons, 1, 2))
    areas, sigmas = rng.uniform(400, 4000, persons), rng.uniform(0.025, 0.107, joints)
    visible = rng.random((persons, joints)) < 0.8
    toward = truth[rng.integers(persons, size=(persons, joints)), rng.permuted(np.arange(joints))]
    own_part = rng.choice([0.0, 0.5, 1.0], (persons, joints, 1))
    prediction = own_part * truth + (1 - own_part) * toward + rng.normal(0, 3, truth.shape)
    return truth, prediction, visible, areas, sigmas


def test_kinds_of_400_persons_are_those_of_the_published_rule() -> None:
    """160 crowded images of 1 to 4 persons: every visible joint; all kinds occur, and where the first rule of 0.5 to
    its own joint would have said otherwise too.
    """
    partners = {0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4}  # joints 6 and 7 have none
    counts, own_is_near, n = dict.fromkeys(KINDS, 0), 0, 0
    for seed in range(160):
        truth, prediction, visible, areas, sigmas = crowd(seed, 1 + seed % 4)
        kinds, own, largest = classify(truth, prediction, visible, areas, sigmas, partners)
        n += len(truth)
        for p, k in zip(*visible.nonzero(), strict=True):
            expected = coco_analyze_kind(k, p, prediction[p, k], truth, visible, areas, sigmas, partners)
            assert KINDS[kinds[p, k]] == expected, (seed, p, k)
            counts[expected] += 1
            own_is_near += own[p, k] >= 0.5 and expected in ("inversion", "swap")
            assert largest[p, k] >= own[p, k]
        assert (kinds[~visible] == -1).all()
    assert n == 400
    assert min(counts.values()) >= 30
    assert own_is_near >= 10


@pytest.mark.parametrize("wanted", KINDS)
def test_joints_made_by_a_rule_have_its_kind(wanted: str) -> None:
    """Persons and joints 400 px apart: a similarity of the kind's own range, at its own place, in any direction."""
    rng = np.random.default_rng(KINDS.index(wanted))
    partners = {0: 1, 1: 0}
    grid = np.stack(np.meshgrid(np.arange(2) * 400.0, np.arange(2) * 400.0, indexing="ij"), -1)  # person, joint
    low, high = {"good": (0.85, 1.0), "jitter": (0.5, 0.85), "miss": (1e-3, 0.5)}.get(wanted, (0.5, 1.0))
    for _ in range(200):
        areas, sigmas = rng.uniform(1e3, 1e4, 2), rng.uniform(0.03, 0.1, 2)
        p = int(rng.integers(2))
        q, j = {"inversion": (p, 1), "swap": (1 - p, int(rng.integers(2)))}.get(wanted, (p, 0))
        ks, angle = rng.uniform(low + 1e-9, high - 1e-9), rng.uniform(0, 2 * math.pi)
        away = 2 * sigmas[0] * math.sqrt(-2 * math.log(ks) * areas[q])
        prediction = grid.copy()
        prediction[p, 0] = grid[q, j] + away * np.array([math.cos(angle), math.sin(angle)])
        kinds, _, largest = classify(grid, prediction, np.ones((2, 2), bool), areas, sigmas, partners)
        assert KINDS[kinds[p, 0]] == wanted
        assert largest[p, 0] == pytest.approx(ks, rel=1e-6)


@needs_shared
def test_kinds_on_the_shared_persons_are_those_of_the_published_rule() -> None:
    """Annotations of four images of COCO; each joint predicted at, near and between its own and others' places."""
    entries = json.loads((SHARED / "data" / "coco" / "test_coco.json").read_text())["annotations"]
    flips = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]
    partners = {a: b for pair in flips for a, b in (pair, pair[::-1])}
    sigmas = np.array([0.026, *(s for s in (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089) for _ in "lr")])
    counts, rng = dict.fromkeys(KINDS, 0), np.random.default_rng(0)
    for image in sorted({e["image_id"] for e in entries}):
        persons = [e for e in entries if e["image_id"] == image and e.get("num_keypoints")]
        points = np.array([e["keypoints"] for e in persons], dtype=float).reshape(-1, 17, 3)
        truth, visible = points[..., :2], points[..., 2] > 0
        areas = np.array([float(e["area"]) for e in persons])
        for _ in range(20):
            taken = truth[rng.integers(len(persons), size=visible.shape), rng.integers(17, size=visible.shape)]
            mirrored = truth[:, [partners.get(k, k) for k in range(17)]]
            which = rng.integers(4, size=(*visible.shape, 1))
            prediction = np.select(
                [which == 0, which == 1, which == 2], [mirrored, taken, (truth + mirrored) / 2], truth
            )
            prediction += rng.normal(0, 0.04, truth.shape) * np.sqrt(areas)[:, None, None]
            kinds, *_ = classify(truth, prediction, visible, areas, sigmas, partners)
            for p, k in zip(*visible.nonzero(), strict=True):
                expected = coco_analyze_kind(k, p, prediction[p, k], truth, visible, areas, sigmas, partners)
                assert KINDS[kinds[p, k]] == expected
                counts[expected] += 1
    assert min(counts.values()) >= 20


def test_chance_is_the_area_of_the_discs() -> None:
    """Two joints far apart in a large box: each is good in a disc of its own, and inverted in one about its partner."""
    truth, side = np.array([[[200.0, 200.0], [800.0, 800.0]]]), 1000.0
    counts = chance_counts(
        np.array([0, 0, side, side]), 0, truth, np.ones((1, 2), bool), np.array([1e6]), SIGMAS, {0: 1, 1: 0}, 20000,
        np.random.default_rng(0),
    )  # fmt: skip
    assert counts.sum() == 40000
    near = math.pi * 2e4 * math.log(2) / side**2  # ks 0.5 of s 1000 px, k 0.1: r^2 = 2 s^2 k^2 ln 2
    good = math.pi * 2e4 * -math.log(0.85) / side**2
    expected = dict(zip(KINDS, (good, near - good, near, 0, 1 - 2 * near), strict=True))
    for kind, hits in zip(KINDS, counts / counts.sum(), strict=True):
        share = expected[kind]
        assert hits == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20000) + 1e-12)


def test_corrections_by_hand() -> None:
    """Jitter to 0.85, miss to 0.5, inversion and swap to what they are at the other place; good never."""
    kinds, ks = np.arange(5), np.array([0.9, 0.6, 0.2, 0.3, 0.1])
    largest = np.array([0.9, 0.6, 0.7, 0.95, 0.4])
    assert corrected(ks, kinds, largest, KINDS[1:]).tolist() == [0.9, 0.85, 0.7, 0.95, 0.5]
    assert corrected(ks, kinds, largest, ("swap",)).tolist() == [0.9, 0.6, 0.2, 0.95, 0.1]


def test_average_precision_by_hand() -> None:
    """An OKS of 0.75 reaches 0.50, 0.55 ... 0.75: six of ten."""
    oks = object_similarity(np.array([[0.5, 1.0], [math.nan, math.nan], [0.4, math.nan]]))
    assert average_precision(oks).tolist() == pytest.approx([0.6, math.nan, 0.0], nan_ok=True)


def test_shapes_are_checked() -> None:
    """Areas of another number of persons are an error."""
    with pytest.raises(ShapeError, match="expected"):
        classify(TRUTH, TRUTH, np.ones((2, 2), bool), AREAS[:1], SIGMAS)
