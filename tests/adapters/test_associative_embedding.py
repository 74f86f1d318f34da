"""Whose part of a heatmap is whose: a model whose heatmaps and tags are the image's own channels, four pixels to
one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.adapters.associative_embedding import AssociativeEmbeddingAdapter
from poseig_mm.functional.path_attribution import path_attribution

pytestmark = pytest.mark.usefixtures("mmpose_ready")
ANN, BEN = ((4, 3), (6, 9)), ((18, 4), (16, 11))  # (x, y) of joints 0 and 1, heatmap px; the map is 24 x 16


class Pooled(nn.Module):
    """Channels 0 and 1 are the joints' heatmaps, channel 2 the tag that they share."""

    test_cfg: Any = SimpleNamespace(get=lambda *_: None)
    dataset_meta: Any = None

    def __init__(self, **codec: Any) -> None:
        from mmpose.models.heads import AssociativeEmbeddingHead

        super().__init__()
        self.test_cfg = {}
        decoder = {"type": "AssociativeEmbedding", "input_size": (96, 64), "heatmap_size": (24, 16), "sigma": 2,
                   "decode_keypoint_order": [0, 1], "decode_topk": 4, **codec}  # fmt: skip
        self.head = AssociativeEmbeddingHead(
            in_channels=3, num_keypoints=2, tag_per_keypoint=False, deconv_out_channels=None, deconv_kernel_sizes=None,
            final_layer=None, decoder=decoder,
        )  # fmt: skip

    def extract_feat(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images, 4)]


def image(*persons: tuple[tuple[int, int], ...]) -> Tensor:
    """(1, 3, 64, 96): blobs of height 1 at their joints, the tag 0 on the left and 5 on the right."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    found = torch.zeros(1, 3, 64, 96)
    for person in persons:
        for k, (u, v) in enumerate(person):
            blob = torch.exp(-((x - 4 * u - 1.5) ** 2 + (y - 4 * v - 1.5) ** 2) / (2 * 5**2))
            found[0, k] = found[0, k].maximum(blob)
    found[0, 2, :, 48:] = 5
    return found


def places(person: tuple[tuple[int, int], ...]) -> Tensor:
    """(1, 2, 2) input px, as the codec scales them."""
    return 4.0 * torch.tensor(person)[None]


@pytest.fixture
def adapter() -> AssociativeEmbeddingAdapter:
    return AssociativeEmbeddingAdapter(Pooled(), beta=30.0)


@pytest.mark.parametrize("person", [ANN, BEN])
def test_each_person_is_read_off_its_own_peaks(adapter: AssociativeEmbeddingAdapter, person: Any) -> None:
    """The codec's decoding exactly (the peak of a symmetric blob), the coordinates within a tenth of a heatmap px."""
    both = image(ANN, BEN)
    bound = adapter.bind(both, places(person))
    assert torch.allclose(bound.predict(both), places(person), atol=1.01)  # the codec steps by a quarter px at ties
    assert torch.equal(bound.predict(both)[0], bound.person.own)  # type: ignore[union-attr]
    assert torch.allclose(bound(both).coords, places(person), atol=0.4)


def test_the_border_lies_half_way_between_two_peaks(adapter: AssociativeEmbeddingAdapter) -> None:
    """Joint 0 at x = 4 and 18, y = 3 and 4: pixels nearer to Ann's are hers; alone she has the whole map."""
    cell = adapter.bind(image(ANN, BEN), places(ANN)).person.cell  # type: ignore[union-attr]
    y, x = torch.meshgrid(torch.arange(16), torch.arange(24), indexing="ij")
    hers = (x - 4) ** 2 + (y - 3) ** 2 <= (x - 18) ** 2 + (y - 4) ** 2
    assert torch.equal(cell[0], hers)
    assert bool(adapter.bind(image(ANN), places(ANN)).person.cell.all())  # type: ignore[union-attr]


def test_a_map_reacts_to_the_person_s_own_evidence_alone(adapter: AssociativeEmbeddingAdapter) -> None:
    """Ann's map is zero at Ben's blobs, whatever the path; it has its maximum within 3 heatmap px of her own."""
    both = image(ANN, BEN)
    for person, other in ((ANN, BEN), (BEN, ANN)):
        bound = adapter.bind(both, places(person))
        found = path_attribution(lambda x, b=bound: b(x).coords, both, places(person) + 6, path="linear", nodes=8)
        for k in range(2):
            there = found.maps[0, k]
            (u, v), (s, t) = person[k], other[k]
            assert float(there[4 * t : 4 * t + 4, 4 * s : 4 * s + 4].max()) == 0
            peak = torch.tensor(divmod(int(there.argmax()), 96))
            assert float((peak - torch.tensor([4 * v + 1.5, 4 * u + 1.5])).norm()) < 12


def test_cells_stay_when_the_image_changes(adapter: AssociativeEmbeddingAdapter) -> None:
    """Where Ann is gone the bound adapter doesn't jump to Ben; it is chosen once, on the clean image."""
    bound = adapter.bind(image(ANN, BEN), places(ANN))
    assert bool((bound(image(BEN)).coords[0, :, 0] < 48).all())
    assert bool((bound.predict(image(BEN))[0, :, 0] < 52).all())


def test_centre_shift_and_udp_scale_are_the_codec_s() -> None:
    """Half a heatmap px, and (input - 1) / (heatmap - 1)."""
    one = AssociativeEmbeddingAdapter(Pooled(use_udp=True, decode_center_shift=0.5), beta=30.0)
    both = image(ANN, BEN)
    expected = (torch.tensor(ANN)[None] + 0.5) * torch.tensor([95 / 23, 63 / 15])
    bound = one.bind(both, expected)
    assert torch.allclose(bound.predict(both), expected, atol=0.2)
    assert torch.equal(bound.predict(both)[0], bound.person.own)  # type: ignore[union-attr]
    assert torch.allclose(bound(both).coords, expected, atol=0.4)
