"""Perturbation of an image by a map (PoseIG, Eq. 1-2; method section 7): what it marks becomes a mask image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError, did_you_mean
from .insertion_deletion import ranked_order

MASKS = ("mean", "shuffle", "uniform", "normal")


def mask_image(
    kind: str, image: Tensor, low: Sequence[float], high: Sequence[float], generator: torch.Generator
) -> Tensor:
    """M, what the image is blended with.

    Args:
        kind: 'mean' (M_m, the image's own mean colour), 'shuffle' (M_ro, the image's own pixels in random order,
            channels together), 'uniform' (M_ru, uniform between `low` and `high`), or 'normal' (M_rn, Gaussian with the
            image's own mean and standard deviation a channel, not clipped).  Random ones differ from pixel to pixel.
        image: (C, H, W) normalised network input.
        low, high: black and white in the normalised input, one value a channel.
        generator: of the random masks, on the CPU.

    Returns:
        (C, H, W).

    Raises:
        ConfigError: no such mask.
        ShapeError: not one image, or not one bound a channel.

    >>> mask_image('mean', torch.tensor([[[1.0, 3.0]]]), [0.0], [1.0], torch.Generator()).tolist()
    [[[2.0, 2.0]]]
    """
    if image.ndim != 3 or len(low) != len(image) or len(high) != len(image):
        raise ShapeError(
            f"image has shape {tuple(image.shape)}, low {len(low)} and high {len(high)} values; expected (C, H, W), "
            "and one value a channel"
        )
    mean = image.mean((1, 2), keepdim=True)
    if kind == "mean":
        return mean.expand_as(image)
    if kind == "shuffle":
        order = torch.randperm(image[0].numel(), generator=generator).to(image.device)
        return image.flatten(1)[:, order].view_as(image)
    if kind == "uniform":
        bottom, top = (image.new_tensor(list(bound))[:, None, None] for bound in (low, high))
        drawn = torch.rand(image.shape, generator=generator, dtype=torch.float64).to(image)
        return bottom + drawn * (top - bottom)
    if kind == "normal":
        drawn = torch.randn(image.shape, generator=generator, dtype=torch.float64).to(image)
        return mean + drawn * image.std((1, 2), correction=0, keepdim=True)
    raise ConfigError(f"mask {kind!r} is unknown; {did_you_mean(kind, MASKS)}")


def blend(image: Tensor, masks: Tensor, maps: Tensor) -> Tensor:
    """I~ = I (1 - G) + M G for every map and mask.

    Args:
        image: (C, H, W).
        masks: (M, C, H, W).
        maps: (G, H, W) in [0, 1].

    Returns:
        (G, M, C, H, W).

    >>> blend(torch.zeros(1, 1, 2), torch.ones(1, 1, 1, 2), torch.tensor([[[0.0, 0.25]]])).flatten().tolist()
    [0.0, 0.25]
    """
    if image.ndim != 3 or masks.shape[1:] != image.shape or maps.shape[1:] != image.shape[1:]:
        raise ShapeError(
            f"image {tuple(image.shape)}, masks {tuple(masks.shape)} and maps {tuple(maps.shape)}; expected (C, H, W), "
            "(M, C, H, W) and (G, H, W)"
        )
    return image + maps[:, None, None] * (masks - image)


def permuted_maps(grade: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The random control: the pixels of one map (H, W) in `n` random orders, (n, H, W); as much is replaced, elsewhere.

    >>> permuted_maps(torch.tensor([[0.0, 0.5], [0.5, 1.0]]), 3, torch.Generator()).sum((1, 2)).tolist()
    [2.0, 2.0, 2.0]
    """
    if grade.ndim != 2:
        raise ShapeError(f"the map has shape {tuple(grade.shape)}; expected (H, W)")
    orders = torch.stack([torch.randperm(grade.numel(), generator=generator) for _ in range(n)])
    return grade.flatten()[orders.to(grade.device)].view(n, *grade.shape)


def strongest_pixels(grade: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """The pixels of largest value of a map (H, W), (H, W) bool; equal ones in random order, never one whose value is 0.

    Args:
        grade: (H, W) >= 0.
        fraction: in (0, 1): round(fraction * H W) pixels, at least 1.
        generator: on the CPU.

    >>> strongest_pixels(torch.tensor([[0.0, 0.5], [0.2, 1.0]]), 0.5, torch.Generator()).tolist()
    [[False, True], [False, True]]
    """
    if grade.ndim != 2:
        raise ShapeError(f"the map has shape {tuple(grade.shape)}; expected (H, W)")
    order = ranked_order(grade, torch.randperm(grade.numel(), generator=generator))
    chosen = torch.zeros(grade.numel(), dtype=torch.bool, device=grade.device)
    chosen[order[: max(1, round(fraction * grade.numel()))]] = True
    return chosen.view_as(grade) & (grade > 0)


def shifted_masks(mask: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The same pixels (H, W) elsewhere: shifted by `n` random steps, around the edges, (n, H, W).

    >>> shifted_masks(torch.tensor([[True, True, False, False]]), 2, torch.Generator()).sum((1, 2)).tolist()
    [2, 2]
    """
    if mask.ndim != 2:
        raise ShapeError(f"the mask has shape {tuple(mask.shape)}; expected (H, W)")
    steps = [[int(torch.randint(side, (), generator=generator)) for side in mask.shape] for _ in range(n)]
    return torch.stack([mask.roll(step, (0, 1)) for step in steps])


def error_change(error: Tensor | float, perturbed: Tensor) -> Tensor:
    """How far a perturbation moves the error: the mean over draws of |E_perturbed - E_orig|.

    The absolute value comes first.  A map is perturbed with once, so that its change is one absolute value; the mean of
    the control's absolute values is what one random map does on average, whatever their number.  The absolute value of
    a mean would let draws cancel, and the control would look weaker the more maps are drawn.

    Args:
        error: EPE of the joint on the image itself.
        perturbed: (draws, ...) its EPE on the perturbed images.

    Returns:
        (...) in the unit of the errors.

    >>> error_change(2.0, torch.tensor([1.0, 3.0])).item()
    1.0
    """
    return (perturbed - error).abs().mean(0)
