"""What a model's data preprocessor does to pixel values: needed for baselines, which live in the normalised input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError


def pixel_range(data_preprocessor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What black and white (pixel values 0 and 255 before normalisation) become in the network input.

    Args:
        data_preprocessor: MMPose's, with `mean` and `std` in pixel values, (C, 1, 1) each; one without them leaves
            pixel values as they are.

    Returns:
        One value a channel each, in the order of the input's channels (after a BGR to RGB swap).

    >>> from types import SimpleNamespace
    >>> pixel_range(SimpleNamespace(mean=torch.tensor([55.0, 0.0]), std=torch.tensor([100.0, 255.0])))
    ((-0.55, 0.0), (2.0, 1.0))
    """
    mean, std = (getattr(data_preprocessor, name, None) for name in ("mean", "std"))
    if mean is None or std is None:
        return (0.0,), (255.0,)
    mean, std = mean.double().flatten(), std.double().flatten()
    low, high = ((value - mean) / std for value in (0.0, 255.0))
    return tuple(round(v, 7) for v in low.tolist()), tuple(round(v, 7) for v in high.tolist())


def load_input(path: str | Path, input_size: tuple[int, int], data_preprocessor: Any) -> Tensor:
    """An image file as a network input: read as MMPose reads it, resized to the input's size, normalised.

    Args:
        path: any image OpenCV reads; it is stretched where its aspect is another than the input's.
        input_size: (w, h) of the input, px.
        data_preprocessor: the model's.

    Returns:
        (1, C, H, W) float32 on the preprocessor's device.

    Raises:
        ConfigError: there is no such file, or it is not an image.
    """
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)  # (H, W, 3) BGR, as mmcv's default
    if image is None:
        reason = "is not an image OpenCV can read" if Path(path).is_file() else "does not exist"
        raise ConfigError(f"the image {path} {reason}; give the path of a PNG or JPEG file")
    image = cv2.resize(image, input_size, interpolation=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    result: Tensor = data_preprocessor({"inputs": [pixels], "data_samples": []}, training=False)["inputs"]
    return result
