"""Coordinates against each head's own decoding of the same input, and against what the codec encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from adapter_models import (
    CPM_HEAD,
    EXPECTED,
    FAMILIES,
    HEATMAP_HEAD,
    MAP,
    MEGVII,
    MSRA,
    OWN_COORDINATES,
    SIZE,
    UDP,
    K,
    adapters,
    inject,
    random_images,
    tiny_adapter,
    tiny_model,
)
from torch import Tensor

from poseig_mm.adapters.select import select_adapter
from poseig_mm.data.crops import invert
from poseig_mm.errors import ShapeError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
D = torch.float64
HEATMAPS = [f for f in FAMILIES if EXPECTED.get(f, f.split("-")[0]) == "heatmap"]
SIMCC = ["simcc", "rtmcc", "rtmw"]
KEYPOINTS = (
    np.array(  # (B, K, 2) input px, between heatmap pixels; off the border, where Megvii's own blur shifts peaks
        [
            [[19, 21], [30.5, 41], [44, 72.25], [21, 63], [42.75, 25]],
            [[22, 74], [41, 22], [33.3, 50], [21, 30], [40, 70]],
        ]
    )
)


def map_size(adapter: Any) -> tuple[int, int]:
    """(w, h) of the heatmaps."""
    width, height = adapter.head.decoder.heatmap_size
    return int(width), int(height)


def encoded(adapter: Any) -> Any:
    """What a perfectly trained head would give for `KEYPOINTS`: its codec's own targets."""
    codec = adapter.head.decoder
    targets = [codec.encode(k[None], np.ones((1, K), dtype=np.float32)) for k in KEYPOINTS]
    if adapter.name == "simcc":
        x, y = (np.concatenate([t[f"keypoint_{axis}_labels"] for t in targets]) for axis in "xy")
        return torch.as_tensor(x), torch.as_tensor(y)
    heatmaps = torch.as_tensor(np.stack([t["heatmaps"] for t in targets]))
    return [heatmaps * 0, heatmaps] if type(adapter.head).__name__ in ("CPMHead", "MSPNHead") else heatmaps


@pytest.mark.parametrize("family", OWN_COORDINATES)
def test_heads_with_own_coordinates_are_met_exactly(family: str) -> None:
    """Regression, RLE, Integral, debiased, DSNT: the coordinates are those of `predict`, to float32 rounding."""
    adapter = tiny_adapter(family)
    images = random_images()
    coords, own = adapter(images).coords, adapter.predict(images)
    assert own.std() > 0.1
    assert torch.allclose(coords, own, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", [*HEATMAPS, *SIMCC])
def test_a_trained_head_is_met_within_a_heatmap_pixel(family: str) -> None:
    """On the codec's targets the calibrated coordinates are within a heatmap pixel of `predict`, for every joint."""
    adapter = tiny_adapter(family)
    inject(adapter, encoded(adapter))
    images = random_images()
    agreement = adapter.calibrate(images)
    assert agreement.good
    assert agreement.beta == adapter.beta
    distance = torch.linalg.vector_norm(adapter(images).coords - adapter.predict(images), dim=-1)
    assert distance.max() <= (adapter.stride or 4.0)
    assert distance.max() > 0  # two computations were compared
    assert agreement.mean_distance == pytest.approx(distance.mean().item(), rel=1e-4)


def peaked(heatmap: Tensor) -> Tensor:
    """One-hot heatmaps, (B, K, h, w): joint k of image b at x = 3 + 2 k, y = 5 + 3 k + b."""
    for b in range(heatmap.shape[0]):
        for k in range(heatmap.shape[1]):
            heatmap[b, k, min(5 + 3 * k + b, heatmap.shape[2] - 3), min(3 + 2 * k, heatmap.shape[3] - 3)] = 1.0
    return heatmap


@pytest.mark.parametrize("family", HEATMAPS)
def test_the_way_to_input_pixels_is_the_codecs(family: str) -> None:
    """One symmetric peak a map (and offsets, where combined): decoding and a very sharp soft-argmax are the same
    point.
    """
    adapter = tiny_adapter(family, beta=1e7)
    width, height = map_size(adapter)
    maps = peaked(torch.zeros(2, K, height, width))
    if family == "heatmap-combined":
        offsets = torch.linspace(-0.4, 0.6, 2 * K).reshape(1, K, 2, 1, 1).expand(2, K, 2, height, width)
        maps = torch.cat([maps[:, :, None], offsets], 2).flatten(1, 2)
    output = [maps * 0, maps] if type(adapter.head).__name__ in ("CPMHead", "MSPNHead") else maps
    coords = adapter.decode(output).coords
    inject(adapter, output)
    own = adapter.predict(random_images())
    assert torch.allclose(coords, own, atol=2e-3)
    assert not torch.allclose(own[:, 0], own[:, 1], atol=4)  # the joints lie apart


def test_grid_of_each_codec() -> None:
    """Heatmap pixel (10, 12) of 16 x 24 in an input of 64 x 96: MSRA * 4; Megvii (+ 0.5) * 4; UDP 63 / 15, 95 / 23."""
    at = torch.tensor([[[10.0, 12.0]]])
    expected = {MSRA["type"]: (40.0, 48.0), MEGVII["type"]: (42.0, 50.0), UDP["type"]: (10 / 15 * 63, 12 / 23 * 95)}
    for family in ("heatmap-msra", "heatmap-megvii", "heatmap-udp"):
        adapter = tiny_adapter(family)
        assert adapter.grid.to_input(at).flatten().tolist() == pytest.approx(expected[adapter.kind])
        assert adapter.stride == 4.0
        assert adapter.input_size == SIZE


def test_combined_offsets_are_votes_of_all_pixels() -> None:
    """Offsets that all point to one place: the coordinates are that place, even with a flat class map (no argmax
    is).
    """
    adapter = tiny_adapter("heatmap-combined", beta=1e-9)
    (width, height), radius = MAP, 0.0546875 * max(MAP)
    place = torch.tensor([6.3, 9.8], dtype=D)
    x, y = torch.arange(width, dtype=D), torch.arange(height, dtype=D)[:, None]
    offset_x, offset_y = (
        ((place[0] - x) / radius).expand(height, width),
        ((place[1] - y) / radius).expand(height, width),
    )
    maps = torch.stack([torch.zeros(height, width, dtype=D), offset_x, offset_y]).repeat(K, 1, 1)[None]
    expected = place / torch.tensor([width - 1, height - 1]) * (torch.tensor(SIZE) - 1)
    assert torch.allclose(adapter.decode(maps).coords, expected.expand(1, K, 2), atol=1e-6)


@pytest.mark.parametrize("family", SIMCC)
def test_simcc_bins_are_half_pixels(family: str) -> None:
    """A very sharp softmax at bin (37, 101), split ratio 2, is (18.5, 50.5) px, as in the codec's decoding."""
    adapter = tiny_adapter(family, beta=1e5)
    x, y = torch.zeros(2, K, 2 * SIZE[0]), torch.zeros(2, K, 2 * SIZE[1])
    x[..., 37], y[..., 101] = 1.0, 1.0
    coords = adapter.decode((x, y)).coords
    inject(adapter, (x, y))
    assert torch.equal(coords, torch.tensor([18.5, 50.5]).expand(2, K, 2))
    assert torch.equal(adapter.predict(random_images()), coords)


def test_simcc_expectation_of_a_normalised_gaussian_is_its_mean() -> None:
    """At the loss' own beta (1), logits of a Gaussian of sigma 6 bins around bin (40.25, 90.5): its mean, over 2."""
    adapter = tiny_adapter("simcc")
    assert adapter.beta == 1.0
    x, y = torch.arange(2 * SIZE[0], dtype=D), torch.arange(2 * SIZE[1], dtype=D)
    logits = [(-((bins - mean) ** 2) / 72).expand(1, K, -1) for bins, mean in ((x, 60.25), (y, 90.5))]
    assert torch.allclose(adapter.decode(tuple(logits)).coords, torch.tensor([30.125, 45.25], dtype=D), atol=1e-6)
    assert tiny_adapter("rtmcc").beta == 10.0  # its loss says so


@pytest.mark.parametrize("family", FAMILIES)
def test_coordinates_have_the_heads_shape_and_unit(family: str) -> None:
    """(B, K, 2) in px; heatmaps (B, K, h, w) where the head has them; the adapter is the family's."""
    adapter = tiny_adapter(family)
    found = adapter(random_images(3))
    assert adapter.name == EXPECTED.get(family, family.split("-")[0])
    assert found.coords.shape == (3, K, 2)
    assert adapter.unit == "px"
    assert adapter.keypoint_names == tuple(f"joint_{k}" for k in range(K))
    if adapter.name in ("heatmap", "integral"):
        size = adapter.head.heatmap_size if adapter.name == "integral" else map_size(adapter)
        assert found.heatmaps is not None
        assert found.heatmaps.shape == (3, K, size[1], size[0])
    else:
        assert found.heatmaps is None
        assert adapter.stride is None


@pytest.mark.parametrize("family", ["heatmap-msra", "heatmap-combined", "rle"])
def test_selected_joints_alone_are_given_out(family: str) -> None:
    """`test_cfg.output_keypoint_indices` selects and orders coordinates, predictions, heatmaps and names alike."""
    whole, images = tiny_adapter(family), random_images()
    part = tiny_adapter(family, test_cfg={"flip_test": True, "output_keypoint_indices": [3, 1]})
    part.beta = whole.beta
    assert part.keypoint_names == ("joint_3", "joint_1")
    assert torch.allclose(part(images).coords, whole(images).coords[:, [3, 1]])
    assert torch.allclose(part.predict(images), whole.predict(images)[:, [3, 1]])
    if (heatmaps := part(images).heatmaps) is not None:
        assert torch.allclose(heatmaps, whole(images).heatmaps[:, [3, 1]])
    assert part.calibrate(images).n <= 4


@pytest.mark.parametrize("family", ["heatmap-udp", "heatmap-combined", "heatmap-msra"])
def test_predict_is_what_mmpose_predicts_without_flip_test(family: str) -> None:
    """Mapped to the image by the inverse of the crop, `predict` equals the estimator's own `predict`."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

    model = tiny_model(family, test_cfg={"flip_test": False, "output_heatmaps": True})
    adapter = select_adapter(model, adapters())(model)
    center, scale = np.array([30.0, 50.0]), np.array([80.0, 120.0])
    sample = PoseDataSample(metainfo={"input_size": SIZE, "input_center": center, "input_scale": scale})
    sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    images = random_images(1)
    with torch.no_grad():
        theirs = model.predict(images, [sample])[0].pred_instances.keypoints
    make = get_warp_matrix if family == "heatmap-msra" else get_udp_warp_matrix
    warp = invert(np.asarray(make(center, scale, 0.0, output_size=SIZE), dtype=np.float64))
    ours = adapter.predict(images).double().numpy() @ warp[:, :2].T + warp[:, 2]
    assert np.abs(ours - theirs).max() < 1e-3


def test_images_must_be_a_batch() -> None:
    """A single image without the batch dimension is a ShapeError that says so."""
    with pytest.raises(ShapeError, match=r"\(3, 96, 64\); expected \(B, C, H, W\)"):
        tiny_adapter("regression")(random_images()[0])


def test_a_users_subclass_of_a_codec_is_decoded_as_its_base() -> None:
    """A registered subclass of MSRAHeatmap needs no adapter of its own."""
    from mmpose.codecs import MSRAHeatmap
    from mmpose.registry import KEYPOINT_CODECS

    @KEYPOINT_CODECS.register_module(force=True)
    class MyHeatmap(MSRAHeatmap):
        pass

    adapter = tiny_adapter("heatmap-msra", head={**HEATMAP_HEAD, "decoder": {**MSRA, "type": "MyHeatmap"}})
    assert adapter.kind == "MSRAHeatmap"


def test_only_the_last_stage_counts() -> None:
    """CPM: changing the first stage's heatmaps changes nothing, changing the last one's does."""
    adapter = tiny_adapter("cpm", head={**CPM_HEAD, "decoder": {**MSRA, "heatmap_size": (8, 12)}})
    a, b = (torch.randn(1, K, 12, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    last = adapter.decode([a, b]).coords
    assert torch.equal(last, adapter.decode([b, b]).coords)
    assert not torch.allclose(last, adapter.decode([b, a]).coords)


@pytest.mark.parametrize("family", [f for f in HEATMAPS if "combined" not in f])
def test_a_sharp_quantised_target_is_the_nearest_heatmap_pixel(family: str) -> None:
    """With the default beta it is drawn to the middle of the heatmap, but not lost."""
    adapter = tiny_adapter(family).around(tiny_model(family))
    points = torch.from_numpy(KEYPOINTS).double()
    near = adapter.quantised_target(points)
    adapter.beta = 1e4
    sharp = adapter.grid.from_input(adapter.quantised_target(points))  # type: ignore[attr-defined]
    cells = adapter.grid.from_input(points)  # type: ignore[attr-defined]
    assert torch.allclose(sharp, (cells + 0.5).floor(), atol=1e-6)
    width, height = adapter.head.decoder.heatmap_size
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=D)
    pulled = adapter.grid.from_input(near)  # type: ignore[attr-defined]
    assert ((pulled - middle).abs() <= (sharp - middle).abs() + 0.5).all()
    assert (pulled - sharp).abs().max() < 4


@pytest.mark.parametrize("family", ["heatmap-combined", "regression", "rle", "integral"])
def test_heads_trained_on_coordinates_have_them_as_target(family: str) -> None:
    """Nothing is quantised."""
    points = torch.from_numpy(KEYPOINTS).double()
    assert torch.equal(tiny_adapter(family).quantised_target(points), points)
