"""What each joint is read from, run by run: a model that is right for a wrong reason stands out."""

from __future__ import annotations

import polars as pl

from ..report.blocks import GuardedSection, Heading
from ..studies.shortcuts.joint_shares import JointEvidence, evidence_of_joints
from ..studies.shortcuts.study import Shortcuts
from ..types import Table
from .runs import Runs

HEADING = Heading("comparison-causes", "What each joint is read from, run by run", 51)
READ = ("own", "undecided")  # no cause that makes a joint suspicious


def have_causes(runs: Runs) -> bool:
    """Whether all runs have the study of shortcuts."""
    return all(Shortcuts.name in store.studies for store in runs.stores.values())


def causes_section(runs: Runs) -> GuardedSection:
    """A line a joint that is suspicious in a run, with its error in all; of all persons of each run."""
    evidence = {
        name: {e.name: e for e in evidence_of_joints(store.study(Shortcuts.name))}
        for name, store in runs.stores.items()
    }
    joints = [j for j in next(iter(evidence.values())) if all(j in there for there in evidence.values())]
    suspicious = [j for j in joints if any(there[j].cause.code not in READ for there in evidence.values())]
    said = [_sentence(run, there, suspicious) for run, there in evidence.items()]
    lead = " ".join(s for s in said if s) or "No joint is read from anything but itself, as far as can be told."
    lines = tuple(
        (joint, run, _error(runs, run, joint), there[joint].cause.words, there[joint].cause.why)
        for joint in suspicious or joints
        for run, there in evidence.items()
    )
    caption = (
        f"Joints that a run reads from something else (else: all); EPE ({runs.unit}): mean over the compared persons."
    )
    table = Table(caption, ("joint", "run", "EPE", "read from", "times a uniform map's density [95 % interval]"), lines)
    return HEADING.section(lead, (table,))


def _sentence(run: str, there: dict[str, JointEvidence], suspicious: list[str]) -> str:
    """'In marker, left_wrist is read from a mark at a fixed offset.'; '' where there is nothing to say."""
    told = [f"{j} is read from {there[j].cause.words}" for j in suspicious if there[j].cause.code not in READ]
    return f"In {run}, {'; '.join(told)}." if told else ""


def _error(runs: Runs, run: str, joint: str) -> float | None:
    error = runs.joints[run].filter(pl.col("joint_name") == joint)["epe"].drop_nans().mean()
    return float(error) if isinstance(error, (int, float)) else None
