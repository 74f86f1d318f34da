"""What a plugin's `check` says of a file: what it is, whether it fits, what the model gives, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.adapter_models import tiny_adapter, tiny_config
from torch import Tensor

from poseig_mm.adapters.heatmap import HeatmapAdapter
from poseig_mm.adapters.official import place_weights, write_checkpoint
from poseig_mm.adapters.official_check import Family, Published, Weights, check_official
from poseig_mm.errors import CheckpointError

TINY = Published("tiny", "Tiny, of two layers", "old.py of 2020", "MobileNetV2", "configs/tiny.py")


def read(path: Path) -> Weights:
    content: Any = torch.load(path, weights_only=True)
    return content.get("state_dict", content)


def identify(weights: Weights) -> Published | None:
    """Official names have 'net.' in the place of 'backbone.', and no prefix of the head."""
    return TINY if any(name.startswith(("net.", "layer1.")) for name in weights) else None


def place(published: Published, weights: Weights, model: Any, note: Any) -> Weights:
    def rename(name: str) -> str:
        return name.replace("net.", "backbone.") if name.startswith("net.") else f"head.{name}"

    return place_weights(weights, model, rename, dropped={"loss.": "for training alone"}, note=note)


def picture(size: tuple[int, int]) -> Any:
    drawn = np.full((size[1], size[0], 3), 128, np.uint8)
    drawn[size[1] // 4 : size[1] // 2, size[0] // 3 : size[0] // 2] = 250
    return drawn


FAMILY = Family(read, identify, place, HeatmapAdapter, picture, "Tiny and Huge")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(tiny_config("heatmap-msra").dump())
    return path


def official() -> dict[str, Tensor]:
    own = tiny_adapter("heatmap-msra", seed=3).model.state_dict()
    return {k.replace("backbone.", "net.").removeprefix("head."): v for k, v in own.items()}


def told(weights: Any, config: Path, family: Family = FAMILY) -> tuple[bool, dict[str, str]]:
    """Whether it is fine, and what was said by its first word."""
    file = config.with_name("tiny.pt")
    torch.save(weights, file)
    lines: list[str] = []
    fine = check_official(file, config, family, lambda published: f"convert {published.name}", lines.append)
    return fine, {line.partition(":")[0]: line.partition(": ")[2] for line in lines}


def test_a_file_that_fits_is_fine(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it is, by whom, what is left out, that all have a place, that joints see the picture, what to do next."""
    weights = {**official(), "loss.scale": torch.ones(1)}
    caplog.clear()
    fine, said = told(weights, config)
    assert fine
    assert caplog.text == ""
    assert said["file"].endswith(
        f"tiny.pt, {len(weights)} weights, {sum(v.numel() for v in weights.values()) / 1e6:.1f} M numbers"
    )
    assert (said["what"], said["layout"], said["next"]) == ("Tiny, of two layers", "old.py of 2020", "convert tiny")
    assert said["left out, for training alone"] == "loss.* (1)"
    assert said["place"].startswith("every weight that is not left out")
    count = tiny_adapter("heatmap-msra").count_joints()
    assert said["forward"].startswith(f"{count} of {count} joints move")


def test_a_converted_file_needs_no_conversion(config: Path) -> None:
    """It is called what it is, loaded as it is, and the next step is the diagnosis."""
    model = tiny_adapter("heatmap-msra", seed=3).model
    file = write_checkpoint(model.state_dict(), config.with_name("done.pth"))
    lines: list[str] = []
    assert check_official(file, config, FAMILY, lambda published: "convert", lines.append)
    assert "what: Tiny, of two layers, as an MMPose checkpoint" in lines
    assert lines[-1] == f"next: poseig-diagnose {config} {file}"


def test_what_is_wrong_is_said(config: Path) -> None:
    """Another family's file; another model's config; a weight without a place; weights that are NaN; a picture that
    changes nothing.
    """
    with pytest.raises(CheckpointError, match="none of Tiny and Huge; its weights' names begin with a, b"):
        told({"a.x": torch.ones(1), "b.y": torch.ones(1)}, config)
    huge = Published("h", "Huge", "-", "HRNet", "configs/huge.py")
    other = Family(read, lambda weights: huge, place, HeatmapAdapter, picture, "Huge")
    with pytest.raises(CheckpointError, match="has a MobileNetV2, and the file is for a HRNet: configs/huge"):
        told(official(), config, other)
    with pytest.raises(CheckpointError, match=r"unexpected: net\.more"):
        told({**official(), "net.more": torch.ones(1)}, config)
    weights = official()
    broken = {name: value.clone() for name, value in weights.items()}
    broken["final_layer.bias"][0] = torch.nan
    fine, said = told(broken, config)
    assert not fine
    assert "not finite: weights are NaN" in said["forward"]
    blind = {name: value * 0 if name == "final_layer.weight" else value for name, value in weights.items()}
    fine, said = told(blind, config)
    assert not fine
    assert said["forward"].startswith("nothing depends on the picture")
