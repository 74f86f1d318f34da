"""Several ranks of one run on this machine: forked from one process that has loaded everything, joined by gloo.

`python ranks.py N ARGUMENTS...` runs poseig-diagnose with ARGUMENTS in N processes and prints their exit codes;
`python ranks.py N --train CONFIG` trains a config by MMEngine's runner.  What torch.distributed.run does, without
loading torch and MMPose N times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

__all__ = ["run_ranks"]


def run_ranks(ranks: int, *arguments: object, timeout: float = 900) -> list[int]:
    """Exit codes by rank; -9 for one that was killed."""
    line = [sys.executable, str(Path(__file__)), str(ranks), *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stderr[-20000:], file=sys.stderr)  # shown where the test fails
    return [int(code) for code in done.stdout.strip().splitlines()[-1].split()]


def _rank(arguments: list[str], rank: int, ranks: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ["LOCAL_RANK"] = str(rank)
    sys.stdout = sys.stderr
    if arguments[0] == "--train":
        _train(arguments[1])
        return
    from poseig_mm import cli

    raise SystemExit(cli.main([*arguments, "--device", "cpu", "--launcher", "pytorch"]))


def _train(config: str) -> None:
    import torch
    from mmengine.config import Config
    from mmengine.runner import Runner

    torch.distributed.init_process_group("gloo")  # MMEngine's own would select a GPU
    cfg = Config.fromfile(config)
    cfg.launcher = "pytorch"
    cfg.model_wrapper_cfg = {"type": "MMDistributedDataParallel", "broadcast_buffers": False, "device_ids": None}
    Runner.from_cfg(cfg).train()
    torch.distributed.destroy_process_group()


def _main(ranks: int, arguments: list[str]) -> None:
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    import mmpose.models

    import poseig_mm.run.session

    assert mmpose.models is not None
    assert poseig_mm.run.session is not None
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_rank, args=(arguments, rank, ranks, port)) for rank in range(ranks)]
    for child in children:
        child.start()
    children[0].join(60 if any(c.exitcode for c in children) else None)
    for child in children:
        child.join(60)
        if child.is_alive():  # as a launcher does
            os.kill(child.pid or 0, signal.SIGTERM)
            child.join()
    print(*(child.exitcode for child in children))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
