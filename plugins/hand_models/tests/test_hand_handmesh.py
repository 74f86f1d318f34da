"""MobRecon and CMR compute what their official layout says: proven by a forward pass that knows nothing of the
plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from official_handmesh import Layout, cmr, random_weights, shapes_of
from official_handmesh_forward import forward
from poseig_hand_models.convert import place, read_official
from poseig_hand_models.handmesh import cmr_weights, mobrecon_weights
from poseig_hand_models.mobrecon import mobrecon_name
from poseig_hand_models.template import synthetic_hand
from torch import Tensor

from poseig_mm.adapters.weights import load_weights
from poseig_mm.errors import CheckpointError, ConfigError

TINY = {
    "spiral": Layout("spiral", 64, 8, 16, (8, 12, 12, 16), maps=24),
    "dsconv": Layout("dsconv", 32, 8, 16, (8, 12, 12, 16), maps=24),
    "projection": Layout("dsconv", 32, 8, 12, (8, 12, 12, 16), projection=True),
    "g": Layout("g", 32, 4, 10, (8, 8, 12, 16), 27, blocks=(1, 1, 1, 1)),
    "sg": Layout("sg", 32, 4, 10, (8, 8, 12, 16), 27, blocks=(1, 1, 1, 1)),
    "pg": Layout("pg", 32, 4, 10, (8, 8, 12, 16), 27, blocks=(1, 2, 1, 1)),
    "pg-50": Layout("pg", 32, 4, 10, (8, 8, 12, 16), 27, depth=50, blocks=(2, 1, 1, 1)),
}
FULL = {
    "spiral": Layout("spiral"),
    "dsconv": Layout("dsconv"),
    "projection": Layout("spiral", projection=True),
    **{f"{kind}-{depth}": cmr(kind, depth) for kind in ("g", "sg", "pg") for depth in (18, 50)},
}
# Parts whose weights are in the official files, but reach no output
UNUSED = {
    **dict.fromkeys(
        ("spiral", "dsconv", "projection"), tuple(f"backbone.dense_stack1.{n}." for n in ("senet3", "dense4", "dense5"))
    ),
    "g": (),
    **dict.fromkeys(("sg", "pg", "pg-50"), ("backbone2.fc.",)),
}


def build(m: Layout, regressor: str | None = "synthetic", **settings: Any) -> Any:
    """The MMPose model of a layout, on our own mesh."""
    import poseig_hand_models.models  # noqa: F401
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    backbone = dict(topology="synthetic", decoder_channels=m.channels, latent=m.latent)
    if m.kind in ("spiral", "dsconv"):
        backbone |= dict(type="MobRecon", size=m.size, channels=m.c, convolution=m.kind, projection=m.projection)
    else:
        backbone |= dict(type="CMR", variant=m.kind, depth=m.depth, width=m.c, blocks=m.blocks)
    config = dict(
        type="HandMeshEstimator",
        data_preprocessor=dict(type="PoseDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True),
        backbone={**backbone, **settings},
        head=dict(type="HandMeshHead", input_size=(m.size, m.size), scale=200.0, regressor=regressor),
    )
    with DefaultScope.overwrite_default_scope("mmpose"):
        return MODELS.build(config).eval()


def renaming(m: Layout) -> dict[str, Any]:
    return dict(rename=mobrecon_name) if m.kind in ("spiral", "dsconv") else {}


def weights_of(m: Layout) -> Any:
    return mobrecon_weights if m.kind in ("spiral", "dsconv") else cmr_weights


@pytest.fixture(scope="module")
def mesh() -> tuple[dict[int, tuple[Tensor, ...]], list[Tensor]]:
    """Spirals by length, and upsampling matrices, of our own mesh."""
    levels = synthetic_hand().levels
    return {n: levels.spirals([n] * 4) for n in (9, 27)}, [m.double() for m in levels.upsampling()]


def images(m: Layout) -> Tensor:
    return torch.randn(2, 3, m.size, m.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list(FULL))
def test_the_official_layout_is_the_models_own(name: str) -> None:
    """Names and shapes of the published sizes, one for one."""
    m = FULL[name]
    with torch.device("meta"):
        model = build(m, regressor=None)
    shapes = shapes_of(m)
    given = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    found = place(given, model, **renaming(m))
    assert len(found) == len(given) == len([k for k in model.state_dict() if k != "head.regressor.matrix"])
    numbers = [k for k in shapes if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(p.numel() for p in model.parameters()) == sum(given[k].numel() for k in numbers)


@pytest.mark.parametrize("name", list(TINY))
def test_a_converted_file_computes_what_the_official_model_does(name: str, tmp_path: Path, mesh: Any) -> None:
    """Weights that are all different, through a file: vertices and where the joints appear, in float64."""
    m = TINY[name]
    given = random_weights(m)
    torch.save({"model_state_dict": given, "epoch": 3}, tmp_path / "official.pt")
    model = build(m).double()
    load_weights(model, weights_of(m)(read_official(tmp_path / "official.pt"), model), "converted", 21)
    x = images(m)
    with torch.no_grad():
        found = model.extract_feat(x)
        expected = forward(m, given, x, mesh[0][m.length], mesh[1])
    for key, value in expected.items():
        assert value.std() > 1e-4, key
        assert (value[0] - value[1]).abs().max() > 1e-4 * value.abs().max(), key  # the image matters
        assert (found[key] - value).abs().max() < 1e-9 * value.abs().max(), key
    if "heatmaps" in expected:
        assert expected["heatmaps"].flatten(2).std(-1).min() > 1e-3  # no map is flat
        index = expected["heatmaps"].flatten(2).argmax(-1)
        side = m.size // 2
        assert torch.equal(found["uv_decided"], torch.stack([index % side / side, index // side / side], -1).double())


@pytest.mark.parametrize("name", ["projection", "spiral", "g", "sg", "pg-50"])
def test_every_weight_counts(name: str, mesh: Any) -> None:
    """So that the comparison above sees each: all reach an output, but those of the parts that are known to be idle."""
    m = TINY[name]
    given = {k: v.requires_grad_(v.is_floating_point() and "running" not in k) for k, v in random_weights(m).items()}
    found = forward(m, given, images(m), mesh[0][m.length], mesh[1])
    sum((v * torch.randn_like(v)).sum() for v in found.values()).backward()
    idle = {k for k, v in given.items() if v.requires_grad and (v.grad is None or not v.grad.any())}
    expected = (
        {k for k, v in given.items() if v.requires_grad and k.startswith(UNUSED[name])} if UNUSED[name] else set()
    )
    assert idle == expected


@pytest.mark.parametrize("name", ["dsconv", "g"])
def test_the_spirals_order_matters(name: str, mesh: Any) -> None:
    """Turn each spiral by one: other vertices.  So the comparison above also holds the topology."""
    m = TINY[name]
    given, x = random_weights(m), images(m)
    turned = [torch.cat([s[:, :1], s[:, 1:].roll(1, 1)], 1) for s in mesh[0][m.length]]
    first, second = (forward(m, given, x, s, mesh[1])["vertices"] for s in (mesh[0][m.length], turned))
    assert (first - second).abs().max() > 0.01 * first.abs().max()


def test_both_namings_of_mobrecon_are_read(tmp_path: Path) -> None:
    """The later training code's `reduce`, and data parallel's 'module.'."""
    m = TINY["projection"]
    given = random_weights(m, dtype=torch.float32)
    model = build(m)
    first = mobrecon_weights(given, model)
    renamed = {"module." + k.replace("backbone.conv.", "backbone.reduce."): v for k, v in given.items()}
    assert "module.backbone.reduce.0.weight" in renamed
    torch.save(renamed, tmp_path / "later.pt")
    second = mobrecon_weights(read_official(tmp_path / "later.pt"), model)
    assert list(first) == list(second)
    assert all(torch.equal(first[k], second[k]) for k in first)
    with pytest.raises(
        CheckpointError, match=r"unexpected: backbone.reduce.0.weight \(beside backbone.conv.0.weight\)"
    ):
        mobrecon_weights({**given, "backbone.reduce.0.weight": given["backbone.conv.0.weight"]}, model)


def test_what_does_not_fit_is_listed() -> None:
    """Missing, unexpected and of another shape, by name, and the settings that are the file's."""
    m = TINY["dsconv"]
    given = random_weights(m, dtype=torch.float32)
    del given["backbone.thrink.1.running_var"], given["backbone.thrink.1.num_batches_tracked"]
    given["decoder3d.de_layer_conv.0.weight"] = torch.zeros(16, 16, 1, 1)
    given["decoder3d.upsample"] = given["decoder3d.upsample"][1:]
    with pytest.raises(CheckpointError) as caught:
        mobrecon_weights(given, build(m))
    message = str(caught.value)
    assert "unexpected: decoder3d.de_layer_conv.0.weight;" in message
    assert (
        "missing: backbone.backbone.thrink.1.running_var;" in message
    )  # old files lack the number of batches, no more
    assert "of another shape: decoder3d.upsample (48, 21) instead of (49, 21)" in message
    assert "set convolution='dsconv' and projection=True" in message


def test_one_missing_weight_is_enough() -> None:
    """Nothing else wrong; but numbers of batches, which old files lack, may all be missing."""
    given = random_weights(TINY["spiral"], dtype=torch.float32)
    model = build(TINY["spiral"])
    old = {k: v for k, v in given.items() if not k.endswith("num_batches_tracked")}
    assert set(mobrecon_weights(old, model)) == {mobrecon_name(k) for k in old}
    del given["decoder3d.head.layer.bias"]
    with pytest.raises(
        CheckpointError, match=r"official files: missing: backbone\.decoder3d\.head\.layer\.bias\. To go on"
    ):
        mobrecon_weights(given, model)


@pytest.mark.parametrize(("file", "model"), [("pg", "sg"), ("sg", "pg"), ("g", "pg"), ("pg-50", "pg")])
def test_another_variants_file_is_refused(file: str, model: str) -> None:
    """And the message says which it is."""
    m = TINY[file]
    with pytest.raises(CheckpointError, match=f"set variant='{m.kind}', depth={m.depth} and attention={m.kind != 'g'}"):
        cmr_weights(random_weights(m, dtype=torch.float32), build(TINY[model]))


def test_settings_that_do_not_fit_are_refused() -> None:
    """Each says what there is."""
    for settings, message in (
        (dict(size=48), "multiples of 32"),
        (dict(convolution="dsconf"), "did you mean 'dsconv'"),
        (dict(spiral_length=8), "square number"),
        (dict(latent=12), "without a projection"),
        (dict(topology="nowhere/transform.pkl"), r"transform.pkl does not exist.*MANO's licence"),
    ):
        with pytest.raises((ConfigError, CheckpointError), match=message):
            build(TINY["dsconv"], **settings)
    for settings, message in ((dict(variant="gs"), "g, sg, pg"), (dict(depth=34), "18, 50")):
        with pytest.raises(ConfigError, match=message):
            build(TINY["pg"], **settings)
