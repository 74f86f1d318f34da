"""Reading the pickles of this field (MANO_RIGHT.pkl, HandMesh's transform.pkl) without running what is in them.

A pickle can run code.  The unpickler here knows NumPy arrays; classes of scipy.sparse and of chumpy (which today's
NumPy cannot even import) become inert records whose arrays are read out.  Anything else in the file is refused by name.
MANO's files are under MANO's own licence (registration, non-commercial research): they are read from the user's path.
"""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from poseig_mm.errors import CheckpointError

__all__ = ["ManoData", "read_mano", "read_pickle"]

Floats = NDArray[np.float64]
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
    content = read_pickle(path, f"MANO_RIGHT.pkl, from {MANO_SITE}")
    wanted = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "hands_mean", "f", "kintree_table")
    missing = [name for name in wanted if name not in content] if isinstance(content, Mapping) else list(wanted)
    if missing:
        raise CheckpointError(
            f"{path} is not a MANO model: it has no {', '.join(missing)}; expected MANO_RIGHT.pkl from {MANO_SITE}"
        )
    parents = np.asarray(content["kintree_table"]).astype(np.int64)[0]  # the root's is 2^32 - 1
    count = len(parents)
    found = ManoData(
        v_template=np.asarray(content["v_template"], dtype=np.float64),
        shapedirs=np.asarray(content["shapedirs"], dtype=np.float64),
        posedirs=np.asarray(content["posedirs"], dtype=np.float64),
        joint_regressor=_dense(content["J_regressor"]),
        weights=np.asarray(content["weights"], dtype=np.float64),
        hands_mean=np.asarray(content["hands_mean"], dtype=np.float64),
        faces=np.asarray(content["f"]).astype(np.int64),
        parents=tuple(int(p) if 0 <= p < count else -1 for p in parents),
    )
    vertices = len(found.v_template)
    shapes = (found.joint_regressor.shape, found.weights.shape, found.shapedirs.shape[:2], found.posedirs.shape[:2])
    if shapes != ((count, vertices), (vertices, count), (vertices, 3), (vertices, 3)):
        raise CheckpointError(
            f"{path} is damaged: the arrays of {vertices} vertices and {count} joints have the shapes {shapes}"
        )
    return found


def read_pickle(path: str | Path, expected: str = "a pickle of arrays") -> Any:
    """A pickle's content: dicts, lists, NumPy arrays, `scipy.sparse.csr_matrix`; a chumpy object becomes its array.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it asks for anything else.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"{file} does not exist; expected {expected}")
    try:
        with file.open("rb") as stream:
            content = _Unpickler(stream, encoding="latin1").load()
        return _plain(content)
    except CheckpointError as error:
        raise CheckpointError(f"{file} is not read: {error}; expected {expected}") from error
    except Exception as error:  # pickle raises a dozen types on damaged files
        raise CheckpointError(
            f"{file} is damaged or not a pickle ({type(error).__name__}: {error}); expected {expected}"
        ) from error


class _Record:
    """An object of a class that is not imported: its state, and nothing that runs."""

    state: Mapping[str, Any]

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.state = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, Mapping) else {}


class _Sparse(_Record):
    format = ""

    def value(self) -> Any:
        from scipy import sparse

        state = self.state
        shape = state.get("_shape", state.get("shape"))
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


class _Chumpy(_Record):
    """Ch keeps its array as `x`; Select picks `idxs` from the flattened `a`."""

    def value(self) -> Any:
        if "x" in self.state:
            return np.asarray(_plain(self.state["x"]))
        if "a" in self.state and "idxs" in self.state:
            picked = np.asarray(_plain(self.state["a"])).ravel()[
                np.asarray(_plain(self.state["idxs"])).astype(np.int64)
            ]
            shape = self.state.get("preferred_shape")
            return picked if shape is None else picked.reshape([int(n) for n in shape])
        raise CheckpointError(
            f"it holds a chumpy object of an unknown kind (its fields: {', '.join(map(str, self.state))})"
        )


SPARSE = {
    "csr_matrix": _Csr,
    "csc_matrix": _Csc,
    "coo_matrix": _Coo,
    "csr_array": _Csr,
    "csc_array": _Csc,
    "coo_array": _Coo,
}


def _reconstructor(kind: Any, base: Any, state: Any) -> Any:
    """copy_reg's, for records alone."""
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise CheckpointError(f"it makes an object of {kind!r} by copy_reg")
    return kind()


def _newobj(kind: Any, *args: Any) -> Any:
    return _reconstructor(kind, None, None)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return codecs.encode(text, encoding) if encoding in ("latin1", "utf-8", "ascii") else text.encode("latin1")


def _array(kind: Any, shape: Any, code: Any) -> Any:
    return np.ndarray(0, dtype="b")  # an empty array, filled by its state


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("copyreg", "__newobj__"): _newobj,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("collections", "OrderedDict"): dict,
}


def _scalar(dtype: Any, data: Any = b"") -> Any:
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype=dtype)[0]


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> Any:
    found = np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)
    return found if axis_order is None else found.transpose(np.argsort(axis_order))


for _base in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_base}.multiarray", "_reconstruct"] = _array
    _ALLOWED[f"{_base}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_base}.numeric", "_frombuffer"] = _frombuffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module.startswith("scipy.sparse") and name in SPARSE:
            return SPARSE[name]
        if module == "chumpy" or module.startswith("chumpy."):
            return _Chumpy
        raise CheckpointError(
            f"it asks for {module}.{name}, and only arrays (NumPy, scipy.sparse, chumpy) are read; a file from a "
            "source you trust does not hold it"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, (_Sparse, _Chumpy)):
        return value.value()
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(v) for v in value)
    return value


def _dense(matrix: Any) -> Floats:
    toarray = cast("Callable[[], Any] | None", getattr(matrix, "toarray", None))
    return np.asarray(matrix if toarray is None else toarray(), dtype=np.float64)
