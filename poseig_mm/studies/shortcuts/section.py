"""The section on shortcuts: which joints are not read from themselves, what speaks for it, mean maps around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...store.reader import Store
from ...summary.reasons import missing_table
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, Picture, Section, Table
from ..section_parts import percent, study_rows
from .causes import CAUSES
from .joint_shares import JointEvidence, evidence_of_joints
from .rows import ShortcutsSettings
from .share_figures import mean_maps, share_bars

ORDER = 345
TITLE = "What each joint is read from"
COLUMNS = {
    "own": "own", "parent": "parent", "partner": "partner", "mark": "mark", "own_over_others": "own/others",
    "background_over_others": "backgr./others",
}  # fmt: skip
_BARS = (
    "Where each joint's map lies: mean share of its mass, by places that exclude one another. Below each bar, thin: "
    "the share that a uniform map would have there. Joints are discs, parent and partner with their own bones. {mask}"
)
_NO_MASK = "Without a mask of the person, person and background are not told apart; such maps are left white there."
_MAPS = (
    "Mean map around the joint (at the cross), all persons in the same size, each map with mass 1; rings: the disc "
    "that counts as the joint itself. A spot beside the ring is evidence at a fixed offset; joints that are not read "
    "from themselves come first. One colour scale for all."
)


def shortcuts_section(store: Store, name: str, settings: ShortcutsSettings) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    joints = evidence_of_joints(rows, settings)
    missing = missing_table(rows, "joints with a place of their own")
    if not joints:
        return Section(name, TITLE, "No joint has a map in pixels, so nothing can be said.", missing, ORDER)
    shown = _suspicious_first(joints)[: settings.pictures]
    figure = mean_maps(store, rows, shown) if shown else None
    unmasked = bool((rows["reason"] != "").any())
    blocks: tuple[Table | Picture | Gallery, ...] = (
        _decisions(joints, settings),
        Picture("shortcuts-shares", _BARS.format(mask=_NO_MASK if unmasked else ""), share_bars(joints)),
        *([Picture("shortcuts-mean-maps", _MAPS, figure)] if figure is not None else ()),
        _shares(joints),
        *missing,
    )
    return Section(name, TITLE, _lead(joints, settings), blocks, ORDER)


def _suspicious_first(joints: Sequence[JointEvidence]) -> list[JointEvidence]:
    """Joints not read from themselves, then those that are least so."""
    rank = {"own": 2, "left_right": 2, "undecided": 1}
    return sorted(joints, key=lambda j: (rank.get(j.cause.code, 0), np.nan_to_num(j.measures["own"].mean, posinf=0.0)))


def _decisions(joints: Sequence[JointEvidence], settings: ShortcutsSettings) -> Table:
    rows = tuple(
        (j.name, j.cause.words, j.persons, *(j.measures[m] for m in COLUMNS), _offset(j), j.cause.code) for j in joints
    )
    caption = (
        f"Density in discs of {settings.radius:g} of the person's size around the joint, its parent, its partner "
        "(where their discs are apart) and a mark: the spot that lies at the same offset (x right, y down, input px) "
        "as in most other persons. 1: a uniform map; [95 % interval], images resampled. A place is named above "
        f"{settings.margin:g} times own; the background above {settings.background:g} and own below {settings.weak:g} "
        "times the same persons' other joints."
    )
    return Table(caption, ("joint", "read from", "n", *COLUMNS.values(), "offset", "code"), rows, 1)


def _offset(joint: JointEvidence) -> str:
    if not joint.measures["fixed"].mean >= 0.25:  # less is chance
        return ""
    x, y = joint.offset
    return f"({x:+.0f}, {y:+.0f}) in {100 * joint.measures['fixed'].mean:.0f} %".replace("-", "\u2212")


def _shares(joints: Sequence[JointEvidence]) -> Table:
    places = tuple(joints[0].shares)
    rows = tuple((j.name, *(percent(j.shares[p]) for p in places)) for j in joints)
    return Table("Share of the map's mass in each place (%), mean [95 % interval].", ("joint", *places), rows, 1)


def _lead(joints: Sequence[JointEvidence], settings: ShortcutsSettings) -> str:
    counts = Counter(j.cause.code for j in joints)
    persons = max(j.persons for j in joints)
    accused = [j for j in joints if j.cause.code in CAUSES and j.cause.code not in ("own", "undecided", "left_right")]
    parts = [f"{j.name} is read from {j.cause.words} ({j.cause.why}; {plural(j.persons, 'person')})" for j in accused]
    none = "No joint is found to be read from elsewhere than itself." if counts["own"] or counts["left_right"] else ""
    text = "; ".join(parts) + "." if parts else none or "No cause can be named."
    text = text[0].upper() + text[1:]
    flipped = joints[0].measures["flipped"]
    if flipped.n:
        words = f"{plural(flipped.n, 'person')} with enough joints in pairs"
        share = format_estimate(percent(flipped), 1)
        text += f" Most joints are on the wrong side in {share} % of {words}"
        text += ": there is no left-right cue that the model can read." if counts["left_right"] else "."
    if counts["own"]:
        text += f" {plural(counts['own'], 'joint')} of {len(joints)} are read from themselves first of all."
    if counts["undecided"]:
        text += f" For {plural(counts['undecided'], 'joint')} it stays undecided (see why in the table)."
    if persons < settings.fewest:
        text += f" {plural(persons, 'person')} are too few: with fewer than {settings.fewest} no cause is named."
    text += (
        " A map tells where the evidence lies, not that the model needs it: take the suspected evidence away and see."
    )
    return text
