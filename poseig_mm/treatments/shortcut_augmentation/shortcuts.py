"""Which joints are read from something else, by a finished run, and what has to be destroyed for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError
from ...settings_fields import configured
from ...store.reader import Store
from ...studies.shortcuts.causes import CAUSES
from ...studies.shortcuts.joint_shares import JointEvidence, evidence_of_joints
from ...studies.shortcuts.rows import partners_of
from ...studies.shortcuts.study import Shortcuts
from ...types import JointGroups

TREATABLE = ("mark", "context", "partner", "parent")  # codes of causes whose evidence has a place of its own


@dataclass(frozen=True)
class Shortcut:
    """One joint, what it is read from, and where that lies."""

    joint: str
    code: str  # of `TREATABLE`
    why: str  # the numbers that decided
    radius: float  # of a disc, as a share of the person's size
    evidence: Mapping[str, Any]  # settings of `DestroyEvidence`: joint, radius, and what is destroyed

    @property
    def words(self) -> str:
        """What the joint is read from, and the numbers behind that."""
        return f"{self.joint} is read from {CAUSES[self.code]} ({self.why})"


def treatable_shortcuts(store: Store) -> list[Shortcut]:
    """The joints of a run whose cause can be treated, in the joints' order.

    Raises:
        ConfigError: the run has no study of shortcuts, or no joints' chain.
    """
    groups = store.groups
    if Shortcuts.name not in store.studies or groups is None:
        raise ConfigError(
            f"the run in {store.path} has no study 'shortcuts', which tells what a joint is read from; add it to "
            "diagnosis.studies and diagnose once more"
        )
    rows = store.study(Shortcuts.name)
    joints = evidence_of_joints(rows, _settings(store))
    if not joints:
        return []
    measured = rows.filter(rows["share_own"].is_finite())
    size = float(measured["size"].median())  # type: ignore[arg-type]  # a number: there are joints
    radius = round(float((measured["radius"] / measured["size"]).median()), 4)  # type: ignore[arg-type]
    return [
        Shortcut(
            j.name,
            j.cause.code,
            j.cause.why,
            radius,
            {"joint": j.joint, "radius": radius, **_evidence(j, groups, size)},
        )
        for j in joints
        if j.cause.code in TREATABLE
    ]


def _settings(store: Store) -> Shortcuts:
    """The study as the run was told to have it."""
    given = store.run.get("settings", {}).get("studies") or ()
    named = {name: settings for name, settings in given if name == Shortcuts.name}
    return configured(Shortcuts(), named.get(Shortcuts.name, {}), "study")


def _evidence(joint: JointEvidence, groups: JointGroups, size: float) -> dict[str, Any]:
    if joint.cause.code == "mark":
        return {"offset": tuple(round(v / size, 4) for v in joint.offset)}
    if joint.cause.code == "context":
        return {"background": True}
    kin = groups.parent_of if joint.cause.code == "parent" else partners_of(groups)
    other = kin[joint.joint]
    next_one = groups.parent_of[other]
    return {"around": (other,), "bones": ((other, next_one),) if next_one >= 0 else ()}
