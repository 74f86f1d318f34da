"""The hand's data set, head, adapter and trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import poseig_synthetic_figures
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from poseig_synthetic_figures.hand_adapter import Hand3DAdapter
from poseig_synthetic_figures.hand_datasets import SyntheticHandsDataset
from poseig_synthetic_figures.hand_models import HandRegression3DHead, SpacePoseEstimator
from torch import Tensor

from poseig_mm import attribute, load_adapter
from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError
from poseig_mm.plugin.manager import PluginHost

PLUGIN = Path(poseig_synthetic_figures.__file__).parent
CHECKPOINT = PLUGIN / "checkpoints" / "hands_3d.pth"
CONFIG = Path(__file__).resolve().parents[3] / "configs" / "synthetic_figures" / "hands_3d.py"
PIPELINE = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=(96, 96)),
]


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")


@pytest.fixture(scope="module")
def adapter() -> CoordinateAdapter:
    """The trained model, found by the plugin's own hook."""
    return load_adapter(
        CONFIG, CHECKPOINT, host=PluginHost(plugins=["poseig_synthetic_figures.plugin"], entry_points=False)
    )


def batch(adapter: CoordinateAdapter, indices: range) -> tuple[Tensor, Tensor]:
    """Network inputs (B, 3, 96, 96) and joints (B, 21, 3) mm from the wrist, of the test split."""
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")
    pack = dict(type="PackPoseInputs")
    data = SyntheticHandsDataset("test", indices.stop, pipeline=[*PIPELINE, pack])
    items = [data[i] for i in indices]
    packed = {"inputs": [i["inputs"] for i in items], "data_samples": [i["data_samples"] for i in items]}
    images = adapter.model.data_preprocessor(packed, False)["inputs"]
    return images, torch.cat([i["data_samples"].gt_instance_labels.lifting_target for i in items])


def head(**settings: object) -> HandRegression3DHead:
    torch.manual_seed(3)
    made = HandRegression3DHead(5, (96, 96), num_joints=4, **settings).double().eval()
    torch.nn.init.normal_(made.vote.weight)
    return made


# ---- the data set ----------------------------------------------------------------------------------------------------


def test_annotations_made_beforehand_equal_those_made_with_the_picture() -> None:
    """Test mode and training mode differ in when, not in what."""
    ready, lazy = (SyntheticHandsDataset("val", 3, test_mode=mode) for mode in (True, False))
    for i in range(3):
        a, b = ready.get_data_info(i), lazy.get_data_info(i)
        for key in ("keypoints", "keypoints_visible", "bbox", "img", "lifting_target", "joints_3d"):
            assert np.array_equal(a[key], b[key]), key
        assert np.array_equal(a["img"], ready.scene(i).image[..., ::-1])


def test_joints_in_space_project_onto_the_keypoints() -> None:
    """`joints_3d` through `camera` are `keypoints`; `lifting_target` is `joints_3d` from the wrist."""
    info = SyntheticHandsDataset("test", 1, test_mode=True).get_data_info(0)
    there = info["joints_3d"][0] @ info["camera"].T
    assert there[:, :2] / there[:, 2:] == pytest.approx(info["keypoints"][0], abs=1e-3)
    assert info["joints_3d"] - info["joints_3d"][:, :1] == pytest.approx(info["lifting_target"], abs=1e-3)


def test_mmpose_packs_the_joints_in_space_for_losses_and_metrics() -> None:
    """As tensors in `gt_instance_labels`, as arrays in `gt_instances`; what MMPose packs by itself is still there."""
    data = SyntheticHandsDataset("test", 1, pipeline=[*PIPELINE, dict(type="PackPoseInputs")], test_mode=True)
    sample, scene = data[0]["data_samples"], data.scene(0)
    assert sample.gt_instance_labels.lifting_target.numpy() == pytest.approx(scene.relative[None], abs=1e-4)
    assert sample.gt_instances.lifting_target == pytest.approx(scene.relative[None], abs=1e-4)
    assert sample.gt_instances.lifting_target_visible.all()
    assert sample.gt_instances.keypoints.shape == (1, 21, 2)


def test_a_two_dimensional_heatmap_codec_takes_it_as_any_other_data_set() -> None:
    """Targets peak at the transformed keypoints."""
    codec = dict(
        type="MSRAHeatmap", input_size=(96, 96), heatmap_size=(24, 24), sigma=2
    )  # MMPose's needs an integer 3 sigma
    steps = [*PIPELINE, dict(type="GenerateTarget", encoder=codec), dict(type="PackPoseInputs", pack_transformed=True)]
    sample = SyntheticHandsDataset("test", 1, pipeline=steps)[0]["data_samples"]
    heatmaps = sample.gt_fields.heatmaps.numpy()
    peaks = np.array([np.unravel_index(h.argmax(), h.shape)[::-1] for h in heatmaps]) * 4.0
    expected = sample.gt_instances.transformed_keypoints[0]
    assert np.abs(peaks - expected).max() <= 2.1


def test_splits_share_no_picture() -> None:
    """Nor do the first pictures of one split."""
    pictures = {
        SyntheticHandsDataset(s, 3).get_data_info(i)["img"].tobytes()
        for s in ("train", "val", "test")
        for i in (0, 1, 2)
    }
    assert len(pictures) == 9


def test_metainfo_is_freihand_s_under_its_own_name() -> None:
    """And the segmentation is the mask."""
    data = SyntheticHandsDataset("test", 2, test_mode=True)
    assert data.metainfo["dataset_name"] == "synthetic_hands"
    assert data.metainfo["keypoint_id2name"][5] == "forefinger1"
    mask = data.scene(1).mask
    assert np.array_equal(rasterise(data.get_data_info(1)["segmentation"], *mask.shape), mask)


@pytest.mark.parametrize(("settings", "word"), [(dict(split="tset"), "test"), (dict(length=0), "at least one")])
def test_wrong_settings_are_errors_that_help(settings: dict, word: str) -> None:
    """What, got, expected."""
    with pytest.raises(ConfigError, match=word):
        SyntheticHandsDataset(**settings)


# ---- the head --------------------------------------------------------------------------------------------------------


def test_the_votes_are_weighted_as_written() -> None:
    """One cell that outweighs all others gives its own vote, less the wrist's: computed by hand."""
    made = head(deconv_channels=(), scale=10.0)
    torch.nn.init.zeros_(made.vote.weight)
    torch.nn.init.zeros_(made.vote.bias)
    with torch.no_grad():
        made.vote.weight[4, 0] = 1.0  # joint 1's weight reads channel 0
        made.vote.weight[7, 1] = 1.0  # joint 1's z reads channel 1
        made.reach.copy_(torch.tensor([2.0, 3.0]))
    feats = torch.zeros(1, 5, 3, 3, dtype=torch.float64)
    feats[0, 0, 0, 2] = 200.0  # the upper right cell
    feats[0, 1, 0, 2] = 0.7
    found = made((feats,))[0]
    assert found[1].tolist() == pytest.approx([20.0, -30.0, 7.0])  # reach x +1, reach x -1, its vote; times 10 mm
    assert found[[0, 2, 3]].abs().max() < 1e-12  # the others weigh all cells alike: the middle, as the wrist


@pytest.mark.parametrize("deconv_channels", [(), (6,)])
def test_the_loss_s_gradient_is_that_of_finite_differences(deconv_channels: tuple[int, ...]) -> None:
    """In float64, with respect to the features and to every parameter."""
    made = head(deconv_channels=deconv_channels, loss=dict(type="MSELoss"))
    sample = PoseDataSample()
    sample.gt_instance_labels = InstanceData(lifting_target=torch.randn(1, 4, 3, dtype=torch.float64) * 50)
    names, values = zip(*made.named_parameters(), strict=True)

    def loss(feats: Tensor, *parameters: Tensor) -> Tensor:
        given = {f"head.{n}": p for n, p in zip(names, parameters, strict=True)}
        return torch.func.functional_call(_Loss(made, sample), given, (feats,))

    feats = torch.randn(1, 5, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (feats, *(v.detach().clone().requires_grad_() for v in values)))


class _Loss(torch.nn.Module):
    def __init__(self, head: HandRegression3DHead, sample: PoseDataSample) -> None:
        super().__init__()
        self.head, self.sample = head, sample

    def forward(self, feats: Tensor) -> Tensor:
        return self.head.loss((feats,), [self.sample])["loss_joints"]


def test_the_loss_is_in_its_scale_and_the_distance_in_mm() -> None:
    """Labels 30 mm off along x everywhere but at the wrist: L1 over 100 mm, and the mean distance."""
    made = head()
    feats = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    labels = made((feats,)).detach()
    labels[:, 1:, 0] += 30
    samples = []
    for i in range(2):
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(lifting_target=labels[i : i + 1])
        samples.append(sample)
    found = made.loss((feats,), samples)
    assert found["loss_joints"].item() == pytest.approx(0.3 * 3 / 12)
    assert found["mpjpe"].item() == pytest.approx(30 * 3 / 4)


def test_the_estimator_does_not_move_millimetres() -> None:
    """MMPose's own would take x and y from the input's frame to the image's."""
    estimator = SpacePoseEstimator.__new__(SpacePoseEstimator)
    sample = PoseDataSample(
        metainfo=dict(input_center=np.array([50, 60]), input_scale=np.array([80, 80]), input_size=(96, 96))
    )
    sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    keypoints = np.arange(63.0).reshape(1, 21, 3)
    (done,) = estimator.add_pred_to_datasample([InstanceData(keypoints=keypoints.copy())], None, [sample])
    assert np.array_equal(done.pred_instances.keypoints, keypoints)


# ---- the trained model -----------------------------------------------------------------------------------------------


def test_the_checkpoint_holds_every_weight_and_none_besides() -> None:
    """Strictly, in float16, in at most 3 MB, readable without running code."""
    from mmengine.config import Config
    from mmpose.registry import MODELS

    found = torch.load(CHECKPOINT, map_location="cpu", weights_only=True)
    MODELS.build(Config.fromfile(CONFIG).model).load_state_dict(found["state_dict"], strict=True)
    assert {v.dtype for v in found["state_dict"].values()} <= {torch.float16, torch.int64}
    assert CHECKPOINT.stat().st_size <= 3e6


def test_the_adapter_gives_mm_in_space_and_agrees_with_the_model_s_own_decoding(adapter: CoordinateAdapter) -> None:
    """Chosen by the head's class; names are FreiHAND's."""
    images, _ = batch(adapter, range(4))
    assert isinstance(adapter, Hand3DAdapter)
    assert (adapter.unit, adapter.input_size, adapter.keypoint_names[4]) == ("mm", (96, 96), "thumb4")
    with adapter.frozen(), torch.no_grad():
        coords = adapter(images).coords
    assert coords.shape == (4, 21, 3)
    assert adapter.predict(images).numpy() == pytest.approx(coords.numpy(), abs=1e-3)
    assert adapter.calibrate(images).share_within == 1.0


def test_the_model_is_better_than_the_mean_pose(adapter: CoordinateAdapter) -> None:
    """On 64 held-out hands, less than half the error of predicting the training hands' mean."""
    images, truth = batch(adapter, range(64))
    data = SyntheticHandsDataset("train", 200)
    mean = torch.tensor(np.mean([data.scene(i).relative for i in range(200)], 0))
    found = torch.linalg.vector_norm(adapter.predict(images) - truth, dim=-1).mean()
    assert found < 0.5 * torch.linalg.vector_norm(mean - truth, dim=-1).mean()


def test_attribution_explains_the_joints_in_space(adapter: CoordinateAdapter) -> None:
    """A map a joint; the wrist, which is the origin whatever the picture, has none, and says so."""
    images, truth = batch(adapter, range(1))
    found = attribute(adapter, images, truth)
    assert found.maps.shape == (1, 21, 96, 96)
    assert found.reasons[0] == ("zero_map", *[""] * 20)
    assert found.maps[:, 1:].isfinite().all()
    assert found.maps[:, 1:].amax((2, 3)).numpy() == pytest.approx(1)


def test_maps_sum_to_the_target_s_change(adapter: CoordinateAdapter) -> None:
    """With enough nodes, to a hundredth of the target's range, at tips of fingers and a knuckle."""
    images, truth = batch(adapter, range(1))
    joints = torch.zeros(1, 21, dtype=torch.bool)
    joints[0, [4, 8, 17]] = True
    found = attribute(adapter, images, truth, joints=joints, tol=0.02, tol_scale=0, max_nodes=256)
    assert (found.residual[joints] <= 0.01).all()
    assert found.maps[~joints].isnan().all()


def test_the_maps_lie_on_the_hand(adapter: CoordinateAdapter) -> None:
    """More of the mass than the hand's share of the picture."""
    images, truth = batch(adapter, range(2))
    pipeline = [*PIPELINE, dict(type="PackPoseInputs")]
    data = SyntheticHandsDataset("test", 2, pipeline=pipeline)
    for i in range(2):
        info = data[i]["data_samples"].metainfo
        unit, corner = info["input_scale"][0] / 96, info["input_center"] - info["input_scale"] / 2  # image px
        x, y = (np.rint(corner[j] + unit * np.arange(96)).astype(int) for j in (0, 1))
        parts = np.pad(data.scene(i).parts, 128)[np.ix_(y + 128, x + 128)]
        hand = torch.tensor(parts > 0)
        maps = attribute(adapter, images[i : i + 1], truth[i : i + 1]).maps[0, 1:].double()
        share = (maps * hand).sum((1, 2)) / maps.sum((1, 2))
        assert share.mean() > 1.5 * hand.double().mean()
