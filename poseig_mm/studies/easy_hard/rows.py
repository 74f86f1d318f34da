"""Who is easy and who is hard, and how their numbers differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ...errors import ConfigError
from ...settings_fields import check_fields, number
from ...summary.estimates import comparison_columns, estimate_columns, person_means, visible_joints, with_p_holm
from ...summary.measures import estimate, group_order, images_of
from ..section_parts import parts_of

if TYPE_CHECKING:
    from ...functional.inference import Comparison


DEFINES = "makes the groups"
Row = dict[str, Any]


@dataclass(frozen=True)
class EasyHardSettings:
    """Who is easy and who is hard: shares of the persons, or limits of their mean error (MEPE).

    Raises:
        ConfigError: a person could be both, or only one limit is given.
    """

    easy_share: float = number(1 / 3, above=0, below=1)  # of the persons, those of least MEPE
    hard_share: float = number(1 / 3, above=0, below=1)  # of the persons, those of most MEPE
    # MEPE in the model's unit (px or mm), up to which a person is easy; with hard_above, in the place of the shares
    easy_below: float | None = number(None, above=0)
    hard_above: float | None = number(None, above=0)  # MEPE from which on a person is hard

    def __post_init__(self) -> None:
        check_fields(self)
        if self.easy_share + self.hard_share > 1 + 1e-9:
            raise ConfigError(
                f"easy_share is {self.easy_share} and hard_share {self.hard_share}; expected shares of the persons "
                "that add up to 1 at most, e.g. 0.33 and 0.33"
            )
        if self.easy_below is None and self.hard_above is None:
            return
        if self.easy_below is None or self.hard_above is None or not self.easy_below < self.hard_above:
            raise ConfigError(
                f"easy_below is {self.easy_below} and hard_above {self.hard_above}; expected both, in the unit of the "
                "error, the first smaller than the second, e.g. 3 and 8"
            )


def easy_and_hard(joints: pl.DataFrame, settings: EasyHardSettings | None = None) -> tuple[list[str], list[str]]:
    """Ids of the easy and of the hard persons, by their mean error over visible joints; equal errors by id.

    Shares are rounded down to whole persons.

    >>> rows = [(f'p{i}', True, float(i)) for i in range(7)]
    >>> easy_and_hard(pl.DataFrame(rows, ['sample_id', 'visible', 'epe'], orient='row'))
    (['p0', 'p1'], ['p5', 'p6'])
    """
    settings = settings or EasyHardSettings()
    ranked = person_means(visible_joints(joints), "epe").sort("value", "sample_id")
    if settings.easy_below is not None:
        easy, hard = pl.col("value") <= settings.easy_below, pl.col("value") >= settings.hard_above
        return ranked.filter(easy)["sample_id"].to_list(), ranked.filter(hard)["sample_id"].to_list()
    ids = ranked["sample_id"].to_list()
    few, many = (int(len(ids) * share + 1e-9) for share in (settings.easy_share, settings.hard_share))
    return ids[:few], ids[len(ids) - many :]


def easy_hard_table(joints: pl.DataFrame, names: Sequence[str], settings: EasyHardSettings | None = None) -> list[Row]:
    """A row a measure and group ('all' first): means over the joints of easy and of hard persons, and their difference.

    Args:
        joints: the store's `joints`, or rows of it.
        names: columns of it to look at.
        settings: who is easy and hard; default thirds.

    Returns:
        Rows with `easy`, `hard`, `difference` (each with n, std, low, high), a test of the persons' means
        (Mann-Whitney U), corrected by Holm over all rows, and the numbers of persons.  EPE, which says who is easy and
        who is hard, is not tested: of pure noise too it would differ.
    """
    visible = visible_joints(joints)
    easy, hard = easy_and_hard(joints, settings)
    table, comparisons = [], []
    for name in names:
        for group, rows in parts_of(visible, "group", ["all", *group_order(visible)]):
            first, second = (rows.filter(pl.col("sample_id").is_in(ids)) for ids in (easy, hard))
            comparison = hard_minus_easy(first, second, name)
            if name == "epe":
                comparison = replace(comparison, p=math.nan, least_p=math.nan, effect=math.nan)
            counts = [person_means(part, name).height for part in (first, second)]
            table.append(
                {"measure": name, "group": group}
                | estimate_columns("easy", estimate(first, name))
                | estimate_columns("hard", estimate(second, name))
                | comparison_columns("difference", comparison, sum(counts))
                | {"persons_easy": counts[0], "persons_hard": counts[1]}
            )
            comparisons.append(comparison)
    return [
        row | {"reason": DEFINES} if row["measure"] == "epe" and row["difference_n"] else row
        for row in with_p_holm(table, comparisons)
    ]


def hard_minus_easy(easy: pl.DataFrame, hard: pl.DataFrame, measure: str) -> Comparison:
    """Mean over joints of `hard` minus that of `easy`; images are resampled for the interval and compared for p.

    No interval with one person on a side.
    """
    from ...functional.inference import compare_groups
    from ...functional.statistics import bootstrap_of

    rows = pl.concat([easy, hard]).filter(pl.col(measure).is_finite())
    is_hard = rows["sample_id"].is_in(hard["sample_id"].unique().to_list()).to_numpy().astype(np.float64)
    value = rows[measure].to_numpy()
    columns = np.stack([is_hard * value, is_hard, (1 - is_hard) * value, 1 - is_hard], 1)
    difference = bootstrap_of(lambda s: s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3], columns, images_of(rows))
    persons = [person_means(part, measure) for part in (easy, hard)]
    if min(map(len, persons)) < 2:  # one person drawn again and again is no interval
        difference = replace(difference, low=math.nan, high=math.nan)
    compared = compare_groups(*(part["value"].to_numpy() for part in persons), *map(images_of, persons))
    return replace(compared, difference=difference)


def split_in_words(settings: EasyHardSettings, unit: str) -> str:
    """Who is easy and who is hard.

    >>> split_in_words(EasyHardSettings(), 'px')
    'Persons ranked by their mean error: the lowest 33 % are easy, the highest 33 % hard'
    """
    easy, hard = settings.easy_below, settings.hard_above
    if easy is not None:
        return f"Persons with a mean error up to {easy:g} {unit} are easy, from {hard:g} {unit} hard"
    return (
        f"Persons ranked by their mean error: the lowest {100 * settings.easy_share:.0f} % are easy, the highest "
        f"{100 * settings.hard_share:.0f} % hard"
    )
