"""Joints that are read from elsewhere than themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...functional.inference import holm
from ...functional.statistics import Estimate
from ...store.reader import Store
from ...summary.conclusions import how_sure
from ...types import Conclusion, PersonPicture
from ..section_parts import study_rows
from .causes import CAUSES, COMPACT
from .joint_shares import JointEvidence, evidence_of_joints
from .rows import ShortcutsSettings

MOST_NAMED = 3  # joints of a sentence
TREAT = "--treat shortcut_augmentation"


def shortcuts_conclusions(store: Store, name: str, settings: ShortcutsSettings) -> list[Conclusion]:
    """One a cause: the joints that are read from there.  What it costs where that is missing, no number here says."""
    rows = study_rows(store, name)
    joints = evidence_of_joints(rows, settings) if len(rows) else []
    tests = {(j.name, code): _ratio(j, code) for j in joints for code in (*COMPACT, "context")}
    limits = {**dict.fromkeys(COMPACT, settings.margin), "context": settings.background}
    corrected = dict(zip(tests, holm([_p(r, limits[code]) for (_, code), r in tests.items()]).tolist(), strict=True))
    conclusions = []
    for code in (*COMPACT, "context"):
        accused = [j for j in joints if j.cause.code == code]
        if not accused:
            continue
        first = max(accused, key=lambda j: tests[j.name, code].low)
        ratio = tests[first.name, code]
        named = ", ".join(j.name for j in accused[:MOST_NAMED])
        named += f" and {len(accused) - MOST_NAMED} more" if len(accused) > MOST_NAMED else ""
        where = f" ({first.offset[0]:+.0f}, {first.offset[1]:+.0f} px)".replace("-", "\u2212") if code == "mark" else ""
        beside = "the same persons' other joints" if code == "context" else "around the joint itself"
        conclusions.append(
            Conclusion(
                name=f"read from {code}",
                sentence=f"{named} {'is' if len(accused) == 1 else 'are'} read from {CAUSES[code]}{where}: where that "
                "is missing or elsewhere, expect it to fail.",
                effect=ratio,
                unit=f"times as much evidence there as {'in ' if code == 'context' else ''}{beside}",
                sure=how_sure(
                    Estimate(ratio.n, ratio.mean, math.nan, ratio.low, ratio.high), corrected[first.name, code]
                ),
                cost=math.inf,
                pictures=_pictures(rows.filter(joint=first.joint)["sample_id"].to_list(), first),
                try_=f"{TREAT}; take it out of the pictures and see",
            )
        )
    if joints and any(j.cause.code == "left_right" for j in joints):
        flipped = joints[0].measures["flipped"]
        conclusions.append(
            Conclusion(
                name="left and right",
                sentence="Most joints of some persons are on the wrong side: there is no left-right cue that the model "
                "reads.",
                effect=Estimate(flipped.n, 100 * flipped.mean, math.nan, 100 * flipped.low, 100 * flipped.high),
                unit="% of the persons",
                sure="shown",
                cost=math.inf,
                try_="check the flip pairs of the training's augmentation; more persons from behind",
            )
        )
    return conclusions


def _ratio(joint: JointEvidence, code: str) -> Estimate:
    return joint.measures["background_over_others" if code == "context" else f"{code}_over_own"]


def _p(ratio: Estimate, limit: float) -> float:
    """Two-sided p of a ratio being the limit, from its interval as that of a log-normal; NaN without an interval."""
    from scipy.stats import norm

    if not (0 < ratio.low < ratio.high < math.inf):
        return math.nan
    error = (math.log(ratio.high) - math.log(ratio.low)) / (2 * float(norm.ppf(0.975)))
    return float(2 * norm.sf(abs(math.log(ratio.mean / limit)) / error))


def _pictures(samples: Sequence[str], joint: JointEvidence) -> tuple[PersonPicture, ...]:
    """Three persons, evenly through the run."""
    at = np.unique(np.linspace(0, len(samples) - 1, 3).astype(int)) if samples else []
    return tuple(PersonPicture(samples[i], joint.joint, joint.name) for i in at)
