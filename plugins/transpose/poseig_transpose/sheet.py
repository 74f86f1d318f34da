"""One person: a few joints' dependency areas, and below them their attribution maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F

from poseig_mm.plotting.drawing import Canvas, overlay
from poseig_mm.plotting.sheets import stack, titled_row

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from poseig_mm.types import Finding

__all__ = ["draw_sheet"]

HEIGHT = 260  # of a panel, px


def draw_sheet(
    finding: Finding, areas: Tensor, maps: Tensor, joints: Sequence[int], rank: Tensor, names: Sequence[str]
) -> Image:
    """Two rows: the input and each joint's attention; the input again and each joint's attribution.

    Args:
        finding: the person.
        areas: (K, h, w) attention, cells; shown as the official code does, by bilinear interpolation.
        maps: (K, H, W) attribution.
        joints: to show.
        rank: (K,) correlation of the two, written below.
        names: (K,).
    """
    display = finding.sample.display
    size = display.shape[:2]
    fine = F.interpolate(areas[None, list(joints)], size, mode="bilinear", align_corners=False)[0]  # (J, H, W)
    rows = []
    for kind, shown in (("attention", fine), ("attribution", maps[list(joints)])):
        panels = [Canvas(display, HEIGHT)] + [Canvas(overlay(display, m.numpy()), HEIGHT) for m in shown]
        for panel, marked in zip(panels, [list(joints), *([k] for k in joints)], strict=True):
            for k in marked:
                if finding.sample.pixels is not None:
                    panel.circle(finding.sample.pixels[k].cpu().numpy(), 4.5, width=1.6)
                panel.cross(finding.prediction[k, :2].detach().cpu().numpy(), 3.5, width=1.6)
        titles = [kind, *(names[k].replace("_", " ") for k in joints)]
        notes = None if kind == "attention" else ["", *(f"rank corr. {float(rank[k]):.2f}" for k in joints)]
        rows.append(titled_row([p.finish() for p in panels], titles, notes))
    return stack(rows, gap=6)
