"""HandOccNet: layout, wiring, where MANO's data come from, gradients, losses, attribution."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from official_handoccnet import FULL, INSIDE, SMALL, drawn, forward, mano_shapes, mano_weights, shapes
from official_parts import (
    directional,
    estimator,
    load,
)
from poseig_hand_models.handoccnet import HandOccNet
from poseig_hand_models.mano_head import ManoMeshHead
from poseig_hand_models.official import convert, handoccnet_weights
from poseig_hand_models.rotations import rotations_from_axis_angles
from poseig_hand_models.skinning import ManoLayer
from poseig_hand_models.template import synthetic_hand
from scipy.spatial.transform import Rotation
from torch import Tensor

from poseig_mm import attribute
from poseig_mm.errors import CheckpointError, ConfigError, DataError

CONFIGS = Path(__file__).parents[3] / "configs" / "hand_models"


def small(mano: str | None = "synthetic", **settings: Any) -> tuple[HandOccNet, dict[str, Tensor]]:
    network = HandOccNet(mano, **{**SMALL, **settings}).double().eval()
    weights = drawn()
    network.load_state_dict({**network.state_dict(), **weights})
    return network, weights


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_the_layout_is_the_backbones() -> None:
    """Full size: names and shapes, with and without MANO's buffers."""
    with torch.device("meta"):
        own = [{k: tuple(v.shape) for k, v in HandOccNet(m).state_dict().items()} for m in ("checkpoint", None)]
    official = shapes(**FULL)
    unused = ("th_betas", "th_selected_comps")
    assert own[1] == official
    assert own[0] == {**official, **{f"{INSIDE}{k}": v for k, v in mano_shapes().items() if k not in unused}}
    assert official["regressor.mano_regHead.mano_base_layer.0.weight"] == (1024, 1024)


def test_weights_land_where_they_belong(images: Tensor) -> None:
    """2D joints, shape and the fingers' rotations are those of the forward pass that knows weights' names alone."""
    network, weights = small()
    with torch.no_grad():
        found, meant = network(images), forward(weights, images, SMALL)
    assert torch.allclose(found["uv"], meant["uv"], atol=1e-10)
    assert torch.allclose(found["shape"], meant["shape"], atol=1e-9)
    first = meant["six"][..., :3] / meant["six"][..., :3].norm(dim=-1, keepdim=True)
    columns = rotations_from_axis_angles(found["pose"].unflatten(1, (16, 3)))
    assert torch.allclose(columns[..., 0], first, atol=1e-9)
    assert (meant["uv"][0] - meant["uv"][1]).abs().max() > 1e-4
    assert meant["uv"].std(1).min() > 1e-3


def test_the_mean_pose_is_added_as_axis_angles(images: Tensor) -> None:
    """The mesh is that of scipy's rotations of pose + mean for the fingers, and of the pose alone for the wrist; m."""
    network, _ = small()
    with torch.no_grad():
        found = network(images)
    layer = network.regressor.mano_regHead.mano_layer
    full = found["pose"] + torch.cat([torch.zeros(1, 3).double(), layer.th_hands_mean], 1)
    rotations = torch.from_numpy(Rotation.from_rotvec(full.reshape(-1, 3).numpy()).as_matrix()).reshape(2, 16, 3, 3)
    vertices, joints = layer(rotations, found["shape"])
    assert torch.allclose(found["vertices"], vertices, atol=1e-10)
    assert torch.allclose(found["joints"], joints, atol=1e-10)
    assert layer.th_hands_mean.abs().max() > 0.05


def test_every_weight_has_a_part(images: Tensor) -> None:
    """But the convolution of a map that nothing uses; `encode_key`'s bias, which a softmax does not see."""
    network, _ = small()
    found = network(images)
    sum(v.square().sum() for v in found.values()).backward()
    largest = {n: 0.0 if p.grad is None else float(p.grad.abs().max()) for n, p in network.named_parameters()}
    silent = {n for n, g in largest.items() if g < 1e-11}
    unseen = {f"{t}.layers.{i}.encode_key.bias" for t in ("FIT", "SET") for i in (0, 1)}
    unseen |= {"regressor.hand_regHead.score.0.bias"}
    assert silent - unseen == {"backbone.smooth2.weight", "backbone.smooth2.bias"}


def test_gradients(images: Tensor) -> None:
    """Central differences of joints in mm, of 2D joints, and of vertices."""
    network, _ = small()
    for name, scale in (("joints", 1000), ("uv", 64), ("vertices", 1000)):
        exact, measured = directional(lambda x, n=name, s=scale: s * network(x)[n], images, 6)
        assert torch.allclose(exact, measured, rtol=1e-4), name
        assert exact.abs().min() > 1e-4


def test_gradients_at_the_mean_pose() -> None:
    """Rotations that are exactly none: finite, and right (the axis-angle of no rotation has no direction)."""
    regression = small()[0].regressor.mano_regHead
    with torch.no_grad():
        regression.pose_reg.weight.mul_(0.1)
        regression.pose_reg.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16))
        regression.mano_base_layer[2].bias.zero_()
        regression.mano_base_layer[0].bias.zero_()
    nought = torch.zeros(1, regression.mano_base_layer[0].in_features, dtype=torch.float64, requires_grad=True)
    assert regression(nought)["pose"].abs().max() == 0
    (gradient,) = torch.autograd.grad(regression(nought)["joints"].sum(), nought)
    assert gradient.isfinite().all()
    head = torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).repeat(1, 16, 1).requires_grad_()
    regression.mano_base_layer = torch.nn.Identity()
    regression.pose_reg, regression.shape_reg = torch.nn.Identity(), torch.nn.Linear(96, 10).double()
    torch.nn.init.zeros_(regression.shape_reg.weight)
    assert torch.autograd.gradcheck(lambda x: regression(x.flatten(1))["joints"], head, atol=1e-6)


def config(mano: str | None = "checkpoint", **settings: Any) -> Any:
    backbone = dict(type="HandOccNet", mano=mano, faces=len(synthetic_hand().mano.faces), **SMALL)
    return estimator(backbone, dict(type="ManoMeshHead", input_size=(64, 64), **settings), ("handoccnet", "mano_head"))


def official(tmp_path: Path, mano: bool = True) -> Path:
    """As upstream writes it, MANO's buffers included or not."""
    weights = drawn(dtype=torch.float32)
    if mano:
        weights |= {f"{INSIDE}{k}": torch.zeros(s) for k, s in mano_shapes(faces=7).items()}
        weights |= mano_weights(torch.float32)
    torch.save({"epoch": 9, "network": {f"module.{k}": v for k, v in weights.items()}}, tmp_path / "snapshot_9.pth.tar")
    return tmp_path / "snapshot_9.pth.tar"


def test_an_official_files_own_buffers_make_the_mesh(tmp_path: Path) -> None:
    """Joints in mm from the wrist, of the buffers in the file, fingertips where the right hand's layer has them."""
    told: list[str] = []
    saved = convert("handoccnet", official(tmp_path), tmp_path / "out.pth", config(), note=told.append)
    assert told == [f"left out, no part of MANO's mesh: {INSIDE}th_betas, {INSIDE}th_selected_comps"]
    adapter = load(config(), saved)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = adapter(images)
        network = small(None)[0].float()
        plain = network(images)
        mean = torch.from_numpy(synthetic_hand().mano.hands_mean[None]).float()
        full = plain["pose"] + torch.cat([torch.zeros(1, 3), mean], 1)
        layer = ManoLayer(faces=len(synthetic_hand().mano.faces)).fill(synthetic_hand().mano)
        vertices, joints = layer(rotations_from_axis_angles(full.unflatten(1, (16, 3))), plain["shape"])
    assert (adapter.unit, tuple(found.coords.shape)) == ("mm", (1, 21, 3))
    assert torch.allclose(found.coords, 1000 * (joints - joints[:, :1]), atol=0.05)
    tips = vertices[:, [745, 317, 444, 556, 673]]
    assert torch.allclose(found.coords[:, [4, 8, 12, 16, 20]], 1000 * (tips - joints[:, :1]), atol=0.05)
    assert found.coords.abs().max() > 20


def test_without_manos_buffers_a_file_gives_2d(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The converter refuses 3D and says what to give; `mano=None` takes the file, with a warning when it runs."""
    source = official(tmp_path, mano=False)
    with pytest.raises(CheckpointError, match=r"no MANO layer: give your MANO_RIGHT.pkl.*mano=None"):
        convert("handoccnet", source, tmp_path / "out.pth", config())
    adapter = load(config(None), convert("handoccnet", source, tmp_path / "out.pth", config(None)))
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING), torch.no_grad():
        found = adapter(images)
        adapter(images)
    assert adapter.unit == "px"
    assert torch.allclose(found.coords, 64 * small(None)[0].float()(images)["uv"], atol=1e-3)
    assert sum("MANO" in r.message for r in caplog.records) == 1
    with pytest.raises(ConfigError, match="output='3d' cannot be given"):
        load(config(None, output="3d"))(images)
    with pytest.raises(CheckpointError, match="MANO layer is empty"):
        load(config())(images)


def test_a_mano_file_instead_of_the_files_buffers(tmp_path: Path) -> None:
    """The file's own are then not used; and a model that brings a mesh needs none in the file."""
    model = load(config()).model
    hand = synthetic_hand().mano
    weights = {**drawn(dtype=torch.float32), **mano_weights(torch.float32)}
    weights[f"{INSIDE}th_v_template"] = torch.zeros(1, 778, 3)
    found = handoccnet_weights(weights, model, hand)
    assert torch.allclose(
        found[f"backbone.{INSIDE}th_v_template"][0].double(), torch.from_numpy(hand.v_template), atol=1e-6
    )
    assert bool(model.backbone.regressor.mano_regHead.mano_layer.th_weights.isnan().all())  # the model is not changed
    filled = load(config("synthetic")).model
    assert f"backbone.{INSIDE}th_weights" in handoccnet_weights(drawn(dtype=torch.float32), filled)
    with pytest.raises(CheckpointError, match=r"missing: backbone.regressor.mano_regHead.mano_layer.th_weights\."):
        handoccnet_weights({k: v for k, v in weights.items() if not k.endswith("th_weights")}, model)


def test_every_name_of_a_file_counts() -> None:
    """Each weight lands under its own name; one that is called otherwise, or more in the MANO layer, is refused."""
    model = load(config()).model
    weights = {**drawn(dtype=torch.float32), **mano_weights(torch.float32)}
    placed = handoccnet_weights(weights, model)
    assert placed.keys() == {f"backbone.{name}" for name in weights}
    assert all(torch.equal(placed[f"backbone.{name}"], value) for name, value in weights.items())
    for name in weights:
        if not name.endswith("num_batches_tracked"):
            with pytest.raises(CheckpointError, match="unexpected: x"):
                handoccnet_weights({("x" + n if n == name else n): v for n, v in weights.items()}, model)
    for mano in ("checkpoint", None):
        with pytest.raises(CheckpointError, match=r"unexpected: .*mano_layer\.th_more"):
            handoccnet_weights({**weights, f"{INSIDE}th_more": torch.zeros(1)}, load(config(mano)).model)
    told: list[str] = []
    handoccnet_weights(weights, load(config(None)).model, note=told.append)
    assert len(told) == 1
    assert told[0].startswith("left out, the config's `mano` is None: regressor.mano_regHead")


def sample(instances: Any, labels: Any) -> Any:
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    found = PoseDataSample()
    found.gt_instances, found.gt_instance_labels = InstanceData(**instances), InstanceData(**labels)
    return found


def test_losses_are_weighted_squares() -> None:
    """Vertices 1e4 and joints 1e4 (m), pose 10, shape 0.1, uv 100; places are compared from the wrist."""
    reader = ManoMeshHead((256, 256))
    feats = {
        "vertices": torch.randn(1, 778, 3),
        "joints": torch.randn(1, 21, 3),
        "pose": torch.randn(1, 48),
        "shape": torch.randn(1, 10),
        "uv": torch.rand(1, 21, 2),
    }
    wrist = feats["joints"][:, :1]
    truth = sample(
        dict(
            vertices_3d=1000 * (feats["vertices"] - wrist + 0.01),
            keypoints_3d=1000 * (feats["joints"] - wrist - 0.02),
            mano_pose=feats["pose"] + 0.1,
            mano_shape=feats["shape"] + 2,
        ),
        dict(keypoint_labels=feats["uv"] + 0.03),
    )
    found = {k: v.item() for k, v in reader.loss(feats, [truth]).items()}
    meant = {"vertices": 1e4 * 1e-4, "joints": 1e4 * 4e-4, "pose": 0.1, "shape": 0.4, "uv": 0.09}
    assert found == {f"loss_{k}": pytest.approx(v, rel=1e-3) for k, v in meant.items()}
    with pytest.raises(DataError, match="nothing to train with"):
        reader.loss(feats, [sample({}, {})])
    with pytest.raises(ConfigError, match="loss_weights name mesh"):
        ManoMeshHead((256, 256), loss_weights=dict(mesh=1.0))


@pytest.mark.parametrize("mano", ["synthetic", None])
def test_attribution(mano: str | None) -> None:
    """Complete, in mm and in px; the wrist, which is nought in space, has no map there."""
    adapter = load(config(mano))
    adapter.model.double()
    weights = drawn()
    for name in weights:  # less of the branches, and milder rotations: random ones change too abruptly to be integrated
        if name.endswith(("conv3.weight", "encode_query.weight", "encode_query2.weight", "fc2.weight")):
            weights[name] *= 0.05
    weights["regressor.mano_regHead.pose_reg.weight"] *= 0.2
    weights["regressor.hand_regHead.score.0.weight"] *= 5
    adapter.model.backbone.load_state_dict({**adapter.model.backbone.state_dict(), **weights})
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    points = adapter(images).coords.detach() + 2.0
    points[:, 1:8] = points[:, 9:] = torch.nan
    found = attribute(adapter, images, points, quadrature="midpoint", nodes=64, path="linear")
    assert (found.target_end - found.target_start)[0, 8].abs() > 0.02
    assert found.residual_rel[0, 8] < 0.02
    assert found.maps[0, 8].max() == 1
    assert bool(found.maps[0, 0].isnan().all()) == (mano is not None)


@pytest.mark.parametrize(("name", "mano"), [("handoccnet_256x256", True), ("handoccnet_2d_256x256", False)])
def test_the_config_is_the_full_model(name: str, mano: bool) -> None:
    """It builds, with the full layout."""
    path = CONFIGS / f"{name}.py"
    if not path.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    from poseig_mm.api import load_config

    given = load_config(path)
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(given.model)
    own = {k: tuple(v.shape) for k, v in model.backbone.state_dict().items() if "mano_layer" not in k}
    assert own == shapes(**FULL)
    assert model.backbone.gives_joints == mano


def test_settings_that_do_not_fit_are_refused() -> None:
    """With what would."""
    with pytest.raises(ConfigError, match="expected a multiple of 16"):
        HandOccNet(None, **{**SMALL, "depth": 4})
