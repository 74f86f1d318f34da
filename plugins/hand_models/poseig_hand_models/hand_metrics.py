"""Errors of hands in space: mean distances by MMPose's own functions, AUC of the PCK, F-scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import DataError

prepare_environment()

from mmengine.evaluator import BaseMetric  # noqa: E402  (needs a prepared environment)
from mmpose.evaluation.functional import keypoint_mpjpe  # noqa: E402
from mmpose.evaluation.functional.mesh_eval import compute_similarity_transform  # noqa: E402
from mmpose.registry import METRICS  # noqa: E402

__all__ = ["HandPose3DMetric", "align", "f_score", "pck_auc"]

Array = NDArray[Any]
THRESHOLDS = (5.0, 15.0)  # mm, of the F-scores
ROUNDING = 1e-6  # mm: an error of 1e-14 is none at the threshold 0


def align(found: Array, truth: Array) -> Array:
    """Each of `found` (N, K, 3) turned, scaled and moved onto `truth`, least squares; no reflection (MMPose's
    function).
    """
    return np.stack([compute_similarity_transform(f, t) for f, t in zip(found, truth, strict=True)])


def pck_auc(errors: Array, limit: float = 50.0, steps: int = 100) -> float:
    """Area under the curve of 'share of distances up to t', t from 0 to `limit`, over the whole area.

    Trapezoids over `steps` equally spaced t, as FreiHAND's evaluation has it.

    Args:
        errors: distances, mm.
        limit: mm.
        steps: number of thresholds, both ends included.

    Returns:
        0 to 1; NaN without distances.

    >>> pck_auc(np.array([0.0])), pck_auc(np.array([25.0])), pck_auc(np.array([60.0]))
    (1.0, 0.5, 0.0)
    """
    given = np.ravel(errors)
    if not given.size:
        return float("nan")
    share = (given[:, None] <= np.linspace(0, limit, steps) + ROUNDING).mean(0)
    return float((share[1:] + share[:-1]).sum() / (2 * (steps - 1)))


def f_score(found: Array, truth: Array, threshold: float) -> float:
    """Harmonic mean of the share of `found` with a point of `truth` nearer than `threshold`, and the reverse.

    Which point is which does not count: the nearest one does.

    Args:
        found: (N, 3) mm.
        truth: (M, 3) mm.
        threshold: mm.

    >>> f_score(np.array([[0.0, 0, 0], [9, 0, 0]]), np.array([[0.0, 0, 4]]), 5.0)  # 1 of 2, and 1 of 1
    0.6666666666666666
    """
    from scipy.spatial import cKDTree

    near = [(cKDTree(b).query(a)[0] < threshold).mean() for a, b in ((found, truth), (truth, found))]
    return float(2 * near[0] * near[1] / sum(near)) if sum(near) else 0.0


@METRICS.register_module()
class HandPose3DMetric(BaseMetric):  # type: ignore[misc]  # mmengine is untyped
    """Distances in mm between predicted joints in space and `gt_instances.keypoints_3d`, 21 joints a hand.

    * `MPJPE`: in the camera's frame; only where predictions have `root_3d` (1, 3), mm,
    * `RR-MPJPE`: from each hand's own wrist,
    * `PA-MPJPE`: aligned by rotation, scale and shift, see `align` (FreiHAND's own evaluation allows a reflection as
    well),
    * `AUC`, `PA-AUC`: of the PCK from 0 to 50 mm, of the distances of RR-MPJPE and PA-MPJPE,
    * `RR-MPVPE`, `PA-MPVPE`: the same of vertices, where predictions and truth have `vertices_3d` (1, V, 3),
    * `F@5`, `F@15`, `PA-F@5`, `PA-F@15` (mm) with `_vertices` where there are any, as FreiHAND publishes them, else
      `_joints`, which is another number: joints are fewer and farther apart.

    A prediction is `pred_instances.keypoints_3d` (1, 21, 3), mm from the wrist, or `keypoints` of that shape.

    Raises:
        DataError: truth or prediction has no such joints, or a prediction is not a finite number; it names the image.
    """

    default_prefix = "hand"

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Take what is predicted and true out of each sample."""
        for sample in data_samples:
            name, truth, found = sample.get("img_id", "?"), sample["gt_instances"], sample["pred_instances"]
            key = "keypoints_3d" if "keypoints_3d" in found else "keypoints"
            result = {"truth": _points(truth, "keypoints_3d", name), "found": _points(found, key, name)}
            if result["found"].shape != result["truth"].shape:
                raise DataError(
                    f"image {name}: {key} of the prediction has shape {result['found'].shape}, the truth "
                    f"{result['truth'].shape}; expected the same, mm from the wrist"
                )
            if "root_3d" in found:
                roots = _array(found["root_3d"])[:, None] - _array(truth["root_3d"])[:, None]
                result["root_error"] = roots  # (1, 1, 3)
            if "vertices_3d" in found and "vertices_3d" in truth:
                for which, where in (("truth", truth), ("found", found)):
                    result[f"{which}_vertices"] = _points(where, "vertices_3d", name) - result[which][:, :1]
            self.results.append(result)

    def compute_metrics(self, results: list[dict[str, Array]]) -> dict[str, float]:
        """All of them; none where there are no samples."""
        if not results:
            return {}
        truth, found = (np.concatenate([r[which] for r in results]) for which in ("truth", "found"))
        metrics: dict[str, float] = {}
        if all("root_error" in r for r in results):
            metrics["MPJPE"] = _mean(found + np.concatenate([r["root_error"] for r in results]), truth)
        found, truth = found - found[:, :1], truth - truth[:, :1]
        metrics["RR-MPJPE"] = _mean(found, truth)
        metrics["PA-MPJPE"] = _mean(found, truth, "procrustes")
        metrics["AUC"] = pck_auc(np.linalg.norm(found - truth, axis=-1))
        metrics["PA-AUC"] = pck_auc(np.linalg.norm(align(found, truth) - truth, axis=-1))
        points = "joints"
        if all("truth_vertices" in r for r in results):
            points = "vertices"
            truth, found = (np.concatenate([r[f"{which}_vertices"] for r in results]) for which in ("truth", "found"))
            metrics["RR-MPVPE"], metrics["PA-MPVPE"] = _mean(found, truth), _mean(found, truth, "procrustes")
        for start, moved in (("", found), ("PA-", align(found, truth))):
            for threshold in THRESHOLDS:
                scores = [f_score(f, t, threshold) for f, t in zip(moved, truth, strict=True)]
                metrics[f"{start}F@{threshold:g}_{points}"] = float(np.mean(scores))
        return metrics


def _mean(found: Array, truth: Array, alignment: str = "none") -> float:
    return float(keypoint_mpjpe(found, truth, np.ones(truth.shape[:2], bool), alignment))


def _array(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float64)


def _points(instances: Mapping[str, Any], key: str, name: Any) -> Array:
    """(1, K, 3) mm."""
    if key not in instances:
        raise DataError(
            f"image {name} has no {key} in space; FreiHAND3DDataset and DexYCBDataset give the truth, and a model's "
            "pred_instances must have keypoints_3d (or keypoints) of shape (1, 21, 3), mm from the wrist"
        )
    points = _array(instances[key])
    if points.ndim != 3 or points.shape[-1] != 3:
        raise DataError(f"image {name}: {key} has shape {points.shape}; expected (1, K, 3), mm from the wrist")
    if not np.isfinite(points).all():
        raise DataError(f"image {name}: {key} holds what is not a finite number; no mean over it would say anything")
    return points
