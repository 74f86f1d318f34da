"""The models that are measured: shipped MMPose configs with random weights (time only) and trained ones (accuracy
too).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
COCO = "mmpose::body_2d_keypoint/{}".format
RANDOM = {
    "SB-R50": COCO("topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py"),
    "HRNet-W32": COCO("topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py"),
    "RTMPose-m": COCO("rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py"),
    "RLE-R50": COCO("topdown_regression/coco/td-reg_res50_rle-8xb64-210e_coco-256x192.py"),
}
VISIBLE = 11  # of 17 joints: the mean of a COCO person
TRAINED = ("SimplePose-MobileNetV2", "BlazePose heatmap")


@dataclass(frozen=True)
class Case:
    """A model with persons to measure on: images (N, 3, H, W), keypoints (N, K, 2) px with NaN where not visible."""

    name: str
    adapter: object
    images: Tensor
    keypoints: Tensor
    trained: bool
    mask: Tensor | None = None  # (N, 1, H, W) bool, of trained models


def load(name: str, persons: int) -> Case:
    """A case by name.

    Raises:
        FileNotFoundError: the trained COCO model or the sample images are not there.
    """
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    make: Callable[[str, int], Case] = _random if name in RANDOM else _trained
    return make(name, persons)


def _random(name: str, persons: int) -> Case:
    from mmengine.config import Config

    from poseig_mm.api import load_adapter

    path = Config._get_cfg_path(RANDOM[name], "")[0]
    torch.manual_seed(0)
    adapter = load_adapter(Config.fromfile(path))
    width, height = adapter.input_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(persons, 3, height, width, generator=generator)
    keypoints = torch.rand(persons, len(adapter.keypoint_names), 2, generator=generator) * torch.tensor([width, height])
    keypoints[:, VISIBLE:] = torch.nan
    return Case(name, adapter, images, keypoints, trained=False)


def _trained(name: str, persons: int) -> Case:
    from mmengine.config import Config

    from poseig_mm.api import load_adapter
    from poseig_mm.data.samples import SampleSource

    data = SHARED / "weights" / "simplepose_coco_256x192.py"
    if not data.is_file():
        raise FileNotFoundError(f"{data} is not there; the trained model and the COCO samples are needed")
    sys.path.insert(0, str(data.parent))
    config = Config.fromfile(data)
    config.test_dataloader.dataset.data_root = str(SHARED / "data" / "coco") + "/"
    if name == TRAINED[0]:
        adapter = load_adapter(config, data.parent / "simplepose_mobilenetv2_coco_256x192.pth")
    else:
        adapter = load_adapter(ROOT / "configs" / "demo" / "blazepose_heatmap.py")
        pipeline = config.test_dataloader.dataset.pipeline
        pipeline[1].padding = 1.4  # a square of 1.4 times the longer side (plugins/mediapipe_models/README.md)
        pipeline[2].input_size = (256, 256)
    source = SampleSource(config, preprocess=adapter.model.data_preprocessor)
    samples = [source.load(i) for i in range(min(persons, len(source)))]
    images, visible = (torch.stack([getattr(s, k) for s in samples]) for k in ("image", "visible"))
    keypoints = torch.stack([s.keypoints for s in samples]).where(visible[..., None], torch.nan)
    adapter.calibrate(images, joints=visible)
    masks = [torch.zeros(images.shape[2:], dtype=torch.bool) if s.mask is None else s.mask for s in samples]
    return Case(name, adapter, images, keypoints, trained=True, mask=torch.stack(masks)[:, None])
