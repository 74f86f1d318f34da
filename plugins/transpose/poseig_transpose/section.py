"""The section on attention: how alike it is to attribution, by joint, and pictures of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from poseig_mm.functional.inference import FEWEST
from poseig_mm.plotting.charts import JointEstimates, dot_plot
from poseig_mm.studies.choice import kept_gallery
from poseig_mm.summary.measures import Measure, estimate, group_order
from poseig_mm.summary.reasons import missing_table
from poseig_mm.summary.sentences import format_estimate, plural
from poseig_mm.types import Gallery, Picture, Section, Table

if TYPE_CHECKING:
    from poseig_mm.functional.statistics import Estimate
    from poseig_mm.store.reader import Store

__all__ = ["attention_section"]

ORDER = 385
MOST_LINES = 40  # of the figure
TITLE = "Attention and attribution"
COLUMNS = ("rank", "rank_other", "rank_gain", "shared", "shared_other", "shared_gain")


def attention_section(store: Store, name: str, layer: int) -> Section | None:
    """Of the rows of the study `name`, of one layer (-1: the last); None without rows: there is no such attention."""
    if name not in store.studies or not len(rows := store.study(name)):
        return None
    rows = rows.with_columns(pl.col("joint_name").str.strip_prefix("left_").str.strip_prefix("right_").alias("type"))
    known = rows.filter(pl.col("rank").is_finite())
    if not len(known):
        lead = "No joint has both an attribution map and a predicted place, so attention is compared with nothing."
        return Section(name, TITLE, lead, missing_table(rows, "joints"), ORDER)
    found = {"all joints": ("", _estimates(known))}
    groups = {group: i for i, group in enumerate(group_order(known))}
    order = known.group_by("type", "group").agg(pl.col("joint").min()).sort("joint").rows()
    for kind, group, _ in sorted(order, key=lambda row: (groups.get(row[1], len(groups)), row[2])):
        found[kind] = (group, _estimates(known.filter(type=kind, group=group)))
    which = "the last layer" if layer == -1 else f"layer {layer}"
    blocks: list[Table | Picture | Gallery] = [
        Table(
            f"Attention of {which} at the predicted place against the attribution map, left and right together: mean "
            "[95 % interval, persons resampled]. Rank: Spearman's correlation of the cells; shared: mass in common; "
            "others: with the attention of the person's other joints; gain: own minus others.",
            ("joint", "n", "rank", "rank, others", "rank gain", "shared", "shared, others", "shared gain"),
            tuple((kind, e["rank"].n, *(e[c] for c in COLUMNS)) for kind, (_, e) in found.items()),
        ),
        Picture(
            "attention",
            "Rank correlation with the joint's own attention, and by how much it exceeds that with the person's other "
            "joints' attention (dashed, 0: attention doesn't tell the joint from others).",
            dot_plot(
                [JointEstimates(kind, group, e) for kind, (group, e) in list(found.items())[1 : MOST_LINES + 1]],
                {},
                (
                    Measure("rank", "rank correlation", neutral=0.0),
                    Measure("rank_gain", "own minus others", neutral=0.0),
                ),
            ),
        ),
    ]
    blocks += [*kept_gallery(store, name, _GALLERY), *missing_table(rows, "joints")]
    persons = known["sample_id"].n_unique()
    return Section(name, TITLE, _lead(found["all joints"][1], persons, which), tuple(blocks), ORDER)


_GALLERY = (
    "Above: what the cell of the joint's prediction (cross) attends to, interpolated from the cells; below: the "
    "joint's attribution map; ring: the annotated place. Each panel has its own colour scale."
)


def _estimates(rows: pl.DataFrame) -> dict[str, Estimate]:
    return {column: estimate(rows, column) for column in COLUMNS}


def _lead(overall: dict[str, Estimate], persons: int, layer: str) -> str:
    """How alike the two are, whether attention is the joint's own, and how sure that is."""
    rank, other, gain = (overall[c] for c in ("rank", "rank_other", "rank_gain"))
    text = (
        f"Where the cell of a joint's prediction attends to in {layer}, and what the prediction depends on, have a "
        f"rank correlation of {format_estimate(rank)} over the cells "
        f"({plural(persons, 'person')}, {plural(rank.n, 'joint')}), and share {format_estimate(overall['shared'])} of "
        f"their mass. With the attention of the person's other joints the correlation is {format_estimate(other)}: "
    )
    if persons < FEWEST:
        return text + f"{plural(persons, 'person')} are too few to say whether the difference is one."
    if gain.low > 0:
        return text + f"a joint's own attention is nearer to its attribution, by {format_estimate(gain)}."
    if gain.high < 0:
        return text + f"a joint's own attention is farther from its attribution, by {format_estimate(gain)}."
    return (
        text + f"the difference, {format_estimate(gain)}, may be none, so attention is no guide to what this joint "
        "depends on."
    )
