"""Data that a run must not begin with, because every number of it would be of something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawn_coordinates import BOXED, CROP, LOAD, PACK, dataset, person, source, write

from poseig_mm.data.building import build_dataset
from poseig_mm.data.joint_names import complete_built
from poseig_mm.errors import ConfigError, DataError

HERE = Path(__file__).parents[3] / "shared" / "data" / "interhand2.6m"


@pytest.fixture
def folder(mmpose_ready: None, tmp_path: Path) -> Path:
    """One person."""
    return write(tmp_path, [person(1)])


@pytest.mark.parametrize(
    "people",
    [[], [person(1, joints={})], [person(1, iscrowd=1)], [person(1, bbox=[60, 30, 0, 90])]],
    ids=["no annotation", "no joint", "a crowd", "an empty box"],
)
def test_nobody_is_said_to_be_nobody(mmpose_ready: None, tmp_path: Path, people: Any) -> None:
    """Not 'need at least one array to concatenate', which is all that mmengine says."""
    write(tmp_path, people)
    with pytest.raises(DataError, match="holds no person"):
        source(dataset(tmp_path))


def test_an_unknown_transform_is_the_configs_error(folder: Path) -> None:
    """It is named; nobody is sent to look for annotation files."""
    with pytest.raises(ConfigError, match="LoadImg"):
        source(dataset(folder, [{"type": "LoadImg"}, BOXED, CROP, PACK]))


def test_joints_that_the_metainfo_does_not_name_are_refused(folder: Path) -> None:
    """A converter to 19 joints over a data set that says it has COCO's 17: names would slip."""
    convert = {"type": "KeypointConverter", "num_keypoints": 19, "mapping": [(i, i) for i in range(17)]}
    samples = source(dataset(folder, [LOAD, convert, BOXED, CROP, PACK]))
    with pytest.raises(DataError, match=r"sample 1-1.*gives 19 joints.*names 17"):
        samples.load(0)


def test_weights_beside_visibility_are_not_visibility(folder: Path) -> None:
    """A converter gives (K, 2), visibility and weight; a joint that it maps, but that nobody annotated, stays NaN."""
    convert = {"type": "KeypointConverter", "num_keypoints": 17, "mapping": [(i, i) for i in range(6)]}
    sample = source(dataset(folder, [LOAD, convert, BOXED, CROP, PACK])).load(0)
    assert sample.visible.nonzero().flatten().tolist() == [0, 1, 5]
    assert sample.keypoints.isfinite().all(1).nonzero().flatten().tolist() == [0, 1, 5]


@pytest.mark.skipif(not HERE.is_dir(), reason=f"sample data not found at {HERE}")
def test_joints_with_depth_are_refused_before_the_run(mmpose_ready: None) -> None:
    """InterHand3D's have x, y and z: without z it would be another task, under the same name."""
    import mmpose
    from mmengine.config import Config
    from mmpose.registry import MODELS

    from poseig_mm.data.samples import SampleSource

    path = "hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py"
    cfg = Config.fromfile(Path(mmpose.__file__).parent / ".mim" / "configs" / path)
    files = {"ann_file": "data", "camera_param_file": "camera", "joint_file": "joint_3d"}
    cfg.test_dataloader.dataset.update({key: f"test_interhand2.6m_{name}.json" for key, name in files.items()})
    cfg.test_dataloader.dataset.update(data_root=f"{HERE}/", data_prefix={"img": ""})
    with pytest.raises(DataError, match="3 coordinates; expected 2"):
        SampleSource(cfg, preprocess=MODELS.build(cfg.model.data_preprocessor))


def _loaders(**loaders: Any) -> Any:
    from mmengine.config import Config

    return Config({f"{split}_dataloader": loader for split, loader in loaders.items()})


@pytest.mark.parametrize(
    ("loaders", "said"),
    [
        ({"val": {"dataset": {"type": "CocoDataset"}}}, "diagnosis.samples.split='val'"),
        ({"train": {"dataset": {"type": "CocoDataset"}}}, "train_dataloader changes images at random"),
        ({"test": None, "val": {}, "train": None}, "Add test_dataloader = dict"),
        ({"test": [{"dataset": {}}, {"dataset": {}}]}, r"test_dataloader = test_dataloader\[0\]"),
        ({"test": {"dataset": [{"type": "CocoDataset"}]}}, r"test_dataloader\['dataset'\] is a list"),
        ({"test": {"dataset": {"ann_file": "a.json"}}}, "has no `type`"),
        ({"test": "the test dataset"}, "Add test_dataloader = dict"),
    ],
)
def test_a_split_that_is_offered_can_be_taken(mmpose_ready: None, loaders: Any, said: str) -> None:
    """'train' is none of them; and what is no data set is said to be none."""
    with pytest.raises(ConfigError, match=said) as refusal:
        build_dataset(_loaders(**loaders), "test", [])
    assert "split='train'" not in str(refusal.value)


def test_metainfo_as_it_is_written_names_the_joints(folder: Path) -> None:
    """A data set of MMEngine's, which leaves METAINFO unparsed: names, sides and bones are there all the same."""
    from mmengine.dataset import BaseDataset
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    class Other(BaseDataset):
        METAINFO = {"from_file": "configs/_base_/datasets/coco.py"}  # noqa: RUF012

        def load_data_list(self) -> list[dict[str, Any]]:
            return [{}]

    dataset, notes = Other(), list[str]()
    complete_built(dataset, notes)
    assert dataset.metainfo["keypoint_id2name"][9] == "left_wrist"
    assert dataset.metainfo["flip_pairs"] == parse_pose_metainfo(Other.METAINFO)["flip_pairs"]
    assert not notes


@pytest.mark.parametrize("info", [["nose", "chin"], [{"name": "nose"}, {"id": 1}], {0: "nose", 1: None}, "nc"])
def test_metainfo_of_another_form_numbers_the_joints(mmpose_ready: None, info: Any) -> None:
    """Two joints, whatever stands there; a name that is there is kept."""
    from mmengine.dataset import BaseDataset

    class Other(BaseDataset):
        METAINFO = {"keypoint_info": info}  # noqa: RUF012

        def load_data_list(self) -> list[dict[str, Any]]:
            return [{}]

    dataset, notes = Other(), list[str]()
    complete_built(dataset, notes)
    first = "nose" if info[0] == {"name": "nose"} else "joint_0"
    assert dataset.metainfo["keypoint_id2name"] == {0: first, 1: "joint_1"}
    assert "numbered" in notes[0]
