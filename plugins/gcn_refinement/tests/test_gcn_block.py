"""The block alone: identity at the start, gradients, graphs, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from poseig_gcn_refinement.block import ChebConv, GCNRefiner, graph_of
from poseig_gcn_refinement.graph import adjacency
from torch import Tensor, nn

from poseig_mm.errors import ConfigError, ShapeError

CHAIN = [(0, 1), (1, 2)]


def refiner(**settings: Any) -> GCNRefiner:
    return GCNRefiner(3, (3, 4), CHAIN, **{"hidden": 5, **settings})


def heatmaps(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("settings", [{}, {"depth": 1}, {"depth": 4}, {"learnable_adjacency": True}, {"peak": 255.0}])
def test_before_training_the_output_is_the_input(settings: dict[str, Any], mode: bool) -> None:
    """To 1e-6, in training and in evaluation mode."""
    x = heatmaps()
    assert torch.allclose(refiner(**settings).train(mode)(x), x, rtol=0, atol=1e-6)


def test_without_a_residual_it_is_not() -> None:
    """Then the last layer has weights from the start, or nothing would ever be learnt."""
    x = heatmaps()
    found = refiner(residual=False)(x)
    assert found.shape == x.shape
    assert not torch.allclose(found, x, atol=1e-2)


@pytest.mark.parametrize("learnable", [False, True])
def test_gradients_equal_differences(learnable: bool) -> None:
    """gradcheck in float64, evaluation mode, with weights in the last layer; with respect to input and weights."""
    torch.manual_seed(0)
    block = refiner(depth=2, residual=True, activation="leaky_relu", learnable_adjacency=learnable).double().eval()
    block.convolutions[-1].reset_parameters()
    x = heatmaps(1).double().requires_grad_()
    parameters = [p for p in block.parameters() if p.numel() < 100]
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *parameters), eps=1e-7, atol=1e-5)


def test_a_layer_by_hand() -> None:
    """Two joints joined: T_0 = I, T_1 = [[0, -1], [-1, 0]], T_2 = I; y_0 = w_0 x_0 - w_1 x_1 + w_2 x_0 + b."""
    layer = ChebConv(adjacency(2, [(0, 1)]), 1, 1, order=3).double()
    layer.polynomials.copy_(layer.polynomials.round())
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[2.0, 3.0, 5.0]]))
        layer.linear.bias.fill_(0.5)
    y = layer(torch.tensor([[[1.0], [10.0]]], dtype=torch.float64))
    assert y.flatten().tolist() == [2 - 30 + 5 + 0.5, 20 - 3 + 50 + 0.5]


def reached(graph: str, **settings: Any) -> list[list[int]]:
    """For each joint of a block with weights, the joints whose heatmaps its own depends on."""
    torch.manual_seed(0)
    block = GCNRefiner(4, (2, 2), [(0, 1), (1, 2)], graph, hidden=8, depth=1, **settings).eval()
    block.convolutions[-1].reset_parameters()
    x = torch.rand(1, 4, 2, 2, requires_grad=True)
    found = []
    for k in range(4):
        (gradient,) = torch.autograd.grad(block(x)[0, k].sum(), x)
        found.append(gradient[0].flatten(1).abs().sum(1).gt(1e-9).nonzero().flatten().tolist())
    return found


def test_a_joint_sees_its_neighbours_along_bones_alone() -> None:
    """Order 2: neighbours; order 3: their neighbours; joint 3 has no bone."""
    assert reached("skeleton", order=2) == [[0, 1], [0, 1, 2], [1, 2], [3]]
    assert reached("skeleton", order=3) == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]


def test_the_identity_control_exchanges_nothing() -> None:
    """Each joint sees itself alone, with as many parameters."""
    assert reached("identity", order=3) == [[0], [1], [2], [3]]
    counts = {sum(p.numel() for p in refiner(graph=g).parameters()) for g in ("skeleton", "identity", "random")}
    assert len(counts) == 1


def test_the_random_control_has_as_many_edges() -> None:
    """The same for the same seed; another for another."""
    graphs = [graph_of("random", 17, CHAIN * 2, seed=seed) for seed in (0, 0, 1)]
    assert [int(g.triu(1).sum()) for g in graphs] == [2, 2, 2]  # repeated bones count once
    assert graphs[0].equal(graphs[1])
    assert not graphs[0].equal(graphs[2])


def test_partners_are_joined_beside_the_bones() -> None:
    """A partner that is a neighbour already counts once; the random graph beside it has as many edges."""
    matrix = graph_of("partners", 4, CHAIN, [(0, 2), (1, 2)])
    assert matrix.triu(1).nonzero().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert graph_of("random", 17, CHAIN, [(5, 6)], as_many_as="partners").triu(1).sum() == 3
    with pytest.raises(ConfigError, match="left-right partner"):
        refiner(graph="partners")


def test_a_learnable_adjacency_starts_row_normalised_and_learns() -> None:
    """Order 1 on the identity is SAR's start: A = I; its gradient is not zero."""
    layer = ChebConv(torch.eye(3), 2, 2, order=1, learnable=True)
    assert layer.terms().equal(torch.eye(3)[None])
    layer(torch.rand(1, 3, 2)).sum().backward()
    assert layer.adjacency.grad.abs().sum() > 0
    chain = ChebConv(adjacency(3, CHAIN), 2, 2, order=2, learnable=True).terms()
    assert torch.allclose(chain.sum(-1), torch.ones(2, 3))


def test_the_scale_of_the_heatmaps_cancels() -> None:
    """Peaks of 255 with peak=255 are refined as peaks of 1 are."""
    torch.manual_seed(0)
    block = refiner(depth=2).eval()
    block.convolutions[-1].reset_parameters()
    x = heatmaps()
    expected = block(x)
    block.peak = 255.0
    assert torch.allclose(block(255 * x) / 255, expected, atol=1e-5)


def test_dropout_and_activation_are_where_they_should_be() -> None:
    """No dropout in evaluation mode; SAR's slope."""
    block = refiner(dropout=0.5, activation="leaky_relu")
    assert isinstance(block.activation, nn.LeakyReLU)
    assert block.activation.negative_slope == 0.1
    block.convolutions[-1].reset_parameters()
    x = heatmaps()
    assert block.eval()(x).equal(block(x))
    assert not block.train()(x).equal(block(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"graph": "skeletton"}, "did you mean 'skeleton'"),
        ({"hidden": 0}, "hidden is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"order": 0}, "order is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"activation": "gelu"}, "gelu"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match=message):
        refiner(**settings)


def test_other_heatmaps_are_refused() -> None:
    """Shapes got and expected."""
    with pytest.raises(ShapeError, match=r"\(2, 3, 3, 4\).*\(B, 3, 4, 3\)"):
        refiner()(heatmaps().transpose(2, 3))
