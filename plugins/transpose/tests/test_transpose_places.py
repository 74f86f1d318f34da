"""A place in the picture comes back: through the config's crop, the official code's target, and the config's decoding.

The truth is in pixels: a spot is drawn at a known place of the picture, and its centre measured in the crop.  The
heatmap around it is the official code's: corners aligned, so 47 cells for 191 px across and 63 for 255 px down, a
Gaussian of sigma 2 around the unrounded place.  A head that gives this heatmap must lead back to the spot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from poseig_transpose.variants import VARIANTS, model_config
from torch import Tensor

from poseig_mm.adapters.heatmap import HeatmapAdapter

CONFIGS = Path(__file__).parents[3] / "configs" / "transpose"
BOX = (200.0, 90.0, 130.0, 210.0)  # (x, y, w, h), px of the picture
SPOTS = ((202.3, 95.6), (265.0, 195.0), (321.7, 291.2), (240.45, 120.9), (205.1, 290.3))
PAIRS = [0, 2, 1, *range(3, 17)]  # joints 1 and 2 are a pair, which a flip exchanges
NEAR = 0.05  # px


def config_of(name: str) -> Any:
    """The config of a published model."""
    from mmengine.config import Config

    path = CONFIGS / f"transpose_{name.replace('-', '_')}_coco-256x192.py"
    if not path.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    return Config.fromfile(str(path))


def cropped(config: Any, spot: tuple[float, float]) -> tuple[Tensor, Any]:
    """(1, 3, 256, 192) of a picture with one round spot, and its data sample; by the config's test pipeline."""
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    y, x = np.mgrid[:400, :500].astype(np.float32)
    picture = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 6.0**2))[..., None].repeat(3, 2)
    info = {
        **{"img": picture, "img_shape": (400, 500), "ori_shape": (400, 500), "img_id": 1, "id": 1, "img_path": ""},
        **{"bbox": np.array([[BOX[0], BOX[1], BOX[0] + BOX[2], BOX[1] + BOX[3]]], dtype=np.float32)},
        **{"bbox_score": np.ones(1, dtype=np.float32), "flip_indices": PAIRS},
        **{"keypoints": np.full((1, 17, 2), spot, dtype=np.float32), "keypoints_visible": np.ones((1, 17))},
    }
    with DefaultScope.overwrite_default_scope("mmpose"):
        packed = Compose([step for step in config.test_dataloader.dataset.pipeline if step.type != "LoadImage"])(info)
    return packed["inputs"][None].float(), packed["data_samples"]


def centre(images: Tensor) -> Tensor:
    """(2,) (x, y) of the spot, px of the input."""
    height, width = images.shape[-2:]
    weights = images[0, 0].double()
    x, y = torch.arange(width, dtype=torch.float64), torch.arange(height, dtype=torch.float64)
    return torch.stack([weights.sum(0) @ x, weights.sum(1) @ y]) / weights.sum()


def official_target(place: Tensor) -> Tensor:
    """(1, 17, 64, 48) float32, all joints at one place (2,) of the input."""
    u, v = place[0] * 47 / 191, place[1] * 63 / 255
    x, y = torch.arange(48.0), torch.arange(64.0)[:, None]
    return torch.exp(-((x - u).square() + (y - v).square()) / (2 * 2.0**2)).float().expand(1, 17, 64, 48)


def model_of(config: Any) -> Any:
    """Its model, whose features are the input itself and whose head gives the official target of the spot there."""
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(config.model)
    model.extract_feat = lambda images: images
    model.head.forward = lambda images: official_target(centre(images)).clone()
    return model


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_spot_in_the_picture_comes_back(name: str) -> None:
    """To a twentieth of a pixel, by MMPose's own `predict` with the flip test: the mirrored picture has no shift."""
    config = config_of(name)
    model = model_of(config)
    assert model.test_cfg["flip_test"]
    for spot in SPOTS:
        images, sample = cropped(config, spot)
        found = model.predict(images, [sample])[0].pred_instances.keypoints[0]
        assert np.abs(found - np.array(spot)).max() < NEAR


@pytest.mark.parametrize("spot", SPOTS)
def test_the_adapter_has_the_spot_in_pixels_of_the_input(spot: tuple[float, float]) -> None:
    """Where it is drawn in the crop are the keypoints, the model's own decoding, and the soft-argmax' mean."""
    config = config_of("r-a4")
    images, sample = cropped(config, spot)
    place = centre(images)
    assert np.abs(np.asarray(sample.gt_instances.keypoints) - np.array(spot)).max() < 1e-4
    adapter = HeatmapAdapter(model_of(config), beta=1.0)
    with torch.no_grad():
        own, _ = adapter.own_decoding(images, images)
        soft = adapter.decode(official_target(place).log()).coords
    assert (own[0] - place).abs().max() < NEAR
    assert (soft[0] - place).abs().max() < NEAR


def test_training_has_the_same_crop_and_codec() -> None:
    """Each published model's training encodes with the codec its head decodes with, in a crop with aligned corners."""
    for name in VARIANTS:
        config = config_of(name)
        decoder = dict(config.model.head.decoder)
        assert decoder == model_config(name)["head"]["decoder"]
        (target,) = [step for step in config.train_dataloader.dataset.pipeline if step.type == "GenerateTarget"]
        assert dict(target.encoder) == decoder
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            (crop,) = [step for step in loader.dataset.pipeline if step.type == "TopdownAffine"]
            assert crop.use_udp
            assert tuple(crop.input_size) == (192, 256)
        assert config.model.test_cfg.shift_heatmap is False
