"""What a pipeline's pixels are, range and order of channels, against what the preprocessor makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..checks import Note
from .crops import Crop

_IMAGENET = (123.675, 116.28, 103.53)  # mean of red, green and blue, of 0 to 255
_DEEP = 1000  # no pixel of 8 bits is larger, whatever interpolation adds to it
LOOKED_AT = 20  # persons who are looked at, to tell in which order channels are
_NEAR = 0.05  # of these, within which a mean counts as ImageNet's


def display(pixels: torch.Tensor, size: Sequence[int], order: str = "") -> NDArray[np.uint8]:
    """A pipeline's pixels (C, h, w) as RGB (H, W, 3) to look at, of whatever range they are.

    Args:
        pixels: BGR, as LoadImage gives them whatever the model wants, an alpha channel behind or not; or one grey
            channel.
        size: (H, W) at least (h, w); black beyond.
        order: 'RGB' where that is theirs.

    >>> display(torch.tensor([[[0]], [[128]], [[255]]], dtype=torch.uint8), (1, 1)).tolist()
    [[[255, 128, 0]]]
    """
    picture = pixels if pixels.dtype == torch.uint8 else _in_255(pixels)
    colour = picture[:3] if order == "RGB" else picture[:3].flip(0)
    picture = colour if len(picture) in (3, 4) else picture[:1].expand(3, -1, -1)
    shown = np.zeros((*size, 3), dtype=np.uint8)
    shown[: pixels.shape[-2], : pixels.shape[-1]] = picture.permute(1, 2, 0).clamp(0, 255).to(torch.uint8).numpy()
    return shown


def _in_255(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels of another type than bytes, brought to 0 to 255."""
    picture = pixels.float().nan_to_num()
    low, high = (float(v) for v in picture.aminmax()) if picture.numel() else (0.0, 0.0)
    if low < 0:  # normalised already
        return (picture - low) * (255 / (high - low))
    return picture * _to_255(picture) if pixels.dtype.is_floating_point or high > _DEEP else picture


def range_note(pixels: torch.Tensor, preprocess: Any) -> str:
    """A sentence where pixels are of another range than the preprocessor's mean and std are made for, else ''.

    Args:
        pixels: as the pipeline gives them.
        preprocess: the model's data preprocessor; one without mean and std says nothing.
    """
    numbers = _normalisation(preprocess)
    if numbers is None or not pixels.numel():
        return ""
    mean, std = numbers
    low, high = (float(v) for v in pixels.float().aminmax())
    given = f"the pipeline gives pixels from {_span(low, high)}"
    takes = f"the preprocessor subtracts {_listed(mean)} and divides by {_listed(std)}"
    if not np.isfinite([low, high]).all():
        return f"{given}: some are no numbers"
    if low < 0:
        return f"{given}, which are normalised already, and {takes}: they are normalised twice"
    wide, narrow = max(*mean, *std) > 2, max(*mean, *std) <= 1 and min(std) < 1
    if wide and pixels.dtype.is_floating_point and 0 < high <= 1:
        return (
            f"{given}, and {takes}, which is made for 0 to 255: the model sees next to nothing, and 'black' and "
            "'white' of a path are far outside its images"
        )
    if wide and high > _DEEP:
        return f"{given}, and {takes}, which is made for 0 to 255: the image is too bright by far"
    if narrow and high > 2:
        return f"{given}, and {takes}, which is made for 0 to 1: the image is too bright by far"
    return ""


def describe_pixels(pixels: torch.Tensor, order: str, preprocess: Any) -> str:
    """What the pipeline gives and the preprocessor makes of it, in words.

    >>> describe_pixels(torch.tensor([[[0]], [[128]], [[255]]]), "BGR", None)
    '0 to 255 in 3 channels, BGR'
    """
    if not pixels.numel():
        return "no pixels"
    values = [f"{_span(*(float(v) for v in pixels.float().aminmax()))} in {len(pixels)} channels"]
    turned = bool(getattr(preprocess, "_channel_conversion", False))
    values.append(f"{order or 'of unknown order'}{', turned round by the preprocessor' if turned else ''}")
    if numbers := _normalisation(preprocess):
        values.append(f"less {_listed(numbers[0])} over {_listed(numbers[1])}")
    return ", ".join(values)


def order_of(pixels: torch.Tensor, crop: Crop, path: str) -> str:
    """'RGB' or 'BGR', by the file itself; '' where that cannot be told: no file, grey, other transforms of colours.

    Args:
        pixels: (C, h, w) as the pipeline gives them.
        crop: how they were cut out of the image.
        path: of the image.
    """
    import cv2

    if len(pixels) not in (3, 4) or not Path(path).is_file():
        return ""
    image = cv2.imread(path, cv2.IMREAD_COLOR)  # BGR
    if image is None or tuple(image.shape[:2]) != crop.original_size:
        return ""
    height, width = pixels.shape[-2:]
    own = cv2.warpAffine(image, crop.warp, (width, height)).astype(np.float64)
    given = pixels[:3].double().permute(1, 2, 0).numpy() * _to_255(pixels.float())
    as_bgr, as_rgb = (float(np.abs(given - turned).mean()) for turned in (own, own[..., ::-1]))
    if max(as_bgr, as_rgb) < 1 or min(as_bgr, as_rgb) > max(as_bgr, as_rgb) / 2:
        return ""
    return "BGR" if as_bgr < as_rgb else "RGB"


def order_note(order: str, preprocess: Any) -> str:
    """A sentence where red and blue are exchanged on their way to the model, as far as that can be told, else ''.

    Args:
        order: of the pipeline's pixels, see `order_of`.
        preprocess: the model's data preprocessor.
    """
    if not order:
        return ""
    turns = bool(getattr(preprocess, "_channel_conversion", False))
    arrives = order[::-1] if turns else order
    numbers = _normalisation(preprocess)
    wanted = _order_of_mean(numbers[0]) if numbers else ""
    if wanted and arrives != wanted:
        return (
            f"the pipeline gives {order}{', which the preprocessor turns round' if turns else ''}, but the "
            f"preprocessor's mean {_listed(numbers[0] if numbers else ())} is that of {wanted}: red and "
            "blue are exchanged (see its bgr_to_rgb)"
        )
    if not wanted and turns and order == "RGB":
        return (
            "the pipeline gives RGB, which the preprocessor turns round as if it were BGR: red and blue are exchanged"
        )
    return ""


def _order_of_mean(mean: Sequence[float]) -> str:
    scale = 1.0 if max(mean) > 2 else 255.0
    for order, known in (("RGB", _IMAGENET), ("BGR", _IMAGENET[::-1])):
        if len(mean) == 3 and all(abs(m * scale - k) < _NEAR * k for m, k in zip(mean, known, strict=True)):
            return order
    return ""


def _normalisation(preprocess: Any) -> tuple[list[float], list[float]] | None:
    mean, std = getattr(preprocess, "mean", None), getattr(preprocess, "std", None)
    if not isinstance(mean, torch.Tensor) or not isinstance(std, torch.Tensor):
        return None
    return [float(v) for v in mean.flatten()], [float(v) for v in std.flatten()]


def _to_255(pixels: torch.Tensor) -> float:
    """What brings shares of white, or 16 bits, to 0 to 255."""
    high = float(pixels.max())
    return 255.0 if high <= 1 else 1 / 257 if high > _DEEP else 1.0


def _span(low: float, high: float) -> str:
    return " to ".join(f"{v:.0f}" if abs(v) > 10 else f"{v:.2g}" for v in (low, high))


def _listed(values: Sequence[float]) -> str:
    return f"({', '.join(f'{v:g}' for v in values)})"


class ChannelOrders:
    """The order of each pipeline's channels: looked at until it can be told, and noted once where it is odd.

    Args:
        preprocess: the model's `data_preprocessor`.
        notes: gets sentences on order and range.

    Attributes:
        described: what the pipeline that was looked at last gives, in words; '' before.
    """

    def __init__(self, preprocess: Any, notes: list[str]) -> None:
        self._preprocess, self._notes = preprocess, notes
        self._looked_at: dict[int, tuple[int, str]] = {}  # part -> persons who were looked at, and their order
        self.described = ""

    def of(self, part: int, pixels: torch.Tensor, crop: Crop, path: str) -> str:
        """The order, '' where it cannot be told.

        Args:
            part: of the data set, which has a pipeline of its own.
            pixels: (C, h, w) as that gives them.
            crop: of the person.
            path: of the image.
        """
        looked, order = self._looked_at.get(part, (0, ""))
        if not order and looked < LOOKED_AT:
            order = order_of(pixels, crop, path)
            self._looked_at[part] = (looked + 1, order)
            odd = [range_note(pixels, self._preprocess) if not looked else "", order_note(order, self._preprocess)]
            self._notes.extend(Note(note, "pixels") for note in odd if note and note not in self._notes)
            self.described = describe_pixels(pixels, order, self._preprocess)
        return order
