"""Joints in space as a differentiable function of the image: gradients, attribution, MMPose's estimator, configs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import poseig_hand_models.plugin
import pytest
import torch
import torch.nn.functional as F
from official_handmesh import Layout, random_weights
from poseig_hand_models.handmesh import cmr_weights, mobrecon_weights
from poseig_hand_models.official import main
from test_hand_handmesh import build
from torch import Tensor

from poseig_mm import attribute, load_adapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.attribution.acceleration import accelerate
from poseig_mm.errors import CheckpointError
from poseig_mm.plugin.manager import PluginHost

ROOT = Path(__file__).parents[3]
TRIED = [1, 4, 8, 20]  # joints that are attributed
CONFIGS = ROOT / "configs" / "hand_models"
LAYOUTS = {
    "mobrecon": Layout("spiral", 64, 8, 16, (8, 12, 12, 16)),
    "mobrecon-dsconv": Layout("dsconv", 64, 8, 16, (8, 12, 12, 16)),
    "cmr-g": Layout("g", 64, 4, 10, (8, 8, 12, 16), 27, blocks=(1, 1, 1, 1)),
    "cmr-pg": Layout("pg", 64, 4, 10, (8, 8, 12, 16), 27, blocks=(1, 1, 1, 1)),
}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    """Knows the built-ins and this plugin, whatever else is installed."""
    return PluginHost(entry_points=False, plugins=[poseig_hand_models.plugin])


def model(name: str, **settings: Any) -> Any:
    """With random weights of a size that makes joints move with the image; float64."""
    m = LAYOUTS[name]
    found = build(m, **settings).double()
    convert = cmr_weights if name.startswith("cmr") else mobrecon_weights
    found.load_state_dict(convert(random_weights(m), found), strict=False)
    return found.eval()


@pytest.fixture
def blobs() -> Tensor:
    """A smooth image (1, 3, 64, 64), float64."""
    coarse = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return F.interpolate(coarse, scale_factor=8, mode="bilinear")


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_gradients_are_those_of_finite_differences(name: str, host: PluginHost, blobs: Tensor) -> None:
    """Every coordinate of every joint along a random direction of the image, central differences in float64."""
    adapter = load_adapter(model(name), host=host)
    assert (adapter.name, adapter.unit) == ("hand_mesh", "mm")
    x = blobs.clone().requires_grad_()
    direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    step = 1e-7
    with adapter.frozen():
        coords = adapter(x).coords
        assert coords.shape == (1, 21, 3)
        assert not coords[:, 0].any()  # the wrist is the origin
        joints = coords[:, 1:].flatten()
        slopes = torch.stack([(torch.autograd.grad(c, x, retain_graph=True)[0] * direction).sum() for c in joints])
        with torch.no_grad():
            ahead, behind = (adapter(x + s * direction).coords[:, 1:].flatten() for s in (step, -step))
    expected = (ahead - behind) / (2 * step)
    assert expected.abs().min() > 0
    assert (slopes - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", ["mobrecon", "cmr-pg"])
def test_attribution_is_complete(name: str, host: PluginHost, blobs: Tensor) -> None:
    """Signed maps sum to what the target gains along the path, for joints in space."""
    adapter = load_adapter(model(name), host=host)
    with torch.no_grad():
        coords = adapter(blobs).coords
        size = (coords - adapter(blobs.mean((2, 3), keepdim=True).expand_as(blobs)).coords).norm(dim=-1).max().item()
    truth = coords + size  # so that the target is neither flat nor at its peak
    asked = torch.zeros(1, 21, dtype=torch.bool)
    asked[0, TRIED] = True
    found = attribute(
        adapter, blobs, truth, quadrature="midpoint", nodes=64, signed=True, dtype=torch.float64, compute="exact",
        likelihood_settings=dict(alpha=0.5 / size), joints=asked,
    )  # fmt: skip
    assert found.signed is not None
    gained = (found.target_end - found.target_start)[0, TRIED]
    assert gained.abs().min() > 0.005
    assert (found.signed.sum((2, 3))[0, TRIED] - gained).abs().max() < 0.03 * gained.abs().max()
    assert found.maps[0, TRIED].amax((1, 2)).tolist() == pytest.approx([1.0] * len(TRIED))


@pytest.mark.parametrize("name", ["mobrecon", "cmr-pg"])
def test_the_fast_backward_pass_is_taken(name: str, host: PluginHost, blobs: Tensor) -> None:
    """Batch norms are folded, and the bfloat16 backward pass gives the exact gradients' direction."""
    adapter = load_adapter(model(name).float(), host=host)
    with adapter.frozen():
        found = accelerate(adapter, blobs.float(), backward_dtype="bfloat16")
    assert found.folded
    assert found.cosine is not None
    assert found.cosine > 0.99


def test_the_wrist_has_no_map_but_a_reason(host: PluginHost, blobs: Tensor) -> None:
    """It is the origin, whatever the image: nothing is attributed to it, and that is said."""
    adapter = load_adapter(model("mobrecon"), host=host)
    with torch.no_grad():
        truth = adapter(blobs).coords + 1.0
    found = attribute(adapter, blobs, truth, quadrature="midpoint", nodes=2, dtype=torch.float64, compute="exact")
    assert found.maps[0, 0].isnan().all()
    assert found.reasons[0][0] != ""
    assert found.reasons[0][1] == ""


@pytest.mark.parametrize("name", ["mobrecon", "cmr-g"])
def test_coordinates_agree_with_the_models_own(name: str, host: PluginHost, blobs: Tensor) -> None:
    """In mm they are the prediction itself."""
    adapter = load_adapter(model(name), host=host)
    agreement = adapter.calibrate(blobs)
    assert (agreement.unit, agreement.n, agreement.mean_distance, agreement.threshold) == ("mm", 21, 0.0, 1.0)


def test_without_files_there_are_joints_in_the_image(
    host: PluginHost, blobs: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    """No topology: MobRecon's uv, in px; of CMR a soft-argmax beside the published argmax."""
    with caplog.at_level(logging.WARNING):
        adapter = load_adapter(model("mobrecon", topology=None), host=host)
        found = adapter(blobs)
    assert (adapter.unit, adapter.dimensions) == ("px", 2)
    assert "knows no topology" in caplog.text
    assert torch.equal(found.coords, 64 * adapter.model.extract_feat(blobs)["uv"])
    sharp = model("cmr-pg", topology=None, uv_beta=3e5)
    sharp.backbone.uvm_head.conv.weight.data *= 0.3  # no map is 1 in several cells
    adapter = load_adapter(sharp, host=host)
    assert adapter.unit == "px"
    agreement = adapter.calibrate(blobs)
    assert agreement.good
    assert agreement.threshold == 4.0
    assert agreement.mean_distance > 0
    soft = load_adapter(model("cmr-pg", topology=None, uv_beta=1.0), host=host)
    assert not soft.calibrate(blobs).good  # nearly the mean of the whole map
    with torch.no_grad():
        maps = soft.model.extract_feat(blobs)["heatmaps"]
        weights = maps.exp() / maps.exp().sum((2, 3), keepdim=True)
        x = (weights * torch.arange(32.0)).sum((2, 3)) * 2
    assert torch.allclose(soft(blobs).coords[..., 0], x)


def test_a_regressor_in_the_checkpoint_is_enough(host: PluginHost, blobs: Tensor) -> None:
    """A config without one, weights with one."""
    whole = model("mobrecon")
    bare = build(LAYOUTS["mobrecon"], regressor=None)
    bare.load_state_dict(whole.state_dict())
    adapter = load_adapter(bare.double().eval(), host=host)
    assert adapter.unit == "mm"
    assert torch.allclose(adapter(blobs).coords, load_adapter(whole, host=host)(blobs).coords, atol=1e-3)


def sample(**metainfo: Any) -> Any:
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    placed = dict(input_size=(64, 64), input_center=np.array([100.0, 50.0]), input_scale=np.array([128.0, 128.0]))
    found = PoseDataSample(metainfo={**placed, **metainfo})
    found.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    return found


def test_the_estimator_leaves_mm_alone(blobs: Tensor) -> None:
    """A data sample gets joints in mm as the head gave them, and those in px moved into the image."""
    whole = model("mobrecon")
    (found,) = whole.predict(blobs, [sample()])
    feats = whole.extract_feat(blobs)
    instances = found.pred_instances
    assert np.array_equal(instances.keypoints, whole.head.forward(feats).numpy(force=True))
    px = feats["uv"].numpy(force=True) * 64
    assert np.allclose(instances.keypoints_2d, px / 64 * 128 + [100, 50] - 64)
    flat = model("mobrecon", topology=None)
    (found,) = flat.predict(blobs, [sample()])
    assert np.allclose(found.pred_instances.keypoints, px / 64 * 128 + [100, 50] - 64)
    whole.test_cfg["output_keypoint_indices"] = [4, 8]
    (found,) = whole.predict(blobs, [sample()])
    assert np.array_equal(found.pred_instances.keypoints, instances.keypoints[:, [4, 8]])
    assert np.allclose(found.pred_instances.keypoints_2d, instances.keypoints_2d[:, [4, 8]])


def test_it_learns(blobs: Tensor) -> None:
    """A few steps of MMPose's training loss make it smaller, by the decoder and the encoder."""
    from mmengine.structures import InstanceData

    whole = model("mobrecon").train()
    batch = torch.cat([blobs, -blobs])
    truth = sample()
    truth.gt_instances.set_field(torch.randn(1, 21, 3).double() * 30, "keypoints_3d")
    truth.gt_instance_labels = InstanceData(keypoint_labels=torch.rand(1, 21, 2), keypoint_weights=torch.ones(1, 21))
    optimizer = torch.optim.Adam(whole.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        parts = whole.loss(batch, [truth, truth])
        assert set(parts) == {"loss_joints", "loss_uv"}
        loss = sum(parts.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("name", ["mobrecon", "cmr"])
def test_shipped_model_configs_are_built(
    name: str, tmp_path: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without HandMesh's files: an error that names them; with files of their form: joints in mm."""
    import poseig_hand_models.models  # noqa: F401
    from poseig_hand_models.template import synthetic_hand
    from test_hand_topology import written

    monkeypatch.setenv("POSEIG_HANDMESH", str(tmp_path))
    with pytest.raises(Exception, match=r"template/transform.pkl does not exist.*HandMesh.*MANO's licence"):
        build_model(CONFIGS / "_base_" / "models" / f"{name}.py")
    (tmp_path / "template").mkdir()
    shutil.move(written(tmp_path, 4), tmp_path / "template" / "transform.pkl")
    hand = synthetic_hand()
    tips = np.eye(778)[[hand.tips[f] for f in ("index", "middle", "little", "ring", "thumb")]]
    np.save(tmp_path / "template" / "j_reg.npy", np.concatenate([hand.mano.joint_regressor, tips]))
    adapter = load_adapter(CONFIGS / "_base_" / "models" / f"{name}.py", host=host)
    assert adapter.unit == "mm"
    low, high = adapter.pixel_range()
    assert (low, high) == ((-1.0,) * 3, (1.0,) * 3)
    own = SimpleNamespace(joints=adapter.head.regressor(torch.from_numpy(hand.mano.v_template)[None].float()))
    assert torch.allclose(
        own.joints[0, 8], torch.from_numpy(hand.mano.v_template[hand.tips["index"]]).float(), atol=1e-6
    )


RUNS = sorted(p.name for p in CONFIGS.glob("*freihand*-*.py"))


@pytest.mark.parametrize("name", RUNS)
def test_shipped_configs_are_read(name: str) -> None:
    """Model and data of each; they differ by what their names say."""
    from poseig_mm.compat import read_config

    if not (CONFIGS / "_base_" / "freihand.py").is_file():
        pytest.skip("configs/hand_models/_base_/freihand.py, the data, is not here")
    config = read_config(CONFIGS / name)
    size = int(name.rpartition("x")[2].removesuffix(".py"))
    assert config.model.head.input_size == (size, size)
    (affine,) = [t for t in config.test_dataloader.dataset.pipeline if t["type"] == "HandAffine"]
    assert affine["input_size"] == (size, size)
    if name.startswith("cmr"):
        assert f"cmr_{config.model.backbone.variant}_res{config.model.backbone.depth}" in name
    elif name.startswith("mobrecon"):
        assert ("dsconv" in name) == (config.model.backbone.convolution == "dsconv")


def test_the_command_converts_and_the_file_loads(
    tmp_path: Path, host: PluginHost, blobs: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    """An official file in, a checkpoint out, which a config takes: joints in mm; another model's file is refused."""
    m = LAYOUTS["mobrecon"]
    config = tmp_path / "config.py"
    config.write_text(
        f"""default_scope = 'mmpose'
custom_imports = dict(imports=['poseig_hand_models.models'], allow_failed_imports=False)
model = dict(type='HandMeshEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True),
    backbone=dict(type='MobRecon', topology='synthetic', size={m.size}, channels={m.c}, latent={m.latent},
                  decoder_channels={m.channels}),
    head=dict(type='HandMeshHead', input_size=({m.size}, {m.size}), scale=200.0, regressor='synthetic'))
"""
    )
    torch.save({"model_state_dict": {k: v.float() for k, v in random_weights(m).items()}}, tmp_path / "official.pt")
    paths = [str(tmp_path / n) for n in ("official.pt", "out.pth")]
    assert main(["mobrecon", *paths, "--config", str(config)]) == 0
    adapter = load_adapter(config, tmp_path / "out.pth", host=host)
    expected = load_adapter(model("mobrecon").float(), host=host)
    found, wanted = adapter(blobs.float()).coords, expected(blobs.float()).coords
    assert wanted.abs().max() > 10  # mm
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()
    torch.save(random_weights(LAYOUTS["mobrecon-dsconv"], dtype=torch.float32), tmp_path / "official.pt")
    (tmp_path / "out.pth").unlink()
    assert main(["mobrecon", *paths, "--config", str(config)]) == 1
    assert "set convolution='dsconv'" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_a_missing_regressor_file_is_an_error() -> None:
    """A path that was given must be there: no silent fallback."""
    with pytest.raises(CheckpointError, match=r"j_reg.npy does not exist; the joint regressor"):
        build(LAYOUTS["mobrecon"], regressor="nowhere/j_reg.npy")
