"""The preflight of a diagnosis inside a training: what stops it ends no training."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from odd_heads import odd_head
from trainings import DIAGNOSIS, HOOK, runner_of, scalars

from poseig_mm.errors import ConfigError


@pytest.mark.parametrize("allow", [[], ["agreement"]])
def test_a_stop_is_recorded_and_said(
    tmp_path: Path, mmpose_ready: None, monkeypatch: pytest.MonkeyPatch, allow: list[str]
) -> None:
    """Nothing is logged of it, and the training goes on; allowed, the numbers are there."""
    from poseig_mm.integrations import mmengine as hooks

    said: list[str] = []
    monkeypatch.setattr(hooks, "print_log", lambda text, logger=None, level=logging.INFO: said.append(text))
    made = odd_head(tmp_path / "data", "OtherUnitsHead", DIAGNOSIS)
    hook = {**HOOK, "persons": 3, "images": 0, "allow": allow}
    runner = runner_of(made, tmp_path / "w", epochs=1, hooks=[hook])
    runner.train()
    assert runner.epoch == 1
    checks = json.loads((tmp_path / "w" / "poseig" / "epoch_1" / "run.json").read_text())["preflight"]
    (line,) = [check for check in checks if check["name"] == "agreement"]
    logged = any(any(key.startswith("poseig/") for key in row) for row in scalars(tmp_path / "w"))
    assert line["level"] == ("warning" if allow else "stop")
    assert any("PreflightError: agreement: 0 % of 10 joints" in text for text in said) != bool(allow)
    assert logged == bool(allow)


def test_an_unknown_name_is_refused_when_the_training_is_built() -> None:
    """Not at the first validation."""
    from poseig_mm.integrations.mmengine import PoseIGHook

    with pytest.raises(ConfigError, match="there is no such check"):
        PoseIGHook(allow=["agreemnt"])
