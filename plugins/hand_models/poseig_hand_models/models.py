"""What a config imports to have these models in MMPose's registries: `custom_imports = dict(imports=[this module])`."""

from .estimators import HandMeshEstimator
from .heads import HandMeshHead

__all__ = ["HandMeshEstimator", "HandMeshHead"]
