"""Maps of the left wrist by every method, scored against the pixels that carry it; and what the model loses without
them.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.planted.known_evidence import area_share, auroc, mass_share, peak_share
from poseig_mm.api import attribute
from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import Estimate, bootstrap_mean, bootstrap_of
from poseig_mm.types import Attribution

from .figures import BATCH, JOINT, Case

METHODS: dict[str, dict[str, Any]] = {
    "blur IG": {},
    "blur IG, published settings": {"preset": "published"},
    **{
        f"linear IG, {baseline}": {"path": "linear", "path_settings": {"baseline": baseline}}
        for baseline in ("black", "white", "mean")
    },
    "gradient": {"method": "gradient", "compute": "exact"},
    "random": {"method": "random"},
}
SCORES = ("auroc", "mass", "peak")
USED = 5.0  # a model uses the evidence where its error rises at least so many times without it


def maps_of(case: Case, method: str, which: Sequence[int] | None = None) -> Attribution:
    """Maps of the left wrist of all figures, or of some; (N, K, H, W), NaN for the other joints."""
    chosen, parts = list(range(len(case.samples)) if which is None else which), []
    for start in range(0, len(chosen), BATCH):
        part = [case.samples[i] for i in chosen[start : start + BATCH]]
        images, keypoints = (torch.stack([getattr(s, k) for s in part]) for k in ("image", "keypoints"))
        joints = torch.zeros(keypoints.shape[:2], dtype=torch.bool)
        joints[:, JOINT] = torch.tensor([not case.reasons[i] for i in chosen[start : start + BATCH]])
        parts.append(_maps(case, METHODS[method], images, keypoints, joints, [s.sample_id for s in part]))
    return _joined(parts)


def _maps(
    case: Case, settings: dict[str, Any], images: Tensor, keypoints: Tensor, joints: Tensor, ids: Sequence[str]
) -> Attribution:
    if settings.get("method") != "random":
        return attribute(case.adapter, images, keypoints, joints=joints, **settings)
    seeds = [zlib.crc32(name.encode()) for name in ids]  # noise by figure, whatever stands beside it
    parts = zip(images.split(1), keypoints.split(1), joints.split(1), seeds, strict=True)
    return _joined([attribute(case.adapter, x, y, joints=j, seed=seed, **settings) for x, y, j, seed in parts])


def _joined(parts: Sequence[Attribution]) -> Attribution:
    names = ("maps", "residual", "residual_rel", "map_error", "converged", "evaluations", "target_start", "target_end")
    return Attribution(
        **{name: torch.cat([getattr(a, name) for a in parts]) for name in names},
        reasons=tuple(r for a in parts for r in a.reasons),
    )


def score(case: Case, method: str) -> list[dict[str, Any]]:
    """A row a figure, NaN with a reason where there is no score."""
    started = time.perf_counter()
    attribution = maps_of(case, method)
    seconds = (time.perf_counter() - started) / max(1, sum(not r for r in case.reasons))
    maps, evidence = attribution.maps[:, JOINT], torch.from_numpy(np.stack(case.evidence))
    scores = {"auroc": auroc(maps, evidence), "mass": mass_share(maps, evidence), "peak": peak_share(maps, evidence)}
    area, rows = area_share(evidence), []
    for i, sample in enumerate(case.samples):
        rows.append(
            {
                "figure": sample.sample_id,
                "reason": case.reasons[i] or attribution.reasons[i][JOINT],
                **{name: scores[name][i].item() for name in SCORES},
                "area": area[i].item(),
                "map_error": attribution.map_error[i, JOINT].item(),
                "gradients": int(attribution.evaluations[i, JOINT]),
                "seconds": seconds,
            }
        )
    return rows


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Estimate]:
    """Scores over the figures that have them, with intervals over figures; `area` is what chance gives mass and
    peak.
    """
    kept = [r for r in rows if not r["reason"]]
    estimates = {name: bootstrap_mean([r[name] for r in kept]) for name in ("auroc", "mass", "area")}
    return {**estimates, "peak": share([r["peak"] for r in kept], [1] * len(kept))}


def removal(case: Case) -> list[dict[str, Any]]:
    """A row a figure: the wrist's error with the evidence and without it, input px."""
    with torch.no_grad():
        error, without = case.errors(case.samples), case.errors(case.without)
    return [
        {"figure": s.sample_id, "reason": reason, "epe": a.item(), "epe_without": b.item()}
        for s, reason, a, b in zip(case.samples, case.reasons, error, without, strict=True)
    ]


def used(rows: list[dict[str, Any]]) -> dict[str, Estimate]:
    """Mean errors with and without the evidence, and the ratio of the two, with intervals over figures."""
    kept = [r for r in rows if not r["reason"]]
    pairs = np.array([(r["epe"], r["epe_without"]) for r in kept]).reshape(-1, 2)
    return {
        "epe": bootstrap_mean(pairs[:, 0]),
        "epe_without": bootstrap_mean(pairs[:, 1]),
        "ratio": bootstrap_of(lambda s: s[:, 1] / s[:, 0], pairs),
    }


def depends(rows: Sequence[dict[str, Any]]) -> set[str]:
    """The figures whose own error rises at least `USED` times without the evidence."""
    return {r["figure"] for r in rows if not r["reason"] and r["epe_without"] >= USED * r["epe"]}
