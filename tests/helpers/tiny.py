"""A whole diagnosis in about a second: a drawn COCO data set of three persons, and a config for a tiny model over it.

Importing this loads neither torch nor MMPose, so that it serves tests of the bare command line too.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poseig_mm import Session
    from poseig_mm.store import Store

__all__ = [
    "HANGS",
    "IDS",
    "ROOT",
    "TABLES",
    "annotations",
    "command",
    "run",
    "session",
    "tables",
    "tiny",
    "trainable",
    "visible",
    "visible_rows",
    "write_plugin",
    "write_run",
]

ROOT = Path(__file__).parents[2]
IDS = ("1-1", "1-2", "2-3")  # two persons in the first image, one in the second
HANGS = 900.0  # s, after which a process counts as hung: many times what the slowest takes on a machine that is busy
SIZE = 64  # the network's input, px
TABLES = ("joints", "samples", "relations")
VISIBLE = {1: (0, 5, 9, 16), 2: (5, 6, 13), 3: (0, 7, 15)}  # annotation id -> annotated joints
FAST = {"quadrature": "midpoint", "nodes": 2, "compute": "exact"}  # two gradients a joint, nothing to check first
# Box a person in an image of 120 x 100 px; keypoints lie on the box's diagonal, so that all are inside the crop.
BOXES = {1: (5.0, 5.0, 50.0, 80.0), 2: (60.0, 20.0, 45.0, 60.0), 3: (20.0, 10.0, 70.0, 80.0)}


def annotations() -> dict[str, Any]:
    """COCO's dictionary: polygons for 1 and 3, an uncompressed run length for 2."""
    found = []
    for number, (x, y, w, h) in BOXES.items():
        keypoints = []
        for k in range(17):
            shown = 2 if k in VISIBLE[number] else 0
            keypoints += [x + w * (k + 1) / 18, y + h * (k + 1) / 18, shown] if shown else [0, 0, 0]
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        found.append(
            {
                **{"id": number, "image_id": 1 if number < 3 else 2, "category_id": 1, "iscrowd": 0},
                **{"bbox": [x, y, w, h], "area": w * h, "keypoints": keypoints, "num_keypoints": len(VISIBLE[number])},
                "segmentation": [polygon] if number != 2 else {"size": [100, 120], "counts": [6500, 3000, 2500]},
            }
        )
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 120, "height": 100} for i in (1, 2)],
        "annotations": found,
        "categories": [{"id": 1, "name": "person"}],
    }


CONFIG = """
custom_imports = dict(imports={imports!r}, allow_failed_imports=False)
default_scope = 'mmpose'
codec = dict(type='MSRAHeatmap', input_size=({size}, {size}), heatmap_size=({size} // 4, {size} // 4), sigma=2)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,),
                  base_channels={channels}, stem_channels={channels}),
    head=dict(type='HeatmapHead', in_channels={channels}, out_channels={joints}, deconv_out_channels=None,
              deconv_kernel_sizes=None, decoder=codec))
pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=({size}, {size})), dict(type='PackPoseInputs')]
test_dataloader = val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CocoDataset', data_root={root!r}, data_mode='topdown', ann_file='persons.json',
                 data_prefix=dict(img=''), test_mode=True, pipeline=pipeline))
"""


TRAINING = """
train_dataloader = dict(
    batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(test_dataloader['dataset'], test_mode=False,
                 pipeline=[*pipeline[:-1], dict(type='GenerateTarget', encoder=codec), pipeline[-1]]))
model['head']['loss'] = dict(type='KeypointMSELoss', use_target_weight=True)
"""


class tiny:
    """The files of a tiny run in a folder: images, `persons.json`, `config.py`, `weights.pth`.

    Args:
        folder: for everything.
        diagnosis: the config's variable; None leaves it out.
        joints, channels: of the model; with other ones than the defaults no weights are written.
        annotate: changes the annotations in place.
    """

    def __init__(
        self,
        folder: Path,
        diagnosis: dict[str, Any] | None = None,
        *,
        joints: int = 17,
        channels: int = 8,
        annotate: Callable[[dict[str, Any]], None] | None = None,
        imports: Sequence[str] = ("mmpose",),
    ) -> None:
        import cv2
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.config, self.weights = folder, folder / "config.py", folder / "weights.pth"
        random = np.random.default_rng(0)
        for i in (1, 2):
            image = cv2.resize(random.integers(0, 255, (10, 12, 3), dtype=np.uint8), (120, 100))
            cv2.imwrite(str(folder / f"{i}.png"), image)
        self.annotations = annotations()
        if annotate is not None:
            annotate(self.annotations)
        (folder / "persons.json").write_text(json.dumps(self.annotations))
        about = {"size": SIZE, "root": f"{folder}/", "joints": joints, "channels": channels, "imports": list(imports)}
        text = CONFIG.format(**about)
        self.config.write_text(text + ("" if diagnosis is None else f"diagnosis = {diagnosis!r}\n"))

    def train(self) -> tiny:
        """Write weights: random, but of a size that makes peaks that move with the image."""
        import torch

        from poseig_mm.adapters.build_model import build_model

        torch.manual_seed(1)
        model = build_model(str(self.config))
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)
            if name == "head.final_layer.weight":
                with torch.no_grad():
                    parameter.mul_(0.2)
        torch.save({"state_dict": model.state_dict(), "meta": {}}, self.weights)
        return self


def write_run(folder: Path, diagnosis: dict[str, Any] | None = None, **options: Any) -> tiny:
    """`tiny` with weights, and with settings that make it fast (`diagnosis` adds to them)."""
    given = dict(diagnosis or {})
    given["attribution"] = {**FAST, **given.get("attribution", {})}
    given.setdefault("report", {"enabled": False})
    given.setdefault("indices", ["di", "fi", "li", "ri"])  # whatever else is installed here
    return tiny(folder, given, **options).train()


def trainable(made: tiny) -> tiny:
    """The same with training data: the same three persons."""
    with made.config.open("a") as file:
        file.write(TRAINING)
    return made


def session(made: tiny, work_dir: Path, settings: dict[str, Any] | None = None, **options: Any) -> Session:
    """A session over it, without installed plugins; `settings` replace 'attribution' or 'attribution.nodes'."""
    from mmengine.config import Config

    from poseig_mm import Plugins, Session

    config = Config.fromfile(str(made.config))
    for key, value in (settings or {}).items():
        section, _, name = key.partition(".")
        config.diagnosis[section] = {**config.diagnosis.get(section, {}), name: value} if name else value
    options["plugins"] = Plugins(load=options.get("plugins", ()), entry_points=False)
    return Session(config, made.weights, work_dir=work_dir, device="cpu", **options)


def run(made: tiny, work_dir: Path, settings: dict[str, Any] | None = None, **options: Any) -> Store:
    """The finished run of a `session`."""
    return session(made, work_dir, settings, **options).run()


class Near(float):
    """A number that equals one within rounding: processes with other thread counts add in another order."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, float):
            return False
        return (math.isnan(self) and math.isnan(other)) or math.isclose(self, other, rel_tol=2e-3, abs_tol=2e-3)

    __hash__ = None  # type: ignore[assignment]


def tables(store: Store, names: Sequence[str] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """What must be the same between two runs: the tables sorted, without the time they took and where maps lie."""
    found = {}
    for name in names:
        frame = getattr(store, name)().drop("seconds", "maps_file", strict=False)
        keys = [c for c in ("sample_id", "joint", "other") if c in frame.columns]
        found[name] = [tuple(Near(v) if isinstance(v, float) else v for v in row) for row in frame.sort(keys).rows()]
    return found


def visible(store: Store, sample_id: str | None = None) -> Any:
    """Rows of joints that have numbers."""
    rows = store.joints().filter(visible=True)
    return rows if sample_id is None else rows.filter(sample_id=sample_id)


def visible_rows(store: Store, *columns: str, sample_id: str | None = None) -> list[tuple[Any, ...]]:
    """Some columns of the visible joints, of one sample or all."""
    rows: list[tuple[Any, ...]] = visible(store, sample_id).select(columns).rows()
    return rows


def write_plugin(path: Path, body: str) -> Path:
    """A plugin file with `hookimpl` imported."""
    path.write_text(f"from poseig_mm import hookimpl\n\n{body}")
    return path


def command(*arguments: object) -> subprocess.Popen[str]:
    """`python tools/diagnose.py ...` as a process of its own."""
    line = [sys.executable, str(ROOT / "tools" / "diagnose.py"), *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
