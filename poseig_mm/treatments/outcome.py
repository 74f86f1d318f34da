"""What came of a treatment, in numbers: every arm on the same held-out persons, each against another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ..comparison.runs import match
from ..functional.inference import Comparison, corrected_p, paired_difference
from ..functional.statistics import Estimate, bootstrap_mean
from ..store import Store
from ..studies.error_kinds.classify import KINDS
from ..studies.error_kinds.precision import person_ap
from ..studies.error_kinds.study import ErrorKinds
from ..summary.measures import images_of
from ..summary.pck import with_pck

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OutcomeMeasure:
    """A number of a joint or of a person that a treatment may change."""

    name: str  # column
    label: str
    better: int  # -1: less is better, +1: more is
    of_person: bool = False


INVERSION = KINDS[2]
PCK = OutcomeMeasure("pck", "PCK (%)", +1)
INVERSIONS = OutcomeMeasure("inversions", "inversions (%)", -1)
AP = OutcomeMeasure("ap", "AP (%)", +1, of_person=True)


@dataclass(frozen=True)
class Change:
    """One arm less another, in one measure."""

    arm: str
    than: str
    measure: OutcomeMeasure
    meant: bool  # over the joints that the treatment is meant for; False: over all
    comparison: Comparison
    p: float  # corrected by Holm for all changes on these data

    @property
    def difference(self) -> Estimate:
        """Arm less the other."""
        return self.comparison.difference

    @property
    def verdict(self) -> int:
        """+1 better, -1 worse, 0 not shown: the interval holds 0, or the corrected p is above 0.05."""
        e = self.difference
        if not math.isfinite(e.low) or e.low <= 0 <= e.high or self.p >= 0.05:
            return 0
        return 1 if (e.mean > 0) == (self.measure.better > 0) else -1


@dataclass(frozen=True)
class Outcome:
    """All arms on one set of held-out persons; joints and persons in the same order in all of them."""

    data: str  # a few words
    arms: tuple[str, ...]  # before, treated, controls, in words
    joints: Mapping[str, pl.DataFrame]
    persons: Mapping[str, pl.DataFrame]
    measures: tuple[OutcomeMeasure, ...]
    meant_for: tuple[str, ...] = ()  # names of joints; (): all

    @property
    def unit(self) -> str:
        """Of EPE."""
        return self.measures[0].label.rpartition("(")[2].rstrip(")")

    def mean(self, arm: str, measure: OutcomeMeasure, joints: Sequence[str] = ()) -> Estimate:
        """Of one arm, with its interval: images resampled."""
        values, images = self._values(arm, measure, joints)
        return bootstrap_mean(values, groups=images)

    def difference(self, arm: str, than: str, measure: OutcomeMeasure, joints: Sequence[str] = ()) -> Comparison:
        """Arm less the other, paired."""
        first, images = self._values(than, measure, joints)
        return paired_difference(first, self._values(arm, measure, joints)[0], images)

    def changes(self) -> list[Change]:
        """Every arm against before, then the treated one against each control; p is corrected for all of them."""
        before, treated, *controls = self.arms
        pairs = [(arm, before) for arm in (treated, *controls)] + [(treated, arm) for arm in controls]
        asked = [(m, bool(self.meant_for) and not m.of_person) for m in self.measures]
        asked += [(m, False) for m, meant in asked if meant]
        found = [
            (arm, than, m, meant, self.difference(arm, than, m, self.meant_for if meant else ()))
            for arm, than in pairs
            for m, meant in asked
        ]
        corrected = corrected_p([comparison for *_, comparison in found])
        return [Change(*each, p) for each, p in zip(found, corrected, strict=True)]

    def _values(self, arm: str, measure: OutcomeMeasure, joints: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        rows = self.persons[arm] if measure.of_person else self.joints[arm]
        if joints and not measure.of_person:
            rows = rows.filter(pl.col("joint_name").is_in(list(joints)))
        return rows[measure.name].to_numpy(), images_of(rows)


def outcome_of(stores: Mapping[str, Store], data: str, meant_for: Sequence[str] = ()) -> Outcome:
    """The arms' stores over the same held-out persons, as one outcome.

    Args:
        stores: arm, in words -> its run; before first, then treated, then controls.
        data: what the persons are called.
        meant_for: names of joints that the treatment is for; (): all.

    Raises:
        DataError: the runs share no joint.
    """
    runs = match(stores)
    kinds = all(ErrorKinds.name in store.studies for store in stores.values())
    joints, persons = {}, {}
    for arm, store in stores.items():
        rows = with_pck(runs.joints[arm], store.samples()).with_columns(pl.col("pck") * 100)
        if kinds:
            kind = store.study(ErrorKinds.name).filter(pl.col("joint").is_not_null())
            known = kind.select("sample_id", "joint", (pl.col("kind_partner") == INVERSION).alias("inversions"))
            rows = rows.join(known, on=["sample_id", "joint"], how="left", maintain_order="left")
            rows = rows.with_columns((pl.col("inversions") * 100.0).fill_null(math.nan))
            persons[arm] = person_ap(store).with_columns(pl.col("ap") * 100).sort("sample_id")
        joints[arm] = rows
    measures = [OutcomeMeasure("epe", f"EPE ({runs.unit})", -1)]
    if any(rows["pck"].is_finite().any() for rows in joints.values()):
        measures.append(PCK)
    if kinds and len(persons[runs.names[0]]):
        measures += [INVERSIONS, AP]
        shared = set.intersection(*(set(rows["sample_id"]) for rows in persons.values()))
        persons = {arm: rows.filter(pl.col("sample_id").is_in(list(shared))) for arm, rows in persons.items()}
    return Outcome(data, runs.names, joints, persons, tuple(measures), tuple(meant_for))
