"""Reading checkpoints without running what is in them.

A torch checkpoint is a pickle, and a pickle can run code.  `torch.load(weights_only=True)` refuses everything but
tensors, and so refuses most MMEngine checkpoints, which also hold log histories and NumPy values; older torch has no
safe way to let those pass.  Here an own unpickler knows what tensors and NumPy arrays are made of; everything else in
the file becomes an inert `Unknown` and is never imported, let alone called.
"""

from __future__ import annotations

import pickle
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import torch
from torch import Tensor

from ..errors import CheckpointError

STATE_DICT_KEYS = ("state_dict", "model")  # MMEngine and most others; detection code bases
_NUMPY = {"_reconstruct", "scalar"}
_HARMLESS = {
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch": {"Size", "device", "Tensor", *(n for n, v in vars(torch).items() if isinstance(v, torch.dtype))},
    "torch.nn.parameter": {"Parameter"},
    "collections": {"OrderedDict", "defaultdict"},
    "builtins": {
        "set",
        "bytes",
        "frozenset",
        "dict",
        "list",
        "tuple",
        "int",
        "float",
        "complex",
        "bool",
        "slice",
        "range",
    },
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": _NUMPY,
    "numpy._core.multiarray": _NUMPY,
    "_codecs": {"encode"},
}


class Unknown:
    """Stands for an object of a class that checkpoints need not hold; swallows whatever the pickle does with it.

    >>> Unknown('anything')(1)['x'] = 2
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> Unknown:
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Nothing."""

    def extend(self, values: object) -> None:
        """Nothing."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module)  # protocol 2 writes Python 2's name
        return super().find_class(module, name) if name in _HARMLESS.get(module, ()) else Unknown


def _load(file: BinaryIO, **settings: Any) -> Any:
    return _Unpickler(file, **settings).load()


_pickle = types.ModuleType("poseig_mm_harmless_pickle")  # what torch.load takes as `pickle_module`
vars(_pickle).update(Unpickler=_Unpickler, load=_load, UnpicklingError=pickle.UnpicklingError)


def read_checkpoint(source: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and meta data of a checkpoint.

    Args:
        source: a file written by torch.save (weights under 'state_dict' or 'model', or the whole file), a
            `.safetensors` file, or an http(s) address of one, which is kept in torch.hub's cache.

    Returns:
        The weights by name, on the CPU, without a leading 'module.' (with `_metadata`, where the file has it); and the
        file's 'meta', {} where it has none.

    Raises:
        CheckpointError: there is no such file; it cannot be downloaded; it is damaged or not a checkpoint.
    """
    path = _local(source)
    content = read_content(path)
    state = _state_dict(content, path)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    return state, dict(meta) if isinstance(meta, Mapping) else {}


def read_content(path: Path) -> Any:
    """All that a checkpoint file holds, whatever its layout; nothing in it is run, what is not data is an `Unknown`.

    Raises:
        CheckpointError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; give the path of a .pth file that fits the config")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(path))
        return torch.load(path, map_location="cpu", pickle_module=_pickle, weights_only=False)
    except Exception as error:  # torch and pickle raise a dozen types on damaged files
        raise CheckpointError(
            f"checkpoint {path} ({path.stat().st_size} bytes) cannot be read: it is damaged or not a torch file "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}); copy it again"
        ) from error


def _local(source: str | Path) -> Path:
    """The path of a file; an address is downloaded first, unless that was done before."""
    address = str(source)
    if not address.startswith(("http://", "https://")):
        return Path(source).expanduser()
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(address).path).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), progress=False)
        except OSError as error:  # urllib's errors are OSErrors
            raise CheckpointError(
                f"checkpoint {address} cannot be downloaded ({error}); download it elsewhere and give the file's path"
            ) from error
    return path


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    weights = content
    if isinstance(content, Mapping):
        weights = next((content[k] for k in STATE_DICT_KEYS if isinstance(content.get(k), Mapping)), content)
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(v, Tensor) for v in weights.values()):
        what = f"the keys {list(content)[:5]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CheckpointError(
            f"checkpoint {path} holds {what}; expected weights by name, under 'state_dict' or as the whole file"
        )
    prefix = "module." if all(key.startswith("module.") for key in weights) else ""
    state = _StateDict({key[len(prefix) :]: value for key, value in weights.items()})
    metadata = getattr(weights, "_metadata", None)  # versions of the modules, which their conversion hooks look at
    if isinstance(metadata, Mapping):
        state._metadata = {key.removeprefix(prefix): value for key, value in metadata.items()}
    return state


class _StateDict(dict[str, Tensor]):
    """A state dict as torch makes it: with the module versions as an attribute."""

    _metadata: dict[str, Any] | None = None
