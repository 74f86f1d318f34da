"""The configs MMPose ships, and a really trained model on real photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_models import SHARED, adapters, needs_shared

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.select import select_adapter

pytestmark = pytest.mark.usefixtures("mmpose_ready")
BODY = "body_2d_keypoint"
SHIPPED = {  # config -> adapter; the smallest of their kind
    f"{BODY}/topdown_heatmap/coco/td-hm_mobilenetv2_8xb64-210e_coco-256x192.py": "heatmap",
    f"{BODY}/topdown_heatmap/coco/td-hm_vipnas-mbv3_8xb64-210e_coco-256x192.py": "heatmap",
    f"{BODY}/topdown_heatmap/coco/td-hm_mspn50_8xb32-210e_coco-256x192.py": "heatmap",
    f"{BODY}/simcc/coco/simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py": "simcc",
    f"{BODY}/topdown_regression/coco/td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192.py": "regression",
    f"{BODY}/integral_regression/coco/ipr_res50_dsnt-8xb64-210e_coco-256x256.py": "integral",
}


@pytest.mark.parametrize("config", SHIPPED)
def test_a_shipped_config_becomes_an_adapter(config: str) -> None:
    """Built as it is, without a download: COCO's names, the config's input size, coordinates of the right shape."""
    import mmpose

    model = build_model(Path(mmpose.__file__).parent / ".mim" / "configs" / config)
    adapter = select_adapter(model, adapters())(model)
    width, height = (256, 256) if "256x256" in config else (192, 256)
    assert adapter.name == SHIPPED[config]
    assert adapter.input_size == (width, height)
    assert adapter.keypoint_names[5] == "left_shoulder"
    images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with adapter.frozen(), torch.no_grad():
        assert adapter(images).coords.shape == (1, 17, 2)
    assert adapter.predict(images).shape == (1, 17, 2)


@pytest.fixture(scope="module")
def trained() -> tuple[CoordinateAdapter, dict[str, Any], torch.Tensor]:
    """The shared model, its 12 samples as the data preprocessor gives them, and which joints are visible (12, 17)."""
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    from mmengine.registry import DefaultScope
    from mmpose.registry import DATASETS

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHARED / "weights"))
        weights = SHARED / "weights" / "simplepose_mobilenetv2_coco_256x192.pth"
        model = build_model(SHARED / "weights" / "simplepose_coco_256x192.py", weights)
        dataset = {**model.cfg.test_dataloader.dataset, "data_root": str(SHARED / "data" / "coco") + "/"}
        with DefaultScope.overwrite_default_scope("mmpose"):
            samples = [s for s in DATASETS.build(dataset)]
    batch = {key: [s[key] for s in samples] for key in ("inputs", "data_samples")}
    visible = [torch.as_tensor(s["data_samples"].gt_instances.keypoints_visible[0] > 0) for s in samples]
    return select_adapter(model, adapters())(model), model.data_preprocessor(batch), torch.stack(visible)


@needs_shared
def test_a_users_subclass_of_a_head_resolves_to_its_base(trained: Any) -> None:
    """DepthwiseDeconvHead, which no adapter names, is a HeatmapHead."""
    adapter = trained[0]
    assert type(adapter.head).__name__ == "DepthwiseDeconvHead"
    assert adapter.name == "heatmap"
    assert adapter.keypoint_names[9] == "left_wrist"


@needs_shared
def test_predict_is_mmposes_own_on_photographs(trained: Any) -> None:
    """On the original images, to 1e-3 px."""
    adapter, batch, _ = trained
    ours = adapter.predict(batch["inputs"]).double().numpy()
    with torch.no_grad():
        results = adapter.model.predict(batch["inputs"], batch["data_samples"])
    for own, result in zip(ours, results, strict=True):
        info = result.metainfo
        size, center, scale = (np.asarray(info[f"input_{key}"]) for key in ("size", "center", "scale"))
        assert np.abs(own / size * scale + center - 0.5 * scale - result.pred_instances.keypoints[0]).max() < 1e-3


@needs_shared
def test_calibration_on_photographs(trained: Any) -> None:
    """The published beta of 10 is far from the model's decoding; calibrated, 95 % of the visible joints agree."""
    adapter, batch, visible = trained
    adapter.beta = 10.0
    published = adapter.calibrate(batch["inputs"], joints=visible, fixed=True)
    chosen = adapter.calibrate(batch["inputs"], joints=visible)
    assert not published.good
    assert published.mean_distance > 5
    assert chosen.good
    assert chosen.beta > 10
    assert chosen.mean_distance < 4
    assert chosen.n == visible.sum()
