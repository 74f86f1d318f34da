"""A first diagnosis on any machine, in two parts, and a cure.

MediaPipe's body network on a photograph, decoded from heatmaps and by regression: the weights come from the installed
mediapipe wheel, the photograph from matplotlib.  Then two small networks of this repository on drawn figures with a
mark, of which one has learnt to read the left wrist from that mark: the report says which.  That one is trained further
with the mark destroyed, beside a control, and diagnosed again.  Nothing is downloaded.
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
    options: tuple[str, ...] = ()


PHOTOGRAPH = {
    "heatmap": Run(Path("configs/demo/blazepose_heatmap.py")),
    "regression": Run(Path("configs/demo/blazepose_regression.py")),
}
TREATMENT = "shortcut_augmentation"
CURE = ("--treat", TREATMENT, "iterations=100")  # of each arm, 32 figures: a minute on one core
FIGURES = {
    name: Run(Path("configs/demo/figures_with_a_mark.py"), WEIGHTS / f"{name}_heatmap.pth", options)
    for name, options in (("marker", CURE), ("honest", ()))
}
TREATED = WORK_DIR / "marker" / "treatments" / TREATMENT


def demo() -> int:
    """Diagnose both pairs of models, treat one, compare each pair in its first one's report; 0 when all went well."""
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    for runs in (PHOTOGRAPH, FIGURES):
        for name, run in runs.items():
            given = [str(path) for path in (run.config, run.checkpoint) if path is not None]
            options = ["--work-dir", str(WORK_DIR / name), *run.options]
            print(f"\n{name} model: python tools/diagnose.py {' '.join([*given, *options])}", flush=True)
            paths = [str(ROOT / path) for path in given]
            if code := main([*paths, *options]):
                return code
    pages = [compare(runs) for runs in (PHOTOGRAPH, FIGURES)]
    print(f"\nthe photograph, both models compared: {pages[0]}")
    print(f"the figures, both models compared: {pages[1]}")
    print(f"the marker model treated, cause, cure and proof: {TREATED / 'report' / 'index.html'}")
    for name, folder in {**{name: WORK_DIR / name for name in FIGURES}, "marker, treated": TREATED / "after"}.items():
        print(f"  {name}: {verdict(folder)}")
    before, treated, control = (without_the_mark(arm) for arm in ("before", "treated", "random_places"))
    print(f"  without the mark: {before:.1f} px off before, {treated:.1f} px treated, {control:.1f} px the control")
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


def verdict(folder: Path) -> str:
    """What a run's study of shortcuts says of the watched joint."""
    from poseig_mm.store import Store
    from poseig_mm.studies.shortcuts.joint_shares import evidence_of_joints

    for evidence in evidence_of_joints(Store(folder).study("shortcuts")):
        if evidence.name == WATCHED:
            undecided = evidence.cause.code == "undecided"
            read = "is not found to be read from one thing" if undecided else f"is read from {evidence.cause.words}"
            return f"{WATCHED}, {error_of(folder):.1f} px off, {read} ({evidence.cause.why})"
    return f"{WATCHED} has no map"


def without_the_mark(arm: str) -> float:
    """Mean error of the watched joint where the mark is blurred, input px."""
    return error_of(TREATED / "held_out" / "without_the_evidence" / arm)


def error_of(folder: Path) -> float:
    """Mean error of the watched joint in a run, input px."""
    from poseig_mm.store import Store

    return float(Store(folder).joints().filter(joint_name=WATCHED)["epe"].drop_nans().mean())  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(demo())
