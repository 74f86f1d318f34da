"""What the published procedure does that one should not, with its effect on this run."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ...store.reader import Store
from ...summary.measures import unit_of
from ...summary.sentences import plural
from ...types import Section, Table
from ..section_parts import study_rows

ORDER = 395
TITLE = "The published procedure"
BATCH = 16  # persons whose means the published code logs together
# what the published code does; (measure, column of `joints`, column of this study)
CHOICES = (
    ("FI counts all persons of the image, not the one whose joints are explained",
     (("FI", "fi", "fi_own_mask"),)),
    ("padding counts as image", (("DI", "di", "di_image"), ("FI", "fi", "fi_image"), ("LI", "li", "li_image"))),
    ("the truth is moved: to where the quantised training target is decoded to",
     (("EPE", "epe", "epe_truth"), ("LI", "li", "li_truth"))),
    ("the last two, and the mask", (("FI", "fi", "fi_mended"), ("LI", "li", "li_mended"))),
)  # fmt: skip


def published_section(store: Store, name: str) -> Section | None:
    """A line for each choice and number; None without rows."""
    rows = study_rows(store, name)
    if not len(rows):
        return None
    joints = store.joints()
    both = joints.join(rows.drop("image_id", "joint_name", "group"), on=["sample_id", "joint"], how="inner")
    lines: list[tuple[Any, ...]] = []
    for title, column in (("DI", "di"), ("FI", "fi"), ("LI", "li")):
        if column in joints.columns:
            logged, mean, count = logged_mean(joints, column)
            lines.append(("joints that are not annotated count as 0 in the logged means", title, logged, mean, count))
    for choice, measures in CHOICES:
        for title, taken, instead in measures:
            if taken in both.columns:
                pairs = both.filter(pl.col(taken).is_finite() & pl.col(instead).is_finite())
                means = (float(np.mean(pairs[c].to_numpy())) if len(pairs) else np.nan for c in (taken, instead))
                lines.append((choice, title, *means, len(pairs)))
    moved = rows["moved"].to_numpy()
    lead = (
        "preset='published' follows the published code to the letter, for comparison with published numbers only. The "
        f"reference points lie {moved.mean():.2f} {unit_of(joints)} from the annotated ones on average, "
        f"{moved.max():.2f} at most ({plural(len(moved), 'joint')}). Each choice is taken back by itself below; the "
        "maps are those of this run, so that what explaining the moved point does to them is not in these numbers "
        "(diagnosis.attribution.reference='truth' makes them anew)."
    )
    caption = (
        "What the published procedure does that one should not: mean over joints as this run counts, and without that "
        "choice. In the first lines: the mean that the published code logs (batches of "
        f"{BATCH} persons, weighted by their annotated joints), and the mean over annotated joints."
    )
    columns = ("choice", "number", "as this run counts", "without it", "joints")
    return Section(name, TITLE, lead, (Table(caption, columns, tuple(lines)),), ORDER)


def logged_mean(joints: pl.DataFrame, column: str) -> tuple[float, float, int]:
    """(the mean that the published code logs, the mean over joints that have a value, how many have one).

    Of each batch of 16 persons the published code takes the mean over all joints, 0 where one is not annotated, and
    weights the batch by its annotated joints.

    >>> rows = [("a", True, 3.0), ("a", False, float("nan"))]
    >>> logged_mean(pl.DataFrame(rows, schema=["sample_id", "visible", "fi"], orient="row"), "fi")
    (1.5, 3.0, 1)
    """
    values = joints[column].to_numpy().astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.nan, np.nan, 0
    persons = list(dict.fromkeys(joints["sample_id"]))
    batch = joints["sample_id"].replace_strict({p: i // BATCH for i, p in enumerate(persons)}).to_numpy()
    counted, visible = np.where(finite, values, 0.0), joints["visible"].to_numpy()
    means = [counted[batch == b].mean() for b in np.unique(batch)]
    weights = [visible[batch == b].sum() for b in np.unique(batch)]
    return float(np.average(means, weights=weights)), float(values[finite].mean()), int(finite.sum())
