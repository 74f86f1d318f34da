"""One picture explained, without a work dir: what `poseig_mm.explain` does, and what it gives."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..adapters.base import CoordinateAdapter
from ..attribution.acceleration import tensor_float32
from ..data.person_boxes import PersonBox
from ..data.picture_source import PictureSource
from ..data.shots import Shot, picture_size
from ..errors import ConfigError, DataError
from ..indices.base import Index
from ..plotting import drawing
from ..plotting.figures import figure_style, new_figure
from ..plugin.manager import PluginHost
from ..settings import Settings
from ..types import Finding, JointGroups
from .calibration import accelerate_on, calibrate_on, scale_on
from .diagnose import BatchDiagnosis
from .explainer import Explainer
from .journal import Journal
from .open import load_adapter, load_config, own_prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, PANEL_WIDTH = 6, 1.9  # panels side by side, and inches of each


@dataclass(frozen=True)
class Explanation:
    """Why the joints of the persons in a picture are where the model puts them.

    Args:
        keypoints: (N, K, D) the model's own decoding, in px of the picture (pixel centres at integers), or in the
            model's unit where that is another.
        maps: (N, K, H, W) in [0, 1], in the frame of the network's input; NaN where there is none.
        indices: name -> (N, K), or (N, K, K) for a relation; NaN where there is none.
        map_error: (N, K) how far the maps can be trusted: 0 converged, 1 not at all.
        reasons: (N)(K) why a number is missing, codes joined by ';', 'no_annotation' at all (see
            `summary.reasons.reason_text`).
        inputs: (N, H, W, 3) uint8 RGB, what the network saw.
        predictions: (N, K, 2) the joints in the frame of the maps, px; NaN in other units.
        groups: names, groups and bones of the joints.
    """

    keypoints: NDArray[np.float64]
    maps: NDArray[np.float32]
    indices: Mapping[str, NDArray[np.float64]]
    map_error: NDArray[np.float64]
    reasons: tuple[tuple[str, ...], ...]
    inputs: NDArray[np.uint8]
    predictions: NDArray[np.float64]
    groups: JointGroups

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """Of the K joints."""
        return self.groups.keypoint_names

    def show(self, person: int = 0, joints: Sequence[str] | None = None) -> Figure:
        """The person with all joints, then each joint's map over the input, with its DI, FI and LI.

        Args:
            person: which, from 0 on.
            joints: names; None: all.

        Raises:
            ConfigError: there is no such person or joint.
        """
        names = list(self.keypoint_names)
        if not 0 <= person < len(self.maps):
            raise ConfigError(f"person {person} of {len(self.maps)}: give a number from 0 to {len(self.maps) - 1}")
        if unknown := [joint for joint in joints or () if joint not in names]:
            raise ConfigError(f"there is no joint {unknown[0]!r}; the joints are {', '.join(names)}")
        chosen = [names.index(joint) for joint in joints] if joints is not None else range(len(names))
        panels = [(f"person {person}" if len(self.maps) > 1 else "prediction", self._pose(person))]
        panels += [(self._title(person, k), self._map(person, k)) for k in chosen]
        columns = min(COLUMNS, len(panels))
        rows = -(-len(panels) // columns)
        height, width = self.inputs.shape[1:3]
        with figure_style():
            figure, axes = new_figure(
                PANEL_WIDTH * columns, (PANEL_WIDTH * height / width + 0.45) * rows, rows, columns
            )
            for axis in axes:
                axis.axis("off")
            for axis, (title, pixels) in zip(axes, panels, strict=False):
                axis.imshow(pixels)
                axis.set_title(title, fontsize=7.5)
        return figure

    def save(self, path: str | Path, person: int = 0, joints: Sequence[str] | None = None) -> Path:
        """Write the figure of `show` as PNG, PDF or SVG, by the path's suffix; the path."""
        self.show(person, joints).savefig(path, dpi=150)
        return Path(path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the figure of each person."""
        pictures = []
        for person in range(len(self.maps)):
            file = io.BytesIO()
            self.show(person).savefig(file, format="png", dpi=100)
            data = base64.b64encode(file.getvalue()).decode()
            pictures.append(f'<img alt="maps of person {person}" src="data:image/png;base64,{data}">')
        return "".join(pictures)

    def _pose(self, person: int) -> NDArray[np.uint8]:
        canvas = drawing.Canvas(self.inputs[person], 2 * self.inputs.shape[1])
        points = self.predictions[person]
        for a, b in self.groups.skeleton:
            canvas.line(points[[a, b]], drawing.PREDICTION, 1.4, halo=True)
        for point in points:
            canvas.cross(point, 4.0)
        return np.asarray(canvas.finish())

    def _map(self, person: int, k: int) -> NDArray[np.uint8]:
        values = self.maps[person, k].astype(np.float64)
        shown = drawing.overlay(self.inputs[person], values) if np.isfinite(values).all() else self.inputs[person]
        canvas = drawing.Canvas(shown, 2 * self.inputs.shape[1])
        canvas.cross(self.predictions[person, k], 6.0)
        return np.asarray(canvas.finish())

    def _title(self, person: int, k: int) -> str:
        known = [(name, values[person, k]) for name, values in self.indices.items() if values.ndim == 2]
        shown = [f"{name.upper()} {value:.1f}" for name, value in known if math.isfinite(value)]
        numbers = " · ".join(shown[:3])
        return f"{self.keypoint_names[k]}\n{numbers or 'no map'}"


def explain(
    model: Any, image: str | Path | NDArray[np.uint8], boxes: Any = None, *, device: str = "cpu", **settings: Any
) -> Explanation:
    """Why a model puts the joints of the persons in a picture where it puts them; nothing need be annotated.

    Args:
        model: (config, checkpoint), paths; or what `load_adapter` gives, with its beta as it is; or a built MMPose
            model with its config as `cfg`.  It goes through the pipeline of the config's test data set.
        image: path, or (H, W, 3) uint8 RGB, as Pillow and matplotlib have it (of OpenCV's: `image[..., ::-1]`).
        boxes: (N, 4) x0, y0, x1, y1 px of the picture, one a person; None: the whole picture is one.  A model that
            finds its persons by itself takes none, and the surest person is explained.
        device: 'cpu', 'cuda', ...; of a model that is there already, its own.
        settings: any key of `diagnosis.attribution`, e.g. preset='quick', joints=['left_wrist'],
            contrast='right_wrist' (why here and not there); the reference is the prediction unless given.

    Raises:
        ConfigError: no config with a test data set, or a setting that does not fit.
        DataError: the picture cannot be read, or boxes of another shape, or outside it.

    Example::

        found = poseig_mm.explain(("config.py", "weights.pth"), "photograph.jpg", [[5, 5, 55, 85]])
        found.maps.shape, found.indices["di"].shape  # (1, 17, 64, 64), (1, 17)
        found.save("maps.png")
    """
    parsed = Settings.parse({"attribution": settings, "samples": {"images": ["the picture"]}})
    adapter, config = _model(model, device)
    parsed = parsed.with_path(adapter.default_path).with_indices_over({})
    shot, given = _shot(image), _boxes(boxes)
    source = PictureSource(
        config,
        [shot],
        predict=partial(own_prediction, adapter),
        boxes=None if given is None else {shot.image_id: given},
        preprocess=adapter.model.data_preprocessor,
        dimensions=adapter.dimensions,
    )
    samples = [source.load(i) for i in range(len(source))]
    host, names = _host(), source.groups.keypoint_names
    where = str(next(adapter.model.parameters(), torch.empty(0)).device)
    explainer = Explainer(adapter, host.catalog, parsed.attribution, names, where)
    if not isinstance(model, CoordinateAdapter):
        calibrate_on(samples, explainer, None)
    with tensor_float32(parsed.attribution.tf32):
        explainer = Explainer(
            adapter, host.catalog, parsed.attribution, names, where,
            accelerate_on(samples, explainer), scale_on(samples, explainer, None).get("median"),
        )  # fmt: skip
        diagnose = BatchDiagnosis(parsed, explainer, _indices(host, adapter), Journal(host))
        with adapter.frozen():
            findings = [finding for sample in samples for finding in diagnose([sample])]
    return _explanation(findings, source.groups, in_pixels=adapter.unit == "px")


def _model(model: Any, device: str) -> tuple[CoordinateAdapter, Any]:
    """The model as coordinates, and its config."""
    if isinstance(model, (tuple, list)):
        if len(model) != 2:
            raise ConfigError(f"the model is {len(model)} things; expected (config, checkpoint), an adapter or a model")
        config = load_config(model[0])
        return load_adapter(config, model[1], device, host=_host()), config
    adapter = copy(model) if isinstance(model, CoordinateAdapter) else load_adapter(model, None, device, host=_host())
    config = getattr(adapter.model, "cfg", None)
    if config is None:
        raise ConfigError(
            f"the {type(adapter.model).__name__} does not have its config as `cfg`, so that its pipeline is not known; "
            "give (config, checkpoint), or set model.cfg = mmengine.Config.fromfile(...)"
        )
    return adapter, config


def _shot(image: str | Path | NDArray[np.uint8]) -> Shot:
    if isinstance(image, (str, Path)):
        path = Path(image)
        if not path.is_file():
            raise DataError(f"there is no picture {path} (in {Path.cwd()})")
        return Shot(str(path), path.name, picture_size(str(path)))
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DataError(
            f"the picture is {pixels.dtype} of shape {pixels.shape}; expected uint8 (H, W, 3), RGB from 0 to 255"
        )
    size = (pixels.shape[0], pixels.shape[1])
    return Shot("", "array", size, pixels=np.ascontiguousarray(pixels[..., ::-1]))


def _boxes(boxes: Any) -> list[PersonBox] | None:
    if boxes is None:
        return None
    corners = np.asarray(boxes, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4 or not len(corners):
        raise DataError(f"boxes have shape {corners.shape}; expected (N, 4): x0, y0, x1, y1 px of the picture")
    return [PersonBox((a, b, c, d)) for a, b, c, d in corners.tolist()]


@cache
def _host() -> PluginHost:
    """The built-in and the installed plugins."""
    return PluginHost()


def _indices(host: PluginHost, adapter: CoordinateAdapter) -> list[Index]:
    """Those that a run computes by default, of such coordinates."""
    every = host.catalog.indices.values()
    fits = (None, adapter.dimensions)
    return [i for i in every if getattr(i, "by_default", True) and getattr(i, "dimensions", None) in fits]


def _explanation(findings: Sequence[Finding], groups: JointGroups, *, in_pixels: bool) -> Explanation:
    predictions = np.stack([f.prediction.double().cpu().numpy() for f in findings])
    warps = [f.sample.inverse_warp for f in findings]
    original = [drawing.to_original(points, warp) for points, warp in zip(predictions, warps, strict=True)]
    return Explanation(
        keypoints=np.stack(original) if in_pixels else predictions,
        maps=torch.stack([f.attribution.maps.float().cpu() for f in findings]).numpy(),
        indices={
            name: np.stack([f.indices[name].double().cpu().numpy() for f in findings]) for name in findings[0].indices
        },
        map_error=np.stack([f.attribution.map_error.double().cpu().numpy() for f in findings]),
        reasons=tuple(f.reasons for f in findings),
        inputs=np.stack([f.sample.display for f in findings]),
        predictions=predictions if in_pixels else np.full((*predictions.shape[:2], 2), np.nan),
        groups=groups,
    )
