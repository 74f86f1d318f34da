"""A hand's mesh from joint rotations and a shape: linear blend skinning, by a layer that a checkpoint fills.

Model: Romero, Tzionas, Black, *Embodied Hands: Modeling and Capturing Hands and Bodies Together*, SIGGRAPH Asia 2017
    (MANO).
The numbers of MANO are under its own licence and not in this package: they come from the user's checkpoint or MANO
file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from poseig_mm.errors import CheckpointError, ShapeError

from .joints import MANO_PARENTS, order_to_freihand, tips_of
from .mano_file import ManoData, read_mano
from .template import synthetic_hand

__all__ = ["ManoLayer", "blend_skinning", "mano_layer"]


def blend_skinning(
    template: Tensor, posedirs: Tensor, weights: Tensor, rest: Tensor, rotations: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Vertices and joints of a posed mesh.

    Args:
        template: (B, V, 3) the shaped mesh at rest.
        posedirs: (V, 3, 9 (J - 1)) what each entry of R - 1 of the joints but the root adds to the vertices, row by
            row.
        weights: (V, J) how much of each joint's motion a vertex follows; rows sum to 1.
        rest: (B, J, 3) joints at rest.
        rotations: (B, J, 3, 3) of each joint within its parent's frame; the root's about its own place.
        parents: (J,) index of each joint's parent, which stands before it; the root's is not looked at.

    Returns:
        Vertices (B, V, 3) and joints (B, J, 3), in the template's unit.
    """
    one = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    posed = template + torch.einsum("vcp,bp->bvc", posedirs, (rotations[:, 1:] - one).flatten(1))
    turns, places = [rotations[:, 0]], [rest[:, 0]]  # of each joint's frame in the hand's
    for j in range(1, len(parents)):
        parent = parents[j]
        bone = rest[:, j] - rest[:, parent]
        places.append(places[parent] + torch.einsum("bxy,by->bx", turns[parent], bone))
        turns.append(turns[parent] @ rotations[:, j])
    turn, place = torch.stack(turns, 1), torch.stack(places, 1)  # (B, J, 3, 3), (B, J, 3)
    shift = place - torch.einsum("bjxy,bjy->bjx", turn, rest)  # so that a joint at rest goes to its place
    vertices = torch.einsum("vj,bjxy,bvy->bvx", weights, turn, posed) + torch.einsum("vj,bjx->bvx", weights, shift)
    return vertices, place


class ManoLayer(nn.Module):
    """MANO's arrays under the names that checkpoints with such a layer have, and the mesh they make.

    Until a state dict (`load_state_dict`) or a MANO file's arrays (`fill`) give numbers, the arrays are NaN and
    `forward` raises.  `th_betas` and `th_selected_comps`, which such checkpoints also hold, have no part in the mesh
    and are not here.

    Args:
        vertices: V, 778 in MANO.
        faces: F, 1538 in MANO; carried, since meshes are drawn with them.
        shapes: S, shape directions.
        tips: which vertices are the fingertips, see `joints.tips_of`.
    """

    th_v_template: Tensor
    th_shapedirs: Tensor
    th_posedirs: Tensor
    th_J_regressor: Tensor
    th_weights: Tensor
    th_hands_mean: Tensor
    th_faces: Tensor

    def __init__(
        self,
        vertices: int = 778,
        faces: int = 1538,
        shapes: int = 10,
        tips: str | Mapping[str, int] = "manopth_right",
    ) -> None:
        super().__init__()
        joints = len(MANO_PARENTS)
        self.tips, self.order = list(tips_of(tips).values()), list(order_to_freihand(tips))
        shapes_of = {
            "th_v_template": (1, vertices, 3),
            "th_shapedirs": (vertices, 3, shapes),
            "th_posedirs": (vertices, 3, 9 * (joints - 1)),
            "th_J_regressor": (joints, vertices),
            "th_weights": (vertices, joints),
            "th_hands_mean": (1, 3 * (joints - 1)),
        }
        for name, shape in shapes_of.items():
            self.register_buffer(name, torch.full(shape, torch.nan))
        self.register_buffer("th_faces", torch.zeros(faces, 3, dtype=torch.long))

    def fill(self, mano: ManoData) -> ManoLayer:
        """Take the arrays of a MANO file.

        Raises:
            ShapeError: an array has another shape.
        """
        given = {
            "th_v_template": mano.v_template[None],
            "th_shapedirs": mano.shapedirs,
            "th_posedirs": mano.posedirs,
            "th_J_regressor": mano.joint_regressor,
            "th_weights": mano.weights,
            "th_hands_mean": mano.hands_mean[None],
            "th_faces": mano.faces,
        }
        for name, array in given.items():
            own = self.get_buffer(name)
            if array.shape != tuple(own.shape):
                raise ShapeError(f"the MANO model's {name[3:]} has shape {array.shape}; expected {tuple(own.shape)}")
            own.copy_(torch.from_numpy(array.copy()))
        return self

    def forward(self, rotations: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        """The mesh and the joints of a pose.

        Args:
            rotations: (B, 16, 3, 3), MANO's order; those of the fingers with `th_hands_mean` (axis-angle) already
                added.
            shape: (B, S).

        Returns:
            Vertices (B, V, 3) and joints (B, 21, 3) in FreiHAND's order, m, as MANO places them (the wrist not at 0).

        Raises:
            CheckpointError: the layer has never been filled.
        """
        if bool(self.th_weights[0, 0].isnan()):
            raise CheckpointError(
                "the MANO layer is empty: neither a checkpoint nor a MANO file gave its arrays; give one, or set the "
                "model's `mano` to None for its 2D joints alone"
            )
        shaped = self.th_v_template + torch.einsum("vcs,bs->bvc", self.th_shapedirs, shape)
        rest = torch.einsum("jv,bvc->bjc", self.th_J_regressor, shaped)
        vertices, joints = blend_skinning(shaped, self.th_posedirs, self.th_weights, rest, rotations, MANO_PARENTS)
        return vertices, torch.cat([joints, vertices[:, self.tips]], 1)[:, self.order]

    def regressed(self, vertices: Tensor) -> Tensor:
        """Joints (B, 21, 3) of any mesh (B, V, 3), by the regressor and the fingertips' vertices, FreiHAND's order."""
        joints = torch.einsum("jv,bvc->bjc", self.th_J_regressor.to(vertices), vertices)
        return torch.cat([joints, vertices[:, self.tips]], 1)[:, self.order]


def mano_layer(source: str, faces: int = 1538, tips: str = "manopth_right") -> ManoLayer:
    """The layer of a config's `mano`.

    Args:
        source: 'checkpoint' (empty, until a state dict fills it), 'synthetic' (a hand of our own, to try things), or a
            MANO file.
        faces: triangles of the mesh that 'checkpoint' brings.
        tips: of `joints.TIPS`, but for 'synthetic', which has its own.

    Raises:
        CheckpointError: the MANO file is not there, or is none.
    """
    if source == "checkpoint":
        return ManoLayer(faces=faces, tips=tips)
    if source == "synthetic":
        hand = synthetic_hand()
        return ManoLayer(faces=len(hand.mano.faces), tips=hand.tips).fill(hand.mano)
    mano = read_mano(source)
    return ManoLayer(len(mano.v_template), len(mano.faces), mano.shapedirs.shape[2], tips).fill(mano)
