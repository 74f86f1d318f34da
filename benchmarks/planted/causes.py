"""Whether the diagnosis names what was planted, from the maps, indices and studies of a run alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import torch

from poseig_mm.data.samples import SampleSource
from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import Estimate
from poseig_mm.store import Store
from poseig_mm.types import Attribution, Finding

from .figures import JOINT_NAME, config_of

STUDIES = ("shortcuts", "inversion")
TRUTH = {  # variant -> code of the cause that is right (poseig_mm.studies.shortcuts.causes)
    "honest": "own", "marker": "mark", "context": "context", "mirror": "partner",
    "chain": "parent", "swap": "left_right",
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
    from poseig_mm import Plugins, Session

    config = config_of(variant, split=split, length=(run + 1) * persons)
    config.diagnosis = dict(
        attribution=dict(attribution or {}),
        studies=list(STUDIES),
        indices=["di", "fi", "li", "ri"],
        samples=dict(ids=[f"{i}-{i}" for i in range(run * persons, (run + 1) * persons)]),
        report=dict(enabled=False),
    )
    shutil.rmtree(folder, ignore_errors=True)
    store = Session(config, checkpoint, work_dir=folder, device="cpu", plugins=Plugins(block=["template"])).run()
    wrist = store.joints().filter(joint_name=JOINT_NAME)
    return {"persons": len(store), "epe": wrist["epe"].drop_nans().mean()}


def rows_of(store: Store, variant: str, split: str) -> pl.DataFrame:
    """The rows of the study of shortcuts, from a run's kept maps: those the run itself has, if the study is the same.

    So a study that was changed afterwards does not need the maps once more.
    """
    from poseig_mm.studies.shortcuts.study import Shortcuts

    ids = list(store.sample_ids)
    length = max(int(name.split("-")[0]) for name in ids) + 1
    source = SampleSource(config_of(variant, split=split, length=length), preprocess=lambda data, _: data, ids=ids)
    context: Any = SimpleNamespace(groups=source.groups, unit="px")
    joints, evidence = store.joints(), list[Mapping[str, Any]]()
    for i, name in enumerate(ids):
        table = joints.filter(sample_id=name).sort("joint")
        prediction = torch.from_numpy(table.select("pred_x", "pred_y").to_numpy())
        maps = torch.from_numpy(store.map(name))
        nothing, reasons = torch.full(maps.shape[:1], torch.nan), tuple(table["reason"])
        attribution = Attribution(maps, *[nothing] * 5, nothing > 0, nothing.isfinite().long(), reasons)
        evidence += Shortcuts().sample_rows(
            Finding(source.load(i), attribution, prediction, prediction, {}, reasons, 0.0), context
        )
    return pl.DataFrame(evidence)


def named(rows: pl.DataFrame, joint: str = JOINT_NAME) -> tuple[str, str]:
    """(code, why): what the study of shortcuts says of a joint."""
    from poseig_mm.studies.shortcuts.joint_shares import evidence_of_joints

    for evidence in evidence_of_joints(rows):
        if evidence.name == joint:
            return evidence.cause.code, evidence.cause.why
    return "undecided", "no map"


def right(causes: Mapping[str, Sequence[str]]) -> dict[str, Estimate]:
    """Share of runs whose cause is the planted one, by variant and in all; runs are resampled.

    >>> shares = right({"marker": ["mark", "mark", "own", "mark"], "chain": ["parent", "own"]})
    >>> shares["marker"].mean, shares["all"].n
    (0.75, 6)
    """
    hits = {variant: [float(c == TRUTH[variant]) for c in given] for variant, given in causes.items()}
    shares = {variant: share(h, [1] * len(h)) for variant, h in hits.items()}
    every = [h for rows in hits.values() for h in rows]
    return {**shares, "all": share(every, [1] * len(every))}
