"""What is explained: the scalar whose gradient makes a map, along which path, and for which joints."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..adapters.base import CoordinateAdapter
from ..data.samples import SampleSource
from ..errors import ConfigError, did_you_mean
from ..functional.likelihood import scaled_settings
from ..functional.paths import LinearPath
from ..functional.quadrature import RULES
from ..plugin.catalog import Catalog
from ..settings import AttributionSettings

__all__ = ["Target", "check_quadrature"]


class Target:
    """`diagnosis.attribution` with its names resolved, once a run; `arguments` then asks for one batch.

    Whatever is misspelt is an error here, before the first sample.

    Args:
        settings: the user's.
        catalog: where paths and likelihoods are found by name.
        adapter: gives the stride, and what black, white and a baseline file are for the model.
        source: the persons: their joints' names and dimensions.
        scale: the distance that the likelihood is made for, in the model's unit; None: the likelihood's own default, in
            px.

    Raises:
        ConfigError: model and annotations differ in their number of joints; there is no such path, likelihood or joint;
            or its settings do not fit.
    """

    def __init__(
        self,
        settings: AttributionSettings,
        catalog: Catalog,
        adapter: CoordinateAdapter,
        source: SampleSource,
        scale: float | None = None,
    ) -> None:
        self._settings, self._names, self._unit = settings, source.groups.keypoint_names, adapter.unit
        predicted, annotated = len(adapter.keypoint_names), len(self._names)
        if predicted != annotated:
            raise ConfigError(
                f"the model predicts {predicted} joints, the annotations of {source.dataset_name} have {annotated}; "
                "give the data set that the model was made for, or select joints with "
                "model.test_cfg.output_keypoint_indices"
            )
        self._at_once = adapter.most_at_once
        if settings.path == "blur" and not adapter.takes_images:
            raise ConfigError(
                "path 'blur' blurs images, but the model's input is a sequence of 2D poses; leave `path` out (linear "
                "from the mean pose), or give path='linear' with a baseline"
            )
        nowhere = torch.zeros(1, annotated, source.dimensions)
        path = _made(
            f"diagnosis.attribution.path_settings of path {settings.path!r}",
            catalog.get("paths", settings.path or adapter.default_path),
            **_path_settings(settings, adapter),
        )
        likelihood = catalog.get("likelihoods", settings.likelihood)
        likelihood_settings = _likelihood_settings(settings, adapter, scale)
        _made(
            f"diagnosis.attribution.likelihood_settings of likelihood {settings.likelihood!r}",
            inspect.signature(likelihood).bind,
            nowhere,
            nowhere,
            **likelihood_settings,
        )
        for name in (settings.reference, settings.contrast):
            self._points(name, nowhere, nowhere)
        self._asked = None if settings.joints == "visible" else self._named(settings.joints)  # (K,) bool
        self._every_batch: dict[str, Any] = {
            "path": path,
            "likelihood": likelihood,
            "likelihood_settings": likelihood_settings,
            **{name: getattr(settings, name) for name in ("quadrature", "nodes", "max_nodes", "tol", "power")},
            **{name: getattr(settings, name) for name in ("noise_std", "noise_draws", "seed", "signed")},
        }

    def reference(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """(B, K, D): the points that the likelihood compares the coordinates with."""
        return self._points(self._settings.reference, truth, prediction)

    def places(self, pixels: Tensor, prediction: Tensor) -> Tensor:
        """(B, K, 2): where those points appear in the input, px; NaN where they do in no place that is known.

        Args:
            pixels: (B, K, 2) of the joints.
            prediction: (B, K, D) the model's own decoding, a place in the input where its unit is px.
        """
        if self._settings.reference == "prediction" and self._unit != "px":
            return torch.full_like(pixels, torch.nan)
        return self._points(self._settings.reference, pixels, prediction[..., :2])

    def arguments(self, truth: Tensor, prediction: Tensor, visible: Tensor) -> dict[str, Any]:
        """The keyword arguments of an attribution method for one batch.

        Args:
            truth: (B, K, D) the annotated points, NaN where there are none.
            prediction: (B, K, D) the model's own decoding, in the same unit.
            visible: (B, K) bool.
        """
        s = self._settings
        joints = visible if s.reference != "prediction" else torch.ones_like(visible)
        if self._asked is not None:
            joints = joints & self._asked.to(joints.device)
        return {
            **self._every_batch,
            "joints": joints,
            "contrast": self._points(s.contrast, truth, prediction) if s.contrast else None,
            "chunk": s.chunk or self._at_once or (8 if truth.device.type == "cpu" else 64),
        }

    def _points(self, name: str | None, truth: Tensor, prediction: Tensor) -> Tensor:
        """Points by name: 'truth', 'prediction', or a joint whose truth stands for all."""
        if name in (None, "truth"):
            return truth
        if name == "prediction":
            return prediction.to(truth)
        if name not in self._names:
            raise ConfigError(
                f"reference {name!r} is neither 'truth', 'prediction' nor a joint; joints: {', '.join(self._names)}"
            )
        k = self._names.index(str(name))
        return truth[:, k : k + 1].expand_as(truth)

    def _named(self, joints: str | list[str]) -> Tensor:
        """(K,) bool: the joints of these names."""
        wanted = [joints] if isinstance(joints, str) else joints
        if unknown := [j for j in wanted if j not in self._names]:
            raise ConfigError(f"diagnosis.attribution.joints names {unknown}; the joints are {', '.join(self._names)}")
        return torch.tensor([n in wanted for n in self._names])


def check_quadrature(settings: AttributionSettings) -> None:
    """A rule that path attribution does not know is a `ConfigError` with the nearest known one; needs no model."""
    known = (*RULES, "adaptive")
    if settings.method == "path_ig" and settings.quadrature not in known:
        raise ConfigError(
            f"diagnosis.attribution.quadrature {settings.quadrature!r} is unknown; "
            f"{did_you_mean(settings.quadrature, known)}"
        )


def _path_settings(settings: AttributionSettings, adapter: CoordinateAdapter) -> dict[str, Any]:
    """The user's path settings; a linear path also learns what black and white are, and reads a baseline file."""
    given = dict(settings.path_settings)
    if (settings.path or adapter.default_path) != "linear":
        return given
    if adapter.baseline is not None:
        given.setdefault("baseline", adapter.baseline)
    low, high = adapter.pixel_range()
    given = {"black": low, "white": high, **given}
    baseline = given.get("baseline")
    if isinstance(baseline, str) and baseline not in LinearPath.BASELINES:
        given["baseline"] = adapter.preprocess_file(baseline)
    return given


def _likelihood_settings(
    settings: AttributionSettings, adapter: CoordinateAdapter, scale: float | None
) -> dict[str, Any]:
    """The user's likelihood settings, with alpha by input px where it was given by heatmap px, or made for a scale."""
    given = dict(settings.likelihood_settings)
    if adapter.unit != "px":
        if settings.alpha_per_heatmap_px is not None:
            raise ConfigError(
                f"diagnosis.attribution.alpha_per_heatmap_px is {settings.alpha_per_heatmap_px:g}, but the model's "
                f"coordinates are in {adapter.unit}. Leave it out (alpha is then 1 / median error), or give "
                f"likelihood_settings=dict(alpha=...) per {adapter.unit}"
            )
        return given if scale is None else {**scaled_settings(settings.likelihood, scale), **given}
    if settings.alpha_per_heatmap_px is not None and settings.likelihood == "exp_l2":
        given["alpha"] = settings.alpha_per_heatmap_px / (adapter.stride or 4)
    return given


def _made(what: str, make: Callable[..., Any], /, *args: Any, **settings: Any) -> Any:
    """`make(*args, **settings)`; settings that it does not take are a `ConfigError`."""
    try:
        return make(*args, **settings)
    except TypeError as error:
        raise ConfigError(f"{what} do not fit: {error}") from error
