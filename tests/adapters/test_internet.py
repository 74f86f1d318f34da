"""InterNet: two hands' volumes against the codec's own decoding, and what a depth of so many millimetres is in
pixels.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from adapter_models import MSRA, SIZE, adapters, inject, random_images, tiny_config
from torch import Tensor, nn

from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.internet import InternetAdapter
from poseig_mm.adapters.select import select_adapter
from poseig_mm.api import attribute
from poseig_mm.errors import AdapterError, DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
W, H, D = 16, 24, 10  # cells of a volume; the input is 64 x 96 px, 250 mm deep
BOUND = 250.0
STRIDE = 4.0
PX_PER_MM = STRIDE * D / BOUND  # a cell is as deep as it is wide
JOINTS = 3  # of a hand
CODEC = {"type": "Hand3DHeatmap", "image_size": SIZE, "heatmap_size": [W, H, D], "depth_size": D, "sigma": 1.5,
         "heatmap3d_depth_bound": BOUND, "max_bound": 255}  # fmt: skip
HEAD = {
    "type": "InternetHead",
    "keypoint_head_cfg": {"in_channels": 80, "out_channels": JOINTS * D, "depth_size": D,
                          "deconv_out_channels": (16, 16, 16), "deconv_kernel_sizes": (4, 4, 4)},
    "root_head_cfg": {"in_channels": 80, "heatmap_size": 8, "hidden_dims": (8,)},
    "hand_type_head_cfg": {"in_channels": 80, "num_labels": 2, "hidden_dims": (8,)},
    "decoder": CODEC,
}  # fmt: skip


def internet(**options: Any) -> InternetAdapter:
    """The adapter that is chosen for a tiny InterNet."""
    torch.manual_seed(0)
    model = build_model(tiny_config("heatmap-msra", head=HEAD))
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            nn.init.kaiming_normal_(parameter)
    found = select_adapter(model, adapters())(model, **options)
    assert isinstance(found, InternetAdapter)
    return found


def output(volumes: Tensor) -> list[Tensor]:
    """As `InternetHead.forward` gives it."""
    return [volumes, torch.full((len(volumes), 1), 3.0), torch.ones(len(volumes), 2)]


def peaks(*cells: tuple[int, int, int], height: float = 255.0) -> Tensor:
    """One joint a cell (x, y, z): (1, K, D, H, W)."""
    volumes = torch.zeros(1, len(cells), D, H, W)
    for k, (x, y, z) in enumerate(cells):
        volumes[0, k, z, y, x] = height
    return volumes


def test_a_cell_is_as_deep_as_it_is_wide() -> None:
    """Peak at cell (x, y, z): 4 x, 4 y and, from the middle of the volume, 4 (z - 5) px; one cell further is 4 px."""
    adapter = internet(beta=1.0)
    found = adapter.decode(output(peaks((3, 20, 7), (4, 20, 7), (3, 21, 7), (3, 20, 8))))
    expected = [[12, 80, 8], [16, 80, 8], [12, 84, 8], [12, 80, 12]]
    assert torch.allclose(found.coords[0], torch.tensor(expected, dtype=torch.float32), atol=1e-4)
    assert (adapter.unit, adapter.stride, adapter.px_per_mm) == ("px", STRIDE, PX_PER_MM)
    assert found.heatmaps is not None
    assert found.heatmaps.shape == (1, 4, H, W)
    assert found.heatmaps[0, 0].argmax() == 20 * W + 3


def test_it_is_the_codec_s_own_decoding_in_pixels() -> None:
    """Of a sharp peak; depth in mm times px_per_mm, of both hands' joints."""
    adapter = internet(beta=10.0)
    volumes = torch.rand(2, 2 * JOINTS, D, H, W, generator=torch.Generator().manual_seed(1)) * 200
    volumes.view(2, 2 * JOINTS, -1)[..., 777] = 255.0
    inject(adapter, output(volumes))
    own = adapter.predict(random_images())
    decoded = [adapter.head.decoder.decode(v.numpy(), np.zeros(1), np.zeros(2))[0][0] for v in volumes]
    expected = torch.as_tensor(np.stack(decoded)) * torch.tensor([1, 1, PX_PER_MM])
    assert torch.allclose(own, expected, atol=1e-4)
    assert torch.allclose(adapter(random_images()).coords, expected, atol=1e-3)
    assert own.shape == (2, 2 * JOINTS, 3)


def test_a_trained_head_is_met_within_a_cell_at_the_default_sharpness() -> None:
    """On the codec's own targets, between cells; the volume's many empty cells don't pull it to the middle."""
    adapter = internet()
    points = np.array([[20.5, 30, -60], [41, 71.3, 40], [33, 50, 0], [21, 63, -20.0], [42.7, 25, 61], [50, 80, 12.5]])
    encode = adapter.head.decoder.encode
    rest = (np.float32(0), np.float32(1), np.ones((1, 2)), np.ones(1), np.ones(2), np.ones(2))
    targets = encode(points[None], np.ones((1, 6), dtype=np.float32), None, *rest)
    inject(adapter, output(torch.as_tensor(targets["heatmaps"]).reshape(1, 6, D, H, W)))
    images = random_images(1)
    expected = torch.as_tensor(points * [1, 1, PX_PER_MM], dtype=torch.float32)
    assert (adapter(images).coords[0] - expected).norm(dim=-1).max() < STRIDE
    agreement = adapter.calibrate(images)
    assert agreement.good
    assert (agreement.n, agreement.threshold, agreement.unit) == (6, STRIDE, "px")


def test_more_cells_make_the_default_sharper() -> None:
    """Beside a peak, 64^3 empty cells weigh as much as the 64 x 48 pixels of a heatmap with the published 10."""
    adapter = internet()
    adapter.codec.heatmap_size = np.array([64, 64, 64])
    assert 64**3 * math.exp(-255 * adapter.default_beta()) == pytest.approx(64 * 48 * math.exp(-10))


def test_a_joint_without_a_peak_does_not_count() -> None:
    """MMPose's decoding then gives a place-holder."""
    adapter = internet()
    volumes = peaks(*[(3, 4, 5)] * (2 * JOINTS))
    volumes[0, 1] = -1.0
    inject(adapter, output(volumes))
    agreement = adapter.calibrate(random_images(1))
    assert (agreement.n, agreement.left_out) == (2 * JOINTS - 1, 1)


def test_every_coordinate_hangs_on_the_image() -> None:
    """x, y and z have gradients of their own, and an error in depth alone makes a map."""
    adapter = internet()
    images = random_images(1).requires_grad_()
    coords = adapter(images).coords
    gradients = [torch.autograd.grad(coords[0, 0, d], images, retain_graph=True)[0] for d in range(3)]
    assert all(g.abs().max() > 0 for g in gradients)
    assert not torch.allclose(gradients[0], gradients[2])
    reference = coords.detach() + torch.tensor([0.0, 0.0, 5.0])
    result = attribute(adapter, images.detach(), reference, quadrature="midpoint", nodes=4)
    assert result.maps.isfinite().all()
    assert torch.allclose(result.target_end, torch.tensor(0.075 * -5.0).exp(), atol=1e-4)


def test_the_truth_is_in_the_coordinates_frame() -> None:
    """Image px and mm of a data sample -> input px; a crop around (100, 60) of 32 x 48 px is doubled."""
    points = np.array([[[100.0, 60.0, 50.0], [84.0, 36.0, -25.0]]])
    sample = SimpleNamespace(
        gt_instances=SimpleNamespace(keypoints=points, keypoints_visible=np.array([[1.0, 0.0]])),
        metainfo={"input_center": (100.0, 60.0), "input_scale": (32.0, 48.0), "input_size": SIZE},
    )
    found, visible = internet().truth(sample)
    assert torch.allclose(found, torch.tensor([[32.0, 48.0, 50 * PX_PER_MM], [0.0, 0.0, -25 * PX_PER_MM]]))
    assert visible.tolist() == [True, False]
    sample.gt_instances.keypoints = points[..., :2]
    with pytest.raises(DataError, match=r"\(1, 2, 2\); expected \(1, K, 3\)"):
        internet().truth(sample)


def test_another_codec_is_refused() -> None:
    model = build_model(tiny_config("heatmap-msra", head={**HEAD, "decoder": MSRA}))
    with pytest.raises(AdapterError, match="MSRAHeatmap, but adapter 'internet' decodes Hand3DHeatmap"):
        InternetAdapter(model)
