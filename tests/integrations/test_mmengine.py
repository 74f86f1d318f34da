"""The hook and the metric inside MMEngine's own loops, on the tiny data set."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import run_ranks
from tiny import IDS, tiny, write_run
from trainings import DIAGNOSIS, HOOK, config_of, runner_of, scalars


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return write_run(tmp_path_factory.mktemp("data"), DIAGNOSIS)


@pytest.fixture(scope="module")
def trained(made: tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A training of two epochs with the hook: its work dir and runner."""
    work_dir = tmp_path_factory.mktemp("train") / "with_hook"
    runner = runner_of(made, work_dir, hooks=[HOOK])
    runner.train()
    return work_dir, runner


def test_indices_are_logged_beside_the_evaluation(trained: tuple[Path, Any]) -> None:
    """Each epoch's line in the scalars holds EPE of the evaluator and indices by group; the run's own mean is the
    number.
    """
    from poseig_mm.store import Store

    work_dir, _ = trained
    lines = [line for line in scalars(work_dir) if "poseig/di" in line]
    assert len(lines) == 2
    for epoch, line in enumerate(lines, 1):
        joints = Store(work_dir / "poseig" / f"epoch_{epoch}").joints()
        shown = joints.filter(joints["visible"])
        assert line["EPE"] > 0
        assert line["poseig/di"] == pytest.approx(float(np.nanmean(shown["di"].to_numpy())))
        leaves = shown.filter(shown["group"] == "leaf")["li"]
        assert len(leaves) > 0
        assert line["poseig/li/leaf"] == pytest.approx(float(np.nanmean(leaves.to_numpy())))
        assert line["poseig/residual"] >= 0


def test_the_persons_are_the_same_each_time_and_the_weights_are_not(trained: tuple[Path, Any]) -> None:
    """A seeded subset of the asked size; every run is of that epoch's weights."""
    from poseig_mm.store import Store

    first, second = (Store(trained[0] / "poseig" / f"epoch_{n}") for n in (1, 2))
    assert len(first) == 2
    assert set(first.sample_ids) == set(second.sample_ids) < set(IDS)
    assert first.run["weights_hash"] != second.run["weights_hash"]
    assert "training" in first.run["checkpoint"]
    assert not first.run["model"]["random_weights"]


def test_maps_are_logged_as_pictures(trained: tuple[Path, Any]) -> None:
    """One picture a person and diagnosis goes to the visualizer: the crop, and its map beside it."""
    import cv2

    pictures = sorted(trained[0].glob("*/vis_data/vis_image/poseig_*.png"))
    assert len(pictures) == 2
    image = cv2.imread(str(pictures[0]))
    assert image.shape == (64, 128, 3)
    assert (image[:, :64] != image[:, 64:]).any()


def test_a_training_with_the_hook_ends_with_the_same_bytes(
    trained: tuple[Path, Any], made: tiny, tmp_path: Path
) -> None:
    """Weights, batch norm statistics and the optimizer's state are bit-identical to those of a training without it."""
    plain = runner_of(made, tmp_path / "plain", hooks=[])
    plain.train()
    found, expected = trained[1].model.state_dict(), plain.model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    states = [r.optim_wrapper.optimizer.state_dict()["state"] for r in (trained[1], plain)]
    for key, state in states[1].items():
        assert torch.equal(states[0][key]["exp_avg"], state["exp_avg"])
    assert all(p.requires_grad for p in trained[1].model.parameters())


def test_the_subset_of_a_random_generator_is_no_accident(made: tiny, tmp_path: Path) -> None:
    """The comparison of bytes can fail: another seed of the training gives other weights."""
    runners = [runner_of(made, tmp_path / str(s), hooks=[], randomness={"seed": s}, epochs=1) for s in (3, 4)]
    for runner in runners:
        runner.train()
    a, b = (r.model.state_dict()["head.final_layer.weight"] for r in runners)
    assert not torch.equal(a, b)


def test_errors_alone_are_logged_without_maps(made: tiny, tmp_path: Path) -> None:
    """Method 'none': EPE and its groups, no index, no picture, and a training that ends well."""
    from poseig_mm.store import Store

    own = {**HOOK, "diagnosis": {"attribution": {"method": "none"}, "report": {"enabled": False}}}
    runner_of(made, tmp_path / "w", epochs=1, hooks=[own]).train()
    (line,) = [line for line in scalars(tmp_path / "w") if "poseig/epe" in line]
    store = Store(tmp_path / "w" / "poseig" / "epoch_1")
    shown = store.joints().filter("visible")
    assert line["poseig/epe"] == pytest.approx(float(shown["epe"].drop_nans().mean()))  # type: ignore[arg-type]
    ours = {key.split("/")[1] for key in line if key.startswith("poseig/")}
    assert ours == {"epe"}
    assert set(shown["reason"]) == {"no_map"}
    assert not list((tmp_path / "w").rglob("vis_image/*"))


def test_every_nth_validation_and_the_last(made: tiny, tmp_path: Path) -> None:
    """interval=2 of three epochs: the second, and the third as the last."""
    runner_of(made, tmp_path / "w", epochs=3, hooks=[{**HOOK, "interval": 2}]).train()
    assert sorted(p.name for p in (tmp_path / "w" / "poseig").iterdir()) == ["epoch_2", "epoch_3"]


def test_iterations_are_counted_where_there_are_no_epochs(made: tiny, tmp_path: Path) -> None:
    """A training by iterations names its runs by them."""
    loops = {"type": "IterBasedTrainLoop", "max_iters": 4, "val_interval": 2}
    cfg = config_of(made, tmp_path / "w", hooks=[HOOK])
    cfg.train_cfg = loops
    cfg.train_dataloader.sampler.type = "InfiniteSampler"
    cfg.log_processor = {"by_epoch": False}
    cfg.default_hooks = {"logger": {"type": "LoggerHook", "log_metric_by_epoch": False}}
    from mmengine.runner import Runner

    Runner.from_cfg(cfg).train()
    assert sorted(p.name for p in (tmp_path / "w" / "poseig").iterdir()) == ["iter_2", "iter_4"]


def test_tensorboard_gets_scalars_and_pictures(made: tiny, tmp_path: Path) -> None:
    """TensorBoard's own reader finds the indices and a picture in the event file."""
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backends = [{"type": "TensorboardVisBackend"}]
    runner_of(made, tmp_path / "w", epochs=1, hooks=[HOOK], visualizer={"vis_backends": backends}).train()
    (events,) = (tmp_path / "w").glob("*/vis_data/events.*")
    log = EventAccumulator(str(events))
    log.Reload()
    assert {"EPE", "poseig/di", "poseig/fi", "poseig/residual"} <= set(log.Tags()["scalars"])
    (picture,) = log.Tags()["images"]
    assert picture.startswith("poseig_")


def test_the_metric_reports_the_same_numbers(made: tiny, tmp_path: Path) -> None:
    """PoseIGMetric in the evaluator: its result holds them, and the model is diagnosed once."""
    evaluator = [{"type": "EPE"}, {"type": "PoseIGMetric"}]
    runner = runner_of(made, tmp_path / "w", hooks=[HOOK], test_evaluator=evaluator)
    metrics = runner.test()
    assert {"EPE", "poseig/di", "poseig/fi"} <= set(metrics)
    assert [p.name for p in (tmp_path / "w" / "poseig").iterdir()] == ["test"]
    plain = runner_of(made, tmp_path / "v", hooks=[HOOK])
    assert plain.test()["poseig/di"] == pytest.approx(metrics["poseig/di"], rel=1e-6)


def test_a_metric_without_the_hook_says_what_to_add(made: tiny, tmp_path: Path) -> None:
    """It has no model."""
    from poseig_mm.errors import ConfigError

    runner = runner_of(made, tmp_path / "w", hooks=[], test_evaluator=[{"type": "EPE"}, {"type": "PoseIGMetric"}])
    with pytest.raises(ConfigError, match="custom_hooks"):
        runner.test()


def test_over_the_time_limit_nothing_is_logged(made: tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warning with the limit; no scalar of a part of the persons; the training ends as ever."""
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "time_limit": 1e-9}])
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.epoch == 1
    assert not [line for line in scalars(tmp_path / "w") if "poseig/di" in line]
    assert [r for r in caplog.records if r.levelno == logging.WARNING and "time_limit" in r.getMessage()]


def test_a_failing_diagnosis_is_a_warning(made: tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt setting must not end a training of days."""
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "diagnosis": {"atribution": {}}}])
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.epoch == 1
    assert [r for r in caplog.records if "did you mean 'attribution'" in r.getMessage()]


def test_ranks_of_a_training_share_the_persons(made: tiny, tmp_path: Path) -> None:
    """Two ranks under DDP: every person once, by the rank whose turn it is; rank 0 logs; nobody waits for ever."""
    from poseig_mm.store import Store

    cfg = config_of(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "persons": 3}])
    cfg.dump(tmp_path / "train.py")
    assert run_ranks(2, "--train", tmp_path / "train.py") == [0, 0]
    run = tmp_path / "w" / "poseig" / "epoch_1"
    store = Store(run)
    assert sorted(store.sample_ids) == sorted(IDS)
    assert store.run["status"] == "complete"
    assert {p.name[:9] for p in (run / "samples").iterdir()} == {"part-r000", "part-r001"}
    assert len([line for line in scalars(tmp_path / "w") if "poseig/di" in line]) == 1


def test_what_is_diagnosed_is_what_was_evaluated(made: tiny, tmp_path: Path) -> None:
    """With EMAHook: the averaged weights, before the training has its own back."""
    from poseig_mm.adapters.build_model import model_hash
    from poseig_mm.store import Store

    ema = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.5, "update_buffers": True}
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[ema, HOOK])
    runner.train()
    (hook,) = [h for h in runner.hooks if type(h).__name__ == "EMAHook"]
    found = Store(tmp_path / "w" / "poseig" / "epoch_1").run["weights_hash"]
    assert found == model_hash(hook.ema_model.module)
    assert found != model_hash(runner.model)


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"persons": 0}, {"images": -1}, {"time_limit": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], mmpose_ready: None) -> None:
    """Before the training begins."""
    from poseig_mm.errors import ConfigError
    from poseig_mm.integrations.mmengine import PoseIGHook

    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PoseIGHook(**wrong)


def test_random_generators_are_given_back_after_an_error() -> None:
    """Python's, NumPy's and torch's, whatever happened inside; gradients are on within `no_grad`."""
    import random

    from poseig_mm.integrations.undisturbed import undisturbed

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    expected = draw()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with torch.no_grad(), pytest.raises(ZeroDivisionError), undisturbed():
        1 / int(draw()[0] < 1 and not torch.is_grad_enabled())
    assert draw() == expected


def test_maps_are_quick_where_nothing_is_said_of_them(mmpose_ready: None) -> None:
    """Neither by the hook nor by the config; what is said of the attribution holds as a whole."""
    from poseig_mm.integrations.mmengine import PoseIGHook

    quick = [PoseIGHook()._settings({}, "val"), PoseIGHook()._settings({"diagnosis": {"indices": ["di"]}}, "val")]
    assert [settings.attribution.max_nodes for settings in quick] == [16, 16]
    given = {"diagnosis": {"attribution": {"tol": 0.1}}}
    assert PoseIGHook()._settings(given, "val").attribution.max_nodes > 16
    assert PoseIGHook(diagnosis=given["diagnosis"])._settings({}, "val").attribution.max_nodes > 16
