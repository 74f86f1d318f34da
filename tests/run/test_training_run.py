"""A training that goes on where it was cut off, refuses another's checkpoints, and says what went wrong."""

from __future__ import annotations

import errno
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny, trainable, write_run

from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import StoreError, TrainingError
from poseig_mm.run.open import load_config
from poseig_mm.run.training_run import Training, newest_checkpoint
from poseig_mm.treatments.training import put, schedule

STEPS = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return trainable(write_run(tmp_path_factory.mktemp("data")))


def config_of(made: tiny, **changes: Any) -> Any:
    config = load_config(made.config)
    put(config, {**schedule(lr=1e-3, epochs=STEPS, steps=1), "randomness": {"seed": 3}, **changes})
    return config


def training(made: tiny, folder: Path, claim: str = "mine", **changes: Any) -> Training:
    config = config_of(made, **changes)
    return Training(config, build_model(config, made.weights, "cpu"), folder, claim)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


class Stop(Exception):
    """As if the process ended here."""


def stop_at(step: int) -> Any:
    def stop(done: int, total: int, loss: float) -> None:
        if done == step:
            raise KeyboardInterrupt

    return stop


def test_a_training_changes_weights_and_tells_each_step(made: tiny, tmp_path: Path) -> None:
    """The file holds weights alone; what is said of it is what was done."""
    seen: list[tuple[int, int, float]] = []
    trained = training(made, tmp_path / "t").run(tmp_path / "w.pth", lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(i, STEPS) for i in range(1, STEPS + 1)]
    assert all(math.isfinite(step[2]) for step in seen)
    assert trained.about["steps"] == STEPS
    assert trained.about["training persons"] == trained.about["batch"] == 3
    assert trained.about["loss"] == pytest.approx(sum(step[2] for step in seen) / STEPS)
    before, after = weights_of(made.weights), weights_of(trained.checkpoint)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before if name.endswith("weight"))


def test_an_interrupted_training_ends_as_one_that_was_not(made: tiny, tmp_path: Path) -> None:
    """Same steps, same weights: of an epoch that was not finished nothing is kept."""
    whole = training(made, tmp_path / "whole").run(tmp_path / "whole.pth", lambda *_: None)
    cut = training(made, tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        cut.run(tmp_path / "cut.pth", stop_at(4))
    assert not (tmp_path / "cut.pth").exists()
    seen: list[int] = []
    rest = training(made, tmp_path / "cut").run(tmp_path / "cut.pth", lambda done, *_: seen.append(done))
    assert seen == [4, 5, 6]
    assert rest.about["steps"] == whole.about["steps"]
    for name, value in weights_of(whole.checkpoint).items():
        torch.testing.assert_close(weights_of(rest.checkpoint)[name], value)


def test_half_a_checkpoint_is_not_gone_on_with(made: tiny, tmp_path: Path) -> None:
    """A kill while MMEngine writes leaves half a file; the one before it is there and is whole."""
    with pytest.raises(KeyboardInterrupt):
        training(made, tmp_path / "t").run(tmp_path / "w.pth", stop_at(4))
    folder = tmp_path / "t"
    assert [p.name for p in sorted(folder.glob("*.pth"))] == ["epoch_2.pth", "epoch_3.pth"]
    data = (folder / "epoch_3.pth").read_bytes()
    (folder / "epoch_4.pth").write_bytes(data[: len(data) // 2])
    (folder / "last_checkpoint").write_text(str(folder / "epoch_4.pth"))
    assert newest_checkpoint(folder) == folder / "epoch_3.pth"
    seen: list[int] = []
    training(made, folder).run(tmp_path / "w.pth", lambda done, *_: seen.append(done))
    assert seen == [4, 5, 6]


def test_another_trainings_checkpoints_are_refused(made: tiny, tmp_path: Path) -> None:
    """Claimed by another, or lying there without a claim."""
    training(made, tmp_path / "t").run(tmp_path / "w.pth", lambda *_: None)
    with pytest.raises(StoreError, match="checkpoints of another training"):
        training(made, tmp_path / "t", claim="yours")
    shutil.copytree(tmp_path / "t", tmp_path / "unclaimed")
    (tmp_path / "unclaimed" / "training.json").unlink()
    with pytest.raises(StoreError, match="checkpoints of another training"):
        training(made, tmp_path / "unclaimed")


def test_a_loss_that_is_no_number_ends_it(made: tiny, tmp_path: Path) -> None:
    """With what to do."""
    rate = {**schedule(lr=1e30, epochs=STEPS, steps=1), "param_scheduler": []}
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) after \d steps; lower the learning rate"):
        training(made, tmp_path / "t", **rate).run(tmp_path / "w.pth", lambda *_: None)


def test_a_batch_that_cannot_be_made(made: tiny, tmp_path: Path) -> None:
    """Three persons make no batch of four that is whole."""
    loader = config_of(made).train_dataloader.to_dict() | {"batch_size": 4, "drop_last": True}
    with pytest.raises(TrainingError, match="3 training persons make no batch of 4"):
        training(made, tmp_path / "t", train_dataloader=loader).run(tmp_path / "w.pth", lambda *_: None)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file")]
)
def test_a_full_disk_says_so_and_loses_nothing(
    made: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """However torch says it; with room the training goes on."""
    with pytest.raises(KeyboardInterrupt):
        training(made, tmp_path / "t").run(tmp_path / "w.pth", stop_at(3))

    def full(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(StoreError, match=r"cannot write a checkpoint to .*free there.*--resume"):
            training(made, tmp_path / "t").run(tmp_path / "w.pth", lambda *_: None)
    seen: list[int] = []
    training(made, tmp_path / "t").run(tmp_path / "w.pth", lambda done, *_: seen.append(done))
    assert seen == [3, 4, 5, 6]


def test_what_the_model_raises_is_told(made: tiny, tmp_path: Path) -> None:
    """With the folder, and that its checkpoints stay."""
    one = training(made, tmp_path / "t")
    one._model.forward = lambda *_, **__: 1 / 0
    with pytest.raises(TrainingError, match=r"ZeroDivisionError.*--resume goes on"):
        one.run(tmp_path / "w.pth", lambda *_: None)


def test_a_trial_times_a_few_steps(made: tiny, tmp_path: Path) -> None:
    """And knows how many there would be."""
    one = training(made, tmp_path / "t", **schedule(lr=1e-3, epochs=500, steps=1))
    one.run(tmp_path / "w.pth", lambda *_: None, trial=True)
    assert one.steps == 500
    assert one.seconds_a_step > 0


@pytest.mark.parametrize("name", ["train_dataloader", "train_cfg", "optim_wrapper"])
def test_what_a_config_lacks_is_named(made: tiny, tmp_path: Path, name: str) -> None:
    """Before anything is built."""
    with pytest.raises(TrainingError, match=f"has no {name}"):
        training(made, tmp_path / "t", **{name: None})


def test_random_states_are_given_back(made: tiny, tmp_path: Path) -> None:
    """The Runner seeds everything."""
    torch.manual_seed(5)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    training(made, tmp_path / "t").run(tmp_path / "w.pth", lambda *_: None)
    assert torch.equal(torch.rand(1), expected)
