"""I2L-MeshNet: layout, wiring, gradients where the original cuts them and without the cut, losses, attribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from official_parts import (
    Shapes,
    Weights,
    bn,
    c2,
    conv,
    directional,
    estimator,
    lixel_shapes,
    lixels,
    load,
    norm,
    random_weights,
    resnet_shapes,
    stages,
)
from poseig_hand_models.cameras import Camera
from poseig_hand_models.i2l_meshnet import I2LMeshNet
from poseig_hand_models.lixel_head import LixelMeshHead
from poseig_hand_models.official import convert, i2l_meshnet_weights
from torch import Tensor

from poseig_mm import attribute
from poseig_mm.errors import CheckpointError, ConfigError, DataError

CONFIGS = Path(__file__).parents[3] / "configs" / "hand_models"
SMALL = dict(size=16, blocks=(1, 1, 1, 1), width=4, channels=6, vertices=20, num_joints=5)
SIGMA = 2.5


def shapes(size: int, blocks: Any, width: int, channels: int, vertices: int, num_joints: int) -> Shapes:
    """The official layout of the parts that make the lixels."""
    return {
        **resnet_shapes("pose_backbone.", width, blocks),
        **lixel_shapes("pose_net.", num_joints, 32 * width, size, channels),
        **conv("pose2feat.conv.0", width + num_joints * size, width, 3, 3),
        **norm("pose2feat.conv.1", width),
        **resnet_shapes("mesh_backbone.", width, blocks),
        **lixel_shapes("mesh_net.", vertices, 32 * width, size, channels),
    }


def beside(vertices: int) -> Shapes:
    """What else an official file holds."""
    return {
        **conv("param_regressor.fc.0", 63, 16),
        **norm("param_regressor.fc.1", 16),
        **conv("param_regressor.fc.3", 16, 12),
        **norm("param_regressor.fc.4", 12),
        **conv("param_regressor.fc_pose.0", 12, 96),
        **conv("param_regressor.fc_shape.0", 12, 10),
        "human_model_layer.th_betas": (1, 10),
        "human_model_layer.th_shapedirs": (vertices, 3, 10),
        "human_model_layer.th_posedirs": (vertices, 3, 135),
        "human_model_layer.th_v_template": (1, vertices, 3),
        "human_model_layer.th_J_regressor": (16, vertices),
        "human_model_layer.th_weights": (vertices, 16),
        "human_model_layer.th_faces": (1538, 3),
        "human_model_layer.th_hands_mean": (1, 45),
        "human_model_layer.th_selected_comps": (45, 45),
    }


def forward(w: Weights, images: Tensor, settings: Any, gaussians: Tensor | None = None) -> tuple[Tensor, ...]:
    """Cells of the mesh and of the joints, and the Gaussians; which may also be given."""
    size, blocks = settings["size"], settings["blocks"]
    early = bn(w, "pose_backbone.bn1", F.conv2d(images, w["pose_backbone.conv1.weight"], None, 2, 3)).relu()
    stem = F.max_pool2d(early, 3, 2, 1)
    joints = lixels(w, "pose_net.", stages(w, "pose_backbone.", stem, blocks)[-1], size)
    if gaussians is None:
        z, y, x = torch.meshgrid(*[torch.arange(size, dtype=joints.dtype)] * 3, indexing="ij")
        cells = torch.stack([x, y, z], -1)[None, None]  # (1, 1, z, y, x, 3)
        gaussians = torch.exp(-((cells - joints[:, :, None, None, None]) ** 2).sum(-1) / (2 * SIGMA**2))
    both = torch.cat([stem, gaussians.reshape(len(images), -1, size, size)], 1)
    feature = bn(w, "pose2feat.conv.1", c2(w, "pose2feat.conv.0", both)).relu()
    return lixels(w, "mesh_net.", stages(w, "mesh_backbone.", feature, blocks)[-1], size), joints, gaussians


def crop(cells: Tensor, size: int) -> Tensor:
    return torch.stack([cells[..., 0] / size, cells[..., 1] / size, (cells[..., 2] / size * 2 - 1) * 150], -1)


def small(**settings: Any) -> tuple[I2LMeshNet, dict[str, Tensor]]:
    network = I2LMeshNet(**{**SMALL, **settings}).double().eval()
    weights = random_weights(shapes(**SMALL))
    network.load_state_dict(weights)
    return network, weights


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_the_official_layout_is_the_backbones() -> None:
    """Full size: names and shapes, one for one."""
    with torch.device("meta"):
        own = {k: tuple(v.shape) for k, v in I2LMeshNet().state_dict().items()}
    assert own == shapes(64, (3, 4, 6, 3), 64, 256, 778, 21)


def test_weights_land_where_they_belong(images: Tensor) -> None:
    """Mesh and joints are those of the forward pass that knows weights' names alone."""
    network, weights = small()
    mesh, joints, _ = forward(weights, images, SMALL)
    found = network(images)
    assert torch.allclose(found["mesh_image"], crop(mesh, 16), atol=1e-10)
    assert torch.allclose(found["pose_image"], crop(joints, 16), atol=1e-10)
    assert mesh.std(1).min() > 0.1  # vertices differ
    assert (mesh[0] - mesh[1]).abs().max() > 0.01  # so do images


def test_every_weight_but_the_second_stem_has_a_part_in_the_mesh(images: Tensor) -> None:
    """The gradient of each parameter is there without the cut; with it `pose_net` and the stages before it get none."""
    for detach in (False, True):
        network, _ = small(detach=detach)
        found = network(images)
        found["mesh_image"].square().sum().backward()
        without = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
        stem = {"mesh_backbone.conv1.weight", "mesh_backbone.bn1.weight", "mesh_backbone.bn1.bias"}
        cut = {n for n, _ in network.named_parameters() if n.startswith(("pose_net.", "pose_backbone.layer"))}
        # a softmax does not see what is added to all cells
        flat = {f"{net}.conv_{d}.0.bias" for net in ("pose_net", "mesh_net") for d in ("x", "y", "z_2")}
        assert without - flat == (stem | cut if detach else stem) - flat


def test_the_whole_derivative(images: Tensor) -> None:
    """Without the cut: central differences of mesh and joints."""
    network, _ = small(detach=False)
    exact, measured = directional(lambda x: torch.cat(list(network(x).values()), 1), images, 1)
    assert torch.allclose(exact, measured, rtol=1e-5)
    assert exact.abs().min() > 1e-3


def test_the_originals_gradient(images: Tensor) -> None:
    """With the cut: central differences while the Gaussians stay as they are; not those of the network itself."""
    network, weights = small()
    _, _, gaussians = forward(weights, images, SMALL)
    exact, measured = directional(lambda x: network(x)["mesh_image"], images, 1)
    _, held = directional(lambda x: crop(forward(weights, x, SMALL, gaussians)[0], 16), images, 1)
    assert torch.allclose(exact, held, rtol=1e-5)
    assert (exact - measured).abs().max() > 1e-2 * measured.abs().max()


def test_joints_of_the_first_network(images: Tensor) -> None:
    """`pose_net`: no mesh is computed, and the gradient is whole though `detach` is on."""
    network, weights = small(joints="pose_net")
    found = network(images)
    assert "mesh_image" not in found
    assert torch.allclose(found["joints_image"], crop(forward(weights, images, SMALL)[1], 16), atol=1e-10)
    exact, measured = directional(lambda x: network(x)["joints_image"], images, 2)
    assert torch.allclose(exact, measured, rtol=1e-5)
    with pytest.raises(ConfigError, match="did you mean 'pose_net'"):
        I2LMeshNet(joints="posenet")


def head(**settings: Any) -> dict[str, Any]:
    return dict(type="LixelMeshHead", input_size=(64, 64), size=16, **settings)


def config(joints: str = "mesh", detach: bool = True, **settings: Any) -> Any:
    sizes = {**SMALL, "vertices": 778, "num_joints": 21}
    backbone = dict(type="I2LMeshNet", joints=joints, detach=detach, **sizes)
    return estimator(backbone, head(**settings), ("i2l_meshnet", "lixel_head"))


def official(tmp_path: Path, vertices: int = 778) -> Path:
    """A file as upstream writes it: under 'network', with 'module.', with parts that have no place here."""
    sizes = {**SMALL, "vertices": vertices, "num_joints": 21}
    weights = random_weights({**shapes(**sizes), **beside(vertices)}, dtype=torch.float32)
    matrix = weights["human_model_layer.th_J_regressor"].abs()
    weights["human_model_layer.th_J_regressor"] = matrix / matrix.sum(1, keepdim=True)
    content = {"epoch": 24, "network": {f"module.{k}": v for k, v in weights.items()}, "optimizer": {"lr": 1e-4}}
    torch.save(content, tmp_path / "snapshot_24.pth.tar")
    return tmp_path / "snapshot_24.pth.tar"


def test_an_official_file_becomes_a_checkpoint_with_its_regressor(tmp_path: Path) -> None:
    """Joints by the file's MANO regressor: MANO's 16, and the tips of I2L's preset; px of the crop."""
    source = official(tmp_path)
    adapter = load(config(), convert("i2l_meshnet", source, tmp_path / "out.pth", config()))
    weights = {k[7:]: v for k, v in torch.load(source, weights_only=True)["network"].items()}
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mesh = crop(forward(weights, images, SMALL)[0], 16)[0, :, :2] * 64
    matrix = weights["human_model_layer.th_J_regressor"]
    found = adapter(images)
    assert (adapter.unit, tuple(found.coords.shape)) == ("px", (1, 21, 2))
    assert torch.allclose(found.coords[0, 5], matrix[1] @ mesh, atol=2e-3)  # the index finger's base
    assert torch.allclose(found.coords[0, [4, 8, 12, 16, 20]], mesh[[745, 317, 445, 556, 673]], atol=2e-3)
    assert torch.equal(adapter.predict(images), found.coords.detach())


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    """A weight too many, one too few, and one of another shape, by their official names."""
    model = load(config()).model
    weights = random_weights(shapes(**{**SMALL, "vertices": 778, "num_joints": 21}))
    del weights["pose_net.conv_z_2.0.bias"]
    weights["pose_net.conv_w.0.bias"] = torch.zeros(1)
    weights["mesh_net.conv_x.0.bias"] = torch.zeros(777)
    with pytest.raises(CheckpointError) as caught:
        i2l_meshnet_weights(weights, model)
    assert "unexpected: pose_net.conv_w.0.bias; missing: backbone.pose_net.conv_z_2.0.bias; " in str(caught.value)
    assert "mesh_net.conv_x.0.bias (777,) instead of (778,)" in str(caught.value)


def test_without_a_regressor_the_mesh_has_no_joints() -> None:
    """The error says where one comes from, and which joints need none; `pose_net` runs."""
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(CheckpointError, match=r"MANO_RIGHT.pkl.*joints='pose_net'"):
        load(config())(images)
    assert load(config("pose_net"))(images).coords.shape == (1, 21, 2)


def test_a_camera_makes_millimetres() -> None:
    """Back-projection of each vertex, then the regressor, then minus the wrist."""
    adapter = load(config(regressor="synthetic", camera=dict(focal=2.0, depth=600.0)))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        mesh = adapter.model.backbone(images)["mesh_image"][0]
        z = 600 + mesh[:, 2]
        points = torch.stack([(mesh[:, 0] - 0.5) * z / 2, (mesh[:, 1] - 0.5) * z / 2, z], -1)
        joints = adapter.head.regressor(points)
        found = adapter(images)
    assert adapter.unit == "mm"
    assert torch.allclose(found.coords[0], joints - joints[:1], atol=1e-3)
    flat = LixelMeshHead((64, 64), camera=dict(focal=2.0, depth=600.0), regressor="synthetic", output="2d")
    assert flat({"mesh_image": mesh[None]}).shape == (1, 21, 2)
    with pytest.raises(ConfigError, match="needs a camera"):
        LixelMeshHead((64, 64), output="3d")


def test_a_camera_sees_what_it_back_projects() -> None:
    """Projecting the points gives fractions and depths again."""
    image = torch.rand(1, 9, 3, dtype=torch.float64) * torch.tensor([1.0, 1.0, 100.0]).double()
    points = Camera(1.7, 650.0).back_projected(image)
    assert torch.allclose(1.7 * points[..., :2] / points[..., 2:] + 0.5, image[..., :2])
    assert torch.allclose(points[..., 2] - 650, image[..., 2])


def sample(**labels: Tensor) -> Any:
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    found = PoseDataSample()
    found.gt_instance_labels = InstanceData(**labels)
    return found


def test_losses_are_in_cells() -> None:
    """A mesh one cell off in x, half a cell in depth; joints two cells off; an unknown number counts for nothing."""
    reader = LixelMeshHead((256, 256), regressor="synthetic", topology="synthetic")
    cells = torch.rand(1, 778, 3) * 64
    joints = torch.rand(1, 21, 3) * 64
    truth = crop(cells + torch.tensor([1.0, 0.0, 0.5]), 64)
    away = crop(joints + 2, 64)
    away[0, 3] = torch.nan
    feats = {"mesh_image": crop(cells, 64).requires_grad_(), "pose_image": crop(joints, 64).requires_grad_()}
    found = reader.loss(feats, [sample(mesh_image=truth, joints_image=away)])
    assert found["loss_mesh"].item() == pytest.approx(0.5, rel=1e-4)
    assert found["loss_joints"].item() == pytest.approx(0.5, rel=1e-4)
    assert found["loss_pose"].item() == pytest.approx(2.0, rel=1e-4)
    assert found["loss_edge"].item() < 1e-4  # a shift changes no edge
    sum(found.values()).backward()
    assert feats["pose_image"].grad[0, 3].tolist() == [0, 0, 0]
    assert feats["pose_image"].grad.isfinite().all()
    with pytest.raises(DataError, match="nothing to train with"):
        reader.loss(feats, [sample()])
    with pytest.raises(ConfigError, match="loss_weights name depth"):
        LixelMeshHead((256, 256), loss_weights=dict(depth=1.0))


@pytest.mark.parametrize(("joints", "detach"), [("mesh", False), ("mesh", True), ("pose_net", True)])
def test_attribution(joints: str, detach: bool) -> None:
    """Complete where the gradient is the function's; where the original cuts it, the residual shows that."""
    adapter = load(config(joints, detach, regressor="synthetic"))
    weights = random_weights(shapes(**{**SMALL, "vertices": 778, "num_joints": 21}))
    weights["pose2feat.conv.0.weight"][:, SMALL["width"] :] *= 4  # the Gaussians' share in the mesh
    adapter.model.double().backbone.load_state_dict(weights)
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    points = adapter(images).coords.detach() + 2.0
    points[:, 2:] = torch.nan
    found = attribute(adapter, images, points, quadrature="midpoint", nodes=64, path="linear")
    relative = found.residual_rel[0, :2]
    assert found.maps[0, :2].amax((1, 2)).tolist() == [1.0, 1.0]
    assert found.maps[0, 2:].isnan().all()
    if joints == "mesh" and detach:
        assert relative.min() > 0.1
    else:
        assert relative.max() < 0.02


@pytest.mark.parametrize("name", ["i2l_meshnet_256x256", "i2l_meshnet_pose_net_256x256"])
def test_the_config_is_the_full_model(name: str) -> None:
    """It builds, with the official layout."""
    path = CONFIGS / f"{name}.py"
    if not path.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    from poseig_mm.api import load_config

    given = load_config(path)
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(given.model)
    own = {k: tuple(v.shape) for k, v in model.backbone.state_dict().items()}
    assert own == shapes(64, (3, 4, 6, 3), 64, 256, 778, 21)
    assert model.backbone.gives_joints == ("pose_net" in name)
