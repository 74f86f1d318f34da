"""Fig. A: one person, three paintings by three baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image

from ...functional.regions import mass_share
from ...plotting.drawing import Canvas, overlay, row_of_panels, sum_of_maps
from ...plotting.sheets import stack
from ...types import Attribution, Sample

HEIGHT = 260  # of a panel, px


def draw_sheet(
    displays: Mapping[str, Any], maps: Mapping[tuple[str, str], Attribution], sample: Sample, joints: Sequence[int]
) -> Image:
    """A row a painting: the input, then the sum of the joints' maps for each baseline, with its share on the person.

    Args:
        displays: painting -> (H, W, 3) uint8.
        maps: (painting, baseline) -> maps.
        sample: whose joints and mask they are.
        joints: that were explained; rings mark them.
    """
    assert sample.mask is not None
    rows = []
    for painting, display in displays.items():
        panels, titles = [Canvas(display, HEIGHT)], ["as it is" if painting == "original" else f"painted {painting}"]
        for (other, baseline), attribution in maps.items():
            if other != painting:
                continue
            chosen = attribution.maps[list(joints)].double().cpu()
            total = sum_of_maps(chosen.numpy())
            share = float(mass_share(chosen, sample.mask.cpu()).nanmean())
            panels.append(Canvas(display if total is None else overlay(display, total), HEIGHT))
            titles.append(f"{baseline}: no map" if total is None else f"{baseline}: {100 * share:.0f} % on person")
        for panel in panels:
            for k in joints:
                if sample.pixels is not None:
                    panel.circle(sample.pixels[k].cpu().numpy(), 4.5, width=1.6)
        rows.append(row_of_panels([panel.finish() for panel in panels], titles))
    return stack(rows, gap=6)
