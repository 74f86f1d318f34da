"""One inversion to look at: the crop, the joint's own map, and the map of why there and not here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ...functional.limbs import limb_segments
from ...plotting.drawing import PREDICTION, TRUTH, Canvas, overlay, row_of_panels
from ...plotting.signed import POSITIVE, signed_overlay
from ...types import Finding, JointGroups

HEIGHT = 320  # px of a panel
SMOOTHING = 3.0  # input px: signs alternate from pixel to pixel, and the eye cannot add them up
Floats = NDArray[np.floating[Any]]


def inversion_picture(finding: Finding, own: Floats, contrast: Floats, a: int, b: int, groups: JointGroups) -> Image:
    """Three panels: blue ring and bone: joint a itself; orange: joint b where it was found; cross: prediction.

    Args:
        finding: of the person.
        own: (H, W) the run's map of a; NaN where there is none.
        contrast: (H, W) signed, > 0 pulls to b; drawn smoothed.
        a, b: the joints.
        groups: their parents.
    """
    from scipy.ndimage import gaussian_filter

    sample = finding.sample
    truth, prediction = sample.keypoints.double().cpu().numpy(), finding.prediction.double().cpu().numpy()
    points = np.where(sample.visible.cpu().numpy()[:, None], truth, np.nan)
    first = Canvas(sample.display, HEIGHT)
    for joint, color in ((a, TRUTH), (b, POSITIVE)):
        for bone in limb_segments(joint, groups.parent_of, points):
            first.line(bone, color, 1.6)
    panels, titles = [first], [f"{groups.keypoint_names[a]} at {groups.keypoint_names[b]}"]
    if np.isfinite(own).all():
        panels.append(Canvas(overlay(sample.display, own), HEIGHT))
        titles.append("its own map")
    panels.append(Canvas(signed_overlay(sample.display, gaussian_filter(contrast, SMOOTHING)), HEIGHT))
    titles.append("why there, not here")
    for panel in panels:
        panel.line(np.stack([truth[a], prediction[a]]), PREDICTION, 1.2)
        panel.circle(truth[a], 6.0)
        panel.circle(truth[b], 6.0, POSITIVE)
        panel.cross(prediction[a], 5.5)
    return row_of_panels([panel.finish() for panel in panels], titles)
