"""HRNet up to its third stage, of which only the highest resolution goes on: TransPose-H's backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.models.backbones import HRNet  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HRNetStage3"]


@MODELS.register_module()
class HRNetStage3(HRNet):  # type: ignore[misc]  # mmpose is untyped
    """MMPose's HRNet without stage 4.  Its output is one map (B, w, H / 4, W / 4), w the width of the first branch.

    Args:
        extra: HRNet's own; what it says of stage 4 is ignored.
        settings: of HRNet.
    """

    def __init__(self, extra: Mapping[str, Any], **settings: Any) -> None:
        width = extra["stage3"]["num_channels"][0]
        nothing = dict(num_modules=0, num_branches=1, block="BASIC", num_blocks=(), num_channels=(width,))
        super().__init__({**extra, "stage4": nothing}, **settings)

    def _make_stage(self, layer_config: Any, in_channels: Any, multiscale_output: bool = True) -> Any:
        """Stage 3's last module fuses into the highest resolution alone."""
        last = layer_config is self.extra["stage3"]
        return super()._make_stage(layer_config, in_channels, multiscale_output and not last)
