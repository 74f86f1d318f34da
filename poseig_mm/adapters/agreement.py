"""How well an adapter's differentiable coordinates agree with the model's own decoding, and which beta to try."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

WANTED_SHARE = 0.95  # of the joints within one heatmap pixel (method section 2)
NOMINAL_GAIN = 10.0  # beta times height of the peak: the published beta 10 on heatmaps of peak 1
REACH = 64  # the ladder goes up to this multiple of where it would nominally start


@dataclass(frozen=True)
class Agreement:
    """Differentiable coordinates against the model's own decoding of the same images."""

    beta: float | None  # sharpness of the soft-argmax, None where the model has none
    share_within: float  # share of the joints at most `threshold` apart, in [0, 1]; NaN where n is 0
    mean_distance: float  # mean distance, in `unit`; NaN where n is 0
    n: int  # joints compared
    threshold: float  # in `unit`: one heatmap pixel; 4 input px where the model has no heatmaps
    left_out: int = 0  # joints not asked for, or without a peak (MMPose's decoding then gives a place-holder)
    unit: str = "px"

    @property
    def good(self) -> bool:
        """At least 95 % of the joints are within the threshold."""
        return self.share_within >= WANTED_SHARE

    def as_dict(self) -> dict[str, Any]:
        """For run.json: every field, and `good`; None where a figure is undefined.

        >>> Agreement(20.0, 0.97, 1.5, 200, 4.0).as_dict()['good']
        True
        """
        values = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}
        return {**values, "good": self.good}


def measure_agreement(
    coords: Tensor, own: Tensor, counts: Tensor, *, threshold: float, beta: float | None, unit: str = "px"
) -> Agreement:
    """Compare two decodings of the same images.

    Args:
        coords: (B, K, D) the adapter's.
        own: (B, K, D) the model's.
        counts: (B, K) bool, the joints that count.
        threshold: in the coordinates' unit.
        beta: with which `coords` were decoded.
        unit: of the coordinates.

    >>> a, b = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 2.0]]])
    >>> measure_agreement(a, b, torch.ones(1, 2, dtype=torch.bool), threshold=4.0, beta=10.0)
    Agreement(beta=10.0, share_within=0.5, mean_distance=3.5, n=2, threshold=4.0, left_out=0, unit='px')
    """
    distance = torch.linalg.vector_norm(coords.double() - own.double(), dim=-1)[counts]  # (n,)
    n = distance.numel()
    return Agreement(
        beta=beta,
        share_within=(distance <= threshold).double().mean().item() if n else math.nan,
        mean_distance=distance.mean().item() if n else math.nan,
        n=n,
        threshold=threshold,
        left_out=counts.numel() - n,
        unit=unit,
    )


def beta_ladder(default: float, spread: float) -> tuple[float, ...]:
    """Betas to try, ascending by a factor of sqrt(2), all of them default * 2^(i / 2).

    The ladder starts at the default, or lower by whole halvings where the scores stand out so much more (logits) that
    the default would be an argmax; it ends at 64 times the start, or higher by whole doublings where they stand out
    less.

    Args:
        default: the head's own beta.
        spread: by how much the peak of a typical joint's scores stands above their median; default * spread is about 10
            for heatmaps of peak 1.

    >>> [round(b, 2) for b in beta_ladder(10.0, 1.0)][:5]
    [10.0, 14.14, 20.0, 28.28, 40.0]
    >>> beta_ladder(10.0, 80.0)[0], round(beta_ladder(10.0, 0.01)[-1])  # logits; a hardly trained model
    (0.15625, 81920)
    """
    gain = default * spread / NOMINAL_GAIN
    octaves = round(math.log2(gain)) if gain > 0 and math.isfinite(gain) else 0
    octaves = max(-40, min(40, octaves))
    start = default * 2.0 ** -max(0, octaves)
    steps = 2 * (round(math.log2(REACH)) + max(0, -octaves))
    return tuple(start * 2 ** (i / 2) for i in range(steps + 1))
