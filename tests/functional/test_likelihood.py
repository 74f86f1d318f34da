"""Likelihoods: values by hand, gradients by finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from poseig_mm.errors import ConfigError
from poseig_mm.functional.likelihood import LIKELIHOODS, exp_l2, resolve_likelihood

COORDS = torch.tensor([[[3.0, 4.0]]], dtype=torch.float64)
ZERO = torch.zeros(1, 1, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "value"),
    [("exp_l2", math.exp(-0.375)), ("neg_l2", -5.0), ("neg_squared_l2", -25.0),
     ("gaussian", math.exp(-25 / (2 * 13.33**2))), ("laplace", math.exp(-7 / 13.33))],
)  # fmt: skip
def test_values_by_hand(name: str, value: float) -> None:
    """At distance (3, 4) px each default has the value written in its definition."""
    assert LIKELIHOODS[name](COORDS, ZERO).item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradients(name: str) -> None:
    """Autograd agrees with finite differences."""
    assert torch.autograd.gradcheck(lambda c: LIKELIHOODS[name](c, ZERO), COORDS.clone().requires_grad_())


def test_gradient_at_the_reference_itself_is_finite() -> None:
    """A prediction that hits its reference exactly gives gradient 0, not NaN."""
    c = ZERO.clone().requires_grad_()
    exp_l2(c, ZERO).sum().backward()
    assert c.grad is not None
    assert torch.equal(c.grad, ZERO)


def test_unknown_name() -> None:
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match="did you mean 'exp_l2'"):
        resolve_likelihood("exp_12")


@pytest.mark.parametrize(("name", "setting"), [("exp_l2", "alpha"), ("gaussian", "sigma"), ("laplace", "scale")])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "1", True])
def test_a_scale_that_is_none_is_an_error(name: str, setting: str, value: object) -> None:
    """With alpha -1 the target would grow with the error, to 2e20."""
    with pytest.raises(ConfigError, match=rf"{setting} is .*; expected above 0 \(a number\)"):
        LIKELIHOODS[name](COORDS, ZERO, **{setting: value})
