"""Bad input: one bad sample is that sample's failure, a bad data set is a clear error before the first one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from drawn_coordinates import (
    BOXED,
    CROP,
    LOAD,
    PACK,
    PLAIN,
    config,
    dataset,
    person,
    preprocessor,
    source,
    square,
    write,
)

from poseig_mm.data.crops import run_pipeline
from poseig_mm.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two persons in two images."""
    return write(tmp_path, [person(1, 1), person(2, 2)], images=(1, 2))


def test_a_missing_image_is_that_sample_s_error(folder: Path) -> None:
    """It names the sample, the file, and what to look at; the other one loads."""
    (folder / "1.png").unlink()
    found = source(dataset(folder))
    with pytest.raises(DataError, match=r"sample 1-1, image .*1\.png \(no such file; see data_root"):
        found.load(0)
    assert found.load(1).sample_id == "2-2"


@pytest.mark.parametrize("content", [b"", b"not an image", "half"], ids=["empty", "text", "half"])
def test_a_corrupt_image_is_that_sample_s_error(folder: Path, content: Any) -> None:
    """An empty file, a text, the first 60 bytes of a picture."""
    path = folder / "1.png"
    path.write_bytes(path.read_bytes()[:60] if content == "half" else content)
    found = source(dataset(folder))
    with pytest.raises(DataError, match=r"sample 1-1, image .*1\.png: ") as caught:
        found.load(0)
    assert "no such file" not in str(caught.value)
    assert found.load(1).sample_id == "2-2"


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3]],
        [[]],
        [[60, 30, 80, 50]],
        [60, 30, 80, 50, 60, 50],
        [[60, 30, 80, float("nan"), 60, 50]],
        "masks/1.png",
        5,
        {"size": [3, 3], "counts": [9]},
        {"size": [160, 200], "counts": [5]},
        {"counts": [5]},
    ],
)
def test_a_broken_segmentation_is_no_mask(tmp_path: Path, segmentation: Any) -> None:
    """The person is kept, without a mask, and a note counts such persons; drawn joints take its place if asked for."""
    write(tmp_path, [person(1, segmentation=segmentation), person(2)])
    for kind in ("instance", "union"):
        found = source(dataset(tmp_path), mask=kind)
        sample = found.load(0)
        assert (sample.mask, sample.mask_source) == (None, "none")
        assert sample.visible.sum() == 5
        assert (found.load(1).mask is None) == (kind == "union")  # all persons' is not known either
        assert any(
            note.startswith("1 persons have a segmentation that cannot be read, such as 1-1") for note in found.notes
        )
    drawn = source(dataset(tmp_path), mask="joints").load(0)
    assert drawn.mask_source == "joints"


def test_rings_without_area_are_left_out_and_said(tmp_path: Path) -> None:
    """The person keeps the mask of the other rings; a ring that cannot be read costs the mask."""
    good = square((90, 70), 20)
    write(tmp_path, [person(1, segmentation=[good]), person(2, segmentation=[good, [80, 60], []]),
                     person(3, segmentation=[good, [80, 60, 3]])])  # fmt: skip
    found = source(dataset(tmp_path))
    whole, without, unread = (found.load(i) for i in range(3))
    assert whole.mask is not None
    assert (without.mask == whole.mask).all()
    assert without.mask_source == "instance"
    assert (unread.mask, unread.mask_source) == (None, "none")
    said = "\n".join(found.notes)
    assert "1 persons have rings of fewer than 3 points in their segmentation, such as 1-2" in said
    assert "1 persons have a segmentation that cannot be read, such as 1-3" in said


@pytest.mark.parametrize(
    ("value", "dtype", "shown"), [(65535, np.uint16, 255), (25700, np.uint16, 100), (200, np.uint8, 200)]
)
def test_pixels_of_any_depth_are_shown(tmp_path: Path, value: int, dtype: Any, shown: int) -> None:
    """16 bits as 8; with alpha, without, or grey: a picture is never what a person fails for."""
    write(tmp_path, [person(1)])
    for shape in ((160, 200), (160, 200, 3), (160, 200, 4)):
        cv2.imwrite(str(tmp_path / "1.png"), np.full(shape, value, dtype))
        load = {**LOAD, "color_type": "unchanged"}
        channels = {"mean": [0.0], "std": [1.0], "bgr_to_rgb": False} if len(shape) == 2 else {}
        if shape[2:] == (4,):
            channels = {"mean": None, "std": None, "bgr_to_rgb": False}
        sample = source(dataset(tmp_path, [load, BOXED, CROP, PACK]), preprocessor(**channels)).load(0)
        assert sample.display.dtype == np.uint8
        assert sample.display[30, 24].tolist() == [shown] * 3


@pytest.mark.parametrize("metainfo", ["none", "few"])
def test_a_data_set_without_metainfo_is_taken(folder: Path, metainfo: str) -> None:
    """Joints are numbered where nobody names them; sigmas, weights and bones are optional."""
    from mmpose.datasets import CocoDataset
    from mmpose.registry import DATASETS

    @DATASETS.register_module(force=True)
    class Nameless(CocoDataset):  # type: ignore[misc]
        METAINFO: ClassVar[dict[str, Any]] = {}

    info = {k: {"name": f"point {k}", "id": k, "color": [0, 0, 0], "type": "", "swap": ""} for k in range(17)}
    more = {"metainfo": {"keypoint_info": info}} if metainfo == "few" else {}
    found = source(dataset(folder, type="Nameless", **more))
    expected = "point 16" if metainfo == "few" else "joint_16"
    assert found.groups.keypoint_names[16] == expected
    assert found.load(0).visible.sum() == 5
    assert any("metainfo" in note for note in found.notes)


def test_a_list_of_dataloaders_is_the_config_s_error(folder: Path) -> None:
    """Of several data sets: which one is meant is the user's to say."""
    from mmengine.config import Config

    from poseig_mm.data.samples import SampleSource
    from poseig_mm.data.sequences import is_sequence

    cfg = Config({"test_dataloader": [{"dataset": dataset(folder)}, {"dataset": dataset(folder)}]})
    assert not is_sequence(cfg, "test")
    with pytest.raises(ConfigError, match=r"test_dataloader is a list of 2; expected one.*test_dataloader\[0\]"):
        SampleSource(cfg, preprocess=preprocessor())


def test_joints_outside_the_crop_are_not_visible(tmp_path: Path) -> None:
    """Up to the outermost pixel centres is inside; a joint without annotation is NaN, one outside keeps its place."""
    scale = 48 / (1.25 * 67.5)  # input px per original px; the crop's left border is 90 - 42.1875
    left = 90 - 1.25 * 67.5 / 2
    joints = {
        0: (left + 0.01, 75.0),
        1: (left - 0.1, 75.0),
        2: (left + 47.01 / scale, 75.0),
        3: (left + 46.99 / scale, 75.0),
    }
    write(tmp_path, [person(1, joints=joints)])
    sample = source(dataset(tmp_path)).load(0)
    assert sample.visible[:5].tolist() == [True, False, False, True, False]
    assert sample.keypoints[2, 0] == pytest.approx(47.01, abs=1e-3)
    assert sample.keypoints[4:].isnan().all()


def test_a_joint_with_a_place_but_no_annotation_is_not_visible(tmp_path: Path) -> None:
    """v = 0 decides, also where the numbers would lie inside the crop."""
    annotation = person(1)
    annotation["keypoints"][3 * 9 : 3 * 10] = [90, 75, 0]
    write(tmp_path, [annotation])
    sample = source(dataset(tmp_path)).load(0)
    assert not sample.visible[9]
    assert sample.keypoints[9].isnan().all()


def test_a_person_without_a_visible_joint_is_a_sample(tmp_path: Path) -> None:
    """Annotated, but all outside the crop: the run decides what to do with it."""
    write(tmp_path, [person(1, joints={5: (5.0, 5.0)})])
    sample = source(dataset(tmp_path)).load(0)
    assert not sample.visible.any()
    assert int(sample.keypoints.isfinite().all(1).sum()) == 1


def test_an_empty_mask_stays_a_mask(tmp_path: Path) -> None:
    """All outside the crop, or empty as annotated: FI is NaN for another reason than where there is no mask."""
    nothing = {"size": [160, 200], "counts": [160 * 200]}
    write(tmp_path, [person(1, segmentation=[square((10, 10))]), person(2, segmentation=nothing)])
    found = source(dataset(tmp_path))
    for i in range(2):
        assert not found.load(i).mask.any()
        assert found.load(i).mask_source == "instance"


@pytest.mark.parametrize("segmentation", [None, []])
def test_no_segmentation_is_no_mask(tmp_path: Path, segmentation: Any) -> None:
    """Neither all True nor all False."""
    write(tmp_path, [person(1, segmentation=segmentation)])
    for kind in ("instance", "union"):
        sample = source(dataset(tmp_path), mask=kind).load(0)
        assert (sample.mask, sample.mask_source) == (None, "none")


@pytest.mark.parametrize(
    "people",
    [[], [person(1, iscrowd=1)], [person(1, joints={})], [person(1, keypoints=None)], [person(1, bbox=[5, 5, 0, 9])]],
    ids=["nothing", "crowd", "no_joints", "no_keypoints", "no_box"],
)
def test_nobody_to_diagnose_is_an_error(tmp_path: Path, people: Any) -> None:
    """Before the run starts, with the annotation file's name."""
    write(tmp_path, people)
    with pytest.raises(DataError, match=r"holds no person.*persons\.json"):
        source(dataset(tmp_path))


def test_a_missing_annotation_file_is_an_error(tmp_path: Path) -> None:
    """With its path and the options that correct it."""
    with pytest.raises(
        DataError, match=r"persons\.json \(no such file\).*--cfg-options test_dataloader\.dataset\.data_root"
    ):
        source(dataset(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"images": [], "annotations": [{"id": 1}], "categories": []}'])
def test_an_annotation_file_of_another_kind_is_an_error(tmp_path: Path, content: str) -> None:
    """Broken JSON, a list, no COCO at all, annotations without an image."""
    (tmp_path / "persons.json").write_text(content)
    with pytest.raises(DataError, match=r"persons\.json"):
        source(dataset(tmp_path))


def test_a_config_without_test_data_says_what_it_has(folder: Path) -> None:
    """And how to choose the other."""
    from poseig_mm.data.samples import SampleSource

    cfg = config(dataset(folder))
    with pytest.raises(ConfigError, match=r"no val_dataloader\.dataset\. Take its test_dataloader: .*samples\.split"):
        SampleSource(cfg, preprocess=preprocessor(), split="val")


def test_an_unknown_data_set_is_named_with_its_nearest(folder: Path) -> None:
    """And with the way to register one's own, also inside a wrapper."""
    wrong = dataset(folder, type="CocoDatset")
    for wanted in (wrong, {"type": "ConcatDataset", "datasets": [wrong]}):
        with pytest.raises(ConfigError, match=r"'CocoDatset'.*did you mean 'CocoDataset'.*custom_imports"):
            source(wanted)


def test_an_unknown_option_of_the_data_set_is_the_config_s_error(folder: Path) -> None:
    """Not the data's."""
    with pytest.raises(ConfigError, match="an_file"):
        source(dataset(folder, an_file="persons.json"))


@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        (
            [LOAD, BOXED, PACK],
            "exactly one TopdownAffine.*or one BottomupResize.*it holds LoadImage, GetBBoxCenterScale",
        ),
        ([LOAD, BOXED, CROP, {"type": "BottomupResize", "input_size": (64, 64)}, PACK], "exactly one TopdownAffine"),
        ([LOAD, BOXED, CROP, CROP, PACK], "exactly one TopdownAffine"),
        ([LOAD, BOXED, CROP], "must end with PackPoseInputs.*TopdownAffine"),
        ([], "must end with PackPoseInputs; it holds nothing"),
    ],
)
def test_a_pipeline_of_another_kind_is_an_error(folder: Path, pipeline: Any, why: str) -> None:
    """Before the run starts; it lists what the pipeline holds."""
    with pytest.raises(DataError, match=why):
        source(dataset(folder, pipeline))


def _steps(folder: Path, extra: Any, place: int) -> tuple[list[Any], dict[str, Any]]:
    """A built pipeline with a function put in, and an entry for it."""
    from mmpose.registry import DATASETS

    built = DATASETS.build(dataset(folder, PLAIN))
    transforms = list(built.pipeline.transforms)
    transforms.insert(place, extra)
    return transforms, built.get_data_info(0)


def test_keypoints_that_moved_after_the_crop_are_noticed(folder: Path) -> None:
    """A hundredth of a pixel is the limit: what moves joints alone would make every error wrong."""

    def move(by: float) -> Any:
        return lambda results: {**results, "transformed_keypoints": results["transformed_keypoints"] + by}

    run_pipeline(*_steps(folder, move(0.005), 3))
    with pytest.raises(DataError, match=r"lies 0\.028.* px from where the crop's affine map puts it"):
        run_pipeline(*_steps(folder, move(0.02), 3))


def test_an_image_resized_before_the_crop_is_noticed(folder: Path) -> None:
    """The mask and the way back are those of the image as loaded."""

    def shrink(results: dict[str, Any]) -> dict[str, Any]:
        return {**results, "img": cv2.resize(results["img"], (100, 80))}

    with pytest.raises(DataError, match=r"\(160, 200\).*is \(80, 100\) before TopdownAffine"):
        run_pipeline(*_steps(folder, shrink, 1))


def test_a_transform_that_gives_nothing_is_named(folder: Path) -> None:
    """MMPose itself would take another sample instead, in training."""

    class Dropping:
        def __call__(self, results: dict[str, Any]) -> None:
            return None

    with pytest.raises(DataError, match="Dropping of the data pipeline gave no result"):
        run_pipeline(*_steps(folder, Dropping(), 1))


def test_keypoints_without_numbers_do_not_stop_a_sample(tmp_path: Path) -> None:
    """NaN where nothing is annotated is a habit of some converters."""
    write(tmp_path, [person(1)])
    content = json.loads((tmp_path / "persons.json").read_text())
    content["annotations"][0]["keypoints"][-3:] = [float("nan"), float("nan"), 0]
    (tmp_path / "persons.json").write_text(json.dumps(content))
    sample = source(dataset(tmp_path)).load(0)
    assert sample.visible.sum() == 5
    assert not sample.visible[16]
    assert np.isfinite(sample.inverse_warp).all()


def test_joints_that_the_metainfo_does_not_name_are_an_error(folder: Path) -> None:
    """A converter to 19 joints in a data set of 17: rows would have no names."""
    convert = {"type": "KeypointConverter", "num_keypoints": 19, "mapping": [(0, 17)]}
    with pytest.raises(DataError, match="the pipeline gives 19 joints, the metainfo of coco names 17"):
        source(dataset(folder, [LOAD, convert, BOXED, CROP, PACK])).load(0)


@pytest.mark.parametrize("name", ["é" * 300 + ".png", "a\0b.png"])
def test_a_name_that_no_file_can_have_is_that_sample_s_error(tmp_path: Path, name: str) -> None:
    """Too long for the file system, or with a null byte."""
    samples = named(tmp_path, name)
    with pytest.raises(DataError, match=r"sample 1-1, image .*\(no such file; see data_root"):
        samples.load(0)
    assert samples.load(1).sample_id == "2-2"


def named(folder: Path, name: str) -> Any:
    """Samples of two persons, the first of whose images is called `name`."""
    write(folder, [person(1), person(2, 2)], images=(1, 2))
    content = json.loads((folder / "persons.json").read_text())
    content["images"][0]["file_name"] = name
    (folder / "persons.json").write_text(json.dumps(content))
    return source(dataset(folder))


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "pipe.jpg", "."])
def test_an_image_that_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    """A device and a pipe would be read without end."""
    for pipe in ("pipe", "pipe.jpg"):
        os.mkfifo(tmp_path / pipe)
    samples = named(tmp_path, name)
    with pytest.raises(DataError, match=r"sample 1-1, image .*it is no file, but a folder, a pipe or a device"):
        samples.load(0)
    assert samples.load(1).sample_id == "2-2"


@pytest.mark.parametrize("absolute", [True, False])
def test_an_image_may_lie_outside_the_data_root(tmp_path: Path, absolute: bool) -> None:
    """An annotation file may name any image that the user can read, as MMPose has it; SECURITY.md says so."""
    inside, outside = tmp_path / "data", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    write(outside, [person(1)])
    samples = named(inside, str(outside / "1.png") if absolute else "../other/1.png")
    assert Path(samples.load(0).image_path).resolve() == (outside / "1.png").resolve()
