"""Indices that must be asked for: DI at one scale for all inputs, FI without a ceiling.  Against analytic truth."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import run, tiny

from poseig_mm.functional import diffusion_index, foreground_index, foreground_log_odds, scaled_diffusion_index
from poseig_mm.indices.optional import ForegroundLogOdds, ScaledDiffusionIndex
from poseig_mm.testing import check_index

D = torch.float64


def speckled(height: int, width: int) -> torch.Tensor:
    """A Gaussian blob with structure of one pixel, as maps have it."""
    y, x = torch.meshgrid(torch.arange(height, dtype=D), torch.arange(width, dtype=D), indexing="ij")
    blob = torch.exp(-((y / height - 0.4) ** 2 + (x / width - 0.6) ** 2) / 0.02)
    noise = torch.rand(height, width, dtype=D, generator=torch.Generator().manual_seed(0))
    return (blob * noise**3)[None, None]


def test_the_same_map_in_two_sizes_has_one_scaled_diffusion() -> None:
    """Of 256 x 192 px and of 128 x 96 (pixels are means of four) to 1e-9; plain DI rises where it is coarser."""
    fine = speckled(256, 192)
    coarse = F.avg_pool2d(fine, 2)
    assert scaled_diffusion_index(fine).item() == pytest.approx(scaled_diffusion_index(coarse).item(), abs=1e-9)
    assert diffusion_index(coarse).item() > diffusion_index(fine).item() + 2


def test_a_size_that_is_no_multiple_has_nearly_the_same() -> None:
    """384 x 288 px in cells of 6, and 160 x 120 in cells of 2.5 px, which share pixels: of a smooth map within 0.1."""

    def blob(height: int) -> torch.Tensor:
        y, x = torch.meshgrid(
            *((torch.arange(n, dtype=D) + 0.5) / height for n in (height, height * 3 // 4)), indexing="ij"
        )
        return torch.exp(-((y - 0.4) ** 2 + (x - 0.3) ** 2) / 0.01)[None, None]

    values = [scaled_diffusion_index(blob(height)).item() for height in (64, 128, 160, 256, 384)]
    assert max(values) - min(values) < 0.1
    assert 5 < values[0] < 95


def test_scaled_diffusion_is_over_the_image() -> None:
    """Padding right of it counts neither as cell nor in a cell that is half of it."""
    maps = torch.zeros(1, 1, 128, 96, dtype=D)
    maps[..., :47] = 1
    maps[..., 60:] = 7  # in the padding
    own = torch.zeros(1, 1, 128, 96, dtype=torch.bool)
    own[..., :47] = True  # 23.5 cells
    assert scaled_diffusion_index(maps, own).item() == pytest.approx(100)
    assert scaled_diffusion_index(maps).item() < 80
    whole = torch.ones_like(own)
    assert torch.allclose(scaled_diffusion_index(maps, whole), scaled_diffusion_index(maps))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_log_odds_have_no_ceiling(share: float) -> None:
    """A map twice as strong on the mask as beside it has ln 2, however large the mask is; FI falls with it."""
    columns = round(100 * share)
    mask = torch.zeros(1, 1, 8, 100)
    mask[..., : columns - 2] = 1  # dilated: two columns more
    maps = torch.ones(1, 1, 8, 100, dtype=D)
    maps[..., :columns] = 2
    assert foreground_log_odds(maps, mask).item() == pytest.approx(math.log(2), abs=1e-12)
    assert foreground_index(maps, mask).item() == pytest.approx(2 / (1 + share))


def test_log_odds_of_an_even_map_are_0_and_where_there_are_none_nan() -> None:
    """No preference; all of the map on the mask, or nothing; a mask everywhere, or nowhere."""
    mask = torch.zeros(1, 1, 10, 10)
    mask[..., :3] = 1
    even, on, beside = (torch.zeros(1, 1, 10, 10) for _ in range(3))
    even += 0.3
    on[..., 0] = 1
    beside[..., 9] = 1
    assert foreground_log_odds(even, mask).item() == pytest.approx(0, abs=1e-6)
    for maps, where in ((on, mask), (beside, mask), (even, mask + 1), (even, 0 * mask), (0 * even, mask)):
        assert foreground_log_odds(maps, where.clamp(max=1)).isnan().all()
    own = torch.ones(1, 1, 10, 10, dtype=torch.bool)
    own[..., 5:] = False  # all of the image is mask
    assert foreground_log_odds(even, mask, own).isnan().all()
    own[..., 5:7] = True
    beside[..., 5:7] = 0.5
    on += 2 * mask
    assert foreground_log_odds(on + beside, mask, own).item() == pytest.approx(math.log((1 + 6) / 1 * 2 / 5), abs=1e-6)


@pytest.mark.parametrize("index", [ScaledDiffusionIndex(), ForegroundLogOdds()], ids=lambda i: i.name)
def test_they_keep_the_rules_of_plugins(index: ScaledDiffusionIndex | ForegroundLogOdds) -> None:
    """Shape, range, no change of the input, independence of the batch, NaN for a missing map."""
    check_index(index)


def test_a_run_has_them_only_when_asked(tiny_files: tiny, tmp_path: Path) -> None:
    """Columns of the name, their values those of the stored maps; the default run has neither."""
    asked = run(tiny_files, tmp_path / "a", {"indices": ["di", "di_scaled", "fi_logodds"], "samples.limit": 1})
    plain = run(tiny_files, tmp_path / "b", {"samples.limit": 1})
    assert not {"di_scaled", "fi_logodds"} & set(plain.joints().columns)
    assert not {"di_scaled", "fi_logodds"} & {index["name"] for index in plain.run["indices"]}
    rows = asked.joints().filter("visible")
    assert {"di_scaled", "fi_logodds"} <= set(rows.columns)
    assert rows["di_scaled"].is_between(0, 100).all()
    assert rows["di"].to_list() == plain.joints().filter("visible")["di"].to_list()
