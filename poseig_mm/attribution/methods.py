"""The built-in attribution methods: an adapter's coordinates given to the mathematics in `functional`.

A method is called as `method(adapter, images, keypoints, **settings)` with every setting of `diagnosis.attribution` that
concerns a map; what it has no use for lands in `_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..functional.controls import gradient_attribution, random_attribution
from ..functional.path_attribution import path_attribution
from ..functional.targets import CoordsFn
from ..types import Attribution

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter

__all__ = ["METHODS", "gradient", "path_ig", "random"]


def _coords_fn(adapter: CoordinateAdapter) -> CoordsFn:
    return lambda images: adapter(images).coords


def path_ig(adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
    """Integrated gradients along a path; settings as in `functional.path_attribution`."""
    return path_attribution(_coords_fn(adapter), images, keypoints, **settings)


def gradient(
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    *,
    likelihood: str = "exp_l2",
    likelihood_settings: dict[str, Any] | None = None,
    joints: Tensor | None = None,
    contrast: Tensor | None = None,
    signed: bool = False,
    **_: Any,
) -> Attribution:
    """The plain gradient at the image."""
    return gradient_attribution(
        _coords_fn(adapter),
        images,
        keypoints,
        likelihood=likelihood,
        likelihood_settings=likelihood_settings,
        joints=joints,
        contrast=contrast,
        signed=signed,
    )


def random(
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    *,
    likelihood: str = "exp_l2",
    likelihood_settings: dict[str, Any] | None = None,
    joints: Tensor | None = None,
    contrast: Tensor | None = None,
    signed: bool = False,
    seed: int = 0,
    **_: Any,
) -> Attribution:
    """Seeded noise, the control."""
    return random_attribution(
        _coords_fn(adapter),
        images,
        keypoints,
        likelihood=likelihood,
        likelihood_settings=likelihood_settings,
        joints=joints,
        contrast=contrast,
        signed=signed,
        seed=seed,
    )


METHODS = {"path_ig": path_ig, "gradient": gradient, "random": random}
