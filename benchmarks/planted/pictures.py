"""docs/figures/planted_*: maps of the first held-out figures beside the pixels that carry the joint, and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from poseig_mm.functional.statistics import Estimate
from poseig_mm.plotting.drawing import Canvas, overlay, row_of_panels
from poseig_mm.plotting.figures import MARKERS, PALETTE, figure_style, new_figure
from poseig_mm.store.atomic import publish

from .figures import JOINT, Case
from .maps import maps_of

HEIGHT = 190  # px of a panel
EVIDENCE = (0, 255, 170)
SHORT = {"blur IG, published settings": "blur IG, published"}


def maps_picture(cases: Sequence[Case], methods: Sequence[str], figures: int, path: Path) -> None:
    """The first figures of each case that have evidence, a row each: the input, then the map of each method."""
    rows = []
    for case in cases:
        which = [i for i, reason in enumerate(case.reasons) if not reason][:figures]
        maps = {method: maps_of(case, method, which).maps[:, JOINT].numpy() for method in methods}
        with torch.no_grad():
            predicted = (
                case.adapter.predict(torch.stack([case.samples[i].image for i in which]))[:, JOINT].cpu().numpy()
            )
        for n, i in enumerate(which):
            shown = case.samples[i].display
            panels = [_panel(shown, case.evidence[i], case.samples[i].keypoints[JOINT].numpy(), predicted[n])]
            panels += [_panel(overlay(shown, maps[method][n]), case.evidence[i]) for method in methods]
            titles = [case.variant, *(SHORT.get(m, m) for m in methods)]
            rows.append(row_of_panels(panels, titles if len(cases) > 1 or not rows else None))
    sheet = Image.new("RGB", (rows[0].width, sum(r.height + 6 for r in rows) - 6), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + 6
    held = BytesIO()
    sheet.save(held, "JPEG", quality=88, subsampling=0)
    publish(path, held.getvalue())


def _panel(
    pixels: NDArray[np.uint8],
    evidence: NDArray[np.bool_],
    truth: NDArray[np.float32] | None = None,
    predicted: NDArray[np.float32] | None = None,
) -> Image.Image:
    """A picture with the outline of the evidence; ring: the true wrist, cross: the model's."""
    from contourpy import contour_generator

    canvas = Canvas(pixels, HEIGHT)
    framed = np.pad(evidence.astype(float), 1)
    for line in contour_generator(z=framed).lines(0.5):
        canvas.line(np.asarray(line) - 1, EVIDENCE, 1.2, halo=False)
    if truth is not None and predicted is not None:
        canvas.circle(truth, 5.0)
        canvas.cross(predicted, 4.5)
    return canvas.finish()


def scores_picture(scores: Mapping[str, Mapping[str, Mapping[str, Estimate]]], path: Path) -> None:
    """Scores by variant (rows) and method (colour and marker), with intervals; a bar: what chance gives."""
    names = {"auroc": "AUROC", "mass": "share of mass", "peak": "peak on the evidence"}
    variants = list(scores)
    with figure_style():
        figure, axes = new_figure(10.5, 1.2 + 0.85 * len(variants), 1, 3, sharey=True)
        for axis, (score, title) in zip(axes, names.items(), strict=True):
            for row, variant in enumerate(variants):
                by_method = scores[variant]
                chance = 0.5 if score == "auroc" else next(iter(by_method.values()))["area"].mean
                axis.plot([chance] * 2, [row - 0.42, row + 0.42], color="#444", lw=1.2, ls=":")
                for m, (method, numbers) in enumerate(by_method.items()):
                    estimate, y = numbers[score], row + 0.11 * (m - (len(by_method) - 1) / 2)
                    color, marker = PALETTE[m % len(PALETTE)], MARKERS[m % len(MARKERS)]
                    axis.plot([estimate.low, estimate.high], [y, y], color=color, lw=1.4)
                    axis.plot(estimate.mean, y, marker, color=color, ms=4.5, label=method if row == 0 else None)
            axis.set_title(title)
            axis.set_xlim(-0.02, 1.02)
            axis.set_yticks(range(len(variants)), variants)
            axis.grid(axis="y", visible=False)
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        held = BytesIO()
        figure.savefig(held, format="svg", metadata={"Date": None})
        publish(path, held.getvalue())
