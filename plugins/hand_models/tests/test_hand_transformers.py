"""HandOccNet's parts by themselves: transformers and attention by definition, the gate, heatmaps."""

from __future__ import annotations

import pytest
import torch
from official_handoccnet import attended
from official_parts import c2
from poseig_hand_models.fpn import SpatialGate
from poseig_hand_models.hourglass import HeatmapJoints
from poseig_hand_models.transformer import Transformer, attend


@pytest.mark.parametrize("injection", [True, False])
def test_transformers_are_those_of_the_definition(injection: bool) -> None:
    """Blocks by loops over heads, in float64; another key changes the result."""
    torch.manual_seed(0)
    part = Transformer(injection, 4, 8, 2, 2).double()
    w = {k: v.detach() for k, v in part.state_dict().items()}
    query, key = torch.randn(2, 2, 8, 4, 4, dtype=torch.float64)
    x = query
    for i in range(2):
        x = attended(w, f"layers.{i}.", x, key, 2, injection)
    if injection:
        both = torch.cat([key, x], 1)
        x = c2(w, "conv1.2", c2(w, "conv1.0", both).relu()) + c2(w, "conv2.0", both)
    assert torch.allclose(part(query, key), x, atol=1e-10)
    assert not torch.allclose(part(query, key), part(query, query))


def test_a_shut_gate_collects_nothing() -> None:
    """Second scores far below nought: the query gets nothing; far above: plain attention."""
    x = torch.randn(1, 5, 6, dtype=torch.float64)
    ones = torch.ones(1, 5, 6, dtype=torch.float64)
    assert attend(x, x, x, 3, (-100 * ones, ones)).abs().max() < 1e-12
    assert torch.allclose(attend(x, x, x, 3, (100 * ones, ones)), attend(x, x, x, 3))


def test_the_gate_parts_a_feature_in_two() -> None:
    """What goes to one is missing in the other."""
    x = torch.randn(2, 6, 8, 8)
    primary, secondary = SpatialGate()(x)
    assert torch.allclose(primary + secondary, x, atol=1e-6)
    assert ((primary / x > 0) & (primary / x < 1)).all()


def test_a_sharp_heatmap_is_at_its_cells_centre() -> None:
    """Cell (column 5, row 2) of 8: (5.5 / 8, 2.5 / 8); `betas` sharpen each joint by itself."""
    part = HeatmapJoints(8, 4, 2, 3).eval()
    part.hg[0] = part.res[0] = part.fc[0] = torch.nn.Identity()
    part.score[0] = torch.nn.Conv2d(1, 2, 1, bias=False)
    torch.nn.init.ones_(part.score[0].weight)
    with torch.no_grad():
        part.betas.copy_(torch.tensor([[50.0], [0.0]]))
    scores = torch.zeros(1, 1, 8, 8)
    scores[0, 0, 2, 5] = 1
    heatmaps, uv, _ = part(scores)
    assert uv[0, 0].tolist() == pytest.approx([5.5 / 8, 2.5 / 8], abs=1e-5)
    assert uv[0, 1].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    assert heatmaps.sum((2, 3)).flatten().tolist() == pytest.approx([1, 1])
