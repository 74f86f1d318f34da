"""What an index is, what it is given, and how all of a run's indices are computed without one spoiling the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..errors import ShapeError

__all__ = ["Index", "IndexInputs", "compute_indices"]


@dataclass(frozen=True)
class IndexInputs:
    """What an index may read; B images, K joints, everything in the input frame."""

    maps: Tensor  # (B, K, H, W) >= 0, maximum 1; NaN where there is no map
    visible: Tensor  # (B, K) bool
    mask: Tensor  # (B, 1, H, W) bool, the instance; all False where there is none
    has_mask: Tensor  # (B,) bool
    heatmaps: Tensor  # (B, K, H, W) Gaussian around each joint's reference, NaN where that is not known
    keypoints: Tensor  # (B, K, D) reference points, input px or the adapter's unit
    coords: Tensor  # (B, K, D) the model's own prediction


class Index(ABC):
    """A number read off each joint's map; write the class attributes and `__call__`."""

    name: ClassVar[str]  # column of the `joints` table, lower case
    title: ClassVar[str]  # for people
    unit: ClassVar[str] = ""
    range: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    requires: ClassVar[frozenset[str]] = frozenset()  # of {'mask'}: NaN with a reason where it is missing
    kind: ClassVar[Literal["joint", "relation"]] = "joint"

    @abstractmethod
    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), or (B, K, K) for a relation; NaN where it is undefined.  The inputs must not be changed."""


def compute_indices(
    indices: Sequence[Index],
    inputs: IndexInputs,
    reasons: Sequence[Sequence[str]],
    *,
    on_error: Callable[[str, Exception], None],
) -> tuple[dict[str, Tensor], list[list[str]]]:
    """All indices of a batch, and why a number is missing.

    Args:
        indices: to compute; one that raises is reported to `on_error(name, exception)` and is NaN on this batch.
        inputs: see `IndexInputs`.
        reasons: (B)(K) why a joint has no map, '' where it has one (`Attribution.reasons`).
        on_error: called with the index's name and its exception.

    Returns:
        name -> (B, K) or (B, K, K), and (B)(K) reason codes joined by ';': those given, 'no_mask' or 'empty_mask' where an
        index asked for a mask, '<name>_failed' where one raised.
    """
    batch, joints = inputs.maps.shape[:2]
    codes = [[[r] if r else [] for r in row] for row in reasons]
    values: dict[str, Tensor] = {}
    for index in indices:
        shape = (batch, joints, joints) if index.kind == "relation" else (batch, joints)
        try:
            value = index(inputs)
            if tuple(value.shape) != shape:
                raise ShapeError(f"index {index.name!r} returned shape {tuple(value.shape)}; expected {shape}")
        except Exception as error:
            on_error(index.name, error)
            value = inputs.maps.new_full(shape, torch.nan)
            _add(codes, f"{index.name}_failed", [True] * batch)
        values[index.name] = value.detach()
    if any("mask" in index.requires for index in indices):
        has, any_pixel = inputs.has_mask.tolist(), inputs.mask.flatten(1).any(1).tolist()
        _add(codes, "no_mask", [not h for h in has])
        _add(codes, "empty_mask", [h and not a for h, a in zip(has, any_pixel, strict=True)])
    return values, [[";".join(c) for c in row] for row in codes]


def _add(codes: list[list[list[str]]], code: str, where: Sequence[bool]) -> None:
    """Append a code to the joints that have a map, in the images where it holds."""
    for row, holds in zip(codes, where, strict=True):
        for joint in row:
            if holds and not set(joint) & {"not_visible", "not_asked", "zero_map", "nonfinite_gradient"}:
                joint.append(code)
