"""HandAR: layout, the graph, wiring, gradients, files with other names, attribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_handar import FACES, SMALL, crop, dead_shapes, forward, looked_up, neighbours, shapes
from official_parts import (
    Weights,
    directional,
    estimator,
    load,
    random_weights,
)
from poseig_hand_models.gin import MeshRefinement, adjacency_of
from poseig_hand_models.handar import HandAR, never_run
from poseig_hand_models.official import handar_weights, main
from poseig_hand_models.template import synthetic_hand
from torch import Tensor

from poseig_mm import attribute
from poseig_mm.errors import CheckpointError, ConfigError

CONFIGS = Path(__file__).parents[3] / "configs" / "hand_models"


def small(**settings: Any) -> tuple[HandAR, dict[str, Tensor]]:
    network = HandAR(faces=len(FACES), **SMALL, **settings).double().eval()
    weights = random_weights(shapes(**SMALL))
    network.load_state_dict({**weights, "faces": FACES})
    return network, weights


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_the_layout_is_the_backbones() -> None:
    """Full size: parts, names and shapes, of what runs and of what does not; 902 numbers a vertex; its triangles are
    the one thing no official file has.
    """
    with torch.device("meta"):
        network = HandAR()
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    official, dead = (part(64, (3, 4, 6, 3), 64, 256, 778, 512, 64, 256) for part in (shapes, dead_shapes))
    assert never_run(network) == {k: v for k, v in dead.items() if not k.startswith("segmentation_net.")}
    assert dead["pose2feat.conv.0.weight"] == (64, 1408, 3, 3)
    assert own == {**official, "faces": (1538, 3)}
    assert official["gcn.head.conv.nn.0.weight"] == (256, 902)
    assert official["gcn.tail.conv.nn.2.weight"] == (3, 32)


def test_weights_land_where_they_belong(images: Tensor) -> None:
    """Rough and refined mesh are those of the slow forward pass, with neighbours summed one by one."""
    network, weights = small()
    found = network(images)
    rough, mesh = forward(weights, images, FACES, SMALL, False), forward(weights, images, FACES, SMALL)
    assert torch.allclose(found["rough_image"], crop(rough, 16), atol=1e-9)
    assert torch.allclose(found["mesh_image"], crop(mesh, 16), atol=1e-9)
    assert (mesh - rough).abs().min() > 1e-6
    assert ((rough[..., :2] > 0) & (rough[..., :2] < 15)).all()


def test_features_are_looked_up_where_the_vertex_is(images: Tensor) -> None:
    """The vertex at cell (x, y) of 16 sees pixel (4 x, 4 y) of the image; outside there is nought."""
    from poseig_hand_models.lixel import sampled

    cells = torch.tensor([[[3.3, 9.9, 0.0], [15.99, 0.01, 0.0], [-1.0, 5.0, 0.0]]] * 2, dtype=torch.float64)
    found = sampled(images, cells[..., :2] / 8 - 1)
    assert torch.allclose(found, looked_up(images, cells, 16), atol=1e-12)
    ramp = torch.arange(64.0).double().expand(1, 1, 64, 64)
    assert sampled(ramp, torch.tensor([[[3.3 / 8 - 1, 0.0]]]).double()).item() == pytest.approx(4 * 3.3 - 0.5)
    assert found[:, 2].abs().max() == 0


def test_gradients(images: Tensor) -> None:
    """Central differences of the refined mesh: through features, places and the graph; no weight without a part."""
    network, _ = small()
    exact, measured = directional(lambda x: network(x)["mesh_image"], images, 4, 1e-7)
    assert torch.allclose(exact, measured, rtol=1e-4)
    network(images)["mesh_image"].square().sum().backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    stem = {"mesh_backbone.conv1.weight", "mesh_backbone.bn1.weight", "mesh_backbone.bn1.bias"}
    flat = {f"mesh_net.conv_{d}.0.bias" for d in ("x", "y", "z_2")}  # a softmax does not see them
    assert silent - flat == stem


def test_edges_are_those_of_triangles_and_no_others() -> None:
    """Each counts once, though two triangles share it."""
    found = adjacency_of(FACES, 12)
    meant = np.zeros((12, 12))
    for v, ring in enumerate(neighbours(FACES)):
        meant[v, sorted(ring)] = 1
    assert np.array_equal(found.numpy(), meant)


def test_the_refinement_sees_six_rings_of_neighbours_and_two_more() -> None:
    """Eight graph convolutions: on a strip of triangles, a change reaches what is eight edges away and nothing
    beyond.
    """
    torch.manual_seed(0)
    count = 40
    strip = torch.tensor([[i, i + 1, i + 2] for i in range(count - 2)])  # an edge leads two vertices on
    graph = MeshRefinement(3, 4, 5).double().eval()
    for parameter in graph.parameters():  # positive, so that no ReLU stops anything
        torch.nn.init.uniform_(parameter, 0.1, 1.0)
    x = torch.rand(1, count, 3, dtype=torch.float64, requires_grad=True)
    out = graph(x, adjacency_of(strip, count, torch.float64))
    (gradient,) = torch.autograd.grad(out[0, 0].sum(), x)
    assert gradient[0, 17:].abs().max() == 0
    assert gradient[0, :17].abs().amax(1).min() > 0


def test_without_triangles_it_says_what_to_give(images: Tensor) -> None:
    """Neither does it take triangles of another mesh."""
    network = HandAR(faces=len(FACES), **SMALL).double().eval()
    with pytest.raises(CheckpointError, match="no triangles"):
        network(images)
    with pytest.raises(ConfigError, match=r"shape \(7, 3\) and indices 1 to 12; expected \(7, 3\) and 0 to 11"):
        network.set_faces(FACES + 1)
    network.set_faces(FACES)
    assert network(images)["mesh_image"].isfinite().all()


def config(faces: int = 0, **settings: Any) -> Any:
    faces = faces or len(synthetic_hand().mano.faces)
    backbone = dict(type="HandAR", faces=faces, **{**SMALL, "vertices": 778}, **settings)
    return estimator(backbone, dict(type="LixelMeshHead", input_size=(64, 64), size=16), ("handar", "lixel_head"))


def parts(weights: Weights) -> dict[str, Any]:
    """As upstream writes a file: a dict of weights a part."""
    found: dict[str, Any] = {"epoch": 9}
    for name, value in weights.items():
        part, _, rest = name.partition(".")
        found.setdefault(part, {})[rest] = value
    return found


def released(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """All that a real file of this size holds, whether it runs or not."""
    settings = {**SMALL, "vertices": 778}
    return random_weights({**shapes(**settings), **dead_shapes(**settings)}, dtype=dtype)


def test_a_file_of_parts_becomes_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Triangles and regressor by the MANO file; what is left out is listed with the reason."""
    weights = released()
    torch.save(parts(weights), tmp_path / "handar.pth")
    hand = synthetic_hand().mano
    monkeypatch.setattr("poseig_hand_models.official.read_mano", lambda path: hand)
    (tmp_path / "config.py").write_text(config().dump())
    call = ["handar", str(tmp_path / "handar.pth"), str(tmp_path / "out.pth"), "--config", str(tmp_path / "config.py")]
    assert main([*call, "--mano", "MANO_RIGHT.pkl"]) == 0
    told = capsys.readouterr().out
    assert "left out, for training alone: segmentation_net.* (2)" in told
    (idle,) = [line for line in told.splitlines() if line.startswith("left out, built and never run: ")]
    dead = {name for name in dead_shapes(**{**SMALL, "vertices": 778}) if not name.startswith("segmentation_net.")}
    assert set(idle.partition(": ")[2].split(", ")) == dead
    saved = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    running = shapes(**{**SMALL, "vertices": 778})
    own = {"backbone.faces", "head.regressor.matrix"}
    assert saved.keys() - own == {f"backbone.{name}" for name in running}
    assert all(torch.equal(saved[f"backbone.{name}"], weights[name]) for name in running)
    adapter = load(config(), tmp_path / "out.pth")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    mesh = forward(weights, images, torch.from_numpy(hand.faces), SMALL)[0, :, :2] / 16 * 64
    coords = adapter(images).coords
    assert adapter.unit == "px"
    wanted = torch.from_numpy(hand.joint_regressor).float()[1] @ mesh
    assert torch.allclose(coords[0, 5], wanted, rtol=1e-4, atol=1e-3)
    assert torch.allclose(coords[0, 4], mesh[745], rtol=1e-4, atol=1e-3)


def test_what_is_not_known_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without triangles needs a MANO file; any other name, also inside what is left out, is listed; so is each
    name that lacks, and a `pose2feat` of other channels.
    """
    model, hand, weights = load(config()).model, synthetic_hand().mano, released()
    with pytest.raises(CheckpointError, match=r"no triangles.*--mano"):
        handar_weights(weights, model)
    for name in ("gcn.more.weight", "gcn.tail.bn.more", "posenet.conv_x.1.weight", "param_regressor.fc.0.weight"):
        with pytest.raises(CheckpointError, match=rf"unexpected: {name}"):
            handar_weights({**weights, name: torch.zeros(1)}, model, hand)
    for name in shapes(**{**SMALL, "vertices": 778}):
        if not name.endswith("num_batches_tracked"):
            other = {("x" + n if n == name else n): v for n, v in weights.items()}
            with pytest.raises(CheckpointError, match="unexpected: x"):
                handar_weights(other, model, hand)
    both = {**weights, "pose2feat.conv.0.weight": torch.zeros(4, 8, 3, 3)}
    with pytest.raises(CheckpointError, match=r"pose2feat.*\(4, 8, 3, 3\); expected \(4, 340, 3, 3\)"):
        handar_weights(both, model, hand)
    assert main(["handar", str(tmp_path / "no.pth"), str(tmp_path / "out.pth"), "--config", "no.py"]) == 1
    assert "no.pth does not exist" in capsys.readouterr().err


def test_attribution() -> None:
    """Complete, on px of the crop."""
    hand = synthetic_hand()
    settings = config()
    settings.model.head.regressor = "synthetic"
    adapter = load(settings)
    weights = random_weights(shapes(**{**SMALL, "vertices": 778}))
    adapter.model.double().backbone.load_state_dict({**weights, "faces": torch.from_numpy(hand.mano.faces)})
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    points = adapter(images).coords.detach() + 2.0
    points[:, 1:] = torch.nan
    found = attribute(adapter, images, points, quadrature="midpoint", nodes=64, path="linear")
    assert found.residual_rel[0, 0] < 0.05
    assert found.maps[0, 0].max() == 1


def test_the_config_is_the_full_model() -> None:
    """It builds, with the full layout."""
    path = CONFIGS / "handar_256x256.py"
    if not path.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    from poseig_mm.api import load_config

    given = load_config(path)
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(given.model)
    own = {k: tuple(v.shape) for k, v in model.backbone.state_dict().items()}
    assert own == {**shapes(64, (3, 4, 6, 3), 64, 256, 778, 512, 64, 256), "faces": (1538, 3)}
