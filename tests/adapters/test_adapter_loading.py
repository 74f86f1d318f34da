"""Config and checkpoint -> model: what is loaded, what is not, names of the joints, the weights' hash."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import (
    FAMILIES,
    MOBILENET,
    K,
    adapters,
    random_images,
    tiny_adapter,
    tiny_config,
    tiny_model,
)

from poseig_mm.adapters.build_model import build_model, model_hash
from poseig_mm.adapters.select import select_adapter
from poseig_mm.errors import ConfigError

pytestmark = pytest.mark.usefixtures("mmpose_ready")


def saved(tmp_path: Path, model: Any) -> Path:
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def test_a_checkpoint_gives_the_model_it_was_saved_from(tmp_path: Path) -> None:
    """Same weights (same hash), same coordinates; in evaluation mode, and not random."""
    original = tiny_model("heatmap-msra")
    loaded = build_model(tiny_config("heatmap-msra"), saved(tmp_path, original))
    assert model_hash(loaded) == model_hash(original)
    assert not any(m.training for m in loaded.modules())
    assert not loaded.random_weights
    cls = select_adapter(loaded, adapters())
    assert torch.equal(cls(loaded)(random_images()).coords, cls(original)(random_images()).coords)


def test_from_a_config_file_with_custom_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config's path, its own module imported first; the config object itself is kept unchanged as `model.cfg`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_backbone_7.py").write_text(
        "from mmpose.models.backbones import MobileNetV2\nfrom mmpose.registry import MODELS\n\n\n"
        "@MODELS.register_module()\nclass MyBackbone7(MobileNetV2):\n    pass\n"
    )
    config = tiny_config("regression", backbone={**MOBILENET, "type": "MyBackbone7"})
    config.merge_from_dict({"custom_imports": {"imports": ["my_backbone_7"], "allow_failed_imports": False}})
    config.dump(str(tmp_path / "config.py"))
    model = build_model(tmp_path / "config.py")
    assert type(model.backbone).__name__ == "MyBackbone7"
    assert model.cfg.model.to_dict() == config.model.to_dict()
    assert type(build_model(config).backbone).__name__ == "MyBackbone7"  # as an object, too


def test_nothing_is_downloaded(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretrained weights in the config are left out, wherever they stand; other initialisations stay; it is said."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    pretrained = {"type": "Pretrained", "checkpoint": "https://example.invalid/weights.pth"}
    normal = {"type": "Normal", "layer": "Conv2d"}
    config = tiny_config("heatmap-msra", backbone={**MOBILENET, "init_cfg": [normal, pretrained]}, init_cfg=pretrained)
    with caplog.at_level(logging.WARNING):
        model = build_model(config)
    assert model.backbone.init_cfg == [normal]
    assert "weights are random (model.backbone.init_cfg, model.init_cfg in the config not being loaded)" in caplog.text
    assert model.random_weights
    assert config.model.init_cfg == model.cfg.model.init_cfg == pretrained  # the config is not changed


def test_synchronised_batch_norm_becomes_plain(tmp_path: Path) -> None:
    """SyncBN, in the configs of RTMPose, has the same weights and needs no GPU as BN."""
    model = build_model(tiny_config("regression", backbone={**MOBILENET, "norm_cfg": {"type": "SyncBN"}}))
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    assert model.state_dict().keys() == tiny_model("regression").state_dict().keys()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("nowhere/config.py", "nowhere/config.py does not exist"),
        ({"model": {"type": "TopdownPoseEstimator", "backbone": {"type": "ResNeXxt"}}}, "ResNeXxt"),
        ({"data": 1}, "has no `model`"),
        ({"model": {"type": "TopdownPoseEstimator"}, "custom_imports": {"imports": ["not_there_7"]}}, "set PYTHONPATH"),
    ],
)
def test_bad_configs_are_named(config: Any, message: str) -> None:
    """A missing file, an unknown type, no model, a module that cannot be imported: ConfigError, saying which."""
    from mmengine.config import Config

    with pytest.raises(ConfigError, match=message):
        build_model(config if isinstance(config, str) else Config(config))


def test_a_backbone_of_mmclassification_is_mmpretrains() -> None:
    """MMPose's larger ViTPose configs for Human-Art: the same network as that of today's name, shape for shape."""
    pytest.importorskip("mmpretrain", reason="MMPretrain is not installed")
    from mmengine.config import Config

    size = {
        "arch": "small",
        "img_size": (64, 48),
        "patch_size": 16,
        "with_cls_token": False,
        "patch_cfg": {"padding": 2},
    }
    head = {"type": "HeatmapHead", "in_channels": 768, "out_channels": K, "deconv_out_channels": None}
    head["decoder"] = {"type": "UDPHeatmap", "input_size": (48, 64), "heatmap_size": (12, 16), "sigma": 2}
    shapes = []
    for own in (
        {"type": "mmcls.VisionTransformer", "output_cls_token": False},
        {"type": "mmpretrain.VisionTransformer"},
    ):
        out = {} if "output_cls_token" in own else {"out_type": "featmap"}
        backbone = {**own, **size, **out}
        model = build_model(Config({"model": {"type": "TopdownPoseEstimator", "backbone": backbone, "head": head}}))
        (features,) = model.extract_feat(torch.zeros(1, 3, 64, 48))
        shapes.append((tuple(features.shape), [tuple(p.shape) for p in model.parameters()]))
    assert shapes[0] == shapes[1]
    assert shapes[0][0] == (1, 768, 4, 3)


def test_mmpretrain_is_named_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """MMEngine only says that the type is not registered; with MMPretrain installed nothing else is to be installed."""
    from mmengine.config import Config

    from poseig_mm.adapters import build_model as loading

    config = Config({"model": {"type": "TopdownPoseEstimator", "backbone": {"type": "mmpretrain.NoSuchNet"}}})
    for found, hint in ((None, True), (object(), False)):
        monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name, found=found: found)
        with pytest.raises(ConfigError, match="NoSuchNet") as caught:
            build_model(config)
        assert ("pip install mmpretrain" in str(caught.value)) == hint


def test_a_broken_config_file_is_named(tmp_path: Path) -> None:
    """A syntax error becomes a ConfigError with the file's name."""
    path = tmp_path / "broken.py"
    path.write_text("model = dict(")
    with pytest.raises(ConfigError, match=r"broken\.py cannot be read"):
        build_model(path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named() -> None:
    """'cuda' without a GPU is a ConfigError that says what to use."""
    with pytest.raises(ConfigError, match=r"device 'cuda' cannot be used: .*; use 'cpu'"):
        build_model(tiny_config("regression"), device="cuda")


def test_names_come_from_the_checkpoint_before_the_config(tmp_path: Path) -> None:
    """`meta.dataset_meta` of the checkpoint, else the metainfo of the config's data sets, else numbers."""
    config = tiny_config("regression")
    info = {i: {"name": f"c{i}", "id": i, "color": [0, 0, 0], "type": "", "swap": ""} for i in range(K)}
    meta = {"dataset_name": "mine", "keypoint_info": info, "skeleton_info": {}, "joint_weights": [1.0] * K,
            "sigmas": [0.1] * K}  # fmt: skip
    plain = build_model(config)
    config.merge_from_dict({"test_dataloader": {"dataset": {"type": "CocoDataset", "metainfo": meta}}})
    named = build_model(config)
    path = tmp_path / "named.pth"
    names = {i: f"k{i}" for i in range(K)}
    torch.save({"state_dict": named.state_dict(), "meta": {"dataset_meta": {"keypoint_id2name": names}}}, path)
    models = {"joint_4": plain, "c4": named, "k4": build_model(config, path)}
    for last, model in models.items():
        assert select_adapter(model, adapters())(model).keypoint_names[-1] == last
    given = select_adapter(named, adapters())(named, metainfo={"keypoint_id2name": {i: f"m{i}" for i in range(K)}})
    assert given.keypoint_names[0] == "m0"


def test_names_of_a_known_data_set() -> None:
    """A config that only says CocoDataset: COCO's names, if their number is the model's (else numbers)."""
    config = tiny_config("regression", head={**FAMILIES["regression"]["head"], "num_joints": 17})
    config.merge_from_dict({"val_dataloader": {"dataset": {"type": "CocoDataset"}}})
    model = build_model(config)
    assert select_adapter(model, adapters())(model).keypoint_names[:2] == ("nose", "left_eye")
    model.dataset_meta = {"keypoint_id2name": {0: "one"}}
    assert select_adapter(model, adapters())(model).keypoint_names[0] == "joint_0"


def test_hash_sees_every_weight_and_buffer() -> None:
    """Changing one element of a weight or of a running mean changes the hash; gradients and flags do not."""
    model = tiny_model("heatmap-msra")
    before = model_hash(model)
    model.train()
    model.requires_grad_(False)
    assert model_hash(model) == before
    with torch.no_grad():
        model.head.final_layer.bias[3] += 1e-6
    changed = model_hash(model)
    model.backbone.conv1.bn.running_mean[0] += 1
    assert len({before, changed, model_hash(model)}) == 3


def test_black_and_white_are_those_of_the_preprocessor() -> None:
    """0 and 255 through the model's own preprocessor are `pixel_range`, channel by channel."""
    adapter = tiny_adapter("regression")
    for value, expected in zip((0, 255), adapter.pixel_range(), strict=True):
        pixels = [torch.full((3, 4, 4), value, dtype=torch.uint8)]
        image = adapter.model.data_preprocessor({"inputs": pixels, "data_samples": []})["inputs"][0]
        assert image[:, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_baseline_file_goes_through_the_preprocessor(tmp_path: Path) -> None:
    """A red picture of another size: (1, 3, H, W) of the input's size, red normalised in the channel that is red
    (RGB).
    """
    import cv2
    import numpy as np

    adapter = tiny_adapter("regression")
    picture = np.zeros((10, 7, 3), dtype=np.uint8)
    picture[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    image = adapter.preprocess_file(tmp_path / "red.png")
    (black, white) = adapter.pixel_range()
    assert image.shape == (1, 3, 96, 64)
    assert image[0, :, 50, 30].tolist() == pytest.approx((white[0], black[1], black[2]), abs=1e-5)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ConfigError, match=r"text\.png is not an image"):
        adapter.preprocess_file(tmp_path / "text.png")
    with pytest.raises(ConfigError, match=r"gone\.png does not exist"):
        adapter.preprocess_file(tmp_path / "gone.png")
