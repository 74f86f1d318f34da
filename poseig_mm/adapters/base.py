"""The coordinate adapter: an MMPose model as a differentiable function from images to coordinates."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import AdapterError, PoseIGError, ShapeError, describe_error
from ..types import Coordinates
from .agreement import Agreement, measure_agreement
from .folding import fold_batch_norm
from .freezing import frozen
from .head_outputs import describe_outputs, part_at, tensors_of
from .heads import coordinate_head, count_joints, find_input_size
from .metainfo import keypoint_names
from .preprocessing import load_input, pixel_range
from .truth import truth_in_space

logger = logging.getLogger(__name__)
COMMON_STRIDE = 4.0  # input px per heatmap px of the models most figures are given for (method section 2)
CALIBRATION_BATCH = 4  # images in one forward pass of `calibrate`


@dataclass(frozen=True)
class Comparison:
    """What `calibrate` compares of a batch."""

    adapter: CoordinateAdapter  # bound to the batch's persons
    output: Any  # what its `decode` takes
    own: Tensor  # (B, K, D) the model's own decoding
    counts: Tensor  # (B, K) bool: the joints that count


class CoordinateAdapter(ABC):
    """Turns one family of heads into coordinates.  To write one: `name`, `head_types` and `decode` (docs/plugins.md).

    Args:
        model: an MMPose pose estimator.  It is never changed, except inside `frozen()`, which gives it back as it was.
        beta: sharpness of the soft-argmax, kept whatever `calibrate` would choose; None: the head's default.
        metainfo: MMPose's, for the keypoints' names; None: the model's `dataset_meta`, where it has one.

    Attributes:
        model, head: the estimator, and its head (the inner one of a VisPredictHead).
        keypoint_names: (K,) in the order of the coordinates.
        input_size: (w, h) of the network input, px.
        unit: of the coordinates, 'px' (of the network input, as a data sample's keypoints) or what a 3D adapter
            declares ('mm').
        dimensions: D of the coordinates: 2 for px, else 3, unless the adapter declares another number.
        stride: input px per heatmap px, None where the model has no heatmaps.
        beta_given: whether `beta` was set at construction.
        selected: indices of the joints given out, where `model.test_cfg.output_keypoint_indices` selects some.

    Raises:
        AdapterError: the model lacks something that this adapter needs; the message says what.
    """

    name: ClassVar[str]
    head_types: ClassVar[tuple[str, ...]] = ()  # class names; a head is matched along its MRO
    unit: str = "px"
    takes_images: ClassVar[bool] = True  # False: sequences of 2D poses, see `sequences`
    one_image: ClassVar[bool] = False  # several persons in an image: batches of one image, see `bind`
    default_path: ClassVar[str] = "blur"  # of attribution
    baseline: Tensor | None = None  # where a linear path begins by default, (1, C, H, W); None: at black
    most_at_once: int | None = None  # images in one forward pass, where memory asks for fewer than usual
    lost: Tensor | None = None  # (K,) bool: joints given out that weights reach which are no numbers; see `lost_joints`
    output: str | int | None = None  # which part of the head's output is meant (`diagnosis.attribution.output`)
    target_sigma: float = 2.0  # of the heatmaps that the model is trained on, heatmap px
    no_peak_score: float = 0.0  # MMPose's decoding gives this score, or less, to joints it found no peak for

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.head = coordinate_head(model)
        test_cfg = getattr(model, "test_cfg", None) or {}
        selected = test_cfg.get("output_keypoint_indices")
        self.selected: tuple[int, ...] | None = None if selected is None else tuple(int(i) for i in selected)
        self.stride: float | None = None
        self.input_size: tuple[int, int] = self.find_input_size()
        metainfo = metainfo if metainfo is not None else getattr(model, "dataset_meta", None)
        self.keypoint_names: tuple[str, ...] = keypoint_names(metainfo, self.count_joints(), self.selected)
        self.beta_given = beta is not None
        if beta is not None:
            self.beta = beta

    # ---- what a family of heads defines ------------------------------------------------------------------------------

    @abstractmethod
    def decode(self, output: Any) -> Coordinates:
        """What `outputs` gave for B images -> differentiable coordinates of all the head's joints, (B, K, D) in `unit`.

        Of models that find several persons in an image: those of the person that the adapter is bound to.
        """

    def outputs(self, feats: Any, size: tuple[int, int]) -> Any:
        """What `decode` takes: by default what the head's `forward` returns, or the part of it that `output` names.

        Args:
            feats: of B images, from `features`.
            size: (w, h) of the images, px.

        Raises:
            AdapterError: there is no such part.
        """
        given = self.head.forward(feats)
        return given if self.output is None else part_at(given, self.output)

    def explained(self, output: Any) -> dict[str, Tensor]:
        """The tensors that `decode` reads of what `outputs` gave, by their places in it; by default all.

        Raises:
            AdapterError: it holds none that could be meant.
        """
        return tensors_of(output)

    def find_input_size(self) -> tuple[int, int]:
        """(w, h) of the network input, px: its codec's or the head's `input_size`."""
        return find_input_size(self.head)

    def count_joints(self) -> int:
        """How many joints the head predicts (before any selection)."""
        return count_joints(self.head)

    # ---- what callers use --------------------------------------------------------------------------------------------

    @property
    def dimensions(self) -> int:
        """D of the coordinates."""
        return 2 if self.unit == "px" else 3

    @property
    def beta(self) -> float | None:
        """Sharpness of the soft-argmax; None (setting it has no effect) where the head gives its own coordinates."""
        return None

    @beta.setter
    def beta(self, value: float) -> None:
        # A setting for all models, e.g. the published preset's, may meet a head that has no beta.
        logger.debug("adapter %s has no beta; %s is ignored", self.name, value)

    def __call__(self, images: Tensor) -> Coordinates:
        """Images (B, C, H, W), normalised network input -> coordinates (B, K, D), differentiable with respect to them.

        Raises:
            ShapeError: images that are not four-dimensional.
        """
        if images.ndim != 4:
            raise ShapeError(f"images have shape {tuple(images.shape)}; expected (B, C, H, W)")
        decoded = self.decode(self.outputs(self.features(images), input_size_of(images)))
        if self.selected is None and self.lost is None:
            return decoded
        heatmaps = None if decoded.heatmaps is None else self._select(decoded.heatmaps)
        return Coordinates(self._without_lost(self._select(decoded.coords)), heatmaps=heatmaps)

    def features(self, images: Tensor) -> Any:
        """What the head's `forward` and `predict` take, of images (B, C, H, W)."""
        return self.model.extract_feat(images.clone())  # the model may change its input in place

    def predict(self, images: Tensor) -> Tensor:
        """The model's own decoding of images (B, C, H, W): (B, K, D) in `unit`, no flip test, no gradient.

        As MMPose gives it, in px of the input (UDPHeatmap's `decode` has another measure): a joint without a peak lies
        at its place-holder, one heatmap pixel outside the image.  NaN for joints that are `lost`.
        """
        with self.frozen(), torch.no_grad():
            keypoints, _ = self.own_decoding(self.features(images), images)
        return self._without_lost(self._select(keypoints))

    def calibrate(
        self,
        images: Sequence[Tensor] | Tensor,
        *,
        keypoints: Sequence[Tensor | None] | Tensor | None = None,
        joints: Sequence[Tensor] | Tensor | None = None,
        fixed: bool = False,
    ) -> Agreement:
        """How well the coordinates agree with the model's own decoding; sets `beta` where the head has one.

        Args:
            images: (C, H, W) each, or (B, C, H, W): normalised network input, about 16 persons, of one size except
                where `one_image`.
            keypoints: (K, D) each, or None: the person that `bind` is to choose in each; persons that the model does
                not find are left out.
            joints: (K,) bool each: the joints that count, e.g. the visible ones; None: all.
            fixed: keep the present beta, and only measure.  A beta given to the adapter is always kept.

        Returns:
            The agreement reached; below 95 % (`not agreement.good`) a warning is logged.

        Raises:
            ShapeError: joints of another shape than the coordinates.
        """
        step, compared = 1 if self.one_image else CALIBRATION_BATCH, list[Comparison]()
        with self.frozen(), torch.no_grad():
            for start in range(0, len(images), step):
                batch, persons, asked = (
                    _stacked(values, slice(start, start + step)) for values in (images, keypoints, joints)
                )
                assert batch is not None  # images are always given
                bound = self.bind(batch, persons)
                if bound.matched:
                    compared.append(bound._compare(batch, asked))
            agreement = self._settle(compared, fixed or self.beta_given)
        if agreement.n and not agreement.good:
            logger.warning(
                "%s: only %.0f %% of %d joints are decoded within %.3g %s of the model's own decoding (beta %s)",
                self.name,
                100 * agreement.share_within,
                agreement.n,
                agreement.threshold,
                self.unit,
                agreement.beta,
            )
        return agreement

    def frozen(self) -> AbstractContextManager[None]:
        """Context with the model in evaluation mode, its parameters without gradients; see `freezing.frozen`."""
        return frozen(self.model)

    def folded(self, images: Tensor) -> CoordinateAdapter | None:
        """The same adapter around a frozen copy of the model with batch norms folded into convolutions, channels last.

        None where that would change the coordinates of `images` (B, C, H, W); see `folding.fold_batch_norm`.
        """
        model = fold_batch_norm(self.model, lambda model, x: self.around(model)(x).coords, images)
        return None if model is None else self.around(model)

    def around(self, model: Any) -> CoordinateAdapter:
        """The same adapter, bound to the same persons, around another model of the same parts (e.g. a folded copy)."""
        twin = copy.copy(self)
        twin.model, twin.head = model, coordinate_head(model)
        return twin

    def pixel_range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What black and white are in the normalised input, one value a channel each."""
        return pixel_range(getattr(self.model, "data_preprocessor", None))

    def example_input(self, batch: int = 1, seed: int = 0) -> Tensor:
        """A random network input (B, C, H, W), for trying a model without data; standard normal, seeded."""
        width, height = self.input_size
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch, 3, height, width, generator=generator)

    def bind(self, images: Tensor, keypoints: Tensor | None = None) -> CoordinateAdapter:
        """The adapter for the persons of clean images (B, C, H, W); itself, unless an image holds several persons.

        Args:
            images: normalised network input.
            keypoints: (B, K, D) the annotated persons, NaN where a joint is not; None: the highest-scoring person of
                each.
        """
        return self

    def quantised_target(self, keypoints: Tensor) -> Tensor:
        """Where the target that the model is trained on is decoded to, as published; (B, K, D) in `unit`.

        Args:
            keypoints: (B, K, D) in `unit`; they are the target of heads that are trained on coordinates.
        """
        return keypoints

    def prepare(self, images: Tensor) -> None:  # noqa: B027 - most have no need to
        """Called with a run's first inputs (B, C, H, W) before any map is made; the same for every part of a run."""

    def joint_regions(self, size: tuple[int, int]) -> Tensor | None:
        """Where each joint is in an input of (H, W) that is no image: (K, H, W) weights for RI; None: an image."""
        return None

    def truth(self, data_sample: Any) -> tuple[Tensor, Tensor] | None:
        """Where the data set says that a person's joints are: what the likelihood compares the coordinates with.

        None means: where they appear in the input, which is the truth of a 2D model.  In any other unit than 'px', the
        points that MMPose's data sample has in space; see `truth.truth_in_space`.

        Args:
            data_sample: what the test pipeline packed, a `PoseDataSample`.

        Returns:
            Points (K, D) in `unit`, in the frame of the coordinates, and (K,) bool: annotated.

        Raises:
            DataError: the data sample has no such points.
        """
        return None if self.unit == "px" else truth_in_space(data_sample)

    def preprocess_file(self, path: str | Path) -> Tensor:
        """An image file as a network input (1, C, H, W); see `preprocessing.load_input`."""
        return load_input(path, self.input_size, self.model.data_preprocessor)

    @property
    def matched(self) -> bool:
        """Whether there is a person to attribute: False after `bind` found none who is the annotated one."""
        return True

    # ---- for adapters that change how calibration works --------------------------------------------------------------

    @property
    def threshold(self) -> float:
        """How near is near enough in `calibrate`: one heatmap pixel, in input px; of coordinates in mm, 1 mm."""
        return 1.0 if self.unit == "mm" else self.stride or COMMON_STRIDE

    def own_decoding(self, feats: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """The head's `predict` on features: keypoints (B, K, D) of all joints in `unit`, and (B, K) bool: decided.

        Raises:
            AdapterError: the head's `predict` fails on what its `forward` gives.
        """
        from mmpose.structures import PoseDataSample

        samples = [PoseDataSample(metainfo={"input_size": self.input_size}) for _ in images]
        try:
            predicted = self.head.predict(feats, samples, test_cfg=self.test_cfg())
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, PoseIGError):
                raise
            raise AdapterError(
                f"{type(self.head).__name__}.predict() fails ({describe_error(error)}), so that the model's own "
                f"decoding is not known; its forward() gives {describe_outputs(self.head.forward(feats))}. MMPose's "
                "testing calls the same predict(): give the head one that takes what its forward() returns"
            ) from error
        if isinstance(predicted, tuple):  # with pixel fields (heatmaps) beside the instances
            predicted = predicted[0]
        keypoints = torch.stack([torch.as_tensor(i.keypoints)[0] for i in predicted]).to(images)
        if "keypoint_scores" not in predicted[0]:
            return keypoints, torch.ones_like(keypoints[..., 0], dtype=torch.bool)
        scores = torch.stack([torch.as_tensor(i.keypoint_scores)[0] for i in predicted]).to(images)
        return keypoints, scores > self.no_peak_score

    def test_cfg(self, **changes: Any) -> dict[str, Any]:
        """The model's `test_cfg` for the head's `predict`: one pass over the image as it is, and no heatmaps."""
        plain = {"flip_test": False, "multiscale_test": False, "output_heatmaps": False}
        return {**(getattr(self.model, "test_cfg", None) or {}), **plain, **changes}

    def _settle(self, compared: Sequence[Comparison], fixed: bool) -> Agreement:
        """Choose what can be chosen (unless `fixed`), and measure the agreement."""
        return self._measure(compared)

    def _compare(self, images: Tensor, joints: Tensor | None) -> Comparison:
        """What there is to compare of images (B, C, H, W), `joints` (B, K) of which count."""
        feats = self.features(images)
        own, counts = (self._select(value) for value in self.own_decoding(feats, images))
        if joints is not None and joints.shape != counts.shape:
            raise ShapeError(f"joints have shape {tuple(joints.shape)}; expected (B, K) = {tuple(counts.shape)}")
        counts = counts if joints is None else counts & joints.to(counts)
        counts = counts if self.lost is None else counts & ~self.lost.to(counts.device)
        return Comparison(self, self.outputs(feats, input_size_of(images)), own, counts)

    def _measure(self, compared: Sequence[Comparison]) -> Agreement:
        """The agreement with the present beta."""
        nothing = torch.empty(0, len(self.keypoint_names), self.dimensions)
        coords, own, counts = [nothing], [nothing], [nothing[..., 0].bool()]
        for part in compared:
            if self.beta is not None:
                part.adapter.beta = self.beta
            coords.append(self._select(part.adapter.decode(part.output).coords))
            own.append(part.own)
            counts.append(part.counts)
        return measure_agreement(
            *(torch.cat(values[1:] or values) for values in (coords, own, counts)),
            threshold=self.threshold,
            beta=self.beta,
            unit=self.unit,
        )

    def _select(self, values: Tensor) -> Tensor:
        """(B, K, ...) -> the joints given out."""
        return values if self.selected is None else values[:, list(self.selected)]

    def _without_lost(self, coords: Tensor) -> Tensor:
        """(B, K, D) of the joints given out, NaN for those that are lost."""
        return coords if self.lost is None else coords.masked_fill(self.lost.to(coords.device)[:, None], torch.nan)


def input_size_of(images: Tensor) -> tuple[int, int]:
    """(w, h) of images (B, C, H, W), px."""
    return int(images.shape[-1]), int(images.shape[-2])


def _stacked(values: Sequence[Tensor | None] | Tensor | None, rows: slice) -> Tensor | None:
    """Some of the values as one tensor; None where one of them is."""
    chosen = [None] if values is None else list(values[rows])
    return None if any(value is None for value in chosen) else torch.stack(chosen)  # type: ignore[arg-type]
