"""Many configs, each in a process of its own, results on disk as they come: what is there is not tried again."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from .trial import Trial, try_config

__all__ = ["read_results", "try_all"]


def read_results(work_dir: str | Path) -> dict[str, Trial | None]:
    """The latest trial on disk of each config, of all shards; None: it has no model.

    Half a line, of a killed process, is left out.
    """
    rows = []
    for path in Path(work_dir).glob("shard-*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
    latest: dict[str, Trial | None] = {}
    for row in sorted(rows, key=lambda row: row["time"]):
        trial = row["trial"]
        latest[row["config"]] = None if trial is None else Trial(**{**trial, "input_size": tuple(trial["input_size"])})
    return latest


def try_all(
    configs: Mapping[str, Path],
    work_dir: str | Path,
    *,
    shard: tuple[int, int] = (1, 1),
    retry: bool = False,
    timeout: float = 900.0,
    on_progress: Callable[[int, int, str, Trial | None], None] = lambda done, total, name, trial: None,
) -> None:
    """Try what is not on disk yet, in `work_dir/shard-<i>-of-<n>.jsonl`.

    Args:
        configs: name -> path.
        shard: (i, n), i from 1: every n-th config from the i-th on is this process'.
        retry: also those that are on disk with a reason; of several trials of a config the latest counts.
        timeout: seconds a config may take; one that takes longer is a row with that reason.
        on_progress: called after each config with (done, total, name, trial).

    Raises:
        ValueError: a shard that is none of n.
    """
    number, shards = shard
    if not 1 <= number <= shards:
        raise ValueError(f"shard {number}/{shards}; expected i/n with i from 1 to n")
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    done = read_results(folder)
    again = {name for name, trial in done.items() if trial is not None and trial.reason} if retry else set()
    todo = [name for name in list(configs)[number - 1 :: shards] if name not in done or name in again]
    with (folder / f"shard-{number}-of-{shards}.jsonl").open("a", encoding="utf-8") as file:
        for position, name in enumerate(todo, 1):
            trial = in_own_process(name, configs[name], timeout)
            row = {"config": name, "time": time.time(), "trial": None if trial is None else trial.as_dict()}
            file.write(json.dumps(row) + "\n")
            file.flush()
            on_progress(position, len(todo), name, trial)


def in_own_process(name: str, path: Path, timeout: float) -> Trial | None:
    """`try_config` in a forked child: it can neither leak memory into the next one nor take all down with it."""
    context = multiprocessing.get_context("fork")  # MMPose is loaded once, in the parent
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, name, path))
    child.start()
    sender.close()
    try:
        if not receiver.poll(timeout):
            return Trial(name, reason=f"not done within {timeout:g} s", seconds=timeout)
        trial: Trial | None = receiver.recv()
        return trial
    except EOFError:
        child.join()
        return Trial(name, reason=f"its process ended with code {child.exitcode} (-9: killed, for want of memory)")
    finally:
        receiver.close()
        child.kill()
        child.join()


def _send(sender: Any, name: str, path: Path) -> None:
    torch.set_num_threads(1)  # a parent's OpenMP threads do not survive the fork: waiting for them would never end
    sender.send(try_config(name, path))
