"""TransPose (Yang et al., ICCV 2021) as an MMPose model, and its attention maps beside attribution maps.

Importing this package, or its `plugin` module, loads neither torch nor mmpose.  Import `poseig_transpose.models` (a
config does it by `custom_imports`) to fill MMPose's registries.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
