"""Networks that predict a 3D hand mesh, as MMPose models, for poseig_mm.

Importing this package, or its `plugin` module, loads neither torch nor mmpose.  Import `poseig_hand_models.models` (a
config does it by `custom_imports`) to fill MMPose's registries.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
