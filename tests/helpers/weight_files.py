"""Well-formed files of weights of each format, small, with a canary where they can hold one, and their mutations."""

from __future__ import annotations

import functools
import io
import pickle
import sys
import types
from collections import OrderedDict
from random import Random
from typing import Any

import numpy as np
import torch
from mutations import mutated_bytes, mutated_pickle, mutated_safetensors, mutated_zip
from safetensors.torch import save

flown: list[str] = []


def fly() -> None:
    """What the canary's pickle calls."""
    flown.append("fly")


class Bird:
    """Its pickle calls `fly`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fly, ()


@functools.cache
def weight_files() -> dict[str, bytes]:
    """By format."""
    batch_norm = torch.nn.BatchNorm1d(2).state_dict()
    content = {"state_dict": OrderedDict(a=torch.ones(3, 2), b=torch.zeros(4, dtype=torch.float16),
               c=torch.ones(2, 2).T, p=torch.nn.Parameter(torch.ones(2)), **batch_norm),
               "meta": {"x": np.arange(3.0), "names": {0: "nose"}, "set": {1, (2, "a")}, "size": torch.Size([2, 3]),
                        "type": torch.float16, "number": np.float32(2), "b": b"ab", "z": 1 + 2j,
                        "canary": Bird()}}  # fmt: skip
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(content, zipped)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    arrays = {"x": np.arange(4), "y": [1, (2, "a")], "canary": Bird()}
    return {
        "zip": zipped.getvalue(),
        "legacy": legacy.getvalue(),
        "safetensors": save({"a": torch.ones(3), "b": torch.zeros(2, 2)}, {"format": "pt"}),
        "pickle": pickle.dumps(arrays, 2),
        "old pickle": pickle.dumps(arrays, 0),
        "new pickle": pickle.dumps(arrays, 5),
    }


def _other(rng: Random) -> bytes:
    return weight_files()[rng.choice(sorted(weight_files()))]


def mutated_zip_file(rng: Random) -> bytes:
    """Of torch.save."""

    def entry(rng: Random, name: str, content: bytes) -> bytes:
        change = mutated_pickle if name.endswith(".pkl") else mutated_bytes
        return change(rng, content, _other(rng))

    return mutated_zip(rng, weight_files()["zip"], _other(rng), entry)


def mutated_legacy_file(rng: Random) -> bytes:
    """Of torch.save before 1.6."""
    return mutated_pickle(rng, weight_files()["legacy"], _other(rng))


def mutated_safetensors_file(rng: Random) -> bytes:
    """Of safetensors."""
    return mutated_safetensors(rng, weight_files()["safetensors"], _other(rng))


def mutated_plain_pickle(rng: Random) -> bytes:
    """Of arrays, of one of pickle's protocols."""
    name = rng.choice([name for name in weight_files() if name.endswith("pickle")])
    return mutated_pickle(rng, weight_files()[name], _other(rng))


MUTATED = {
    "zip": mutated_zip_file,
    "legacy": mutated_legacy_file,
    "safetensors": mutated_safetensors_file,
    "pickle": mutated_plain_pickle,
}


def with_chumpy(dump: Any) -> bytes:
    """`dump(kind)` while there are modules of chumpy's names; `kind(name, **fields)` makes an object that keeps what
    chumpy's keep.
    """
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.ch", "MatVecMult")):
        setattr(modules[module], name, type(name, (), {"__module__": module}))
    sys.modules.update(modules)

    def kind(name: str, **fields: Any) -> Any:
        found = getattr(modules["chumpy.reordering" if name == "Select" else "chumpy.ch"], name)()
        found.__dict__.update(fields)
        return found

    try:
        result: bytes = dump(kind)
        return result
    finally:
        for name in modules:
            del sys.modules[name]
