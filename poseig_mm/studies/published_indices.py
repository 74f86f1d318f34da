"""What the paper prints on groups and on hard samples, to stand beside a run's own numbers; never a result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# PoseIG (CVPR 2023), Table C and D and supplement C.2; COCO val2017, 256 x 192
FI_BY_GROUP: dict[str, dict[str, float]] = {
    "SB-R50": {"trunk": 1.961, "branch": 1.986, "leaf": 2.028},
    "SB-R101": {"trunk": 1.906, "branch": 1.949, "leaf": 1.999},
    "HRNet-W32": {"trunk": 1.849, "branch": 1.926, "leaf": 1.978},
    "Integral": {"trunk": 1.865, "branch": 1.907, "leaf": 1.946},
    "RLE": {"trunk": 1.754, "branch": 1.795, "leaf": 1.853},
}
HARD_MINUS_EASY = {
    "SB-R50": {"di": 4.03, "fi": -0.52},
    "SB-R101": {"di": 3.71, "fi": -0.52},
    "HRNet-W32": {"di": 3.58, "fi": -0.50},
    "Integral": {"di": 2.68, "fi": -0.43},
    "RLE": {"di": 2.17, "fi": -0.41},
}
VARIANCE_OVER_GROUPS = {"HRNet-W32": {"di": 3.15, "li": 5.68}, "SB-R50": {"di": 2.14, "li": 4.49}}

# backbone, head, smallest and largest number of parameters (millions) that the paper's model can have
_MODELS = {
    "SB-R50": ("ResNet", "HeatmapHead", 33.5, 34.5),
    "SB-R101": ("ResNet", "HeatmapHead", 52.5, 53.5),
    "HRNet-W32": ("HRNet", "HeatmapHead", 28.0, 29.0),
    "Integral": ("ResNet", "IntegralRegressionHead", 33.0, 35.0),
    "RLE": ("ResNet", "RLEHead", 23.0, 24.5),
}


def published_model(run: Mapping[str, Any]) -> str | None:
    """The paper's name for the model of a run.json, where it is that kind of model on COCO at 256 x 192, else None.

    >>> resnet = {'backbone': 'ResNet', 'head': 'HeatmapHead', 'parameters': 33_999_697, 'input_size': [192, 256]}
    >>> published_model({'model': resnet, 'dataset': {'name': 'coco'}})
    'SB-R50'
    >>> published_model({'model': resnet, 'dataset': {'name': 'mpii'}}) is None
    True
    """
    model, data = run.get("model") or {}, (run.get("dataset") or {}).get("name")
    if data != "coco" or list(model.get("input_size") or ()) != [192, 256] or model.get("random_weights"):
        return None
    millions = float(model.get("parameters") or 0) / 1e6
    for name, (backbone, head, low, high) in _MODELS.items():
        if (model.get("backbone"), model.get("head")) == (backbone, head) and low <= millions <= high:
            return name
    return None


def simple_baseline_on_coco(run: Mapping[str, Any]) -> bool:
    """Whether the model of a run.json is a ResNet with a heatmap head (of any depth), its data COCO.

    >>> simple_baseline_on_coco({'model': {'backbone': 'ResNet', 'adapter': 'heatmap'}, 'dataset': {'name': 'coco'}})
    True
    """
    model, data = run.get("model") or {}, run.get("dataset") or {}
    resnet = (model.get("adapter"), model.get("backbone")) == ("heatmap", "ResNet")
    return resnet and str(data.get("name", "")).lower() == "coco"
