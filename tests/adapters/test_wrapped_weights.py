"""Weights under a wrapper's names are loaded if all fits then, and said to be; weights that are no numbers are
named.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import tiny_config, tiny_model

from poseig_mm.adapters.build_model import build_model, model_hash
from poseig_mm.adapters.weights import load_weights
from poseig_mm.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model() -> Any:
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    return tiny_model("heatmap-msra")


def load(content: Any, folder: Path) -> Any:
    torch.save(content, folder / "w.pth")
    return build_model(tiny_config("heatmap-msra"), folder / "w.pth")


def put(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: value for name, value in state.items()}


WRAPPERS: dict[str, tuple[Callable[[State], Any], str | None]] = {
    "module.": (put("module."), None),
    "module.module.": (put("module.module."), None),
    "model.": (put("model."), "'model.' is taken off"),
    "_orig_mod.": (put("_orig_mod."), "'_orig_mod.' is taken off"),
    "model.module._orig_mod.": (
        put("model.module._orig_mod."),
        "'_orig_mod.' is taken out.*'model.'.*'module.' is taken off",
    ),
    "module.model.": (put("module.model."), "'model.' is taken off"),
    "steps": (lambda s: {"steps": torch.tensor(4), **put("module.")(s)}, "steps .*left out.*'module.' is taken off"),
    "n_averaged": (lambda s: {"n_averaged": torch.tensor(4), **put("module.")(s)}, "n_averaged are left out"),
    "ema_": (lambda s: s | {f"ema_{k.replace('.', '_')}": v + 1 for k, v in s.items()}, r"'ema_\*' are left out"),
    "inside": (lambda s: {k.replace("backbone.", "backbone._orig_mod."): v for k, v in s.items()}, "taken out"),
    "state_dict in model": (lambda s: {"model": {"state_dict": s}}, None),
    "model_state_dict": (lambda s: {"epoch": 3, "model_state_dict": put("module.")(s)}, None),
    "params": (lambda s: {"params": s}, None),
    "a step beside": (lambda s: {**s, "epoch": 3}, None),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_is_taken_off(wrapper: str, model: Any, tmp_path: Path) -> None:
    """The weights are the model's, and the notes say what was done; of `module.` and containers nothing is said."""
    wrap, said = WRAPPERS[wrapper]
    loaded = load(wrap(dict(model.state_dict())), tmp_path)
    assert model_hash(loaded) == model_hash(model)
    if said is None:
        assert loaded.weights_notes == []
    else:
        (note,) = loaded.weights_notes
        assert re.search(said, note), note


def test_module_versions_go_along(model: Any, tmp_path: Path) -> None:
    """Without them MMPose's hooks would take the names for old ones."""
    whole = torch.nn.Module()
    whole.model = model
    assert model_hash(load({"state_dict": whole.state_dict()}, tmp_path)) == model_hash(model)


def test_old_names_under_a_prefix(model: Any, tmp_path: Path) -> None:
    """MMPose 0.x inside a wrapper."""
    old = {f"model.{k.replace('head.', 'keypoint_head.')}": v for k, v in model.state_dict().items()}
    assert model_hash(load(old, tmp_path)) == model_hash(model)


def test_nothing_is_taken_off_where_it_does_not_fit_then(model: Any, tmp_path: Path) -> None:
    """The message speaks of the file's own names."""
    state = put("model.")({**model.state_dict(), "more": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"another architecture.*unknown to the model \(model\.backbone"):
        load(state, tmp_path)


def test_a_probe_that_fails_is_said() -> None:
    """Whether missing weights matter could not be seen: that is no sign of another architecture alone."""

    def fails() -> list[torch.Tensor]:
        raise IndexError("no such stage")

    layer = torch.nn.Linear(2, 1)
    with pytest.raises(CheckpointError, match="the model cannot be run, IndexError: no such stage"):
        load_weights(layer, {"weight": torch.ones(1, 2)}, "w.pth", probe=fails)


@pytest.mark.skipif(not hasattr(torch, "float8_e4m3fn"), reason="torch < 2.1")
def test_weights_of_eight_bits_are_looked_at() -> None:
    """torch has no `isfinite` of them."""
    weight = torch.tensor([[1.0, torch.nan]]).to(torch.float8_e4m3fn)
    (note,) = load_weights(torch.nn.Linear(2, 1, bias=False), {"weight": weight}, "w.pth")
    assert "weight (1 of 2)" in note


def test_weights_that_are_no_numbers_are_named(model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which, and how many values; the model is loaded, since its diagnosis may be wanted."""
    state = {k: v.clone() for k, v in model.state_dict().items()}
    name = next(k for k in state if k.startswith("head.final_layer.weight"))
    state[name][0] = torch.nan
    state["backbone.conv1.bn.running_var"][1] = torch.inf
    with caplog.at_level(logging.WARNING):
        loaded = load(state, tmp_path)
    (note,) = loaded.weights_notes
    assert f"{name} ({state[name][0].numel()} of {state[name].numel()})" in note
    assert "values are NaN or infinite in backbone.conv1.bn.running_var (1 of" in note
    assert note in caplog.text
