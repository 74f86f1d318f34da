"""What a model predicts for every held-out person, as a table; and the numbers made of two such tables."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from poseig_mm.errors import DataError
from poseig_mm.store.atomic import make_dir, publish
from poseig_mm.studies.inversion.inverted import inverted_pairs

if TYPE_CHECKING:
    from poseig_mm.adapters.base import CoordinateAdapter
    from poseig_mm.data.samples import SampleSource

__all__ = ["PCK", "evaluate", "inversions_by_pair", "read_table"]

PCK = 0.05  # of the longer side of the person's box, as MMPose's PCKAccuracy


def evaluate(
    adapter: CoordinateAdapter,
    source: SampleSource,
    path: Path,
    *,
    batch_size: int = 16,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write one row a person and joint to a parquet file, whole or not at all.

    Columns: sample_id, joint, joint_name, visible; truth_x, truth_y, x, y (input px, the model's own decoding without
    flip test); epe (input px, NaN where the joint is not visible); box (longer side of the person's box, input px).

    Raises:
        DataError: no person could be loaded.
    """
    names, device = source.groups.keypoint_names, next(adapter.model.parameters()).device
    frames: list[pl.DataFrame] = []
    waiting: list[Any] = []

    def flush() -> None:
        if not waiting:
            return
        import torch

        images = torch.stack([sample.image for sample in waiting]).to(device)
        for sample, predicted in zip(waiting, adapter.predict(images).double().cpu().numpy(), strict=True):
            truth, visible = sample.keypoints.double().numpy(), sample.visible.numpy()
            epe = np.where(visible, np.linalg.norm(predicted - truth, axis=1), np.nan)
            box = np.asarray(sample.extra["bbox"] or [np.nan] * 4)
            scale = sample.image.shape[-1] / sample.extra["input_scale"][0]  # input px an original px
            frames.append(
                pl.DataFrame(
                    {
                        "sample_id": [sample.sample_id] * len(names),
                        "joint": range(len(names)),
                        "joint_name": names,
                        "visible": visible,
                        "truth_x": truth[:, 0],
                        "truth_y": truth[:, 1],
                        "x": predicted[:, 0],
                        "y": predicted[:, 1],
                        "epe": epe,
                        "box": [scale * float(max(box[2] - box[0], box[3] - box[1]))] * len(names),
                    }
                )
            )
        waiting.clear()

    for position in range(len(source)):
        try:
            waiting.append(source.load(position))
        except DataError:
            continue  # the diagnosis of the same data records it
        if len(waiting) == batch_size:
            flush()
            on_progress(position + 1, len(source))
    flush()
    if not frames:
        raise DataError(f"none of the {len(source)} held-out persons could be loaded")
    buffer = io.BytesIO()
    pl.concat(frames).write_parquet(buffer)
    make_dir(path.parent)
    publish(path, buffer.getvalue())


def read_table(path: Path) -> pl.DataFrame:
    """An `evaluate` table, sorted by person and joint, with `pck`: 1 or 0, NaN where the joint is not visible."""
    hit = (pl.col("epe") <= PCK * pl.col("box")).cast(pl.Float64)
    known = pl.col("epe").is_finite() & pl.col("box").is_finite()
    return (
        pl.read_parquet(path)
        .with_columns(pl.when(known).then(hit).otherwise(float("nan")).alias("pck"))
        .sort("sample_id", "joint")
    )


def inversions_by_pair(
    table: pl.DataFrame, pairs: Sequence[tuple[int, int]], epsilon: float
) -> tuple[NDArray[np.float64], list[str]]:
    """How many of the two joints of each pair are predicted at the other's place.

    Args:
        table: of `read_table`.
        pairs: of symmetric joints.
        epsilon: input px: within it of the other's truth, and beyond it of the own.

    Returns:
        (persons, pairs) 0, 1 or 2, NaN where one of the two is not visible; and the sample ids.
    """
    persons = table["sample_id"].unique(maintain_order=True).to_list()
    points = {
        name: table[name].to_numpy().reshape(len(persons), -1) for name in ("truth_x", "truth_y", "x", "y", "visible")
    }
    found = np.full((len(persons), len(pairs)), np.nan)
    for i in range(len(persons)):
        visible = points["visible"][i].astype(bool)
        inverted = inverted_pairs(
            np.stack([points["truth_x"][i], points["truth_y"][i]], 1),
            np.stack([points["x"][i], points["y"][i]], 1),
            visible,
            epsilon,
        )
        for j, (a, b) in enumerate(pairs):
            if visible[a] and visible[b]:
                found[i, j] = float(inverted[a, b]) + float(inverted[b, a])
    return found, persons
