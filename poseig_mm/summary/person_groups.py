"""Persons that have something in common, and whether they fare worse than the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from ..types import Conclusion, PersonPicture
from .conclusions import how_sure
from .measures import images_of, run_value
from .sentences import plural

if TYPE_CHECKING:
    from ..store import Store

# A tenth of a crop lies out of the picture where a box, of which it is 1.25 times as large, touches the border.
AT_THE_BORDER = 0.1
ENLARGED = 2.0  # times, from which on a person is small
FEW_JOINTS = 0.5  # of the data set's


@dataclass(frozen=True)
class PersonGroup:
    """Some of a run's persons."""

    name: str
    who: str  # the begin of a sentence
    members: frozenset[str]  # sample ids
    try_: str


def person_groups(store: Store) -> list[PersonGroup]:
    """Persons at the picture's border, small ones, and those with few visible joints; none where nobody or all are.

    Border and size are known where each person has a crop of its own.
    """
    samples = store.samples()
    count = len(run_value(store, "keypoints", "names", default=())) or 1
    few = pl.col("n_visible") <= FEW_JOINTS * count
    hidden = "more persons with hidden joints in training, e.g. MMPose's RandomHalfBody"
    kinds = [("few visible joints", "Persons with half of their joints or fewer visible", few, hidden)]
    if run_value(store, "frame") == "input":  # unknown of older runs
        scale = (pl.col("warp_00") * pl.col("warp_11") - pl.col("warp_01") * pl.col("warp_10")).abs().sqrt()
        border, small = pl.col("padding").fill_nan(0) >= AT_THE_BORDER, scale <= 1 / ENLARGED
        cut = "more persons cut by the border in training: crops shifted at random (RandomBBoxTransform, shift_prob)"
        low = "more small persons in training, or pictures made smaller at random; a detector's box that fits"
        kinds += [
            ("border", "Persons at the border of the picture", border, cut),
            ("small", f"Small persons, enlarged {ENLARGED:g} times or more,", small, low),
        ]
    groups = [
        PersonGroup(name, who, frozenset(samples.filter(condition)["sample_id"]), try_)
        for name, who, condition, try_ in kinds
    ]
    return [group for group in groups if 0 < len(group.members) < len(samples)]


def group_conclusions(persons: pl.DataFrame, groups: Sequence[PersonGroup], unit: str) -> list[Conclusion]:
    """Groups whose members lose more than the others; images are resampled, Holm's correction is for all groups.

    Args:
        persons: `sample_id`, `image_id` and `loss`, what each person loses, in `unit`: its error, or the part of AP
            that it does not reach.
        groups: looked at.
        unit: 'AP', 'px' or 'mm'.
    """
    from ..functional.inference import compare_groups, corrected_p

    persons = persons.filter(pl.col("loss").is_finite())
    sides = [
        [persons.filter(inside) for inside in (~member, member)]
        for member in (pl.col("sample_id").is_in(list(group.members)) for group in groups)
    ]
    compared = [
        compare_groups(*(side["loss"].to_numpy() for side in pair), *(images_of(side) for side in pair))
        for pair in sides
    ]
    conclusions = []
    for group, pair, comparison, p in zip(groups, sides, compared, corrected_p(compared), strict=True):
        effect, sure = comparison.difference, how_sure(comparison.difference, p)
        if not sure or not effect.mean > 0:
            continue
        worst = pair[1].sort("loss", "sample_id", descending=[True, False]).head(3)
        what = "are farther off" if unit != "AP" else "are predicted worse"
        conclusions.append(
            Conclusion(
                name=group.name,
                sentence=f"{group.who} {what} than the others ({len(pair[1])} of {plural(len(persons), 'person')}).",
                effect=effect,
                unit=f"{unit} more lost" if unit == "AP" else f"{unit} more error",
                sure=sure,
                cost=effect.mean * len(pair[1]) / max(1, len(persons)),
                cost_unit=unit,
                pictures=tuple(PersonPicture(name) for name in worst["sample_id"]),
                try_=group.try_,
            )
        )
    return [c for c in conclusions if math.isfinite(c.cost)]
