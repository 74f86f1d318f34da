"""The built-in attribution methods: an adapter's coordinates given to the mathematics in `functional`.

A method is called as `method(adapter, images, keypoints, **settings)` with every setting of `diagnosis.attribution`
that concerns a map, and takes those it has a use for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..functional.path_attribution import path_attribution
from ..functional.targets import CoordsFn
from ..types import Attribution
from .controls import gradient_attribution, nobody_attribution, random_attribution

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter

__all__ = ["METHODS", "call_method", "gradient", "path_ig", "random"]


TARGET = ("likelihood", "likelihood_settings", "joints", "contrast", "signed")  # the settings that the controls know


def _coords_fn(adapter: CoordinateAdapter) -> CoordsFn:
    return lambda images: adapter(images).coords


def path_ig(adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
    """Integrated gradients along a path; settings as in `functional.path_attribution`."""
    return path_attribution(_coords_fn(adapter), images, keypoints, **settings)


def gradient(adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
    """The plain gradient at the image; of the settings it knows those of the target."""
    return gradient_attribution(_coords_fn(adapter), images, keypoints, **_chosen(settings, TARGET))


def random(adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
    """Seeded noise, the control; of the settings it knows those of the target, and the seed."""
    return random_attribution(_coords_fn(adapter), images, keypoints, **_chosen(settings, (*TARGET, "seed")))


def _chosen(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: settings[name] for name in names if name in settings}


def call_method(
    method: Callable[..., Attribution], adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any
) -> Attribution:
    """An attribution method's answer, or why there is none: the model does not find this person."""
    if not adapter.matched:
        return nobody_attribution(images, keypoints, **settings)
    return method(adapter, images, keypoints, **settings)


METHODS = {"path_ig": path_ig, "gradient": gradient, "random": random}
