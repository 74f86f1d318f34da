"""What the networks of the lixel family give: points in the crop, with a depth behind the wrist."""

from __future__ import annotations

from torch import Tensor

__all__ = ["BOX_MM", "in_cells", "in_the_crop"]

BOX_MM = 150.0  # half the depth of the box around the wrist that the cells of depth divide


def in_the_crop(cells: Tensor, size: int) -> Tensor:
    """Grid cells (..., 3), (x, y, z) -> fractions of the crop's (w, h), and mm behind the wrist.

    >>> import torch
    >>> in_the_crop(torch.tensor([16.0, 64.0, 48.0]), 64).tolist()
    [0.25, 1.0, 75.0]
    """
    fractions = cells / size
    return fractions * fractions.new_tensor([1.0, 1.0, 2 * BOX_MM]) - fractions.new_tensor([0.0, 0.0, BOX_MM])


def in_cells(image: Tensor, size: int) -> Tensor:
    """The inverse of `in_the_crop`.

    >>> import torch
    >>> in_cells(torch.tensor([0.25, 1.0, 75.0]), 64).tolist()
    [16.0, 64.0, 48.0]
    """
    shift = image.new_tensor([0.0, 0.0, BOX_MM])
    return (image + shift) / image.new_tensor([1.0, 1.0, 2 * BOX_MM]) * size
