"""Strips of maps: one joint of a person, from the original model to the last stage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from ...plotting.drawing import Canvas, overlay, row_of_panels
from ...store.file_names import LONGEST, file_stem
from ...types import Attribution, Sample

HEIGHT = 256  # of a panel, px
SEPARATOR = "--"


def draw_strip(sample: Sample, joint: int, stages: Sequence[tuple[str, Attribution]]) -> Image:
    """Maps of `joint` over the input, side by side, each with its title; a ring marks the annotated joint."""
    panels, titles = [], []
    for title, attribution in stages:
        values = attribution.maps[joint].cpu().double().nan_to_num(0.0).numpy()
        canvas = Canvas(overlay(sample.display, values), HEIGHT)
        if sample.pixels is not None:
            canvas.circle(sample.pixels[joint].cpu().numpy(), 7.0)
        panels.append(canvas.finish())
        titles.append(f"{title} (no map)" if attribution.reasons[joint] else title)
    return row_of_panels(panels, titles)


def strip_stem(sample_id: str, joint_name: str) -> str:
    """The strip's file stem, of which a sample has one: another one for every sample.

    >>> strip_stem('3-1', 'left_wrist'), strip_stem('hands/3-1', 'left--wrist')
    ('3-1--left_wrist', 'hands_3-1.a75d495c5f--left_wrist')
    """
    return file_stem(sample_id) + SEPARATOR + re.sub(r"[^\w.]+", "_", joint_name)[:LONGEST]


def _stem_of_earlier_runs(sample_id: str) -> str:
    """Before SEPARATOR; two samples could have the same."""
    return re.sub(r"[^\w.-]", "_", sample_id)


def find_strips(paths: Sequence[Path], sample_ids: Sequence[str]) -> list[tuple[Path, str]]:
    """(path, 'sample, joint') of the strips of these samples, in their order."""
    of_sample = {path.stem.rpartition(SEPARATOR)[0]: path for path in paths}
    strips = []
    earlier = Counter(map(_stem_of_earlier_runs, sample_ids))
    for sample_id in sample_ids:
        path = of_sample.get(file_stem(sample_id))
        if path is None and earlier[stem := _stem_of_earlier_runs(sample_id)] == 1:
            path = of_sample.get(stem)
        if path is not None:
            joint = path.stem.rpartition(SEPARATOR)[2].replace("_", " ")
            strips.append((path, f"{sample_id}, {joint}"))
    return strips
