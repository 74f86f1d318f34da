"""Whole runs of lifting models over a walk of ten frames: tables, relations, settings, pages, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from lifting_models import FRAMES, K, build, config, poses, write
from mmengine.config import Config
from tiny import tables

from poseig_mm import Plugins, Session
from poseig_mm.data.sequences import colours_of, is_sequence
from poseig_mm.errors import ConfigError
from poseig_mm.plotting.drawing import HEAT
from poseig_mm.report.person import draw_sample, pictures_of
from poseig_mm.report.person_pictures import Notes
from poseig_mm.report.sequence_pictures import SequencePictures
from poseig_mm.store import Store
from poseig_mm.summary.measures import measures

FAST = {"quadrature": "midpoint", "nodes": 4, "compute": "exact"}
SHARED = Path(__file__).parents[3] / "shared" / "data" / "h36m"
SHIPPED = "body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py"


def session(kind: str, folder: Path, work_dir: Path, **diagnosis: Any) -> Session:
    """Over the walk, with the model of `lifting_models.build`."""
    write(folder)
    diagnosis["attribution"] = {**FAST, **diagnosis.get("attribution", {})}
    resume = bool(diagnosis.pop("resume", False))
    cfg = config(kind, folder, diagnosis)
    return Session(
        cfg, work_dir=work_dir, model=build(kind), device="cpu", plugins=Plugins(entry_points=False), resume=resume
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every frame of the walk through a temporal network, with the page and the studies that need no images."""
    folder = tmp_path_factory.mktemp("lifting")
    studies = ["groups", "easy_hard", "error_relation"]
    return session(
        "video", folder / "data", folder / "run", studies=studies, report={"enabled": True, "gallery": 2}
    ).run()


def test_the_table(store: Store) -> None:
    """Errors in mm; FI and LI are missing for a reason, DI is there."""
    assert store.failures == ()
    joints = store.joints()
    space, _ = poses()
    assert len(joints) == FRAMES * K
    for i in range(FRAMES):
        rows = joints.filter(pl.col("sample_id") == f"{i}-{i}").sort("joint")
        wanted = 1000 * (space[i] - space[i][0])
        np.testing.assert_allclose(rows.select("gt_x", "gt_y", "gt_z").to_numpy(), wanted, atol=1e-2)
        found = rows.select("pred_x", "pred_y", "pred_z").to_numpy()
        np.testing.assert_allclose(rows["epe"], np.linalg.norm(found - wanted, axis=1), rtol=1e-4)
        np.testing.assert_allclose(rows["epe"], rows["epe_soft"], rtol=1e-4)
    assert set(joints["unit"]) == {"mm"}
    assert joints["di"].is_finite().all()
    assert set(joints["reason"]) == {"no_mask;no_place"}
    assert joints.select(pl.col("fi", "li", "place_x", "place_y").is_nan().all()).row(0) == (True,) * 4
    assert (store.run["model"]["input"], store.run["model"]["input_size"]) == ("sequence", [K, 9])
    assert store.run["settings"]["attribution"]["path"] == "linear"


def test_relations_are_shares_of_the_stored_maps(store: Store) -> None:
    for sample_id in store.sample_ids[::4]:
        maps = store.map(sample_id)
        assert maps is not None
        share = maps.astype(np.float64).sum(1) / maps.astype(np.float64).sum((1, 2))[:, None]
        rows = store.relations().filter(pl.col("sample_id") == sample_id).sort("joint", "other")
        np.testing.assert_allclose(rows["ri"].to_numpy().reshape(K, K), K * share, atol=0.01 * K)
        assert float(np.ptp(share)) > 0.05


def test_studies_without_images_run(store: Store) -> None:
    assert set(store.studies) == {"groups", "easy_hard", "error_relation"}
    page = (store.path / "report" / "index.html").read_text()
    assert "sequence of 2D poses" in page


@pytest.mark.parametrize("study", ["sanity", "shortcuts", "perturbation", "dependency", "insertion_deletion",
                                   "baselines", "output_space", "inversion", "randomization"])  # fmt: skip
def test_studies_of_images_are_refused(study: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"study '{study}' changes or measures images, .* sequence of 2D poses"):
        session("video", tmp_path / "data", tmp_path / "run", studies=[study]).run()


def test_every_frame_s_model(tmp_path: Path) -> None:
    """MotionBERT's kind: the middle frame, in half image widths; RI over all frames."""
    found = session("motion", tmp_path / "data", tmp_path / "run").run()
    joints = found.joints()
    assert found.failures == ()
    assert set(joints["unit"]) == {"w/2"}
    assert len(found) == 2
    _, seen = poses()
    rows = joints.filter(pl.col("sample_id") == "1-1").sort("joint")
    np.testing.assert_allclose(rows.select("gt_x", "gt_y").to_numpy(), (seen[7] - seen[7][0]) / 500, atol=2e-4)
    assert rows["reason"][0] == "zero_map"  # the root is 0
    assert set(rows["reason"][1:]) == {"no_mask;no_place"}
    maps = found.map("1-1")
    assert maps is not None
    assert maps.shape == (K, 5, K)
    assert float(maps[3].astype(np.float64).sum(1).min()) > 0  # every frame has some


def test_a_path_given_wins(tmp_path: Path) -> None:
    """The default is linear from the mean pose; `path_settings` and another path are the user's."""
    first = session("linear", tmp_path / "data", tmp_path / "a", samples={"limit": 2})
    zero = {"path": "linear", "path_settings": {"baseline": "black"}}  # black: the middle of the image
    second = session("linear", tmp_path / "data", tmp_path / "b", samples={"limit": 2}, attribution=zero)
    stores = [s.run() for s in (first, second)]
    starts = [s.joints()["target_start"].to_numpy() for s in stores]
    assert np.abs(starts[0] - starts[1]).max() > 1e-3


def test_a_blur_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"path 'blur' blurs images, .* sequence of 2D poses; leave `path` out"):
        session("linear", tmp_path / "data", tmp_path / "c", attribution={"path": "blur"}).run()


def test_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    """The mean pose is that of the data set's first samples, whatever was selected or is left to do."""
    whole = session("linear", tmp_path / "data", tmp_path / "whole").run()
    session("linear", tmp_path / "data", tmp_path / "part", samples={"limit": 3}).run()
    part = session("linear", tmp_path / "data", tmp_path / "part", resume=True).run()
    assert tables(part) == tables(whole)
    assert len(part) == FRAMES


def test_persons_are_counted_without_a_model(tmp_path: Path) -> None:
    assert session("video", tmp_path / "data", tmp_path / "run").count(4) == (4, 4 * K)


def test_images_are_no_sequences() -> None:
    """A codec that lifts, behind a crop; a data set without a codec."""
    lift = {"type": "GenerateTarget", "encoder": {"type": "VideoPoseLifting", "num_keypoints": K}}
    crop = {"type": "TopdownAffine", "input_size": (4, 4)}
    heatmap = {"type": "GenerateTarget", "encoder": {"type": "MSRAHeatmap"}}
    for pipeline, wanted in (([lift], True), ([crop, lift], False), ([heatmap], False), ([], False)):
        data = {"dataset": {"type": "ConcatDataset", "datasets": [{"type": "Human36mDataset", "pipeline": pipeline}]}}
        assert is_sequence(Config({"val_dataloader": data}), "val") is wanted
    assert not is_sequence(Config({}), "test")


def test_pictures_show_the_share_of_each_joint(store: Store, tmp_path: Path) -> None:
    """The pose as it is seen (in steps of 1/255 of its extent), the discs' colours by share, over the joint's own
    ring.
    """
    from matplotlib import colormaps

    sample_id = store.sample_ids[4]
    row = store.samples().filter(pl.col("sample_id") == sample_id).to_dicts()[0]
    joints = store.joints().filter(pl.col("sample_id") == sample_id)
    notes = Notes()
    person = pictures_of(store, row, joints, measures(store, joints), notes)
    assert isinstance(person, SequencePictures)
    _, seen = poses()
    pose = seen[4] - seen[4].mean(0)
    drawn = person.points - person.points.mean(0)
    np.testing.assert_allclose(drawn / np.abs(drawn).max(), pose / np.abs(pose).max(), atol=0.03)
    maps = store.map(sample_id)
    assert maps is not None
    share = maps[3].astype(np.float64).sum(0)
    strongest = int(share.argmax())
    tile = np.asarray(person._pose(3, 304))  # 1 px a px of the panel
    x, y = np.rint(person.points[strongest]).astype(int)
    np.testing.assert_allclose(tile[y, x], 255 * np.array(colormaps[HEAT](1.0)[:3]), atol=12)
    assert len(person._frames(3, 100)) == 1
    draw_sample(store, sample_id, tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").stat().st_size > 5000
    assert list(notes.remarks) == ["The input is a sequence of 2D poses, whose middle frame is drawn"]


def test_colours_are_places() -> None:
    image = torch.tensor([[[0.0, 2.0, 1.0]], [[3.0, 3.0, 4.0]], [[1.0, 1.0, 1.0]]])
    assert colours_of(image)[0].tolist() == [[0, 0, 128], [255, 0, 128], [128, 128, 128]]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"sample data not found at {SHARED}")
@pytest.mark.parametrize("kind", ["image", "video", "motion"])
def test_real_poses_through_a_shipped_config(kind: str, tmp_path: Path) -> None:
    """MMPose's own config and data set; bones are as long as a body's, and agree with where the camera sees them."""
    import mmpose

    names = {
        "image": SHIPPED,
        "video": "body_3d_keypoint/video_pose_lift/h36m/video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py",
        "motion": "body_3d_keypoint/motionbert/h36m/motionbert_dstformer-243frm_8xb32-240e_h36m.py",
    }
    cfg = Config.fromfile(str(Path(mmpose.__file__).parent / ".mim" / "configs" / names[kind]))
    cfg.model.backbone["feat_size" if kind == "motion" else "stem_channels"] = 32
    cfg.model.head.in_channels = 32
    if kind == "motion":
        cfg.model.backbone.depth = 1
    cfg.test_dataloader.dataset.update(
        ann_file="test_h36m_body3d.npz", camera_param_file="cameras.pkl", data_root=f"{SHARED}/"
    )
    if kind == "motion":
        cfg.test_dataloader.dataset.multiple_target = 1  # there are four videos of one frame
    cfg.diagnosis = {"attribution": FAST, "report": {"enabled": False}, "indices": ["di", "ri"]}
    found = Session(cfg, work_dir=tmp_path, device="cpu", plugins=Plugins(entry_points=False)).run()
    joints = found.joints()
    assert (len(found), found.failures) == (4, ())
    assert found.run["agreement"]["share_within"] == 1.0
    for sample_id in found.sample_ids:
        rows = joints.filter(pl.col("sample_id") == sample_id).sort("joint")
        truth = rows.select("gt_x", "gt_y", "gt_z").to_numpy()
        thigh = np.linalg.norm(truth[1] - truth[2])
        assert (350 < thigh < 550) if kind != "motion" else (0.02 < thigh < 0.6)
        assert rows["di"][1:].is_finite().all()
