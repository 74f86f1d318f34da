"""PCK: whether each joint is predicted within a share of its person's box."""

from __future__ import annotations

import math

import polars as pl

from .persons import in_pixels

OF_BOX = 0.05  # of the longer side of the box, MMPose's default


def with_pck(joints: pl.DataFrame, samples: pl.DataFrame, threshold: float = OF_BOX) -> pl.DataFrame:
    """The table of joints with a column `pck`, as MMPose's PCKAccuracy with norm_item='bbox' decides it.

    The model's own decoding counts, without flip test.  MMPose's PCK is the mean over joints of each joint's mean.

    Args:
        joints: a store's.
        samples: its `samples`, with `box_side`.
        threshold: share of the longer side of the person's box.

    Returns:
        `pck`: 1.0 where the prediction is nearer to the annotation than `threshold` times the side, 0.0 where it is
        not; NaN where the joint is not visible or has no prediction, the person has no box or the run is from before
        there were boxes in its tables, and where joints are not points of the input image.

    >>> joints = pl.DataFrame({"sample_id": "a", "visible": [True, True, False], "unit": "px", "gt_x": 0.0, "gt_y": 0.0,
    ...                        "pred_x": [3.0, 3.0, 0.0], "pred_y": [3.9, 4.0, 0.0]})
    >>> samples = pl.DataFrame({"sample_id": ["a"], "box_side": [100.0]})
    >>> with_pck(joints, samples)["pck"].to_list()
    [1.0, 0.0, nan]
    """
    if not in_pixels(joints):
        return joints.with_columns(pl.lit(math.nan).alias("pck"))
    side = samples.select("sample_id", pl.col("box_side").alias("_side"))
    distance = ((pl.col("pred_x") - pl.col("gt_x")).pow(2) + (pl.col("pred_y") - pl.col("gt_y")).pow(2)).sqrt()
    known = pl.col("visible") & distance.is_finite() & pl.col("_side").is_finite()
    within = (distance < threshold * pl.col("_side")).cast(pl.Float64)
    table = joints.join(side, on="sample_id", how="left", maintain_order="left")
    return table.with_columns(pl.when(known).then(within).otherwise(math.nan).alias("pck")).drop("_side")
