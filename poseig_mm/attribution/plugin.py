"""Built-in attribution methods, paths and likelihoods, as a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..markers import hookimpl


@hookimpl
def poseig_attribution_methods() -> Mapping[str, Any]:
    """`path_ig` (integrated gradients along any path), two controls, `gradient` and `random`, and `none`: no maps."""
    from .methods import METHODS

    return METHODS


@hookimpl
def poseig_likelihoods() -> Mapping[str, Any]:
    """`exp_l2` (the paper's), `neg_l2`, `neg_squared_l2`, `gaussian`, `laplace`."""
    from ..functional.likelihood import LIKELIHOODS

    return LIKELIHOODS


@hookimpl
def poseig_paths() -> Mapping[str, Any]:
    """`blur` (the paper's) and `linear`."""
    from ..functional.paths import PATHS

    return PATHS
