"""The built-in attribution methods: an adapter's coordinates given to the mathematics in `functional`.

A method is called as `method(adapter, images, keypoints, **arguments)`: of `METHOD_ARGUMENTS`, which follow from
`diagnosis.attribution`, it gets those that it names (all with `**settings`).  Any other keyword parameter is a setting
of its own, `diagnosis.attribution.method_settings`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..functional.path_attribution import path_attribution
from ..settings import NO_MAPS
from ..types import Attribution
from .controls import gradient_attribution, no_attribution, nobody_attribution, random_attribution

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter


METHOD_ARGUMENTS = (
    "path", "quadrature", "nodes", "max_nodes", "tol", "tol_scale", "power", "noise_std", "noise_draws", "seed",
    "likelihood", "likelihood_settings", "joints", "contrast", "signed", "halves", "chunk", "backward",
)  # fmt: skip


def call_method(
    method: Callable[..., Attribution],
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    arguments: Mapping[str, Any],
) -> Attribution:
    """An attribution method's answer, or why there is none: the model does not find this person.

    Args:
        method: gets those of the arguments that it names.
        adapter, images, keypoints: its first three.
        arguments: `METHOD_ARGUMENTS`, and its own settings.
    """
    if not adapter.matched:
        return nobody_attribution(images, keypoints, joints=arguments["joints"], signed=arguments["signed"])
    known = _keywords(method)
    return method(adapter, images, keypoints, **{n: v for n, v in arguments.items() if known is None or n in known})


def own_settings(method: Callable[..., Attribution]) -> list[str]:
    """Names of a method's own settings.

    >>> own_settings(METHODS["path_ig"]), own_settings(METHODS["gradient"])
    (['stack', 'cuda_graph'], [])
    """
    named = [n for n, p in _parameters(method).items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return [name for name in named if name not in (*METHOD_ARGUMENTS, "path_settings")]


def _keywords(method: Callable[..., Attribution]) -> set[str] | None:
    """Names of a method's keyword parameters; None: it takes any."""
    parameters = _parameters(method)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return None if takes_any else set(parameters)


def _parameters(method: Callable[..., Attribution]) -> dict[str, inspect.Parameter]:
    """Of a method, without adapter, images and keypoints."""
    return dict(list(inspect.signature(method).parameters.items())[3:])


def _on_coordinates(function: Callable[..., Attribution]) -> Callable[..., Attribution]:
    """A function of `functional` on images -> coordinates, as a method on an adapter; it names the same arguments."""

    @wraps(function)
    def method(adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
        return function(lambda images: adapter(images).coords, images, keypoints, **settings)

    return method


def without_maps(
    adapter: CoordinateAdapter, images: Tensor, keypoints: Tensor, *, joints: Tensor | None = None
) -> Attribution:
    """No map of any joint, and no pass of the model; see `controls.no_attribution`."""
    return no_attribution(images, keypoints, joints=joints)


path_ig = _on_coordinates(path_attribution)
METHODS = {
    "path_ig": path_ig,
    "gradient": _on_coordinates(gradient_attribution),
    "random": _on_coordinates(random_attribution),
    NO_MAPS: without_maps,
}
