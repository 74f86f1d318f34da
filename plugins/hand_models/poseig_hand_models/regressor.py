"""From a hand mesh to 21 joints: one matrix, in FreiHAND's order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poseig_mm.errors import CheckpointError, ShapeError

from .joints import order_to_freihand, tips_of
from .mano_file import MANO_SITE, read_mano

__all__ = ["ABSENT", "MeshJointRegressor", "joint_matrix", "read_regressor"]

VERTICES, JOINTS = 778, 21
ABSENT = (
    "the joint regressor (21 x 778) of the hand mesh is not there. It is under MANO's licence and is not shipped: set "
    f"`regressor` of the head to your MANO_RIGHT.pkl, from {MANO_SITE}, or to HandMesh's template/j_reg.npy "
    "(github.com/SeanChenxy/HandMesh; MANO's licence holds for it too); converters write it into the checkpoint"
)


def joint_matrix(matrix: Any, tips: str | Mapping[str, int] = "handmesh") -> Tensor:
    """A regressor as a source has it -> (21, V) float64 in FreiHAND's order.

    Args:
        matrix: (16, V), MANO's; or (21, V) with the rows of the five fingertips appended in the order of `tips`.
        tips: `joints.TIPS`: which vertices are the tips, and their order.

    Raises:
        ShapeError: it has another shape, fewer vertices than the tips need, or a row that does not sum to 1.

    >>> joint_matrix(torch.eye(16, 778))[[0, 1, 4]].argmax(1)  # wrist, thumb's base, thumb's tip
    tensor([  0,  13, 744])
    """
    found = torch.as_tensor(np.asarray(matrix, dtype=np.float64))
    if found.ndim != 2 or len(found) not in (16, JOINTS):
        raise ShapeError(f"the joint regressor has shape {tuple(found.shape)}; expected (16, V) or (21, V)")
    if len(found) == 16:
        vertices = list(tips_of(tips).values())
        if max(vertices) >= found.shape[1]:
            raise ShapeError(
                f"the fingertips are vertices {vertices}, the regressor has {found.shape[1]}; give other `tips`"
            )
        found = torch.cat([found, torch.eye(found.shape[1], dtype=found.dtype)[vertices]])
    sums = found.sum(1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise ShapeError(f"rows of the joint regressor sum to {sums.min():.4g} ... {sums.max():.4g}; expected 1 each")
    return found[list(order_to_freihand(tips))]


def read_regressor(source: str | Path, tips: str | Mapping[str, int] = "handmesh") -> Tensor:
    """(21, V) float64 in FreiHAND's order, from a file: `.npy` (16 or 21 rows), or a MANO `.pkl`; 'synthetic': our own
    mesh.

    Raises:
        CheckpointError: no such file, or it is not one of these.
        ShapeError: see `joint_matrix`.
    """
    if str(source) == "synthetic":
        from .template import synthetic_hand

        hand = synthetic_hand()
        return joint_matrix(hand.mano.joint_regressor, hand.tips)
    path = Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; {ABSENT}")
    if path.suffix == ".pkl":
        return joint_matrix(read_mano(path).joint_regressor, tips)
    try:
        return joint_matrix(np.load(path, allow_pickle=False), tips)
    except (OSError, ValueError) as error:
        if isinstance(error, ShapeError):
            raise
        raise CheckpointError(
            f"{path} is not an array of numbers ({error}); expected a .npy of (21, 778) or a MANO .pkl"
        ) from error


class MeshJointRegressor(nn.Module):
    """Joints (B, 21, 3) of vertices (B, V, 3), same unit and frame, in FreiHAND's order.

    The matrix is a buffer: a checkpoint that has it fills it, one that hasn't leaves what was given here.

    Args:
        source: a file (`read_regressor`), 'synthetic', or an array (16 or 21, V); None: a checkpoint may bring it.
        tips: `joints.TIPS`.

    >>> joints = MeshJointRegressor(torch.eye(16, 778))(torch.arange(778.0).reshape(1, 778, 1).expand(-1, -1, 3))
    >>> joints[0, :5, 0].tolist()
    [0.0, 13.0, 14.0, 15.0, 744.0]
    """

    matrix: Tensor | None

    def __init__(self, source: Any = None, tips: str | Mapping[str, int] = "handmesh") -> None:
        super().__init__()
        matrix = None
        if source is not None:
            matrix = read_regressor(source, tips) if isinstance(source, (str, Path)) else joint_matrix(source, tips)
        self.register_buffer("matrix", None if matrix is None else matrix.to(torch.get_default_dtype()))

    @property
    def loaded(self) -> bool:
        """Whether the matrix is there."""
        return self.matrix is not None

    def forward(self, vertices: Tensor) -> Tensor:
        """Vertices (B, V, 3) -> joints (B, 21, 3).

        Raises:
            CheckpointError: the matrix is absent; it says which file to give.
            ShapeError: the mesh has another number of vertices.
        """
        if self.matrix is None:
            raise CheckpointError(ABSENT)
        if vertices.shape[-2] != self.matrix.shape[1]:
            raise ShapeError(f"the mesh has {vertices.shape[-2]} vertices, the regressor is for {self.matrix.shape[1]}")
        return self.matrix.to(vertices) @ vertices

    def _load_from_state_dict(
        self, state: dict[str, Tensor], prefix: str, metadata: Any, strict: bool, missing: list[str], *others: Any
    ) -> None:
        key = prefix + "matrix"
        if self.matrix is None and key in state:
            self.register_buffer("matrix", torch.empty_like(state[key], dtype=torch.get_default_dtype()))
        super()._load_from_state_dict(state, prefix, metadata, strict, missing, *others)
        if key in missing:  # given by the config, not by this checkpoint
            missing.remove(key)
