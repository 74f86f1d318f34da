"""Scalars of a heatmap: by hand, in float64."""

from __future__ import annotations

import pytest
import torch

from poseig_mm.errors import ShapeError
from poseig_mm.functional.regions import mass_share
from poseig_mm.studies.output_space.heatmap_targets import heatmap_value, negative_heatmap_mse

F64 = torch.float64


def test_the_value_of_a_plane_is_exact() -> None:
    """Bilinear interpolation reproduces 2 x - 3 y + x y at any point between pixel centres, for every image and
    joint.
    """
    y, x = torch.meshgrid(torch.arange(5, dtype=F64), torch.arange(4, dtype=F64), indexing="ij")
    plane = 2 * x - 3 * y + x * y
    heatmaps = torch.stack([plane, plane + 1, plane + 2, 5 * plane]).reshape(2, 2, 5, 4)
    points = torch.tensor([[[0.25, 3.5], [3.0, 4.0]], [[1.5, 0.0], [2.75, 2.25]]], dtype=F64)
    px, py = points.unbind(-1)
    exact = (2 * px - 3 * py + px * py) * torch.tensor([[1, 1], [1, 5]]) + torch.tensor([[0, 1], [2, 0]])
    assert torch.allclose(heatmap_value(heatmaps, points), exact, atol=1e-12)


def test_a_point_outside_has_the_borders_value() -> None:
    """Not 0: a joint half a pixel outside the outermost centres still has a heatmap."""
    heatmaps = torch.arange(6, dtype=F64).reshape(1, 1, 2, 3)
    points = torch.tensor([[[-0.5, 0.0]]], dtype=F64), torch.tensor([[[2.4, 1.3]]], dtype=F64)
    assert [heatmap_value(heatmaps, p).item() for p in points] == pytest.approx([0.0, 5.0])


def test_the_gradient_of_the_value_is_the_bilinear_weight() -> None:
    """At x = 0.25 between two pixels: 3/4 and 1/4, and none elsewhere; a joint without a point is finite."""
    heatmaps = torch.zeros(1, 2, 2, 3, dtype=F64, requires_grad=True)
    points = torch.tensor([[[0.25, 1.0], [float("nan")] * 2]], dtype=F64)
    heatmap_value(heatmaps, points)[0, 0].backward()
    assert heatmaps.grad is not None
    assert torch.allclose(heatmaps.grad[0, 0], torch.tensor([[0, 0, 0], [0.75, 0.25, 0]], dtype=F64), atol=1e-12)
    assert heatmaps.grad[0, 1].abs().sum() == 0


def test_the_squared_error_of_a_shifted_gaussian() -> None:
    """0 for the Gaussian itself; for another one the mean of the squared differences, with the sign of a likelihood."""
    y, x = torch.meshgrid(torch.arange(6, dtype=F64), torch.arange(7, dtype=F64), indexing="ij")
    here = torch.exp(-((x - 2.5) ** 2 + (y - 3) ** 2) / (2 * 1.5**2))
    points = torch.tensor([[[2.5, 3.0], [2.5, 3.0]]], dtype=F64)
    found = negative_heatmap_mse(torch.stack([here, here + 0.1])[None], points, sigma=1.5)
    assert found[0].tolist() == pytest.approx([0.0, -0.01], abs=1e-12)


def test_shapes_that_do_not_fit() -> None:
    """Heatmaps and points of other numbers of joints."""
    for function in (heatmap_value, negative_heatmap_mse):
        with pytest.raises(ShapeError, match=r"expected \(B, K, h, w\)"):
            function(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 2))


def test_the_share_of_a_region() -> None:
    """Mass inside over all mass, whatever the scale; a map of zeros or with a NaN has none."""
    region = torch.tensor([[True, False], [True, False]])
    maps = torch.tensor([[[1.0, 2], [3, 4]], [[0.0, 0], [0, 0]], [[1.0, float("nan")], [0, 0]]])
    found = mass_share(torch.stack([maps, 7 * maps]), region)
    assert found.shape == (2, 3)
    assert found[:, 0].tolist() == pytest.approx([0.4, 0.4])
    assert found[:, 1:].isnan().all()
    with pytest.raises(ShapeError, match="region"):
        mass_share(maps, region[:1])
