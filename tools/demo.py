"""A first diagnosis on any machine, in two parts.

MediaPipe's body network on a photograph, decoded from heatmaps and by regression: the weights come from the installed
mediapipe wheel, the photograph from matplotlib.  Then two small networks of this repository on drawn figures with a
mark, of which one has learnt to read the left wrist from that mark: the report says which.  Nothing is downloaded.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from poseig_mm.cli import main

ROOT = Path(__file__).resolve().parents[1]
WORK_DIR = ROOT / "work_dirs" / "demo"
WEIGHTS = Path("plugins/synthetic_figures/poseig_synthetic_figures/checkpoints")
WATCHED = "left_wrist"  # the joint that a mark gives away


class Run(NamedTuple):
    """What `tools/diagnose.py` is given."""

    config: Path
    checkpoint: Path | None = None


PHOTOGRAPH = {
    "heatmap": Run(Path("configs/demo/blazepose_heatmap.py")),
    "regression": Run(Path("configs/demo/blazepose_regression.py")),
}
FIGURES = {
    name: Run(Path("configs/demo/figures_with_a_mark.py"), WEIGHTS / f"{name}_heatmap.pth")
    for name in ("marker", "honest")
}


def demo() -> int:
    """Diagnose both pairs of models, compare each pair in its first one's report; 0 when all went well."""
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    for runs in (PHOTOGRAPH, FIGURES):
        for name, run in runs.items():
            given = [str(path) for path in run if path is not None]
            print(
                f"\n{name} model: python tools/diagnose.py {' '.join(given)} --work-dir {WORK_DIR / name}", flush=True
            )
            paths = [str(ROOT / path) for path in given]
            if code := main([*paths, "--work-dir", str(WORK_DIR / name)]):
                return code
    pages = [compare(runs) for runs in (PHOTOGRAPH, FIGURES)]
    print(f"\nthe photograph, both models compared: {pages[0]}")
    print(f"the figures, both models compared: {pages[1]}")
    for name in FIGURES:
        print(f"  {name}: {verdict(name)}")
    return 0


def compare(runs: Mapping[str, Run]) -> Path:
    """The first run's report once more, with the comparison in it."""
    from poseig_mm import Session
    from poseig_mm.comparison import comparison_sections
    from poseig_mm.store import Store

    stores = {name: Store(WORK_DIR / name) for name in runs}
    first = next(iter(runs))
    session = Session(ROOT / runs[first].config, work_dir=WORK_DIR / first)
    return session.build_report(stores[first], extra=comparison_sections(stores, WORK_DIR / f"comparison-{first}"))


def verdict(name: str) -> str:
    """What a run's study of shortcuts says of the watched joint."""
    from poseig_mm.store import Store
    from poseig_mm.studies.shortcuts.joint_shares import evidence_of_joints

    store = Store(WORK_DIR / name)
    error = store.joints().filter(joint_name=WATCHED)["epe"].drop_nans().mean()
    for evidence in evidence_of_joints(store.study("shortcuts")):
        if evidence.name == WATCHED:
            read = "from what, is undecided" if evidence.cause.code == "undecided" else f"from {evidence.cause.words}"
            return f"{WATCHED}, {error:.1f} px off, is read {read} ({evidence.cause.why})"
    return f"{WATCHED} has no map"


if __name__ == "__main__":
    sys.exit(demo())
