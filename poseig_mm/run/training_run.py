"""A training by MMEngine's Runner that says how far it is, and goes on where it was cut off, whenever that was."""

from __future__ import annotations

import copy
import errno
import io
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from ..adapters.training_checkpoints import training_checkpoints_readable
from ..compat import prepare_environment
from ..errors import PoseIGError, StoreError, TrainingError, error_message
from ..seeding import random_states_kept
from ..store.atomic import make_dir, publish, store_error
from ..treatments.base import Trained

TRIED_STEPS = 4  # of a trial; the first one is slower than the others and does not count
KEPT_LOSSES = 50  # steps, whose mean loss is told
CLAIM = "training.json"
_CHECKPOINT = re.compile(r"(?:iter|epoch)_(\d+)\.pth")
_NO_ROOM = re.compile(r"PytorchStreamWriter|No space left|file write failed|unexpected pos", re.IGNORECASE)


class Training:
    """One training in a folder of its own.

    Args:
        config: a copy is taken; `train_dataloader`, `train_cfg`, `optim_wrapper` are read.  Nothing is evaluated on the
            way, and of the config's `custom_hooks` averages of weights (`EMAHook`) alone run.
        model: what is trained, with the weights it begins with; it is changed.
        folder: for checkpoints and logs.
        claim: what this training is; checkpoints of another one are refused.

    Raises:
        StoreError: the folder holds another training's checkpoints.
        TrainingError: the config has nothing to train with.
    """

    def __init__(self, config: Any, model: torch.nn.Module, folder: Path, claim: str) -> None:
        prepare_environment()
        self._config, self._model, self._folder = copy.deepcopy(config), model, folder
        for name in ("train_dataloader", "train_cfg", "optim_wrapper"):
            if not self._config.get(name):
                raise TrainingError(f"the config of a training has no {name}; expected one of MMEngine's")
        self._claim(claim)
        self.seconds_a_step = math.nan  # measured; NaN before
        self.steps = 0  # of the whole training; 0 before it has begun

    def run(self, weights: Path, on_step: Callable[[int, int, float], None], *, trial: bool = False) -> Trained:
        """Train to the end, and write the weights alone to a file.

        Args:
            weights: the file.
            on_step: is told steps done, of how many, and the loss.
            trial: stop after a few steps, for the time they take.

        Raises:
            TrainingError: the loss is no number; no batch can be made; whatever else the model or its data raise.
            StoreError: the disk is full.
        """
        began, found = time.perf_counter(), newest_checkpoint(self._folder)
        # what COCO's reader prints on the way would stand between the lines of a progress bar
        with (
            random_states_kept(),
            _told(self._folder),
            training_checkpoints_readable(),
            redirect_stdout(io.StringIO()),
        ):
            runner = self._runner(found)
            steps = _Steps(on_step, TRIED_STEPS if trial else None)
            runner.register_hook(steps.hook(), priority="VERY_LOW")
            try:
                self.steps = int(runner.train_loop.max_iters)  # builds data loader and loop
                if not self.steps or not len(runner.train_dataloader):
                    raise TrainingError(
                        f"{len(runner.train_dataloader.dataset)} training persons make no batch of "
                        f"{runner.train_dataloader.batch_size}; lower the batch size, or give more"
                    )
                runner.train()
            except _TrialOver:
                pass
            self.seconds_a_step = steps.seconds_a_step
            loader = runner.train_dataloader
        about = {
            "training persons": len(loader.dataset),
            "steps": self.steps,
            "batch": int(loader.batch_size or 1),
            "seconds": round(self._spent(time.perf_counter() - began), 1),
            "loss": steps.mean_loss,
        }
        save_weights(self._model, weights)
        return Trained(weights, about)

    def _runner(self, found: Path | None) -> Any:
        from mmengine.runner import Runner

        config = self._config
        # its weights are there: the Runner would draw or download others
        setattr(self._model, "is_init", True)  # noqa: B010 - a property of MMEngine's
        return Runner(
            model=self._model,
            work_dir=str(self._folder),
            train_dataloader=config.train_dataloader,
            train_cfg=config.train_cfg,
            auto_scale_lr=config.get("auto_scale_lr"),
            optim_wrapper=config.optim_wrapper,
            param_scheduler=config.get("param_scheduler"),
            default_hooks={
                "logger": {"type": "LoggerHook", "interval": 50},
                "checkpoint": {**_interval(config.train_cfg), "type": "CheckpointHook", "max_keep_ckpts": 2},
            },
            custom_hooks=[hook for hook in config.get("custom_hooks") or [] if _trains(hook)],
            load_from=None if found is None else str(found),
            resume=found is not None,
            env_cfg=config.get("env_cfg") or {"dist_cfg": {"backend": "nccl"}},
            log_level="ERROR",
            default_scope=config.get("default_scope") or "mmpose",
            randomness=config.get("randomness") or {"seed": None},
            # a name that no other training of this process has: MMEngine keeps logs of one name together
            experiment_name=f"{self._folder.name}-{time.time_ns()}",
        )

    def _claim(self, claim: str) -> None:
        path = self._folder / CLAIM
        there = _read(path)
        if there.get("training", claim) != claim or (not there and newest_checkpoint(self._folder) is not None):
            raise StoreError(
                f"{self._folder} holds checkpoints of another training: of another model, of other data or settings. "
                "Go on with those, delete the folder to train anew, or give another --work-dir"
            )
        if not there:
            make_dir(self._folder)
            publish(path, json.dumps({"training": claim}).encode())

    def _spent(self, seconds: float) -> float:
        """Seconds of all sessions of this training, this one's added."""
        path = self._folder / CLAIM
        about = _read(path)
        about["seconds"] = float(about.get("seconds", 0.0)) + seconds
        publish(path, json.dumps(about).encode())
        return float(about["seconds"])


def newest_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a training that is whole; None where there is none.

    MMEngine writes them in place, so that a kill may leave half a file, and names the last one before it is removed.
    """
    numbered = [(int(match[1]), path) for path in folder.glob("*.pth") if (match := _CHECKPOINT.fullmatch(path.name))]
    for _, path in sorted(numbered, reverse=True):
        try:
            with training_checkpoints_readable():
                torch.load(path, map_location="cpu")
        except Exception:  # cut off, in whatever way
            continue
        return path
    return None


def _interval(train_cfg: Any) -> dict[str, Any]:
    """How often a checkpoint is written: each epoch, or twenty times."""
    if train_cfg.get("by_epoch", train_cfg.get("max_epochs") is not None):
        return {"interval": 1, "by_epoch": True}
    return {"interval": max(1, int(train_cfg.get("max_iters", 1)) // 20), "by_epoch": False}


def _trains(hook: Any) -> bool:
    """Whether a hook of the user's config has a part in the training: averages do, diagnosis and checkpoints do not."""
    return "EMAHook" in str(hook.get("type", "")) if hasattr(hook, "get") else False


class _TrialOver(BaseException):
    """Enough steps were timed."""


class _Steps:
    """What happens after each step."""

    def __init__(self, on_step: Callable[[int, int, float], None], most: int | None) -> None:
        self._on_step, self._most = on_step, most
        self._losses: deque[float] = deque(maxlen=KEPT_LOSSES)
        self._times: list[float] = []

    @property
    def mean_loss(self) -> float:
        """Of the last steps."""
        return sum(self._losses) / len(self._losses) if self._losses else math.nan

    @property
    def seconds_a_step(self) -> float:
        """Between the ends of the steps, the first one left out."""
        return (self._times[-1] - self._times[0]) / (len(self._times) - 1) if len(self._times) > 1 else math.nan

    def hook(self) -> Any:
        from mmengine.hooks import Hook

        steps = self

        class Watching(Hook):  # type: ignore[misc]  # mmengine is untyped
            def after_train_iter(
                self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
            ) -> None:
                steps.done(runner, outputs)

        return Watching()

    def done(self, runner: Any, outputs: Any) -> None:
        loss = float(outputs["loss"].detach()) if outputs and "loss" in outputs else math.nan
        if outputs and not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after {runner.iter + 1} steps; lower the learning rate, or look at the data"
            )
        self._losses.append(loss)
        self._times.append(time.perf_counter())
        self._on_step(runner.iter + 1, runner.max_iters, loss)
        if self._most is not None and len(self._times) >= self._most:
            raise _TrialOver


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What a training raises, as an error of ours that says what to do."""
    try:
        yield
    except PoseIGError:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if full or _NO_ROOM.search(error_message(error)):
            raise store_error("write a checkpoint to", folder, error) from error
        raise TrainingError(
            f"the training in {folder} failed: {type(error).__name__}: {error_message(error)}; its last checkpoint is "
            "kept, and --resume goes on with it"
        ) from error


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """All weights and nothing else, on the CPU: a checkpoint that every torch reads, without running its pickle."""
    buffer = io.BytesIO()
    state = model.state_dict()  # with the modules' versions, by which their hooks tell old names
    for name, value in state.items():
        state[name] = value.detach().cpu()
    torch.save({"state_dict": state, "meta": {}}, buffer)
    make_dir(path.parent)
    publish(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
