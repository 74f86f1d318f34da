"""preset='published' reproduces a plain re-implementation of the published settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.published_procedure import published_indices, published_maps
from poseig_mm.functional import (
    diffusion_index,
    foreground_index,
    locality_index,
    path_attribution,
    published_heatmaps,
    soft_argmax,
)
from poseig_mm.settings import Settings


@pytest.fixture
def heatmap_model() -> nn.Module:
    """A small convolutional heatmap model at stride 4, (B, 3, H, W) -> (B, 2, H / 4, W / 4), in float64."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 2, 3, 1, 1)
    )
    return model.double().requires_grad_(False)


def test_published_preset_equals_a_plain_re_implementation(heatmap_model: nn.Module) -> None:
    """Maps agree to 1e-6, DI, FI and LI to 1e-3 (in fact 1e-6), with the settings that the preset stands for."""
    image = torch.rand(3, 64, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = torch.tensor([[22.0, 30.0], [9.0, 41.0]], dtype=torch.float64)  # input px
    mask = np.zeros((64, 48), dtype=bool)
    mask[20:50, 10:30] = True
    s = Settings.parse({"attribution": {"preset": "published"}}).attribution
    beta = s.beta
    assert beta is not None
    assert s.alpha_per_heatmap_px is not None

    def coords(images: Tensor) -> Tensor:
        return 4 * soft_argmax(heatmap_model(images), beta)

    ours = path_attribution(
        coords, image[None], truth[None], path=s.path, path_settings=s.path_settings, quadrature=s.quadrature,
        nodes=s.nodes, likelihood=s.likelihood, likelihood_settings={"alpha": s.alpha_per_heatmap_px / 4},
    )  # fmt: skip
    theirs = published_maps(heatmap_model, image, truth / 4)
    assert (ours.maps[0] - theirs).abs().max() < 1e-6
    found = torch.stack(
        [
            diffusion_index(ours.maps),
            foreground_index(ours.maps, torch.from_numpy(mask)[None, None]),
            locality_index(ours.maps, published_heatmaps(truth[None], (64, 48))),
        ],
        -1,
    )[0]
    for joint in range(2):
        x, y = (truth[joint] / 4).tolist()
        expected = published_indices(theirs[joint].numpy(), mask, (x, y))
        assert np.abs(found[joint].numpy() - expected).max() < 1e-6
