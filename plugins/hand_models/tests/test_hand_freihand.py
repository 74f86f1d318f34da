"""FreiHAND v2 from a tiny copy of its layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hand_files import DOT, FREIHAND_K, TIP, blob, pixels, source, write_freihand
from mmengine.config import Config
from mmengine.registry import init_default_scope
from poseig_hand_models.freihand import FreiHAND3DDataset, annotation_of, image_of
from poseig_hand_models.hand_camera import project
from poseig_hand_models.hand_crops import GetHandBox

from poseig_mm.data.groups import joint_groups
from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError, DataError

CONFIG = Path(__file__).parents[3] / "configs/hand_models/_base_/freihand.py"


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    init_default_scope("mmpose")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("freihand")
    write_freihand(folder)
    return folder


def test_a_version_follows_the_other() -> None:
    """Picture 97,685 is annotation 5 in the fourth version: 5 + 3 x 32,560."""
    assert [image_of(5, v) for v in ("gs", "hom", "sample", "auto")] == [5, 32565, 65125, 97685]
    assert [annotation_of(i) for i in (0, 32559, 32560, 130239)] == [0, 32559, 0, 32559]


def test_training_has_all_versions_of_each_annotation(root: Path) -> None:
    """Numbers, joints and masks of 4 x 2 pictures; the file name is the number."""
    data = FreiHAND3DDataset(str(root))
    infos = [data.get_data_info(i) for i in range(len(data))]
    assert [i["img_id"] for i in infos] == list(range(8))
    assert [Path(i["img_path"]).name for i in infos] == [f"{i:08d}.jpg" for i in range(8)]
    for info in infos:
        assert np.array_equal(info["keypoints_3d"], infos[info["img_id"] % 2]["keypoints_3d"])
        assert info["segmentation"] == infos[info["img_id"] % 2]["segmentation"]
    assert infos[0]["segmentation"] != infos[1]["segmentation"]
    assert data.metainfo["dataset_name"] == "freihand3d"


def test_one_version_alone_keeps_its_numbers(root: Path) -> None:
    """`versions` chooses; the pictures are those of the version."""
    data = FreiHAND3DDataset(str(root), versions=["auto", "hom"])
    assert [data.get_data_info(i)["img_id"] for i in range(4)] == [6, 7, 2, 3]
    assert cv2.imread(data.get_data_info(0)["img_path"])[0, 0, 0] == pytest.approx(70, abs=2)


@pytest.mark.parametrize("split", ["training", "evaluation"])
def test_joints_are_millimetres_from_the_wrist_and_project_to_the_keypoints(tmp_path: Path, split: str) -> None:
    """keypoints_3d + root_3d is xyz x 1000; K carries it to `keypoints` within 0.001 px; the scale is in mm too."""
    truth = write_freihand(tmp_path)[split]
    data = FreiHAND3DDataset(str(tmp_path), split=split)
    for i, joints in enumerate(truth):
        info = data.get_data_info(i)
        assert info["keypoints_3d"].shape == (1, 21, 3)
        assert not info["keypoints_3d"][0, 0].any()
        assert info["keypoints_3d"][0] + info["root_3d"] == pytest.approx(joints * 1000, abs=1e-3)
        assert info["keypoints"][0] == pytest.approx(pixels(joints, FREIHAND_K), abs=1e-3)
        assert project(info["keypoints_3d"], info["camera"], info["root_3d"]) == pytest.approx(
            info["keypoints"], abs=1e-3
        )
        assert info["hand_scale"] == pytest.approx([25.0 + i])
        assert info["hand_side"] == "right"
        x0, y0, x1, y1 = info["bbox"][0]
        assert [x0, y0] == pytest.approx(info["keypoints"][0].min(0))
        assert [x1, y1] == pytest.approx(info["keypoints"][0].max(0))


def test_masks_are_the_hand(tmp_path: Path) -> None:
    """Within 1 % of the drawn pixels in training (JPEG), each pixel in evaluation, whose parts 1 and 2 are hand
    alike.
    """
    truth = write_freihand(tmp_path)
    for split in ("training", "evaluation"):
        data = FreiHAND3DDataset(str(tmp_path), split=split)
        for i, joints in enumerate(truth[split]):
            found = rasterise(data.get_data_info(i)["segmentation"], 224, 224)
            drawn = blob(pixels(joints, FREIHAND_K), (224, 224)) > 0
            wrong = int((found.astype(bool) != drawn).sum())
            assert wrong <= (0.01 * drawn.sum() if split == "training" else 0)


def test_training_masks_are_cut_at_127(tmp_path: Path) -> None:
    """Flat halves of grey 120 and 135, which JPEG keeps: only the second is hand."""
    write_freihand(tmp_path)
    grey = np.full((224, 224), 120, np.uint8)
    grey[:, 112:] = 135
    cv2.imwrite(str(tmp_path / "training/mask/00000000.jpg"), grey)
    found = rasterise(FreiHAND3DDataset(str(tmp_path)).get_data_info(0)["segmentation"], 224, 224)
    assert found.sum(0).tolist() == [0] * 112 + [224] * 112


def test_a_coloured_segmap_is_hand_wherever_a_colour_is_above_nothing(tmp_path: Path) -> None:
    """Parts in red, green and blue alone."""
    write_freihand(tmp_path)
    parts = np.zeros((224, 224, 3), np.uint8)
    for channel in range(3):
        parts[10 * channel : 10 * channel + 10, :, channel] = 1
    cv2.imwrite(str(tmp_path / "evaluation/segmap/00000000.png"), parts)
    info = FreiHAND3DDataset(str(tmp_path), split="evaluation").get_data_info(0)
    assert rasterise(info["segmentation"], 224, 224).sum(1).tolist() == [224] * 30 + [0] * 194


def test_vertices_are_read_where_asked_for(root: Path) -> None:
    """(1, V, 3) mm from the wrist; here the joints, and the joints 2 mm off in each direction."""
    info = FreiHAND3DDataset(str(root), split="evaluation", vertices=True).get_data_info(1)
    assert info["vertices_3d"][0, :21] == pytest.approx(info["keypoints_3d"][0], abs=1e-3)
    assert info["vertices_3d"][0, 21:] == pytest.approx(info["keypoints_3d"][0] + 2, abs=1e-3)
    assert "vertices_3d" not in FreiHAND3DDataset(str(root), split="evaluation").get_data_info(1)


def test_ready_made_boxes_are_those_of_the_file(root: Path, tmp_path: Path) -> None:
    """By the picture's number, x, y, w, h, uncut; `GetHandBox('ready')` lays the crop there."""
    boxes = tmp_path / "boxes.json"
    content = [{"image_id": i, "bbox": [10.0 * i - 5, 20, 60, 60], "root_cam": [0, 0, 700.0]} for i in (1, 0)]
    boxes.write_text(json.dumps(content))
    settings: dict[str, Any] = dict(split="evaluation", test_mode=True, bbox_file=str(boxes))
    data = FreiHAND3DDataset(str(root), **settings)
    assert [data.get_data_info(i)["bbox"].tolist() for i in (0, 1)] == [[[-5, 20, 55, 80]], [[5, 20, 65, 80]]]
    info = GetHandBox("ready", 1.0)({**data.get_data_info(0), "img": np.zeros((224, 224, 3))})
    assert (info["bbox_center"].tolist(), info["bbox_scale"].tolist()) == ([[25, 50]], [[60, 60]])
    for wrong, words in (
        (content[:1], "no box of 1 of 2 pictures, the first is 0"),
        ([*content, {"image_id": 2, "bbox": [0, 0, 1, 1]}], "image_id 2.*0 to 1"),
        ([{"image_id": 0, "bbox": [0, 0, 0, 1]}], "no extent"),
        ([{"bbox": [0, 0, 1, 1]}], "'image_id'.*Expected a JSON list"),
    ):
        boxes.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match=words):
            FreiHAND3DDataset(str(root), **settings)
    with pytest.raises(DataError, match=r"no .*none\.json"):
        FreiHAND3DDataset(str(root), **{**settings, "bbox_file": str(tmp_path / "none.json")})
    with pytest.raises(ConfigError, match="leave it out for 'training'"):
        FreiHAND3DDataset(str(root), bbox_file=str(boxes))


def test_its_joints_have_the_groups_of_a_hand(root: Path) -> None:
    """Five groups, by name, not derived."""
    groups = joint_groups(FreiHAND3DDataset(str(root), lazy_init=True).metainfo)
    assert groups.group_of == ("wrist", *("MCP", "PIP", "DIP", "TIP") * 5)
    assert not groups.derived


@pytest.mark.parametrize(
    ("missing", "settings", "words"),
    [
        ("training_K.json", {}, ["training_K.json", "research only"]),
        ("evaluation_xyz.json", {"split": "evaluation"}, ["evaluation_xyz.json", "FreiHAND_pub_v2_eval.zip"]),
        ("training/rgb/00000007.jpg", {}, ["00000007.jpg", "version 'auto'"]),
        ("training/rgb/00000002.jpg", {"versions": ["hom"]}, ["00000002.jpg", "version 'hom'"]),
        ("training/mask/00000001.jpg", {}, ["mask/00000001.jpg", "masks=False"]),
        ("evaluation/segmap/00000000.png", {"split": "evaluation"}, ["00000000.png", "masks=False", "_eval.zip"]),
        ("evaluation_verts.json", {"split": "evaluation", "vertices": True}, ["evaluation_verts.json"]),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, missing: str, settings: dict[str, Any], words: list[str]) -> None:
    """The file, where to get it, on what terms, what to do without it."""
    write_freihand(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError) as error:
        FreiHAND3DDataset(str(tmp_path), **settings)
    for word in [*words, "lmb.informatik.uni-freiburg.de"]:
        assert word in str(error.value)


def test_without_masks_none_is_needed(tmp_path: Path) -> None:
    """masks=False: no segmentation, and no mask of the sample."""
    write_freihand(tmp_path)
    for path in (tmp_path / "training" / "mask").iterdir():
        path.unlink()
    assert "segmentation" not in FreiHAND3DDataset(str(tmp_path), masks=False).get_data_info(0)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Fewer cameras than joints; a file that breaks off; joints of another number."""
    write_freihand(tmp_path)
    (tmp_path / "training_K.json").write_text("[[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]")
    with pytest.raises(DataError, match=r"\[1, 2\] entries"):
        FreiHAND3DDataset(str(tmp_path))
    (tmp_path / "training_K.json").write_text("[[[1, 0, 0], [0, 1,")
    with pytest.raises(DataError, match=r"training_K.json is not whole"):
        FreiHAND3DDataset(str(tmp_path))
    (tmp_path / "evaluation_xyz.json").write_text("[[[0, 0, 1]], [[0, 0, 1]]]")
    with pytest.raises(DataError, match=r"\(1, 3\).*expected \(21, 3\)"):
        FreiHAND3DDataset(str(tmp_path), split="evaluation")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (dict(split="evalution"), "evaluation"),
        (dict(versions=["gss"]), "'gs'"),
        (dict(split="evaluation", versions=["gs"]), "no versions"),
        (dict(data_mode="bottomup"), "topdown"),
    ],
)
def test_wrong_settings_are_errors_that_help(root: Path, settings: dict[str, Any], word: str) -> None:
    """What, got, expected."""
    with pytest.raises(ConfigError, match=word):
        FreiHAND3DDataset(str(root), **settings)


def test_the_config_reads_them_as_samples(root: Path) -> None:
    """Through our base config and `SampleSource`: the fingertip is where its colour is, mask and joints warped
    alike.
    """
    config = Config.fromfile(CONFIG)
    dataset = config.test_dataloader.dataset
    dataset.data_root = str(root)
    samples = source(dataset)
    assert samples.ids() == ["0-0", "1-1"]
    assert len(samples.groups.group_names) == 5
    for i in range(2):
        sample = samples.load(i)
        assert sample.image.shape == (3, 128, 128)
        assert sample.mask_source == "instance"
        x, y = sample.keypoints[TIP].round().long().tolist()
        assert sample.display[y, x] == pytest.approx(np.array(DOT[::-1]), abs=40)
        points = sample.keypoints.round().long()
        assert sample.visible.all()
        assert sample.mask[points[:, 1], points[:, 0]].all()
        bright = sample.display.max(-1) > 90
        assert (bright != sample.mask.numpy()).mean() < 0.02


def test_the_crop_of_the_evaluation_is_130_px_about_the_middle(root: Path) -> None:
    """100 x 1.3, whatever the hand: 128 input px are 130 px, and the middle stays the middle."""
    config = Config.fromfile(CONFIG)
    config.test_dataloader.dataset.data_root = str(root)
    warp = source(config.test_dataloader.dataset).load(1).inverse_warp
    assert warp == pytest.approx(np.array([[130 / 128, 0, 47], [0, 130 / 128, 47]]), abs=1e-4)


def test_packed_samples_carry_what_is_in_space(root: Path) -> None:
    """`PackPoseInputs` of our config: instances as NumPy, labels as tensors, the side among the metainfo."""
    config = Config.fromfile(CONFIG)
    dataset = config.train_dataloader.dataset
    dataset.data_root = str(root)
    from mmpose.registry import DATASETS

    sample = DATASETS.build(dataset)[3]["data_samples"]
    for name, shape in (("keypoints_3d", (1, 21, 3)), ("root_3d", (1, 3)), ("camera", (1, 3, 3)), ("hand_scale", (1,))):
        assert sample.gt_instances[name].shape == shape
        assert tuple(sample.gt_instance_labels[name].shape) == shape
    assert sample.gt_instance_labels.transformed_keypoints.shape == (1, 21, 2)
    assert sample.metainfo["hand_side"] == "right"
    found = project(*(sample.gt_instances[n] for n in ("keypoints_3d", "input_camera", "root_3d")))
    assert found == pytest.approx(sample.gt_instance_labels.transformed_keypoints.numpy(), abs=0.02)


def test_mmengine_s_evaluator_takes_what_is_packed(root: Path) -> None:
    """Predictions 3 mm off at every joint but the wrist, through the config's evaluator: 60 / 21 mm."""
    from mmengine.evaluator import Evaluator
    from mmengine.structures import InstanceData
    from mmpose.registry import DATASETS

    config = Config.fromfile(CONFIG)
    config.test_dataloader.dataset.data_root = str(root)
    evaluator = Evaluator(config.test_evaluator)
    for packed in DATASETS.build(config.test_dataloader.dataset):
        sample = packed["data_samples"]
        found = sample.gt_instances.keypoints_3d.copy()
        found[:, 1:, 1] += 3
        sample.pred_instances = InstanceData(keypoints=found)
        evaluator.process([sample])
    assert evaluator.evaluate(2)["hand/RR-MPJPE"] == pytest.approx(60 / 21, abs=1e-4)
