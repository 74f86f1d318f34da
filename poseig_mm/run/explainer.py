"""THE way to a map: whoever wants one (session, study, `poseig_mm.attribute`, benchmark, viewer) asks an
`Explainer`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..adapters.base import CoordinateAdapter
from ..attribution.acceleration import Acceleration
from ..attribution.methods import METHOD_ARGUMENTS, call_method, own_settings
from ..errors import AttributionError, ConfigError, did_you_mean
from ..functional.fast_backward import FastBackward
from ..functional.likelihood import ALPHA, LIKELIHOODS, scaled_settings
from ..functional.maps import person_of
from ..functional.paths import LinearPath
from ..functional.quadrature import RULES
from ..plugin.catalog import Catalog
from ..settings import AttributionSettings
from ..types import Attribution, Sample


@dataclass(frozen=True)
class Explainer:
    """A model as coordinates, what makes its passes fast, what is known by name, and the settings of a map.

    Whatever is misspelt or does not fit is an error when it is made, before the first map.

    Args:
        adapter: the model as it is, inside its `frozen()` when a map is asked for.
        catalog: where methods, paths and likelihoods are found by name.
        settings: `diagnosis.attribution`.
        keypoint_names: of the K joints that are explained, as the annotations name them.
        device: where the model is.
        acceleration: what maps are made on; None: on the adapter, by autograd.
        scale: the distance that the likelihood is made for, in the model's unit; None: the likelihood's own default,
            px.

    Raises:
        ConfigError: there is no such method, path, likelihood, rule or joint; or its settings do not fit.
    """

    adapter: CoordinateAdapter
    catalog: Catalog
    settings: AttributionSettings
    keypoint_names: tuple[str, ...]
    device: str = "cpu"
    acceleration: Acceleration | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        check_quadrature(self.settings)
        nowhere = torch.zeros(1, len(self.keypoint_names), self.adapter.dimensions)
        for name in (self.settings.reference, self.settings.contrast):
            self._points(name, nowhere, nowhere)
        _ = self._every_batch, self._asked

    # ---- what holds for every map ------------------------------------------------------------------------------------

    @property
    def dtype(self) -> torch.dtype:
        """Of the model."""
        dtype: torch.dtype = getattr(torch, self.settings.dtype)
        return dtype

    @property
    def chunk(self) -> int:
        """Images in one forward pass."""
        return self.settings.chunk or self.adapter.most_at_once or (8 if self.device == "cpu" else 64)

    @property
    def alpha(self) -> float:
        """Of exp_l2 per unit of the coordinates, for this model's errors: 0.075 a px, else 1 / `scale`."""
        return ALPHA if self.adapter.unit == "px" else 1 / (self.scale or math.nan)

    @property
    def pixel_range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What black and white are in the normalised input, one value a channel each."""
        return self.adapter.pixel_range()

    # ---- maps --------------------------------------------------------------------------------------------------------

    def attribute(
        self,
        images: Tensor | Sample,
        keypoints: Tensor | None = None,
        *,
        visible: Tensor | None = None,
        prediction: Tensor | None = None,
        **given: Any,
    ) -> Attribution:
        """Maps of the joints of some images, or of a sample (then without B).

        Args:
            images: (B, C, H, W) normalised network input, of the model's dtype and on its device; or a sample, whose
                keypoints and visibility then hold.
            keypoints: (B, K, D) the annotated points in the adapter's unit, NaN where there are none.
            visible: (B, K) bool; None: where the keypoints are finite.
            prediction: (B, K, D) the model's own decoding; None: it is asked for where the settings refer to it.
            given: keyword arguments of the method as they are, in the place of those that follow from the settings: a
                `path`, a `likelihood`, `joints` (B, K) bool, `contrast` (B, K, D) ...

        Raises:
            AttributionError: the method does not return an `Attribution`; what it raises itself is passed on.
        """
        if isinstance(images, Sample):
            image = images.image[None].to(self.device, self.dtype)
            of_one = self.attribute(image, images.keypoints[None], visible=images.visible[None], **given)
            return person_of(of_one, 0)
        if keypoints is None:
            raise ConfigError("keypoints: got None beside images; expected (B, K, D), or a sample in the images' place")
        truth = keypoints.to(images)
        visible = truth.isfinite().all(-1) if visible is None else visible.to(images.device)
        if prediction is None and "prediction" in (self.settings.reference, self.settings.contrast):
            prediction = self.adapter.predict(images)
        fast = self.acceleration or Acceleration(self.adapter)
        arguments = {
            **self._every_batch,
            **self._of_batch(truth, prediction, visible),
            "backward": fast.backward,
            **given,
        }
        with torch.enable_grad():  # also where the caller is inside a `no_grad` of its own
            reference = self.reference(truth, prediction)
            result: object = call_method(self._method, fast.adapter, images, reference, arguments)
        if not isinstance(result, Attribution):
            raise AttributionError(
                f"attribution method {self.settings.method!r} returned a {type(result).__name__}; expected "
                "poseig_mm.Attribution"
            )
        return result if self.adapter.lost is None else _with_reason(result, self.adapter.lost, "nonfinite_weights")

    def reference(self, truth: Tensor, prediction: Tensor | None) -> Tensor:
        """(B, K, D): the points that the likelihood compares the coordinates with."""
        return self._points(self.settings.reference, truth, prediction)

    def places(self, pixels: Tensor, prediction: Tensor) -> Tensor:
        """(B, K, 2): where those points appear in the input, px; NaN where they do in no place that is known.

        Args:
            pixels: (B, K, 2) of the joints.
            prediction: (B, K, D) the model's own decoding, a place in the input where its unit is px.
        """
        if self.settings.reference == "prediction" and self.adapter.unit != "px":
            return torch.full_like(pixels, torch.nan)
        if self.settings.reference == "quantised_target":  # the Gaussian is drawn around the truth, then decoded
            return pixels
        return self._points(self.settings.reference, pixels, prediction[..., :2])

    # ---- others like this one ----------------------------------------------------------------------------------------

    def with_(self, **changes: Any) -> Explainer:
        """The same with some settings changed, checked as the config's are.

        Args:
            changes: of `diagnosis.attribution`, by name; see `AttributionSettings.changed`.

        Raises:
            ConfigError: a change that the settings would refuse.
        """
        if not changes:
            return self
        changed = replace(self, settings=self.settings.changed(**changes))
        return replace(changed, acceleration=None) if changed.settings.compute == "exact" else changed

    def bound(self, images: Tensor, places: Tensor) -> Explainer:
        """The same for the persons of clean images; itself, except where an image holds several persons.

        Args:
            images, places: as `CoordinateAdapter.bind` takes them.
        """
        adapter = self.adapter.bind(images, places)
        if adapter is self.adapter:
            return self
        return replace(self, adapter=adapter, acceleration=self.acceleration and self.acceleration.bound(adapter))

    def after_change(self) -> Explainer:
        """The same for a model whose weights were changed since: an accelerated copy and prepared weights do not
        serve.
        """
        walk = self.acceleration.backward if self.acceleration else None
        fresh = None if walk is None else FastBackward(walk.dtype)
        return replace(self, acceleration=Acceleration(self.adapter, fresh))

    # ---- names resolved ----------------------------------------------------------------------------------------------

    @cached_property
    def _method(self) -> Callable[..., Attribution]:
        method: Callable[..., Attribution] = self.catalog.get("attribution_methods", self.settings.method)
        return method

    @cached_property
    def _every_batch(self) -> dict[str, Any]:
        """The arguments of a method that are the same for all images."""
        s = self.settings
        for name in s.method_settings:
            if name not in (own := own_settings(self._method)):
                raise ConfigError(
                    f"attribution method {s.method!r} has no setting {name!r} of its own; "
                    + (did_you_mean(name, own) if own else "it has none")
                )
        likelihood = self.catalog.get("likelihoods", s.likelihood)
        likelihood_settings = self._likelihood_settings()
        nowhere = torch.zeros(1, len(self.keypoint_names), self.adapter.dimensions)
        _made(
            f"diagnosis.attribution.likelihood_settings of likelihood {s.likelihood!r}",
            likelihood if likelihood in LIKELIHOODS.values() else inspect.signature(likelihood).bind,
            nowhere,
            nowhere,
            **likelihood_settings,
        )
        return {
            **{name: value for name, value in vars(s).items() if name in METHOD_ARGUMENTS},
            "path": self._path(),
            "likelihood": likelihood,
            "likelihood_settings": likelihood_settings,
            "chunk": self.chunk,
            **s.method_settings,
        }

    def _of_batch(self, truth: Tensor, prediction: Tensor | None, visible: Tensor) -> dict[str, Any]:
        """The arguments of a method that hang on the persons: which joints, and what they are contrasted with."""
        joints = torch.ones_like(visible) if self.settings.reference == "prediction" else visible
        if self._asked is not None:
            joints = joints & self._asked.to(joints.device)
        if self.adapter.lost is not None:
            joints = joints & ~self.adapter.lost.to(joints.device)
        contrast = self.settings.contrast
        return {"joints": joints, "contrast": self._points(contrast, truth, prediction) if contrast else None}

    @cached_property
    def _asked(self) -> Tensor | None:
        """(K,) bool: the joints that are asked for by name; None: all."""
        joints, names = self.settings.joints, self.keypoint_names
        if joints == "visible":
            return None
        wanted = [joints] if isinstance(joints, str) else joints
        if unknown := [j for j in wanted if j not in names]:
            raise ConfigError(f"diagnosis.attribution.joints names {unknown}; the joints are {', '.join(names)}")
        return torch.tensor([n in wanted for n in names])

    def _points(self, name: str | None, truth: Tensor, prediction: Tensor | None) -> Tensor:
        """Points by name: 'truth', 'prediction', 'quantised_target', or a joint whose truth stands for all."""
        if name in (None, "truth"):
            return truth
        if name == "quantised_target":
            return self.adapter.quantised_target(truth)
        if name == "prediction" and prediction is not None:
            return prediction.to(truth)
        if name not in self.keypoint_names:
            raise ConfigError(
                f"reference {name!r} is neither 'truth', 'prediction', 'quantised_target' nor a joint; joints: "
                f"{', '.join(self.keypoint_names)}"
            )
        k = self.keypoint_names.index(str(name))
        return truth[:, k : k + 1].expand_as(truth)

    def _path(self) -> Any:
        """The path with the user's settings; a linear one also learns what black and white are."""
        name, given = self.settings.path or self.adapter.default_path, dict(self.settings.path_settings)
        if name == "blur" and not self.adapter.takes_images:
            raise ConfigError(
                "path 'blur' blurs images, but the model's input is a sequence of 2D poses; leave `path` out (linear "
                "from the mean pose), or give path='linear' with a baseline"
            )
        if name == "linear":
            if self.adapter.baseline is not None:
                given.setdefault("baseline", self.adapter.baseline)
            low, high = self.pixel_range
            given = {"black": low, "white": high, **given}
            baseline = given.get("baseline")
            if isinstance(baseline, str) and baseline not in LinearPath.BASELINES:
                given["baseline"] = self.adapter.preprocess_file(baseline)
        return _made(f"diagnosis.attribution.path_settings of path {name!r}", self.catalog.get("paths", name), **given)

    def _likelihood_settings(self) -> Mapping[str, Any]:
        """The user's, with alpha by input px where it was given by heatmap px, or made for a scale."""
        s, unit = self.settings, self.adapter.unit
        given = dict(s.likelihood_settings)
        if unit != "px":
            if s.alpha_per_heatmap_px is not None:
                raise ConfigError(
                    f"diagnosis.attribution.alpha_per_heatmap_px is {s.alpha_per_heatmap_px:g}, but the model's "
                    f"coordinates are in {unit}. Leave it out (alpha is then 1 / median error), or give "
                    f"likelihood_settings=dict(alpha=...) per {unit}"
                )
            return given if not self.scale else {**scaled_settings(s.likelihood, self.scale), **given}
        if s.alpha_per_heatmap_px is not None and s.likelihood == "exp_l2":
            given["alpha"] = s.alpha_per_heatmap_px / (self.adapter.stride or 4)
        return given


def check_quadrature(settings: AttributionSettings) -> None:
    """A rule that path attribution does not know is a `ConfigError` with the nearest known one; needs no model."""
    known = (*RULES, "adaptive")
    if settings.method == "path_ig" and settings.quadrature not in known:
        raise ConfigError(
            f"diagnosis.attribution.quadrature {settings.quadrature!r} is unknown; "
            f"{did_you_mean(settings.quadrature, known)}"
        )


def _made(what: str, make: Callable[..., Any], /, *args: Any, **settings: Any) -> Any:
    """`make(*args, **settings)`; settings that it does not take are a `ConfigError`."""
    try:
        return make(*args, **settings)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error
    except TypeError as error:
        raise ConfigError(f"{what} do not fit: {error}") from error


def _with_reason(attribution: Attribution, joints: Tensor, reason: str) -> Attribution:
    """With another reason for joints (K,) that were not asked for."""
    reasons = tuple(
        tuple(reason if mine and code == "not_asked" else code for code, mine in zip(row, joints.tolist(), strict=True))
        for row in attribution.reasons
    )
    return replace(attribution, reasons=reasons)
