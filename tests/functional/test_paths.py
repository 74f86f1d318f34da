"""Paths: end points, the published kernel, baselines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from poseig_mm.errors import ConfigError, ShapeError
from poseig_mm.functional.paths import BlurPath, LinearPath, gaussian_kernels, resolve_path

IMAGES = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def published_blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """The published 31 x 31 kernel, written out in two dimensions: (C, H, W) -> (C, H, W)."""
    y, x = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(31.0) - 15, indexing="ij")
    kernel = torch.exp(-(x**2 + y**2) / (2 * (sigma + 1e-5) ** 2)).double()
    kernel = (kernel / kernel.sum()).expand(3, 1, 31, 31)
    return F.conv2d(F.pad(image[None], (15, 15, 15, 15), "reflect"), kernel, groups=3)[0]


@pytest.mark.parametrize("t", [0.0, 0.3, 0.98])
def test_blur_path_equals_the_published_two_dimensional_kernel(t: float) -> None:
    """Separable filtering with sigma 19 (1 - t) equals the published 31 x 31 kernel to 1e-5."""
    ours = BlurPath()(IMAGES, torch.tensor([t], dtype=torch.float64))
    theirs = torch.stack([published_blur(image, 19 * (1 - t)) for image in IMAGES])
    assert (ours[:, 0] - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("path", [BlurPath(), BlurPath(5.0, "full"), LinearPath("white"), LinearPath("noise")])
def test_a_path_ends_at_the_image(path: BlurPath | LinearPath) -> None:
    """gamma(1) is the image, exactly for blur and to rounding for linear paths."""
    assert torch.allclose(path(IMAGES, torch.ones(1))[:, 0], IMAGES, atol=1e-15)


def test_each_image_has_its_own_times() -> None:
    """t of shape (B, n) gives each image its own nodes, equal to asking for them one by one."""
    t = torch.tensor([[0.1, 0.9], [0.5, 0.2]], dtype=torch.float64)
    both = BlurPath()(IMAGES, t)
    for b in range(2):
        assert torch.allclose(both[b], BlurPath()(IMAGES[b : b + 1], t[b])[0])


def test_a_full_kernel_is_not_truncated() -> None:
    """kernel_size='full' spans 6 sigma + 1 taps; its outermost weight is below 1.2 % of the middle one."""
    assert BlurPath(19.0, "full").taps == 115
    row = gaussian_kernels(torch.tensor([19.0]), 115)[0]
    assert row[0] / row[57] == pytest.approx(torch.tensor(-0.5 * 9).exp().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("baseline", "value"), [("black", [-2.0, -1.0, 0.0]), ("white", [2.0, 3.0, 4.0]), ("mean", None), ("blur", None)]
)
def test_linear_baselines(baseline: str, value: list[float] | None) -> None:
    """black and white are pixel values 0 and 255 after normalisation; 'mean' is the image's own colour."""
    path = LinearPath(baseline, black=(-2.0, -1.0, 0.0), white=(2.0, 3.0, 4.0))
    start = path(IMAGES, torch.zeros(1))[:, 0]
    if baseline == "mean":
        expected = IMAGES.mean((2, 3), keepdim=True).expand_as(IMAGES)
    elif baseline == "blur":
        expected = BlurPath()(IMAGES, torch.zeros(1))[:, 0]
    else:
        expected = torch.tensor(value, dtype=torch.float64).reshape(3, 1, 1).expand_as(IMAGES)
    assert torch.allclose(start, expected)


def test_noise_is_seeded_and_independent_of_the_batch() -> None:
    """The noise of an image does not change with the images beside it, and does with the seed."""
    both, alone = LinearPath("noise").baseline_of(IMAGES), LinearPath("noise").baseline_of(IMAGES[1:])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(LinearPath("noise", seed=1).baseline_of(IMAGES), both)


@given(st.floats(0, 1))
@settings(max_examples=20)
def test_blur_keeps_a_constant_image(t: float) -> None:
    """A kernel that sums to 1 with reflect padding leaves a constant image alone."""
    image = torch.full((1, 1, 40, 40), 0.7, dtype=torch.float64)
    assert torch.allclose(BlurPath()(image, torch.tensor([t])), image[:, None])


def test_errors_name_what_is_wrong() -> None:
    """Unknown names, settings and images that are too small are named, with what to do."""
    with pytest.raises(ConfigError, match="did you mean 'blur'"):
        resolve_path("blurr")
    with pytest.raises(ConfigError, match="does not take these settings"):
        resolve_path("blur", sigmas=3)
    with pytest.raises(ConfigError, match="did you mean 'black'"):
        LinearPath("blak").baseline_of(IMAGES)
    with pytest.raises(ShapeError, match="larger than 15 px"):
        BlurPath()(torch.zeros(1, 3, 12, 12), torch.zeros(1))
    with pytest.raises(ShapeError, match=r"expected \(B, C, H, W\)"):
        BlurPath()(torch.zeros(3, 32, 32), torch.zeros(1))
    with pytest.raises(ConfigError, match="odd"):
        gaussian_kernels(torch.ones(1), 4)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("blur", {"sigma": 0}, "sigma is 0; expected above 0"),
        ("blur", {"sigma": float("nan")}, "sigma is nan"),
        ("blur", {"sigma": "19"}, "sigma is '19'"),
        ("blur", {"kernel_size": 30}, "kernel_size is 30; expected an odd number from 1 on, or 'full'"),
        ("blur", {"kernel_size": -31}, "kernel_size is -31"),
        ("blur", {"kernel_size": "half"}, "kernel_size is 'half'"),
        ("linear", {"baseline": "blak"}, "did you mean 'black'"),
        ("linear", {"black": float("nan")}, "black is nan; expected a finite number, or one a channel"),
        ("linear", {"white": (1.0, "b")}, "white is"),
        ("linear", {"seed": -1}, "seed is -1; expected at least 0"),
    ],
)
def test_a_setting_of_a_path_has_bounds(name: str, settings: dict[str, Any], message: str) -> None:
    """An error when the path is made, not at its first map."""
    with pytest.raises(ConfigError, match=message):
        resolve_path(name, **settings)
