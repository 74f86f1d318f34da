"""MANO's file is read without chumpy, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from poseig_hand_models.mano_file import read_mano
from poseig_hand_models.mano_file import read_pickle as read_parsed
from poseig_hand_models.template import synthetic_hand
from scipy import sparse

from poseig_mm.errors import CheckpointError


def read_pickle(path: Path) -> Any:
    """The content as it is."""
    return read_parsed(path, "arrays", lambda content: content)


@pytest.fixture
def chumpy() -> Iterator[types.ModuleType]:
    """Modules of chumpy's names, as long as a file is written, with classes that keep what chumpy's keep."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.ch", "MatVecMult")):
        setattr(modules[module], name, type(name, (), {"__module__": module}))
    sys.modules.update(modules)
    yield modules["chumpy"]
    for name in modules:
        del sys.modules[name]


def ch(array: Any) -> Any:
    """What chumpy.ch.Ch pickles: its array as `x`, beside bookkeeping."""
    found = sys.modules["chumpy.ch"].Ch()  # type: ignore[attr-defined]
    found.__dict__.update(x=array, _dirty_vars=set(), _itr=None)
    return found


def select(array: Any) -> Any:
    """What chumpy.reordering.Select pickles: of a larger array's flat form, some, in a shape."""
    flat = np.concatenate([np.full(7, 99.0), array.ravel()])
    found = sys.modules["chumpy.reordering"].Select()  # type: ignore[attr-defined]
    found.__dict__.update(a=ch(flat), idxs=np.arange(7, 7 + array.size), preferred_shape=array.shape)
    return found


def mano_content() -> dict[str, Any]:
    m = synthetic_hand().mano
    parents = np.array([2**32 - 1, *m.parents[1:]], dtype=np.uint32)
    return {
        "v_template": m.v_template,
        "shapedirs": select(m.shapedirs),
        "posedirs": m.posedirs,
        "J_regressor": sparse.csc_matrix(m.joint_regressor),
        "weights": ch(m.weights),
        "hands_mean": m.hands_mean,
        "f": m.faces.astype(np.uint32),
        "kintree_table": np.stack([parents, np.arange(16, dtype=np.uint32)]),
        "bs_style": "lbs",
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_mano_file_is_read(protocol: int, chumpy: types.ModuleType, tmp_path: Path) -> None:
    """With chumpy's objects and a sparse regressor in it, of the old protocols too: every array as it was."""
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(mano_content(), protocol))
    found, own = read_mano(path), synthetic_hand().mano
    for name in ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "hands_mean", "faces"):
        assert np.array_equal(getattr(found, name), getattr(own, name)), name
    assert found.parents == own.parents
    assert found.faces.dtype == np.int64


def test_other_files_are_refused(tmp_path: Path, chumpy: types.ModuleType) -> None:
    """Absent, damaged, incomplete, of arrays that do not fit, of a chumpy object that is not known."""
    with pytest.raises(CheckpointError, match=r"M.pkl does not exist; expected MANO_RIGHT.pkl, from https://mano"):
        read_mano(tmp_path / "M.pkl")
    path = tmp_path / "bad.pkl"
    path.write_bytes(b"\x80\x04nonsense")
    with pytest.raises(CheckpointError, match="is damaged or not a pickle"):
        read_mano(path)
    content = mano_content()
    del content["hands_mean"], content["f"]
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="it has no hands_mean, f;"):
        read_mano(path)
    path.write_bytes(pickle.dumps({**mano_content(), "weights": np.zeros((777, 16))}))
    with pytest.raises(CheckpointError, match="is damaged: the arrays of 778 vertices"):
        read_mano(path)
    product = sys.modules["chumpy.ch"].MatVecMult()  # type: ignore[attr-defined]
    product.__dict__.update(mtx=np.eye(2))
    path.write_bytes(pickle.dumps({"J": product}))
    with pytest.raises(CheckpointError, match=r"chumpy object of an unknown kind \(its fields: mtx\)"):
        read_pickle(path)


class Touch:
    """A pickle of it makes a file when it is loaded by pickle itself."""

    def __init__(self, way: str, path: Path) -> None:
        self.way, self.path = way, path

    def __reduce__(self) -> Any:
        code = f"open({str(self.path)!r}, 'w').close()"
        if self.way == "system":
            return os.system, (f"touch {self.path}",)
        if self.way == "eval":
            return eval, (code,)
        if self.way == "exec":
            return exec, (code,)
        return Path.touch, (self.path,)


@pytest.mark.parametrize("way", ["system", "eval", "exec", "touch"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_nothing_in_a_file_is_run(way: str, protocol: int, tmp_path: Path) -> None:
    """The file is refused by what it asks for; with pickle itself the same file does its work."""
    path, mark = tmp_path / "bad.pkl", tmp_path / "touched"
    path.write_bytes(pickle.dumps({"v_template": np.zeros(3), "x": Touch(way, mark)}, protocol))
    with pytest.raises(CheckpointError, match=r"and only arrays .* are read"):
        read_mano(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cscipy.sparse\nos\n.",  # a module behind an allowed one's name
        b"cscipy.sparse._base\nnp\n.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",  # an attribute of an allowed class
        b"cbuiltins\ngetattr\n.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",  # copyreg, on no record's class
        b"cfunctools\npartial\n.",
    ],
)
def test_ways_round_are_closed(code: bytes, tmp_path: Path) -> None:
    """Names near the allowed ones."""
    (tmp_path / "bad.pkl").write_bytes(code)
    with pytest.raises(CheckpointError, match=r"cannot be read: it (asks for|makes an object)"):
        read_pickle(tmp_path / "bad.pkl")


def test_a_sparse_matrix_that_points_outside_itself_is_refused(tmp_path: Path) -> None:
    """Its indices would make scipy read foreign memory."""
    matrix = sparse.csr_matrix(np.eye(3))
    matrix.indices[1] = 10**6
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps([matrix]))
    with pytest.raises(CheckpointError, match="is damaged"):
        read_pickle(tmp_path / "bad.pkl")


@pytest.mark.parametrize(
    "change",
    [
        {"kintree_table": np.array(3)},
        {"v_template": {"a": 1}},
        {"J_regressor": sparse.csc_matrix((10**6, 10**6))},
        {"J_regressor": "text"},
        {"f": [["a"]]},
        {"weights": None},
    ],
    ids=str,
)
def test_arrays_that_are_none_are_a_checkpoint_error(change: dict[str, Any], tmp_path: Path) -> None:
    """Whatever stands in their place: neither a traceback nor a matrix that takes all memory."""
    content = {**mano_content_without_chumpy(), **change}
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=r"cannot be read: .*expected MANO_RIGHT\.pkl"):
        read_mano(tmp_path / "bad.pkl")


def mano_content_without_chumpy() -> dict[str, Any]:
    """The arrays themselves."""
    m = synthetic_hand().mano
    parents = np.stack([m.parents, np.arange(16)])
    return {
        **{name: getattr(m, name) for name in ("v_template", "shapedirs", "posedirs", "weights", "hands_mean")},
        "J_regressor": m.joint_regressor,
        "f": m.faces,
        "kintree_table": parents,
    }


def test_another_format_is_named(tmp_path: Path) -> None:
    """A torch checkpoint, a git-LFS pointer, a page, in the place of MANO's file."""
    torch.save({"v_template": torch.zeros(3)}, tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "c.pkl").write_bytes(b"<html>register first</html>")
    for name, got in (("a", "a torch checkpoint"), ("b", "a git-LFS pointer"), ("c", "an HTML page")):
        with pytest.raises(CheckpointError, match=rf"{name}\.pkl .* cannot be read: it is {got}.*expected MANO_RIGHT"):
            read_mano(tmp_path / f"{name}.pkl")


@pytest.mark.parametrize(
    "code",
    [
        b"cnumpy\nndarray\n(I9999999\nI9\nI9\ntR.",
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",
        b"\x80\x02)" + b"2\x86" * 60 + b".",
        b"\x80\x02)" + b"\x85" * 10**5 + b".",
        b"ccopyreg\n_reconstructor\n(N(S'__doc__'\nI1\ndtb.",
    ],
    ids=["ndarray", "dtype", "wide", "deep", "state"],
)
def test_no_crash_and_no_bomb(code: bytes, tmp_path: Path) -> None:
    """Callables that would crash NumPy, tuples without end, a state for a function."""
    (tmp_path / "bad.pkl").write_bytes(code)
    with pytest.raises(CheckpointError, match=r"cannot be read: it (calls|has|is nested|unfolds|changes)"):
        read_mano(tmp_path / "bad.pkl")
