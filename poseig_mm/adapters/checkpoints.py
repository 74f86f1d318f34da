"""A checkpoint, file or address, as weights by name and meta data; `weights_file` reads what is in it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..store.atomic import temporary_name
from .restricted_pickle import StateDict, Unknown
from .weights_file import read_torch_file

logger = logging.getLogger(__name__)
# Where the weights are: MMEngine's and most others'; detection code bases'; and others
STATE_DICT_KEYS = ("state_dict", "model", "model_state_dict", "network", "net", "module", "params", "weights")
WRAPPED = 3  # such keys inside one another
SHOWN = 5


def read_checkpoint(source: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and meta data of a checkpoint.

    Args:
        source: a file written by torch.save (weights under one of `STATE_DICT_KEYS`, or the whole file), a
            safetensors file, or an http(s) address of one, which is kept in torch.hub's cache.

    Returns:
        The weights by name, on the CPU, without leading 'module.' (with `_metadata`, where the file has it); and the
        file's 'meta', {} where it has none.

    Raises:
        CheckpointError: there is no such file; it cannot be downloaded; it is damaged or not a checkpoint.
    """
    address = str(source)
    if address.startswith(("http://", "https://")):
        path = _downloaded(address)
        try:
            content = read_torch_file(path)
        except CheckpointError as error:
            _forget(path)
            raise CheckpointError(f"{address} is not what it should be: {error}") from error
    else:
        path = Path(source).expanduser()
        content = read_torch_file(path)
    state = flat_weights(content)
    if state is None:
        what = f"the keys {list(content)[:SHOWN]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CheckpointError(
            f"checkpoint {path} holds {what}; expected weights by name, under 'state_dict' or as the whole file; give "
            "the file that the training saved"
        )
    meta = content.get("meta") if isinstance(content, Mapping) else None
    return state, dict(meta) if isinstance(meta, Mapping) else {}


def flat_weights(content: Any) -> StateDict | None:
    """The weights in a file's content, wherever they are, without leading 'module.'; None where there are none.

    What is no tensor (a step, a log) may stand beside them and is left out.

    >>> w = torch.zeros(1)
    >>> flat_weights({'epoch': 3, 'network': {'module.module.a.weight': w, 'steps': 4}})
    {'a.weight': tensor([0.])}
    >>> flat_weights({'epoch': 3}) is None
    True
    """
    for _ in range(WRAPPED):
        if not isinstance(content, Mapping):
            return None
        if (inner := next((content[k] for k in STATE_DICT_KEYS if isinstance(content.get(k), Mapping)), None)) is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not any(isinstance(v, Tensor) for v in content.values()):
        return None
    if not all(isinstance(v, (Tensor, Unknown, int, float, str, type(None))) for v in content.values()):
        return None
    state = StateDict((str(k), v) for k, v in content.items() if isinstance(v, Tensor))
    metadata = getattr(content, "_metadata", None)  # versions of the modules, which their conversion hooks look at
    state._metadata = dict(metadata) if isinstance(metadata, Mapping) else None
    while all(key.startswith("module.") for key in state):
        state = without_prefix(state, "module.")
    return state


def without_prefix(state: StateDict, prefix: str) -> StateDict:
    """Weights and module versions whose names begin with a prefix, without it."""
    found = StateDict((key.removeprefix(prefix), value) for key, value in state.items() if key.startswith(prefix))
    if state._metadata is not None:
        found._metadata = {
            key.removeprefix(prefix): value
            for key, value in state._metadata.items()
            if key.startswith(prefix) or key == prefix[:-1]
        }
        if prefix[:-1] in state._metadata:
            found._metadata[""] = found._metadata.pop(prefix[:-1])
    return found


def _downloaded(address: str) -> Path:
    """The file of an address, in a cache by the whole address; one whose content has changed is fetched again."""
    name = re.sub(r"[^\w.-]", "_", Path(urlparse(address).path).name)[-80:] or "weights"
    path = Path(torch.hub.get_dir()) / "checkpoints" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}"
    digest = _digest_file(path)
    if path.is_file() and digest.is_file():
        if digest.read_text().strip() == _sha256(path):
            return path
        logger.warning("%s is not the file that was downloaded from %s; it is downloaded again", path, address)
    _forget(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    try:
        torch.hub.download_url_to_file(address, str(part), progress=False)
        digest.write_text(_sha256(part))
        part.replace(path)
    except OSError as error:  # urllib's errors are OSErrors
        raise CheckpointError(
            f"checkpoint {address} cannot be downloaded ({error}); download it elsewhere and give the file's path"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    _digest_file(path).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
