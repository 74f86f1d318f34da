"""What run.json says of a run before its first sample: how it came about."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import Check, Note
from ..indices.base import describe_index
from ..plugin.records import PluginRecord
from ..settings import Settings
from ..types import JointGroups
from ..version import __version__
from .identity import UsedPlugins, digest, environments

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..adapters.base import CoordinateAdapter
    from ..data.samples import SampleSource
    from ..indices.base import Index


_PACKAGES = (
    "torch", "torchvision", "mmengine", "mmcv", "mmcv-lite", "mmpose", "mmdet", "numpy", "opencv-python",
    "polars", "pluggy", "safetensors", "scipy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Python, platform, our own version, and those of what is installed of the packages that matter."""
    installed = {"python": platform.python_version(), "platform": platform.platform(), "poseig-mm": __version__}
    for name in _PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def processor() -> str:
    """The CPU's model, as Linux names it; elsewhere what Python knows of it."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named.group(1).strip() if named else platform.processor() or platform.machine()


def describe_run(
    config: Config,
    settings: Settings,
    *,
    checkpoint: str | None,
    weights: str,
    device: str,
    plugins: Sequence[PluginRecord],
    source: SampleSource,
    adapter: CoordinateAdapter,
    indices: Sequence[Index],
    agreement: dict[str, Any],
    scale: dict[str, Any],
    acceleration: dict[str, Any],
    frame: str,
    before: Mapping[str, Any],
    used: UsedPlugins,
    owners: Mapping[str, str],
    preflight: Sequence[Check],
) -> dict[str, Any]:
    """Everything that a reader of the numbers may ask, JSON-ready.

    Args:
        config, settings, weights, source: see `run_identity`.
        checkpoint: where the weights are from; None: the config's model as it was built.
        device: 'cpu', 'cuda', ...
        plugins: all that were found.
        adapter: with the beta that the run uses.
        indices: those computed.
        agreement: `Agreement.as_dict()`, or an earlier run's.
        scale: of the likelihood, see `calibration.scale_on`; nothing is said of it where it is empty.
        acceleration: `Acceleration.as_dict()`.
        frame: what indices are read off, 'input' or 'instance'.
        before: run.json as an earlier session left it.
        used: the plugins that have a part in the run.
        owners: index -> the plugin that gives it.
        preflight: what was checked before; a note that stands there is not said again.
    """
    return {
        "versions": (now := versions()),
        "environments": environments(before, now, device, used),
        "config": str(config.filename or ""),
        "config_hash": digest(config.to_dict()),
        "checkpoint": checkpoint,
        "weights_hash": weights,
        "plugins": [vars(r) for r in plugins],
        "seeds": {"attribution": settings.attribution.seed, "samples": settings.samples.seed},
        "settings": settings.as_dict(),
        "device": device,
        "model": _model(adapter, checkpoint),
        "dataset": {
            "name": source.dataset_name,
            "persons": len(source),
            **({} if source.annotations else {"annotations": False}),
            **({"annotated": str(source.persons)} if source.persons is not None else {}),
        },
        "keypoints": _keypoints(source.groups),
        "agreement": agreement,
        **({"likelihood_scale": scale} if scale else {}),
        "acceleration": acceleration,
        "frame": frame,
        "locality": _locality(settings.attribution.locality, adapter),
        "preflight": [asdict(check) for check in preflight],
        "notes": [note for note in source.notes if not isinstance(note, Note)],
        "indices": [{**describe_index(index), "plugin": owners[index.name]} for index in indices],
    }


def _model(adapter: CoordinateAdapter, checkpoint: str | None) -> dict[str, Any]:
    return {
        "estimator": type(adapter.model).__name__,
        "backbone": type(getattr(adapter.model, "backbone", None)).__name__,
        "head": type(getattr(adapter.model, "head", None)).__name__,
        "adapter": adapter.name,
        "input_size": list(adapter.input_size),
        "unit": adapter.unit,
        **({} if adapter.takes_images else {"input": "sequence"}),
        "beta": adapter.beta,
        "parameters": sum(p.numel() for p in adapter.model.parameters()),
        "random_weights": checkpoint is None and getattr(adapter.model, "random_weights", True),
    }


def _locality(weight: str, adapter: CoordinateAdapter) -> dict[str, Any]:
    """What the size of LI's Gaussian is relative to: runs in which it is equal compare."""
    size = {"input_size": list(adapter.input_size)}
    return {
        "weight": weight,
        **({} if weight == "person" else size),
        **({"stride": adapter.stride or 4.0} if weight == "published" else {}),
    }


def _keypoints(groups: JointGroups) -> dict[str, Any]:
    return {
        "names": groups.keypoint_names,
        "groups": groups.group_of,
        "parents": groups.parent_of,
        "flip_pairs": groups.flip_pairs,
        "skeleton": groups.skeleton,
        "derived": groups.derived,
        "sigmas": groups.sigmas,
    }
