"""Recordings of forward and backward passes: on a pretended GPU, whose replays run what was recorded again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from poseig_mm.errors import AttributionError, ConfigError
from poseig_mm.functional import cuda_graphs
from poseig_mm.functional.cuda_graphs import Recordings
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.linearise import autograd_backward, linearise
from poseig_mm.functional.path_attribution import path_attribution

WEIGHT = torch.randn(2, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def coords_fn(x: Tensor) -> Tensor:
    """(n, 3, 5, 4) -> (n, 3, 2), linear, so that what the graph saves does not hang on x."""
    return torch.nn.functional.conv2d(x, WEIGHT).sum(3).transpose(1, 2)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was recorded and replayed, in order."""
    events: list[str] = []

    def record(call: Callable[[], Any], pool: Any) -> tuple[Any, Callable[[], None]]:
        result = call()
        kept = result[0] if isinstance(result, tuple) else result
        events.append("record")

        def replay() -> None:
            fresh = call()
            kept.data.copy_(fresh[0] if isinstance(fresh, tuple) else fresh)
            events.append("replay")

        return result, replay

    monkeypatch.setattr(cuda_graphs, "_record", record)
    monkeypatch.setattr(cuda_graphs, "_memory_pool", lambda: None)
    monkeypatch.setattr(cuda_graphs, "_can_record", lambda x: True)
    return events


def test_replays_give_what_the_model_gives(recorded: list[str]) -> None:
    """At each input its own coordinates and gradients, for every number of cotangents, which are kept afterwards."""
    recordings, backward = Recordings(), FastBackward(torch.float64)
    random = torch.Generator().manual_seed(1)
    given: list[tuple[Tensor, Tensor]] = []
    for joints in (1, 1, 2, 1, 2):
        x = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=random)
        coords, pull_back = recordings.linearise(coords_fn, backward, x.requires_grad_())
        leaf = x.clone().requires_grad_()
        expected, exact = linearise(coords_fn, autograd_backward, leaf)
        assert torch.equal(coords.detach(), expected.detach())
        cotangents = torch.randn(joints, *coords.shape, dtype=torch.float64, generator=random)
        given.append((pull_back(cotangents), exact(cotangents)))
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in given)
    # The first input is not recorded.  The second: forward and a walk; the third: a walk of two cotangents.
    assert recorded == ["record", "replay", "record", "replay", "replay", "record", "replay", *["replay"] * 4]


def test_another_shape_or_model_is_recorded_by_itself(recorded: list[str]) -> None:
    """What differs in either is seen for the first time."""
    recordings, backward = Recordings(), FastBackward(torch.float64)
    for size, model in ((2, coords_fn), (3, coords_fn), (2, lambda x: coords_fn(x)), (2, coords_fn)):
        x = torch.zeros(size, 3, 5, 4, dtype=torch.float64).requires_grad_()
        recordings.linearise(model, backward, x)
    assert recorded == ["record", "replay"]


def test_what_cannot_be_recorded_is_said() -> None:
    """Images on a CPU, autograd's backward pass, and a model that cuts the graph."""
    images, keypoints = torch.rand(1, 3, 5, 4, dtype=torch.float64), torch.zeros(1, 3, 2)
    settings: dict[str, Any] = {"path": "linear", "quadrature": "midpoint", "nodes": 2, "cuda_graph": True}
    with pytest.raises(ConfigError, match="these are on cpu"):
        path_attribution(coords_fn, images, keypoints, backward=FastBackward(), **settings)
    with pytest.raises(ConfigError, match="FastBackward"):
        path_attribution(coords_fn, images, keypoints, **settings)
    with pytest.raises(AttributionError, match="autograd graph"):
        linearise(lambda x: coords_fn(x).detach(), autograd_backward, images.requires_grad_())
