"""Official weights under a model's names: strict both ways, and a file that is whole or the old one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseig_mm.adapters.official import place_weights, write_checkpoint
from poseig_mm.errors import CheckpointError


class Model(nn.Module):
    """Two layers and what counts batches."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.head = nn.BatchNorm1d(3)


def official() -> dict[str, Tensor]:
    """All of the model's weights without the number of batches, each of its own value."""
    names = [name for name in Model().state_dict() if not name.endswith("num_batches_tracked")]
    return {f"net.{name}": Model().state_dict()[name] + i for i, name in enumerate(names)}


def place(weights: dict[str, Tensor], **settings: Any) -> dict[str, Tensor]:
    return place_weights(
        weights, Model(), lambda name: name.removeprefix("net."), optional=(".num_batches_tracked",), **settings
    )


def test_every_weight_finds_its_place() -> None:
    """By name, as copies of its own values; what a file may lack is not made up."""
    weights = official()
    placed = place(weights)
    assert {f"net.{name}" for name in placed} == set(weights)
    assert all(torch.equal(value, weights[f"net.{name}"]) for name, value in placed.items())
    placed["backbone.bias"].zero_()
    assert not torch.equal(placed["backbone.bias"], weights["net.backbone.bias"])


def test_neither_side_may_have_one_over() -> None:
    """One too many, two for one place, one without a place, one too few and one of another shape: all are listed."""
    weights = official()
    del weights["net.head.bias"]
    weights |= {
        "net.backbone.weight": torch.zeros(3, 3),
        "backbone.bias": torch.zeros(3),
        "net.more": torch.zeros(1),
    }
    with pytest.raises(CheckpointError) as caught:
        place(weights, source="a.pth", advice="ask", official_name=lambda name: f"net.{name}")
    assert str(caught.value) == (
        "a.pth is not one of this model's official files: "
        "unexpected: backbone.bias (beside net.backbone.bias), net.more; missing: net.head.bias; "
        "of another shape: net.backbone.weight (3, 3) instead of (3, 2). To go on, ask"
    )


def test_what_is_dropped_has_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    """What the model has no use for is left out because it is listed, and the log or the caller is told why: a part
    up to its dot, or one name, which does not stand for longer ones.
    """
    weights = {**official(), "loss.scale": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"unexpected: loss\.scale\."):
        place(weights)
    with caplog.at_level(logging.INFO):
        assert len(place(weights, dropped={"loss.": "training alone needs it"})) == len(weights) - 1
    assert "left out, training alone needs it: loss.* (1)" in caplog.text
    told: list[str] = []
    many = {**weights, **{f"old.{i}": torch.zeros(1) for i in range(10)}}
    place(many, dropped={"loss.scale": "no use", "old.": "never run"}, note=told.append)
    assert told == ["left out, no use: loss.scale", "left out, never run: old.* (10)"]
    for longer in ("loss.scales", "loss.scale.x"):
        with pytest.raises(CheckpointError, match=rf"unexpected: {longer}"):
            place({**official(), longer: torch.zeros(1)}, dropped={"loss.scale": "no use"})


def test_a_name_with_no_part_is_unexpected() -> None:
    """`rename` says None of what it does not know."""
    with pytest.raises(CheckpointError, match="unexpected: a, b; missing"):
        place_weights({"a": torch.zeros(1), "b": torch.zeros(1)}, Model(), lambda name: None)


def test_a_file_is_the_old_one_or_the_whole_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written aside and renamed; where that fails half-way, the old file stands and nothing lies beside it."""
    target = write_checkpoint({"w": torch.ones(2)}, tmp_path / "out.pth", made_from="a.pth", count=3)
    content = torch.load(target, weights_only=True)
    assert content["meta"] == {"made_from": "a.pth", "count": 3}
    assert torch.equal(content["state_dict"]["w"], torch.ones(2))

    def breaks_off(content: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", breaks_off)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint({"w": torch.zeros(2)}, target)
    monkeypatch.undo()
    assert torch.equal(torch.load(target, weights_only=True)["state_dict"]["w"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["out.pth"]
