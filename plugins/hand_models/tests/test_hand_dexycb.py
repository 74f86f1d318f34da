"""DexYCB from a tiny copy of its layout: two subjects, eight cameras, seven sequences that have frames."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hand_files import DEXYCB_K, DOT, TIP, pixels, source, write_dexycb
from mmengine.config import Config
from mmengine.registry import init_default_scope
from poseig_hand_models.dexycb import SERIALS, SUBJECTS, DexYCBDataset, members
from poseig_hand_models.hand_camera import intrinsics, project

from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError, DataError

CONFIG = Path(__file__).parents[3] / "configs/hand_models/_base_/dexycb.py"
FRAMES = {0: 1, 4: 3, 15: 1, 35: 1, 59: 1, 79: 1, 99: 1}  # position of a sequence -> frames
WHO = (1, 7)


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    init_default_scope("mmpose")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("dexycb")
    subjects = [SUBJECTS[n - 1] for n in WHO]
    return folder, write_dexycb(folder, subjects, SERIALS, FRAMES, {4: "left"}, absent=[(4, 1)])


@pytest.fixture
def little(tmp_path: Path) -> Path:
    """Subject 7 with one camera and two sequences, one of them left, to break; `s2`, 'test' reads it."""
    write_dexycb(tmp_path, [SUBJECTS[6]], SERIALS[7:], {4: 1, 9: 1}, {4: "left"})
    return tmp_path


def read(root: Path, setup: str, split: str, **more: Any) -> DexYCBDataset:
    whose = [n for n in WHO if n - 1 in members(setup, split)[0]]
    return DexYCBDataset(str(root), setup=setup, split=split, subjects=whose, **more)


def cells(data: DexYCBDataset) -> Iterator[tuple[int, int, int, int]]:
    """(subject, position of the sequence, camera, frame) of each entry, read off its path."""
    for i in range(len(data)):
        path = Path(data.get_data_info(i)["img_path"])
        subject, sequence, serial = path.parts[-4:-1]
        yield (
            SUBJECTS.index(subject) + 1,
            int(sequence.split("_")[1]),
            SERIALS.index(serial),
            int(path.stem.split("_")[1]),
        )


@pytest.mark.parametrize(
    ("setup", "split", "subjects", "sequences", "cameras"),
    [
        ("s0", "train", range(1, 11), lambda i: i not in range(4, 100, 5), range(8)),
        ("s0", "val", [1, 2], lambda i: i in range(4, 100, 5), range(8)),
        ("s0", "test", range(3, 11), lambda i: i in range(4, 100, 5), range(8)),
        ("s1", "train", [1, 2, 3, 4, 5, 6, 10], lambda i: True, range(8)),
        ("s1", "val", [7], lambda i: True, range(8)),
        ("s1", "test", [8, 9], lambda i: True, range(8)),
        ("s2", "train", range(1, 11), lambda i: True, range(6)),
        ("s2", "val", range(1, 11), lambda i: True, [6]),
        ("s2", "test", range(1, 11), lambda i: True, [7]),
        ("s3", "val", range(1, 11), lambda i: 15 <= i < 20 or i >= 95, range(8)),
        ("s3", "test", range(1, 11), lambda i: 35 <= i < 40 or 55 <= i < 60 or 75 <= i < 80, range(8)),
    ],
)
def test_who_belongs_to_a_split(setup: str, split: str, subjects: Any, sequences: Any, cameras: Any) -> None:
    """As the data set's authors list them."""
    whose, which, by = members(setup, split)
    assert [i + 1 for i in whose] == list(subjects)
    assert list(which) == [i for i in range(100) if sequences(i)]
    assert list(by) == list(cameras)


@pytest.mark.parametrize("setup", ["s0", "s1", "s2", "s3"])
def test_splits_share_nothing_and_leave_nothing_out(setup: str) -> None:
    """Each subject's sequence in each camera is in exactly one split: 8,000 of them."""
    found = []
    for split in ("train", "val", "test"):
        whose, which, by = members(setup, split)
        found.append({(a, b, c) for a in whose for b in which for c in by})
    assert all(not a & b for a, b in combinations(found, 2))
    assert sum(map(len, found)) == 8000


# subject 1 and 7; sequence 4 has frames 0 and 2 (1 is without a hand), each other sequence frame 0
EVERY = [0, 4, 4, 15, 35, 59, 79, 99]
EXPECTED = {
    ("s0", "train"): ([1, 7], [0, 15, 35], range(8)),
    ("s0", "val"): ([1], [4, 4, 59, 79, 99], range(8)),
    ("s0", "test"): ([7], [4, 4, 59, 79, 99], range(8)),
    ("s1", "train"): ([1], EVERY, range(8)),
    ("s1", "val"): ([7], EVERY, range(8)),
    ("s2", "train"): ([1, 7], EVERY, range(6)),
    ("s2", "val"): ([1, 7], EVERY, [6]),
    ("s2", "test"): ([1, 7], EVERY, [7]),
    ("s3", "train"): ([1, 7], [0, 4, 4], range(8)),
    ("s3", "val"): ([1, 7], [15, 99], range(8)),
    ("s3", "test"): ([1, 7], [35, 59, 79], range(8)),
}


@pytest.mark.parametrize(("setup", "split"), EXPECTED)
def test_a_split_reads_its_frames(written: tuple[Path, Any], setup: str, split: str) -> None:
    """Subjects, sequences, cameras and frames, in the order of the data set's own index; no frame without a hand."""
    subjects, sequences, cameras = EXPECTED[setup, split]
    expected = [
        (subject, sequence, camera, frame)
        for subject in subjects
        for sequence in dict.fromkeys(sequences)
        for camera in cameras
        for frame in ((0, 2) if sequence == 4 else (0,))
    ]
    assert list(cells(read(written[0], setup, split, masks=False))) == expected


def test_nobody_of_s1_test_is_there(written: tuple[Path, Any]) -> None:
    """Subjects 8 and 9 are not in the folder; the first is named, and what to do."""
    with pytest.raises(DataError, match=r"20201002-subject-08.*`subjects`"):
        DexYCBDataset(str(written[0]), setup="s1", split="test")


def test_frames_are_taken_by_strides(written: tuple[Path, Any]) -> None:
    """Every second of sequence 4: 0 and 2."""
    data = DexYCBDataset(str(written[0]), setup="s0", split="test", subjects=[7], stride=2)
    assert [frame for _, sequence, camera, frame in cells(data) if (sequence, camera) == (4, 0)] == [0, 2]
    data = DexYCBDataset(str(written[0]), setup="s0", split="test", subjects=[7], stride=3)
    assert [frame for _, sequence, camera, frame in cells(data) if (sequence, camera) == (4, 0)] == [0]


def test_joints_are_millimetres_from_the_wrist_and_project_to_the_keypoints(written: tuple[Path, Any]) -> None:
    """keypoints_3d + root_3d is joint_3d x 1000; K of the camera's file carries it to joint_2d within 0.001 px."""
    root, truth = written
    data = read(root, "s2", "val")
    k = intrinsics(DEXYCB_K["fx"], DEXYCB_K["fy"], DEXYCB_K["ppx"], DEXYCB_K["ppy"])
    for i in range(len(data)):
        info = data.get_data_info(i)
        path = Path(info["img_path"])
        joints = truth["/".join([*path.parts[-4:-1], str(int(path.stem[6:]))])]
        assert info["keypoints_3d"][0] + info["root_3d"] == pytest.approx(joints * 1000, abs=1e-2)
        assert not info["keypoints_3d"][0, 0].any()
        assert info["keypoints"][0] == pytest.approx(pixels(joints, k), abs=1e-3)
        there = project(info["keypoints_3d"], info["camera"], info["root_3d"])
        assert there == pytest.approx(info["keypoints"], abs=1e-3)
        assert info["hand_side"] == ("left" if "_000004/" in str(path) else "right")


def test_the_mask_is_the_hand_and_not_the_object(written: tuple[Path, Any]) -> None:
    """`seg` 255, not 3."""
    info = read(written[0], "s2", "val").get_data_info(0)
    path = Path(info["img_path"])
    seg = np.load(path.with_name("labels_000000.npz"))["seg"]
    assert set(np.unique(seg)) == {0, 3, 255}
    assert (rasterise(info["segmentation"], 480, 640) == (seg == 255)).all()


def test_names_say_where_a_picture_is_from(written: tuple[Path, Any]) -> None:
    """Unique, and fit for file names."""
    data = read(written[0], "s3", "test", masks=False)
    names = [data.get_data_info(i)["img_id"] for i in range(len(data))]
    assert names[0] == "20200709-subject-01_20200709_000035_836212060125_000000"
    assert len(set(names)) == len(names)
    assert not any("/" in name for name in names)


@pytest.mark.parametrize("position", [0, 1], ids=["left", "right"])
def test_the_config_reads_them_as_samples(little: Path, position: int) -> None:
    """Through our base config: a left hand arrives mirrored, its joints, mask and colours in one place."""
    config = Config.fromfile(CONFIG)
    dataset = config.test_dataloader.dataset
    dataset.update(data_root=str(little), setup="s2", subjects=[7])
    samples = source(dataset)
    assert len(samples) == 2
    assert not samples.groups.derived
    sample = samples.load(position)
    assert sample.image.shape == (3, 256, 256)
    assert sample.visible.all()
    x, y = sample.keypoints[TIP].round().long().tolist()
    assert sample.display[y, x] == pytest.approx(np.array(DOT[::-1]), abs=45)
    points = sample.keypoints.round().long()
    assert sample.mask[points[:, 1], points[:, 0]].all()
    assert ((sample.display.max(-1) > 90) != sample.mask.numpy()).mean() < 0.02
    assert np.sign(sample.inverse_warp[0, 0]) == (-1 if position == 0 else 1)
    back = sample.inverse_warp @ [x, y, 1]  # the file's own pixels
    assert cv2.imread(sample.image_path)[round(back[1]), round(back[0])] == pytest.approx(np.array(DOT), abs=45)


def test_left_hands_are_packed_as_right_ones(little: Path) -> None:
    """The left hand here is the mirrored right one of the other sequence: equal joints from the wrist; the side is
    kept.
    """
    from mmpose.registry import DATASETS

    config = Config.fromfile(CONFIG)
    dataset = config.test_dataloader.dataset
    dataset.update(data_root=str(little), setup="s2", subjects=[7])
    left, right = (DATASETS.build(dataset)[i]["data_samples"] for i in (0, 1))
    assert left.gt_instances.keypoints_3d == pytest.approx(right.gt_instances.keypoints_3d, abs=1e-3)
    assert (left.metainfo["hand_side"], right.metainfo["hand_side"]) == ("left", "right")
    for sample in (left, right):
        found = project(*(sample.gt_instances[n] for n in ("keypoints_3d", "input_camera", "root_3d")))
        assert found == pytest.approx(sample.gt_instance_labels.transformed_keypoints.numpy(), abs=0.02)


def test_training_turns_and_stays_true(little: Path) -> None:
    """The training pipeline of our config, ten times: `input_camera` projects to where the joints were put."""
    from mmpose.registry import DATASETS

    config = Config.fromfile(CONFIG)
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=str(little), setup="s2", split="test", subjects=[7])
    data, turned = DATASETS.build(dataset), 0
    straight = [info["keypoints_3d"] * [-1 if i == 0 else 1, 1, 1] for i in (0, 1) for info in [data.get_data_info(i)]]
    np.random.seed(0)  # noqa: NPY002 - the transforms' own
    for i in range(10):
        sample = data[i % 2]["data_samples"]
        found = project(*(sample.gt_instances[n] for n in ("keypoints_3d", "input_camera", "root_3d")))
        assert found == pytest.approx(sample.gt_instance_labels.transformed_keypoints.numpy(), abs=0.02)
        turned += not np.allclose(sample.gt_instances.keypoints_3d, straight[i % 2], atol=0.1)
    assert turned >= 3


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("{0}", ["20200928-subject-07", "`subjects`"]),
        ("{0}/20200928_000004/meta.yml", ["20200928_000004/meta.yml"]),
        ("{0}/20200928_000009/932122062010/labels_000000.npz", ["932122062010/labels_000000.npz"]),
        ("{0}/20200928_000009/932122062010/color_000000.jpg", ["932122062010/color_000000.jpg"]),
        ("calibration/intrinsics/932122062010_640x480.yml", ["932122062010_640x480.yml"]),
        ("{0}/20200928_000050", ["99 sequences; expected 100"]),
    ],
)
def test_what_is_missing_is_named(little: Path, missing: str, words: list[str]) -> None:
    """The file, where to get it, on what terms."""
    path = little / missing.format(SUBJECTS[6])
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(DataError) as error:
        DexYCBDataset(str(little), setup="s2", subjects=[7])
    for word in [*words, "https://dex-ycb.github.io (CC BY-NC 4.0)"]:
        assert word in str(error.value)


def test_broken_files_are_named(little: Path) -> None:
    """No zip, no `joint_3d`, no number of frames."""
    sequence = little / SUBJECTS[6] / "20200928_000004"
    labels = sequence / SERIALS[7] / "labels_000000.npz"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"labels_000000.npz has no joint_3d"):
        DexYCBDataset(str(little), setup="s2", subjects=[7])
    np.savez(labels, seg=np.zeros((480, 640), np.uint8))
    with pytest.raises(DataError, match=r"labels_000000.npz has no joint_3d"):
        DexYCBDataset(str(little), setup="s2", subjects=[7])
    (sequence / "meta.yml").write_text("mano_sides: [left]\n")
    with pytest.raises(DataError, match=r"meta.yml has no 'num_frames'"):
        DexYCBDataset(str(little), setup="s2", subjects=[7])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (dict(setup="s4"), "s4"),
        (dict(split="tset"), "'test'"),
        (dict(subjects=[1]), r"are \[3, 4, 5, 6, 7, 8, 9, 10\]; got \[1\]"),
        (dict(subjects=[]), r"got \[\]"),
        (dict(stride=0), "at least 1"),
    ],
)
def test_wrong_settings_are_errors_that_help(tmp_path: Path, settings: dict[str, Any], word: str) -> None:
    """What, got, expected; before a file is looked for."""
    with pytest.raises(ConfigError, match=word):
        DexYCBDataset(str(tmp_path), **settings)
