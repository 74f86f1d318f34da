"""Paths from a baseline to the image: gamma(0) is the baseline, gamma(1) the image.

A path is a callable `path(images, t)`: images (B, C, H, W), t (B, n) or (n,) in [0, 1], result (B, n, C, H, W).
Increments are differences of path points, so they are exact whatever the quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ConfigError, ShapeError, did_you_mean
from ..settings_fields import check_fields, checked, is_number, number, whole


class Path(Protocol):
    """What `path_attribution` asks of a path."""

    def __call__(self, images: Tensor, t: Tensor) -> Tensor:
        """images (B, C, H, W) and t (B, n) or (n,) -> points (B, n, C, H, W), same unit as the images."""
        ...


def gaussian_kernels(sigmas: Tensor, size: int) -> Tensor:
    """One normalised 1-D Gaussian kernel for each sigma.

    Args:
        sigmas: (n,) standard deviations in pixels, >= 0; 0 gives the identity kernel.
        size: odd number of taps; a size below 6 sigma truncates the Gaussian, as the published 31 taps do.

    Returns:
        (n, size), each row summing to 1.

    >>> gaussian_kernels(torch.tensor([0.0]), 3).tolist()
    [[0.0, 1.0, 0.0]]
    """
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"kernel size {size}: expected an odd number >= 1")
    x = torch.arange(size, dtype=sigmas.dtype, device=sigmas.device) - size // 2
    kernels = torch.exp(-0.5 * (x / (sigmas + 1e-5)[:, None]).square())  # + 1e-5 as published; it also allows 0
    return kernels / kernels.sum(1, keepdim=True)


def _times(images: Tensor, t: Tensor) -> Tensor:
    """t as (B, n)."""
    if images.ndim != 4:
        raise ShapeError(f"images have shape {tuple(images.shape)}; expected (B, C, H, W)")
    if t.ndim == 1:
        t = t.expand(images.shape[0], -1)
    if t.ndim != 2 or t.shape[0] != images.shape[0]:
        raise ShapeError(f"t has shape {tuple(t.shape)}; expected (n,) or (B, n) with B = {images.shape[0]}")
    return t.to(images)


@dataclass(frozen=True)
class BlurPath:
    """gamma(t) = G_sigma(t) * image, sigma falling linearly from `sigma` to 0 (PoseIG's path, method section 3).

    Args:
        sigma: standard deviation at the baseline, input px.
        kernel_size: taps of the kernel, or 'full' for 6 sigma + 1.  The published 31 truncates sigma 19.

    Separable with reflect padding; equal to the published 2-D kernel, which is the outer product of the same rows.

    >>> image = torch.rand(1, 3, 40, 40)
    >>> torch.equal(BlurPath()(image, torch.tensor([1.0]))[:, 0], image)
    True
    """

    sigma: float = number(19.0, above=0)
    kernel_size: int | Literal["full"] = checked(
        31,
        "an odd number from 1 on, or 'full'",
        lambda v: v == "full" or (isinstance(v, int) and v >= 1 and v % 2 == 1),
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def taps(self) -> int:
        """Length of the kernel in pixels."""
        return 2 * int(3 * self.sigma + 0.5) + 1 if self.kernel_size == "full" else self.kernel_size

    def __call__(self, images: Tensor, t: Tensor) -> Tensor:
        """(B, C, H, W), (B, n) or (n,) -> (B, n, C, H, W)."""
        t = _times(images, t)
        (batch, n), (_, channels, height, width) = t.shape, images.shape
        pad = self.taps // 2
        if min(height, width) <= pad:
            raise ShapeError(f"a kernel of {self.taps} taps needs images larger than {pad} px; got {height} x {width}")
        kernels = gaussian_kernels((self.sigma * (1 - t)).reshape(-1), self.taps)  # (B n, taps)
        x = images.transpose(0, 1)  # (C, B, H, W): each image is convolved with its own n kernels
        x = F.conv2d(F.pad(x, (pad, pad, 0, 0), "reflect"), kernels[:, None, None, :], groups=batch)
        x = F.conv2d(F.pad(x, (0, 0, pad, pad), "reflect"), kernels[:, None, :, None], groups=batch * n)
        x = x.reshape(channels, batch, n, height, width).permute(1, 2, 0, 3, 4)
        return torch.where((t == 1)[:, :, None, None, None], images[:, None], x)


@dataclass(frozen=True)
class LinearPath:
    """gamma(t) = x' + t (x - x'), the straight path of Integrated Gradients (Sundararajan et al. 2017).

    Args:
        baseline: 'black' | 'white' (every pixel `black` | `white`), 'mean' (each image's own mean colour), 'blur'
            (gamma(0) of the default `BlurPath`), 'noise' (Gaussian noise with each image's own mean and standard
            deviation a channel, the same draw for all images), or a tensor that broadcasts to the images.
        black, white: what pixel values 0 and 255 become after normalisation: a number or one a channel.
        seed: of the noise.

    >>> image = torch.ones(1, 3, 4, 4)
    >>> LinearPath('black')(image, torch.tensor([0.0, 0.5]))[0, :, 0, 0, 0].tolist()
    [0.0, 0.5]
    """

    baseline: str | Tensor = "black"
    black: float | tuple[float, ...] = checked(0.0, "a finite number, or one a channel", lambda v: _are_numbers(v))
    white: float | tuple[float, ...] = checked(1.0, "a finite number, or one a channel", lambda v: _are_numbers(v))
    seed: int = whole(0, least=0)

    BASELINES: ClassVar[tuple[str, ...]] = ("black", "white", "mean", "blur", "noise")

    def __post_init__(self) -> None:
        check_fields(self)
        if not isinstance(self.baseline, Tensor) and self.baseline not in self.BASELINES:
            raise ConfigError(
                f"baseline {self.baseline!r} is unknown; {did_you_mean(str(self.baseline), self.BASELINES)}"
            )

    def baseline_of(self, images: Tensor) -> Tensor:
        """x' for each image, (B, C, H, W)."""
        if isinstance(self.baseline, Tensor):
            return self.baseline.to(images).expand_as(images)
        if self.baseline in ("black", "white"):
            value = self.black if self.baseline == "black" else self.white
            return images.new_tensor(value).reshape(-1, 1, 1).expand_as(images)
        if self.baseline == "mean":
            return images.mean((2, 3), keepdim=True).expand_as(images)
        if self.baseline == "blur":
            return BlurPath()(images, images.new_zeros(1))[:, 0]
        if self.baseline == "noise":
            generator = torch.Generator().manual_seed(self.seed)
            noise = torch.randn(images.shape[1:], generator=generator, dtype=torch.float64).to(images)
            return images.mean((2, 3), keepdim=True) + noise * images.std((2, 3), keepdim=True)
        raise AssertionError(self.baseline)  # refused when the path was made

    def __call__(self, images: Tensor, t: Tensor) -> Tensor:
        """(B, C, H, W), (B, n) or (n,) -> (B, n, C, H, W)."""
        t = _times(images, t)[:, :, None, None, None]
        baseline = self.baseline_of(images)[:, None]
        return baseline + t * (images[:, None] - baseline)


def _are_numbers(value: Any) -> bool:
    return all(map(is_number, value)) if isinstance(value, (tuple, list)) else is_number(value)


PATHS: dict[str, type[BlurPath] | type[LinearPath]] = {"blur": BlurPath, "linear": LinearPath}


def resolve_path(path: str | Path, **settings: Any) -> Path:
    """A built-in path by name ('blur', 'linear') with its settings, or the given path itself.

    Raises:
        ConfigError: unknown name, unknown setting, or settings beside a ready path.
    """
    if not isinstance(path, str):
        if settings:
            raise ConfigError(f"settings {sorted(settings)} cannot be applied to a ready path object; set them on it")
        return path
    if path not in PATHS:
        raise ConfigError(f"path {path!r} is unknown; {did_you_mean(path, PATHS)}")
    try:
        return PATHS[path](**settings)
    except TypeError as e:
        raise ConfigError(f"path {path!r} does not take these settings: {e}") from e
