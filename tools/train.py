"""Train an MMPose config: python tools/train.py CONFIG [--work-dir DIR] [--resume] [...]; see --help.

MMPose's own tool does the same; this one also works where MMPose needs a prepared environment (`poseig_mm.compat`).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from poseig_mm.adapters.training_checkpoints import training_checkpoints_readable
from poseig_mm.api import load_config
from poseig_mm.errors import PoseIGError


def main(argv: list[str] | None = None) -> int:
    """Parse, train, exit code."""
    parser = argparse.ArgumentParser(description="Train an MMPose model by MMEngine's runner.")
    parser.add_argument("config", help="an MMPose config")
    parser.add_argument("--work-dir", help="of logs and checkpoints (default: work_dirs/<config name>)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the work dir")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", help="override config entries")
    parser.add_argument("--launcher", default="none", choices=["none", "pytorch", "slurm", "mpi"])
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ.setdefault("LOCAL_RANK", str(options.local_rank))
    try:
        cfg = load_config(options.config)
        from mmengine.config import DictAction
        from mmengine.runner import Runner

        overrides = argparse.ArgumentParser()
        overrides.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
        if options.cfg_options:
            cfg.merge_from_dict(overrides.parse_args(["--cfg-options", *options.cfg_options]).cfg_options)
        cfg.launcher = options.launcher
        cfg.work_dir = options.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / Path(options.config).stem)
        cfg.resume = options.resume or cfg.get("resume", False)
        with training_checkpoints_readable():
            Runner.from_cfg(cfg).train()
    except PoseIGError as error:
        if os.environ.get("POSEIG_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
