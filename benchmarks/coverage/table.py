"""The page docs/coverage.md, from trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from .trial import Trial

__all__ = ["coverage_page"]


def coverage_page(results: Mapping[str, Trial | None], about: str) -> str:
    """Markdown: how many of all, by family, and a row a config.

    Args:
        results: by config; None: it has no model.
        about: on what it was measured, a sentence.
    """
    trials = [trial for trial in results.values() if trial is not None]
    good = [trial for trial in trials if not trial.reason]
    lines = [
        "# Coverage: MMPose's shipped configs",
        "",
        f"**{len(good)} of {len(trials)}** configs that hold a model are built, adapted and attributed. {about}",
        "",
        "Each with random weights, at its own input size: two joints, four gradients each. *apart*: the mean distance "
        "between the adapter's coordinates and the model's own decoding, in the unit, and the share of joints that are "
        "within one heatmap pixel; where there is a soft-argmax, with the sharpness of an argmax, since random "
        "heatmaps are nearly flat (MMPose adds its sub-pixel step, so that up to one heatmap pixel is agreement; UDP's "
        "and DARK's steps go farther on noise, and MSPN's codec looks for the peak of blurred heatmaps). Joints that "
        "the model itself finds no peak for do not count; '-': no joint counts. "
        "*seconds*: all of it, building included.",
        "",
        "Made by `python -m benchmarks.coverage`; a part of it by `--only PATTERN`.",
        "",
        *_families(trials),
        "",
        *_missing(trials),
        *_configs(good),
    ]
    return "\n".join(lines) + "\n"


def _families(trials: Sequence[Trial]) -> list[str]:
    """One row an adapter, estimator and head."""
    keys = [(t.adapter or "none", t.estimator or "?", t.head or "?") for t in trials]
    total, good = Counter(keys), Counter(key for key, t in zip(keys, trials, strict=True) if not t.reason)
    rows = [
        f"| {adapter} | {estimator} | {head} | {good[adapter, estimator, head]} of {n} |"
        for (adapter, estimator, head), n in sorted(total.items())
    ]
    return ["| adapter | estimator | head | configs |", "| --- | --- | --- | --- |", *rows]


def _missing(trials: Sequence[Trial]) -> list[str]:
    missing = [trial for trial in trials if trial.reason]
    if not missing:
        return []
    rows = [f"| {t.config} | {t.reason.replace('|', '/')} |" for t in missing]
    return ["## Not diagnosed", "", "| config | reason |", "| --- | --- |", *rows, ""]


def _configs(trials: Sequence[Trial]) -> list[str]:
    lines: list[str] = []
    for folder in dict.fromkeys(t.config.split("/")[0] for t in trials):
        lines += [
            f"## {folder}",
            "",
            "| config | adapter | input | joints | unit | parameters (M) | apart | seconds |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for t in (t for t in trials if t.config.split("/")[0] == folder):
            size = " x ".join(map(str, t.input_size))
            apart = "-" if t.apart is None or t.within is None else f"{t.apart:.3g} ({100 * t.within:.0f} %)"
            name = t.config.partition("/")[2].removesuffix(".py")
            lines.append(
                f"| {name} | {t.adapter} | {size} | {t.joints} | {t.unit} | {t.parameters / 1e6:.1f} | {apart} | "
                f"{t.seconds:.1f} |"
            )
        lines.append("")
    return lines
