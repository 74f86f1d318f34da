"""What a config imports to have these models in MMPose's registries: `custom_imports = dict(imports=[this module])`."""

from .cmr import CMR
from .cmr_head import CMRHead
from .estimators import HandMeshEstimator
from .handar import HandAR
from .handoccnet import HandOccNet
from .heads import HandMeshHead
from .i2l_meshnet import I2LMeshNet
from .lixel_head import LixelMeshHead
from .mano_head import ManoMeshHead
from .mobrecon import MobRecon

__all__ = [
    "CMR",
    "CMRHead",
    "HandAR",
    "HandMeshEstimator",
    "HandMeshHead",
    "HandOccNet",
    "I2LMeshNet",
    "LixelMeshHead",
    "ManoMeshHead",
    "MobRecon",
]
