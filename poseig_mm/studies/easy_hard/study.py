"""Where do maps look on persons the model finds hard (Table D, C.3)?  Persons ranked by their mean error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from ...errors import ConfigError
from ...summary.estimates import comparison_columns, corrected, estimate_columns, person_means, visible_joints
from ...summary.measures import estimate, group_order, measures
from ..base import Study

if TYPE_CHECKING:
    from ...functional.inference import Comparison
    from ...store.reader import Store
    from ...types import Section

__all__ = ["EasyHard", "easy_and_hard", "easy_hard_table"]

Row = dict[str, Any]


@dataclass(frozen=True)
class EasyHard(Study):
    """Hard persons minus easy persons, for every measure and group."""

    name: ClassVar[str] = "easy_hard"

    easy_share: float = 1 / 3  # of the persons, those of least MEPE
    hard_share: float = 1 / 3  # of the persons, those of most MEPE
    easy_below: float | None = (
        None  # MEPE in the model's unit (px or mm), up to which a person is easy; with hard_above
    )
    hard_above: float | None = None  # MEPE from which on a person is hard: takes the place of the shares

    def __post_init__(self) -> None:
        """Raises ConfigError where a person could be both, or a setting is none."""
        shares = (self.easy_share, self.hard_share)
        if not all(_number(s) and 0 < s < 1 for s in shares) or sum(shares) > 1 + 1e-9:
            raise ConfigError(
                f"easy_share is {shares[0]!r} and hard_share {shares[1]!r}; expected shares of the persons between 0 "
                "and 1 that add up to 1 at most, e.g. 0.33 and 0.33"
            )
        limits = (self.easy_below, self.hard_above)
        if limits == (None, None):
            return
        if not all(_number(v) for v in limits) or not 0 <= limits[0] < limits[1]:  # type: ignore[operator]
            raise ConfigError(
                f"easy_below is {limits[0]!r} and hard_above {limits[1]!r}; expected both, in the unit of the error, "
                "the first smaller than the second, e.g. 3 and 8"
            )

    def store_rows(self, store: Store) -> Sequence[Row]:
        """`easy_hard_table` of the whole run."""
        joints = store.joints()
        return easy_hard_table(joints, [m.name for m in measures(store, joints)], self)

    def section(self, store: Store) -> Section | None:
        """Tables D and C.3, and a figure of both."""
        from .section import easy_hard_section

        return easy_hard_section(self, store)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def easy_and_hard(joints: pl.DataFrame, settings: EasyHard | None = None) -> tuple[list[str], list[str]]:
    """Ids of the easy and of the hard persons, by their mean error over visible joints; equal errors by id.

    Shares are rounded down to whole persons.

    >>> rows = [(f'p{i}', True, float(i)) for i in range(7)]
    >>> easy_and_hard(pl.DataFrame(rows, ['sample_id', 'visible', 'epe'], orient='row'))
    (['p0', 'p1'], ['p5', 'p6'])
    """
    settings = settings or EasyHard()
    ranked = person_means(visible_joints(joints), "epe").sort("value", "sample_id")
    if settings.easy_below is not None:
        easy, hard = pl.col("value") <= settings.easy_below, pl.col("value") >= settings.hard_above
        return ranked.filter(easy)["sample_id"].to_list(), ranked.filter(hard)["sample_id"].to_list()
    ids = ranked["sample_id"].to_list()
    few, many = (int(len(ids) * share + 1e-9) for share in (settings.easy_share, settings.hard_share))
    return ids[:few], ids[len(ids) - many :]


def easy_hard_table(joints: pl.DataFrame, names: Sequence[str], settings: EasyHard | None = None) -> list[Row]:
    """A row a measure and group ('all' first): means over the joints of easy and of hard persons, and their difference.

    Args:
        joints: the store's `joints`, or rows of it.
        names: columns of it to look at.
        settings: who is easy and hard; default thirds.

    Returns:
        Rows with `easy`, `hard`, `difference` (each with n, std, low, high), a test of the persons' means
        (Mann-Whitney U), corrected by Holm over all rows, and the numbers of persons.
    """
    visible = visible_joints(joints)
    easy, hard = easy_and_hard(joints, settings)
    found = []
    for name in names:
        for group in ("all", *group_order(visible)):
            rows = visible if group == "all" else visible.filter(pl.col("group") == group)
            first, second = (rows.filter(pl.col("sample_id").is_in(ids)) for ids in (easy, hard))
            comparison = hard_minus_easy(first, second, name)
            counts = [person_means(part, name).height for part in (first, second)]
            found.append(
                {"measure": name, "group": group}
                | estimate_columns("easy", estimate(first, name))
                | estimate_columns("hard", estimate(second, name))
                | comparison_columns("difference", comparison, sum(counts))
                | {"persons_easy": counts[0], "persons_hard": counts[1]}
            )
    return corrected(found)


def hard_minus_easy(easy: pl.DataFrame, hard: pl.DataFrame, measure: str) -> Comparison:
    """Mean over joints of `hard` minus that of `easy`; persons are resampled for the interval and compared for p.

    No interval with one person on a side.
    """
    from dataclasses import replace

    from ...functional.inference import compare_groups
    from ...functional.statistics import bootstrap_of

    rows = pl.concat([easy, hard]).filter(pl.col(measure).is_finite())
    is_hard = rows["sample_id"].is_in(hard["sample_id"].unique().to_list()).to_numpy().astype(np.float64)
    value = rows[measure].to_numpy()
    columns = np.stack([is_hard * value, is_hard, (1 - is_hard) * value, 1 - is_hard], 1)
    difference = bootstrap_of(lambda s: s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3], columns, rows["sample_id"].to_numpy())
    persons = [person_means(part, measure)["value"].to_numpy() for part in (easy, hard)]
    if min(map(len, persons)) < 2:  # one person drawn again and again is no interval
        difference = replace(difference, std=math.nan, low=math.nan, high=math.nan)
    return replace(compare_groups(*persons), difference=difference)
