"""Transforms put into the pipelines of a data loader's config, right behind the crop."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigError
from ...mmpose_config import inner_datasets


def with_transforms(loader: Any, transforms: Sequence[Mapping[str, Any]], place: str) -> Any:
    """A copy of a data loader's config with transforms behind every `TopdownAffine`, whose `use_udp` they are given.

    Args:
        loader: its config.
        transforms: configs of `DestroyEvidence`.
        place: what it is called in the config, e.g. 'train_dataloader'.

    Raises:
        ConfigError: no pipeline crops one person by `TopdownAffine`.
    """
    changed = copy.deepcopy(loader)
    crops = 0
    for dataset in inner_datasets(changed.get("dataset")):
        steps = []
        for step in dataset.get("pipeline") or ():
            steps.append(step)
            if _is_crop(step):
                crops += 1
                udp = {"use_udp": True} if step.get("use_udp") else {}
                steps += [{**transform, **udp} for transform in transforms]
        if dataset.get("pipeline"):
            dataset["pipeline"] = steps
    if not crops:
        raise ConfigError(
            f"no pipeline of {place} has a TopdownAffine, behind which evidence could be destroyed in the frame of the "
            "network's input; shortcut_augmentation is for top-down models of single images"
        )
    return changed


def _is_crop(step: Any) -> bool:
    from mmpose.datasets.transforms import TopdownAffine
    from mmpose.registry import TRANSFORMS

    kind = step.get("type") if isinstance(step, Mapping) else None
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, TopdownAffine)
