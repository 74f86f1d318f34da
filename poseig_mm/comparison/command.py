"""The command line of `tools/compare.py` and `poseig-compare`: parse, call, exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import PoseIGError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 error)."""
    parser = argparse.ArgumentParser(
        "poseig-compare", description="Put finished poseig-diagnose runs side by side, without a model."
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="work dir of a run; the others are compared with the first"
    )
    parser.add_argument("--out", default="work_dirs/comparison", help="directory of the page (default: %(default)s)")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call the runs, in their order")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        from .compare import compare

        page = compare(options.runs, options.out, options.names)
    except PoseIGError as error:
        if os.environ.get("POSEIG_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"comparison: {page}")
    return 0
