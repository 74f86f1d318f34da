"""Checkpoints as users bring them: one of each kind that no other test has, made of the tiny model's weights.

To add a kind, add an entry to `CHECKPOINTS`. Others: what a file is by its bytes, TorchScript, ONNX and other formats
in `tests/adapters/test_weights_file.py`; wrappers' prefixes, averages and NaN in
`tests/adapters/test_wrapped_weights.py`; old names, other numbers of joints, safetensors and broken files in
`tests/adapters/test_adapter_checkpoints.py`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny
from torch import Tensor
from trainings import runner_of

from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import CheckpointError

State = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """A checkpoint.

    Attributes:
        make: state -> what torch.save writes, or the bytes of the file.
        expected: state -> the weights that the model has then.
        note: a regular expression that a note must match; '' where nothing is said.
        refused: what the error says; '' where it is loaded.
        file: its name.
    """

    make: Callable[[State], Any]
    expected: Callable[[State], State] = dict
    note: str = ""
    refused: str = ""
    file: str = "w.pth"


def refused(make: Callable[[State], Any], says: str, **more: Any) -> Kind:
    return Kind(make, refused=says, **more)


def as_type(kind: torch.dtype) -> Callable[[State], State]:
    """Floating point weights of another precision."""
    return lambda state: {k: v.to(kind) if v.is_floating_point() else v for k, v in state.items()}


def rounded(kind: torch.dtype) -> Callable[[State], State]:
    return lambda state: {k: v.to(kind).float() if v.is_floating_point() else v for k, v in state.items()}


def under(*prefixes: str) -> Callable[[State], State]:
    return lambda state: {prefix + k: v for prefix in prefixes for k, v in state.items()}


def optimizer(state: State) -> Any:
    """What some trainings write beside the weights."""
    layer = torch.nn.Linear(2, 2)
    return {"optimizer": torch.optim.Adam(layer.parameters()).state_dict(), "epoch": 3}


def module(state: State) -> Any:
    """A whole module, as `torch.save(model)` writes it."""
    return torch.nn.Sequential(torch.nn.Linear(2, 2))


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def safe(state: State, **metadata: str) -> bytes:
    from safetensors.torch import save

    return save(state, metadata or None)


def other(state: State) -> State:
    return {k: v + 1 for k, v in state.items()}


CHECKPOINTS: dict[str, Kind] = {
    "half precision": Kind(as_type(torch.float16), rounded(torch.float16)),
    "bfloat16": Kind(as_type(torch.bfloat16), rounded(torch.bfloat16)),
    "double precision": Kind(as_type(torch.float64)),
    "bfloat16 in safetensors": Kind(
        lambda s: safe(as_type(torch.bfloat16)(s)), rounded(torch.bfloat16), file="w.safetensors"
    ),
    "safetensors under a wrapper": Kind(
        lambda s: safe(under("model.")(s), format="pt"), note="'model.' is taken off", file="w.safetensors"
    ),
    "safetensors called pth": Kind(safe),
    "torch called safetensors": Kind(dict, file="w.safetensors"),
    "a parameter each": Kind(lambda s: {k: torch.nn.Parameter(v, v.is_floating_point()) for k, v in s.items()}),
    "Lightning's": Kind(
        lambda s: {
            **{"epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.1", "hyper_parameters": {"lr": 1e-3}},
            **{"state_dict": under("model.")(s), "loops": {}, "callbacks": {}, "lr_schedulers": []},
        },
        note="'model.' is taken off",
    ),
    "MMEngine's average beside": Kind(lambda s: {"state_dict": s, "ema_state_dict": under("module.")(other(s))}),
    "odd names of files": Kind(dict, file="人物 #%<b> é's.pth"),
    "no ending": Kind(dict, file="weights"),
    "two models in one": refused(under("student.", "teacher."), "holds a distiller .keys 'student.' and"),
    "an optimizer alone": refused(optimizer, r"holds the keys \['optimizer', 'epoch'\]; expected weights by name"),
    "a whole module": refused(module, "expected weights by name"),
    "a backbone alone": refused(
        lambda s: {k.removeprefix("backbone."): v for k, v in s.items() if k.startswith("backbone.")},
        "missing in the checkpoint .*backbone",
    ),
    "one weight alone": refused(lambda s: dict(list(s.items())[:1]), "missing in the checkpoint"),
    "weights of no shape": refused(lambda s: {k: v.flatten() for k, v in s.items()}, "of another shape"),
    "a list of weights": refused(lambda s: list(s.values()), "expected weights by name"),
    "a path to another": refused(lambda s: b"/work_dirs/epoch_210.pth", "damaged or not a torch file"),
    "an index of shards": refused(
        lambda s: b'{"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}',
        "damaged or not a torch file",
        file="model.safetensors.index.json",
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint(name: str, tiny_files: tiny, tmp_path: Path) -> None:
    """The model has its weights, and what was done to them is said; or it is refused with the cause."""
    from poseig_mm.adapters.checkpoints import read_checkpoint

    kind, state = CHECKPOINTS[name], dict(read_checkpoint(tiny_files.weights)[0])
    made, path = kind.make(state), tmp_path / kind.file
    path.write_bytes(made if isinstance(made, bytes) else saved(made))
    if kind.refused:
        with pytest.raises(CheckpointError, match=kind.refused) as caught:
            build_model(str(tiny_files.config), path)
        assert kind.file in str(caught.value)
        return
    model = build_model(str(tiny_files.config), path)
    loaded, expected = model.state_dict(), kind.expected(state)
    assert loaded.keys() == expected.keys()
    assert all(v.dtype == expected[k].dtype and torch.equal(v, expected[k]) for k, v in loaded.items())
    assert len(model.weights_notes) == bool(kind.note)
    assert re.search(kind.note, "".join(model.weights_notes))


def test_a_link_to_a_checkpoint(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `best.pth` often is, also by a path from the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    os.symlink(tiny_files.weights, tmp_path / "best.pth")
    model = build_model(str(tiny_files.config), "~/best.pth")
    assert not model.random_weights


def test_a_training_s_own_checkpoint_holds_the_average(tiny_files: tiny, tmp_path: Path) -> None:
    """MMEngine's Runner with an EMA hook swaps both before it saves: 'state_dict' is what was evaluated."""
    average = {"type": "EMAHook", "momentum": 0.5}
    runner = runner_of(tiny_files, tmp_path / "train", epochs=1, hooks=[average])
    runner.train()
    (hook,) = (h for h in runner.hooks if type(h).__name__ == "EMAHook")
    model = build_model(str(tiny_files.config), tmp_path / "train" / "epoch_1.pth")
    averaged, plain = hook.ema_model.module.state_dict(), runner.model.state_dict()
    weight = "head.final_layer.weight"
    assert not torch.equal(averaged[weight], plain[weight])
    assert torch.equal(model.state_dict()[weight], averaged[weight])
    assert model.weights_notes == []
    assert model.dataset_meta["keypoint_id2name"][0] == "nose"
