"""What one calls from Python without a session: a model as coordinates, maps of a few images, a picture explained."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .adapters.base import CoordinateAdapter
from .attribution.acceleration import accelerate, tensor_float32
from .errors import ConfigError
from .plugin.catalog import Catalog
from .plugin.manager import PluginHost
from .run.calibration import likelihood_scale
from .run.explain import Explanation, explain
from .run.explainer import Explainer
from .run.open import load_adapter, load_config, with_output
from .settings import Settings
from .types import Attribution

__all__ = ["Explanation", "attribute", "explain", "load_adapter", "load_config"]


def attribute(
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    *,
    path: Any = None,
    quadrature: str | None = None,
    likelihood: Any = None,
    dtype: torch.dtype | None = None,
    **settings: Any,
) -> Attribution:
    """Attribution maps of each joint, as a run with these settings makes them; the model's weights are left alone.

    Args:
        adapter: from `load_adapter`; one for images of several persons is bound to one of them first (`adapter.bind`).
            Its beta is as it is: `adapter.calibrate(images)` sets it as a run does.
        images: (B, C, H, W) normalised network input.
        keypoints: (B, K, D) reference points, in the adapter's unit (input px for 2D models), NaN where there are none.
        path: name, or a `functional.paths.Path`; default: the adapter's ('blur', of sequences 'linear').
        quadrature: default 'adaptive'.
        likelihood: name (default 'exp_l2'), or a function (coords, reference) -> (B, K).  Of coordinates in another
            unit than px, a named one is made for the median error of these images, as a run makes it for its own.
        dtype: compute in this type (the model must be in it already); None: that of the images.
        settings: any key of `diagnosis.attribution` (see `settings.AttributionSettings`), among them `preset`,
            `method`, `compute` ('fast', checked on the first image, or 'exact').  Beside what the config can say,
            `joints` may be (B, K) bool and `contrast` (B, K, D).

    Raises:
        ConfigError: a setting that is unknown or does not fit; no scale for a likelihood in mm.
    """
    images = images if dtype is None else images.to(dtype)
    asked = {"path": path, "quadrature": quadrature, "likelihood": likelihood, **settings}
    ready = {n: v for n, v in asked.items() if v is not None and _is_ready(n, v)}  # goes to the method as it is
    if clash := [n for n in ("path", "likelihood") if n in ready and f"{n}_settings" in settings]:
        raise ConfigError(f"{clash[0]}_settings cannot be applied to a {clash[0]} that is made already; set them on it")
    named = {n: v for n, v in asked.items() if n not in ready and not (v is None and n in _NAMED)}
    chosen = Settings.parse({"attribution": named}).attribution
    if chosen.output is not None:
        adapter = with_output(adapter, chosen.output)
    if chosen.beta is not None:
        adapter = copy(adapter)
        adapter.beta = chosen.beta
    finite = keypoints.isfinite().all(-1)
    with adapter.frozen(), tensor_float32(chosen.tf32):
        scale = None
        if adapter.unit != "px" and adapter.matched and "likelihood" not in ready:
            scale = likelihood_scale(images, keypoints, finite, adapter, chosen)["median"]
        fast = None
        if adapter.matched:
            fast = accelerate(adapter, images[:1], compute=chosen.compute, backward_dtype=chosen.backward_dtype)
        names = adapter.keypoint_names
        explainer = Explainer(adapter, _catalog(), chosen, names, str(images.device), fast, scale)
        return explainer.attribute(images, keypoints, **ready)


_NAMED = ("path", "quadrature", "likelihood")


def _is_ready(name: str, value: Any) -> bool:
    """Whether this is an argument of a method as it is: a path, a function, a tensor."""
    return isinstance(value, Tensor) or (name in ("path", "likelihood") and not isinstance(value, str))


@cache
def _catalog() -> Catalog:
    """Of the built-in and the installed plugins."""
    return PluginHost().catalog
