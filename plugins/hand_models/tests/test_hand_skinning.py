"""Rotations, and skinning against a slow one made of 4 x 4 matrices, vertex by vertex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from poseig_hand_models.joints import MANO_PARENTS
from poseig_hand_models.mano_file import ManoData
from poseig_hand_models.rotations import axis_angles, rotations_from_6d, rotations_from_axis_angles
from poseig_hand_models.skinning import ManoLayer
from poseig_hand_models.template import synthetic_hand
from scipy.spatial.transform import Rotation
from torch import Tensor

from poseig_mm.errors import CheckpointError, ShapeError

TIPS = dict(thumb=3, index=7, middle=1, ring=11, little=5)
# FreiHAND's order: wrist, then each finger's three joints and its tip; MANO's fingers begin at these joints
FIRST = dict(thumb=13, index=1, middle=4, ring=10, little=7)


def mano(vertices: int = 12, seed: int = 0) -> ManoData:
    """A small hand of random numbers."""
    random = np.random.default_rng(seed)
    weights, regressor = random.uniform(size=(vertices, 16)), random.uniform(size=(16, vertices))
    return ManoData(
        v_template=random.normal(size=(vertices, 3)),
        shapedirs=random.normal(0, 0.1, (vertices, 3, 10)),
        posedirs=random.normal(0, 0.05, (vertices, 3, 135)),
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        weights=weights / weights.sum(1, keepdims=True),
        hands_mean=random.normal(0, 0.3, 45),
        faces=random.integers(0, vertices, (9, 3)),
        parents=MANO_PARENTS,
    )


def layer(data: ManoData) -> ManoLayer:
    return ManoLayer(len(data.v_template), len(data.faces), tips=TIPS).double().fill(data)


def turns(count: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())


def slowly(data: ManoData, rotations: NDArray[np.float64], shape: NDArray[np.float64]) -> tuple[Any, Any]:
    """One hand: vertices (V, 3) and MANO's 16 joints, from products of 4 x 4 matrices along each joint's chain."""
    shaped = data.v_template + sum(shape[s] * data.shapedirs[:, :, s] for s in range(10))
    rest = [sum(data.joint_regressor[j, v] * shaped[v] for v in range(len(shaped))) for j in range(16)]
    posed = shaped.copy()
    for j in range(1, 16):
        for row in range(3):
            for column in range(3):
                entry = rotations[j, row, column] - float(row == column)
                posed = posed + entry * data.posedirs[:, :, 9 * (j - 1) + 3 * row + column]
    moves = []
    for j in range(16):
        move, at = np.eye(4), j
        while at >= 0:  # about each joint's place at rest, from the joint itself up to the wrist
            there, turn, back = np.eye(4), np.eye(4), np.eye(4)
            there[:3, 3], turn[:3, :3], back[:3, 3] = rest[at], rotations[at], -rest[at]
            move, at = there @ turn @ back @ move, data.parents[at]
        moves.append(move)
    vertices = []
    for v, point in enumerate(posed):
        blended = sum(data.weights[v, j] * moves[j] for j in range(16))
        vertices.append((blended @ [*point, 1.0])[:3])
    return np.array(vertices), np.array([(moves[j] @ [*rest[j], 1.0])[:3] for j in range(16)])


def test_skinning_is_that_of_the_slow_one() -> None:
    """Two hands of other shapes and poses; joints in FreiHAND's order, tips from the vertices."""
    data = mano()
    rotations, shape = turns(32).reshape(2, 16, 3, 3), torch.randn(2, 10, dtype=torch.float64)
    vertices, joints = layer(data)(rotations, shape)
    for i in range(2):
        meant, sixteen = slowly(data, rotations[i].numpy(), shape[i].numpy())
        assert np.abs(vertices[i].numpy() - meant).max() < 1e-12
        assert np.abs(joints[i, 0].numpy() - sixteen[0]).max() < 1e-12
        for f, (finger, first) in enumerate(FIRST.items()):
            found = joints[i, 1 + 4 * f : 5 + 4 * f].numpy()
            assert np.abs(found - [*sixteen[first : first + 3], meant[TIPS[finger]]]).max() < 1e-12


def test_no_rotation_and_no_shape_is_the_template() -> None:
    """And the joints are the regressor's."""
    data = mano()
    vertices, joints = layer(data)(torch.eye(3).double().expand(1, 16, 3, 3), torch.zeros(1, 10).double())
    assert np.abs(vertices[0].numpy() - data.v_template).max() < 1e-14
    assert np.abs(joints[0, 5].numpy() - (data.joint_regressor @ data.v_template)[1]).max() < 1e-14


def test_turning_the_wrist_turns_the_hand_about_it() -> None:
    """R applied first to the root moves every vertex and joint by R about the wrist, and by nothing else."""
    found, turn = layer(mano()), turns(1, 5)[0]
    rotations, shape = turns(16, 4)[None], torch.randn(1, 10, dtype=torch.float64)
    before, joints = found(rotations, shape)
    turned = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], 1)
    after, moved = found(turned, shape)
    wrist = joints[:, :1]
    assert torch.allclose(after, wrist + (before - wrist) @ turn.T, atol=1e-12)
    assert torch.allclose(moved, wrist + (joints - wrist) @ turn.T, atol=1e-12)
    assert (after - before).abs().max() > 0.1


def test_a_state_dict_fills_the_layer_and_an_empty_one_says_so() -> None:
    """NaN until then."""
    empty = ManoLayer(12, 9, tips=TIPS).double()
    rotations, shape = turns(16)[None], torch.zeros(1, 10).double()
    with pytest.raises(CheckpointError, match="MANO layer is empty"):
        empty(rotations, shape)
    full = layer(mano())
    empty.load_state_dict(full.state_dict())
    assert torch.equal(empty(rotations, shape)[0], full(rotations, shape)[0])
    assert set(empty.state_dict()) == {
        "th_v_template", "th_shapedirs", "th_posedirs", "th_J_regressor", "th_weights", "th_hands_mean", "th_faces",
    }  # fmt: skip


def test_another_hand_does_not_fit() -> None:
    """The message names the array and both shapes."""
    with pytest.raises(ShapeError, match=r"v_template has shape \(1, 12, 3\); expected \(1, 778, 3\)"):
        ManoLayer().fill(mano())


def test_the_synthetic_hand_fits_and_bends() -> None:
    """MANO's numbers: 778 vertices; the index finger's rotation leaves the little finger's joints where they are."""
    hand = synthetic_hand()
    found = ManoLayer(faces=len(hand.mano.faces), tips=hand.tips).double().fill(hand.mano)
    rest = torch.eye(3).double().repeat(1, 16, 1, 1)
    bent = rest.clone()
    bent[:, 1] = rotations_from_axis_angles(torch.tensor([0.8, 0.0, 0.0]).double())
    (_, a), (_, b) = (found(r, torch.zeros(1, 10).double()) for r in (rest, bent))
    moved = (a - b).norm(dim=-1)[0]
    assert moved[[6, 7, 8]].min() > 0.01
    assert moved[17:20].max() < 1e-12


def test_exponential_and_logarithm_are_scipys() -> None:
    """Also near nought, at nought, and near half a turn."""
    random = np.random.default_rng(0)
    axis = random.normal(size=(60, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.concatenate([[0.0, 1e-12, 1e-5, 0.0099, 0.0101, 0.02, np.pi - 1e-3], np.linspace(0.1, 3.1, 53)])
    vectors = axis * angle[:, None]
    found = rotations_from_axis_angles(torch.from_numpy(vectors))
    assert np.abs(found.numpy() - Rotation.from_rotvec(vectors).as_matrix()).max() < 1e-14
    assert np.abs(axis_angles(found).numpy() - vectors).max() < 1e-12
    assert np.abs(axis_angles(turns(100)).numpy() - Rotation.from_matrix(turns(100).numpy()).as_rotvec()).max() < 1e-12


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.5, 3.0])
def test_gradients_are_right_and_finite_at_nought(angle: float) -> None:
    """Central differences of vector -> matrix -> vector, in float64; and of 6D -> vector, at the identity too."""
    vector = angle * torch.tensor([[0.6, 0.0, -0.8]], dtype=torch.float64)
    matrix = rotations_from_axis_angles(vector)
    assert torch.autograd.gradcheck(rotations_from_axis_angles, vector.clone().requires_grad_(), atol=1e-7)
    sixes = torch.cat([matrix[..., 0], matrix[..., 1]], -1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: axis_angles(rotations_from_6d(x)), sixes, atol=1e-7)


def test_six_numbers_are_the_first_two_columns() -> None:
    """A rotation's own columns give it back, whatever their lengths, and with some of the first in the second."""
    meant = turns(8)
    sixes = torch.cat([3 * meant[..., 0], 0.5 * meant[..., 1] - 2 * meant[..., 0]], -1)
    assert torch.allclose(rotations_from_6d(sixes), meant, atol=1e-12)
