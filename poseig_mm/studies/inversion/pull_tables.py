"""What the maps of inversions say: whether they looked at the wrong joint, and what pulled the prediction there."""

from __future__ import annotations

import math

import polars as pl

from ...functional.inference import FEWEST, compare_marked, paired_difference
from ...store.reader import Store
from ...summary.measures import estimate, images_of
from ...types import Table
from ..pairs import PAIR_KINDS
from ..section_parts import parts_of, with_holm


def relation_table(store: Store, inversions: pl.DataFrame, not_inverted: int | None, seed: int) -> Table:
    """RI of inverted pairs against that of the same ordered pairs of joints where they are not inverted.

    Args:
        store: with the relations.
        inversions: sample_id, joint, other, kind: one row an inversion.
        not_inverted: so many to compare with, drawn with a seed; None: all.
    """
    columns = ("kind", "n", "n not", "RI inverted", "RI not", "matched", "Cliff's delta", "p (Holm)")
    values = _relations(store, inversions)
    lines, compared = {}, {}
    for kind, rows in parts_of(values, "kind", (*PAIR_KINDS, "all")):
        yes, no = rows.filter("inverted"), rows.filter(~pl.col("inverted"))
        if not_inverted is not None and len(no) > not_inverted:
            no = no.sort("sample_id", "joint", "other").sample(not_inverted, seed=seed)
        if len(yes):
            both = pl.concat([no, yes])
            pairs = both.select(pl.struct("joint", "other").rank("dense")).to_series().to_numpy()
            compared[kind] = compare_marked(both["ri"].to_numpy(), both["inverted"].to_numpy(), pairs, images_of(both))
            means = (*(estimate(part, "ri") for part in (yes, no)), compared[kind].difference)
            lines[kind] = (kind, len(yes), len(no), *means)
    p = {kind: p for kind, (_, p) in with_holm({k: c for k, c in compared.items() if k != "all"}).items()}
    if "all" in compared:
        p["all"] = with_holm({"all": compared["all"]})["all"][1]
    table = tuple((*line, compared[kind].effect, p[kind]) for kind, line in lines.items())
    note = "" if len(values) else " RI was not computed in this run (diagnosis.indices): no comparison."
    drawn = f", {not_inverted} drawn with a seed" if not_inverted is not None else ""
    caption = (
        "RI(a → b), how much of the map of a lies around b (1 = no preference): where a was predicted at b, and where "
        f"the same ordered pairs of visible joints were not inverted{drawn}. Matched: each inverted value minus the "
        "mean of its own pair elsewhere. Intervals: images resampled. Cliff's delta: within pairs. p: Wilcoxon's "
        "signed-rank test over what each image adds to it (an image's joints are no independent values), Holm over "
        f"kinds.{note}"
    )
    return Table(caption, columns, table, 2)


def _relations(store: Store, inversions: pl.DataFrame) -> pl.DataFrame:
    """sample_id, image_id, joint, other, kind, inverted, ri for the ordered pairs of joints that are ever inverted."""
    relations = store.relations().select("sample_id", "joint", "other", "ri").filter(pl.col("ri").is_finite())
    asked = inversions.select("joint", "other", "kind").unique()
    marked = inversions.select("sample_id", "joint", "other", pl.lit(True).alias("inverted"))
    return (
        relations.join(asked, on=["joint", "other"])
        .join(marked, on=["sample_id", "joint", "other"], how="left")
        .with_columns(pl.col("inverted").fill_null(False))
        .join(store.samples().select("sample_id", "image_id"), on="sample_id", how="left")
    )


def contrast_table(rows: pl.DataFrame, limb_radius: float) -> Table:
    """Where the contrastive maps have their mass, and which way it pulls."""
    area = {side: pl.when(pl.col(f"area_{side}") > 0).then(f"area_{side}") for side in ("wrong", "right")}
    density = {side: (pl.col(f"mass_{side}") / area[side]).fill_null(math.nan) for side in area}
    known = rows.filter(pl.col("mass_wrong").is_finite()).with_columns(**density)
    table = []
    for kind, part in parts_of(known, "kind", (*PAIR_KINDS, "all")):
        if len(part):
            compared = paired_difference(part["right"].to_numpy(), part["wrong"].to_numpy(), images_of(part))
            wrong, right, *pulls = (estimate(part, c) for c in ("wrong", "right", "positive_wrong", "positive_right"))
            table.append((kind, len(part), wrong, right, compared.difference, compared.p, *pulls))
    missing = [f"{n} {reason}" for reason, n in rows.filter(pl.col("reason") != "").group_by("reason").len().rows()]
    left = f" Without a map: {', '.join(sorted(missing))}." if missing else ""
    caption = (
        "The map of why there and not here, T(a|b) minus T(a|a): its mass in the limb of the wrong joint b and in that "
        f"of the right joint a (up to {limb_radius:g} px from the bone to the parent; shared pixels: the "
        "nearer's), over the limb's share of the area: 1 = no preference. Difference: wrong minus right. p: Wilcoxon's "
        f"signed-rank test over images, not made below {FEWEST}. Pulls: share of the limb's mass that speaks "
        f"for b.{left}"
    )
    columns = ("kind", "n", "wrong limb", "right limb", "difference", "p", "pulls, wrong", "pulls, right")
    return Table(caption, columns, tuple(table), 2)
