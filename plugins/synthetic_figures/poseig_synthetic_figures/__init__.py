"""Articulated figures drawn from a seed, with evidence planted where one wants it, as MMPose data sets.

Importing this package, or its `plugin` module, loads neither torch nor mmpose.  Import
`poseig_synthetic_figures.datasets` (a config does it by `custom_imports`) to fill MMPose's registries.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
