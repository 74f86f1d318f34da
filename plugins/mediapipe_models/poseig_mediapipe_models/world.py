"""MediaPipe's hand in space: 21 joints in millimetres relative to the wrist, and their adapter."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ShapeError
from poseig_mm.types import Coordinates

prepare_environment()

from mmengine.structures import InstanceData  # noqa: E402  (needs a prepared environment)
from mmpose.models.heads.base_head import BaseHead  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["BlazeHandWorldAdapter", "BlazeHandWorldHead"]

JOINTS = 21
MM = 1000.0  # a metre


@MODELS.register_module()
class BlazeHandWorldHead(BaseHead):  # type: ignore[misc]  # mmpose is untyped
    """The network's world coordinates: (B, 21, 3) mm relative to the wrist, x right, y down, z away from the camera.

    The axes are those of the crop, which `UprightHand` turns with the hand; the size is the network's own guess, since
    a picture does not tell it.  There is nothing to train.
    """

    num_joints = JOINTS
    input_size = (224, 224)  # (w, h), px
    decoder = None

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Last of `feats` (B, 63), metres -> (B, 21, 3)."""
        if feats[-1].dim() != 2 or feats[-1].shape[1] != 3 * JOINTS:
            raise ShapeError(
                f"the backbone's last output is {tuple(feats[-1].shape)}, this head takes (B, {3 * JOINTS}): "
                "set BlazeHandBackbone(outputs=('world',))"
            )
        joints = feats[-1].unflatten(1, (JOINTS, 3))
        return (joints - joints[:, :1]) * MM

    def predict(self, feats: tuple[Tensor, ...], batch_data_samples: Any, test_cfg: Any = None) -> list[Any]:
        """`InstanceData` an image: keypoints (1, 21, 3), mm, and keypoint_scores (1, 21), all 1: the network gives
        none.
        """
        found = self.forward(feats).detach().cpu().numpy()
        scores = found[:, :, 0] * 0 + 1
        return [InstanceData(keypoints=found[i : i + 1], keypoint_scores=scores[i : i + 1]) for i in range(len(found))]

    def loss(self, feats: Any, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """There is none."""
        raise NotImplementedError("BlazeHandWorldHead has no loss: MediaPipe's network is not trained here")


class BlazeHandWorldAdapter(CoordinateAdapter):
    """What `BlazeHandWorldHead` gives, unchanged: mm, D = 3.  Arguments: `CoordinateAdapter`."""

    name = "blaze_hand_world"
    head_types = ("BlazeHandWorldHead",)
    unit = "mm"

    def decode(self, output: Tensor) -> Coordinates:
        """(B, 21, 3), the head's output."""
        return Coordinates(output)
