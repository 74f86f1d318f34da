"""`python -m benchmarks.coverage`: trials, each in a process of its own, and the page made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ROOT, tiny, write_run

from benchmarks.coverage import trial as trial_module
from benchmarks.coverage.__main__ import main
from benchmarks.coverage.runs import read_results, try_all
from benchmarks.coverage.table import coverage_page
from benchmarks.coverage.trial import Trial, configs, try_config
from poseig_mm.api import load_adapter, load_config
from poseig_mm.functional.paths import BlurPath

# The smallest config of every family of estimators and heads that MMPose ships.  Too heavy for every run, and tried by
# `python -m benchmarks.coverage` alone: EDPose (800 x 1333) and IntegralRegressionHead's debiasing; tests/adapters has
# tiny ones of both.
FAMILIES = {
    "heatmap": "body_2d_keypoint/topdown_heatmap/coco/td-hm_mobilenetv2_8xb64-210e_coco-256x192.py",
    "ViPNAS": "body_2d_keypoint/topdown_heatmap/coco/td-hm_vipnas-mbv3_8xb64-210e_coco-256x192.py",
    "ViTPose": "body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192.py",
    "MSPN": "body_2d_keypoint/topdown_heatmap/coco/td-hm_rsn18_8xb32-210e_coco-256x192.py",
    "visibility": "body_2d_keypoint/topdown_heatmap/coco/td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py",
    "whole body": "wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/"
    "td-hm_vipnas-mbv3_8xb64-210e_coco-wholebody-256x192.py",
    "integral": "body_2d_keypoint/integral_regression/coco/ipr_res50_dsnt-8xb64-210e_coco-256x256.py",
    "regression": "body_2d_keypoint/topdown_regression/coco/td-reg_res50_8xb64-210e_coco-256x192.py",
    "RLE": "body_2d_keypoint/topdown_regression/coco/td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192.py",
    "SimCC": "body_2d_keypoint/simcc/coco/simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py",
    "RTMCC": "body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py",
    "RTMW": "wholebody_2d_keypoint/rtmpose/cocktail14/rtmw-m_8xb1024-270e_cocktail14-256x192.py",
    "distiller": "wholebody_2d_keypoint/dwpose/ubody/s1_dis/dwpose_l_dis_t_coco-ubody-256x192.py",
    "second distillation": "wholebody_2d_keypoint/dwpose/ubody/s2_dis/dwpose_t-tt_coco-ubody-256x192.py",
    "YOLOX-Pose": "body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py",
    "CPM": "body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb64-210e_coco-256x192.py",
    "AE": "body_2d_keypoint/associative_embedding/coco/ae_hrnet-w32_8xb24-300e_coco-512x512.py",
    "CID": "body_2d_keypoint/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512.py",
    "DEKR": "body_2d_keypoint/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py",
    "InterNet": "hand_3d_keypoint/internet/interhand3d/internet_res50_4xb16-20e_interhand3d-256x256.py",
    "lifting": "body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py",
    "MotionBERT": "body_3d_keypoint/motionbert/h36m/motionbert_dstformer-243frm_8xb32-240e_h36m.py",
    "RTMO": "body_2d_keypoint/rtmo/body7/rtmo-t_8xb32-600e_body7-416x416.py",
}
# Their codecs look for the peak of blurred heatmaps, which lies elsewhere on noise; see test_adapter_decoding.
BLURRED = {"MSPN", "ViTPose"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return write_run(tmp_path_factory.mktemp("data"))


def test_a_good_config_is_adapted_and_agrees(made: tiny) -> None:
    """The facts of the tiny model; its coordinates are its own decoding's, but for the quarter-pixel step."""
    trial = try_config("tiny", made.config)
    assert trial is not None
    assert trial.reason == ""
    assert (trial.adapter, trial.estimator, trial.backbone, trial.head) == (
        "heatmap",
        "TopdownPoseEstimator",
        "ResNet",
        "HeatmapHead",
    )
    assert (trial.input_size, trial.joints, trial.unit) == ((64, 64), 17, "px")
    assert trial.compared > 0
    assert trial.apart is not None
    assert 0 < trial.apart <= 2**0.5 + 1e-3  # a quarter of 4 px in x and y
    assert (trial.within, trial.threshold) == (1.0, 4.0)


def test_a_wrong_adapter_is_seen(made: tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid that is a heatmap pixel off shows in `apart`."""
    from poseig_mm.adapters.heatmap import HeatmapGrid

    right = HeatmapGrid.to_input
    monkeypatch.setattr(HeatmapGrid, "to_input", lambda self, positions: right(self, positions) + 4.0)
    trial = try_config("tiny", made.config)
    assert trial is not None
    assert trial.apart is not None
    assert trial.apart > 4


def test_configs_are_those_that_mmpose_ships(mmpose_ready: None) -> None:
    """More than 400, none of them a `_base_`; a config without a model is no trial."""
    found = configs()
    assert len(found) > 400
    assert not [name for name in found if "_base_" in name]
    assert all(path.is_file() for path in found.values())


def test_no_model_no_trial(tmp_path: Path, mmpose_ready: None) -> None:
    """A config of data alone does not count among those that hold a model."""
    (tmp_path / "data.py").write_text("x = 1\n")
    assert try_config("data", tmp_path / "data.py") is None


def _with_module(made: tiny, folder: Path, name: str, code: str) -> Path:
    """The tiny model's config, importing a module of this code."""
    (folder / f"{name}.py").write_text(code)
    config = folder / f"config_{name}.py"
    config.write_text(made.config.read_text() + f"custom_imports = dict(imports=['{name}'])\n")
    return config


def test_whatever_goes_wrong_is_a_row(made: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that cannot be built and a process that dies: reasons, and the next is tried."""
    monkeypatch.syspath_prepend(str(tmp_path))
    unknown = tmp_path / "unknown.py"
    unknown.write_text(made.config.read_text().replace("type='HeatmapHead'", "type='NoSuchHead'"))
    dies = _with_module(made, tmp_path, "dies", "import os\nos._exit(3)\n")
    seen = []
    paths = {"unknown": unknown, "dies": dies, "good": made.config}
    try_all(paths, tmp_path / "w", on_progress=lambda *row: seen.append(row[2]))
    reasons = {name: trial.reason for name, trial in read_results(tmp_path / "w").items() if trial is not None}
    assert seen == list(paths)
    assert "NoSuchHead" in reasons["unknown"]
    assert "code 3" in reasons["dies"]
    assert reasons["good"] == ""


def test_one_that_does_not_end_is_a_row(made: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended after the timeout, and the next is tried (which hangs too: whatever ends needs a time of its own)."""
    monkeypatch.syspath_prepend(str(tmp_path))
    hangs = _with_module(made, tmp_path, "hangs", "import time\ntime.sleep(600)\n")
    seen = []
    try_all(
        {"first": hangs, "second": hangs}, tmp_path / "w", timeout=1.5, on_progress=lambda *row: seen.append(row[2])
    )
    assert seen == ["first", "second"]
    assert [trial.reason for trial in read_results(tmp_path / "w").values() if trial] == 2 * ["not done within 1.5 s"]


def test_batch_norms_settle_on_what_the_trial_looks_at(made: tiny) -> None:
    """The first one's mean is that of what reaches it, over the noise and its blurs; all are back in evaluation mode.

    Statistics of the noise alone make a deep model's heatmaps of the blurs so high that their soft-argmax has no
    gradient.
    """
    adapter = load_adapter(load_config(made.config))
    norms = [m for m in adapter.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    trial_module._settle(adapter)
    points = BlurPath()(adapter.example_input(seed=1), torch.tensor([0.0, 0.5, 1.0]))[0]
    with torch.no_grad():
        reached = adapter.model.backbone.conv1(points)
    assert torch.allclose(norms[0].running_mean, reached.mean((0, 2, 3)), atol=1e-5)
    assert not any(norm.training for norm in norms)
    assert {norm.momentum for norm in norms} == {0.1}


def _write(work_dir: Path, rows: list[tuple[str, float, str]], name: str = "shard-1-of-1.jsonl") -> None:
    lines = [json.dumps({"config": c, "time": t, "trial": Trial(c, reason=r).as_dict()}) for c, t, r in rows]
    (work_dir / name).write_text("\n".join(lines) + '\n{"config": "half')


def test_what_is_there_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all shards; `retry` takes those with a reason again, and the latest trial counts; half a line is left out."""
    tried: list[str] = []

    def record(name: str, path: Path, timeout: float) -> Trial:
        tried.append(name)
        return Trial(name)

    monkeypatch.setattr("benchmarks.coverage.runs.in_own_process", record)
    _write(tmp_path, [("a", 1.0, ""), ("b", 2.0, "too slow")], "shard-2-of-2.jsonl")
    names = {name: tmp_path for name in "abc"}
    try_all(names, tmp_path)
    assert tried == ["c"]
    assert read_results(tmp_path)["b"].reason == "too slow"  # type: ignore[union-attr]
    tried.clear()
    try_all(names, tmp_path, retry=True)
    assert tried == ["b"]
    assert read_results(tmp_path)["b"].reason == ""  # type: ignore[union-attr]


def test_shards_share_the_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1/2 and 2/2 are every second one each, whatever the other has done in between; 3/2 is refused."""
    tried: list[str] = []
    monkeypatch.setattr(
        "benchmarks.coverage.runs.in_own_process", lambda name, path, timeout: tried.append(name) or Trial(name)
    )
    names = {name: tmp_path for name in "abcde"}
    try_all(names, tmp_path, shard=(2, 2))
    assert tried == ["b", "d"]
    try_all(names, tmp_path, shard=(1, 2))
    assert tried == ["b", "d", "a", "c", "e"]
    with pytest.raises(ValueError, match="3/2"):
        try_all(names, tmp_path, shard=(3, 2))


def test_the_page_counts_what_it_shows() -> None:
    """N of M, a row an adapter, a reason each for the others; a config without a model is no row."""
    about: dict[str, Any] = {"estimator": "E", "head": "H", "adapter": "heatmap", "input_size": (64, 64)}
    results = {
        "body/a.py": Trial(
            "body/a.py", **about, joints=17, unit="px", apart=0.5, within=0.9, parameters=1_500_000, seconds=2.0
        ),
        "body/b.py": Trial("body/b.py", reason="AdapterError: no adapter | at all"),
        "body/c.py": None,
    }
    page = coverage_page(results, "Measured here.")
    assert "**1 of 2**" in page
    assert "| heatmap | E | H | 1 of 1 |" in page
    assert "| none | ? | ? | 0 of 1 |" in page
    assert "| body/b.py | AdapterError: no adapter / at all |" in page
    assert "| a | heatmap | 64 x 64 | 17 | px | 1.5 | 0.5 (90 %) | 2.0 |" in page
    assert "body/c.py" not in page


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--only` chooses; exit code 1 where one could not be diagnosed; a pattern that matches nothing is an error."""
    _write(tmp_path, [(FAMILIES["heatmap"], 1.0, ""), ("x", 1.0, "bad")])
    page = tmp_path / "coverage.md"
    assert main(["--work-dir", str(tmp_path), "--only", FAMILIES["heatmap"], "--table", str(page)]) == 0
    assert "**1 of 1**" in page.read_text()
    assert "1 of 1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--only", "no-such-config"])


@pytest.mark.largest
@pytest.mark.parametrize("family", FAMILIES)
def test_a_representative_of_each_family(family: str, mmpose_ready: None) -> None:
    """Built, adapted, attributed; where there is a decoding of its own, within a heatmap pixel of it (method section
    1).
    """
    trial = try_config(FAMILIES[family], configs()[FAMILIES[family]])
    assert trial is not None
    assert trial.reason == ""
    assert trial.compared > 0
    assert trial.within is not None
    assert family in BLURRED or trial.within >= 0.85  # of 17 joints two may have two peaks on noise


def test_the_committed_page_covers_the_representatives() -> None:
    """docs/coverage.md is of this list of configs."""
    page = (ROOT / "docs" / "coverage.md").read_text()
    missing = [name for name in FAMILIES.values() if name.partition("/")[2].removesuffix(".py") not in page]
    assert missing == []
