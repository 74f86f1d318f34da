"""Graph refinement of a frozen heatmap model: MMPose models, and the treatment that trains them.

Importing this package, or its `plugin` module, loads neither torch nor mmpose.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
