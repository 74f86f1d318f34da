"""What an MMPose config says, however it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import ConfigError

SPLITS = ("test", "val")  # whose dataloader can be diagnosed
_OLD_MODELS = frozenset(
    {"TopDown", "TopDownMoE", "BottomUp", "AssociativeEmbedding", "Interhand3D", "Gesture", "GestureRecognizer",
     "MultiTask", "ParametricMesh", "DisentangledKeypointRegressor", "CID", "PoseWarper", "DetectAndRegress",
     "VoxelCenterDetector", "VoxelSinglePose"}
)  # fmt: skip
_OLD_SPLITS = frozenset({"train", "val", "test"})


def dataset_config(config: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """The data set of a config's `<split>_dataloader`, of several dataloaders the first one's; {} where there is none.

    >>> dataset_config({'val_dataloader': [{'dataset': {'type': 'CocoDataset'}}]}, 'val')
    {'type': 'CocoDataset'}
    >>> dataset_config({'val_dataloader': None}, 'val')
    {}
    """
    loader = config.get(f"{split}_dataloader")
    for one in loader if isinstance(loader, (list, tuple)) else [loader]:
        dataset = one.get("dataset") if isinstance(one, Mapping) else None
        if isinstance(dataset, Mapping):
            return dataset
    return {}


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """A data set's config and those inside it, outermost first; what is no config is left out."""
    if isinstance(dataset, Mapping):
        yield dataset
        inner = dataset.get("datasets")
        for one in [dataset.get("dataset"), *(inner if isinstance(inner, (list, tuple)) else ())]:
            yield from inner_datasets(one)


def refuse_old_config(config: Mapping[str, Any]) -> None:
    """Of MMPose 0.x.

    Raises:
        ConfigError: it is; what it is known by, and what to take.

    >>> refuse_old_config({'model': {'type': 'TopdownPoseEstimator', 'head': {'type': 'HeatmapHead'}}})
    """
    model, data = config.get("model"), config.get("data")
    signs = []
    if isinstance(model, Mapping):
        if model.get("type") in _OLD_MODELS and "data_preprocessor" not in model and "head" not in model:
            signs.append(f"model.type {model['type']!r}")
        if "keypoint_head" in model:
            signs.append("model.keypoint_head")
    splits = sorted(_OLD_SPLITS & data.keys()) if isinstance(data, Mapping) else []
    if splits and not any(str(key).endswith("_dataloader") for key in config):
        signs.append(f"data = dict({', '.join(f'{split}=...' for split in splits)})")
    if signs:
        where = getattr(config, "filename", None)
        raise ConfigError(
            f"config {where or '(no file)'} is of MMPose 0.x ({', '.join(signs)}), whose classes MMPose 1.x does not "
            "have. Give the config of the same model of MMPose 1.x, td-hm_*.py, td-reg_*.py or the like in "
            "https://github.com/open-mmlab/mmpose/tree/main/configs; the checkpoint can be kept"
        )
