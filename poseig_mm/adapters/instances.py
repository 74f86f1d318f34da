"""What adapters of models that find several persons in one image share: binding to one of them, then reading it off.

A one-stage or bottom-up model gives out some persons, others in another image.  A diagnosis is about one of them:
`bind` chooses, on the clean image and once, the person that matches the annotated one, and notes the *cell* that it is
read off: a position in the head's output, or a region of its heatmaps.  The bound adapter then reads that cell in every
image.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ..errors import AdapterError, ShapeError
from ..mmpose_config import SPLITS, dataset_config, inner_datasets
from ..types import Coordinates
from .base import CoordinateAdapter, input_size_of
from .heads import codec_kind, codec_scale
from .matching import match_person

DEFAULT_SIGMA = 0.05  # of OKS, where the metainfo has none; COCO's lie between 0.025 and 0.107
Self = TypeVar("Self", bound="InstanceAdapter")


@dataclass(frozen=True)
class Instances:
    """The persons that a model gives out for one image."""

    keypoints: Tensor  # (N, K, 2) the model's own decoding, input px
    scores: Tensor  # (N,) the higher the surer
    cells: Sequence[Any]  # (N) where each is read off


@dataclass(frozen=True)
class Person:
    """The person that an adapter is bound to."""

    cell: Any  # None: the model gives out no person who matches
    own: Tensor  # (K, 2) the model's own decoding on the image it was chosen on, input px; NaN where cell is None


class InstanceAdapter(CoordinateAdapter):
    """An adapter that reads one person off a whole image.  To write one: `instances`, `decode`, maybe `decode_own`.

    Arguments as for `CoordinateAdapter`.  `bind` gives the adapter that can be called; images are taken one at a time,
    so that all rows of a batch (the steps of a path) are the same person's.

    Attributes:
        person: the one that it is bound to; None: not bound yet.
        sigmas: (K,) of OKS, from the metainfo.
        scale: where there is a `codec_name`, input px per heatmap px or cell, (x, y).
    """

    one_image: ClassVar[bool] = True
    codec_name: ClassVar[str | None] = None  # the only one that the head may have; None: it needs none
    person: Person | None = None

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        if self.codec_name is not None:
            codec_kind(self.head, (self.codec_name,), self.name)
            self.scale = codec_scale(self.head)
            self.stride = sum(self.scale) / 2
        sigmas = (metainfo or getattr(model, "dataset_meta", None) or {}).get("sigmas")
        count = len(self.keypoint_names)
        fits = sigmas is not None and len(sigmas) == count
        self.sigmas = torch.as_tensor(sigmas) if fits else torch.full((count,), DEFAULT_SIGMA)

    # ---- what a family of heads defines ------------------------------------------------------------------------------

    @abstractmethod
    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """All persons that the model itself gives out for one image.

        Args:
            feats: of one image, from `features`.
            size: (w, h) of that image, px.
            all_scores: also those that it leaves out for a low score; the number may be limited.
        """

    def decode_own(self, output: Any) -> Tensor:
        """As `decode`, but the way the model itself decodes the bound person: (B, K, 2); no gradient is asked for."""
        return self.decode(output).coords

    # ---- what callers use --------------------------------------------------------------------------------------------

    def bind(self: Self, images: Tensor, keypoints: Tensor | None = None) -> Self:
        """The adapter for one person of one image: a copy that can be called.

        Args:
            images: (1, C, H, W).
            keypoints: (1, K, 2) the annotated person, see `matching.match_person`; None: the person of the highest
                score, whether or not that is enough for the model to give it out.

        Raises:
            ShapeError: not exactly one image.
        """
        if images.ndim != 4 or len(images) != 1 or (keypoints is not None and len(keypoints) != 1):
            raise ShapeError(
                f"images have shape {tuple(images.shape)}; adapter {self.name!r} binds one person of one image: "
                "expected (1, C, H, W) and keypoints (1, K, 2), so use a batch of 1"
            )
        with self.frozen(), torch.no_grad():
            feats, size = self.features(images), input_size_of(images)
            persons = self.instances(feats, size)
            if keypoints is None:
                if not len(persons.scores):
                    persons = self.instances(feats, size, all_scores=True)
                chosen = int(persons.scores.argmax()) if len(persons.scores) else None
            else:
                candidates = self._select(persons.keypoints).to(images)
                annotated = self._without_lost(keypoints.to(images))[0]
                chosen = match_person(annotated, candidates, self.sigmas.to(images.device))
        twin = copy.copy(self)
        if chosen is None:
            twin.person = Person(None, images.new_full((self.count_joints(), 2), torch.nan))
        else:
            twin.person = Person(persons.cells[chosen], persons.keypoints[chosen].to(images))
        return twin

    def __call__(self, images: Tensor) -> Coordinates:
        """Images (B, C, H, W) -> the bound person's coordinates (B, K, 2) in each; NaN where there is no match.

        Raises:
            AdapterError: not bound yet.
        """
        return super().__call__(images) if self.matched else Coordinates(_nowhere(images, len(self.keypoint_names)))

    @property
    def cell(self) -> Any:
        """Where the bound person is read off; None: no match.

        Raises:
            AdapterError: not bound yet.
        """
        if self.person is None:
            raise AdapterError(
                f"adapter {self.name!r} finds several persons in an image and is bound to none; call "
                "bind(image, keypoints) and use what it returns (keypoints=None: the highest-scoring person)"
            )
        return self.person.cell

    @property
    def matched(self) -> bool:
        """Whether the model gives out a person who is the annotated one."""
        return self.cell is not None

    def predict(self, images: Tensor) -> Tensor:
        """The bound person as the model decodes it, from the same cell: (B, K, 2), NaN where there is no match."""
        if not self.matched:
            return _nowhere(images.detach(), len(self.keypoint_names))
        with self.frozen(), torch.no_grad():
            own = self._select(self.decode_own(self.outputs(self.features(images), input_size_of(images))))
        return self._without_lost(own)

    def own_decoding(self, feats: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the model gave out as the bound person on the image it was chosen on: (1, K, 2), and where finite."""
        assert self.person is not None  # only asked of what `bind` returned
        own = self.person.own[None]
        return own, own.isfinite().all(-1)


def _nowhere(images: Tensor, joints: int) -> Tensor:
    """(B, K, 2) of NaN that hang on the images: a gradient can be taken, and is NaN."""
    return (images.flatten(1).sum(1) * torch.nan)[:, None, None].expand(-1, joints, 2)


def packed(size: tuple[int, int], metainfo: Mapping[str, Any] | None = None) -> list[Any]:
    """One data sample, as `head.predict` asks for it, for an image of size (w, h)."""
    from mmpose.structures import PoseDataSample

    return [PoseDataSample(metainfo={"input_size": size, "img_shape": (size[1], size[0]), **(metainfo or {})})]


def configured_size(model: Any, default: tuple[int, int]) -> tuple[int, int]:
    """(w, h) that the test (or validation) pipeline fits images into; for heads that don't know it.

    Args:
        model: with its config as `cfg`.
        default: where it has none, or no such pipeline.
    """
    cfg = getattr(model, "cfg", None) or {}
    datasets = (one for split in SPLITS for one in inner_datasets(dataset_config(cfg, split)))
    for step in (step for dataset in datasets for step in dataset.get("pipeline") or ()):
        kind = step.get("type")
        kind = getattr(kind, "__name__", kind)
        if kind == "BottomupResize":
            width, height = step["input_size"]
            return int(width), int(height)
        if kind == "BottomupRandomChoiceResize":
            sides = step["scales"][0] if isinstance(step["scales"], list) else step["scales"]
            return int(max(sides)), int(min(sides))  # the longer and the shorter one, here across
    return default


def rows_of(values: Tensor, table: Tensor) -> list[int]:
    """Index of the row of `table` (M, D) that each row of `values` (N, D) was taken from: the nearest one.

    >>> rows_of(torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 0.0], [2.0, 2.0]]))
    [1]
    """
    return [int((table - row).square().sum(1).argmin()) for row in values.to(table)]
