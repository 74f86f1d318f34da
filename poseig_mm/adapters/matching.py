"""Which of several predicted persons is the annotated one."""

from __future__ import annotations

import math

from torch import Tensor

LEAST_SIDE = 32.0  # px: COCO calls what is smaller than 32 x 32 small; annotated joints may all lie in one place
WANTED_OKS = 0.1  # Ronchi & Perona (ICCV 2017) take a detection below for another person's, or for background


def person_area(keypoints: Tensor) -> float:
    """Area of the box around the annotated joints (K, 2), px^2, each side at least 32 px; NaN joints don't count.

    >>> import torch
    >>> person_area(torch.tensor([[0.0, 0.0], [100.0, 10.0], [float('nan')] * 2]))
    3200.0
    """
    given = keypoints[keypoints.isfinite().all(-1)]
    if not len(given):
        return LEAST_SIDE**2
    sides = (given.amax(0) - given.amin(0)).clamp_min(LEAST_SIDE)
    return float(sides.prod())


def keypoint_similarity(keypoints: Tensor, candidates: Tensor, sigmas: Tensor) -> Tensor:
    """Object keypoint similarity: mean over annotated joints of exp(-d^2 / (2 area (2 sigma)^2)), as COCO defines it.

    Args:
        keypoints: (K, 2) annotated, input px; NaN where a joint is not.
        candidates: (N, K, 2).
        sigmas: (K,) COCO's, one a joint.

    Returns:
        (N,) in [0, 1]; NaN where no joint is annotated.  The area is `person_area`: one constant for all candidates.

    >>> import torch
    >>> truth = torch.tensor([[0.0, 0.0], [100.0, 100.0]])
    >>> keypoint_similarity(truth, torch.stack([truth, truth + 500]), torch.full((2,), 0.05)).tolist()
    [1.0, 0.0]
    """
    given = keypoints.isfinite().all(-1)
    squared = (candidates[:, given] - keypoints[given]).square().sum(-1)  # (N, J)
    similarity = (-squared / (2 * person_area(keypoints) * (2 * sigmas[given].to(squared)) ** 2)).exp()
    mean: Tensor = similarity.mean(-1)
    return mean


def match_person(keypoints: Tensor, candidates: Tensor, sigmas: Tensor) -> int | None:
    """The candidate that is the annotated person: the one of highest OKS; below 0.1, the nearest one.

    Nearest by the mean of the annotated joints, and no farther than the root of the person's area.

    Args:
        keypoints, candidates, sigmas: see `keypoint_similarity`.

    Returns:
        Its index; None where no joint is annotated, or no candidate is near enough.

    >>> import torch
    >>> truth = torch.tensor([[0.0, 0.0], [100.0, 100.0]])
    >>> match_person(truth, torch.stack([truth + 500, truth + 2]), torch.full((2,), 0.05))
    1
    >>> match_person(truth, (truth + 500)[None], torch.full((2,), 0.05)) is None
    True
    """
    given = keypoints.isfinite().all(-1)
    if not len(candidates) or not bool(given.any()):
        return None
    similarity = keypoint_similarity(keypoints, candidates, sigmas)
    best = int(similarity.nan_to_num(-1.0).argmax())
    if bool(similarity[best] >= WANTED_OKS):
        return best
    distance = (candidates[:, given].mean(1) - keypoints[given].mean(0)).norm(dim=-1)  # (N,)
    nearest = int(distance.nan_to_num(math.inf).argmin())
    return nearest if bool(distance[nearest] <= math.sqrt(person_area(keypoints))) else None
