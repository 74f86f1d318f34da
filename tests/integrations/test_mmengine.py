"""The hook and the metric inside MMEngine's own loops, on the tiny data set."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import run_ranks
from tiny import FAST, IDS, tiny, write_run

HOOK = {"type": "PoseIGHook", "persons": 2, "images": 1}
DIAGNOSIS = {"attribution": FAST, "report": {"enabled": False}, "indices": ["di", "fi", "li"]}


def _config(made: tiny, work_dir: Path, *, epochs: int = 2, hooks: list[dict[str, Any]], **changes: Any) -> Any:
    """A training over the tiny data set, with a random flip (random numbers) and batch norm."""
    from mmengine.config import Config

    from poseig_mm.compat import prepare_environment

    prepare_environment()
    cfg = Config.fromfile(str(made.config))
    cfg.custom_imports = {"imports": ["mmpose", "poseig_mm.integrations.mmengine"], "allow_failed_imports": False}
    data = cfg.test_dataloader.dataset.to_dict()
    transforms = [*data["pipeline"][:2], {"type": "RandomFlip"}, data["pipeline"][2]]
    transforms += [{"type": "GenerateTarget", "encoder": cfg.codec.to_dict()}, data["pipeline"][3]]
    cfg.train_dataloader = {
        **{"batch_size": 2, "num_workers": 0, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "dataset": {**data, "test_mode": False, "pipeline": transforms},
    }
    cfg.model.head.loss = {"type": "KeypointMSELoss", "use_target_weight": True}
    cfg.train_cfg = {"by_epoch": True, "max_epochs": epochs, "val_interval": 1}
    cfg.val_cfg = cfg.test_cfg = {}
    cfg.optim_wrapper = {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": 1e-3}}
    cfg.val_evaluator = cfg.test_evaluator = [{"type": "EPE"}]
    cfg.visualizer = {"type": "PoseLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
    cfg.randomness = {"seed": 3}
    cfg.work_dir, cfg.custom_hooks, cfg.load_from = str(work_dir), hooks, str(made.weights)
    cfg.experiment_name = (
        f"{work_dir.parent.name}-{work_dir.name}"  # MMEngine's loggers and visualizers are one a name in a process
    )
    cfg.merge_from_dict(changes)
    return cfg


def _runner(*args: Any, **kwargs: Any) -> Any:
    from mmengine.runner import Runner
    from mmengine.utils import import_modules_from_strings

    cfg = _config(*args, **kwargs)
    import_modules_from_strings(**cfg.custom_imports)
    return Runner.from_cfg(cfg)


def _scalars(work_dir: Path) -> list[dict[str, Any]]:
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return write_run(tmp_path_factory.mktemp("data"), DIAGNOSIS)


@pytest.fixture(scope="module")
def trained(made: tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A training of two epochs with the hook: its work dir and runner."""
    work_dir = tmp_path_factory.mktemp("train") / "with_hook"
    runner = _runner(made, work_dir, hooks=[HOOK])
    runner.train()
    return work_dir, runner


def test_indices_are_logged_beside_the_evaluation(trained: tuple[Path, Any]) -> None:
    """Each epoch's line in the scalars holds EPE of the evaluator and indices by group; the run's own mean is the
    number.
    """
    from poseig_mm.store import Store

    work_dir, _ = trained
    lines = [line for line in _scalars(work_dir) if "poseig/di" in line]
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
    plain = _runner(made, tmp_path / "plain", hooks=[])
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
    runners = [_runner(made, tmp_path / str(s), hooks=[], randomness={"seed": s}, epochs=1) for s in (3, 4)]
    for runner in runners:
        runner.train()
    a, b = (r.model.state_dict()["head.final_layer.weight"] for r in runners)
    assert not torch.equal(a, b)


def test_every_nth_validation_and_the_last(made: tiny, tmp_path: Path) -> None:
    """interval=2 of three epochs: the second, and the third as the last."""
    _runner(made, tmp_path / "w", epochs=3, hooks=[{**HOOK, "interval": 2}]).train()
    assert sorted(p.name for p in (tmp_path / "w" / "poseig").iterdir()) == ["epoch_2", "epoch_3"]


def test_iterations_are_counted_where_there_are_no_epochs(made: tiny, tmp_path: Path) -> None:
    """A training by iterations names its runs by them."""
    loops = {"type": "IterBasedTrainLoop", "max_iters": 4, "val_interval": 2}
    cfg = _config(made, tmp_path / "w", hooks=[HOOK])
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
    _runner(made, tmp_path / "w", epochs=1, hooks=[HOOK], visualizer={"vis_backends": backends}).train()
    (events,) = (tmp_path / "w").glob("*/vis_data/events.*")
    log = EventAccumulator(str(events))
    log.Reload()
    assert {"EPE", "poseig/di", "poseig/fi", "poseig/residual"} <= set(log.Tags()["scalars"])
    (picture,) = log.Tags()["images"]
    assert picture.startswith("poseig_")


def test_the_metric_reports_the_same_numbers(made: tiny, tmp_path: Path) -> None:
    """PoseIGMetric in the evaluator: its result holds them, and the model is diagnosed once."""
    evaluator = [{"type": "EPE"}, {"type": "PoseIGMetric"}]
    runner = _runner(made, tmp_path / "w", hooks=[HOOK], test_evaluator=evaluator)
    metrics = runner.test()
    assert {"EPE", "poseig/di", "poseig/fi"} <= set(metrics)
    assert [p.name for p in (tmp_path / "w" / "poseig").iterdir()] == ["test"]
    plain = _runner(made, tmp_path / "v", hooks=[HOOK])
    assert plain.test()["poseig/di"] == pytest.approx(metrics["poseig/di"], rel=1e-6)


def test_a_metric_without_the_hook_says_what_to_add(made: tiny, tmp_path: Path) -> None:
    """It has no model."""
    from poseig_mm.errors import ConfigError

    runner = _runner(made, tmp_path / "w", hooks=[], test_evaluator=[{"type": "EPE"}, {"type": "PoseIGMetric"}])
    with pytest.raises(ConfigError, match="custom_hooks"):
        runner.test()


def test_over_the_time_limit_nothing_is_logged(made: tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warning with the limit; no scalar of a part of the persons; the training ends as ever."""
    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "time_limit": 1e-9}])
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.epoch == 1
    assert not [line for line in _scalars(tmp_path / "w") if "poseig/di" in line]
    assert [r for r in caplog.records if r.levelno == logging.WARNING and "time_limit" in r.getMessage()]


def test_a_failing_diagnosis_is_a_warning(made: tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt setting must not end a training of days."""
    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "diagnosis": {"atribution": {}}}])
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.epoch == 1
    assert [r for r in caplog.records if "did you mean 'attribution'" in r.getMessage()]


def test_ranks_of_a_training_share_the_persons(made: tiny, tmp_path: Path) -> None:
    """Two ranks under DDP: every person once, by the rank whose turn it is; rank 0 logs; nobody waits for ever."""
    from poseig_mm.store import Store

    cfg = _config(made, tmp_path / "w", epochs=1, hooks=[{**HOOK, "persons": 3}])
    cfg.dump(tmp_path / "train.py")
    assert run_ranks(2, "--train", tmp_path / "train.py") == [0, 0]
    run = tmp_path / "w" / "poseig" / "epoch_1"
    store = Store(run)
    assert sorted(store.sample_ids) == sorted(IDS)
    assert store.run["status"] == "complete"
    assert {p.name[:9] for p in (run / "samples").iterdir()} == {"part-r000", "part-r001"}
    assert len([line for line in _scalars(tmp_path / "w") if "poseig/di" in line]) == 1


def test_what_is_diagnosed_is_what_was_evaluated(made: tiny, tmp_path: Path) -> None:
    """With EMAHook: the averaged weights, before the training has its own back."""
    from poseig_mm.adapters.build_model import model_hash
    from poseig_mm.store import Store

    ema = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.5, "update_buffers": True}
    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[ema, HOOK])
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


# ---- whatever happens in a diagnosis, the training goes on, and to the same weights ----------------------------

PLUGIN = """
import os
import sys

from poseig_mm import hookimpl


class NotEvenAnException(BaseException):
    pass


@hookimpl
def {hook}({arguments}):
    {body}
"""


def _with_plugin(folder: Path, hook: str, arguments: str, body: str) -> dict[str, Any]:
    """The hook's settings with a plugin that does this."""
    path = folder / "a_plugin.py"
    path.write_text(PLUGIN.format(hook=hook, arguments=arguments, body=body.replace("\n", "\n    ")))
    return {**HOOK, "diagnosis": {**DIAGNOSIS, "plugins": [str(path)]}}


def _assert_same_weights(a: Any, b: Any) -> None:
    expected = b.model.state_dict()
    for name, value in a.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.fixture(scope="module")
def plain(made: tiny, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same training of one epoch without the hook."""
    runner = _runner(made, tmp_path_factory.mktemp("plain") / "w", epochs=1, hooks=[])
    runner.train()
    return runner


@pytest.mark.parametrize("end", ["sys.exit(0)", "raise SystemExit('enough')", "raise NotEvenAnException()"])
@pytest.mark.parametrize("hook", ["poseig_session_start", "poseig_indices"])
def test_a_plugin_that_exits_ends_no_training(made: tiny, tmp_path: Path, hook: str, end: str, plain: Any) -> None:
    """Neither where its failure is survived nor where it ends the run."""
    arguments = "config" if hook == "poseig_session_start" else ""
    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[_with_plugin(tmp_path, hook, arguments, end)])
    runner.train()
    assert runner.epoch == 1
    _assert_same_weights(runner, plain)


def test_the_users_own_interrupt_ends_it(made: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a diagnosis is meant for the training."""
    from poseig_mm.run.session import Session

    def interrupted(self: Session) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _runner(made, tmp_path / "w", epochs=1, hooks=[HOOK]).train()


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("visualizer", OSError(28, "No space left on device")),
        ("visualizer", SystemExit(3)),
        ("message_hub", OSError(28, "No space left on device")),
        ("numbers", FileNotFoundError("gone")),
        ("log", SystemExit(0)),
    ],
)
def test_what_cannot_be_logged_ends_no_training(
    made: tiny, tmp_path: Path, where: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visualizer on a full disk, files of the run that vanish before they are read, a log that cannot be written."""
    import poseig_mm.integrations.mmengine as module

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[HOOK])
    if where == "visualizer":
        monkeypatch.setattr(runner.visualizer, "add_image", fail)
    elif where == "numbers":
        monkeypatch.setattr(module, "index_means", fail)
    elif where == "log":
        monkeypatch.setattr(module, "print_log", fail)
    else:
        update = type(runner.message_hub).update_scalar
        monkeypatch.setattr(
            type(runner.message_hub),
            "update_scalar",
            lambda self, key, *args: fail() if "poseig" in key else update(self, key, *args),
        )
    runner.train()
    assert runner.epoch == 1
    if where == "visualizer":  # the numbers are there without the pictures
        assert [line for line in _scalars(tmp_path / "w") if line.get("poseig/di")]


CHANGES = {
    "values": "p = next(adapter.model.parameters())\np.data.add_(1)",
    "nan": "adapter.model.head.final_layer.bias.data.fill_(float('nan'))",
    "type": "adapter.model.double()",
    "object": (
        "import torch\nlayer = adapter.model.head.final_layer\n"
        "layer.weight = torch.nn.Parameter(torch.zeros_like(layer.weight))"
    ),
    "layer": "import torch\nadapter.model.head.final_layer = torch.nn.Identity()",
    "mode": "adapter.model.head.train = lambda mode=True: None",
    "forward": "adapter.model.backbone.forward = lambda x: 0",
    "gradients": "p = next(adapter.model.parameters())\np.requires_grad_(False)\np.grad = p.data * 0 + 9",
    "hook": "adapter.model.head.register_forward_hook(lambda m, i, o: o * 0)",
    "statistics": "[b.add_(1) for n, b in adapter.model.named_buffers() if 'running' in n]",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_plugin_that_changes_the_model_changes_no_training(
    made: tiny, tmp_path: Path, change: str, plain: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is put back bit for bit, and said; numbers of another model are not logged."""
    reach = "import gc\nfrom poseig_mm.integrations import mmengine\nadapter = mmengine._adapter_for_tests"
    hook = _with_plugin(tmp_path, "poseig_after_sample", "sample", reach + "\n" + CHANGES[change])
    runner = _runner(made, tmp_path / "w", epochs=1, hooks=[hook])
    runner.logger.addHandler(caplog.handler)

    class Reach:
        model = runner.model

    import poseig_mm.integrations.mmengine as module

    module._adapter_for_tests = Reach  # type: ignore[attr-defined]
    ways = {name: m.training for name, m in runner.model.named_modules()}
    try:
        runner.train()
    finally:
        del module._adapter_for_tests  # type: ignore[attr-defined]
    _assert_same_weights(runner, plain)
    assert len(ways) == len(list(runner.model.named_modules()))
    assert not runner.model.head._forward_hooks
    assert all(p.requires_grad for p in runner.model.parameters())
    assert "9" not in {str(float(p.grad.flatten()[0])) for p in runner.model.parameters() if p.grad is not None}
    assert not {"train", "forward"} & {name for m in runner.model.modules() for name in vars(m)}
    assert [r for r in caplog.records if "changed the model" in r.getMessage()]
    assert not [line for line in _scalars(tmp_path / "w") if "poseig/di" in line]


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [("poseig_indices", ""), ("poseig_session_start", "config"), ("poseig_report_sections", "store")],
)
def test_a_rank_that_fails_leaves_no_other_waiting(made: tiny, tmp_path: Path, hook: str, arguments: str) -> None:
    """One rank of two fails before, while or after the others wait for it: both train on and agree on the log."""
    body = "return None if os.environ['RANK'] == '1' else ()"  # a wrong result is fatal
    if hook == "poseig_session_start":  # what a plugin raises there is survived: the session itself fails
        body = (
            "if os.environ['RANK'] == '1':\n    from poseig_mm.run.loop import Loop\n"
            "    def fail(*args, **kwargs):\n        raise OSError(28, 'No space left on device')\n    Loop.run = fail"
        )
    if hook == "poseig_report_sections":
        body = "raise SystemExit(1)"
    settings = {**_with_plugin(tmp_path, hook, arguments, body), "persons": 3}
    cfg = _config(made, tmp_path / "w", epochs=2, hooks=[settings])
    cfg.dump(tmp_path / "train.py")
    assert run_ranks(2, "--train", tmp_path / "train.py", timeout=300) == [0, 0]
    logged = len([line for line in _scalars(tmp_path / "w") if "poseig/di" in line])
    assert logged == (2 if hook == "poseig_report_sections" else 0)
