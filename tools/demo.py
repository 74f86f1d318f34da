"""A first diagnosis on any machine: MediaPipe's body network on a photograph, decoded from heatmaps and by regression.

The weights come from the installed mediapipe wheel, the photograph from matplotlib; nothing is downloaded.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from poseig_mm.cli import main

ROOT = Path(__file__).resolve().parents[1]
WORK_DIR = ROOT / "work_dirs" / "demo"
RUNS = {"heatmap": "configs/demo/blazepose_heatmap.py", "regression": "configs/demo/blazepose_regression.py"}


def demo() -> int:
    """Diagnose both models, then compare them in the first one's report; 0 when all went well."""
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    for name, config in RUNS.items():
        print(f"\n{name} model: python tools/diagnose.py {config} --work-dir {WORK_DIR / name}", flush=True)
        if code := main([str(ROOT / config), "--work-dir", str(WORK_DIR / name), "--no-plugin", "template"]):
            return code
    from poseig_mm.comparison import comparison_sections
    from poseig_mm.session import Session
    from poseig_mm.store import Store

    stores = {name: Store(WORK_DIR / name) for name in RUNS}
    session = Session(ROOT / RUNS["heatmap"], work_dir=WORK_DIR / "heatmap", block=["template"])
    page = session.build_report(stores["heatmap"], extra=comparison_sections(stores, WORK_DIR / "comparison"))
    print(f"\nboth models compared: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(demo())
