"""Reading the pickles of this field (MANO_RIGHT.pkl, HandMesh's transform.pkl) without running what is in them.

They go through the door that all files of weights go through (`poseig_mm.adapters.weights_file`).  Classes of
scipy.sparse and of chumpy (which today's NumPy cannot even import) become inert records whose arrays are read out.
Anything else in the file but NumPy arrays is refused by name.
MANO's files are under MANO's own licence (registration, non-commercial research): they are read from the user's path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from poseig_mm.adapters.restricted_pickle import Plain, Record
from poseig_mm.adapters.weights_file import read_pickle_file
from poseig_mm.errors import CheckpointError

__all__ = ["ManoData", "read_mano", "read_pickle"]

Content = TypeVar("Content")
Floats = NDArray[np.float64]
MOST_CELLS = 50_000_000  # of a sparse matrix, written out
MANO_SITE = "https://mano.is.tue.mpg.de (registration; MANO's licence: non-commercial research)"


@dataclass(frozen=True)
class ManoData:
    """What a hand model of MANO's kind consists of; metres.  V vertices (MANO: 778), 16 joints, F faces."""

    v_template: Floats  # (V, 3)
    shapedirs: Floats  # (V, 3, 10)
    posedirs: Floats  # (V, 3, 135)
    joint_regressor: Floats  # (16, V)
    weights: Floats  # (V, 16) of the skinning
    hands_mean: Floats  # (45,) axis-angle of the 15 finger joints
    faces: NDArray[np.int64]  # (F, 3)
    parents: tuple[int, ...]  # (16,) -1 at the root


def read_mano(path: str | Path) -> ManoData:
    """A user's MANO_RIGHT.pkl (or MANO_LEFT.pkl).

    Raises:
        CheckpointError: there is no such file; it asks for classes that it need not hold; or it is not a MANO model.
    """
    return read_pickle(path, f"MANO_RIGHT.pkl, from {MANO_SITE}", _mano)


def _mano(content: Any) -> ManoData:
    wanted = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "hands_mean", "f", "kintree_table")
    missing = [name for name in wanted if name not in content] if isinstance(content, Mapping) else list(wanted)
    if missing:
        raise CheckpointError(f"it is not a MANO model: it has no {', '.join(missing)}")
    parents = np.asarray(content["kintree_table"]).astype(np.int64)[0]  # the root's is 2^32 - 1
    count = len(parents)
    mano = ManoData(
        v_template=np.asarray(content["v_template"], dtype=np.float64),
        shapedirs=np.asarray(content["shapedirs"], dtype=np.float64),
        posedirs=np.asarray(content["posedirs"], dtype=np.float64),
        joint_regressor=_dense(content["J_regressor"]),
        weights=np.asarray(content["weights"], dtype=np.float64),
        hands_mean=np.asarray(content["hands_mean"], dtype=np.float64),
        faces=np.asarray(content["f"]).astype(np.int64),
        parents=tuple(int(p) if 0 <= p < count else -1 for p in parents),
    )
    vertices = len(mano.v_template)
    shapes = (mano.joint_regressor.shape, mano.weights.shape, mano.shapedirs.shape[:2], mano.posedirs.shape[:2])
    if shapes != ((count, vertices), (vertices, count), (vertices, 3), (vertices, 3)):
        raise CheckpointError(
            f"it is damaged: the arrays of {vertices} vertices and {count} joints have the shapes {shapes}"
        )
    return mano


def read_pickle(path: str | Path, expected: str, parse: Callable[[Any], Content]) -> Content:
    """A pickle's content: dicts, lists, NumPy arrays, `scipy.sparse.csr_matrix`; a chumpy object becomes its array.

    Args:
        path: the file.
        expected: what it should be, for messages.
        parse: the content -> what is returned; whatever it raises is a damaged file.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it asks for anything else.
    """
    return read_pickle_file(Path(path).expanduser(), expected, _known, parse)


class _Sparse(Record):
    format = ""

    def value(self, plain: Plain) -> Any:
        from scipy import sparse

        state = {key: plain(value) for key, value in _fields(self).items()}
        shape = tuple(int(n) for n in state.get("_shape", state.get("shape")))
        if math.prod(shape) > MOST_CELLS:
            raise CheckpointError(f"it has a sparse matrix of shape {shape}, more than {MOST_CELLS} cells")
        kind = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "coo": sparse.coo_matrix}[self.format]
        if self.format == "coo":
            row, col = state["coords"] if "coords" in state else (state["row"], state["col"])
            found = kind((state["data"], (row, col)), shape=shape)
        else:
            found = kind((state["data"], state["indices"], state["indptr"]), shape=shape)
            found.check_format(full_check=True)  # indices of a damaged file would read outside the arrays
        return found.tocsr()


class _Csr(_Sparse):
    format = "csr"


class _Csc(_Sparse):
    format = "csc"


class _Coo(_Sparse):
    format = "coo"


class _Chumpy(Record):
    """Ch keeps its array as `x`; Select picks `idxs` from the flattened `a`."""

    def value(self, plain: Plain) -> Any:
        fields = _fields(self)
        if "x" in fields:
            return np.asarray(plain(fields["x"]))
        if "a" in fields and "idxs" in fields:
            picked = np.asarray(plain(fields["a"])).ravel()[np.asarray(plain(fields["idxs"])).astype(np.int64)]
            shape = fields.get("preferred_shape")
            return picked if shape is None else picked.reshape([int(n) for n in shape])
        raise CheckpointError(
            f"it holds a chumpy object of an unknown kind (its fields: {', '.join(map(str, fields))})"
        )


SPARSE = {
    "csr_matrix": _Csr,
    "csc_matrix": _Csc,
    "coo_matrix": _Coo,
    "csr_array": _Csr,
    "csc_array": _Csc,
    "coo_array": _Coo,
}


def _fields(record: Record) -> Mapping[str, Any]:
    return record.state if isinstance(record.state, Mapping) else {}


def _known(module: str, name: str) -> type[Record] | None:
    if module.startswith("scipy.sparse") and name in SPARSE:
        return SPARSE[name]
    return _Chumpy if module == "chumpy" or module.startswith("chumpy.") else None


def _dense(matrix: Any) -> Floats:
    toarray = cast("Callable[[], Any] | None", getattr(matrix, "toarray", None))
    return np.asarray(matrix if toarray is None else toarray(), dtype=np.float64)
