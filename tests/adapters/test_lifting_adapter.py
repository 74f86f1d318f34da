"""Lifting models as functions: against MMPose's own way from raw 2D poses, finite differences, a model known by
heart.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lifting_models import KINDS, WIDTH, K, build, config, frames_of, poses, write
from mmengine.dataset import pseudo_collate

from poseig_mm import attribute
from poseig_mm.adapters.build_model import _outputs_on_noise
from poseig_mm.adapters.lifting import LiftingAdapter
from poseig_mm.adapters.plugin import poseig_register_adapters
from poseig_mm.adapters.select import select_adapter
from poseig_mm.data.sequences import SequenceSource, is_sequence
from poseig_mm.errors import AdapterError, ConfigError, DataError, ShapeError


def source(kind: str, folder: Path, adapter: LiftingAdapter) -> SequenceSource:
    write(folder)
    cfg = config(kind, folder)
    assert is_sequence(cfg, "test")
    options: Any = {"truth": adapter.truth, "dimensions": adapter.dimensions}
    return SequenceSource(cfg, preprocess=adapter.model.data_preprocessor, **options)


def examples(adapter: LiftingAdapter, count: int = 2, seed: int = 0) -> torch.Tensor:
    return 0.3 * adapter.example_input(count, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_and_says_what_it_is(kind: str) -> None:
    model = build(kind)
    adapter = LiftingAdapter(model)
    assert select_adapter(model, {a.name: a for a in poseig_register_adapters()}) is LiftingAdapter
    assert (adapter.input_size, adapter.dimensions) == ((K, frames_of(kind)), 3)
    assert (len(adapter.keypoint_names), adapter.default_path) == (K, "linear")
    assert adapter(examples(adapter)).coords.shape == (2, K, 3)
    assert all(torch.isfinite(t).all() for t in _outputs_on_noise(model))


@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_are_what_mmpose_gives(kind: str, tmp_path: Path) -> None:
    """Of raw 2D poses through MMPose's data set, codec, model and decoding, with the true root taken off again."""
    adapter = LiftingAdapter(build(kind))
    samples = source(kind, tmp_path, adapter)
    dataset = samples._entries._parts[0].dataset
    model = adapter.model
    model.test_cfg["flip_test"] = False
    for i in range(len(samples)):
        data = model.data_preprocessor(pseudo_collate([dataset[i]]), False)
        (found,) = model.predict(torch.stack(data["inputs"]).float(), data["data_samples"])
        own = torch.as_tensor(found.pred_instances.keypoints).double().reshape(-1, K, 3)
        own = own[len(own) // 2]
        sample = samples.load(i)
        with torch.no_grad():
            coords = adapter(sample.image[None]).coords[0].double()
        if kind == "motion":  # metres by the camera: thousandths of a px, half the width, metres a thousand px
            factor = float(found.metainfo["factor"][len(found.metainfo["factor"]) // 2, 0])
            coords = coords * WIDTH / 2 * factor / 1000
        else:
            own, coords = own - torch.as_tensor(found.metainfo["target_root"]).double(), coords / 1000
        torch.testing.assert_close(coords, own, rtol=1e-4, atol=2e-5)
    agreement = adapter.calibrate(torch.stack([s.image for s in samples.first(4)]))
    assert (agreement.share_within, agreement.unit) == (1.0, adapter.unit)
    assert agreement.mean_distance < 1e-3 * adapter.threshold


@pytest.mark.parametrize("kind", KINDS)
def test_truth_is_that_of_the_frame(kind: str, tmp_path: Path) -> None:
    """Of padded sequences too: sample i is about frame i."""
    adapter = LiftingAdapter(build(kind))
    samples = source(kind, tmp_path, adapter)
    space, seen = poses()
    assert len(samples) == (2 if kind == "motion" else 10)
    assert samples.annotated() == len(samples) * K
    for i in range(len(samples)):
        sample = samples.load(i)
        frame = 5 * i + 2 if kind == "motion" else i
        truth = sample.keypoints.numpy().astype(np.float64)
        if kind == "motion":  # where the joints are seen, from the root on; depth as large as it would be seen there
            np.testing.assert_allclose(truth[:, :2], (seen[frame] - seen[frame][0]) / (WIDTH / 2), atol=2e-4)
            depth = (space[frame, :, 2] - space[frame, 0, 2]) / space[frame, 0, 2] * 1100 / (WIDTH / 2)
            np.testing.assert_allclose(truth[:, 2], depth, rtol=2e-3, atol=2e-4)
        else:
            np.testing.assert_allclose(truth, 1000 * (space[frame] - space[frame][0]), atol=1e-2)
        assert sample.visible.all()
        assert sample.pixels is None
        assert sample.display.shape == (frames_of(kind), K, 3)


def test_the_input_is_laid_out_by_frame_and_joint(tmp_path: Path) -> None:
    """MMPose's two layouts become the same picture: x and y of each joint in each frame, relative to the image's
    middle.
    """
    _, seen = poses()
    wanted = (seen - [WIDTH / 2, 501]) / (WIDTH / 2)
    video = source("linear", tmp_path, LiftingAdapter(build("linear"))).load(4).image
    np.testing.assert_allclose(video.permute(1, 2, 0), wanted[3:6], atol=1e-4)  # frames 3, 4, 5
    motion = source("motion", tmp_path, LiftingAdapter(build("motion"))).load(1).image
    np.testing.assert_allclose(motion[:2].permute(1, 2, 0), wanted[5:], atol=1e-4)
    assert (motion[2] == 1).all()  # confidence


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind: str) -> None:
    adapter = LiftingAdapter(build(kind).double())
    x = examples(adapter, 1, seed=4).double()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    weights = torch.randn(1, K, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    with adapter.frozen():
        y = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((adapter(y).coords * weights).sum(), y)
        h = 1e-6
        with torch.no_grad():
            ahead, behind = ((adapter(x + s * h * direction).coords * weights).sum() for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    assert abs(float(slope)) > 1e-4
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_path_is_complete(kind: str) -> None:
    """From the mean pose: the maps' signed sum is the likelihood's change, and its start is the mean pose's
    likelihood.
    """
    adapter = LiftingAdapter(build(kind).double())
    x = examples(adapter, 3).double()
    x[:, 2:] = 1
    adapter.prepare(x)
    mean = torch.zeros_like(x[:1, :, :1]) if kind.startswith("image") else x.mean((0, 2), keepdim=True)
    with torch.no_grad():
        there, here = adapter(mean.expand_as(x)).coords, adapter(x).coords
    truth = here + 0.3 * (there - here).norm(dim=-1).mean()
    alpha = float(1 / (there - truth).norm(dim=-1).mean())
    settings: Any = {"quadrature": "gauss_legendre", "nodes": 64, "compute": "exact", "signed": True}
    found = attribute(adapter, x, truth, likelihood_settings={"alpha": alpha}, **settings)
    torch.testing.assert_close(found.target_start, torch.exp(-alpha * (there - truth).norm(dim=-1)), rtol=1e-5, atol=0)
    torch.testing.assert_close(found.target_end, torch.exp(-alpha * (here - truth).norm(dim=-1)), rtol=1e-6, atol=0)
    moving = (there - here).norm(dim=-1) > 0  # the root does not
    assert moving.sum() >= 3 * (K - 1)
    assert float(found.residual[moving].max()) < 5e-3
    assert found.signed is not None
    change = (found.target_end - found.target_start)[moving]
    torch.testing.assert_close(found.signed.sum((-2, -1))[moving], change, rtol=0, atol=5e-3)


def linear() -> tuple[LiftingAdapter, torch.Tensor]:
    """The linear model, and its weights (K, 3, C, T, K): joint k is read from joint k + 1, twice as much in frame 0."""
    adapter = LiftingAdapter(build("linear").double())
    weight = torch.zeros(K, 3, 2, 3, K, dtype=torch.float64)
    for k in range(K):
        weight[k, 0, :, :, (k + 1) % K] = torch.tensor([[2.0, 1.0, 1.0], [-1.0, 0.5, 0.0]])
        weight[k, 1, 0, :, k] = 1.0
    with torch.no_grad():  # the head's input: K, then C, then T
        adapter.head.conv.weight.copy_(weight.permute(0, 1, 4, 2, 3).reshape(3 * K, -1, 1))
        adapter.head.conv.bias.zero_()
    return adapter, weight


def test_attribution_of_a_linear_model_is_its_weights_times_the_way() -> None:
    adapter, weight = linear()
    x = examples(adapter, 2, seed=7).double()
    adapter.prepare(x)
    way = x - x.mean((0, 2), keepdim=True)
    settings: Any = {"quadrature": "midpoint", "nodes": 2, "compute": "exact", "signed": True}
    for axis in (0, 1):
        found = attribute(adapter, x, torch.zeros(2, K, 3), likelihood=lambda c, _, a=axis: c[..., a], **settings)
        wanted = 1000 * torch.einsum("kctm,bctm->bktm", weight[:, axis], way)
        assert found.signed is not None
        torch.testing.assert_close(found.signed, wanted, rtol=1e-4, atol=1e-3)  # the baseline is kept in float32
        joints = torch.arange(K)
        maps = found.maps.sum(2)  # (B, K, K): by joint of the input
        assert (maps[:, joints, (joints + 1 - axis) % K] == maps.sum(-1)).all()


def test_relation_is_the_share_of_each_input_joint() -> None:
    """RI(k -> m) = K times the share of m in k's map; LI and FI have none and say why."""
    from poseig_mm.indices.base import compute_indices
    from poseig_mm.indices.builtin import BUILTIN_INDICES
    from poseig_mm.run.diagnose import index_inputs, places_of
    from poseig_mm.settings import AttributionSettings
    from poseig_mm.types import Sample

    adapter = LiftingAdapter(build("video"))
    x = examples(adapter, 1)
    found = attribute(adapter, x, adapter(x).coords.detach() + 30, quadrature="midpoint", nodes=4, compute="exact")
    sample = Sample("1", "1", "1", "", x[0], np.zeros((9, K, 3), np.uint8), torch.zeros(K, 3),
                    torch.ones(K, dtype=torch.bool), None, "none", np.eye(2, 3))  # fmt: skip
    points = torch.zeros(1, K, 3)
    explainer: Any = SimpleNamespace(adapter=adapter, settings=AttributionSettings())
    inputs = index_inputs([sample], found, points, points, places=places_of([sample]), explainer=explainer)
    values, reasons = compute_indices([make() for make in BUILTIN_INDICES], inputs, found.reasons)
    share = found.maps.sum(2) / found.maps.sum((2, 3))[..., None]
    torch.testing.assert_close(values["ri"], K * share, rtol=1e-5, atol=1e-6)
    assert float(values["ri"].std()) > 0.1
    assert values["li"].isnan().all()
    assert values["fi"].isnan().all()
    assert values["di"].isfinite().all()
    assert set(reasons[0]) == {"no_mask;no_place"}


def test_the_root_that_is_left_out_has_no_map() -> None:
    adapter = LiftingAdapter(build("image"))
    x = examples(adapter, 1)
    found = attribute(adapter, x, adapter(x).coords.detach() + 30, compute="exact", likelihood_settings={"alpha": 0.01})
    assert found.reasons[0] == ("zero_map", *[""] * (K - 1))


def test_the_mean_pose_of_equal_frames_is_no_baseline() -> None:
    """A path from a pose to itself explains nothing: then the middle of the image stays."""
    adapter = LiftingAdapter(build("video"))
    adapter.prepare(torch.full((1, 2, 9, K), 0.25))
    assert float(adapter.baseline.abs().max()) == 0
    adapter.prepare(torch.cat([torch.full((1, 2, 9, K), 0.25), torch.full((1, 2, 9, K), 0.75)]))
    assert (adapter.baseline == 0.5).all()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    video, motion = LiftingAdapter(build("video")), LiftingAdapter(build("motion"))
    with pytest.raises(ShapeError, match=r"\(1, 2, 27, 17\); the model takes \(B, C, T, K\) = \(B, 2, 9, 17\)"):
        video(torch.zeros(1, 2, 27, K))
    with pytest.raises(ShapeError, match="at most 5"):
        motion(torch.zeros(1, 3, 6, K))
    assert motion(torch.zeros(1, 3, 4, K)).coords.shape == (1, K, 3)
    with pytest.raises(ConfigError, match="sequence of 2D poses"):
        video.preprocess_file("x.png")
    bare = build("video")
    bare.head.decoder = None
    with pytest.raises(AdapterError, match="expected one for lifting"):
        LiftingAdapter(bare)
    write(tmp_path)
    cfg = config("motion", tmp_path)
    cfg.test_dataloader.dataset.pipeline[1].meta_keys = ("id", "target_img_path")
    options: Any = {"truth": motion.truth, "dimensions": 3}
    with pytest.raises(DataError, match="expected factor and camera_param"):
        SequenceSource(cfg, preprocess=motion.model.data_preprocessor, **options).load(0)
