"""A training's own checkpoint can be resumed from; a file that calls something cannot, nor one read afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseig_mm.adapters.training_checkpoints import training_checkpoints_readable

pytestmark = [
    pytest.mark.usefixtures("mmpose_ready"),
    pytest.mark.skipif(
        not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"), reason="torch before 2.6 reads anything"
    ),
]


def checkpoint(path: Path) -> Path:
    """What MMEngine's Runner writes: weights, the message hub with its histories, and the data set's arrays."""
    from mmengine.logging import MessageHub

    hub = MessageHub(path.stem)
    hub.update_scalar("train/loss", 1.5)
    hub.update_scalar("train/loss", 0.5)
    hub.update_info("iter", np.int64(3))
    arrays = {"sigmas": np.ones(3, np.float32), "colors": np.zeros((3, 3), np.uint8), "weights": np.ones(3)}
    meta = {"dataset_meta": arrays, "epoch": 1, "cfg": "model = dict()"}
    torch.save({"state_dict": {"a": torch.ones(2)}, "message_hub": hub.state_dict(), "meta": meta}, path)
    return path


def test_mmengines_own_are_read_within_the_context_alone(tmp_path: Path) -> None:
    """With what they hold; the process's environment and torch's list of what may be made stay as they were."""
    path, before = checkpoint(tmp_path / "epoch_1.pth"), set(torch.serialization.get_safe_globals())
    with training_checkpoints_readable():
        read = torch.load(path)
    history = read["message_hub"]["log_scalars"]["train/loss"]
    assert history.mean() == 1.0
    assert history.data[0].tolist() == [1.5, 0.5]
    assert read["meta"]["dataset_meta"]["sigmas"].dtype == np.float32
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert set(torch.serialization.get_safe_globals()) == before  # torch keeps a set: its order is no one's
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path)


class Calls:
    """A pickle that calls `function` with `arguments` when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


def hostile(marker: Path) -> list[Any]:
    """A command, a file, and attributes that no history has."""
    from mmengine.logging import HistoryBuffer

    return [
        Calls(os.system, f"touch {marker}"),
        Calls(open, str(marker), "w"),
        Calls(getattr, os.system, "__self__"),
        Calls(getattr, HistoryBuffer, "__init__"),
        Calls(getattr, HistoryBuffer.update, "__globals__"),
        Calls(getattr, np.ndarray, "tofile"),
    ]


@pytest.mark.parametrize("what", range(6))
def test_what_calls_something_else_is_refused(tmp_path: Path, what: int) -> None:
    """Nothing of it is called."""
    marker = tmp_path / "called"
    torch.save({"meta": hostile(marker)[what]}, tmp_path / "epoch_1.pth")
    with training_checkpoints_readable(), pytest.raises(Exception, match=r"Weights only load failed|is not read"):
        torch.load(tmp_path / "epoch_1.pth")
    assert not marker.exists()
