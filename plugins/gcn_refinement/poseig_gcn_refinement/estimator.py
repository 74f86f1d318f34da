"""MMPose models: a frozen heatmap estimator with the refinement block behind its head."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poseig_mm.adapters.build_model import load_estimator_weights
from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.distillation import refuse_distiller
from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError

from . import block  # noqa: F401  (registers GCNRefiner for the same configs)
from .skeleton import edges_of, partners_of

prepare_environment()

from mmpose.models.heads import HeatmapHead  # noqa: E402  (needs a prepared environment)
from mmpose.models.pose_estimators import TopdownPoseEstimator  # noqa: E402
from mmpose.models.utils import check_and_update_config  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["RefinedHeatmapHead", "RefinedPoseEstimator", "refuse_other_heads"]

logger = logging.getLogger(__name__)
PEAKS = {"MegviiHeatmap": 255.0}  # of the codecs' targets; the others' is 1
FITTING = ("HeatmapHead", "CPMHead")


def refuse_other_heads(head: Any) -> None:
    """Check that a head's output is one heatmap a joint, in a form that the block refines.

    Raises:
        ConfigError: it is not; which head it is, and which ones fit.
    """
    codec: Any = getattr(head, "decoder", None)
    if not any(c.__name__ in FITTING for c in type(head).__mro__) or not hasattr(codec, "heatmap_size"):
        got = "no head" if head is None else f"a {type(head).__name__}"
        raise ConfigError(
            f"RefinedPoseEstimator refines heatmaps; the model has {got} with "
            f"{'no codec' if codec is None else type(codec).__name__}; expected a {' or '.join(FITTING)} (or a "
            "subclass) with a heatmap codec as its decoder, as the models of MMPose's configs/*/topdown_heatmap have"
        )
    if getattr(codec, "heatmap_type", "gaussian") != "gaussian":
        raise ConfigError(
            f"RefinedPoseEstimator: the codec's heatmap_type is {codec.heatmap_type!r}, with offset maps beside "
            "the heatmaps; expected 'gaussian'"
        )


class FrozenHeatmaps(NamedTuple):
    """What takes the place of features where the frozen heatmaps are known already."""

    heatmaps: Tensor  # (B, K, h, w)


@MODELS.register_module()
class RefinedHeatmapHead(HeatmapHead):  # type: ignore[misc]  # mmpose is untyped
    """A frozen head with the block behind it; everything else is `HeatmapHead`'s: targets, flip test, decoding.

    Args:
        frozen: config of a head whose (last stage's) output is one heatmap a joint.
        refiner: config of the block, without what the head knows: joints, heatmap size, bones, height of the peaks.
        skeleton: see `skeleton.edges_of`.
        loss: of the refined heatmaps.

    Raises:
        ConfigError: the head gives no heatmaps, or the skeleton does not fit it.
    """

    def __init__(
        self,
        frozen: Any,
        refiner: Any,
        skeleton: Any,
        loss: Any = dict(type="KeypointMSELoss", use_target_weight=True),  # noqa: B006  (only read)
        init_cfg: Any = None,
    ) -> None:
        head = MODELS.build(frozen)
        refuse_other_heads(head)
        codec: Any = head.decoder
        joints = int(head.out_channels)
        super().__init__(
            in_channels=head.in_channels,
            out_channels=joints,
            deconv_out_channels=None,
            final_layer=None,
            loss=loss,
            decoder=frozen["decoder"],
            init_cfg=init_cfg,
        )
        self.frozen = head
        about = {
            "num_joints": joints,
            "heatmap_size": tuple(codec.heatmap_size),
            "edges": edges_of(skeleton, joints),
            "partners": partners_of(skeleton, joints),
            "peak": PEAKS.get(type(codec).__name__, 1.0),
        }
        self.refiner = MODELS.build({**about, **refiner})
        self._register_load_state_dict_pre_hook(self._take_frozen_names)

    def frozen_heatmaps(self, feats: Any) -> Tensor:
        """Features -> (B, K, h, w): what the frozen model alone gives."""
        if isinstance(feats, FrozenHeatmaps):
            return feats.heatmaps
        output = self.frozen.forward(feats)
        while isinstance(output, (list, tuple)):  # one a stage; the last counts
            output = output[-1]
        heatmaps: Tensor = output
        return heatmaps

    def forward(self, feats: Any) -> Tensor:
        """Features -> refined heatmaps (B, K, h, w)."""
        refined: Tensor = self.refiner(self.frozen_heatmaps(feats))
        return refined

    def decode(self, batch_outputs: Tensor) -> Any:
        """As the frozen head decodes its own (some take a sigmoid first)."""
        return self.frozen.decode(batch_outputs)

    def _take_frozen_names(self, state: dict[str, Any], prefix: str, *_: Any) -> None:
        """A checkpoint of the frozen model alone has its head's weights one level higher."""
        inner = (f"{prefix}frozen.", f"{prefix}refiner.")
        if not any(key.startswith(inner) for key in state):
            for key in [k for k in state if k.startswith(prefix)]:
                state[f"{prefix}frozen.{key[len(prefix) :]}"] = state.pop(key)


@MODELS.register_module()
class RefinedPoseEstimator(TopdownPoseEstimator):  # type: ignore[misc]  # mmpose is untyped
    """Any top-down heatmap estimator, frozen, with a block that refines its heatmaps; the block's output is the output.

    Take the estimator's config, change `type` to 'poseig_gcn_refinement.estimator.RefinedPoseEstimator', add
    `refiner`, `skeleton` and `frozen_checkpoint`.  Only the block is trained: everything else has no gradients
    and stays in evaluation mode, so that its batch norms' statistics stay as they are.  It is frozen, not detached:
    gradients reach the image through it.

    Args:
        backbone, neck, head, ...: the frozen model's.
        refiner: config of the block, e.g. dict(type='GCNRefiner', hidden=256).
        skeleton: a data set's registered name ('CocoDataset'), MMPose metainfo, or a list of pairs of joints.
        frozen_checkpoint: the frozen model's weights, read when training starts (`init_weights`).  A checkpoint of the
            refined model holds all weights: inference needs this file no more.
        loss: of the refined heatmaps; None: mean squared error with target weights.

    Raises:
        ConfigError: a head without heatmaps, a skeleton of other joints, no refiner.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        head: Any = None,
        refiner: Any = None,
        skeleton: Any = None,
        frozen_checkpoint: str | Path | None = None,
        loss: Any = None,
        **others: Any,
    ) -> None:
        if not isinstance(refiner, Mapping) or head is None:
            raise ConfigError(
                "RefinedPoseEstimator needs a head and a refiner; add refiner=dict(type='GCNRefiner') to the model of "
                "a heatmap config"
            )
        neck, head = check_and_update_config(neck, head)  # configs of older MMPose, before the head is wrapped
        wrapped = dict(type="RefinedHeatmapHead", frozen=head, refiner=refiner, skeleton=skeleton)
        if loss is not None:
            wrapped["loss"] = loss
        super().__init__(backbone, neck, wrapped, **others)
        self.frozen_checkpoint = frozen_checkpoint
        for module in self._frozen_parts():
            module.requires_grad_(False)
        self.train(self.training)

    def _frozen_parts(self) -> list[torch.nn.Module]:
        return [self.backbone, *([self.neck] if self.with_neck else []), self.head.frozen]

    def train(self, mode: bool = True) -> RefinedPoseEstimator:
        """Only the block changes between training and evaluation mode."""
        super().train(mode)
        for part in self._frozen_parts():
            for module in part.modules():  # flags alone: some backbones' own train() and eval() do more
                module.training = False
        return self

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        """Losses of a batch of images, or of a batch of `cache.CachedHeatmaps`.

        No graph is recorded through the frozen part: neither its parameters nor the images ask for one.
        """
        if "gt_fields" in data_samples[0] and "frozen_heatmaps" in data_samples[0].gt_fields:
            cached = FrozenHeatmaps(torch.stack([d.gt_fields.frozen_heatmaps for d in data_samples]))
            losses: dict[str, Tensor] = self.head.loss(cached, data_samples, train_cfg=self.train_cfg)
        else:
            losses = super().loss(inputs, data_samples)
        return losses

    def init_weights(self) -> None:
        """Called by MMEngine's runner before training: the frozen weights; the block has its own start.

        Pretrained weights that the frozen model's config names (`init_cfg`) are not asked for.

        Raises:
            CheckpointError: the file is not there, or belongs to another model.
        """
        if self.frozen_checkpoint is None:
            logger.warning("no frozen_checkpoint: the frozen weights are random unless load_from or resume brings them")
        else:
            self.load_frozen(self.frozen_checkpoint)

    def load_frozen(self, checkpoint: str | Path) -> None:
        """Load the frozen model's own checkpoint, as its diagnosis does; the block stays as it is.

        Args:
            checkpoint: file or http(s) address, of whatever `build_model` takes: old names, prefixes of wrappers,
                without weights that reach no heatmap.

        Raises:
            CheckpointError: the file is not there, or belongs to another model.
        """
        source = f"frozen_checkpoint {checkpoint}"
        state, _ = read_checkpoint(checkpoint)
        refuse_distiller(state, source)
        load_estimator_weights(self._frozen_estimator(), state, source)

    def _frozen_estimator(self) -> Any:
        """The frozen model as it was before it was refined, of the same modules: its head is where its names say."""
        found = copy.copy(self)
        found._modules = dict(self._modules)
        found.head = self.head.frozen
        return found
