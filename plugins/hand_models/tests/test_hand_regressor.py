"""Joints of a mesh: orders and fingertips of each source, where the matrix may come from, and what its absence
means.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from poseig_hand_models.heads import HandMeshHead
from poseig_hand_models.joints import FINGERS, NAMES, TIPS, order_to_freihand, tips_of
from poseig_hand_models.regressor import MeshJointRegressor, joint_matrix, read_regressor
from poseig_hand_models.template import synthetic_hand

from poseig_mm.adapters.weights import load_weights
from poseig_mm.errors import CheckpointError, ConfigError, DataError, ShapeError

MANO = ("wrist", *(f"{f}{i}" for f in ("index", "middle", "little", "ring", "thumb") for i in (1, 2, 3)))


@pytest.mark.parametrize("preset", list(TIPS))
def test_every_preset_ends_in_freihands_order(preset: str) -> None:
    """Rows that are named: MANO's 16, then the tips in the preset's order."""
    rows = [*MANO, *(f"{finger}4" for finger in tips_of(preset))]
    assert tuple(rows[i] for i in order_to_freihand(preset)) == NAMES


@pytest.mark.parametrize("preset", list(TIPS))
def test_tips_are_vertices(preset: str) -> None:
    """Of a regressor of 16 rows, the tips are the preset's vertices; of 21, its own rows in the preset's order."""
    sixteen = torch.rand(16, 778, dtype=torch.float64)
    sixteen /= sixteen.sum(1, keepdim=True)
    found = joint_matrix(sixteen, preset)
    for i, finger in enumerate(FINGERS):
        assert found[4 + 4 * i].nonzero().tolist() == [[TIPS[preset][finger]]]
        assert torch.equal(found[1 + 4 * i], sixteen[MANO.index(f"{finger}1")])
    tips = torch.rand(5, 778, dtype=torch.float64)
    tips /= tips.sum(1, keepdim=True)
    found = joint_matrix(torch.cat([sixteen, tips]), preset)
    assert all(torch.equal(found[NAMES.index(f"{f}4")], tips[list(tips_of(preset)).index(f)]) for f in FINGERS)


def test_files(tmp_path: Path) -> None:
    """HandMesh's j_reg.npy (21 rows); 'synthetic'; and what is none of these."""
    hand = synthetic_hand()
    joints = read_regressor("synthetic") @ torch.from_numpy(hand.mano.v_template)
    assert torch.equal(joints[8], torch.from_numpy(hand.mano.v_template[hand.tips["index"]]))
    np.save(tmp_path / "j_reg.npy", np.eye(21, 778))
    found = read_regressor(tmp_path / "j_reg.npy", "handmesh")
    assert found.argmax(1).tolist() == list(order_to_freihand("handmesh"))
    with pytest.raises(CheckpointError, match=r"no.npy does not exist; .*not shipped: set `regressor`.*j_reg.npy"):
        read_regressor(tmp_path / "no.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match="is not an array of numbers"):
        read_regressor(tmp_path / "objects.npy")


def test_matrices_that_are_none_are_refused() -> None:
    """Of another shape, of rows that do not sum to 1, of too few vertices, of tips that there are not."""
    for matrix, tips, message in (
        (np.zeros((17, 778)), "i2l", r"shape \(17, 778\)"),
        (np.zeros((16, 778)), "i2l", "rows of the joint regressor sum to 0"),
        (np.eye(16, 100), "i2l", "the regressor has 100; give other `tips`"),
    ):
        with pytest.raises(ShapeError, match=message):
            joint_matrix(matrix, tips)
    with pytest.raises(ConfigError, match="did you mean 'handmesh'"):
        joint_matrix(np.eye(16, 778), "handmash")
    with pytest.raises(ConfigError, match="given for thumb; expected a vertex for each of thumb, index"):
        tips_of({"thumb": 3})
    with pytest.raises(ShapeError, match="the mesh has 5 vertices, the regressor is for 778"):
        MeshJointRegressor("synthetic")(torch.zeros(1, 5, 3))


def test_a_checkpoint_brings_the_matrix_or_leaves_it() -> None:
    """Strict loading: with the matrix in the file it is the file's; without, the config's; with neither, none."""
    given, other = (joint_matrix(np.roll(np.eye(16, 778), i, 1)).float() for i in (0, 5))
    for source in (None, np.eye(16, 778)):
        model = torch.nn.Sequential(MeshJointRegressor(source))
        load_weights(model, {"0.matrix": other}, "file")
        assert torch.equal(model[0].matrix, other)
        assert torch.equal(model.state_dict()["0.matrix"], other)
    model = torch.nn.Sequential(MeshJointRegressor(np.eye(16, 778)))
    load_weights(model, {}, "file")
    assert torch.equal(model[0].matrix, given)
    model = torch.nn.Sequential(MeshJointRegressor())
    load_weights(model, {}, "file")
    assert not model[0].loaded
    with pytest.raises(CheckpointError, match=r"joint regressor \(21 x 778\).*MANO's licence.*mano.is.tue"):
        model[0](torch.zeros(1, 778, 3))


def head(**settings: Any) -> HandMeshHead:
    return HandMeshHead(**{"input_size": (128, 64), "scale": 200.0, "regressor": "synthetic", **settings})


def feats(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {"vertices": torch.randn(2, 778, 3, generator=g), "uv": torch.rand(2, 21, 2, generator=g)}


def test_joints_are_in_mm_from_the_wrist() -> None:
    """The matrix times the vertices times the scale, minus the wrist; joints that are given are not regressed."""
    f, matrix = feats(), read_regressor("synthetic").float()
    found = head()(f)
    expected = 200 * torch.einsum("kv,bvd->bkd", matrix, f["vertices"])
    assert torch.allclose(found, expected - expected[:, :1], atol=1e-4)
    joints = torch.randn(2, 21, 3)
    assert torch.allclose(head(regressor=None)({**f, "joints": joints}), 200 * (joints - joints[:, :1]), atol=1e-4)


def test_without_a_regressor_there_are_two_dimensions(caplog: pytest.LogCaptureFixture) -> None:
    """Input px, and the log says why, once; but not where 3D was asked for, or there is nothing to fall back to."""
    f = feats()
    bare = head(regressor=None)
    with caplog.at_level(logging.WARNING):
        found, _ = bare(f), bare(f)
    assert torch.equal(found, f["uv"] * torch.tensor([128.0, 64.0]))
    assert len(caplog.records) == 1
    assert "2D joints in input px instead of 3D" in caplog.text
    assert "j_reg.npy" in caplog.text
    assert torch.equal(head(output="2d")(f), found)
    with pytest.raises(CheckpointError, match=r"it knows no topology.*transform\.pkl"):
        head(output="3d")({"uv": f["uv"]})
    with pytest.raises(CheckpointError, match="MANO's licence"):
        head(regressor=None, output="3d")(f)
    with pytest.raises(CheckpointError, match="no 2D output to fall back to, and the joint regressor"):
        head(regressor=None)({"vertices": f["vertices"]})
    with pytest.raises(ConfigError, match="one of auto, 3d, 2d"):
        head(output="4d")


def test_predictions_are_what_forward_gives() -> None:
    """Beside 3D joints those in the image; in 2D the model's own decoding, where there is one."""
    f = {**feats(), "uv_decided": torch.rand(2, 21, 2)}
    px = torch.tensor([128.0, 64.0])
    first = head().predict(f, None)[1]
    assert np.array_equal(first.keypoints, head()(f)[1:].numpy())
    assert np.array_equal(first.keypoints_2d, (f["uv_decided"][1:] * px).numpy())
    assert first.keypoint_scores.shape == (1, 21)
    second = head(output="2d").predict(f, None)[0]
    assert np.array_equal(second.keypoints, (f["uv_decided"][:1] * px).numpy())
    assert "keypoints_2d" not in second
    with pytest.raises(ConfigError, match="flip_test is on"):
        head().predict([f, f], None)


def samples(**parts: dict[str, torch.Tensor]) -> list[Any]:
    """Two data samples with these instance fields (2, 1, ...)."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    found = []
    for i in range(2):
        sample = PoseDataSample()
        for part, fields in parts.items():
            setattr(sample, part, InstanceData(**{k: v[i] for k, v in fields.items()}))
        found.append(sample)
    return found


def test_losses() -> None:
    """L1 in the model's unit; normals and edges where a topology is; nothing where the prediction is the truth."""
    f, matrix = feats(), read_regressor("synthetic").float()
    with_faces = head(topology="synthetic", loss_weights={"uv": 3.0})
    truth = f["vertices"][:, None] * 200
    labels = dict(keypoint_labels=f["uv"][:, None] + 0.25, keypoint_weights=torch.ones(2, 1, 21))
    labels["keypoint_weights"][:, :, 0] = 0
    exact = with_faces.loss(f, samples(gt_instances=dict(vertices_3d=truth), gt_instance_labels=labels))
    assert set(exact) == {"loss_vertices", "loss_normal", "loss_edge", "loss_uv"}
    assert exact["loss_vertices"].item() == pytest.approx(0, abs=1e-6)
    assert exact["loss_edge"].item() == pytest.approx(0, abs=1e-6)
    assert exact["loss_normal"].item() == pytest.approx(0, abs=1e-4)  # edges lie in their own face
    assert exact["loss_uv"].item() == pytest.approx(3 * 0.25 * 20 / 21)
    found = with_faces.loss(f, samples(gt_instances=dict(vertices_3d=truth + 100)))
    assert found["loss_vertices"].item() == pytest.approx(0.5)
    assert found["loss_edge"].item() == pytest.approx(0, abs=1e-5)
    twice = with_faces.loss(f, samples(gt_instances=dict(vertices_3d=2 * truth)))
    assert twice["loss_edge"].item() > 1
    joints = 200 * matrix @ f["vertices"]
    relative = (joints - joints[:, :1])[:, None]
    found = head().loss(f, samples(gt_instances=dict(keypoints_3d=relative + 20)))
    assert list(found) == ["loss_joints"]
    assert found["loss_joints"].item() == pytest.approx(0.1)
    with pytest.raises(DataError, match="nothing to train with"):
        head().loss(f, samples(gt_instances=dict(keypoints=relative)))
    with pytest.raises(ShapeError, match="vertices_3d have shape"):
        head().loss(f, samples(gt_instances=dict(vertices_3d=truth[:, :, :5])))
    with pytest.raises(ConfigError, match="loss_weights name edges"):
        head(loss_weights={"edges": 1.0})
