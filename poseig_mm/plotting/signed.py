"""Maps with a sign drawn on an image: two colours over grey.  Arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
POSITIVE, NEGATIVE = (240, 160, 0), (86, 180, 233)  # Okabe & Ito's orange and sky blue: apart with any colour vision


def signed_overlay(image: Pixels, values: Floats) -> Pixels:
    """A signed map (H, W) over the dimmed, grey image (H, W, 3): orange above zero, blue below.

    Args:
        image: RGB.
        values: any scale; shown relative to the 99.9 % quantile of its absolute values, by the square root.

    >>> drawn = signed_overlay(np.zeros((1, 2, 3), np.uint8), np.array([[1.0, -1.0]]))
    >>> bool(drawn[0, 0, 0] > drawn[0, 0, 2]), bool(drawn[0, 1, 0] < drawn[0, 1, 2])
    (True, True)
    """
    grey = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    base = np.repeat((0.06 + 0.5 * grey)[..., None], 3, 2)
    size = np.abs(np.nan_to_num(values.astype(np.float64)))
    top = float(np.quantile(size[size > 0], 0.999)) if (size > 0).any() else 1.0
    level = np.sqrt(np.clip(size / top, 0, 1))[..., None]
    color = np.where((values > 0)[..., None], np.array(POSITIVE), np.array(NEGATIVE)) / 255
    alpha = np.clip(1.35 * (level - 0.09), 0, 0.9)
    drawn: Pixels = np.round(255 * ((1 - alpha) * base + alpha * color)).astype(np.uint8)
    return drawn
