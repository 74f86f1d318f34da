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
from poseig_mm.attribution.methods import METHODS as BUILT_IN
from poseig_mm.functional.inference import bootstrap_of
from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import Estimate, bootstrap_mean
from poseig_mm.settings import Settings
from poseig_mm.types import Attribution

from .figures import BATCH, JOINT, Case

METHODS: dict[str, dict[str, Any]] = {
    "blur IG": {"path": "blur"},
    "blur IG, published settings": {"preset": "published"},
    "linear IG, black": {"path": "linear", "baseline": "black"},
    "linear IG, white": {"path": "linear", "baseline": "white"},
    "linear IG, mean": {"path": "linear", "baseline": "mean"},
    "gradient": {"method": "gradient"},
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
    adapter = case.adapter
    if settings.get("preset"):
        s = Settings.parse({"attribution": settings}).attribution
        kept, adapter.beta = adapter.beta, s.beta or adapter.beta
        try:
            return attribute(
                adapter, images, keypoints, joints=joints, path=s.path, path_settings=s.path_settings,
                quadrature=s.quadrature, nodes=s.nodes, compute=s.compute,
                likelihood_settings={"alpha": (s.alpha_per_heatmap_px or 0.3) / (adapter.stride or 4)},
            )  # fmt: skip
        finally:
            adapter.beta = kept
    if settings.get("path") == "blur":
        return attribute(adapter, images, keypoints, joints=joints)
    if settings.get("path") == "linear":
        black, white = adapter.pixel_range()
        ends = {"baseline": settings["baseline"], "black": black, "white": white}
        return attribute(adapter, images, keypoints, joints=joints, path="linear", path_settings=ends)
    with adapter.frozen():
        if settings["method"] == "gradient":
            return BUILT_IN["gradient"](adapter, images, keypoints, joints=joints)
        single = [  # noise by figure, whatever stands beside it
            BUILT_IN["random"](adapter, images[i : i + 1], keypoints[i : i + 1], joints=joints[i : i + 1],
                               seed=zlib.crc32(name.encode()))
            for i, name in enumerate(ids)
        ]  # fmt: skip
    return _joined(single)


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
