"""What the maps of inversions say: whether they looked at the wrong joint, and what pulled the prediction there."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.inference import FEWEST, compare_groups, holm, paired_difference
from ...functional.statistics import Estimate, bootstrap_mean
from ...store.reader import Store
from ...types import Table
from ..pairs import PAIR_KINDS
from ..section_parts import parts_of

__all__ = ["contrast_table", "relation_table"]


def relation_table(store: Store, inversions: pl.DataFrame, not_inverted: int | None, seed: int) -> Table:
    """RI of inverted pairs against that of the same ordered pairs of joints where they are not inverted.

    Args:
        store: with the relations.
        inversions: sample_id, joint, other, kind: one row an inversion.
        not_inverted: so many to compare with, drawn with a seed; None: all.
    """
    columns = ("kind", "n", "n not", "RI inverted", "RI not", "matched", "Cliff's delta", "p (Holm)")
    values = _relations(store, inversions)
    tested = []
    for kind, rows in parts_of(values, "kind", (*PAIR_KINDS, "all")):
        yes, no = rows.filter("inverted"), rows.filter(~pl.col("inverted"))
        if not_inverted is not None and len(no) > not_inverted:
            no = no.sort("sample_id", "joint", "other").sample(not_inverted, seed=seed)
        if not len(yes):
            continue
        means = no.group_by("joint", "other").agg(pl.col("ri").mean().alias("usual"))
        matched = yes.join(means, on=["joint", "other"], how="inner")
        difference = bootstrap_mean(
            (matched["ri"] - matched["usual"]).to_numpy(), groups=matched["sample_id"].to_numpy()
        )
        tested.append((kind, yes, no, difference, compare_groups(no["ri"].to_numpy(), yes["ri"].to_numpy())))
    p = dict(zip((t[0] for t in tested if t[0] != "all"), holm([t[4].p for t in tested if t[0] != "all"]), strict=True))
    table = tuple(
        (kind, len(yes), len(no), _mean_ri(yes), _mean_ri(no), difference, test.effect, float(p.get(kind, test.p)))
        for kind, yes, no, difference, test in tested
    )
    note = "" if len(values) else " RI was not computed in this run (diagnosis.indices): no comparison."
    drawn = f", {not_inverted} drawn with a seed" if not_inverted is not None else ""
    caption = (
        "RI(a → b), how much of the map of a lies around b (1 = no preference): where a was predicted at b, and where "
        f"the same ordered pairs of visible joints were not inverted{drawn}. Matched: each inverted value minus the "
        "mean of its own pair elsewhere. Intervals: persons resampled. p: Mann-Whitney U over values as if "
        f"independent, Holm over kinds; not tested below {FEWEST} values.{note}"
    )
    return Table(caption, columns, table, 2)


def _relations(store: Store, inversions: pl.DataFrame) -> pl.DataFrame:
    """sample_id, joint, other, kind, inverted, ri for the ordered pairs of joints that are ever inverted."""
    relations = store.relations().select("sample_id", "joint", "other", "ri").filter(pl.col("ri").is_finite())
    asked = inversions.select("joint", "other", "kind").unique()
    marked = inversions.select("sample_id", "joint", "other", pl.lit(True).alias("inverted"))
    return (
        relations.join(asked, on=["joint", "other"])
        .join(marked, on=["sample_id", "joint", "other"], how="left")
        .with_columns(pl.col("inverted").fill_null(False))
    )


def _mean_ri(rows: pl.DataFrame) -> Estimate:
    return bootstrap_mean(rows["ri"].to_numpy(), groups=rows["sample_id"].to_numpy())


def contrast_table(rows: pl.DataFrame, limb_radius: float) -> Table:
    """Where the contrastive maps have their mass, and which way it pulls."""
    table = []
    for kind, some in parts_of(rows.filter(pl.col("mass_wrong").is_finite()), "kind", (*PAIR_KINDS, "all")):
        if not len(some):
            continue
        person = some["sample_id"].to_numpy()
        wrong, right = (_preference(some, side) for side in ("wrong", "right"))
        compared = paired_difference(right, wrong, person)
        pulls = [bootstrap_mean(some[f"positive_{side}"].to_numpy(), groups=person) for side in ("wrong", "right")]
        table.append((kind, len(some), bootstrap_mean(wrong, groups=person), bootstrap_mean(right, groups=person),
                      compared.difference, compared.p, *pulls))  # fmt: skip
    missing = [f"{n} {reason}" for reason, n in rows.filter(pl.col("reason") != "").group_by("reason").len().rows()]
    left = f" Without a map: {', '.join(sorted(missing))}." if missing else ""
    caption = (
        "The map of why there and not here, T(a|b) minus T(a|a): its mass in the limb of the wrong joint b and in that "
        f"of the right joint a (up to {limb_radius:g} px from the bone to the parent; shared pixels: the "
        "nearer's), over the limb's share of the area: 1 = no preference. Difference: wrong minus right. p: Wilcoxon's "
        f"signed-rank test over persons, not made below {FEWEST} persons. Pulls: share of the limb's mass that speaks "
        f"for b.{left}"
    )
    columns = ("kind", "n", "wrong limb", "right limb", "difference", "p", "pulls, wrong", "pulls, right")
    return Table(caption, columns, tuple(table), 2)


def _preference(rows: pl.DataFrame, side: str) -> NDArray[np.float64]:
    area = rows[f"area_{side}"].to_numpy()
    density: NDArray[np.float64] = rows[f"mass_{side}"].to_numpy() / np.where(area > 0, area, np.nan)
    return density
