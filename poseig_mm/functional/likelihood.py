"""Likelihood approximations: a scalar a joint from its coordinates and a reference point (method section 2).

Each takes coords (B, K, D) and reference (B, K, D) in the same unit (input px, or mm) and returns (B, K).  Larger is
nearer.  A scale (`alpha`, `sigma`, `scale`) that is not a finite number above 0 is a `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ConfigError, did_you_mean
from ..settings_fields import is_number

Likelihood = Callable[..., Tensor]
ALPHA = 0.075  # of `exp_l2`, per input px


def exp_l2(coords: Tensor, reference: Tensor, *, alpha: float = ALPHA) -> Tensor:
    """exp(-alpha ||f - y||_2), PoseIG's target; alpha 0.075 a px is the published 0.3 a heatmap px at stride 4.

    >>> exp_l2(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2), alpha=0.2).item()  # exp(-1)
    0.3678794503211975
    """
    _check_scale("alpha", alpha)
    return torch.exp(-alpha * torch.linalg.vector_norm(coords - reference, dim=-1))


def neg_l2(coords: Tensor, reference: Tensor) -> Tensor:
    """-||f - y||_2, in the coordinates' unit.

    >>> neg_l2(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2)).item()
    -5.0
    """
    distance: Tensor = torch.linalg.vector_norm(coords - reference, dim=-1)
    return -distance


def neg_squared_l2(coords: Tensor, reference: Tensor) -> Tensor:
    """-||f - y||_2^2.

    >>> neg_squared_l2(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2)).item()
    -25.0
    """
    return -(coords - reference).square().sum(-1)


def gaussian(coords: Tensor, reference: Tensor, *, sigma: float = 13.33) -> Tensor:
    """exp(-||f - y||^2 / (2 sigma^2)); the default sigma, in px, is 1 / 0.075.

    >>> gaussian(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2), sigma=5.0).item()  # exp(-1/2)
    0.6065306663513184
    """
    _check_scale("sigma", sigma)
    return torch.exp((coords - reference).square().sum(-1) / (-2 * sigma**2))


def laplace(coords: Tensor, reference: Tensor, *, scale: float = 13.33) -> Tensor:
    """exp(-||f - y||_1 / b); the default scale b, in px, is 1 / 0.075.

    >>> laplace(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2), scale=7.0).item()  # exp(-1)
    0.3678794503211975
    """
    _check_scale("scale", scale)
    return torch.exp((coords - reference).abs().sum(-1) / -scale)


def _check_scale(name: str, value: float) -> None:
    if not (is_number(value) and value > 0):
        raise ConfigError(f"{name} is {value!r}; expected above 0 (a number)")


LIKELIHOODS: dict[str, Likelihood] = {f.__name__: f for f in (exp_l2, neg_l2, neg_squared_l2, gaussian, laplace)}


_SCALES: dict[str, Callable[[float], dict[str, float]]] = {
    "exp_l2": lambda scale: {"alpha": 1 / scale},
    "gaussian": lambda scale: {"sigma": scale},
    "laplace": lambda scale: {"scale": scale},
}


def scaled_settings(name: str, scale: float) -> dict[str, float]:
    """Settings of a built-in likelihood made for distances about `scale`; none where it knows no scale.

    >>> scaled_settings("exp_l2", 40.0), scaled_settings("gaussian", 40.0), scaled_settings("neg_l2", 40.0)
    ({'alpha': 0.025}, {'sigma': 40.0}, {})
    """
    return _SCALES[name](scale) if name in _SCALES else {}


def resolve_likelihood(likelihood: str | Likelihood) -> Likelihood:
    """A built-in likelihood by name, or the given function itself; ConfigError for an unknown name."""
    if not isinstance(likelihood, str):
        return likelihood
    if likelihood not in LIKELIHOODS:
        raise ConfigError(f"likelihood {likelihood!r} is unknown; {did_you_mean(likelihood, LIKELIHOODS)}")
    return LIKELIHOODS[likelihood]
