"""A store of made-up persons: crops of matplotlib's public-domain photograph, Gaussian maps with speckle around
joints.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import get_data_path
from PIL import Image

from poseig_mm.store import SampleRecord, Store, StoreWriter
from poseig_mm.types import Failure

PHOTO = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"  # 512 x 600
NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
GROUPS = (
    ("leaf",) * 5 + ("trunk",) * 2 + ("branch",) * 2 + ("leaf",) * 2 + ("trunk",) * 2 + ("branch",) * 2 + ("leaf",) * 2
)
SKELETON = [[15, 13], [13, 11], [16, 14], [14, 12], [11, 12], [5, 11], [6, 12], [5, 6], [5, 7], [6, 8], [7, 9], [8, 10]]
# where the joints are in the photograph; legs are out of it
PLACES = np.array(
    [[268, 215], [300, 178], [238, 180], [335, 190], [205, 195], [420, 345], [120, 350], [470, 470], [75, 480],
     [400, 575], [150, 580], [360, 590], [200, 592]] + [[math.nan] * 2] * 4
)  # fmt: skip
WIDTH, HEIGHT = 96, 128  # of the input: small, so that tests are fast

COLUMNS: dict[str, Any] = {"indices": ("di", "fi", "li"), "relations": ("ri",)}
RUN: dict[str, Any] = {
    "versions": {"python": "3.11.7", "poseig-mm": "0.1.0", "torch": "2.13.0"},
    "config": "configs/demo/grace_hopper.py",
    "config_hash": "0123456789abcdef",
    "checkpoint": "weights.pth",
    "weights_hash": "fedcba9876543210",
    "plugins": [
        {"name": "report", "distribution": "poseig-mm", "version": "0.1.0", "status": "loaded", "hooks": ["x"]}
    ],
    "seeds": {"attribution": 0, "samples": None},
    "settings": {
        "attribution": {
            "method": "path_ig", "path": "blur", "quadrature": "adaptive", "tol": 0.35, "max_nodes": 64, "nodes": None,
            "likelihood": "exp_l2", "reference": "truth", "contrast": None, "preset": None, "residual_threshold": 0.25,
        },
        "report": {"gallery": 12},
    },
    "device": "cpu",
    "model": {
        "estimator": "TopdownPoseEstimator", "backbone": "MobileNetV2", "head": "HeatmapHead", "adapter": "heatmap",
        "input_size": [WIDTH, HEIGHT], "unit": "px", "beta": 20.0, "parameters": 2_300_000, "random_weights": False,
    },
    "dataset": {"name": "synthetic", "persons": 6},
    "keypoints": {
        "names": NAMES, "groups": GROUPS, "parents": [-1] * 17, "skeleton": SKELETON, "derived": False,
        "flip_pairs": [],
    },
    "agreement": {
        "beta": 20.0, "n": 78, "share_within": 0.974, "mean_distance": 1.4, "threshold": 4.0, "unit": "px",
        "left_out": 0,
    },
    "notes": ["bbox_file was replaced by the annotated boxes"],
    "indices": [
        {"name": "di", "title": "Diffusion", "unit": "%", "kind": "joint"},
        {"name": "fi", "title": "Foreground", "unit": "1", "kind": "joint"},
        {"name": "li", "title": "Locality", "unit": "1", "kind": "joint"},
        {"name": "ri", "title": "Relation", "unit": "1", "kind": "relation"},
    ],
    "timings": {"attribution": 12.5, "total": 15.0},
    "peak_memory": {"cpu": 2**30},
}  # fmt: skip


def record(i: int, *, mask: bool = True, scale: int = 1, name: str | None = None) -> SampleRecord:
    """Person i: a crop of the photograph, six of them with different shifts and errors."""
    rng = np.random.default_rng(i)
    height, width = HEIGHT * scale, WIDTH * scale
    zoom = (4.0 + 0.25 * i) / scale
    warp = np.array([[zoom, 0, 256 - zoom * width / 2 + 20 * (i % 3 - 1)], [0, zoom, 310 - zoom * height / 2]])
    with Image.open(PHOTO) as photo:
        display = photo.convert("RGB").transform(
            (width, height), Image.Transform.AFFINE, data=warp.ravel().tolist(), resample=Image.Resampling.BILINEAR
        )
    truth = (PLACES - warp[:, 2]) / zoom
    inside = np.isfinite(truth).all(1) & (truth >= 0).all(1) & (truth[:, 0] < width) & (truth[:, 1] < height)
    prediction = np.where(np.isfinite(truth), truth, 0) + rng.normal(0, 0.8 * scale * (1 + i), (17, 2))
    maps = np.full((17, height, width), np.nan, np.float32)
    ys, xs = np.mgrid[:height, :width]
    sample_id = name or f"{1000 + i}-{i}"
    identity = {"sample_id": sample_id, "image_id": str(1000 + i), "instance_id": str(i)}
    joints, relations = [], []
    for k in range(17):
        error, numbers = math.nan, dict.fromkeys(("di", "fi", "li"), math.nan)
        if inside[k]:
            spread = scale * (5 + 2 * i)
            blob = np.exp(-((xs - truth[k, 0]) ** 2 + (ys - truth[k, 1]) ** 2) / (2 * spread**2))
            values = blob * rng.gamma(0.35, 1.0, blob.shape)
            maps[k] = values / values.max()
            error = float(np.linalg.norm(prediction[k] - truth[k]))
            numbers = {"di": 15 + 3 * i + rng.normal(), "fi": 1.5 + 0.2 * rng.normal(), "li": 6 + rng.normal()}
            numbers["fi"] = numbers["fi"] if mask else math.nan
            for m in range(17):
                if inside[m]:
                    distance = float(np.linalg.norm(truth[k] - truth[m])) / (20 * scale)
                    relations.append(
                        {"sample_id": sample_id, "joint": k, "joint_name": NAMES[k], "other": m, "other_name": NAMES[m],
                         "ri": float(8 * np.exp(-(distance**2)) + 0.05)}
                    )  # fmt: skip
        joints.append(
            identity | numbers | {
                "joint": k, "joint_name": NAMES[k], "group": GROUPS[k], "visible": bool(inside[k]),
                "gt_x": truth[k, 0] if inside[k] else math.nan, "gt_y": truth[k, 1] if inside[k] else math.nan,
                "pred_x": prediction[k, 0], "pred_y": prediction[k, 1], "epe": error, "epe_soft": error, "unit": "px",
                "reason": ("" if mask else "no_mask") if inside[k] else "not_visible",
                "target_start": 0.1, "target_end": 0.8,
                "residual": 0.02 if inside[k] else math.nan,
                "residual_rel": float(rng.gamma(1.5, 0.03)) if inside[k] else math.nan,
                "map_error": float(rng.uniform(0.1, 0.4)) if inside[k] else math.nan,
                "converged": bool(inside[k]), "evaluations": 32, "mass_in_padding": 0.0, "fi_input": math.nan,
            }
        )  # fmt: skip
    errors = [j["epe"] for j in joints if math.isfinite(j["epe"])]
    sample = identity | {
        "image_path": str(PHOTO), "n_visible": int(inside.sum()),
        "mepe": float(np.mean(errors)) if errors else math.nan,
        "mask_source": "instance" if mask else "none", "seconds": 1.5, "evaluations": 400,
        "height": height, "width": width, "padding": 0.0, "box_side": math.nan,
    }  # fmt: skip
    sample |= {f"warp_{a}{b}": float(warp[a, b]) for a in range(2) for b in range(3)}
    return SampleRecord(sample_id, sample, joints, relations, maps, np.asarray(display))


def make_store(
    path: Path, records: list[SampleRecord], *, maps: str = "all", failures: tuple[Failure, ...] = (), **run: Any
) -> Store:
    """A finished store of `records`; `run` takes the place of entries of run.json."""
    with StoreWriter(path, identity={"model": "abc"}, maps=maps, **COLUMNS) as writer:
        writer.update_run(**{**RUN, **run})
        writer.write(records)
        for failure in failures:
            writer.record_failure(failure)
    return Store(path)
