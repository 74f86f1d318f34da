"""The refinement block: graph convolutions whose nodes are joints and whose node features are the joints' heatmaps.

The paper names its block only by a reference without public code (Zheng et al., BMVC 2021).  These are the nearest
public relatives: Chebyshev convolution as in Pose2Mesh (Choi et al., ECCV 2020), heatmaps as node features and a
learnable adjacency as in SAR (Zheng et al., ISMAR 2021), and a residual whose last layer starts at zero, so that
training starts at the frozen model's accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, ShapeError, did_you_mean

from .graph import (
    adjacency,
    chebyshev_polynomials,
    normalised_laplacian,
    random_adjacency,
    scaled_laplacian,
)

prepare_environment()

from mmpose.registry import MODELS  # noqa: E402  (needs a prepared environment)

__all__ = ["GRAPHS", "ChebConv", "GCNRefiner", "graph_of"]

GRAPHS = ("skeleton", "partners", "identity", "random")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
}  # SAR's slope


def graph_of(
    kind: str,
    num_joints: int,
    edges: Sequence[tuple[int, int]],
    partners: Sequence[tuple[int, int]] = (),
    *,
    seed: int = 0,
    as_many_as: str = "skeleton",
) -> Tensor:
    """The adjacency (K, K) of a kind of graph.

    Args:
        kind: 'skeleton', the bones; 'partners', bones and left-right partners, as Pose2Mesh has them; 'identity', no
            edge at all; 'random', drawn edges.
        num_joints: K.
        edges: the bones, pairs of joints.
        partners: pairs of left-right partners.
        seed: of the random edges.
        as_many_as: the kind of graph whose number of edges a random one has.

    Raises:
        ConfigError: another kind; an edge to a joint that there is not; partners are asked for and there are none.

    >>> [int(graph_of(kind, 4, [(0, 1), (1, 2)], [(0, 2)]).triu(1).sum()) for kind in GRAPHS]
    [2, 3, 0, 2]
    """
    for name, value in (("graph", kind), ("as_many_as", as_many_as)):
        if value not in GRAPHS:
            raise ConfigError(f"GCNRefiner: {name} is {value!r}, which is unknown; {did_you_mean(value, GRAPHS)}")
    if "partners" in (kind, as_many_as) and not partners:
        raise ConfigError(
            "GCNRefiner: graph is 'partners', but the skeleton says of no joint which one is its left-right partner; "
            "give model.skeleton a data set's name or metainfo with `swap`, or take graph='skeleton'"
        )
    bones = adjacency(num_joints, edges)  # of all kinds: a wrong edge is never overlooked
    if kind == "skeleton":
        return bones
    if kind == "partners":
        return adjacency(num_joints, [*edges, *partners])
    if kind == "identity":
        return adjacency(num_joints, [])
    count = graph_of("skeleton" if as_many_as == "random" else as_many_as, num_joints, edges, partners).triu(1).sum()
    return random_adjacency(num_joints, int(count), seed)


class ChebConv(nn.Module):
    """y = Linear([M_0 x, ..., M_(order-1) x]), the same Linear at every node.

    The M are Chebyshev polynomials of the graph's scaled Laplacian; with a learnable adjacency A they are the powers
    A^1 ... A^order of its rows over the sum of their absolute values (order 1 is SAR's layer).

    Args:
        graph: (K, K) adjacency.
        in_features, out_features: of a node.
        order: how many terms.
        learnable: A is a parameter that starts as `graph`.
    """

    polynomials: Tensor

    def __init__(
        self, graph: Tensor, in_features: int, out_features: int, order: int = 3, *, learnable: bool = False
    ) -> None:
        super().__init__()
        self.order = order
        self.linear = nn.Linear(order * in_features, out_features)
        self.adjacency: nn.Parameter | None = None
        if learnable:
            if order < 1:
                raise ConfigError(f"GCNRefiner: order is {order}; expected at least 1")
            self.adjacency = nn.Parameter(graph.to(self.linear.weight.dtype))
        else:
            terms = chebyshev_polynomials(scaled_laplacian(normalised_laplacian(graph)), order)
            self.register_buffer("polynomials", terms.to(self.linear.weight.dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Pose2Mesh's: uniform within +-sqrt(2 / (inputs + outputs)), no bias.  A learnt adjacency is left alone."""
        bound = math.sqrt(2 / (self.linear.in_features + self.linear.out_features))
        nn.init.uniform_(self.linear.weight, -bound, bound)
        nn.init.zeros_(self.linear.bias)

    def terms(self) -> Tensor:
        """The M, (order, K, K)."""
        if self.adjacency is None:
            return self.polynomials
        rows = self.adjacency / self.adjacency.abs().sum(1, keepdim=True).clamp_min(1e-6)
        powers = [rows]
        while len(powers) < self.order:
            powers.append(powers[-1] @ rows)
        return torch.stack(powers)

    def forward(self, nodes: Tensor) -> Tensor:
        """(B, K, in_features) -> (B, K, out_features)."""
        terms = self.terms()
        mixed = (terms.flatten(0, 1) @ nodes).unflatten(1, terms.shape[:2])  # (B, order, K, in_features)
        result: Tensor = self.linear(mixed.transpose(1, 2).flatten(2))
        return result


@MODELS.register_module()
class GCNRefiner(nn.Module):
    """Heatmaps (B, K, h, w) -> heatmaps (B, K, h, w), by a few graph convolutions over the joints.

    With `residual` the block adds to the heatmaps, and its last layer starts at zero: before training the output is the
    input.  Heatmaps are divided by `peak` first and the output is multiplied by it, so that a learning rate means the
    same for every codec; no other scaling is needed, as the batch norm behind the first layer takes out the features'
    size.

    Args:
        num_joints: K.
        heatmap_size: (w, h), heatmap px.
        edges: the bones, pairs of joints.
        graph: 'skeleton', or 'partners' (edges between left-right partners too); or what these are to be compared with:
            'identity' (no exchange between joints) or 'random' (as many edges).
        order: Chebyshev terms a layer: joints up to order - 1 bones away reach a joint in one layer.
        hidden: features of a node between layers.
        depth: layers.
        residual: add to the input.
        learnable_adjacency: each layer learns its own (SAR), starting with the graph's.
        activation: 'relu' or 'leaky_relu' (slope 0.1).
        dropout: probability, before each layer but the first.
        peak: height of the targets' peaks.
        seed: of the random graph.
        partners: pairs of left-right partners.
        as_many_as: the graph whose number of edges a random one has.

    Raises:
        ConfigError: a number out of range, an unknown choice, an edge to a joint that there is not.
    """

    def __init__(
        self,
        num_joints: int,
        heatmap_size: tuple[int, int],
        edges: Sequence[tuple[int, int]],
        graph: str = "skeleton",
        order: int = 3,
        hidden: int = 256,
        depth: int = 3,
        residual: bool = True,
        learnable_adjacency: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        peak: float = 1.0,
        seed: int = 0,
        partners: Sequence[tuple[int, int]] = (),
        as_many_as: str = "skeleton",
    ) -> None:
        super().__init__()
        for name, value, least in (("hidden", hidden, 1), ("depth", depth, 1), ("order", order, 1), ("seed", seed, 0)):
            if type(value) is not int or value < least:
                raise ConfigError(f"GCNRefiner: {name} is {value!r}; expected at least {least} (a whole number)")
        if not 0 <= dropout < 1 or not peak > 0:
            raise ConfigError(f"GCNRefiner: dropout is {dropout}, peak {peak}; expected 0 <= dropout < 1 and peak > 0")
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f"GCNRefiner: activation is {activation!r}, which is unknown; {did_you_mean(activation, ACTIVATIONS)}"
            )
        self.num_joints, self.residual, self.peak = num_joints, residual, peak
        width, height = (int(n) for n in heatmap_size)
        self.heatmap_size = (width, height)
        bones, pairs = ([(int(a), int(b)) for a, b in found] for found in (edges, partners))
        matrix = graph_of(graph, num_joints, bones, pairs, seed=seed, as_many_as=as_many_as)
        widths = [width * height, *[hidden] * (depth - 1), width * height]
        layers = [ChebConv(matrix, a, b, order, learnable=learnable_adjacency) for a, b in pairwise(widths)]
        self.convolutions = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in widths[1:-1])
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        if residual:
            nn.init.zeros_(layers[-1].linear.weight)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """(B, K, h, w) -> (B, K, h, w).

        Raises:
            ShapeError: other heatmaps than those the block was made for.
        """
        width, height = self.heatmap_size
        if heatmaps.shape[1:] != (self.num_joints, height, width):
            raise ShapeError(
                f"heatmaps have shape {tuple(heatmaps.shape)}; this block takes (B, {self.num_joints}, {height}, "
                f"{width})"
            )
        nodes = heatmaps.flatten(2) / self.peak  # (B, K, h w)
        for convolution, norm in zip(self.convolutions, self.norms, strict=False):  # all but the last one
            # batch norm over images and joints alike
            hidden = norm(convolution(nodes).flatten(0, 1)).unflatten(0, heatmaps.shape[:2])  # (B, K, hidden)
            nodes = self.dropout(self.activation(hidden))
        change: Tensor = self.convolutions[-1](nodes).view_as(heatmaps) * self.peak
        return heatmaps + change if self.residual else change
