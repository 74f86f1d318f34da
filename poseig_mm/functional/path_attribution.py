"""Joint-wise path attribution: IG_k = sum_n grad_x T_k(gamma(t_n)) * [gamma(b_n) - gamma(a_n)] (method 3, 4).

The forward pass is shared by all joints of a chunk of nodes; each backward pass serves one joint of every image, and
only joints that are asked for.  The path is streamed: memory does not grow with the number of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import AttributionError, ConfigError
from ..seeding import noise_generator
from ..settings_fields import is_number
from ..types import Attribution
from .fast_backward import FastBackward
from .likelihood import Likelihood
from .linearise import Backward, PullBack, autograd_backward, in_place_is_said, linearise
from .maps import attribution_from_sums, half_rule_distance, normalise_maps
from .paths import Path, resolve_path
from .quadrature import Cells, fixed_cells, measure_cells, refinement_positions
from .targets import CoordsFn, Slot, check_inputs, joint_slots, make_target
from .torch_features import OutOfMemoryError

PICTURE_SCALE = 2.0  # px, Gaussian: the scale of `map_error_2px`
ADAPTIVE_SWEEP = 16  # grid cells of the forward-only sweep that lays out the adaptive cells; 32 lay them out no better


def path_attribution(
    coords_fn: CoordsFn,
    images: Tensor,
    keypoints: Tensor,
    *,
    path: str | Path = "blur",
    path_settings: dict[str, Any] | None = None,
    quadrature: str = "adaptive",
    nodes: int | None = None,
    max_nodes: int = 64,
    tol: float = 0.2,
    tol_scale: float = PICTURE_SCALE,
    likelihood: str | Likelihood = "exp_l2",
    likelihood_settings: dict[str, Any] | None = None,
    joints: Tensor | None = None,
    contrast: Tensor | None = None,
    power: float = 1.0,
    noise_std: float = 0.0,
    noise_draws: int = 1,
    seed: int = 0,
    signed: bool = False,
    halves: bool = False,
    chunk: int = 8,
    stack: int | None = None,
    backward: Backward | None = None,
    cuda_graph: bool = False,
) -> Attribution:
    """Attribute each joint's likelihood to the pixels of the image, along a path from a baseline.

    Args:
        coords_fn: differentiable function from images (B', C, H, W) to coordinates (B', K, D); its parameters should
            not require gradients (they never get any, but they would cost time).
        images: (B, C, H, W) normalised network input.
        keypoints: (B, K, D) reference points of the likelihood, in the unit of `coords_fn`.
        path: 'blur', 'linear' or a `Path`; `path_settings` go to the named one.
        quadrature: 'adaptive', or a rule of `quadrature.RULES`.  Adaptive: a forward-only sweep lays out cells of equal
            (mean over joints of |dT| / total + arc length / total); the rule is refined for joints whose `map_error` is
            above `tol` (see `tol_scale`), until that holds or `max_nodes` gradients were spent on the joint.
        nodes: cells of a fixed rule (default 50), or of the first adaptive pass (default 16).
        max_nodes: adaptive only, the limit of gradient evaluations a joint.
        tol: wanted `map_error`, in [0, 1]; a joint at or below it is `converged`.
        tol_scale: 0: `tol` is of `map_error`, pixel by pixel; 2: of `map_error_2px`, the maps seen at 2 px.
        likelihood: name or function (coords, reference) -> (B', K); `likelihood_settings` are passed on.
        joints: (B, K) bool, which joints to compute (default: those with finite keypoints).  Others are NaN with reason
            'not_asked' ('not_visible' where the keypoint is not finite).
        contrast: (B, K, D) second reference m; the target becomes T(keypoints) - T(contrast): why here and not there.
        power: exponent of the channel-wise integrand, sign kept; other than 1 there is no completeness, and the
            residual is NaN.
        noise_std, noise_draws: Gaussian noise added to the points where gradients are taken, image units, averaged
            draws.
        signed: keep the signed maps too.
        halves: keep the maps of the two half-rules too.
        chunk: images in one forward pass; results do not depend on it beyond rounding.
        stack: joints in one backward pass; results do not depend on it beyond rounding.  Default: what `backward` says;
            `FastBackward` takes 1 on a CPU, and as many as fit into a GPU's memory.
        backward: how gradients are taken, e.g. `fast_backward.FastBackward()`; default: plain autograd.
        cuda_graph: on a GPU with a `FastBackward`: forward and backward passes are recorded, by shape, and replayed.
            For a `coords_fn` that is the same object in every call.

    Returns:
        `Attribution`, see there.  A joint whose gradient is not finite, or whose map is all zero, is NaN with a reason.
        With one cell there is no second half-rule: `map_error` is NaN, and nothing is `converged`.

    Raises:
        ShapeError, ConfigError: inputs or settings that do not fit; AttributionError: `coords_fn` cuts the graph.

    Source: PoseIG (CVPR 2023), eq. of the blurred-image integrated gradients; maps as published: absolute value of the
    sum over channels, divided by the maximum.

    >>> weight = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    >>> linear = lambda x: torch.einsum('bchw,dchw->bd', x, weight)[:, None]  # one joint, (B, 1, 2)
    >>> x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    >>> target = lambda coords, reference: coords[..., 0]  # a linear likelihood: the map is exactly w * (x - x')
    >>> a = path_attribution(linear, x, torch.zeros(1, 1, 2), path='linear', quadrature='midpoint', nodes=2,
    ...                      likelihood=target, signed=True)
    >>> torch.allclose(a.signed[0, 0], (weight[0] * x[0]).sum(0))
    True
    """
    keypoints, asked, finite = check_inputs(images, keypoints, contrast, joints)
    _check_settings(power, noise_std, tol, tol_scale)
    problem = _Problem(
        coords_fn=coords_fn,
        images=images,
        target=make_target(likelihood, likelihood_settings, keypoints, contrast),
        path=resolve_path(path, **(path_settings or {})),
        power=power,
        noise_std=noise_std,
        noise_draws=noise_draws,
        seed=seed,
        chunk=max(1, chunk),
        stack=stack,
        linearise=partial(_linearised(cuda_graph, backward), coords_fn, backward or autograd_backward),
    )
    if quadrature == "adaptive":
        result = _adaptive(problem, asked, nodes or 16, max_nodes, tol, tol_scale)
    else:
        cells = fixed_cells(quadrature, nodes or 50)
        result = _run_pass(problem, _for_batch(cells, images), asked)
    attribution = _finish(problem, result, asked, finite, tol, tol_scale, signed)
    if not halves:
        return attribution
    two = torch.stack([normalise_maps(half) for half in (result.even, result.odd)], 1)
    return replace(attribution, halves=two.where(attribution.map_error.isfinite()[:, None, :, None, None], torch.nan))


def _check_settings(power: float, noise_std: float, tol: float, tol_scale: float) -> None:
    for name, value, expected, kept in (
        ("power", power, "above 0", is_number(power) and power > 0),
        ("noise_std", noise_std, "at least 0", is_number(noise_std) and noise_std >= 0),
        ("tol", tol, "from 0 to 1", is_number(tol) and 0 <= tol <= 1),
        ("tol_scale", tol_scale, f"0 or {PICTURE_SCALE:g}", is_number(tol_scale) and tol_scale in (0, PICTURE_SCALE)),
    ):
        if not kept:
            raise ConfigError(f"{name} is {value!r}; expected {expected} (a number)")


def _linearised(cuda_graph: bool, backward: Backward | None) -> Callable[..., tuple[Tensor, PullBack]]:
    """How coordinates and their pull-back are had at some points."""
    if not cuda_graph:
        return linearise
    if not isinstance(backward, FastBackward):
        raise ConfigError("cuda_graph needs backward=FastBackward(), which keeps what is recorded; autograd has none")
    return backward.recordings.linearise


@dataclass(frozen=True)
class _Problem:
    """What stays the same over all passes."""

    coords_fn: CoordsFn
    images: Tensor
    target: Callable[[Tensor, Tensor], Tensor]  # (coords (n, K, D), image index (n,)) -> (n, K)
    path: Path
    power: float
    noise_std: float
    noise_draws: int
    seed: int
    chunk: int
    stack: int | None
    linearise: Callable[[Tensor], tuple[Tensor, PullBack]]


@dataclass(frozen=True)
class _Sums:
    """Sums over cells and channels, each (B, K, H, W): all cells, and the two interleaved half-rules."""

    total: Tensor
    even: Tensor
    odd: Tensor
    evaluations: Tensor  # (B, K) int


def _for_batch(cells: Cells, images: Tensor) -> Cells:
    """Cells (n,) as (B, n) on the images' device, in their dtype."""
    t = (v.to(images).expand(len(images), -1) for v in (cells.nodes, cells.lower, cells.upper))
    return Cells(*t)


def _run_pass(p: _Problem, cells: Cells, asked: Tensor) -> _Sums:
    """One sweep over the cells with gradients; cells hold (B, n).  Out of memory halves the chunk and goes on."""
    batch, n = cells.nodes.shape
    shape = (*asked.shape, *p.images.shape[2:])
    zeros = p.images.new_zeros(shape)
    sums = _Sums(zeros, zeros.clone(), zeros.clone(), asked.long() * n)
    slots = joint_slots(asked)
    step = max(2, p.chunk // batch // 2 * 2)  # an even number of nodes, so that pairs of cells stay together
    start = 0
    while slots and start < n:
        part = slice(start, min(start + step, n))
        try:
            part_cells = Cells(cells.nodes[:, part], cells.lower[:, part], cells.upper[:, part])
            spare = cells.upper[:, n - 1 :] if part.stop == n - 1 and part.stop % 2 == 0 else None
            additions = _run_chunk(p, part_cells, slots, start, spare)
        except OutOfMemoryError as error:
            if step == 2:
                raise AttributionError(
                    f"out of memory with {batch} images and 2 nodes in one forward pass; use a smaller batch_size"
                ) from error
            step = max(2, step // 4 * 2)
            continue
        for total, fresh in zip((sums.total, sums.even, sums.odd), additions, strict=True):
            total += fresh
        start = part.stop
    return sums


def _run_chunk(
    p: _Problem, cells: Cells, slots: list[Slot], start: int, spare: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What cells from number `start` on add to the three sums: one forward pass, and each slot's backward.

    `spare` (B, 1) is the upper edge of a last cell without a partner, where it comes right after these.
    """
    batch, m = cells.nodes.shape
    rows = torch.arange(batch, device=p.images.device)
    points = p.path(p.images, cells.nodes)  # (B, m, C, H, W)
    edges = torch.cat([cells.lower, cells.upper[:, -1:]], 1)  # cells tile the path: neighbours share an edge
    along = p.path(p.images, edges)
    increments = along.diff(dim=1)
    merged = _merge_pairs(increments, None if spare is None else p.path(p.images, spare) - along[:, -1:])
    draws = p.noise_draws if p.noise_std else 1
    total: Tensor | None = None
    for draw in range(draws):
        noisy = points + p.noise_std * _noise(p, range(start, start + m), draw) if p.noise_std else points
        x = noisy.reshape(-1, *points.shape[2:]).detach().requires_grad_()
        coords, pull_back = p.linearise(x)
        places = coords.detach().requires_grad_()
        with torch.enable_grad():
            targets = p.target(places, rows.repeat_interleave(m)).reshape(batch, m, -1)
        if not targets.requires_grad:
            raise AttributionError(
                "the likelihood does not depend on the coordinates through the autograd graph; it must not use "
                "torch.no_grad, detach or numpy"
            )
        if total is None:
            total, even, odd = (p.images.new_zeros(batch, targets.shape[2], *x.shape[2:]) for _ in range(3))
        for some, gradients in _pulled_back(p, pull_back, targets, places, slots):
            for (here, k, whole), gradient in zip(some, gradients, strict=True):
                gradient = gradient.contiguous()  # the layout of the increments
                g = gradient.reshape(points.shape) if draws == 1 else gradient.reshape(points.shape) / draws
                d, pair = increments, merged
                if not whole:
                    g, d, pair = g[here], d[here], pair[here]
                halves = _integrand(g, pair, p.power)  # (R, m, H, W)
                total[here, k] += _integrand(g, d, p.power).sum(1)
                even[here, k] += halves[:, 0::2].sum(1)
                odd[here, k] += halves[:, 1::2].sum(1)
    assert total is not None  # there is at least one draw
    return total, even, odd


def _pulled_back(
    p: _Problem, pull_back: PullBack, targets: Tensor, places: Tensor, slots: list[Slot]
) -> Iterator[tuple[list[Slot], Tensor]]:
    """Some slots at a time with their gradients (J, B m, C, H, W).  Out of memory takes half as many, and goes on."""
    stack = int(getattr(pull_back, "stack", 1) if p.stack is None else max(1, p.stack))
    start = 0
    while start < len(slots):
        some = slots[start : start + stack]
        try:
            with in_place_is_said():
                gradients = pull_back(torch.stack([_cotangent(targets, places, slot) for slot in some]))
        except OutOfMemoryError:
            if len(some) == 1:
                raise
            stack = len(some) // 2
            continue
        yield some, gradients
        start += len(some)


def _cotangent(targets: Tensor, places: Tensor, slot: Slot) -> Tensor:
    """The derivative of a slot's targets, (B, m, K), by the coordinates that they were made of, (B m, K, D)."""
    chosen = torch.zeros_like(targets)
    chosen[slot.images, :, slot.joints] = 1
    return torch.autograd.grad(targets, places, chosen, retain_graph=True)[0]


def _noise(p: _Problem, cells: range, draw: int) -> Tensor:
    """Standard normal noise (m, C, H, W), the same for a cell whatever the batch and the chunk it is computed in."""
    shape, generators = p.images.shape[1:], (noise_generator(p.seed, draw, cell) for cell in cells)
    return torch.stack([torch.randn(shape, generator=g, dtype=torch.float64) for g in generators]).to(p.images)


def _merge_pairs(increments: Tensor, beyond: Tensor | None) -> Tensor:
    """Each cell's increment in the half-rule it belongs to, (B, m, C, H, W): over its pair of cells.

    Both halves tile the path: a last cell without a partner (`beyond`, (B, 1, C, H, W), where it is in the next chunk)
    keeps its own increment in the even half, and in the odd half the last pair reaches over it.
    """
    pairs = increments.shape[1] // 2 * 2
    merged = increments.clone()
    merged[:, 0:pairs:2] += increments[:, 1:pairs:2]
    merged[:, 1:pairs:2] = merged[:, 0:pairs:2]
    beyond = increments[:, pairs:] if beyond is None else beyond
    if pairs and beyond.shape[1]:
        merged[:, pairs - 1] += beyond[:, 0]
    return merged


def _integrand(gradient: Tensor, increment: Tensor, power: float) -> Tensor:
    """(R, m, C, H, W) twice -> summed over channels, (R, m, H, W)."""
    product = gradient * increment
    if power != 1.0:
        product = product.abs() ** power * product.sign()
    return product.sum(2)


def _evaluate(p: _Problem, points: Tensor) -> tuple[Tensor, Tensor]:
    """Without gradients: targets (B, n, K) and coordinates (B, n, K, D) at path points (B, n, C, H, W)."""
    batch, n = points.shape[:2]
    index = torch.arange(batch, device=points.device).repeat_interleave(n)
    with torch.no_grad():
        coords = p.coords_fn(points.reshape(-1, *points.shape[2:]))
        targets = p.target(coords, index)
    return targets.reshape(batch, n, -1), coords.reshape(batch, n, *coords.shape[1:])


def _adaptive(p: _Problem, asked: Tensor, nodes: int, max_nodes: int, tol: float, tol_scale: float) -> _Sums:
    """Nested passes over cells of equal measure, until each joint's two halves agree."""
    if nodes < 2:
        raise ConfigError(f"adaptive quadrature with {nodes} nodes; expected at least 2, better 8")
    if max_nodes < nodes:
        raise ConfigError(f"max_nodes is {max_nodes}; expected at least {nodes}, the nodes of the first pass")
    grid = torch.linspace(0, 1, ADAPTIVE_SWEEP + 1, dtype=p.images.dtype, device=p.images.device)
    mass = _sweep_mass(p, grid, asked)
    cells = measure_cells(grid, mass, *(v.to(grid.device) for v in refinement_positions(nodes, 0)))
    sums = _run_pass(p, _for_batch(cells, p.images), asked)
    level = 1
    while True:
        error = half_rule_distance(sums.even, sums.odd, tol_scale)
        open_joints = asked & ~(error <= tol) & sums.total.isfinite().all(-1).all(-1)
        positions, edges = (v.to(grid.device) for v in refinement_positions(nodes, level))
        open_joints &= sums.evaluations + len(positions) <= max_nodes
        if not open_joints.any():
            return sums
        cells = _for_batch(measure_cells(grid, mass, positions, edges), p.images)
        fresh = _run_pass(p, cells, open_joints)
        where = open_joints[..., None, None]
        sums = _Sums(
            total=torch.where(where, (sums.total + fresh.total) / 2, sums.total),
            even=torch.where(where, sums.total, sums.even),  # the older passes are one half of the finer rule,
            odd=torch.where(where, fresh.total, sums.odd),  # the newest is the other
            evaluations=sums.evaluations + fresh.evaluations,
        )
        level += 1


def _sweep_mass(p: _Problem, grid: Tensor, asked: Tensor) -> Tensor:
    """Measure of each grid cell, (B, s): mean over asked joints of |dT| / total, plus arc length / total."""
    targets, lengths, last = [], [], None
    for part in grid.split(max(1, p.chunk // len(p.images))):
        points = p.path(p.images, part)
        targets.append(_evaluate(p, points)[0])
        chain = points if last is None else torch.cat([last, points], 1)
        lengths.append(chain.diff(dim=1).flatten(2).norm(dim=2))
        last = points[:, -1:]
    change = torch.cat(targets, 1).diff(dim=1).abs().nan_to_num(posinf=0.0)  # (B, s, K)
    change = change / change.sum(1, keepdim=True).clamp_min(1e-12)
    weight = asked.to(change)[:, None]
    change = (change * weight).sum(2) / weight.sum(2).clamp_min(1)
    length = torch.cat(lengths, 1)
    return change + length / length.sum(1, keepdim=True).clamp_min(1e-12)


def _finish(
    p: _Problem, sums: _Sums, asked: Tensor, finite: Tensor, tol: float, tol_scale: float, signed: bool
) -> Attribution:
    """The targets at both ends of the path, and everything that follows from the sums."""
    ends = p.path(p.images, torch.tensor([0.0, 1.0], dtype=p.images.dtype, device=p.images.device))
    targets, coords = _evaluate(p, ends)
    start, end = targets.unbind(1)
    result = attribution_from_sums(sums.total, start, end, coords[:, 1], asked, finite, signed=signed)
    good = result.maps.flatten(2).isfinite().all(2)
    residual = (sums.total.sum((-2, -1), dtype=torch.float64) - (end - start)).abs().to(p.images)
    residual = torch.where(good & (p.power == 1.0), residual, torch.nan)
    errors = {
        scale: torch.where(good, half_rule_distance(sums.even, sums.odd, scale), torch.nan)
        for scale in (0.0, PICTURE_SCALE)
    }
    return replace(
        result,
        residual=residual,
        residual_rel=residual / (end - start).abs().clamp_min(1e-3),
        map_error=errors[0.0],
        map_error_2px=errors[PICTURE_SCALE],
        converged=errors[tol_scale] <= tol,
        evaluations=sums.evaluations,
    )
