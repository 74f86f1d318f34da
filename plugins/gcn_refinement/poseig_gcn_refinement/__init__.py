"""Graph refinement of a frozen heatmap model, as MMPose models, and the study of what it changes.

Importing this package, or its `plugin` module, loads neither torch nor mmpose.  Import
`poseig_gcn_refinement.estimator` (a config does it by `custom_imports`) to fill MMPose's registries.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
