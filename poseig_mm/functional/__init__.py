"""Pure tensor mathematics: no config, no files, no MMPose.  Device and dtype follow the input, which stays unchanged.

Where torch is not installed, the statistics still work: reports and comparisons are made of tables alone.
"""

from importlib.util import find_spec

from .statistics import Estimate, bootstrap_mean

if find_spec("torch") is not None:
    from .heatmaps import gaussian_heatmaps, published_heatmaps, quantised_heatmaps
    from .indices import (
        diffusion_index,
        endpoint_error,
        foreground_index,
        foreground_log_odds,
        gini,
        locality_index,
        mass_outside,
        relation_index,
        scaled_diffusion_index,
    )
    from .kde import kde_heatmap
    from .path_attribution import path_attribution
    from .paths import BlurPath, LinearPath
    from .soft_argmax import soft_argmax

__all__ = [
    "BlurPath",
    "Estimate",
    "LinearPath",
    "bootstrap_mean",
    "diffusion_index",
    "endpoint_error",
    "foreground_index",
    "foreground_log_odds",
    "gaussian_heatmaps",
    "gini",
    "kde_heatmap",
    "locality_index",
    "mass_outside",
    "path_attribution",
    "published_heatmaps",
    "quantised_heatmaps",
    "relation_index",
    "scaled_diffusion_index",
    "soft_argmax",
]
