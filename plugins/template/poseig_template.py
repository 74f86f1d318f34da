"""The smallest plugin of poseig_mm: how far from the joint a model looks, and a table of it in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poseig_mm import Section, hookimpl
from poseig_mm.types import Table

if TYPE_CHECKING:
    from torch import Tensor

    from poseig_mm.indices.base import IndexInputs
    from poseig_mm.store import Store


class CentreDistance:
    """Distance from the map's centre of mass to the joint, input px; 0: the model looks around the joint itself."""

    name = "ci"  # its column in the table `joints`, and its name in `diagnosis.indices`
    title = "Centre distance"
    unit = "px"
    range = (0.0, float("inf"))
    requires = frozenset[str]()  # it works without masks and heatmaps
    kind = "joint"  # one number a joint: (B, K)

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K) px; NaN where a map is missing or all zero: the division by its sum sees to that."""
        import torch

        maps = inputs.maps  # (B, K, H, W)
        y, x = (torch.arange(n, dtype=maps.dtype, device=maps.device) for n in maps.shape[-2:])
        mass = maps.sum((-2, -1))
        centre = torch.stack([(maps.sum(-2) * x).sum(-1), (maps.sum(-1) * y).sum(-1)], -1) / mass[..., None]
        return (centre - inputs.pixels).norm(dim=-1)


@hookimpl
def poseig_indices() -> list[Any]:
    return [CentreDistance()]


@hookimpl
def poseig_report_sections(store: Store) -> list[Section]:
    import polars as pl

    joints = store.joints()
    if "ci" not in joints.columns:  # a run that did not ask for this index
        return []
    means = (
        joints.filter(pl.col("ci").is_finite())
        .group_by("joint", "joint_name")
        .agg(pl.col("ci").mean(), pl.len())
        .sort("joint")
    )
    rows = tuple(means.select("joint_name", "ci", "len").iter_rows())
    return [
        Section(
            name="centre-distance",
            title="Centre distance",
            lead="How far the centre of each joint's map lies from the joint.",
            blocks=(Table("Mean distance per joint", ("joint", "CI (px)", "n"), rows),),
        )
    ]
