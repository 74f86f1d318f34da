"""What a config imports to have these models in MMPose's registries: `custom_imports = dict(imports=[this module])`."""

from .cmr import CMR
from .estimators import HandMeshEstimator
from .heads import HandMeshHead
from .mobrecon import MobRecon

__all__ = ["CMR", "HandMeshEstimator", "HandMeshHead", "MobRecon"]
