"""Whole runs over persons in whole images: a model that is right by construction, and every family with random
weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from instance_models import instance_config, instance_model
from mmengine.config import Config

from poseig_mm import Plugins, Session
from poseig_mm.errors import ConfigError
from poseig_mm.functional.indices import diffusion_index, foreground_index
from poseig_mm.store import Store

pytestmark = pytest.mark.usefixtures("mmpose_ready")
WIDTH, HEIGHT, SCALE = 160, 120, 0.8  # of the image, px; the input is 128 x 96
PERSONS = {1: (40.0, 50.0), 2: (120.0, 66.0), 3: (84.0, 20.0)}  # centre of each, image px; nobody is drawn at the third
BACKBONE = """
from mmpose.registry import MODELS
import torch.nn.functional as F
from torch import nn

@MODELS.register_module(force=True)
class Pooled(nn.Module):
    def forward(self, x):
        return (F.avg_pool2d(x, 4),)
"""


def joints_of(number: int) -> dict[int, tuple[float, float]]:
    """Nose above, left eye below the person's centre, image px."""
    x, y = PERSONS[number]
    return {0: (x, y - 14), 1: (x + 6, y + 14)}


def annotation(number: int, joints: dict[int, tuple[float, float]], box: tuple[float, ...]) -> dict[str, Any]:
    x, y, w, h = box
    keypoints = [v for k in range(17) for v in ((*joints[k], 2) if k in joints else (0, 0, 0))]
    return {
        **{"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": list(box), "area": w * h},
        **{"keypoints": keypoints, "num_keypoints": len(joints)},
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    }


def write(folder: Path, image: Any, annotations: list[dict[str, Any]]) -> None:
    cv2.imwrite(str(folder / "1.png"), image)
    listed = [{"id": 1, "file_name": "1.png", "width": image.shape[1], "height": image.shape[0]}]
    about = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "persons.json").write_text(json.dumps(about))


def config_of(folder: Path, model: dict[str, Any], size: tuple[int, int], **attribution: Any) -> Config:
    pipeline = [
        {"type": "LoadImage"},
        {"type": "BottomupResize", "input_size": size},
        {"type": "PackPoseInputs"},
    ]
    dataset = {
        **{"type": "CocoDataset", "data_root": f"{folder}/", "data_mode": "bottomup", "ann_file": "persons.json"},
        **{"data_prefix": {"img": ""}, "test_mode": True, "pipeline": pipeline},
    }
    diagnosis = {
        "attribution": {"quadrature": "midpoint", "nodes": 4, "path": "linear", **attribution},
        "indices": ["di", "fi", "li", "ri"],
        "report": {"enabled": False},
    }
    return Config(
        {"default_scope": "mmpose", "model": model, "test_dataloader": {"dataset": dataset}, "diagnosis": diagnosis}
    )


def drawn(folder: Path, **attribution: Any) -> Config:
    """Two drawn persons and one who is annotated only; heatmaps and tags of the model are the image's own colours."""
    (folder / "pooled_pixels.py").write_text(BACKBONE)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    image = np.zeros((HEIGHT, WIDTH, 3))  # BGR: the model sees nose, left eye and tag in this order
    for number in (1, 2):
        for channel, (u, v) in joints_of(number).items():
            blob = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 7**2))
            image[..., channel] = np.maximum(image[..., channel], blob)
    image[:, WIDTH // 2 :, 2] = 255
    boxes = {n: (x - 24, y - 30, 48.0, 60.0) for n, (x, y) in PERSONS.items() if n != 3}
    boxes[3] = (72.0, 4.0, 24.0, 30.0)
    write(folder, image.round().astype(np.uint8), [annotation(n, joints_of(n), boxes[n]) for n in PERSONS])
    codec = {"type": "AssociativeEmbedding", "input_size": (128, 96), "heatmap_size": (32, 24), "sigma": 2,
             "decode_keypoint_order": [0, 1], "decode_tag_thr": 0.4, "decode_keypoint_thr": 0.3}  # fmt: skip
    model = {
        "type": "BottomupPoseEstimator",
        "data_preprocessor": {"type": "PoseDataPreprocessor", "mean": [0, 0, 0], "std": [255, 255, 255]},
        "backbone": {"type": "Pooled"},
        "head": {"type": "AssociativeEmbeddingHead", "in_channels": 3, "num_keypoints": 2, "tag_per_keypoint": False,
                 "deconv_out_channels": None, "deconv_kernel_sizes": None, "final_layer": None, "decoder": codec},
    }  # fmt: skip
    config = config_of(folder, model, (128, 96), **attribution)
    config.test_dataloader.dataset.metainfo = {
        "dataset_name": "two_joints",
        "keypoint_info": {k: {"name": n, "id": k, "color": [0, 0, 0], "type": "upper", "swap": ""}
                          for k, n in enumerate(("nose", "left_eye"))},
        "skeleton_info": {}, "joint_weights": [1.0, 1.0], "sigmas": [0.05, 0.05],
    }  # fmt: skip
    for a in (annotations := json.loads((folder / "persons.json").read_text()))["annotations"]:
        a["keypoints"] = a["keypoints"][:6]
    (folder / "persons.json").write_text(json.dumps(annotations))
    config.custom_imports = {"imports": ["pooled_pixels"], "allow_failed_imports": False}
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run over the drawn persons."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        config = drawn(folder)
        config.diagnosis.studies = [{"type": "perturbation", "n_random": 1, "masks": ["mean"]}]
        return Session(config, work_dir=folder / "work", device="cpu", plugins=Plugins(entry_points=False)).run()


def rows(store: Store, sample: str) -> Any:
    return store.joints().filter(store.joints()["sample_id"] == sample).sort("joint")


def test_each_person_is_found_and_decoded(run: Store) -> None:
    """Both drawn persons, to a heatmap px; the model's own decoding and the differentiable one agree."""
    for sample in ("1-1", "1-2"):
        found = rows(run, sample)
        assert found["visible"].to_list() == [True, True]
        assert max(found["epe"].to_list()) < 4
        assert max(found["epe_soft"].to_list()) < 4
        assert set(found["reason"].to_list()) == {""}
    assert run.run["agreement"]["good"]
    assert run.run["agreement"]["n"] == 4


def test_a_picture_without_annotations(run: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The surest person is found without a box: one of the two, where it is with annotations, its maps the same."""
    monkeypatch.syspath_prepend(str(tmp_path))
    config = drawn(tmp_path)
    config.diagnosis.samples = {"images": str(tmp_path / "1.png")}
    store = Session(config, work_dir=tmp_path / "work", device="cpu", plugins=Plugins(entry_points=False)).run()
    assert store.sample_ids == ("1.png-1",)
    own = rows(store, "1.png-1")
    assert set(own["reason"].to_list()) == {"no_mask;no_annotation"}
    places = [rows(run, sample).select("pred_x", "pred_y").to_numpy() for sample in ("1-1", "1-2")]
    assert min(np.abs(own.select("pred_x", "pred_y").to_numpy() - there).max() for there in places) < 1e-3
    assert np.isfinite(own["li"].to_numpy()).all()
    assert own["epe"].is_nan().all()
    assert any("the surest one is explained" in note for note in store.run["notes"])


def test_a_person_without_a_match_is_a_reasoned_nan(run: Store) -> None:
    """'no_match', in every number of its joints; the run goes on, and nothing failed."""
    found = rows(run, "1-3")
    assert set(found["reason"].to_list()) == {"no_match"}
    for column in ("pred_x", "epe", "epe_soft", "di", "fi", "li", "map_error", "target_end"):
        assert all(np.isnan(v) for v in found[column].to_list()), column
    assert found["evaluations"].to_list() == [0, 0]
    assert run.run["failures"] == []


def test_studies_ask_the_same_person(run: Store) -> None:
    """What they predict is read off the cells of the clean image; the person without a match has no number, and a
    reason.
    """
    found = run.study("perturbation")
    drawn_ones, missing = (found.filter((found["sample_id"] == "1-3") == nobody) for nobody in (False, True))
    assert len(drawn_ones) == 4
    assert drawn_ones["error"].max() < 4
    assert np.isfinite(drawn_ones["error_attr"].to_numpy()).all()
    assert set(missing["reason"].to_list()) == {"no_match"}


def test_a_map_reacts_to_its_own_person(run: Store) -> None:
    """Each joint's map is zero on the other person's box, and has its maximum on the own one."""
    boxes = {n: [SCALE * v for v in (x - 24, y - 30, x + 24, y + 30)] for n, (x, y) in PERSONS.items()}
    for sample, own, other in (("1-1", 1, 2), ("1-2", 2, 1)):
        for there in run.map(sample):
            x0, y0, x1, y1 = (int(v) for v in boxes[other])
            assert there[y0:y1, x0:x1].max() == 0
            y, x = divmod(int(there.argmax()), there.shape[1])
            x0, y0, x1, y1 = boxes[own]
            assert x0 < x < x1
            assert y0 < y < y1


def test_indices_are_read_off_the_person_s_region(run: Store) -> None:
    """The box, 1.25 times as large, cut out of map and mask: DI and FI of that part; run.json and a note say so."""
    assert run.run["frame"] == "instance"
    assert any("1.25 times as large" in note for note in run.run["notes"])
    maps = torch.as_tensor(run.map("1-1"))[None]
    (x, y), half = (SCALE * v for v in PERSONS[1]), (SCALE * 24 * 1.25, SCALE * 30 * 1.25)
    rows_, columns = (
        slice(max(0, int(np.ceil(c - h))), int(np.floor(c + h)) + 1) for c, h in ((y, half[1]), (x, half[0]))
    )
    part = maps[..., rows_, columns]
    assert part.shape[-2:] != maps.shape[-2:]
    found = rows(run, "1-1")
    assert found["di"].to_list() == pytest.approx(diffusion_index(part)[0].tolist(), rel=0.01)
    assert found["di"].to_list() != pytest.approx(diffusion_index(maps)[0].tolist(), rel=0.1)
    mask = torch.zeros(1, 1, *maps.shape[-2:])
    box = [SCALE * v for v in (PERSONS[1][0] - 24, PERSONS[1][1] - 30, PERSONS[1][0] + 24, PERSONS[1][1] + 30)]
    mask[..., round(box[1]) : round(box[3]), round(box[0]) : round(box[2])] = 1
    assert found["fi"].to_list() == pytest.approx(
        foreground_index(part, mask[..., rows_, columns])[0].tolist(), rel=0.03
    )


def test_the_whole_image_can_be_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """frame='input': DI of the whole map, and run.json says so."""
    monkeypatch.syspath_prepend(str(tmp_path))
    config = drawn(tmp_path, frame="input")
    config.diagnosis.samples = {"ids": ["1-1"]}
    store = Session(config, work_dir=tmp_path / "work", device="cpu", plugins=Plugins(entry_points=False)).run()
    maps = torch.as_tensor(store.map("1-1"))[None]
    assert store.run["frame"] == "input"
    assert rows(store, "1-1")["di"].to_list() == pytest.approx(diffusion_index(maps)[0].tolist(), rel=0.01)


def test_more_than_one_person_at_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch size is an error before the first sample, not ignored."""
    monkeypatch.syspath_prepend(str(tmp_path))
    config = drawn(tmp_path)
    config.diagnosis.samples = {"batch_size": 2}
    with pytest.raises(
        ConfigError, match=r"batch_size is 2, but adapter 'associative_embedding' finds several persons"
    ):
        Session(config, work_dir=tmp_path / "work", device="cpu", plugins=Plugins(entry_points=False)).run()


@pytest.mark.parametrize("family", ["dekr", "cid", "yolox_pose", "rtmo"])
def test_every_family_goes_through_a_run(tmp_path: Path, family: str) -> None:
    """Random weights; the persons are annotated where the model puts them, so that each is found and has maps."""
    model, config = instance_model(family, joints=17), instance_config(family, joints=17).model.to_dict()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "weights.pth")
    noise = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    image = cv2.resize(noise, (96, 64))  # the size of the input: keypoints stay as they are
    write(tmp_path, image, [annotation(1, {0: (5.0, 5.0)}, (0, 0, 90, 60))])
    settings = config_of(tmp_path, config, (96, 64))
    from poseig_mm import load_adapter
    from poseig_mm.data.samples import SampleSource

    adapter: Any = load_adapter(settings, tmp_path / "weights.pth")
    first = SampleSource(settings, preprocess=adapter.model.data_preprocessor).load(0).image[None]
    with adapter.frozen(), torch.no_grad():
        people = adapter.instances(adapter.model.extract_feat(first), (96, 64)).keypoints.float()
    inside = ((people > 0) & (people < torch.tensor([95.0, 63.0]))).all(-1)  # (N, K)
    chosen = inside.sum(1).argsort(descending=True, stable=True)[:2].tolist()
    assert inside[chosen].any(1).all()
    found = []
    for number, n in enumerate(chosen, 1):
        shown = {k: (float(people[n, k, 0]), float(people[n, k, 1])) for k in range(17) if bool(inside[n, k])}
        found.append(annotation(number, shown, (10, 10, 60, 40)))
    write(tmp_path, image, found)
    store = Session(
        settings, tmp_path / "weights.pth", work_dir=tmp_path / "w", device="cpu", plugins=Plugins(entry_points=False)
    ).run()
    joints = store.joints()
    seen = joints.filter(joints["visible"])
    assert len(seen)
    assert set(joints["sample_id"].to_list()) == {"1-1", "1-2"}
    assert "no_match" not in set(seen["reason"].to_list())
    assert np.isfinite(seen["di"].to_numpy()).mean() > 0.5
    assert np.nanmax(seen["epe"].to_numpy()) < (0.01 if family != "cid" else 1e9)
    assert store.run["acceleration"]["folded_batch_norm"]
    assert store.run["failures"] == []
