"""The mask of a person in the network's input: annotated, all persons', or drawn from the joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..functional.limbs import skeleton_mask
from .crops import Crop
from .masks import fault, is_box, rasterise, union, warp_mask

MASKS = ("instance", "union", "joints", "none")


@dataclass(frozen=True)
class PersonMasks:
    """Masks of one kind.

    Args:
        kind: one of `MASKS`, see `SampleSource`.
        skeleton: bones, for masks that are drawn.
    """

    kind: str
    skeleton: Sequence[tuple[int, int]]

    def of(
        self, segmentations: Sequence[Any], crop: Crop, places: torch.Tensor, size: Sequence[int], padded: Sequence[int]
    ) -> tuple[torch.Tensor | None, str]:
        """A person's mask and its source.

        Args:
            segmentations: the person's own, or those of all persons of the image.
            crop: the person's.
            places: (K, 2) of the joints, input px.
            size: (h, w) of the input.
            padded: (H, W) of the input with what the preprocessor adds to the right and below.

        Returns:
            (H, W) bool, False in what was added, None where there is no segmentation or one that cannot be read; and
            'instance', 'union', 'joints' or 'none'.
        """
        source = self.kind
        mask = None if source == "none" else self._annotated(segmentations, crop, size)
        if source == "joints" and mask is not None:
            source = "instance"
        elif source == "joints":
            mask = skeleton_mask(places.numpy(), self.skeleton, (size[0], size[1]))
        if mask is None:
            return None, "none"
        result = torch.zeros(tuple(padded), dtype=torch.bool)
        result[: size[0], : size[1]] = torch.from_numpy(mask)
        return result, source

    def _annotated(self, segmentations: Sequence[Any], crop: Crop, size: Sequence[int]) -> NDArray[np.bool_] | None:
        """(h, w) in the input frame; a box is no mask if joints can be drawn."""
        if any(fault(s, crop.original_size) for s in segmentations):
            return None
        if self.kind == "joints":
            segmentations = [s for s in segmentations if not is_box(s)]
        mask = union(rasterise(s, *crop.original_size) for s in segmentations)
        return None if mask is None else warp_mask(mask, crop.warp, size)


def segmentation_of(person: Mapping[str, Any]) -> Any:
    """An entry's segmentation, as it is annotated."""
    own = person.get("segmentation")
    raw = person.get("raw_ann_info")
    return raw.get("segmentation") if own is None and isinstance(raw, Mapping) else own
