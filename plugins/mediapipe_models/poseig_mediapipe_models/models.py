"""MediaPipe's networks in MMPose's registry: backbones, heads and an estimator that can also predict a person mask.

A backbone runs the network once, only as much of it as its `outputs` need; a head picks its joints out of the last
output.  Frames: joints are (x, y) in input pixels or, where MMPose's RegressionLabel wants it so, over the input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, ShapeError

from . import transforms  # noqa: F401  (registers ExtendBBox for the same configs)
from .network import TFLiteGraph, load_network

prepare_environment()

from mmpose.models.backbones.base_backbone import BaseBackbone  # noqa: E402  (needs a prepared environment)
from mmpose.models.heads import HeatmapHead, RegressionHead  # noqa: E402
from mmpose.models.pose_estimators import TopdownPoseEstimator  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

__all__ = [
    "COCO_JOINTS",
    "BlazeHandBackbone",
    "BlazeHandEstimator",
    "BlazeHandRegressionHead",
    "BlazePoseBackbone",
    "BlazePoseEstimator",
    "BlazePoseHeatmapHead",
    "BlazePoseRegressionHead",
    "predicted_mask",
]

COCO_JOINTS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)  # COCO-17 among MediaPipe's 33


class _TFLiteBackbone(BaseBackbone):  # type: ignore[misc]  # mmpose is untyped
    """Runs one of the wheel's networks and returns the outputs asked for as a tuple, as MMPose's heads take them."""

    default_network: ClassVar[str]

    def __init__(
        self,
        outputs: Sequence[str],
        weights: str | None = "mediapipe",
        network: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.network = network or self.default_network
        self.outputs = tuple(outputs)
        self.weights = weights
        self.graph = load_network(self.network, self.outputs, weights)

    def init_weights(self) -> None:
        """Put the file's weights back (MMEngine calls this before a training run); nothing to do for `weights=None`."""
        if self.weights is not None:
            self.graph.load_state_dict(load_network(self.network, self.outputs, self.weights).state_dict())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) RGB in [0, 1], H and W the network's own -> the tensors named by `outputs`."""
        results: tuple[Tensor, ...] = self.graph(images)
        return results


@MODELS.register_module()
class BlazePoseBackbone(_TFLiteBackbone):
    """MediaPipe's body network, input 256 x 256.

    Args:
        outputs: any of 'heatmap' (B, 39, 64, 64) logits, 'landmarks' (B, 195) = 39 x (x, y, z in input px, visibility
            logit, presence logit), 'segmentation' (B, 1, 256, 256) logits, 'presence' (B, 1) probability, 'world'
            (B, 117) = 39 x 3 metres.  Only what they need is built and computed.
        weights: 'mediapipe' (the wheel's), the path of a `.tflite` file of the same form, or None: fresh weights.

    Raises:
        DependencyError: the mediapipe wheel or flatbuffers is not installed; the message says how.
    """

    default_network = "pose_full"


@MODELS.register_module()
class BlazeHandBackbone(_TFLiteBackbone):
    """MediaPipe's hand network, input 224 x 224, made for an upright hand (wrist below the fingers).

    Args:
        outputs: any of 'landmarks' (B, 63) = 21 x (x, y, z in input px), 'score' (B, 1) probability of a hand,
            'handedness' (B, 1) probability of a right one, 'world' (B, 63) = 21 x 3 metres.
        weights: as for `BlazePoseBackbone`.
        network: 'hand_full' (default) or 'hand_lite'.
    """

    default_network = "hand_full"


@MODELS.register_module()
class BlazePoseHeatmapHead(HeatmapHead):  # type: ignore[misc]  # mmpose is untyped
    """Joints as heatmaps; no layers of its own.

    `forward` gives logits, -80 to about 3: their soft-argmax stays sharp where the network is unsure, which that of
    their sigmoid does not.  `decode`, and so `predict`, takes the sigmoid first, since MMPose's codecs regard a peak
    that is not positive as no peak; scores are then probabilities.  Decode with MSRAHeatmap, input 256 x 256, heatmaps
    64 x 64: cell i lies at input pixel 4 i, as in MediaPipe's own refinement, and no half cell further.

    Args:
        joints: which of the 39 landmarks, in the data set's order.
        decoder: MMPose codec.
    """

    def __init__(self, joints: Sequence[int] = COCO_JOINTS, decoder: Any = None, init_cfg: Any = None) -> None:
        super().__init__(
            in_channels=39,
            out_channels=len(joints),
            deconv_out_channels=None,
            final_layer=None,
            decoder=decoder,
            init_cfg=init_cfg,
        )
        self.register_buffer("joints", _indices(joints, 39), persistent=False)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Last of `feats` (B, 39, h, w) -> (B, K, h, w) logits."""
        if feats[-1].dim() != 4 or feats[-1].shape[1] != 39:
            raise ShapeError(
                f"the backbone's last output is {tuple(feats[-1].shape)}, this head takes (B, 39, 64, 64): "
                "set BlazePoseBackbone(outputs=('heatmap',))"
            )
        logits: Tensor = feats[-1].index_select(1, self.joints)
        return logits

    def decode(self, batch_outputs: Tensor) -> Any:
        """Logits (B, K, h, w) -> MMPose's instances, joints in input px, scores in (0, 1)."""
        return super().decode(batch_outputs.sigmoid())


class _LandmarkHead(RegressionHead):  # type: ignore[misc]  # mmpose is untyped
    """Picks (x, y) of some landmarks and divides by the input size, as MMPose's RegressionLabel decodes it."""

    n_landmarks: ClassVar[int]
    n_values: ClassVar[int]  # a landmark
    input_size: ClassVar[tuple[int, int]]  # (w, h), px

    def __init__(self, joints: Sequence[int], decoder: Any = None, init_cfg: Any = None) -> None:
        in_channels = self.n_landmarks * self.n_values
        super().__init__(in_channels=in_channels, num_joints=len(joints), decoder=decoder, init_cfg=init_cfg)
        del self.fc  # the network's last layer lies in the backbone
        self.register_buffer("joints", _indices(joints, self.n_landmarks), persistent=False)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Last of `feats` (B, n_landmarks * n_values) -> (B, K, 2), (x, y) over the input's (w, h)."""
        if feats[-1].dim() != 2 or feats[-1].shape[1] != self.in_channels:
            raise ShapeError(
                f"the backbone's last output is {tuple(feats[-1].shape)}, this head takes (B, {self.in_channels}): "
                "set outputs=('landmarks',) of its backbone"
            )
        landmarks = feats[-1].unflatten(1, (self.n_landmarks, self.n_values))  # (B, 39, 5)
        joints: Tensor = landmarks.index_select(1, self.joints)[..., :2] / landmarks.new_tensor(self.input_size)
        return joints


@MODELS.register_module()
class BlazePoseRegressionHead(_LandmarkHead):
    """Joints as MediaPipe's body network regresses them: (B, K, 2), over 256.  Decode with RegressionLabel.

    Args:
        joints: which of the 39 landmarks, in the data set's order.
        decoder: MMPose codec.
    """

    n_landmarks, n_values, input_size = 39, 5, (256, 256)

    def __init__(self, joints: Sequence[int] = COCO_JOINTS, decoder: Any = None, init_cfg: Any = None) -> None:
        super().__init__(joints, decoder, init_cfg)


@MODELS.register_module()
class BlazeHandRegressionHead(_LandmarkHead):
    """The hand's 21 joints, wrist first, then four a finger from the thumb on: (B, 21, 2), over 224."""

    n_landmarks, n_values, input_size = 21, 3, (224, 224)

    def __init__(self, joints: Sequence[int] = tuple(range(21)), decoder: Any = None, init_cfg: Any = None) -> None:
        super().__init__(joints, decoder, init_cfg)


class _BlazeEstimator(TopdownPoseEstimator):  # type: ignore[misc]  # mmpose is untyped
    """MMPose's top-down estimator, which brings its weights along."""

    @property
    def random_weights(self) -> bool:
        """Whether the model was built with fresh weights; a run without a checkpoint says so, else it need not."""
        return self.backbone.weights is None


@MODELS.register_module()
class BlazeHandEstimator(_BlazeEstimator):
    """MMPose's top-down estimator over MediaPipe's hand network."""


@MODELS.register_module()
class BlazePoseEstimator(_BlazeEstimator):
    """MMPose's top-down estimator over MediaPipe's body network, with a person mask for data sets that have none."""

    _segmenter: tuple[TFLiteGraph, ...] = ()  # in a tuple, to be neither part of the state dict nor randomised with it

    @torch.no_grad()
    def predict_mask(self, images: Tensor) -> Tensor:
        """Which pixels the network's own segmentation takes for the person.

        It always comes from the weights in the backbone's file, whatever happened to the model's since: it stands in
        for an annotation, so it must not move when a model is randomised or trained.  Loaded at the first call.

        Args:
            images: (B, 3, 256, 256) as the data preprocessor gives them: RGB in [0, 1].

        Returns:
            (B, 256, 256) bool, the input frame; True where the probability is above one half.
        """
        if not self._segmenter:
            weights = self.backbone.weights or "mediapipe"
            self._segmenter = (load_network("pose_full", ("segmentation",), weights).eval().requires_grad_(False),)
        segmenter = self._segmenter[0].to(images)  # device and dtype
        logits: Tensor = segmenter(images)[0]
        return logits[:, 0] > 0


def predicted_mask(model: BlazePoseEstimator, image: Tensor) -> Tensor:
    """The person mask of one image (3, 256, 256), RGB in [0, 1]: (256, 256) bool.  Rows are to say 'predicted'."""
    mask: Tensor = model.predict_mask(image.unsqueeze(0))[0]
    return mask


def _indices(joints: Sequence[int], count: int) -> Tensor:
    if not joints or not all(0 <= joint < count for joint in joints):
        raise ConfigError(f"joints={list(joints)}: expected landmark numbers from 0 to {count - 1}, at least one")
    return torch.tensor(list(joints), dtype=torch.long)
