"""What a config imports to have TransPose's parts in MMPose's registries: `custom_imports = dict(imports=[this
module])`.
"""

from .backbone import HRNetStage3
from .encoder import TransPoseEncoder

__all__ = ["HRNetStage3", "TransPoseEncoder"]
