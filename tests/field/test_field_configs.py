"""Configs as users bring them: one of each kind, made of one small working config.

To add a kind, add an entry to `CONFIGS`: what it is called, what it makes of the working config's text, and the
outcome. Others: wrappers, detected boxes and data sets without metainfo in
`tests/data/test_sample_wrappers.py` and `tests/data/test_sample_trouble.py`; wrong settings of `diagnosis` in
`tests/test_settings.py`; distillers in `tests/adapters/test_distillers.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny import tables, tiny

from poseig_mm import Plugins, Session
from poseig_mm.errors import PoseIGError
from poseig_mm.run.open import load_config
from poseig_mm.store import Store

Make = Callable[[Path, str], Any]  # (folder, text of config.py) -> its text, or another config's path


@dataclass(frozen=True)
class Kind:
    """A config: what makes it, and the outcome.

    Attributes:
        make: see `Make`.
        note: a regular expression that a note of the run must match.
        refused: what the error says that the run is refused with; '' where all numbers are those of the plain config.
    """

    make: Make
    note: str = ""
    refused: str = ""


def added(text: str, note: str = "") -> Kind:
    """With lines at its end."""
    return Kind(lambda folder, config: config + text, note)


def replaced(old: str, new: str, note: str = "", refused: str = "") -> Kind:
    """With one text in the place of another."""

    def make(folder: Path, config: str) -> str:
        assert old in config
        return config.replace(old, new)

    return Kind(make, note, refused)


def refused(text: str, says: str) -> Kind:
    return Kind(lambda folder, config: config + text, refused=says)


def with_base(folder: Path, config: str) -> str:
    """Three levels of `_base_`, each overriding a little, one by a list."""
    (folder / "base").mkdir()
    (folder / "base" / "whole.py").write_text(config.replace("batch_size=1", "batch_size=7"))
    (folder / "base" / "nothing.py").write_text("unused = 1\n")
    (folder / "middle.py").write_text(
        "_base_ = ['base/whole.py', './base/nothing.py']\nmodel = dict(test_cfg=dict())\n"
    )
    return "_base_ = 'middle.py'\nval_dataloader = dict(batch_size=3)\n"


def lazy(folder: Path, config: str) -> str:
    """MMEngine's pure Python style: imports in the place of `_base_`, classes in the place of names."""
    (folder / "lazy_base.py").write_text(config)
    return (
        "from mmengine.config import read_base\n"
        "from mmpose.datasets import CocoDataset\n"
        "from mmpose.models import TopdownPoseEstimator\n"
        "with read_base():\n    from .lazy_base import *\n"
        "model.update(dict(type=TopdownPoseEstimator))\n"
        "test_dataloader['dataset']['type'] = CocoDataset\n"
    )


def as_json(folder: Path, config: str) -> Path:
    from mmengine.config import Config

    (folder / "plain.py").write_text(config)
    path = folder / "config.json"
    path.write_text(json.dumps(Config.fromfile(str(folder / "plain.py")).to_dict()))
    return path


def as_yaml(folder: Path, config: str) -> Path:
    from mmengine.config import Config

    (folder / "plain.py").write_text(config)
    path = folder / "config.yaml"
    path.write_text(json.dumps(Config.fromfile(str(folder / "plain.py")).to_dict()))  # JSON is YAML
    return path


def own_class(folder: Path, config: str) -> str:
    """A data set class in a module beside the config."""
    (folder / "field_own_data.py").write_text(
        "from mmpose.datasets import CocoDataset\nfrom mmpose.registry import DATASETS\n\n"
        "@DATASETS.register_module(force=True)\nclass FieldData(CocoDataset):\n    pass\n"
    )
    return config.replace("imports=['mmpose']", "imports=['mmpose', 'field_own_data']").replace(
        "type='CocoDataset'", "type='FieldData'"
    )


def own_metainfo(change: str) -> Make:
    """COCO's as a file beside the config, with a change."""

    def make(folder: Path, config: str) -> str:
        import mmpose

        shipped = Path(mmpose.__file__).parent / ".mim" / "configs" / "_base_" / "datasets" / "coco.py"
        (folder / "own.py").write_text(shipped.read_text() + change)
        return config + f"test_dataloader['dataset']['metainfo'] = dict(from_file={str(folder / 'own.py')!r})\n"

    return make


def nested(folder: Path, config: str) -> str:
    return config + (
        "part = dict(test_dataloader['dataset'])\npipeline_of_all = part.pop('pipeline')\n"
        "metainfo = dict(from_file='configs/_base_/datasets/coco.py')\n"
        "both = dict(type='CombinedDataset', metainfo=metainfo, datasets=[dict(part, pipeline=[])],\n"
        "            pipeline=pipeline_of_all, test_mode=True)\n"
        "test_dataloader['dataset'] = dict(type='RepeatDataset', times=2, dataset=both)\n"
    )


def binary(folder: Path, config: str) -> Path:
    path = folder / "weights.py"
    path.write_bytes(b"PK\x03\x04\xff\xfe" + bytes(100))
    return path


def metainfo_in_json(folder: Path, config: str) -> Path:
    """Where numbers of joints, which are keys, are texts."""
    import mmpose
    from mmengine.config import Config

    shipped = Path(mmpose.__file__).parent / ".mim" / "configs" / "_base_" / "datasets" / "coco.py"
    (folder / "plain.py").write_text(config)
    cfg = Config.fromfile(str(folder / "plain.py")).to_dict()
    cfg["test_dataloader"]["dataset"]["metainfo"] = Config.fromfile(str(shipped)).dataset_info.to_dict()
    path = folder / "config.json"
    path.write_text(json.dumps(cfg))
    return path


DATA = "test_dataloader['dataset']"
CONFIGS: dict[str, Kind] = {
    "plain": added(""),
    # how it is written
    "a chain of _base_": Kind(with_base),
    "pure Python": Kind(lazy),
    "JSON": Kind(as_json),
    "YAML": Kind(as_yaml),
    "with what only trainings use": added(
        "train_cfg = dict(by_epoch=True, max_epochs=2)\noptim_wrapper = dict(optimizer=dict(type='Nothing', lr=1))\n"
        "default_hooks = dict(checkpoint=dict(type='Unknown'))\nvisualizer = dict(type='Nobody', vis_backends=[])\n"
        "launcher = 'slurm'\nresume = True\nval_evaluator = test_evaluator = dict(type='NoMetric')\n"
    ),
    "with workers": added("test_dataloader.update(batch_size=64, num_workers=4, persistent_workers=True)\n"),
    "a broken line": refused("model = dict(\n", "config .* cannot be read: SyntaxError"),
    "a missing _base_": Kind(lambda f, c: "_base_ = 'gone.py'\n", refused="cannot be read: .*gone.py"),
    "a missing import": refused(
        "custom_imports = dict(imports=['field_gone'], allow_failed_imports=False)\n", "field_gone.*"
    ),
    "nothing at all": Kind(lambda f, c: "", refused="has no `model`; expected an MMPose config"),
    "a folder": Kind(lambda f, c: f, refused="give the path of an MMPose config"),
    "bytes": Kind(binary, refused="cannot be read"),
    # its model
    "pretrained weights": added("model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='http://gone/w.pth')\n"),
    "synchronised batch norm": added("model['backbone']['norm_cfg'] = dict(type='SyncBN')\n"),
    "a flip test": added("model['test_cfg'] = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)\n"),
    "an unknown head": refused("model['head']['type'] = 'HeatmapHed'\n", "cannot be built: .*HeatmapHed"),
    "an unknown argument": refused("model['head']['channels'] = 3\n", "cannot be built: TypeError: .*channels"),
    "a detector": refused("model = dict(type='mmdet.FasterRCNN')\n", "cannot be built"),
    # its data
    "val alone": replaced(
        "test_dataloader = val_dataloader", "val_dataloader", refused="no test_dataloader.*val_data.*samples.split"
    ),
    "val alone, asked for": Kind(
        lambda f, c: c.replace("test_dataloader = val_dataloader", "val_dataloader")
        + "diagnosis['samples'] = dict(split='val')\n"
    ),
    "a list of dataloaders": refused(
        "test_dataloader = [test_dataloader]\n", r"a list of 1; expected one.*test_dataloader\[0\]"
    ),
    "a list of data sets": refused(f"test_dataloader['dataset'] = [{DATA}]\n", r"\['dataset'\] is a list of 1; exp"),
    "wrappers inside one another": Kind(nested, "6 entries of 3 persons: each is taken once"),
    "a data set class of its own": Kind(own_class),
    "an unknown class": replaced("'CocoDataset'", "'CocoDatset'", refused="did you mean 'CocoDataset'"),
    "bottom-up data, top-down pipeline": replaced("data_mode='topdown'", "data_mode='bottomup'", "one by one"),
    "without test_mode": replaced("test_mode=True, ", ""),
    "the first persons": added(f"{DATA}['indices'] = 3\n"),
    "the whole path": added(
        f"root = {DATA}.pop('data_root')\n{DATA}.update(ann_file=root + 'persons.json', data_prefix=dict(img=root))\n"
    ),
    "a path without its end": added(f"{DATA}['data_root'] = {DATA}['data_root'].rstrip('/')\n"),
    "detected boxes": added(f"{DATA}['bbox_file'] = 'detections.json'\n", "instead of the detections in det"),
    "a wrong place": refused(f"{DATA}['data_root'] = '/nowhere'\n", r"/persons.json \(no such file\).*data_root=DIR"),
    "no crop": replaced(
        "dict(type='TopdownAffine', input_size=(64, 64)), ", "", refused="exactly one TopdownAffine.*it holds LoadImage"
    ),
    "no packing": replaced(", dict(type='PackPoseInputs')", "", refused="must end with PackPoseInputs"),
    # its metainfo
    "metainfo by name": added(f"{DATA}['metainfo'] = dict(from_file='configs/_base_/datasets/coco.py')\n"),
    "metainfo of its own": Kind(own_metainfo("")),
    "metainfo in JSON": Kind(metainfo_in_json),
    "metainfo of no file": refused(f"{DATA}['metainfo'] = dict(from_file='gone.py')\n", "is 'gone.py', which does not"),
    "metainfo without itself": Kind(own_metainfo("del dataset_info\n"), refused="own.py cannot be read.*dataset_info"),
    "a bone of no joint": Kind(
        own_metainfo("dataset_info['skeleton_info'][0]['link'] = ('left_ankle', 'tail')\n"),
        "speaks of 'tail', which it does not name: 1 bones",
    ),
    "bones left out": Kind(own_metainfo("del dataset_info['skeleton_info']\n"), "no skeleton_info: it is filled in"),
    "a partner of no joint": Kind(
        own_metainfo("dataset_info['keypoint_info'][1]['swap'] = 'right_eyes'\n"), "'right_eyes'.*1 joints have no part"
    ),
    "too few sigmas": Kind(own_metainfo("dataset_info['sigmas'] = [0.1]\n")),
    "fewer joints": Kind(
        own_metainfo(
            "for k in range(14, 17): del dataset_info['keypoint_info'][k]\n"
            "dataset_info['skeleton_info'] = {}\nfor key in ('sigmas', 'joint_weights'):\n"
            "    dataset_info[key] = dataset_info[key][:14]\n"
        ),
        refused="17 joints.*14|14 joints.*17|predicts 17 joints.*14",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config(
    name: str, tiny_files: tiny, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers are the plain config's, or the run is refused with the cause."""
    kind, files = CONFIGS[name], tiny_files
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    config = kind.make(folder, files.config.read_text())
    if isinstance(config, str):
        (folder / "config.py").write_text(config)
        config = folder / "config.py"

    def diagnose() -> Store:
        cfg = load_config(config)
        return Session(
            cfg, files.weights, work_dir=tmp_path / "w", device="cpu", plugins=Plugins(entry_points=False)
        ).run()

    if kind.refused:
        with pytest.raises(PoseIGError) as caught:
            diagnose()
        assert re.search(kind.refused, str(caught.value), re.DOTALL), str(caught.value)
        return
    store = diagnose()
    assert tables(store) == tables(tiny_store)
    assert not store.failures
    notes = "\n".join([*store.run["notes"], *(check["found"] for check in store.run["preflight"])])
    assert re.search(kind.note, notes), notes
