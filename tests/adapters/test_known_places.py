"""A place of the input that each codec of MMPose encodes is the place where the adapter finds it.

The truth is the codec's own `encode`, which takes input px; nothing of the adapter is in it.  A soft-argmax is a mean,
so the head's output is made such that the softmax is the codec's target: then its mean is the target's.  The limit of
this is the border: a Gaussian that the map cuts off has its mean inside of its peak.  So places keep three of its
standard deviations away (24 px of 192 x 256), and a test says how much is lost at the border itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from adapter_models import (
    HEATMAP_HEAD,
    INTEGRAL_HEAD,
    REGRESSION_HEAD,
    SIMCC_HEAD,
    K,
    inject,
    tiny_adapter,
)
from instance_models import AE, DECOUPLED, SPR, instance_adapter
from torch import Tensor

from poseig_mm.adapters.instances import Person
from poseig_mm.adapters.internet import InternetAdapter

pytestmark = pytest.mark.usefixtures("mmpose_ready")
SMALL, LARGE, SQUARE = (192, 256), (288, 384), (256, 256)
NEAR = 0.05  # input px
QUARTER = 0.26  # heatmap px: the step of MMPose's decoding towards the second highest neighbour, which may be noise


@dataclass(frozen=True)
class Codec:
    """A codec at a published size."""

    family: str  # of `adapter_models.FAMILIES`
    settings: dict[str, Any]
    own: float  # input px by which MMPose's own decoding may miss its own target
    whole: float | None = None  # px between the places that it can encode; None: all of them
    first: float = 0.0  # the first of these
    beta: float = 1.0  # with which the softmax is the target
    margin: float = 24.0  # px that places keep from the border

    @property
    def size(self) -> tuple[int, int]:
        """(w, h) of the input."""
        width, height = self.settings["input_size"]
        return width, height


def codec(kind: str, size: tuple[int, int], **more: Any) -> dict[str, Any]:
    """A codec's config, with heatmaps of a quarter of the input where it has any."""
    maps = {} if kind in ("SimCCLabel", "RegressionLabel") else {"heatmap_size": (size[0] // 4, size[1] // 4)}
    return {"type": kind, "input_size": size, **maps, **more}


MSRA, UDP, MEGVII, SIMCC = "MSRAHeatmap", "UDPHeatmap", "MegviiHeatmap", "SimCCLabel"
INTEGRAL = {"sigma": 2.0, "unbiased": True}
CODECS = {
    "msra": Codec("heatmap-msra", codec(MSRA, SMALL, sigma=2), own=NEAR, whole=4),
    "msra large": Codec("heatmap-msra", codec(MSRA, LARGE, sigma=3), own=NEAR, whole=4, margin=36),
    "msra, DARK": Codec("heatmap-unbiased", codec(MSRA, SMALL, sigma=2, unbiased=True), own=NEAR),
    "udp": Codec("heatmap-udp", codec(UDP, SMALL, sigma=2), own=NEAR),
    "udp large": Codec("heatmap-udp", codec(UDP, LARGE, sigma=3, blur_kernel_size=17), own=NEAR, margin=36),
    "udp square": Codec("heatmap-udp", codec(UDP, SQUARE, sigma=2), own=NEAR),
    "udp, combined": Codec(
        "heatmap-combined", codec(UDP, SMALL, heatmap_type="combined"), own=NEAR, beta=100.0, margin=12
    ),
    "megvii": Codec("heatmap-megvii", codec(MEGVII, SMALL, kernel_size=11), own=4 * QUARTER, whole=4, first=2),
    "megvii large": Codec(
        "heatmap-megvii", codec(MEGVII, LARGE, kernel_size=15), own=4 * QUARTER, whole=4, first=2, margin=32
    ),
    "simcc": Codec("simcc", codec(SIMCC, SMALL, sigma=6.0), own=NEAR, whole=0.5),
    "simcc, rtmpose": Codec(
        "rtmcc", codec(SIMCC, SMALL, sigma=(4.9, 5.66), normalize=False, use_dark=False), own=NEAR, whole=0.5
    ),
    "simcc, one-hot": Codec("simcc", codec(SIMCC, SMALL, smoothing_type="standard"), own=NEAR, whole=0.5, margin=0),
    "integral": Codec("integral", codec("IntegralRegressionLabel", SQUARE, **INTEGRAL), own=NEAR),
    "integral, debiased": Codec("integral-debias", codec("IntegralRegressionLabel", SQUARE, **INTEGRAL), own=NEAR),
    "dsnt": Codec("dsnt", codec("IntegralRegressionLabel", SQUARE, **INTEGRAL), own=NEAR),
    "regression": Codec("regression", codec("RegressionLabel", SMALL), own=NEAR, margin=-20),
    "rle": Codec("rle", codec("RegressionLabel", SMALL), own=NEAR, margin=-20),
}


def adapter_of(row: Codec) -> Any:
    """The adapter of a model whose head has this codec; `beta` as the row says, where it has one."""
    size, family = row.size, row.family
    if family.startswith(("integral", "dsnt")):
        kind = "DSNTHead" if family == "dsnt" else "IntegralRegressionHead"
        more = {"type": kind, "in_featuremap_size": (size[0] // 32, size[1] // 32)}
        more |= {"debias": True} if family == "integral-debias" else {}
        head = {**INTEGRAL_HEAD, **more}
    elif family in ("simcc", "rtmcc"):
        head = {**SIMCC_HEAD, "input_size": size, "in_featuremap_size": (size[0] // 32, size[1] // 32)}
    elif family in ("regression", "rle"):
        head = {**REGRESSION_HEAD, "type": "RLEHead" if family == "rle" else "RegressionHead"}
    else:
        head = {**HEATMAP_HEAD, "out_channels": 3 * K if family == "heatmap-combined" else K}
    adapter = tiny_adapter(family, head={**head, "decoder": row.settings})
    adapter.beta = row.beta
    return adapter


def places_of(row: Codec, batch: int = 4) -> Tensor:
    """(B, K, 2) places of the input all over it, off its centre, that the codec can encode."""
    generator = torch.Generator().manual_seed(0)
    low, high = row.margin, torch.tensor(row.size) - 1 - row.margin
    places = low + torch.rand(batch, K, 2, generator=generator, dtype=torch.float64) * (high - low)
    places[0, 0], places[0, 1] = low, high  # the corners of where places may be
    if row.whole is None:
        return places
    least, most = ((low - row.first) / row.whole), ((high - row.first) / row.whole)
    steps = ((places - row.first) / row.whole).round()
    return row.first + steps.clamp(min=math.ceil(least)).minimum(most.floor()) * row.whole


def encoded(row: Codec, adapter: Any, places: Tensor) -> Any:
    """What the adapter's `decode` takes, such that its softmax is the target that MMPose's codec makes."""
    decoder = adapter.head.decoder
    targets = [decoder.encode(p[None].numpy(), np.ones((1, K), dtype=np.float32)) for p in places]
    if adapter.name == "simcc":
        return tuple(
            torch.as_tensor(np.concatenate([t[f"keypoint_{axis}_labels"] for t in targets])).log() for axis in "xy"
        )
    if adapter.name == "regression":
        labels = torch.as_tensor(np.concatenate([t["keypoint_labels"] for t in targets]))
        return torch.cat([labels, labels * 0], -1) if row.family == "rle" else labels
    maps = torch.as_tensor(np.stack([t["heatmaps"] for t in targets]))
    if row.family == "heatmap-combined":
        return maps
    if adapter.name == "heatmap":
        return maps.log()
    # Debiasing takes away the share of the background, which is none of a peak of e^50.
    scores = maps.log() / adapter.head.beta + 50
    adapter.head.simplebaseline_head.forward = lambda feats: scores[: len(feats[-1])]
    return adapter.head.forward((torch.zeros(len(places), 1),))


@pytest.mark.parametrize("name", list(CODECS))
def test_an_encoded_place_is_found_there(name: str) -> None:
    """To a twentieth of a pixel of the input, for x and for y, sub-pixel and off the centre."""
    row = CODECS[name]
    adapter, places = adapter_of(row), places_of(row)
    found = adapter.decode(encoded(row, adapter, places)).coords
    assert found.shape == places.shape
    assert (found - places).abs().max() < NEAR
    assert places.flatten(0, 1).std(0).min() > 20  # they lie apart


@pytest.mark.parametrize("name", list(CODECS))
def test_the_models_own_decoding_is_in_the_same_pixels(name: str) -> None:
    """`own_decoding`, of the very target, as far as MMPose's decoding is exact: to its quarter step or Taylor's."""
    row = CODECS[name]
    adapter, places = adapter_of(row), places_of(row)
    output = encoded(row, adapter, places)
    if adapter.name in ("heatmap", "simcc") and row.family != "heatmap-combined":
        output = tuple(o.exp() for o in output) if adapter.name == "simcc" else output.exp()
    if not row.family.startswith(("integral", "dsnt")):
        inject(adapter, output)
    feats = (torch.zeros(len(places), 1),)
    own, decided = adapter.own_decoding(feats, torch.zeros(len(places), 3, row.size[1], row.size[0]))
    assert (own - places).abs().max() < row.own
    assert decided.all()


@pytest.mark.parametrize("name", ["msra", "megvii", "simcc, one-hot"])
def test_codecs_of_whole_places_are_right_on_average(name: str) -> None:
    """They round a place to one of theirs: over all places between two of these, the error's mean is nothing."""
    row = CODECS[name]
    assert row.whole is not None
    adapter = adapter_of(row)
    offsets = (torch.arange(40, dtype=torch.float64) + 0.5) / 40 * row.whole
    places = torch.tensor([80.0, 120.0]) + offsets.reshape(-1, K, 1).expand(-1, K, 2)
    error = (adapter.decode(encoded(row, adapter, places)).coords - places).flatten(0, 1)
    assert error.mean(0).abs().max() < NEAR
    assert error.abs().max() == pytest.approx(row.whole / 2, rel=0.06)  # so far apart are its places


LAST_CELLS = {  # of 192 x 256 px: where the lower right cell lies
    "msra": (188.0, 252.0),
    "udp": (191.0, 255.0),  # corners are aligned
    "megvii": (190.0, 254.0),
    "integral": (252.0, 252.0),  # of 256 x 256
}


@pytest.mark.parametrize("name", list(LAST_CELLS))
def test_the_first_and_the_last_cell_lie_where_the_codec_has_them(name: str) -> None:
    """A single cell's whole weight: no Gaussian, so no border."""
    row = CODECS[name]
    adapter = adapter_of(row)
    width, height = row.size[0] // 4, row.size[1] // 4
    maps = torch.full((2, K, height, width), -1e4)
    maps[0, :, 0, 0] = maps[1, :, -1, -1] = 0.0
    if name == "integral":
        adapter.head.simplebaseline_head.forward = lambda feats: maps
    found = adapter.decode(adapter.head.forward((maps,)) if name == "integral" else maps).coords
    first = 2.0 if name == "megvii" else 0.0
    assert torch.allclose(found[0], torch.tensor(first), atol=1e-3)
    assert torch.allclose(found[1], torch.tensor(LAST_CELLS[name]), atol=1e-3)


@pytest.mark.parametrize("name", ["msra, DARK", "udp"])
def test_at_the_border_a_soft_argmax_lies_inside(name: str) -> None:
    """In the first cell the half of the Gaussian that is left has its mean sigma sqrt(2 / pi) cells inside: 6 px."""
    row = CODECS[name]
    adapter = adapter_of(row)
    found = adapter.decode(encoded(row, adapter, torch.zeros(1, K, 2, dtype=torch.float64))).coords
    cells = torch.arange(7 if name == "udp" else 48, dtype=torch.float64)  # UDP's targets end at three sigma
    weights = (-cells.square() / (2 * 2.0**2)).exp()
    inside = (weights @ cells / weights.sum()).item()
    assert inside == pytest.approx(2.0 * math.sqrt(2 / math.pi), rel=0.3)
    assert torch.allclose(found, torch.tensor(inside * adapter.grid.scale[0]).to(found), atol=0.05)


# ---- models that find several persons in an image ------------------------------------------------------------------

WHOLE_IMAGE: dict[str, tuple[str, dict[str, Any], float]] = {  # -> family, settings, cells from encode to decode
    "associative embedding": ("associative_embedding", AE, 0.0),
    "associative embedding, shifted": ("associative_embedding", {**AE, "decode_center_shift": 0.5}, 0.5),
    "associative embedding, udp": ("associative_embedding-udp", {**AE, "use_udp": True}, 0.0),
}


@pytest.mark.parametrize("name", list(WHOLE_IMAGE))
def test_associative_embedding(name: str) -> None:
    """256 x 192 px; `decode_center_shift`, which MMPose adds to what it encoded itself, is added here too."""
    from mmpose.registry import KEYPOINT_CODECS

    family, settings, shift = WHOLE_IMAGE[name]
    adapter: Any = instance_adapter(family, beta=1.0)
    size = (256, 192)
    adapter.head.decoder = KEYPOINT_CODECS.build({**settings, "input_size": size, "heatmap_size": (64, 48)})
    adapter = type(adapter)(adapter.model, beta=1.0)
    adapter.person = Person(torch.ones(K, 48, 64, dtype=torch.bool), torch.zeros(K, 2))
    places = torch.tensor([[32.0, 40.0], [100.0, 96.0], [224.0, 152.0], [60.0, 144.0], [200.0, 64.0]])
    if settings.get("use_udp"):
        places = places + torch.tensor([0.0, 0.7, -1.3, 1.9, -0.2])[:, None]
    target = adapter.head.decoder.encode(places[None].numpy(), np.ones((1, K), dtype=np.float32))["heatmaps"]
    heatmaps = torch.as_tensor(target)[None]
    found = adapter.decode((heatmaps.log().clamp_min(-1e4), None)).coords[0]
    assert (found - places - 4.0 * shift).abs().max() < NEAR
    own = adapter.decode_own((heatmaps, None))[0]
    assert (own - places - 4.0 * shift).abs().max() < NEAR


def test_displacements() -> None:
    """SPR (DEKR), 256 x 192 px: each cell near the person's root points to the joint to a fraction of a pixel."""
    from mmpose.registry import KEYPOINT_CODECS

    adapter: Any = instance_adapter("dekr")
    adapter.head.decoder = KEYPOINT_CODECS.build({**SPR, "input_size": (256, 192), "heatmap_size": (64, 48)})
    adapter = type(adapter)(adapter.model)
    places = torch.tensor([[33.1, 41.7], [100.6, 97.2], [223.9, 150.4], [61.3, 143.3], [200.2, 3.5]])
    target = adapter.head.decoder.encode(places[None].numpy(), np.ones((1, K), dtype=np.float32))
    x, y = (places.mean(0) / 4).int().tolist()
    for cell in (y * 64 + x, (y - 2) * 64 + x + 1):
        adapter.person = Person(cell, torch.zeros(K, 2))
        output = (torch.as_tensor(target["heatmaps"])[None], torch.as_tensor(target["displacements"])[None])
        assert (adapter.decode(output).coords[0] - places).abs().max() < NEAR


def test_decoupled_heatmaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """CID, 256 x 192 px: MMPose's head adds half a cell, 2 px, to what its codec encoded; it is added here too."""
    from mmpose.registry import KEYPOINT_CODECS

    adapter: Any = instance_adapter("cid", beta=1.0)
    adapter.head.decoder = KEYPOINT_CODECS.build({**DECOUPLED, "input_size": (256, 192), "heatmap_size": (64, 48)})
    adapter = type(adapter)(adapter.model, beta=1.0)
    places = torch.tensor([[68.0, 60.0], [100.0, 96.0], [180.0, 116.0], [84.0, 128.0], [160.0, 72.0]])
    target = adapter.head.decoder.encode(places[None].numpy(), np.ones((1, K), dtype=np.float32))
    maps = torch.as_tensor(target["instance_heatmaps"])[None]
    monkeypatch.setattr(adapter, "_heatmaps", lambda output: maps.log())
    assert (adapter.decode(maps).coords[0] - places - 2.0).abs().max() < NEAR
    monkeypatch.setattr(adapter, "_heatmaps", lambda output: maps)
    assert (adapter.decode_own(maps)[0] - places - 2.0).abs().max() < NEAR


class InternetHead:
    """As much of MMPose's as its adapter reads."""

    def __init__(self) -> None:
        from mmpose.codecs import Hand3DHeatmap

        self.right_hand_head = self.left_hand_head = SimpleNamespace(out_channels=3 * 64, depth_size=64)
        self.decoder = Hand3DHeatmap(
            SQUARE, heatmap_size=[64, 64, 64], depth_size=64, sigma=2.5, heatmap3d_depth_bound=400.0, max_bound=255
        )


def test_volumes() -> None:
    """Hand3DHeatmap (InterNet), 256 x 256 px and 400 mm, 64 cells each: x and y, between the cells."""
    model = SimpleNamespace(head=InternetHead())
    adapter = InternetAdapter(model, beta=1.0)
    places = np.array([[60.3, 81.7, -60.0], [141.2, 71.3, 40.0], [133.9, 150.1, 0.0]])
    rest = (np.float32(0), np.float32(1), np.ones((1, 2)), np.ones(1), np.ones(2), np.ones(2))
    target = adapter.head.decoder.encode(places[None], np.ones((1, 3), dtype=np.float32), None, *rest)["heatmaps"]
    volumes = torch.as_tensor(target).reshape(1, 3, 64, 64, 64)
    found = adapter.decode([volumes.log(), None, None]).coords[0]
    expected = torch.as_tensor(places * [1, 1, 4 * 64 / 400])
    assert (found - expected).abs().max() < NEAR
