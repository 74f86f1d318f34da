"""Indices against analytic truth and against the published loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poseig_mm.errors import ShapeError
from poseig_mm.functional.heatmaps import gaussian_heatmaps, published_heatmaps
from poseig_mm.functional.indices import (
    diffusion_index,
    dilate_mask,
    endpoint_error,
    foreground_index,
    gini,
    locality_index,
    mass_outside,
    relation_index,
)

D = torch.float64
H, W = 256, 192


def one_hot() -> Tensor:
    maps = torch.zeros(1, 1, H, W, dtype=D)
    maps[0, 0, 100, 50] = 1
    return maps


def random_maps(seed: int = 0, batch: int = 2, joints: int = 3, size: tuple[int, int] = (24, 20)) -> Tensor:
    maps = torch.rand(batch, joints, *size, generator=torch.Generator().manual_seed(seed), dtype=D) ** 4
    return maps / maps.amax((2, 3), keepdim=True)


def test_one_hot_map() -> None:
    """Gini of a one-hot map is (n - 1) / n; with the published offset its DI at 256 x 192 is 0.49."""
    n = H * W
    assert gini(one_hot()).item() == pytest.approx((n - 1) / n, abs=1e-12)
    expected = 100 * (1 - (n - 1) / (n * (1 + n * 1e-7)))
    assert diffusion_index(one_hot()).item() == pytest.approx(expected, abs=1e-9)
    assert round(expected, 2) == 0.49


def test_uniform_map() -> None:
    """A uniform map has DI 100, FI = LI = RI = 1, whatever mask and heatmap."""
    maps = torch.ones(1, 2, 30, 20, dtype=D)
    mask = torch.zeros(1, 1, 30, 20, dtype=torch.bool)
    mask[..., 3:12, 5:9] = True
    heatmaps = gaussian_heatmaps(torch.tensor([[[5.0, 6.0], [15.0, 20.0]]], dtype=D), (30, 20), 3.0)
    assert torch.allclose(diffusion_index(maps), torch.full((1, 2), 100.0, dtype=D))
    assert torch.allclose(foreground_index(maps, mask), torch.ones(1, 2, dtype=D))
    assert torch.allclose(locality_index(maps, heatmaps), torch.ones(1, 2, dtype=D))
    assert torch.allclose(relation_index(maps, heatmaps), torch.ones(1, 2, 2, dtype=D))


def test_half_plane_mask() -> None:
    """All attribution inside a mask whose dilation covers 12 of 20 columns: FI = 20 / 12; all outside: 0."""
    mask = torch.zeros(1, 1, 30, 20)
    mask[..., :10] = 1
    maps = torch.zeros(1, 2, 30, 20, dtype=D)
    maps[0, 0, :, :12] = 0.3
    maps[0, 1, :, 12:] = 0.7
    assert torch.allclose(foreground_index(maps, mask), torch.tensor([[20 / 12, 0.0]], dtype=D))


def test_locality_by_hand() -> None:
    """A one-hot map at distance d from the joint: LI = exp(-d^2 / 2 s^2) n / sum of the heatmap."""
    maps = torch.zeros(1, 1, 40, 40, dtype=D)
    maps[0, 0, 20, 23] = 1
    heatmap = gaussian_heatmaps(torch.tensor([[[20.0, 20.0]]], dtype=D), (40, 40), 3.0)
    assert locality_index(maps, heatmap).item() == pytest.approx(np.exp(-0.5) * 1600 / heatmap.sum().item(), rel=1e-12)


def published_loop(amap: np.ndarray, mask: np.ndarray, heatmap: np.ndarray) -> tuple[float, float, float]:
    """DI, FI and LI of one joint as the published implementation computes them, written plainly."""
    flat = np.sort(amap.flatten() + 1e-7)
    n = flat.shape[0]
    index = np.arange(1, n + 1)
    di = (1 - np.sum((2 * index - n - 1) * flat) / (n * np.sum(flat))) * 100
    wide = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        wide[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 1
    fi = (amap * wide).sum() / amap.sum() / (wide.sum() / wide.size)
    li = (amap * heatmap).sum() / amap.sum() / (heatmap.sum() / heatmap.size)
    return float(di), float(fi), float(li)


def test_equal_to_the_published_loops() -> None:
    """On random maps all three equal the plain loops to 1e-9."""
    maps = random_maps()
    mask = torch.rand(2, 1, 24, 20, generator=torch.Generator().manual_seed(1)) > 0.9
    heatmaps = gaussian_heatmaps(torch.rand(2, 3, 2, dtype=D) * 20, (24, 20), 2.0)
    ours = torch.stack([diffusion_index(maps), foreground_index(maps, mask), locality_index(maps, heatmaps)], -1)
    for b in range(2):
        for k in range(3):
            theirs = published_loop(maps[b, k].numpy(), mask[b, 0].float().numpy(), heatmaps[b, k].numpy())
            assert np.allclose(ours[b, k], theirs, atol=1e-9)


def test_relation_is_locality_with_another_joints_heatmap() -> None:
    """RI(k -> m) = LI(map k, heatmap m); the diagonal is LI."""
    maps = random_maps()
    heatmaps = gaussian_heatmaps(torch.rand(2, 3, 2, dtype=D) * 20, (24, 20), 2.0)
    ri = relation_index(maps, heatmaps)
    for k in range(3):
        for m in range(3):
            li = locality_index(maps[:, k : k + 1], heatmaps[:, m : m + 1])[:, 0]
            assert torch.allclose(ri[:, k, m], li)


@given(st.integers(0, 10**6), st.floats(0.01, 100))
@settings(max_examples=25)
def test_scale_permutation_and_bounds(seed: int, scale: float) -> None:
    """FI and LI ignore the scale, the Gini ignores scale and order; DI lies in (0, 100]."""
    maps = random_maps(seed)
    mask = torch.rand(2, 1, 24, 20, generator=torch.Generator().manual_seed(seed)) > 0.8
    heatmaps = gaussian_heatmaps(torch.rand(2, 3, 2, dtype=D) * 20, (24, 20), 2.0)
    order = torch.randperm(480, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(gini(maps * scale), gini(maps))
    assert torch.allclose(gini(maps.flatten(2)[..., order].reshape(maps.shape)), gini(maps))
    assert torch.allclose(foreground_index(maps * scale, mask), foreground_index(maps, mask))
    assert torch.allclose(locality_index(maps * scale, heatmaps), locality_index(maps, heatmaps))
    di = diffusion_index(maps)
    assert bool(((di > 0) & (di <= 100)).all())


def test_a_batch_changes_nothing_and_float32_is_enough() -> None:
    """Each joint's index is the one it has alone; at 256 x 192 float32 maps lose less than 1e-4."""
    maps = random_maps(size=(H, W))
    assert torch.allclose(diffusion_index(maps)[1:, 2:], diffusion_index(maps[1:, 2:]))
    assert (diffusion_index(maps.float()) - diffusion_index(maps)).abs().max() < 1e-4


@pytest.mark.parametrize("bad", ["zero", "nan"])
def test_impossible_maps_are_nan_and_spoil_nothing(bad: str) -> None:
    """An all-zero map or one with a NaN gives NaN, the other joints stand."""
    maps = random_maps()
    good = diffusion_index(maps), foreground_index(maps, torch.ones(2, 1, 24, 20)), locality_index(maps, maps)
    maps[0, 1] = 0
    if bad == "nan":
        maps[0, 1, 3, 3] = torch.nan
    heat = random_maps()
    for value, before in zip(
        (diffusion_index(maps), foreground_index(maps, torch.ones(2, 1, 24, 20)), locality_index(maps, heat)),
        good,
        strict=True,
    ):
        assert value[0, 1].isnan()
        value[0, 1] = before[0, 1]
        assert torch.allclose(value, before)
    ri = relation_index(maps, heat)
    assert ri[0, 1].isnan().all()
    assert ri[0, [0, 2]].isfinite().all()


def test_missing_mask_and_joint_are_nan() -> None:
    """An empty mask gives FI NaN, an unknown joint LI NaN and its column of RI NaN."""
    maps = random_maps()
    assert foreground_index(maps, torch.zeros(2, 1, 24, 20)).isnan().all()
    points = torch.rand(2, 3, 2, dtype=D) * 20
    points[1, 2] = torch.nan
    heatmaps = gaussian_heatmaps(points, (24, 20), 2.0)
    assert locality_index(maps, heatmaps).isnan().tolist() == [[False] * 3, [False, False, True]]
    assert relation_index(maps, heatmaps).isnan()[1].all(0).tolist() == [False, False, True]


def test_gradients() -> None:
    """FI and LI are differentiable in the map."""
    maps = random_maps(size=(6, 5)).requires_grad_()
    mask = torch.zeros(2, 1, 6, 5)
    mask[..., 0, 0] = 1
    heatmaps = gaussian_heatmaps(torch.rand(2, 3, 2, dtype=D) * 4, (6, 5), 2.0)
    assert torch.autograd.gradcheck(lambda m: foreground_index(m, mask), maps)
    assert torch.autograd.gradcheck(lambda m: locality_index(m, heatmaps), maps)


@pytest.mark.parametrize("dtype", [torch.float32, D])
@pytest.mark.parametrize("negative", [False, True])
def test_the_fast_sort_is_the_sort(dtype: torch.dtype, negative: bool) -> None:
    """Sorting bit patterns gives the Gini of `torch.sort`, which is what a map with a gradient goes through."""
    maps = random_maps(size=(40, 30)).to(dtype)
    maps[0, 0] = maps[0, 0].round()  # ties and zeros
    maps[1, 1] *= 1e-30
    if negative:  # not a map, but not a reason for another number either
        maps[0, 1] -= 0.01
        maps[0, 2] = maps[0, 2].round() * 2 - 1e-3
    assert torch.equal(gini(maps), gini(maps.clone().requires_grad_()).detach())


def test_gradient_of_the_gini() -> None:
    """Where no two pixels tie, the Gini is differentiable in the map."""
    maps = torch.rand(1, 2, 4, 5, generator=torch.Generator().manual_seed(3), dtype=D, requires_grad=True)
    assert torch.autograd.gradcheck(gini, maps)


def test_half_precision_is_computed_in_single() -> None:
    """1e-4 times 1e-4 is zero in float16; LI and RI of such maps and heatmaps are still 1, as for all uniform ones."""
    small = torch.full((1, 1, 30, 30), 1e-4, dtype=torch.float16)
    for index in (locality_index, relation_index):
        found = index(small, small)
        assert found.dtype == torch.float16
        assert found.item() == pytest.approx(1.0, abs=1e-3)


def test_each_joint_stands_for_itself() -> None:
    """Any joint of any image has, alone, the indices that it has in the batch; no images give no numbers."""
    maps = random_maps()
    mask = torch.rand(2, 1, 24, 20, generator=torch.Generator().manual_seed(1)) > 0.9
    heatmaps = random_maps(7)
    for b in range(2):
        for k in range(3):
            m, h = maps[b : b + 1, k : k + 1], heatmaps[b : b + 1, k : k + 1]
            assert torch.allclose(diffusion_index(m)[0, 0], diffusion_index(maps)[b, k])
            assert torch.allclose(foreground_index(m, mask[b : b + 1])[0, 0], foreground_index(maps, mask)[b, k])
            assert torch.allclose(locality_index(m, h)[0, 0], locality_index(maps, heatmaps)[b, k])
            assert torch.allclose(relation_index(m, h)[0, 0, 0], relation_index(maps, heatmaps)[b, k, k])
    none = maps[:0]
    assert [tuple(v.shape) for v in (diffusion_index(none), foreground_index(none, mask[:0]))] == [(0, 3)] * 2
    assert relation_index(none, none).shape == (0, 3, 3)


def test_nothing_is_changed_in_place() -> None:
    """Maps, mask and heatmaps are as they were."""
    maps, heatmaps, mask = random_maps(), random_maps(7), torch.zeros(2, 1, 24, 20)
    mask[..., 3, 4] = 1
    before = [t.clone() for t in (maps, heatmaps, mask)]
    diffusion_index(maps), foreground_index(maps, mask), locality_index(maps, heatmaps), relation_index(maps, heatmaps)
    assert all(torch.equal(a, b) for a, b in zip((maps, heatmaps, mask), before, strict=True))


def test_dilation_is_five_by_five() -> None:
    """One pixel becomes 25, fewer at the border."""
    mask = torch.zeros(1, 1, 10, 10, dtype=torch.bool)
    mask[0, 0, 0, 5] = True
    assert dilate_mask(mask).sum().item() == 15


def test_heatmaps() -> None:
    """1 at the joint, exp(-1/2) one sigma away; the published one is near it but shifted by its resizing."""
    exact = gaussian_heatmaps(torch.tensor([[[96.0, 128.0]]], dtype=D), (H, W))
    assert exact[0, 0, 128, 96].item() == 1
    assert exact[0, 0, 128, 104].item() == pytest.approx(np.exp(-0.5))
    published = published_heatmaps(torch.tensor([[[96.0, 128.0]]], dtype=D), (H, W))
    x = torch.arange(W, dtype=D)
    centre = (published[0, 0].sum(0) * x).sum() / published.sum()
    assert centre.item() == pytest.approx(96 + 1.5, abs=1e-3)
    assert gaussian_heatmaps(torch.full((1, 1, 2), torch.nan), (4, 4)).isnan().all()


def test_endpoint_error() -> None:
    """Euclidean, NaN stays NaN, also in three dimensions."""
    a = torch.tensor([[[1.0, 2.0, 2.0], [torch.nan, 0.0, 0.0]]])
    error = endpoint_error(a, torch.zeros(1, 2, 3))
    assert error[0, 0].item() == 3
    assert error[0, 1].isnan()


def test_wrong_shapes_are_named() -> None:
    """What was got and expected is said."""
    with pytest.raises(ShapeError, match=r"expected \(B, K, H, W\)"):
        diffusion_index(torch.zeros(3, 4))
    with pytest.raises(ShapeError, match=r"expected \(B, 1, H, W\) = \(1, 1, 4, 4\)"):
        foreground_index(torch.ones(1, 2, 4, 4), torch.ones(1, 4, 4))
    with pytest.raises(ShapeError, match="heatmaps"):
        locality_index(torch.ones(1, 2, 4, 4), torch.ones(1, 1, 4, 4))
    with pytest.raises(ShapeError, match="same shape"):
        endpoint_error(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3))
    with pytest.raises(ShapeError, match=r"\(B, K, 2\)"):
        gaussian_heatmaps(torch.zeros(1, 2, 3), (4, 4))


def all_indices(maps: Tensor, mask: Tensor, heatmaps: Tensor, in_image: Tensor | None = None) -> Tensor:
    """(B, K, 3 + K): DI, FI, LI, and RI to each joint."""
    per_joint = (
        diffusion_index(maps, in_image),
        foreground_index(maps, mask, in_image),
        locality_index(maps, heatmaps, in_image),
    )
    return torch.cat([torch.stack(per_joint, -1), relation_index(maps, heatmaps, in_image)], -1)


def padded_batch(inside: float) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Two images of 24 x 20 and 10 x 7 px in inputs of 30 x 32, with padding of value `inside` all around.

    Returns:
        Which pixels show an image (2, 1, 30, 32), and maps, mask and heatmaps: of the batch, and of each image alone.
    """
    sizes, corners = ((24, 20), (10, 7)), ((3, 5), (12, 0))
    in_image = torch.zeros(2, 1, 30, 32, dtype=torch.bool)
    whole = [torch.full((2, 3, 30, 32), inside, dtype=D), torch.zeros(2, 1, 30, 32, dtype=D)]
    whole.append(whole[0].clone())
    alone: list[Tensor] = []
    for b, ((h, w), (y, x)) in enumerate(zip(sizes, corners, strict=True)):
        in_image[b, :, y : y + h, x : x + w] = True
        mask = torch.zeros(1, 1, h, w, dtype=D)
        mask[..., :3, 2:5] = 1  # at the border, beyond which it would be dilated
        of_image = [random_maps(b, 1, size=(h, w)), mask, random_maps(b + 7, 1, size=(h, w))]
        for values, own in zip(whole, of_image, strict=True):
            values[b, :, y : y + h, x : x + w] = own
        alone.append(all_indices(*of_image)[0])
    return in_image, whole, alone


@pytest.mark.parametrize("inside", [0.0, 0.6])
def test_padding_counts_neither_as_area_nor_as_mass(inside: float) -> None:
    """An image in an input that is larger has the indices that it has alone, whatever lies in the padding."""
    in_image, whole, alone = padded_batch(inside)
    assert torch.allclose(all_indices(*whole, in_image), torch.stack(alone), rtol=1e-12, atol=0)
    assert not torch.allclose(all_indices(*whole), torch.stack(alone), rtol=0.05)


def test_an_input_that_is_all_image_has_the_same_indices_to_the_bit() -> None:
    """Also beside one that is not, in single precision, and of maps that have no index."""
    in_image, whole, _ = padded_batch(0.2)
    maps, mask, heatmaps = (values.float() for values in whole)
    maps[0, 1], maps[0, 2, 4, 4] = 0, torch.nan
    in_image[0] = True
    found, expected = all_indices(maps, mask, heatmaps, in_image)[0], all_indices(maps, mask, heatmaps)[0]
    assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))
    assert found[1:].isnan().all()


def test_only_what_counts_can_spoil_an_index_and_no_image_is_no_number() -> None:
    """A NaN in the padding, at its edge or next to the image, changes nothing; one in the image does."""
    in_image, (maps, mask, heatmaps), alone = padded_batch(0.2)
    for place in ((0, 0), (4, 4), (3, 28)):
        maps[(0, 1, *place)] = torch.nan
    assert torch.allclose(all_indices(maps, mask, heatmaps, in_image), torch.stack(alone), rtol=1e-12, atol=0)
    maps[0, 1, 10, 10] = torch.nan
    found = all_indices(maps, mask, heatmaps, in_image)
    assert found[0, 1].isnan().all()
    assert found[0, [0, 2]].isfinite().all()
    assert found[1].isfinite().all()
    assert all_indices(maps, mask, heatmaps, torch.zeros_like(in_image)).isnan().all()


def test_mass_in_the_padding_is_a_share_of_the_whole() -> None:
    """Uniform maps: the share of the area; of all mass in the padding 1; of none 0; of no map NaN."""
    in_image = padded_batch(0.0)[0]
    maps = torch.ones(2, 4, 30, 32, dtype=D)
    maps[:, 1], maps[:, 2], maps[:, 3] = maps[:, 1] * in_image[:, 0], maps[:, 2] * ~in_image[:, 0], 0
    found = mass_outside(maps, in_image)
    area = torch.tensor([1 - 480 / 960, 1 - 70 / 960], dtype=D)
    assert torch.allclose(found[:, :3], torch.stack([area, 0 * area, 0 * area + 1], 1))
    assert found[:, 3].isnan().all()


def test_gradients_over_the_images_own_pixels() -> None:
    """All indices are differentiable in the map as before, and do not depend on what lies in the padding."""
    maps = torch.rand(2, 2, 5, 6, generator=torch.Generator().manual_seed(3), dtype=D, requires_grad=True)
    in_image = torch.zeros(2, 1, 5, 6, dtype=torch.bool)
    in_image[0, :, 1:], in_image[1, ..., 2:4] = True, True
    mask, heatmaps = torch.zeros(2, 1, 5, 6, dtype=D), torch.rand(2, 2, 5, 6, dtype=D)
    mask[..., 3, 3] = 1
    assert torch.autograd.gradcheck(lambda m: all_indices(m, mask, heatmaps, in_image), maps)
    all_indices(maps, mask, heatmaps, in_image).sum().backward()
    assert maps.grad is not None
    assert not maps.grad[(~in_image).expand_as(maps)].any()
    assert maps.grad[in_image.expand_as(maps)].any()


def test_pixels_of_another_shape_are_refused() -> None:
    """(B, 1, H, W) as the mask."""
    maps = random_maps()
    with pytest.raises(
        ShapeError, match=r"in_image has shape \(2, 24, 20\); expected \(B, 1, H, W\) = \(2, 1, 24, 20\)"
    ):
        diffusion_index(maps, torch.ones(2, 24, 20, dtype=torch.bool))
