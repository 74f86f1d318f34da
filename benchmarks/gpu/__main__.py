"""The command line: which parts, in which order, for how long; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import benchmarks.gpu
from benchmarks.gpu.checks import CHECKS
from benchmarks.gpu.measuring import Failed, Setup, Skipped
from benchmarks.gpu.page import PERFORMANCE, markdown, place, table
from benchmarks.gpu.speed import SPEED
from benchmarks.gpu.whereabouts import WHEREABOUTS
from poseig_mm.attribution.acceleration import tensor_float32
from poseig_mm.run.about import processor

GROUPS = {"checks": CHECKS, "speed": SPEED, "time": WHEREABOUTS}


def main(argv: list[str] | None = None) -> int:
    """0: no part failed; 1: one did; 2: nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=benchmarks.gpu.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks and images: whether it runs, not how fast")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further part is begun")
    parser.add_argument("--only", nargs="+", default=[*GROUPS], metavar="NAME", help="parts or groups")
    parser.add_argument("--list", action="store_true", help="name the parts and stop")
    parser.add_argument("--out", type=Path, help="JSON, written after each part")
    parser.add_argument("--page", type=Path, metavar="FILE.json", help="write docs/performance.md from this and stop")
    options = parser.parse_args(argv)
    if options.list:
        print("\n".join(f"{group}: {', '.join(parts)}" for group, parts in GROUPS.items()))
        return 0
    if options.page:
        place(markdown(json.loads(options.page.read_text())), PERFORMANCE)
        return 0
    names = {name for parts in GROUPS.values() for name in parts}
    if unknown := sorted(set(options.only) - names - set(GROUPS)):
        parser.error(f"there is no part {', '.join(unknown)}; see --list")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA card here; --device cpu --small runs what a CPU can")
    device = torch.device("cuda", torch.cuda.current_device()) if options.device == "cuda" else torch.device("cpu")
    setup = Setup(device, options.small, time.monotonic() + 60 * options.minutes)
    results: dict[str, Any] = {"about": _about(setup), "parts": []}
    with tensor_float32(False):
        for group, parts in GROUPS.items():
            for name, (part, wanted) in parts.items():
                if {group, name} & set(options.only):
                    done = {"group": group, "name": name, **outcome(part, setup, wanted)}
                    setup.results[name] = done["result"] if done["status"] == "ok" else None
                    results["parts"].append(done)
                    print(f"{done['status']:8}{name}  {done['reason']}", flush=True)
                    if options.out:
                        options.out.write_text(json.dumps(results, indent=1))
    print(f"\n{table(results)}")
    return int(any(part["status"] == "failed" for part in results["parts"]))


def outcome(part: Callable[[Setup], dict[str, Any]], setup: Setup, wanted: float) -> dict[str, Any]:
    """Status, reason, seconds and result of one part; what it raises is recorded, and the next part can go on.

    Args:
        wanted: seconds that it may take on a card; with fewer left it is skipped.
    """
    started = time.monotonic()
    record: dict[str, Any] = {"status": "ok", "reason": "", "result": {}}
    try:
        setup.need_time(0 if setup.small else wanted)
        record["result"] = part(setup)
    except Skipped as skip:
        record = {"status": "skipped", "reason": str(skip), "result": skip.found}
    except Failed as failure:
        record = {"status": "failed", "reason": str(failure), "result": failure.found}
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        record = {"status": "failed", "reason": reason, "result": {"traceback": traceback.format_exc()}}
    if setup.device.type == "cuda":
        torch.cuda.empty_cache()
    return {**record, "seconds": time.monotonic() - started}


def _about(setup: Setup) -> dict[str, Any]:
    """Where and what it ran on."""
    cuda = setup.device.type == "cuda"
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name(setup.device) if cuda else processor(),
        "processor": processor(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "small": setup.small,
    }
    if cuda:
        card = torch.cuda.get_device_properties(setup.device)
        about |= {"memory": card.total_memory, "capability": [card.major, card.minor]}
    return about


if __name__ == "__main__":
    sys.exit(main())
