"""Made-up persons whose errors are known, as a store; and a model of two patches whose map is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from synthetic_store import COLUMNS

from poseig_mm.functional import path_attribution
from poseig_mm.functional.maps import person_of
from poseig_mm.store import SampleRecord, Store, StoreWriter
from poseig_mm.types import Attribution, Finding, JointGroups, Sample

COCO = JointGroups(
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ),
    ("leaf",) * 5 + ("trunk",) * 2 + ("branch",) * 2 + ("leaf",) * 2 + ("trunk",) * 2 + ("branch",) * 2 + ("leaf",) * 2,
    (-1, 0, 0, 1, 2, -1, -1, 5, 6, 7, 8, -1, -1, 11, 12, 13, 14),
    tuple((i, i + 1) for i in range(1, 16, 2)),
    ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)),
)  # fmt: skip
PLACES = np.array([[20.0 + 40 * (k % 4), 20.0 + 40 * (k // 4)] for k in range(17)])  # 40 px from one another


def record(
    name: str,
    truth: np.ndarray[Any, Any],
    prediction: np.ndarray[Any, Any],
    *,
    visible: Sequence[bool] | None = None,
    image: str | None = None,
    ri: Mapping[tuple[int, int], float] | None = None,
    warp: Sequence[Sequence[float]] = ((1, 0, 0), (0, 1, 0)),
    groups: JointGroups = COCO,
    unit: str = "px",
) -> SampleRecord:
    """One person; RI is 1 wherever `ri` does not say otherwise."""
    shown = np.ones(len(truth), bool) if visible is None else np.array(visible)
    identity = {"sample_id": name, "image_id": image or name, "instance_id": name}
    joints, relations = [], []
    for k, joint in enumerate(groups.keypoint_names):
        error = float(np.linalg.norm(prediction[k] - truth[k])) if shown[k] else math.nan
        numbers = dict.fromkeys(("residual", "residual_rel", "target_start", "target_end"), 0.1)
        joints.append(
            {
                **identity, **numbers, "joint": k, "joint_name": joint, "group": groups.group_of[k],
                "visible": bool(shown[k]),
                "gt_x": float(truth[k, 0]) if shown[k] else math.nan,
                "gt_y": float(truth[k, 1]) if shown[k] else math.nan,
                "pred_x": float(prediction[k, 0]), "pred_y": float(prediction[k, 1]), "epe": error, "epe_soft": error,
                "unit": unit, "di": 20.0 + k, "fi": 1.5, "li": 5.0, "reason": "", "map_error": 0.2, "converged": True,
                "evaluations": 16, "mass_in_padding": 0.0, "fi_input": 1.5,
            }
        )  # fmt: skip
        for m, other in enumerate(groups.keypoint_names):
            value = (ri or {}).get((k, m), 1.0) if shown[k] and shown[m] else math.nan
            relations.append(
                {"sample_id": name, "joint": k, "joint_name": joint, "other": m, "other_name": other, "ri": value}
            )
    sample = identity | {
        "image_path": "", "n_visible": int(shown.sum()), "mepe": 1.0, "mask_source": "none", "seconds": 1.0,
        "evaluations": 16, "height": 256, "width": 192, "padding": 0.0, "box_side": math.nan,
        **{f"warp_{r}{c}": float(warp[r][c]) for r in range(2) for c in range(3)},
    }  # fmt: skip
    return SampleRecord(name, sample, joints, relations)


def store_of(
    path: Path, records: Sequence[SampleRecord], study: str = "", rows: Sequence[Mapping[str, Any]] = (), **run: Any
) -> Store:
    """A finished run of these persons, with the rows of one study."""
    groups: JointGroups = run.pop("groups", COCO)
    about = {
        "names": groups.keypoint_names, "groups": groups.group_of, "parents": groups.parent_of, "derived": False,
        "skeleton": groups.skeleton, "flip_pairs": groups.flip_pairs, "sigmas": groups.sigmas,
    }  # fmt: skip
    with StoreWriter(path, identity={"model": "made up"}, maps="none", **COLUMNS) as writer:
        writer.update_run(keypoints=about, **run)
        if rows:
            writer.write_study(study, rows)
        writer.write(records)
    return Store(path)


# ---- a model of two patches ------------------------------------------------------------------------------------------

HERE, THERE = (8.0, 16.0), (38.0, 16.0)  # truth of joints 0 and 1, (x, y) px of a 48 x 32 image
TWO = JointGroups(("left_wrist", "right_wrist"), ("leaf", "leaf"), (-1, -1), ((0, 1),), ())


def two_patches(image: torch.Tensor) -> torch.Tensor:
    """(B, 1, 32, 48) -> (B, 2, 2): the patch at THERE draws joint 0 along x by 30 px, the one at HERE holds it by 10
    px.
    """
    near, far = image[:, 0, 14:19, 6:11].mean((1, 2)), image[:, 0, 14:19, 36:41].mean((1, 2))
    x = HERE[0] + 30 * far - 10 * near
    y = torch.full_like(x, HERE[1])
    still = torch.tensor(THERE).to(x).expand(len(x), 2)
    return torch.stack([torch.stack([x, y], 1), still + 0 * x[:, None]], 1)


def patches_finding(name: str = "1-1", *, far: float = 1.0, near: float = 0.2) -> Finding:
    """A person whose joint 0 is predicted at 8 + 30 far - 10 near."""
    image = torch.zeros(1, 32, 48, dtype=torch.float64)
    image[:, 14:19, 6:11], image[:, 14:19, 36:41] = near, far
    sample = Sample(
        sample_id=name, image_id=name, instance_id="1", image_path="", image=image,
        display=np.full((32, 48, 3), 90, np.uint8), keypoints=torch.tensor([HERE, THERE]),
        visible=torch.ones(2, dtype=torch.bool),
        mask=None, mask_source="none", inverse_warp=np.eye(2, 3), pixels=torch.tensor([HERE, THERE]),
    )  # fmt: skip
    own = path_attribution(two_patches, image[None], sample.keypoints[None].double(), **PATH)
    ri = torch.tensor([[3.0, 2.5], [0.5, 4.0]])
    return Finding(sample, person_of(own, 0), two_patches(image[None])[0], sample.keypoints, {"ri": ri}, ("", ""), 1.0)


PATH: dict[str, Any] = {
    "path": "linear", "path_settings": {"baseline": "black", "black": 0.0, "white": 1.0}, "quadrature": "midpoint",
    "nodes": 8,
}  # fmt: skip


class PatchesContext:
    """The parts of a `StudyContext` that the study of inversions asks for, over `two_patches`."""

    unit, seed, groups = "px", 0, TWO

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[dict[str, Any]]()

    def attribute(
        self, sample: Sample, *, reference: str, contrast: str, joints: list[str], signed: bool
    ) -> Attribution:
        self.asked.append({"reference": reference, "contrast": contrast, "joints": joints, "signed": signed})
        truth = sample.keypoints[None].double()
        names = TWO.keypoint_names
        there = truth[:, [names.index(reference)]].expand_as(truth)
        wanted = torch.tensor([[name in joints for name in names]])
        made = path_attribution(
            two_patches, sample.image[None], there, contrast=truth, joints=wanted, signed=signed, **PATH
        )
        return person_of(made, 0)

    def save_picture(self, study: str, stem: str, image: Image) -> Path:
        (self.folder / study).mkdir(parents=True, exist_ok=True)
        path = self.folder / study / f"{stem}.jpg"
        image.save(path)
        return path
