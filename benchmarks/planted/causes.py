"""Whether the diagnosis names what was planted, from the maps, indices and studies of a run alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import Estimate

from .figures import JOINT_NAME, config_of

STUDIES = ("shortcuts", "inversion")
TRUTH = {  # variant -> code of the cause that is right (poseig_mm.functional.causes)
    "honest": "own", "marker": "mark", "context": "context", "mirror": "partner", "chain": "parent", "swap": "left_right",
}  # fmt: skip


def diagnose(
    variant: str, run: int, persons: int, *, split: str, checkpoint: Path | None, folder: Path,
    attribution: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One diagnosis of a variant's model, on figures that no other run has, as its user would make it.

    Args:
        variant: of the model and its figures.
        run: which; it takes figures `run * persons` and on.
        persons: figures in it.
        split: 'test', or 'val' while thresholds are being chosen.
        checkpoint: weights.
        folder: work dir of the run; whatever is there is deleted.
        attribution: settings in the place of the defaults.

    Returns:
        How many figures were diagnosed, and the mean error of the left wrist (input px).
    """
    from poseig_mm.session import Session

    config = config_of(variant, split=split, length=(run + 1) * persons)
    config.diagnosis = dict(
        attribution=dict(attribution or {}),
        studies=list(STUDIES),
        indices=["di", "fi", "li", "ri"],
        samples=dict(ids=[f"{i}-{i}" for i in range(run * persons, (run + 1) * persons)]),
        store=dict(maps="none"),
        report=dict(enabled=False),
    )
    shutil.rmtree(folder, ignore_errors=True)
    store = Session(config, checkpoint, work_dir=folder, device="cpu", block=["template"]).run()
    wrist = store.joints().filter(joint_name=JOINT_NAME)
    return {"persons": len(store), "epe": wrist["epe"].drop_nans().mean()}


def named(store: Any, joint: str = JOINT_NAME) -> tuple[str, str]:
    """(code, why): what a run's shortcuts study says of a joint."""
    from poseig_mm.studies.shortcuts import Shortcuts
    from poseig_mm.studies.shortcuts_measures import evidence_of_joints

    if "shortcuts" not in store.studies:
        return "undecided", "the study failed"
    for found in evidence_of_joints(store.study("shortcuts"), Shortcuts().thresholds):
        if found.name == joint:
            return found.cause.code, found.cause.why
    return "undecided", "no map"


def right(causes: Mapping[str, Sequence[str]]) -> dict[str, Estimate]:
    """Share of runs whose cause is the planted one, by variant and in all; runs are resampled.

    >>> found = right({"marker": ["mark", "mark", "own", "mark"], "chain": ["parent", "own"]})
    >>> found["marker"].mean, found["all"].n
    (0.75, 6)
    """
    hits = {variant: [float(c == TRUTH[variant]) for c in given] for variant, given in causes.items()}
    found = {variant: share(h, [1] * len(h)) for variant, h in hits.items()}
    every = [h for rows in hits.values() for h in rows]
    return {**found, "all": share(every, [1] * len(every))}
