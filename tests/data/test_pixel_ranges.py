"""Pixels that a pipeline gives otherwise than the preprocessor expects: said, and shown as they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_coordinates import BLUE, BOXED, CROP, LOAD, PACK, dataset, person, preprocessor, source, write

pytestmark = pytest.mark.usefixtures("mmpose_ready")
SHARES = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BGR_MEAN = {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
STEPS: dict[str, Any] = {
    "shares": lambda image: (image / 255).astype(np.float32),
    "normalised": lambda image: ((image - 120.0) / 58).astype(np.float32),
    "deep": lambda image: image.astype(np.uint16) * 257,
    "rgb": lambda image: np.ascontiguousarray(image[..., ::-1]),
    "rgb_shares": lambda image: np.ascontiguousarray(image[..., ::-1] / 255).astype(np.float32),
    "float": lambda image: image.astype(np.float32),
    "none": lambda image: image,
}


@pytest.fixture(scope="module", autouse=True)
def change_pixels(mmpose_ready: None) -> None:
    """A transform that does one of `STEPS` to the image."""
    from mmpose.registry import TRANSFORMS

    @TRANSFORMS.register_module(force=True)
    class ChangePixels:
        def __init__(self, step: str) -> None:
            self.step = STEPS[step]

        def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
            return {**results, "img": self.step(results["img"])}


def loaded(folder: Path, step: str, **numbers: Any) -> tuple[Any, str]:
    """A sample after a step, and the notes of its source."""
    write(folder, [person(1), person(2)])
    pipeline = [LOAD, {"type": "ChangePixels", "step": step}, BOXED, CROP, PACK]
    found = source(dataset(folder, pipeline), preprocessor(**numbers), mask="none")
    samples = [found.load(i) for i in range(2)]
    assert len(found.notes) == len(set(found.notes))
    return samples[0], "\n".join(found.notes)


@pytest.mark.parametrize(
    ("step", "numbers", "said"),
    [
        ("shares", {}, "gives pixels from 0.074 to 0.51, and the preprocessor subtracts .123.675.*made for 0 to 255"),
        ("rgb_shares", {}, "made for 0 to 255.*\\n?.*red and blue are exchanged"),
        ("normalised", {}, "normalised already.*normalised twice"),
        ("deep", {}, "gives pixels from 48[0-9]+ to 3\\d+.*made for 0 to 255: the image is too bright"),
        ("none", SHARES, "subtracts .0.485, 0.456, 0.406. and.*made for 0 to 1: the image is too bright"),
        (
            "rgb",
            {},
            "gives RGB, which the preprocessor turns round, but.*mean .* is that of RGB: red and blue are exch",
        ),
        ("rgb", {"mean": [127.5] * 3, "std": [127.5] * 3}, "gives RGB, which the preprocessor turns round as if"),
        ("none", {"bgr_to_rgb": False}, "gives BGR, but the preprocessor's mean .* is that of RGB"),
        ("rgb", {**BGR_MEAN, "bgr_to_rgb": False}, "gives RGB, but the preprocessor's mean .* is that of BGR"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, step: str, numbers: dict[str, Any], said: str) -> None:
    """By the pixels themselves and the preprocessor's numbers."""
    import re

    notes = loaded(tmp_path, step, **numbers)[1]
    assert re.search(said, notes, re.DOTALL), notes


@pytest.mark.parametrize(
    ("step", "numbers"),
    [
        ("none", {}),
        ("float", {}),
        ("shares", SHARES),
        ("rgb", {"bgr_to_rgb": False}),
        ("none", {**BGR_MEAN, "bgr_to_rgb": False}),
        ("none", {"mean": [127.5] * 3, "std": [127.5] * 3}),
        ("none", {"mean": [0.0] * 3, "std": [255.0] * 3, "bgr_to_rgb": False}),
        ("shares", {"mean": None, "std": None}),
    ],
)
def test_of_what_fits_nothing_is_said(tmp_path: Path, step: str, numbers: dict[str, Any]) -> None:
    """Whichever order and range it is."""
    assert loaded(tmp_path, step, **numbers)[1] == ""


@pytest.mark.parametrize("step", ["none", "float", "shares", "deep", "rgb", "rgb_shares"])
def test_pictures_are_shown_as_they_look(tmp_path: Path, step: str) -> None:
    """Neither black nor with red and blue exchanged."""
    usual = loaded(tmp_path, "none")[0].display
    shown = loaded(tmp_path, step)[0].display
    assert usual[30, 24, 2] == BLUE
    assert np.abs(shown.astype(int) - usual).max() <= 1


def test_a_dark_or_grey_image_says_nothing(tmp_path: Path) -> None:
    """Black is no share of white, and grey has no order."""
    for value in (0, 1, 90):
        write(tmp_path, [person(1)])
        cv2.imwrite(str(tmp_path / "1.png"), np.full((160, 200, 3), value, np.uint8))
        found = source(dataset(tmp_path), mask="none")
        assert found.load(0).display[30, 24].tolist() == [value] * 3
        assert not found.notes
