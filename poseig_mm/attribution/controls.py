"""Maps to compare an attribution with: the plain gradient, random maps that know nothing of the image, and none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..functional.linearise import in_place_is_said
from ..functional.maps import REASONS, attribution_from_sums
from ..functional.targets import CoordsFn, check_inputs, joint_slots, make_target
from ..types import Attribution


def gradient_attribution(
    coords_fn: CoordsFn,
    images: Tensor,
    keypoints: Tensor,
    *,
    likelihood: str = "exp_l2",
    likelihood_settings: dict[str, Any] | None = None,
    joints: Tensor | None = None,
    contrast: Tensor | None = None,
    signed: bool = False,
) -> Attribution:
    """|sum over channels of dT_k/dx| at the image itself (Simonyan et al. 2014); no path, so no residual.

    Arguments as in `path_attribution`; `residual` and `map_error` are NaN, `target_start` equals `target_end`.

    >>> square = lambda x: x.sum((1, 3)).square()[:, None]  # (B, 1, 2)
    >>> a = gradient_attribution(square, torch.tensor([[[[1.0], [2.0]]]]), torch.zeros(1, 1, 2),
    ...                          likelihood=lambda c, r: c.sum(-1), signed=True)
    >>> a.signed[0, 0].flatten().tolist()
    [2.0, 4.0]
    """
    keypoints, asked, finite = check_inputs(images, keypoints, contrast, joints)
    target = make_target(likelihood, likelihood_settings, keypoints, contrast)
    rows = torch.arange(len(images), device=images.device)
    x = images.detach().clone().requires_grad_()
    with torch.enable_grad(), in_place_is_said():
        coords = coords_fn(x)
        values = target(coords, rows)
    sums = images.new_zeros(*asked.shape, *images.shape[2:])
    slots = joint_slots(asked)
    for s, (here, k, _) in enumerate(slots):
        with in_place_is_said():
            (gradient,) = torch.autograd.grad(values[here, k].sum(), x, retain_graph=s + 1 < len(slots))
        sums[here, k] = gradient[here].sum(1)
    values = values.detach()
    return attribution_from_sums(sums, values, values, coords.detach(), asked, finite, signed=signed)


def nobody_attribution(
    images: Tensor, keypoints: Tensor, *, joints: Tensor | None = None, signed: bool = False, **_: Any
) -> Attribution:
    """Of a person whom the model does not find: all NaN, 'no_match' where a joint was asked for; no evaluations.

    Arguments as in `path_attribution`; those that concern how a map is made have no effect.

    >>> nobody_attribution(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 2), joints=torch.tensor([[True, False]])).reasons
    (('no_match', 'not_asked'),)
    """
    finite = check_inputs(images, keypoints, None, None)[2]
    asked = finite if joints is None else joints  # the reference may be what the model does not find
    unknown = torch.full_like(keypoints[..., 0], torch.nan)
    maps = images.new_full((*asked.shape, *images.shape[2:]), torch.nan)
    attribution = attribution_from_sums(
        maps, unknown, unknown, torch.full_like(keypoints, torch.nan), asked, finite | asked, signed=signed
    )
    reasons = tuple(tuple("no_match" if r == "nonfinite_gradient" else r for r in row) for row in attribution.reasons)
    return replace(attribution, reasons=reasons, evaluations=torch.zeros_like(attribution.evaluations))


def no_attribution(images: Tensor, keypoints: Tensor, *, joints: Tensor | None = None) -> Attribution:
    """No maps, where none are wanted: all NaN, 'no_map' where a joint was asked for; no evaluations.

    Arguments as in `path_attribution`.  The maps are one NaN seen as (B, K, H, W), which takes no memory and no time.

    >>> none = no_attribution(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 2), joints=torch.tensor([[True, False]]))
    >>> none.reasons, none.maps.shape, none.maps.stride()
    ((('no_map', 'not_asked'),), torch.Size([1, 2, 4, 4]), (0, 0, 0, 0))
    """
    finite = check_inputs(images, keypoints, None, joints)[2]
    asked = finite if joints is None else joints  # whatever the reference is
    unknown = torch.full_like(keypoints[..., 0], torch.nan)
    left_out = torch.where(finite, REASONS.index("not_asked"), REASONS.index("not_visible"))
    code = torch.where(asked, REASONS.index("no_map"), left_out)
    return Attribution(
        maps=images.new_full((), torch.nan).expand(*asked.shape, *images.shape[2:]),
        **dict.fromkeys(
            ("residual", "residual_rel", "target_start", "target_end", "map_error", "map_error_2px"), unknown
        ),
        converged=torch.zeros_like(asked),
        evaluations=torch.zeros_like(asked, dtype=torch.long),
        reasons=tuple(tuple(REASONS[c] for c in row) for row in code.tolist()),
    )


def random_attribution(
    coords_fn: CoordsFn,
    images: Tensor,
    keypoints: Tensor,
    *,
    likelihood: str = "exp_l2",
    likelihood_settings: dict[str, Any] | None = None,
    joints: Tensor | None = None,
    contrast: Tensor | None = None,
    signed: bool = False,
    seed: int = 0,
) -> Attribution:
    """Uniform noise as a map, the same for a given seed and place in the batch: what an index gives by chance."""
    keypoints, asked, finite = check_inputs(images, keypoints, contrast, joints)
    target = make_target(likelihood, likelihood_settings, keypoints, contrast)
    with torch.no_grad():
        coords = coords_fn(images)
        values = target(coords, torch.arange(len(images), device=images.device))
    generator = torch.Generator().manual_seed(seed)
    sums = torch.rand((*asked.shape, *images.shape[2:]), generator=generator, dtype=torch.float64).to(images)
    return attribution_from_sums(sums, values, values, coords, asked, finite, signed=signed)
