"""Beta: where it starts, how it is chosen, and what the agreement says."""

from __future__ import annotations

import json
import logging
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from adapter_models import MAP, K, inject, random_images, tiny_adapter
from torch import Tensor

from poseig_mm.adapters.agreement import Agreement, beta_ladder, measure_agreement
from poseig_mm.errors import ConfigError, ShapeError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
IMAGES = random_images(4)


def bumps(peak: float = 1.0, offset: float = 0.0, sigma: float = 1.0) -> Tensor:
    """Gaussian heatmaps (4, K, 24, 16) of some height, on a background."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(4, K, 2, generator=generator) * torch.tensor([11.0, 19.0]) + 2
    x, y = torch.arange(MAP[0]), torch.arange(MAP[1])[:, None]
    squared = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    return offset + peak * torch.exp(-squared / (2 * sigma**2))


def test_defaults_before_calibration() -> None:
    """10 on heatmaps of peak 1, 10 / 255 on Megvii's of peak 255, the loss' beta for SimCC, none for regression."""
    betas = {f: tiny_adapter(f).beta for f in ("heatmap-msra", "heatmap-megvii", "simcc", "rtmcc", "regression")}
    assert betas == {"heatmap-msra": 10.0, "heatmap-megvii": 10 / 255, "simcc": 1.0, "rtmcc": 10.0, "regression": None}


@pytest.mark.parametrize(
    ("peak", "offset"), [(1.0, 0.0), (0.3, 0.0), (8.0, -3.0), (80.0, -60.0), (0.001, 0.0)], ids=str
)
def test_the_smallest_beta_of_the_ladder_that_agrees_is_taken(peak: float, offset: float) -> None:
    """Whatever the heatmaps' scale: 95 % within a heatmap pixel, which no smaller beta of the ladder reaches."""
    adapter = tiny_adapter("heatmap-msra")
    inject(adapter, bumps(peak, offset))
    agreement = adapter.calibrate(IMAGES)
    assert agreement.good
    assert agreement.n == 4 * K
    assert agreement.threshold == 4.0
    own = adapter.predict(IMAGES)
    ladder = beta_ladder(10.0, peak)
    smaller = [beta for beta in ladder if beta < agreement.beta]
    for beta in smaller:
        adapter.beta = beta
        share = (torch.linalg.vector_norm(adapter(IMAGES).coords - own, dim=-1) <= 4).double().mean()
        assert share < 0.95
    assert 4 < agreement.beta * peak < 200  # about the same sharpness for all scales


def test_95_percent_are_enough() -> None:
    """One joint of 20 with a far lower peak: the search ends where the 19 others agree, not where all do."""
    adapter, whole = tiny_adapter("heatmap-msra"), tiny_adapter("heatmap-msra")
    inject(whole, bumps())
    maps = bumps()
    maps[0, 0] *= 0.2
    inject(adapter, maps)
    agreement = adapter.calibrate(IMAGES)
    assert agreement.share_within == pytest.approx(0.95)
    assert agreement.good
    assert agreement.beta == whole.calibrate(IMAGES).beta
    adapter.beta = 100.0
    assert adapter.calibrate(IMAGES, fixed=True).share_within == 1.0  # a higher beta would have agreed on all


def test_beta_depends_on_the_scale_alone() -> None:
    """Heatmaps 16 times as high get a 16 times smaller beta, and the same coordinates."""
    adapter = tiny_adapter("heatmap-msra")
    inject(adapter, bumps(1.0))
    low, coords = adapter.calibrate(IMAGES).beta, adapter(IMAGES).coords
    inject(adapter, bumps(16.0))
    high = adapter.calibrate(IMAGES).beta
    assert low == pytest.approx(16 * high)
    assert torch.allclose(adapter(IMAGES).coords, coords, atol=1e-3)


def test_a_users_beta_is_kept() -> None:
    """Given to the adapter, or set and calibrated with fixed=True, beta stays; the agreement is that of this beta."""
    given, fixed = tiny_adapter("heatmap-msra", beta=3.0), tiny_adapter("heatmap-msra")
    fixed.beta = 3.0
    for adapter, agreement in (
        (given, lambda a: a.calibrate(IMAGES)),
        (fixed, lambda a: a.calibrate(IMAGES, fixed=True)),
    ):
        inject(adapter, bumps(0.3))
        found = agreement(adapter)
        assert adapter.beta == found.beta == 3.0
        assert not found.good


def test_disagreement_is_flagged_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """No beta agrees where the model decodes something else (here the other axis order): best share, flag, warning."""
    adapter = tiny_adapter("heatmap-msra")
    inject(adapter, bumps())
    own = adapter.own_decoding
    adapter.own_decoding = lambda feats, images: (own(feats, images)[0].flip(-1), own(feats, images)[1])
    with caplog.at_level(logging.WARNING):
        agreement = adapter.calibrate(IMAGES)
    assert not agreement.good
    assert agreement.share_within < 0.5
    assert f"only {100 * agreement.share_within:.0f} % of 20 joints" in caplog.text
    assert adapter.beta == agreement.beta


def test_joints_without_a_peak_do_not_count() -> None:
    """MMPose puts joints whose heatmap is nowhere positive outside the image; they are left out, and reported."""
    adapter = tiny_adapter("heatmap-msra")
    maps = bumps()
    maps[:, 2] = -1.0
    inject(adapter, maps)
    agreement = adapter.calibrate(IMAGES)
    assert (agreement.n, agreement.left_out) == (4 * (K - 1), 4)
    assert agreement.good
    assert torch.equal(adapter.predict(IMAGES)[:, 2], torch.full((4, 2), -4.0))


def test_no_joint_at_all_leaves_beta_alone() -> None:
    """With nothing to compare the share is undefined (NaN, None in the record), not 0, and beta stays at its
    default.
    """
    adapter = tiny_adapter("heatmap-msra")
    inject(adapter, torch.zeros(4, K, MAP[1], MAP[0]))
    agreement = adapter.calibrate(IMAGES)
    assert agreement.n == 0
    assert math.isnan(agreement.share_within)
    assert adapter.beta == 10.0
    record = json.loads(json.dumps(agreement.as_dict()))
    assert (record["share_within"], record["n"], record["good"], record["beta"]) == (None, 0, False, 10.0)


def test_only_the_joints_asked_for_count() -> None:
    """`joints` restricts the comparison: a joint that disagrees does not matter when it is left out."""
    adapter = tiny_adapter("heatmap-msra")
    maps = bumps()
    maps[:, 0] = bumps(0.1)[:, 0]  # too flat for the beta of the others
    inject(adapter, maps)
    everyone = adapter.calibrate(IMAGES).beta
    joints = torch.ones(4, K, dtype=torch.bool)
    joints[:, 0] = False
    agreement = adapter.calibrate(IMAGES, joints=joints)
    assert agreement.n == 4 * (K - 1)
    assert agreement.beta < everyone
    with pytest.raises(ShapeError, match=r"joints have shape \(1, 2\); expected \(B, K\) = \(4, 5\)"):
        adapter.calibrate(IMAGES, joints=joints[:1, :2])


def test_results_do_not_depend_on_the_batch() -> None:
    """Seven images at once or in the batches of four calibration takes: the same figures."""
    adapter = tiny_adapter("heatmap-msra", beta=30.0)
    images = random_images(7)
    agreement = adapter.calibrate(images)
    distance = torch.linalg.vector_norm(adapter(images).coords - adapter.predict(images), dim=-1)
    assert agreement.n == 7 * K
    assert agreement.mean_distance == pytest.approx(distance.mean().item(), rel=1e-4)


def test_calibration_changes_nothing_but_beta() -> None:
    """Weights, buffers and training flags are what they were, even for a model left in training mode."""
    adapter = tiny_adapter("heatmap-msra")
    adapter.model.train()
    before = {k: v.clone() for k, v in adapter.model.state_dict().items()}
    adapter.calibrate(IMAGES)
    adapter.predict(IMAGES)
    assert adapter.model.training
    assert all(torch.equal(v, before[k]) for k, v in adapter.model.state_dict().items())


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_beta_must_be_a_positive_number(value: float) -> None:
    """Anything else is a ConfigError that says what is expected, at construction and later."""
    with pytest.raises(ConfigError, match="expected a finite number above 0"):
        tiny_adapter("heatmap-msra", beta=value)
    with pytest.raises(ConfigError, match="expected a finite number above 0"):
        tiny_adapter("simcc").beta = value


def test_heads_without_a_soft_argmax_have_no_beta() -> None:
    """A beta meant for all models (the published preset's) changes nothing there, and is not reported as theirs."""
    adapter = tiny_adapter("regression", beta=10.0)
    before = adapter(IMAGES).coords
    adapter.beta = 99.0
    assert adapter.beta is None
    assert torch.equal(adapter(IMAGES).coords, before)
    agreement = adapter.calibrate(IMAGES, fixed=True)
    assert agreement.beta is None
    assert agreement.share_within == 1.0


def test_ladder() -> None:
    """Ascends by sqrt(2); starts at the default unless scores stand out more; holds the default's own grid."""
    for spread in (0.003, 0.5, 1.0, 3.0, 80.0):
        ladder = beta_ladder(10.0, spread)
        assert all(b / a == pytest.approx(math.sqrt(2)) for a, b in pairwise(ladder))
        assert ladder[0] <= 10
        assert ladder[0] == 10 or spread > 1
        assert ladder[-1] * spread >= 300
        assert any(math.isclose(b, 10) for b in ladder)
    assert beta_ladder(10.0, math.nan)[0] == beta_ladder(10.0, 0.0)[0] == 10.0


def test_agreement_by_hand() -> None:
    """Distances 0, 3 and 5 px, threshold 3 (inclusive): 2 of 3 within, mean 8 / 3; a joint left out does not count."""
    own = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [99.0, 0.0]]])
    counts = torch.tensor([[True, True, True, False]])
    found: Any = measure_agreement(torch.zeros(1, 4, 2), own, counts, threshold=3.0, beta=None)
    assert found == Agreement(None, pytest.approx(2 / 3), pytest.approx(8 / 3), 3, 3.0, 1)
    assert not found.good
