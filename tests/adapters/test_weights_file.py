"""What a hostile, damaged or mistaken file of weights can do: nothing but give a CheckpointError."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_archives import changed

from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.restricted_pickle import RestrictedPickle, Unknown
from poseig_mm.adapters.unpickling.limits import Steps
from poseig_mm.adapters.weights_file import read_torch_file
from poseig_mm.errors import CheckpointError


class Canary:
    """Unpickled the usual way, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def restricted(code: bytes) -> Any:
    return RestrictedPickle(io.BytesIO(code)).plain()


def refused(code: bytes, message: str) -> None:
    """As the pickle inside a torch file."""
    with pytest.raises(CheckpointError, match=message):
        restricted(code)


# What it is


@pytest.mark.parametrize(
    ("content", "got", "advice"),
    [
        (b"", "an empty file", "copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a git-LFS pointer", "git lfs pull"),
        (b"\n  <!DOCTYPE html>\n<html></html>", "an HTML page", "raw content"),
        (b"<HTML><body>login", "an HTML page", "raw content"),
        (b"\x08\x07\x12\x07pytorch\x1a\x0512345", "an ONNX model", "exported from"),
        (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite network", "PyTorch checkpoint"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "PyTorch checkpoint"),
        (b"\x1f\x8b\x08\0", "compressed by gzip", "unpack"),
        (pickle.dumps({"a": np.zeros(2)}), "a plain pickle", "torch.save the weights"),
        (pickle.dumps({"a": 1}, 0), "a plain pickle", "torch.save the weights"),
        (b"just some text", "damaged or not a torch file", "copy it again"),
        (bytes(1000), "damaged or not a torch file", "copy it again"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin"])
def test_a_file_is_told_by_its_bytes(content: bytes, got: str, advice: str, name: str, tmp_path: Path) -> None:
    """Whatever it is called: what was got, what was expected, what to do next."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} \(\d+ bytes\) cannot be read: .*{got}.*expected.*{advice}"):
        read_checkpoint(tmp_path / name)


def test_a_folder_and_another_archive_are_named(tmp_path: Path) -> None:
    """A zip that torch did not write, such as NumPy's."""
    with pytest.raises(CheckpointError, match="is a folder; expected weights"):
        read_checkpoint(tmp_path)
    np.savez(tmp_path / "w.npz", a=np.zeros(2))
    with pytest.raises(CheckpointError, match=r"a zip archive, and no torch checkpoint"):
        read_checkpoint(tmp_path / "w.npz")


def test_torchscript_is_refused_before_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading such an archive runs what is in it; torch.load would hand it to torch.jit.load."""
    torch.jit.script(torch.nn.Linear(2, 1)).save(str(tmp_path / "w.pth"))
    called = list[str]()
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: called.append("jit"))
    monkeypatch.setattr(torch, "load", lambda *a, **k: called.append("load"))
    with pytest.raises(CheckpointError, match=r"a TorchScript archive, a program .*state_dict"):
        read_checkpoint(tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "mixed.pth", "w") as archive:  # with a checkpoint's entries beside it
        for name in ("a/data.pkl", "a/version", "a/constants.pkl"):
            archive.writestr(name, b"")
    with pytest.raises(CheckpointError, match="a TorchScript archive"):
        read_checkpoint(tmp_path / "mixed.pth")
    assert not called


# What it holds


@pytest.mark.parametrize("zipped", [True, False])
def test_every_kind_of_tensor_is_as_it_was(zipped: bool, tmp_path: Path) -> None:
    """Types, views of one storage, transposed, empty, without dimensions, parameters, repeated elements."""
    base = torch.arange(12.0).reshape(3, 4)
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool]
    content = {
        **{str(kind): torch.tensor([[0, 1, 2]]).to(kind) for kind in (*kinds, torch.complex64)},
        "base": base,
        "row": base[1],
        "turned": base.T,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "repeated": torch.ones(1).expand(5),
    }
    if zipped and hasattr(torch, "float8_e4m3fn"):
        content["float8"] = torch.tensor([0.5, 1.0]).to(torch.float8_e4m3fn)
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_torch_file(tmp_path / "w.pth")
    assert found.keys() == content.keys()
    for name, value in content.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        assert torch.equal(found[name].float(), value.detach().float()), name


def test_what_stands_beside_weights_is_data(tmp_path: Path) -> None:
    """NumPy arrays and numbers of all orders, sets, sizes, module versions; what is unknown is inert."""
    state = torch.nn.BatchNorm1d(2).state_dict()
    arrays = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)), np.arange(3, dtype=">i4"),
              np.array(["a", "bc"]), np.array([]), np.array(True), np.float32(2.5), np.int64(7)]  # fmt: skip
    content = {"state_dict": state, "meta": {"arrays": arrays, "set": {1, 2}, "size": torch.Size([2, 3]), "b": b"ab",
               "type": torch.float16, "path": Path("a"), "z": 1 + 2j,
               "objects": np.array([{}], dtype=object)}}  # fmt: skip
    torch.save(content, tmp_path / "w.pth")
    weights, meta = read_checkpoint(tmp_path / "w.pth")
    assert weights._metadata == dict(state._metadata)
    for found, value in zip(meta["arrays"], arrays, strict=True):
        assert found.dtype == value.dtype
        assert np.array_equal(found, value)
    assert (meta["set"], tuple(meta["size"]), meta["b"], meta["z"]) == ({1, 2}, (2, 3), b"ab", 1 + 2j)
    assert meta["type"] is torch.float16
    assert isinstance(meta["path"], Unknown)
    assert isinstance(meta["objects"], Unknown)


# What it may not do


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(protocol: int, tmp_path: Path) -> None:
    """By REDUCE, INST, OBJ, NEWOBJ: a canary that pickle itself lets fly."""
    mark = tmp_path / f"canary{protocol}"
    name = str(mark).encode()
    codes = [
        pickle.dumps(Canary(mark), protocol),
        b"(S'" + name + b"'\nios\nmkdir\n.",
        b"(cos\nmkdir\nS'" + name + b"'\no.",
        b"cfunctools\npartial\n(cos\nmkdir\nS'" + name + b"'\nt\x81.",
        b"ccollections\ndefaultdict\n(cos\nmkdir\ntRS'a'\n.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nmkdir\nNNN(S'" + name + b"'\nttR.",
    ]
    for code in codes:
        try:
            restricted(code)
        except Exception as error:
            assert isinstance(error, (CheckpointError, IndexError, TypeError, ValueError)), error  # noqa: PT017
        assert not mark.exists()
    pickle.loads(codes[1])
    assert mark.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"cnumpy\nndarray\n(I9999999\nI9\nI9\ntR.", None),
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", None),
        (b"cnumpy\ndtype\n(S'V99999999999'\nI0\nI1\ntR.", None),
        (b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'?'\nNNNI-1\nI-1\nI0\ntb.", "byte order"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nNNtR(I1\n(I9\ntS'f4'\nI0\nS'abcd'\ntb.",
            "made of bytes",
        ),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'abcd'\ntR.", "of 4 bytes"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n(I2\nt(I1\ntI00\nNtR.", "something else than a storage"),
        (b"ctorch\nFloatStorage\n(I99999999999\ntR.", None),
        (b"cbuiltins\nbytes\n(I99999999999\ntR.", "something else than text"),
        (b"cbuiltins\nbytearray\n(I99999999999\ntR.", "something else than text"),
        (b"\x82\x01.", "extension"),
        (b"\x97.", "outside buffer"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", None),  # a bytearray of 2^63 bytes
    ],
)  # fmt: skip
def test_constructors_look_at_what_they_are_given(code: bytes, message: str | None) -> None:
    """NumPy's and torch's own would crash, or take all memory, with these."""
    if message is not None:
        return refused(code, message)
    try:
        found = restricted(code)
    except (CheckpointError, pickle.UnpicklingError, EOFError):
        return None
    assert isinstance(found, (Unknown, bytearray))
    return None


def test_functions_of_the_process_are_not_patched() -> None:
    """BUILD with a slot state would set attributes of what a name stands for."""
    before = dict(vars(torch._utils._rebuild_tensor_v2)), torch._utils._rebuild_tensor_v2.__code__
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"numpy\nndarray", b"builtins\nset"):
        for state in (b"(N(S'__code__'\nI1\ndt", b"(S'__doc__'\nS'x'\nd", b"(S'make'\nI1\nd"):
            refused(b"c" + name + b"\n" + state + b"b.", "changes the state of a (Constructor|Marker)")
    assert (dict(vars(torch._utils._rebuild_tensor_v2)), torch._utils._rebuild_tensor_v2.__code__) == before
    found = restricted(pickle.dumps(OrderedDict(a=1)))
    assert found == {"a": 1}


def nested(depth: int, wide: int = 1, around: bytes = b"\x85") -> bytes:
    """A pickle of tuples inside tuples, each `wide` times the next one."""
    return b"\x80\x02" + b")" + b"".join((b"2" * (wide - 1)) + around for _ in range(depth))


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deep, doubled sixty times, hashed, inside itself, without end."""
    refused(nested(10**5) + b".", "nested more than 100 deep")
    refused(nested(60, 2, b"\x86") + b".", "unfolds to more than")
    refused(b"}" + nested(60, 2, b"\x86")[2:] + b"Ns.", "as a key")
    refused(b"}" + nested(10**5)[2:] + b"Ns.", "as a key")
    refused(b"\x8f(" + nested(60, 2, b"\x86")[2:] + b"\x90.", "as a key")
    refused(b"(" + nested(60, 2, b"\x86")[2:] + b"\x91.", "as a key")
    refused(b"]q\0h\0a.", "holds itself")
    refused(b"}q\0U\x01ah\0s.", "holds itself")
    text, many = b"X\0\0\1\0" + b"a" * 2**16, 2**9  # a memo's text, list and array used again and again
    refused(b"(" + text + b"q\0" + b"c_codecs\nencode\nh\0\x85R" * many + b"t.", "times its size")
    refused(b"(" + b"](" + b"K\1" * 99_999 + b"eq\0" + b"cbuiltins\nset\nh\0\x85R" * many + b"t.", "times its size")
    frame = b"cnumpy\ndtype\nU\2u1I0\nI1\n\x87Rq\1"
    made = b"cnumpy.core.numeric\n_frombuffer\n(h\0h\1J\0\0\1\0\x85U\1CtR" * many
    refused(b"(" + text + b"q\0" + frame + made + b"t.", "times its size")
    refused(b"}" + b"\x8a\x09" + bytes(8) + b"\x7f" + b"Ns.", "as a key")
    bomb = nested(60, 2, b"\x86")[2:]  # which no message may show in full
    refused(b"c_codecs\nencode\n" + bomb + b"\x85R.", "encodes a tuple")
    refused(b"cnumpy.core.numeric\n_frombuffer\n(C\0N)" + bomb + b"tR.", "not made of bytes and a type")
    assert isinstance(restricted(b"cnumpy\ndtype\n" + bomb + b"\x85R."), Unknown)
    refused(b"cnumpy\ndtype\nU\2u1\x85R(K\3" + bomb + b"tbq\0.", r"byte order \(\(")
    with pytest.raises(CheckpointError, match="an object of tuple by copyreg"):
        RestrictedPickle(io.BytesIO(b"ccopyreg\n_reconstructor\n" + bomb + b"\x85R."), lambda module, name: None)
    monkeypatch.setattr(Steps, "left", 1000)
    refused(b"N0" * 1000 + b"N.", "steps")


def test_a_tensor_stays_inside_its_storage(tmp_path: Path) -> None:
    """A length that is not the storage's, a size, an offset or strides that reach beyond it."""
    for old, new, message in (
        (b"K\x05tq", b"J\0\0\0\x10tq", "has 20 bytes"),
        (b"K\x05\x85", b"J\0\0\0\x10\x85", "reaches outside its 5 numbers"),
        (b"K\x05\x85", b"J\0\0\0\xf0\x85", "of size"),
        (b"K\x01\x85", b"K\x09\x85", "reaches outside"),
        (b"K\x00K\x05\x85", b"K\x01K\x05\x85", "reaches outside"),
    ):
        torch.save({"w": torch.ones(5)}, tmp_path / "w.pth")
        changed(
            tmp_path / "w.pth",
            lambda name, c, old=old, new=new: c.replace(old, new, 1) if name.endswith(".pkl") else c,
        )
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(tmp_path / "w.pth")


def test_an_archive_is_what_torch_writes(tmp_path: Path) -> None:
    """Not compressed, of the machine's byte order, its storages there, its checksums right."""
    path = tmp_path / "w.pth"

    def fails(message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(path)
        torch.save({"w": torch.ones(5)}, path)

    torch.save({"w": torch.ones(5)}, path)
    changed(path, lambda name, c: c, compression=zipfile.ZIP_DEFLATED)
    fails("it is compressed")
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
    changed(path, lambda name, c: c)
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if not n.startswith(f"{root}/data/")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    fails("its storage '0' is missing")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**kept, f"{root}/byteorder": b"big"}.items():
            archive.writestr(name, content)
    fails("big-endian")
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(5).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    fails("damaged or not a torch file .*CRC")
