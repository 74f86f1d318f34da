"""Which persons, joints and pictures a costly study takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
import torch
from PIL import Image

from poseig_mm.studies.choice import chosen_joints, keep_picture, kept_gallery, takes_part


def finding(sample_id: str, visible: list[int], reasons: dict[int, str] | None = None) -> Any:
    """As much of a finding as the rules read; 8 joints."""
    flags = torch.tensor([k in visible for k in range(8)])
    codes = [(reasons or {}).get(k, "" if k in visible else "not_visible") for k in range(8)]
    return SimpleNamespace(
        sample=SimpleNamespace(sample_id=sample_id, visible=flags), attribution=SimpleNamespace(reasons=tuple(codes))
    )


def test_one_in_so_many_takes_part() -> None:
    """By the id alone: 1 takes all, 4 about a quarter, and always the same ones."""
    ids = [f"{i}-{i + 7}" for i in range(400)]
    assert all(takes_part(i, 1) for i in ids)
    quarter = [i for i in ids if takes_part(i, 4)]
    assert 70 < len(quarter) < 130
    assert quarter == [i for i in ids if crc32(i.encode()) % 4 == 0]


def test_joints_are_visible_and_asked_for() -> None:
    """Never more than there are; one whose map is all zero is chosen, and its rows say so."""
    assert chosen_joints(finding("a", [1, 4, 6], {4: "not_asked", 6: "zero_map"}), 5) == [1, 6]
    assert chosen_joints(finding("a", []), 5) == []


def test_every_joint_comes_up() -> None:
    """Two of eight, over many persons: each joint about a quarter of the time, in an order of their own a person."""
    counts = [0] * 8
    for i in range(400):
        for k in (chosen := chosen_joints(finding(str(i), list(range(8))), 2)):
            counts[k] += 1
        assert chosen == sorted(chosen)
        assert len(chosen) == 2
    assert 60 < min(counts) < max(counts) < 140


@pytest.mark.parametrize("order", [1, -1])
def test_the_same_pictures_stay_in_any_order(tmp_path: Path, order: int) -> None:
    """The three of lowest hash; the section finds them by their sample, whatever characters the id has."""

    def save(study: str, stem: str, image: Image.Image) -> Path:
        path = tmp_path / f"{stem}.jpg"
        image.save(path)
        return path

    ids = [f"val/{i} {i}" for i in range(9)]
    for i in ids[::order]:
        keep_picture(SimpleNamespace(save_picture=save), "s", i, Image.new("RGB", (2, 2)), 3)  # type: ignore[arg-type]
    store: Any = SimpleNamespace(pictures=lambda study: sorted(tmp_path.glob("*.jpg")), sample_ids=tuple(ids))
    (gallery,) = kept_gallery(store, "s", "what is seen")
    assert gallery.caption == "what is seen"
    assert [i for _, i in gallery.images] == sorted(ids, key=lambda i: crc32(i.encode()))[:3]
    store.sample_ids = ()
    assert kept_gallery(store, "s", "") == ()
