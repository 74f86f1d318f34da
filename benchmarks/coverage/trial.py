"""One config, tried: built with random weights, adapted, and two of its joints attributed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.soft import SoftArgmaxAdapter
from poseig_mm.api import attribute, load_adapter, load_config
from poseig_mm.errors import PoseIGError
from poseig_mm.functional.likelihood import scaled_settings
from poseig_mm.functional.paths import BlurPath
from poseig_mm.run.process import peak_memory

__all__ = ["Trial", "configs", "try_config"]

CELLS = 4  # gradients a joint
JOINTS = 2  # of which maps are made
SHARP = 1e30  # beta: also random heatmaps of height 1e-20 have a peak then
SETTLED_AT = (0.0, 0.5, 1.0)  # places on the path whose statistics batch norms get
OFFSET = 0.02  # of the input's width: how far from the prediction the reference points lie


@dataclass(frozen=True)
class Trial:
    """What came of a config; where `reason` is not empty, it could not be diagnosed, and the rest is as far as it
    came.
    """

    config: str  # path below MMPose's configs
    estimator: str = ""
    backbone: str = ""
    head: str = ""
    adapter: str = ""
    input_size: tuple[int, ...] = ()
    joints: int = 0
    unit: str = ""
    parameters: int = 0
    apart: float | None = None  # `unit`: mean distance to the model's own decoding, with a sharp soft-argmax
    within: float | None = None  # share of the compared joints that are nearer than `threshold`
    threshold: float | None = None  # `unit`: one heatmap pixel
    compared: int = 0  # joints that its own decoding found a peak for
    seconds: float = 0.0
    peak_bytes: int | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready."""
        return asdict(self)


def configs() -> dict[str, Path]:
    """MMPose's shipped configs, by their path below its folder of configs, sorted; also those that have no model.

    Raises:
        FileNotFoundError: MMPose was installed without them.
    """
    import mmpose

    root = Path(mmpose.__file__).parent / ".mim" / "configs"
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist; install mmpose from its wheel, which brings its configs")
    paths = (p for p in root.rglob("*.py") if "_base_" not in p.parts)
    return {str(p.relative_to(root)): p for p in sorted(paths)}


def try_config(name: str, path: str | Path) -> Trial | None:
    """Build, adapt, attribute; None where the config has no model.

    Args:
        name: under which it is reported.
        path: of the config.
    """
    started = time.perf_counter()
    about: dict[str, Any] = {}
    try:
        cfg = load_config(path)
        if "model" not in cfg:
            return None
        torch.manual_seed(0)
        _fill(cfg, about)
    except (PoseIGError, RuntimeError, ImportError, NotImplementedError, FileNotFoundError) as error:
        about["reason"] = f"{type(error).__name__}: {error}".splitlines()[0]
    except Exception as error:  # a fault of ours, or of the config: it is a row like any other
        about["reason"] = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
    return Trial(name, **about, seconds=time.perf_counter() - started, peak_bytes=peak_memory()["cpu"])


def _fill(cfg: Any, about: dict[str, Any]) -> None:
    adapter = load_adapter(cfg)
    model = adapter.model
    about |= {
        "estimator": type(model).__name__,
        "backbone": type(getattr(model, "backbone", None)).__name__,
        "head": type(adapter.head).__name__,
        "adapter": adapter.name,
        "input_size": tuple(int(n) for n in adapter.input_size),
        "joints": len(adapter.keypoint_names),
        "unit": adapter.unit,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    _settle(adapter)
    images = adapter.example_input()
    with adapter.frozen():
        _soften(adapter, images)
        bound = adapter.bind(images)
        about |= _agreement(bound, images)
        with torch.no_grad():
            coords = bound(images).coords
    tried = slice(0, JOINTS) if adapter.takes_images else slice(-JOINTS, None)  # a pose's first joint is its root: 0
    wanted = torch.zeros(coords.shape[:2], dtype=torch.bool)
    wanted[:, tried] = True
    offset, settings = _reference(bound, coords)
    chunk = 2 if adapter.one_image else CELLS  # whole images are large
    given: dict[str, Any] = {"quadrature": "midpoint", "nodes": CELLS, "chunk": chunk, "likelihood_settings": settings}
    maps = attribute(bound, images, coords + offset, joints=wanted, **given).maps
    peaks = maps[:, tried].flatten(2).max(-1).values
    if not torch.isfinite(peaks).all():
        raise RuntimeError(f"the maps of {JOINTS} joints have peaks {peaks.tolist()}; expected finite ones")


def _reference(adapter: CoordinateAdapter, coords: Tensor) -> tuple[float, dict[str, float]]:
    """How far from the prediction the reference points lie, and the likelihood's settings, made for the unit.

    In another unit than px both go by how far the joints of another random input are from these, (B, K, D).
    """
    if adapter.unit == "px":
        return OFFSET * adapter.input_size[0], {}
    with torch.no_grad():
        other = adapter(adapter.example_input(seed=2)).coords
    scale = float((coords - other).norm(dim=-1).mean())
    return OFFSET * scale, scaled_settings("exp_l2", scale)


def _settle(adapter: CoordinateAdapter) -> None:
    """Give batch norms the statistics of what the trial looks at: noise, and its blurs along the path.

    With those of a model that was never run, features vanish; with those of noise alone, a deep model's heatmaps of
    blurred noise are a thousand times as high (ResNet-152: 2,300), their softmax is an argmax, and its gradient is
    exactly zero.
    """
    norms = _norms(adapter.model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum, norm.training = 1.0, True
    with torch.no_grad():
        if norms:
            points = adapter.example_input(2, seed=1)
            if adapter.takes_images:
                points = BlurPath()(points[:1], torch.tensor(SETTLED_AT))[0]  # (n, C, H, W)
            feats = adapter.features(points)
            if _norms(adapter.head):  # CIDHead has none, and takes one image only
                adapter.head.forward(feats)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum, norm.training = momentum, False


def _soften(adapter: CoordinateAdapter, images: Tensor) -> None:
    """Give the soft-argmax a beta for heatmaps as high as random weights make them.

    With that of trained ones, of peak 1, the softmax over peaks of 50 is an argmax, and its gradient is exactly zero.
    """
    if isinstance(adapter, SoftArgmaxAdapter) and not adapter.one_image:
        with torch.no_grad():
            scores = adapter.scores(adapter.head.forward(adapter.features(images)))
        adapter.beta = adapter.beta / max(1.0, *(float(s.abs().max()) for s in scores))


def _norms(part: nn.Module) -> list[Any]:
    return [m for m in part.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _agreement(adapter: CoordinateAdapter, images: Tensor) -> dict[str, Any]:
    """Distance between the adapter's coordinates and the model's own decoding.

    Random weights give nearly flat heatmaps, whose soft-argmax lies in the middle at any usual sharpness: so the
    comparison is of the way from heatmap to input, at the sharpness of an argmax.
    """
    before = adapter.beta
    if before is not None:
        adapter.beta = SHARP
    try:
        agreement = adapter.calibrate(images, joints=_peaked(adapter, images), fixed=True)
    finally:
        if before is not None:
            adapter.beta = before
    if not agreement.n:
        return {"threshold": agreement.threshold}
    about = {"apart": agreement.mean_distance, "within": agreement.share_within}
    return {**about, "threshold": agreement.threshold, "compared": agreement.n}


def _peaked(adapter: CoordinateAdapter, images: Tensor) -> Tensor | None:
    """(B, K) bool: the heatmap has one highest pixel; None without heatmaps.  CIDHead's of random weights are
    plateaus.
    """
    with torch.no_grad():
        maps = adapter(images).heatmaps
    return None if maps is None else (maps.flatten(2) == maps.flatten(2).amax(2, keepdim=True)).sum(2) == 1
