"""MMPose's own configs over MMPose's own sample images, with nothing but the places of the files given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseig_mm.errors import DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
SHARED = Path(__file__).parents[3] / "shared"
DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"sample data not found at {DATA}")
BODY, HAND = "body_2d_keypoint/topdown_heatmap", "hand_2d_keypoint/topdown_heatmap"
# config, folder and annotations, persons, joints, groups, where masks come from
STOCK = {
    "coco": (f"{BODY}/coco/td-hm_res50_8xb64-210e_coco-256x192", "coco/test_coco.json", 12, 17, 3, "instance"),
    "udp": (f"{BODY}/coco/td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192", "coco/test_coco.json", 12, 17, 3, "instance"),
    "mpii": (f"{BODY}/mpii/td-hm_res50_8xb64-210e_mpii-256x256", "mpii/test_mpii.json", 5, 16, 4, "none"),
    "freihand": (
        f"{HAND}/freihand2d/td-hm_res50_8xb64-100e_freihand2d-224x224",
        "freihand/test_freihand.json", 8, 21, 5, "instance",
    ),
    "wholebody": (
        "wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/td-hm_res50_8xb64-210e_coco-wholebody-256x192",
        "coco/test_coco_wholebody.json", 12, 133, 14, "instance",
    ),
}  # fmt: skip


def opened(name: str, **more: Any) -> Any:
    """The samples of a stock config."""
    import mmpose
    from mmengine.config import Config
    from mmpose.registry import MODELS

    from poseig_mm.data.samples import SampleSource

    path, annotations, *_ = STOCK[name]
    cfg = Config.fromfile(Path(mmpose.__file__).parent / ".mim" / "configs" / f"{path}.py")
    folder, file = annotations.split("/")
    places = {"data_root": f"{DATA / folder}/", "ann_file": file, "data_prefix.img": ""}
    cfg.merge_from_dict({f"test_dataloader.dataset.{key}": value for key, value in places.items()})
    return SampleSource(cfg, preprocess=MODELS.build(cfg.model.data_preprocessor), **more)


@needs_data
@pytest.mark.parametrize("name", STOCK)
def test_a_stock_config_gives_samples(name: str) -> None:
    """All persons, all joints where they were annotated, and masks where the data have them."""
    _, _, persons, joints, groups, masks = STOCK[name]
    found = opened(name)
    assert len(found) == persons
    assert len(found.groups.group_names) == groups
    assert not found.groups.derived
    for i in range(persons):
        sample = found.load(i)
        assert sample.keypoints.shape == (joints, 2)
        assert sample.mask_source == masks
        assert sample.visible.any()
        assert sample.image.isfinite().all()
        if masks == "instance":
            assert 0.02 < sample.mask.float().mean() < 0.7


@needs_data
def test_joints_lie_on_their_person() -> None:
    """Nine in ten of COCO's; the rest are hidden behind others or at an outline's edge."""
    found, on = opened("coco"), []
    for i in range(len(found)):
        sample = found.load(i)
        points = sample.keypoints[sample.visible].round().long()
        on += sample.mask[points[:, 1], points[:, 0]].tolist()
    assert len(on) > 170
    assert np.mean(on) > 0.85


@needs_data
def test_what_differs_from_a_stock_config_is_noted() -> None:
    """Detections of COCO, head boxes of MPII, boxes in place of FreiHAND's masks."""
    assert any("annotated boxes" in n for n in opened("coco").notes)
    assert any("head sizes" in n for n in opened("mpii").notes)
    assert any("upright boxes" in n for n in opened("freihand").notes)


@needs_data
def test_a_person_s_crop_is_of_the_photograph() -> None:
    """Colours at the input's pixels are the photograph's where the inverse warp leads (COCO, enlarged crop)."""
    import cv2

    sample = opened("coco", ids=["40083-198196"]).load(0)
    photo = cv2.cvtColor(cv2.imread(sample.image_path), cv2.COLOR_BGR2RGB)
    back = cv2.warpAffine(photo, sample.inverse_warp, (192, 256), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert np.abs(back.astype(int) - sample.display).mean() < 0.5


@needs_data
def test_joints_with_a_depth_are_refused() -> None:
    """InterHand3D: leaving the third coordinate out would diagnose another task than the model's."""
    import mmpose
    from drawn_coordinates import preprocessor
    from mmengine.config import Config

    from poseig_mm.data.samples import SampleSource

    name = "hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py"
    cfg = Config.fromfile(Path(mmpose.__file__).parent / ".mim" / "configs" / name)
    files = {"ann_file": "data", "camera_param_file": "camera", "joint_file": "joint_3d"}
    places = {key: f"test_interhand2.6m_{value}.json" for key, value in files.items()}
    places |= {"data_root": f"{DATA / 'interhand2.6m'}/", "data_prefix.img": ""}
    cfg.merge_from_dict({f"test_dataloader.dataset.{key}": value for key, value in places.items()})
    with pytest.raises(DataError, match="interhand3d have 3 coordinates; expected 2"):
        SampleSource(cfg, preprocess=preprocessor())


@needs_data
def test_the_shared_model_s_config_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own module on the path, and its paths relative to the project."""
    from mmengine.config import Config
    from mmpose.registry import MODELS

    from poseig_mm.data.samples import SampleSource

    monkeypatch.syspath_prepend(str(SHARED / "weights"))
    monkeypatch.chdir(Path(__file__).parents[2])
    cfg = Config.fromfile(SHARED / "weights" / "simplepose_coco_256x192.py")
    found = SampleSource(cfg, preprocess=MODELS.build(cfg.model.data_preprocessor))
    assert len(found) == 12
    assert found.load(0).sample_id == "785-442619"
