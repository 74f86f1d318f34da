"""Bottom-up data as samples: one a person, in the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_coordinates import BLUE, JOINTS, PIPELINES, PLAIN, dataset, person, source, square, write

from poseig_mm.errors import DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
AWAY = {k: (x + 80, y + 30) for k, (x, y) in JOINTS.items()}
OTHER = {"bbox": [140.0, 60.0, 50.0, 90.0], "segmentation": [square((165, 100), 20)], "joints": AWAY}


def two(folder: Path, name: str = "whole") -> Any:
    """The source over two persons of one image, in a bottom-up data set."""
    write(folder, [person(7, segmentation=[square(JOINTS[5])]), person(8, **OTHER)])
    return source(dataset(folder, PIPELINES[name], data_mode="bottomup"))


def test_persons_have_the_ids_of_a_top_down_run(tmp_path: Path) -> None:
    """One sample a person, not one an image; the notes say so."""
    found = two(tmp_path)
    assert found.ids() == source(dataset(tmp_path, PLAIN)).ids() == ["1-7", "1-8"]
    assert found.whole_image
    assert not source(dataset(tmp_path, PLAIN)).whole_image
    assert any("one by one" in note for note in found.notes)


def test_each_has_its_own_joints_and_mask_in_the_same_picture(tmp_path: Path) -> None:
    """Joints and mask are 80 and 30 image px apart (0.4 input px an image px); the pixels are the same."""
    a, b = (two(tmp_path).load(i) for i in (0, 1))
    assert np.array_equal(a.display, b.display)
    assert (a.display[..., 2] == BLUE).mean() > 0.8  # all of the image, and padding
    moved = (b.keypoints - a.keypoints)[[0, 1, 5]]
    assert moved.numpy() == pytest.approx(np.tile([32.0, 12.0], (3, 1)), abs=1e-4)
    assert not bool((a.mask & b.mask).any())
    for sample, joint in ((a, a.keypoints[5]), (b, b.keypoints[5] + 6)):
        assert bool(sample.mask[int(joint[1].round()), int(joint[0].round())])


def test_the_box_is_given_in_input_px(tmp_path: Path) -> None:
    """The annotated one, by the sample's own map; for a crop too."""
    write(tmp_path, [person(7)])
    for name in ("whole", "whole_expand", "plain", "rotated"):
        sample = source(dataset(tmp_path, PIPELINES[name])).load(0)
        x0, y0, x1, y1 = sample.extra["input_bbox"]
        warp = np.vstack([sample.inverse_warp, [0, 0, 1]])
        corners = np.array([[x, y, 1] for x in (60.0, 120.0) for y in (30.0, 120.0)]) @ np.linalg.inv(warp).T
        assert (x0, y0) == pytest.approx(tuple(corners[:, :2].min(0)), abs=1e-3)
        assert (x1, y1) == pytest.approx(tuple(corners[:, :2].max(0)), abs=1e-3)
        assert sample.extra["whole_image"] == name.startswith("whole")


def test_an_image_pyramid_is_refused(tmp_path: Path) -> None:
    """A diagnosis is of one input; the message says what to leave out."""
    write(tmp_path, [person(7)])
    load, resize, pack = PIPELINES["whole"]
    with pytest.raises(DataError, match=r"aug_scales \[2.0\]; a diagnosis takes one"):
        source(dataset(tmp_path, [load, {**resize, "aug_scales": [2.0]}, pack])).load(0)
