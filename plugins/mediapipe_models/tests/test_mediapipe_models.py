"""The models as MMPose sees them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from poseig_mm.errors import ConfigError, ShapeError

models = pytest.importorskip("poseig_mediapipe_models.models", reason="mmpose cannot be imported")

MSRA = dict(type="MSRAHeatmap", input_size=(256, 256), heatmap_size=(64, 64), sigma=2)
# MediaPipe's 33 body landmarks, in order, as its documentation names them
BODY = """
    nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear mouth_left
    mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky
    left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle
    left_heel right_heel left_foot_index right_foot_index
""".split()  # noqa: SIM905
COCO = """
    nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist
    right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle
""".split()  # noqa: SIM905


def build(head: dict[str, Any], output: str, **backbone: Any) -> nn.Module:
    """An estimator through MMPose's registry."""
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")
    config = dict(
        type="BlazePoseEstimator",
        data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
        backbone=dict(type="BlazePoseBackbone", outputs=(output,), **backbone),
        head=head,
    )
    return models.MODELS.build(config).eval()


@pytest.fixture(scope="module")
def heatmap_model(wheel: Path) -> nn.Module:
    return build(dict(type="BlazePoseHeatmapHead", decoder=MSRA), "heatmap")


@pytest.fixture(scope="module")
def regression_model(wheel: Path) -> nn.Module:
    decoder = dict(type="RegressionLabel", input_size=(256, 256))
    return build(dict(type="BlazePoseRegressionHead", decoder=decoder), "landmarks")


@pytest.fixture
def images() -> torch.Tensor:
    coarse = torch.rand(2, 3, 12, 12, generator=torch.manual_seed(3))
    return nn.functional.interpolate(coarse, (256, 256), mode="bilinear")


def test_coco_joints_are_picked_by_name() -> None:
    """The 17 numbers are where COCO's names stand among MediaPipe's."""
    assert [BODY[i] for i in models.COCO_JOINTS] == COCO


def test_heads_pick_their_channels(heatmap_model: nn.Module, regression_model: nn.Module, images: torch.Tensor) -> None:
    """Heatmaps (B, 17, 64, 64) and coordinates (B, 17, 2) over 256, both landmark by landmark."""
    with torch.no_grad():
        (maps,) = heatmap_model.extract_feat(images)
        (flat,) = regression_model.extract_feat(images)
        heatmaps = heatmap_model(images, None)
        coords = regression_model(images, None)
    assert heatmaps.shape == (2, 17, 64, 64)
    assert coords.shape == (2, 17, 2)
    for joint, landmark in enumerate(models.COCO_JOINTS):
        assert torch.equal(heatmaps[:, joint], maps[:, landmark])
        torch.testing.assert_close(coords[:, joint] * 256, flat[:, 5 * landmark : 5 * landmark + 2])


def test_hand_head_takes_the_first_two_of_three(wheel: Path) -> None:
    """21 x (x, y, z) -> (x, y) / 224."""
    feats = (torch.arange(63.0).reshape(1, 63),)
    coords = models.BlazeHandRegressionHead()(feats)
    assert coords.shape == (1, 21, 2)
    torch.testing.assert_close(coords[0, 4] * 224, torch.tensor([12.0, 13.0]))


@pytest.mark.parametrize("height", [5.0, -20.0])
def test_heatmap_cell_i_decodes_to_input_pixel_4_i(height: float) -> None:
    """A symmetric peak of logits, even one far below zero, decodes to four times its cell; the score is its sigmoid."""
    head = models.BlazePoseHeatmapHead(decoder=MSRA)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    centres = torch.tensor([[3 + 3 * k, 50 - 2 * k] for k in range(17)])  # (17, 2)
    logits = height - 0.5 * ((x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2)
    instances = head.decode(logits.unsqueeze(0))[0]
    assert (instances.keypoints[0] == centres.numpy() * 4.0).all()
    assert instances.keypoint_scores[0] == pytest.approx(1 / (1 + torch.tensor(-height).exp().item()), rel=1e-5)


def test_predictions_are_what_forward_says(regression_model: nn.Module, images: torch.Tensor) -> None:
    """MMPose's own decoding of the regression is forward times the input size."""
    with torch.no_grad():
        feats = regression_model.extract_feat(images)
        coords = regression_model.head(feats)
        predicted = regression_model.head.predict(feats, [])
    torch.testing.assert_close(
        torch.from_numpy(predicted[0].keypoints[0]), (coords[0] * 256).double(), check_dtype=False
    )


def test_heads_have_no_weights_and_models_no_duplicates(heatmap_model: nn.Module, regression_model: nn.Module) -> None:
    """All weights are the network's: nothing idle for a randomisation to hit, no joint table in the state dict."""
    for model in (heatmap_model, regression_model):
        assert not list(model.head.parameters())
        assert all(key.startswith("backbone.graph.layers.") for key in model.state_dict())


def test_init_weights_puts_the_files_weights_back(wheel: Path) -> None:
    """MMEngine's initialisation must not overwrite trained weights."""
    model = build(dict(type="BlazePoseHeatmapHead"), "heatmap")
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    model.init_weights()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_mask_is_a_property_of_the_picture(wheel: Path, images: torch.Tensor) -> None:
    """(B, 256, 256) bool in both dtypes; randomising the model neither moves it nor finds its weights."""
    model = build(dict(type="BlazePoseHeatmapHead"), "heatmap")
    keys = list(model.state_dict())
    mask = model.predict_mask(images)
    assert mask.shape == (2, 256, 256)
    assert mask.dtype == torch.bool
    assert list(model.state_dict()) == keys
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(model.predict_mask(images), mask)
    assert (model.predict_mask(images.double()) == mask).float().mean() > 0.999
    assert torch.equal(models.predicted_mask(model, images[0]), mask[0])


def test_a_model_says_whether_its_weights_are_random(heatmap_model: nn.Module) -> None:
    """Without a checkpoint file a run asks the model: the wheel's weights are trained, fresh ones are not."""
    assert heatmap_model.random_weights is False
    assert build(dict(type="BlazePoseHeatmapHead"), "heatmap", weights=None).random_weights is True


def test_models_can_be_copied(heatmap_model: nn.Module, images: torch.Tensor) -> None:
    """A deep copy computes the same and shares nothing."""
    twin = copy.deepcopy(heatmap_model)
    with torch.no_grad():
        expected = heatmap_model(images, None)
        assert torch.equal(twin(images, None), expected)
        for parameter in twin.parameters():
            parameter.zero_()
        assert torch.equal(heatmap_model(images, None), expected)


def test_a_head_on_the_wrong_output_says_which_it_needs() -> None:
    """Heads name the backbone setting that fits them."""
    with pytest.raises(ShapeError, match="'heatmap'"):
        models.BlazePoseHeatmapHead()((torch.zeros(1, 195),))
    with pytest.raises(ShapeError, match="'landmarks'"):
        models.BlazePoseRegressionHead()((torch.zeros(1, 39, 64, 64),))


@pytest.mark.parametrize("joints", [(), (39,), (-1,)])
def test_joints_outside_the_network_are_refused(joints: tuple[int, ...]) -> None:
    """Landmark numbers run from 0 to 38."""
    with pytest.raises(ConfigError, match="0 to 38"):
        models.BlazePoseHeatmapHead(joints)


@pytest.mark.parametrize("kind", ["heatmap", "regression"])
def test_built_in_adapters_fit_by_the_heads_bases(
    heatmap_model: nn.Module, regression_model: nn.Module, images: torch.Tensor, kind: str
) -> None:
    """No adapter of our own: the one for the head's MMPose base class is chosen, and predicts what MMPose does."""
    from poseig_mm.adapters.plugin import poseig_register_adapters
    from poseig_mm.adapters.select import select_adapter

    model = {"heatmap": heatmap_model, "regression": regression_model}[kind]
    adapters = {adapter.name: adapter for adapter in poseig_register_adapters()}
    chosen = select_adapter(model, adapters)
    assert chosen is adapters[kind]
    adapter = chosen(model)
    with torch.no_grad():
        own = model.head.predict(model.extract_feat(images), [])
    expected = torch.stack([torch.as_tensor(instance.keypoints[0]) for instance in own])
    torch.testing.assert_close(adapter.predict(images).cpu(), expected, check_dtype=False, rtol=0, atol=1e-4)
    gradient = torch.autograd.grad(adapter(images.requires_grad_()).coords.sum(), images)[0]
    assert gradient.isfinite().all()
    assert (gradient.abs().sum(dim=1) > 0).float().mean() > 0.99
