"""Distillers: the student is diagnosed, its weights are found in whatever was saved, and nothing else is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import RTM_HEAD, SIMCC, random_images, tiny_config
from tiny import run, tables, write_run
from torch import nn

from poseig_mm import Plugins, Session
from poseig_mm.adapters.build_model import build_model, model_hash
from poseig_mm.api import load_adapter
from poseig_mm.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
DIM = {"hidden_dims": 48}  # of the teacher's attention; the student's is 32


def parts(folder: Path, *, two_dis: bool = False, **changes: Any) -> Any:
    """A distiller's config beside those of its student and teacher, which have weights of different shapes."""
    from mmengine.config import Config

    tiny_config("rtmcc").dump(str(folder / "student.py"))
    head = {**RTM_HEAD, "type": "RTMCCHead", "decoder": SIMCC, "gau_cfg": {**RTM_HEAD["gau_cfg"], **DIM}}
    tiny_config("rtmcc", **({} if two_dis else {"head": head})).dump(str(folder / "teacher.py"))
    model = {
        "type": "DWPoseDistiller",
        "two_dis": two_dis,
        "teacher_pretrained": "https://example.invalid/teacher.pth",
        "teacher_cfg": str(folder / "teacher.py"),
        "student_cfg": str(folder / "student.py"),
        "data_preprocessor": {"type": "PoseDataPreprocessor", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]},
        **changes,
    }
    return Config({"model": model})


def distiller(cfg: Any) -> Any:
    """Built by MMPose itself, with random weights that keep the signal's size."""
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpose"):
        model = MODELS.build(cfg.model)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            nn.init.kaiming_normal_(parameter)
    return model.eval()


def own_prediction(model: Any, images: torch.Tensor) -> torch.Tensor:
    """What MMPose's distiller itself gives out, (B, K, 2) input px: its features, the student's head."""
    from mmpose.structures import PoseDataSample

    feats = model.extract_feat(images) if model.two_dis else model.student.extract_feat(images)
    samples = [PoseDataSample(metainfo={"input_size": (64, 96)}) for _ in images]
    with torch.no_grad():
        return torch.cat([torch.as_tensor(i.keypoints) for i in model.student.head.predict(feats, samples)])


def save(folder: Path, state: dict[str, Any]) -> Path:
    torch.save({"state_dict": state}, folder / "c.pth")
    return folder / "c.pth"


@pytest.mark.parametrize("two_dis", [False, True], ids=["first stage", "second stage"])
def test_the_distiller_s_own_prediction_is_diagnosed(tmp_path: Path, two_dis: bool) -> None:
    """From its checkpoint, and from the model as training has it: the predictions of MMPose's class, its
    preprocessor.
    """
    cfg = parts(tmp_path, two_dis=two_dis)
    model, images = distiller(cfg), random_images()
    expected = own_prediction(model, images)
    for adapter in (load_adapter(cfg, save(tmp_path, model.state_dict())), load_adapter(model)):
        assert adapter.name == "simcc"
        assert torch.equal(adapter.predict(images), expected)
        assert adapter.pixel_range()[0] == pytest.approx((-1 / 4, -2 / 5, -3 / 6))
        assert not any("teacher" in name for name, _ in adapter.model.named_modules())
    stage = "student" if not two_dis else "teacher"
    other = load_adapter(cfg, save(tmp_path, model.state_dict()))
    weight = other.model.state_dict()["backbone.conv1.conv.weight"]
    assert torch.equal(weight, getattr(model, stage).backbone.conv1.conv.weight)
    assert model.student.backbone is not model.teacher.backbone


@pytest.mark.parametrize("two_dis", [False, True], ids=["first stage", "second stage"])
def test_a_plain_checkpoint_of_the_student_loads_too(tmp_path: Path, two_dis: bool) -> None:
    """As MMPose's pth_transfer.py writes it: no prefix."""
    student = build_model(tiny_config("rtmcc"))
    loaded = build_model(parts(tmp_path, two_dis=two_dis), save(tmp_path, student.state_dict()))
    assert model_hash(loaded) == model_hash(student)
    assert not loaded.random_weights


def test_what_a_checkpoint_lacks_is_said(tmp_path: Path) -> None:
    """No student; a second stage without the teacher's features; a distiller for the student's own config."""
    state = distiller(parts(tmp_path)).state_dict()
    teacher = {k: v for k, v in state.items() if k.startswith("teacher.")}
    student = {k: v for k, v in state.items() if k.startswith("student.")}
    with pytest.raises(CheckpointError, match=r"without its student .*e\.g\. teacher\."):
        build_model(parts(tmp_path), save(tmp_path, teacher))
    with pytest.raises(CheckpointError, match=r"second stage .*'teacher\.backbone\.'.*pth_transfer"):
        build_model(parts(tmp_path, two_dis=True), save(tmp_path, student))
    with pytest.raises(CheckpointError, match=r"holds a distiller .*give the distiller's config"):
        build_model(tiny_config("rtmcc"), save(tmp_path, state))
    del student["student.head.cls_x.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing .*head\.cls_x\.weight"):
        build_model(parts(tmp_path), save(tmp_path, student))


def test_a_second_stage_takes_the_teacher_s_backbone(tmp_path: Path) -> None:
    """Also where the student's config has another one: the head is trained on the teacher's features."""
    cfg = parts(tmp_path, two_dis=True)
    changed = tiny_config("rtmcc", backbone={"type": "MobileNetV2", "widen_factor": 0.5, "out_indices": (6,)})
    changed.dump(str(tmp_path / "student.py"))
    model = build_model(cfg)
    assert sum(p.numel() for p in model.backbone.parameters()) == sum(
        p.numel() for p in build_model(tiny_config("rtmcc")).backbone.parameters()
    )


def test_the_student_s_config_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the distiller's config and above it, among MMPose's own, or as a config itself."""
    cfg = parts(tmp_path)
    below = tmp_path / "configs" / "deep"
    below.mkdir(parents=True)
    cfg.model.student_cfg = "student.py"
    cfg.dump(str(below / "distiller.py"))
    assert type(build_model(below / "distiller.py").head).__name__ == "RTMCCHead"
    cfg.model.student_cfg = tiny_config("heatmap-msra").to_dict()
    assert type(build_model(cfg).head).__name__ == "HeatmapHead"
    cfg.model.student_cfg = "configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_vipnas-mbv3_8xb64-210e_coco-256x192.py"
    monkeypatch.chdir(tmp_path)
    assert type(build_model(cfg).head).__name__ == "ViPNASHead"


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ("configs/no-such-student.py", r"student_cfg 'configs/no-such-student\.py' does not exist: .*\.mim"),
        ("empty.py", r"student_cfg is .*empty\.py.*expected a config with a `model`"),
        ("broken.py", r"student_cfg .*broken\.py cannot be read: .*"),
        ({"type_": 1}, r"student_cfg is .*expected a config with a `model`"),
    ],
    ids=["missing", "no model", "broken", "no config"],
)
def test_a_bad_student_is_a_clear_error(tmp_path: Path, student: Any, message: str) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("model = dict(\n")
    cfg = parts(tmp_path)
    cfg.model.student_cfg = student
    cfg.dump(str(tmp_path / "distiller.py"))
    with pytest.raises(ConfigError, match=message):
        build_model(tmp_path / "distiller.py")


def test_a_run_of_a_distiller_is_the_student_s(tmp_path: Path) -> None:
    """End to end, from the distiller's config and its own checkpoint: the tables of the student's run."""
    from mmengine.config import Config

    made = write_run(tmp_path / "data")
    expected = tables(run(made, tmp_path / "student"))
    weights = torch.load(made.weights)["state_dict"]
    state = {f"{part}.{key}": value for part in ("student", "teacher") for key, value in weights.items()}
    cfg = Config.fromfile(str(made.config))
    cfg.model = {"type": "DWPoseDistiller", "student_cfg": str(made.config), "teacher_cfg": str(made.config),
                 "data_preprocessor": cfg.model.data_preprocessor}  # fmt: skip
    checkpoint = save(tmp_path, state)
    found = Session(
        cfg, checkpoint, work_dir=tmp_path / "distiller", device="cpu", plugins=Plugins(entry_points=False)
    ).run()
    assert tables(found) == expected
    assert len(expected["joints"]) > 0
