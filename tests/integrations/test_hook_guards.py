"""Whatever happens in a diagnosis, the training goes on, and to the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import run_ranks
from tiny import tiny, write_run
from trainings import DIAGNOSIS, HOOK, config_of, runner_of, scalars

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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return write_run(tmp_path_factory.mktemp("data"), DIAGNOSIS)


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
    runner = runner_of(made, tmp_path_factory.mktemp("plain") / "w", epochs=1, hooks=[])
    runner.train()
    return runner


@pytest.mark.parametrize("end", ["sys.exit(0)", "raise SystemExit('enough')", "raise NotEvenAnException()"])
@pytest.mark.parametrize("hook", ["poseig_session_start", "poseig_indices"])
def test_a_plugin_that_exits_ends_no_training(made: tiny, tmp_path: Path, hook: str, end: str, plain: Any) -> None:
    """Neither where its failure is survived nor where it ends the run."""
    arguments = "config" if hook == "poseig_session_start" else ""
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[_with_plugin(tmp_path, hook, arguments, end)])
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
        runner_of(made, tmp_path / "w", epochs=1, hooks=[HOOK]).train()


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

    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[HOOK])
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
        assert [line for line in scalars(tmp_path / "w") if line.get("poseig/di")]


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
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[hook])
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
    assert not [line for line in scalars(tmp_path / "w") if "poseig/di" in line]


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
    cfg = config_of(made, tmp_path / "w", epochs=2, hooks=[settings])
    cfg.dump(tmp_path / "train.py")
    assert run_ranks(2, "--train", tmp_path / "train.py", timeout=300) == [0, 0]
    logged = len([line for line in scalars(tmp_path / "w") if "poseig/di" in line])
    assert logged == (2 if hook == "poseig_report_sections" else 0)
