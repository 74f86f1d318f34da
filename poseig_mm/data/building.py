"""A config's data set, built as its user wrote it but for what a diagnosis cannot do without."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError, did_you_mean
from ..mmpose_config import SPLITS, dataset_config, inner_datasets
from .annotation_files import broken_file
from .annotations import counted, left_out, read_content
from .joint_names import complete_built, complete_written

logger = logging.getLogger(__name__)


def build_dataset(cfg: Any, split: str, notes: list[str]) -> Any:
    """The data set of a config's dataloader, with annotated boxes, initialised.

    Args:
        cfg: an MMPose config; it is not changed.
        split: 'test' or 'val': whose dataloader.
        notes: gets a sentence for each thing that differs from the config.

    Raises:
        ConfigError: there is no such dataloader, or it names something that does not exist.
        DataError: the annotations cannot be read, or hold no person.
    """
    from mmpose.registry import DATASETS

    loader = cfg.get(f"{split}_dataloader")
    place = f"{split}_dataloader"
    inside = loader.get("dataset") if isinstance(loader, dict) else loader
    for name, value in ((place, loader), (f"{place}['dataset']", inside)):
        if isinstance(value, (list, tuple)):
            raise ConfigError(
                f"the config's {name} is a list of {len(value)}; expected one: a diagnosis is of one data set. Write "
                f"{name} = {name}[0] at the end of the config, or put a CombinedDataset around them"
            )
    if not dataset_config(cfg, split):
        raise _no_dataset(cfg, split)
    _register(cfg)
    wanted = copy.deepcopy(loader["dataset"])
    if not wanted.get("type"):
        raise ConfigError(f"the config's {split}_dataloader.dataset has no `type`; expected a data set of MMPose")
    for inner in inner_datasets(wanted):
        _check_type(inner, DATASETS)
        _adapt(inner, notes)
        kind = inner.get("type")
        cls = DATASETS.get(kind) if isinstance(kind, str) else kind
        described = inner.get("metainfo") or getattr(cls, "METAINFO", None) or not inner.get("ann_file")
        content = {} if described else read_content(str(_paths(inner)[0]))
        complete_written(inner, cls, content, notes)
    option = f"--cfg-options {split}_dataloader.dataset.data_root=DIR (or .ann_file=FILE, .data_prefix.img=DIR)"
    try:
        with _quiet():
            dataset = DATASETS.build(wanted)
            dataset.full_init()
    except Exception as error:
        if broken := _broken_file(wanted):
            raise DataError(f"the data set of {split}_dataloader cannot be read: {broken}") from error
        if isinstance(error, TypeError) or " is not in the " in str(error):  # an argument, or a name in a registry
            text = f"the data set of {split}_dataloader cannot be built: {error}; correct its config"
            raise ConfigError(text) from error
        if _is_empty(error):
            raise _no_person(split, wanted, option) from error
        raise DataError(
            f"the data set of {split}_dataloader cannot be read: {type(error).__name__}: {error}. Its annotations: "
            f"{_files(wanted)}. Give the right place with {option}"
        ) from error
    if not len(dataset):
        raise _no_person(split, wanted, option)
    complete_built(dataset, notes)
    return dataset


def _register(cfg: Any) -> None:
    """What the config's names are looked up in."""
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    if cfg.get("custom_imports"):
        import_modules_from_strings(**cfg["custom_imports"])
    init_default_scope(cfg.get("default_scope", "mmpose"))


def pipeline_and_metainfo(cfg: Any, split: str, notes: list[str]) -> tuple[list[Any], Mapping[str, Any]]:
    """What a data set of the config does to a picture, and whose joints it has; no annotation is read.

    Args:
        cfg: an MMPose config; it is not changed.
        split: whose dataloader; of data sets inside others, the outermost one that has a pipeline.
        notes: gets a sentence where metainfo is filled in.

    Raises:
        ConfigError: there is no such data set or pipeline, or a name in it that is not registered.
    """
    from mmengine.dataset import Compose
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.registry import DATASETS

    _register(cfg)
    datasets = [copy.deepcopy(one) for one in inner_datasets(dataset_config(cfg, split)) if one.get("pipeline")]
    if not datasets:
        raise _no_dataset(cfg, split)
    dataset = datasets[0]
    _check_type(dataset, DATASETS)
    kind = dataset.get("type")
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    complete_written(dataset, cls, {}, notes)
    written = dataset.get("metainfo") or getattr(cls, "METAINFO", None)
    if not written:
        raise ConfigError(
            f"the data set of {split}_dataloader has no metainfo, so that its joints have no names; give it one: "
            "metainfo=dict(from_file='configs/_base_/datasets/coco.py')"
        )
    try:
        transforms = list(Compose(dataset["pipeline"]).transforms)
        return transforms, parse_pose_metainfo(dict(copy.deepcopy(written)))
    except Exception as error:
        raise ConfigError(
            f"the pipeline or the metainfo of {split}_dataloader's data set cannot be built: {error}; correct it"
        ) from error


def _no_dataset(cfg: Any, split: str) -> ConfigError:
    """Which splits there are instead, of those that can be taken."""
    given = (cfg.get(f"{split}_dataloader") or {}) if isinstance(cfg.get(f"{split}_dataloader"), Mapping) else {}
    what = f"the config has no {split}_dataloader.dataset"
    if dataset := given.get("dataset"):
        what = f"the config's {split}_dataloader.dataset is a {type(dataset).__name__}; expected one data set's dict"
    usable = [one for one in SPLITS if not isinstance(cfg.get(f"{one}_dataloader"), list) and dataset_config(cfg, one)]
    if usable:
        return ConfigError(f"{what}. Take its {usable[0]}_dataloader: diagnosis.samples.split={usable[0]!r}")
    train = ""
    if dataset_config(cfg, "train"):
        train = " (its train_dataloader changes images at random, and cannot be taken as it is)"
    return ConfigError(
        f"{what}{train}. Add {split}_dataloader = dict(dataset=dict(type=..., ann_file=..., pipeline=[...])), with "
        "annotated boxes and the pipeline of a test"
    )


def _is_empty(error: Exception) -> bool:
    """mmengine packs all entries into one array, and NumPy has none to begin with where there are no entries."""
    return isinstance(error, ValueError) and "at least one array" in str(error)


def _no_person(split: str, wanted: Any, option: str) -> DataError:
    contents = [content for path in _paths(wanted) if (content := read_content(str(path)))]
    causes = sum((left_out(content, ()) for content in contents), Counter[str]())
    why = f" ({counted(sum(causes.values()), causes)})" if causes else ""
    return DataError(
        f"the data set of {split}_dataloader holds no person with a box and annotated keypoints{why}; its annotations: "
        f"{_files(wanted)}. Take another annotation file with {option}"
    )


def _check_type(dataset: Any, registry: Any) -> None:
    kind = dataset.get("type")
    if isinstance(kind, str) and registry.get(kind) is None:
        raise ConfigError(
            f"no data set {kind!r} is registered; {did_you_mean(kind, registry.module_dict)}. If it is your own, name "
            "its module in the config's custom_imports"
        )


def _adapt(dataset: Any, notes: list[str]) -> None:
    """Detected boxes out: they carry no keypoints to compare with.  MPII's head sizes too, where the file is missing.

    A bottom-up data set gives one entry an image; a diagnosis is about one person, so it gives one a person.
    """
    if dataset.get("data_mode") == "bottomup":
        notes.append("persons are diagnosed one by one, each in its whole image (the config's data_mode is 'bottomup')")
        dataset["data_mode"] = "topdown"
    if dataset.get("bbox_file"):
        notes.append(f"annotated boxes are used instead of the detections in {dataset['bbox_file']}")
        dataset["bbox_file"] = None
    heads = dataset.get("headbox_file")
    if heads and not Path(str(heads)).is_file():
        notes.append(f"head sizes are left out (PCKh alone needs them): there is no {heads}")
        dataset["headbox_file"] = None


def _files(dataset: Any) -> str:
    files = [f"{path}{'' if path.is_file() else ' (no such file)'}" for path in _paths(dataset)]
    return ", ".join(files) or "no ann_file is given"


def _broken_file(dataset: Any) -> str:
    """The first fault of an annotation file, with entry and key; '' where none is found."""
    for path in _paths(dataset):
        if entry := broken_file(str(path)):
            return f"{path}: {entry}"
    return ""


def _paths(dataset: Any) -> list[Path]:
    """The annotation files of a data set's config."""
    inner = [one for one in inner_datasets(dataset) if one.get("ann_file")]
    return [Path(str(one.get("data_root") or "")) / str(one["ann_file"]) for one in inner]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """COCO's API prints what it does; that goes to the log."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        yield
    for line in text.getvalue().splitlines():
        logger.debug("%s", line)
