"""What adapters of models that find several persons in one image share: binding to one of them, then reading it off.

A one-stage or bottom-up model gives out some persons, others in another image.  A diagnosis is about one of them:
`bind` chooses, on the clean image and once, the person that matches the annotated one, and notes the *cell* that it is
read off: a position in the head's output, or a region of its heatmaps.  The bound adapter then reads that cell in every
    image.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ..errors import AdapterError, ShapeError
from ..types import Coordinates
from .agreement import Agreement, measure_agreement
from .base import CoordinateAdapter
from .matching import match_person

__all__ = ["InstanceAdapter", "Instances", "Person", "configured_size", "packed", "rows_of"]

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
    """Whom an adapter is bound to."""

    cell: Any  # None: the model gives out nobody who matches
    own: Tensor  # (K, 2) the model's own decoding on the image it was chosen on, input px; NaN where cell is None


class InstanceAdapter(CoordinateAdapter):
    """An adapter that reads one person off a whole image.  To write one: `instances` and `read`, and maybe `read_own`.

    Arguments as for `CoordinateAdapter`.  `bind` gives the adapter that can be called; images are taken one at a time,
    so that all rows of a batch (the steps of a path) are the same person's.

    Attributes:
        person: whom it is bound to; None: nobody yet.
        sigmas: (K,) of OKS, from the metainfo.
    """

    one_image: ClassVar[bool] = True
    person: Person | None = None

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        sigmas = (metainfo or getattr(model, "dataset_meta", None) or {}).get("sigmas")
        count = len(self.keypoint_names)
        fits = sigmas is not None and len(sigmas) == count
        self.sigmas = torch.as_tensor(sigmas) if fits else torch.full((count,), DEFAULT_SIGMA)

    # ---- what a family of heads defines ------------------------------------------------------------------------------

    @abstractmethod
    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """Everybody whom the model itself gives out for one image.

        Args:
            feats: of one image, from `model.extract_feat`.
            size: (w, h) of that image, px.
            all_scores: also whom it leaves out for a low score; the number may be limited.
        """

    @abstractmethod
    def read(self, output: Any, cell: Any) -> Coordinates:
        """One cell of what `outputs` gave for images, (B, K, 2) in input px, differentiable."""

    def read_own(self, output: Any, cell: Any) -> Tensor:
        """The same as the model itself decodes it, (B, K, 2); no gradient is asked for."""
        return self.read(output, cell).coords

    def outputs(self, feats: Any, size: tuple[int, int]) -> Any:
        """What `read` reads: the head's output for the features of images of size (w, h), batched."""
        return self.head.forward(feats)

    # ---- what everybody calls ----------------------------------------------------------------------------------------

    def bind(self: Self, images: Tensor, keypoints: Tensor | None = None) -> Self:
        """The adapter for one person of one image: a copy that can be called.

        Args:
            images: (1, C, H, W).
            keypoints: (1, K, 2) the annotated person, see `functional.persons.match_person`; None: the person of the
                highest score, whether or not that is enough for the model to give it out.

        Raises:
            ShapeError: not exactly one image.
        """
        if images.ndim != 4 or len(images) != 1 or (keypoints is not None and len(keypoints) != 1):
            raise ShapeError(
                f"images have shape {tuple(images.shape)}; adapter {self.name!r} binds one person of one image: "
                "expected (1, C, H, W) and keypoints (1, K, 2), so use a batch of 1"
            )
        with self.frozen(), torch.no_grad():
            feats, size = self.model.extract_feat(images), _size(images)
            found = self.instances(feats, size)
            if keypoints is None:
                if not len(found.scores):
                    found = self.instances(feats, size, all_scores=True)
                chosen = int(found.scores.argmax()) if len(found.scores) else None
            else:
                candidates = self._select(found.keypoints).to(images)
                chosen = match_person(keypoints[0].to(images), candidates, self.sigmas.to(images.device))
        twin = copy.copy(self)
        if chosen is None:
            twin.person = Person(None, images.new_full((self.count_joints(), 2), torch.nan))
        else:
            twin.person = Person(found.cells[chosen], found.keypoints[chosen].to(images))
        return twin

    def __call__(self, images: Tensor) -> Coordinates:
        """Images (B, C, H, W) -> the bound person's coordinates (B, K, 2) in each; NaN where nobody matched.

        Raises:
            AdapterError: bound to nobody yet.
        """
        if images.ndim != 4:
            raise ShapeError(f"images have shape {tuple(images.shape)}; expected (B, C, H, W)")
        cell = self._bound().cell
        if cell is None:
            return Coordinates(_nowhere(images, len(self.keypoint_names)), self.unit)
        found = self.read(self.outputs(self.model.extract_feat(images), _size(images)), cell)
        heatmaps = None if found.heatmaps is None else self._select(found.heatmaps)
        return Coordinates(self._select(found.coords), found.unit, heatmaps)

    @property
    def matched(self) -> bool:
        """Whether the model gives out somebody who is the annotated person."""
        return self._bound().cell is not None

    def predict(self, images: Tensor) -> Tensor:
        """The bound person as the model itself decodes it, from the same cell: (B, K, 2), NaN where nobody matched."""
        cell = self._bound().cell
        if cell is None:
            return _nowhere(images.detach(), len(self.keypoint_names))
        with self.frozen(), torch.no_grad():
            output = self.outputs(self.model.extract_feat(images), _size(images))
            return self._select(self.read_own(output, cell))

    def decode(self, output: tuple[Any, Person]) -> Coordinates:
        """An output, and whom to read off it."""
        return self.read(output[0], output[1].cell)

    def calibrate_persons(
        self,
        images: Iterable[Tensor],
        keypoints: Iterable[Tensor | None],
        joints: Iterable[Tensor | None],
        *,
        fixed: bool = False,
    ) -> Agreement:
        """`calibrate` over several persons, each with an image of its own size; persons without a match are left out.

        Args:
            images: (1, C, H, W) each.
            keypoints: (1, K, 2) each, or None, as for `bind`.
            joints: (1, K) bool each, the joints that count, or None: all.
            fixed: as for `calibrate`.
        """
        outputs, own, counts = [], [], []
        with self.frozen(), torch.no_grad():
            for image, truth, wanted in zip(images, keypoints, joints, strict=True):
                bound = self.bind(image, truth)
                found = bound._both(image, wanted)
                outputs += found[0]
                own.append(found[1])
                counts.append(found[2])
            return self._settled(outputs, torch.cat(own), torch.cat(counts), fixed or self.beta_given)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _bound(self) -> Person:
        if self.person is None:
            raise AdapterError(
                f"adapter {self.name!r} finds several persons in an image and is bound to none; call "
                "bind(image, keypoints) and use what it returns (keypoints=None: the highest-scoring person)"
            )
        return self.person

    def _both(self, images: Tensor, joints: Tensor | None) -> tuple[list[Any], Tensor, Tensor]:
        person = self._bound()
        if person.cell is None:
            empty = images.new_empty(0, len(self.keypoint_names), 2)
            return [], empty, empty[..., 0].bool()
        output = self.outputs(self.model.extract_feat(images), _size(images))
        own = self._select(person.own[None])
        counts = own.isfinite().all(-1)
        return [(output, person)], own, counts if joints is None else counts & joints.to(counts)

    def _measure(self, outputs: list[Any], own: Tensor, counts: Tensor) -> Agreement:
        if outputs:
            return super()._measure(outputs, own, counts)
        return measure_agreement(own, own, counts, threshold=self.threshold, beta=self.beta, unit=self.unit)


def _size(images: Tensor) -> tuple[int, int]:
    """(w, h) of images (B, C, H, W)."""
    return int(images.shape[-1]), int(images.shape[-2])


def _nowhere(images: Tensor, joints: int) -> Tensor:
    """(B, K, 2) of NaN that hang on the images: a gradient can be taken, and is NaN."""
    return (images.flatten(1).sum(1) * torch.nan)[:, None, None].expand(-1, joints, 2)


def packed(size: tuple[int, int], metainfo: Mapping[str, Any] | None = None) -> list[Any]:
    """One data sample, as `head.predict` asks for it, for an image of size (w, h)."""
    from mmpose.structures import PoseDataSample

    return [PoseDataSample(metainfo={"input_size": size, "img_shape": (size[1], size[0]), **(metainfo or {})})]


def configured_size(model: Any, default: tuple[int, int]) -> tuple[int, int]:
    """(w, h) that the test (or validation) pipeline of the model's config fits images into; for heads that don't know
    it.

    Args:
        model: with its config as `cfg`.
        default: where it has none, or no such pipeline.
    """
    cfg = getattr(model, "cfg", None) or {}
    for step in (s for split in ("test", "val") for s in _pipeline(cfg.get(f"{split}_dataloader"))):
        kind = step.get("type")
        kind = getattr(kind, "__name__", kind)
        if kind == "BottomupResize":
            width, height = step["input_size"]
            return int(width), int(height)
        if kind == "BottomupRandomChoiceResize":
            sides = step["scales"][0] if isinstance(step["scales"], list) else step["scales"]
            return int(max(sides)), int(min(sides))  # the longer and the shorter one, here across
    return default


def _pipeline(loader: Mapping[str, Any] | None) -> Iterator[Any]:
    """The steps of a dataloader's pipelines, those of wrapped data sets too."""
    dataset: Any = (loader or {}).get("dataset") or {}
    yield from dataset.get("pipeline") or ()
    for inner in (dataset.get("dataset"), *(dataset.get("datasets") or ())):
        if inner:
            yield from _pipeline({"dataset": inner})


def rows_of(found: Tensor, table: Tensor) -> list[int]:
    """Index of the row of `table` (M, D) that each row of `found` (N, D) was taken from: the nearest one.

    >>> rows_of(torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 0.0], [2.0, 2.0]]))
    [1]
    """
    return [int((table - row).square().sum(1).argmin()) for row in found.to(table)]
