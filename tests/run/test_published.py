"""preset='published' end to end: a run's numbers against a plain re-implementation of the published procedure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SHARED, needs_shared
from mmengine.config import Config
from tiny import FAST, run, session, write_run
from torch import Tensor

from benchmarks.published_procedure import (
    published_indices,
    published_maps,
    published_relation,
    quantised_target,
    soft_argmax,
)
from poseig_mm import Plugins, Session
from poseig_mm.settings import Settings
from poseig_mm.store import Store
from poseig_mm.types import Table

PUBLISHED = {"preset": "published", "dtype": "float64"}
EXACT = 1e-3  # relative


def model_of(config: Path, weights: Path) -> Any:
    """The network alone, float64, in evaluation mode."""
    from poseig_mm.adapters.build_model import build_model

    return build_model(str(config), str(weights)).double().eval().requires_grad_(False)


def network_input(config: Config, model: Any, sample_id: str) -> tuple[Tensor, str]:
    """(C, H, W) normalised and the annotation file, by MMPose's own data set and preprocessor."""
    from mmpose.registry import DATASETS

    dataset = DATASETS.build(config.test_dataloader.dataset)
    index = next(
        i
        for i in range(len(dataset))
        if f"{dataset.get_data_info(i)['img_id']}-{dataset.get_data_info(i)['id']}" == sample_id
    )
    packed = dataset[index]
    data = {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}
    return model.data_preprocessor(data, False)["inputs"][0].double(), dataset.ann_file


def union_mask(annotations: str, row: dict[str, Any]) -> np.ndarray:
    """All persons' segmentations of the image, in the input's frame."""
    import cv2
    from pycocotools.coco import COCO

    coco = COCO(annotations)
    masks = [coco.annToMask(a) for a in coco.imgToAnns[int(row["image_id"])]]
    inverse = np.array([[row[f"warp_{i}{j}"] for j in range(3)] for i in range(2)])
    size = (row["width"], row["height"])
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    warped: np.ndarray = cv2.warpAffine(np.maximum.reduce(masks), inverse, size, flags=flags) > 0
    return warped


def check(store: Store, config: Config, model: Any) -> None:
    """DI, FI, LI, EPE and RI of a run's only person."""
    (sample,) = store.samples().rows(named=True)
    joints = store.joints().filter(visible=True).sort("joint")
    image, annotations = network_input(config, model, sample["sample_id"])

    def heatmaps_of(images: Tensor) -> Tensor:
        heatmaps: Tensor = model.head.forward(model.extract_feat(images))
        return heatmaps

    truth = torch.full((17, 2), torch.nan, dtype=torch.float64)
    truth[joints["joint"].to_list()] = torch.tensor(joints.select("gt_x", "gt_y").rows(), dtype=torch.float64)
    with torch.no_grad():
        heatmaps = heatmaps_of(image[None])[0]
    target = quantised_target(truth, (heatmaps.shape[1], heatmaps.shape[2]))
    points = soft_argmax(target)
    points[truth.isnan().any(1)] = torch.nan
    explained = joints.filter(joints["di"].is_finite())
    asked = explained["joint"].to_list()
    maps = published_maps(heatmaps_of, image, torch.stack([
        points[k] if k in asked else torch.full((2,), torch.nan, dtype=torch.float64) for k in range(17)
    ])).numpy()  # fmt: skip
    mask = union_mask(annotations, sample)
    epe = 4 * (soft_argmax(heatmaps) - points).norm(dim=1)
    for row in explained.rows(named=True):
        expected = published_indices(maps[row["joint"]], mask, target[row["joint"]].numpy())
        assert [row["di"], row["fi"], row["li"]] == pytest.approx(expected, rel=EXACT), row["joint_name"]
    for row in joints.rows(named=True):
        assert row["epe"] == pytest.approx(epe[row["joint"]].item(), rel=EXACT)
    relations = store.relations().filter(store.relations()["ri"].is_finite())
    assert len(relations) == len(asked) * len(joints)
    for row in relations.rows(named=True):
        assert row["ri"] == pytest.approx(
            published_relation(maps[row["joint"]], target[row["other"]].numpy()), rel=EXACT, abs=1e-9
        )


def check_section(store: Store) -> None:
    """The page's table of what the published procedure does, by hand from the tables."""
    from poseig_mm.studies.published_procedure.study import PublishedProcedure

    section = PublishedProcedure().section(store)
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    lines = {(choice[:14], number): (run, instead, n) for choice, number, run, instead, n in table.rows}
    rows = store.joints().filter(visible=True)
    assert lines["joints that ar", "DI"] == pytest.approx((rows["di"].sum() / 17, rows["di"].mean(), 4))
    distance = ((rows["pred_x"] - rows["gt_x"]) ** 2 + (rows["pred_y"] - rows["gt_y"]) ** 2) ** 0.5
    assert lines["the truth is m", "EPE"] == pytest.approx((rows["epe"].mean(), distance.mean(), 4), rel=1e-5)
    union, own, _ = lines["FI counts all ", "FI"]
    assert union == pytest.approx(rows["fi"].mean(), rel=1e-5)
    assert abs(union - own) > 0.01
    share = 1 - store.samples()["padding"][0]
    _, over_image, _ = lines["padding counts", "FI"]
    assert over_image == pytest.approx((rows["fi"] * share / (1 - rows["mass_in_padding"])).mean(), rel=1e-4)


def test_a_run_gives_the_published_numbers(tmp_path: Path, mmpose_ready: None) -> None:
    """A person beside another one in a padded crop, all numbers within 0.1 %."""
    made = write_run(tmp_path / "data")
    diagnosis = {"attribution": PUBLISHED, "samples": {"ids": ["1-1"]}, "report": {"enabled": False}}
    own = session(made, tmp_path / "work")
    store = Session(
        own.config, made.weights, settings=Settings.parse({**diagnosis, "indices": ["di", "fi", "li", "ri"]}),
        work_dir=tmp_path / "work", device="cpu", plugins=Plugins(entry_points=False),
    ).run()  # fmt: skip
    assert store.samples()["mask_source"].to_list() == ["union"]
    assert store.samples()["padding"][0] > 0.01
    check(store, Config.fromfile(str(made.config)), model_of(made.config, made.weights))
    check_section(store)


@needs_shared
def test_a_trained_model_gives_the_published_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmpose_ready: None
) -> None:
    """The nose of a COCO person, and its relations to all other joints."""
    weights = SHARED / "weights"
    monkeypatch.syspath_prepend(str(weights))
    config = Config.fromfile(str(weights / "simplepose_coco_256x192.py"))
    config.test_dataloader.dataset.data_root = f"{SHARED}/data/coco/"
    checkpoint = weights / "simplepose_mobilenetv2_coco_256x192.pth"
    settings = Settings.parse({
        "attribution": {**PUBLISHED, "joints": ["nose"]}, "samples": {"limit": 1},
        "report": {"enabled": False}, "indices": ["di", "fi", "li", "ri"],
    })  # fmt: skip
    store = Session(
        config, checkpoint, settings=settings, work_dir=tmp_path, device="cpu", plugins=Plugins(entry_points=False)
    ).run()
    check(store, config, model_of(weights / "simplepose_coco_256x192.py", checkpoint))


def test_the_quantised_target_is_near_the_truth_and_explicit_settings_win(tmp_path: Path, mmpose_ready: None) -> None:
    """Under one option alone the truth stays where it is in the table; EPE is the distance from the moved point."""
    made = write_run(tmp_path / "data", {"samples": {"ids": ["1-1"]}})
    attribution = {**FAST, "beta": 10.0, "reference": "quantised_target"}
    plain = run(made, tmp_path / "a", {"attribution": attribution})
    moved = run(made, tmp_path / "b", {"attribution": {**attribution, "epe_to": "reference"}})
    for name in ("gt_x", "gt_y", "epe_soft", "di", "li"):
        assert plain.joints()[name].equals(moved.joints()[name], null_equal=True)
    a, b = (s.joints().filter(visible=True) for s in (plain, moved))
    assert ((a["epe_soft"] - b["epe"]).abs() > 0.1).all()
    assert moved.samples()["mepe"][0] == pytest.approx(b["epe"].mean())
    given = {"attribution": {"preset": "published", "epe_to": "truth", "reference": "truth"},
             "samples": {"mask": "instance"}}  # fmt: skip
    settings = Settings.parse(given)
    assert (settings.attribution.reference, settings.attribution.epe_to) == ("truth", "truth")
    assert settings.samples.mask == "instance"
