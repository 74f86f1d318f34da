"""What a run's indices are over: the image's own pixels, or the whole input, padding and all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny import run, tiny, visible, write_run

from poseig_mm.errors import StoreError
from poseig_mm.functional.heatmaps import gaussian_heatmaps
from poseig_mm.functional.indices import diffusion_index, locality_index, relation_index
from poseig_mm.indices import IndexInputs
from poseig_mm.run.diagnose import index_inputs
from poseig_mm.store import Store
from poseig_mm.types import Sample

INPUT = {"attribution.indices_over": "input"}
WIDTH, HEIGHT = 120, 100  # of the images, px


def in_image(store: Store, sample: dict[str, Any]) -> torch.Tensor:
    """(1, 1, H, W) by the stored warp."""
    warp = np.array([[sample[f"warp_{i}{j}"] for j in range(3)] for i in range(2)])
    y, x = np.mgrid[: sample["height"], : sample["width"]]
    u, v = (a * x + b * y + c for a, b, c in warp)
    return torch.from_numpy((abs(u - (WIDTH - 1) / 2) <= WIDTH / 2) & (abs(v - (HEIGHT - 1) / 2) <= HEIGHT / 2))[
        None, None
    ]


@pytest.mark.parametrize("settings", [{}, INPUT])
def test_the_indices_of_a_run_are_over_the_image_unless_told_otherwise(
    tiny_files: tiny, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """DI, LI and RI of each stored map, by the stored warp; the share of the input and of each map in the padding."""
    store = run(tiny_files, tmp_path / "w", settings)
    joints, relations = store.joints(), store.relations()
    shares = []
    for sample in store.samples().iter_rows(named=True):
        own = in_image(store, sample)
        rows = joints.filter(sample_id=sample["sample_id"])
        shares.append(sample["padding"])
        assert sample["padding"] == pytest.approx(1 - own.double().mean().item(), abs=1e-12)
        maps = torch.from_numpy(store.map(sample["sample_id"]))[None]
        places = torch.from_numpy(rows.select("gt_x", "gt_y").to_numpy())[None]
        heatmaps = gaussian_heatmaps(places, tuple(maps.shape[-2:]))
        over = None if settings else own
        for name, value in (("di", diffusion_index(maps, over)), ("li", locality_index(maps, heatmaps, over))):
            assert rows[name].to_numpy() == pytest.approx(value[0].numpy(), rel=2e-3, nan_ok=True)  # maps are float16
        pairs = relations.filter(sample_id=sample["sample_id"])
        expected = relation_index(maps, heatmaps, over)[0].numpy()[pairs["joint"], pairs["other"]]
        assert pairs["ri"].to_numpy() == pytest.approx(expected, rel=2e-3, nan_ok=True)
        outside = (maps * ~own).sum((2, 3)) / maps.sum((2, 3))
        assert rows["mass_in_padding"].to_numpy() == pytest.approx(outside[0].numpy(), abs=2e-3, nan_ok=True)
    assert max(shares) > 0.1


def test_foreground_over_image_and_input(tmp_path: Path, mmpose_ready: None) -> None:
    """FI over the input is that over the image times (1 - the map's share) / (1 - the area's share) of the padding."""

    def small(found: dict[str, Any]) -> None:
        for person in found["annotations"]:  # masks that lie, dilated, within image and input
            x, y, w, h = person["bbox"]
            left, right, top, bottom = x + w / 3, x + w / 2, y + h / 3, y + h / 2
            person["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]

    made = write_run(tmp_path, annotate=small)
    own, whole = run(made, tmp_path / "a"), run(made, tmp_path / "b", INPUT)
    assert visible(own)["fi_input"].is_finite().all()
    assert whole.joints()["fi"].equals(whole.joints()["fi_input"])
    assert own.joints()["fi_input"].equals(whole.joints()["fi_input"])
    rows = visible(own).join(own.samples().select("sample_id", "padding"), on="sample_id")
    converted = rows["fi"] * (1 - rows["mass_in_padding"]) / (1 - rows["padding"])
    assert converted.to_numpy() == pytest.approx(rows["fi_input"].to_numpy(), rel=1e-5)
    padded = rows.filter(pl.col("padding") > 0.05)
    assert len(padded)
    assert ((padded["fi_input"] / padded["fi"] - 1).abs() > 0.01).all()


def as_before(work_dir: Path) -> None:
    """run.json as versions wrote it that did not have the choice."""
    path = work_dir / "run.json"
    content = json.loads(path.read_text())
    del content["settings"]["attribution"]["indices_over"]
    path.write_text(json.dumps(content))


def test_a_run_of_before_goes_on_over_the_input(tiny_files: tiny, tmp_path: Path) -> None:
    """One definition in a column; a run that is to have the other is refused."""
    one = {"samples.limit": 1}
    run(tiny_files, tmp_path / "w", {**one, **INPUT})
    as_before(tmp_path / "w")
    with pytest.raises(StoreError, match=r"settings\.attribution"):
        run(tiny_files, tmp_path / "w", {"attribution.indices_over": "image"}, resume=True)
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert store.run["settings"]["attribution"]["indices_over"] == "input"
    whole = run(tiny_files, tmp_path / "whole", INPUT)
    assert store.joints().equals(whole.joints())


def test_a_resumed_run_keeps_its_definition(tiny_files: tiny, tmp_path: Path) -> None:
    """Of the image, where nothing else is asked for."""
    run(tiny_files, tmp_path / "w", {"samples.limit": 1})
    with pytest.raises(StoreError, match=r"settings\.attribution"):
        run(tiny_files, tmp_path / "w", INPUT, resume=True)
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert store.run["settings"]["attribution"]["indices_over"] == "image"
    assert len(store) == 3


def toy_sample(**changes: Any) -> Sample:
    """Of 16 x 24 px with one joint."""
    point = torch.tensor([[8.0, 8.0]])
    sample = Sample("1-1", "1", "1", "", torch.zeros(3, 16, 24), np.zeros((16, 24, 3), np.uint8), point,
                    torch.tensor([True]), None, "none", np.eye(2, 3), pixels=point)  # fmt: skip
    return replace(sample, **changes)


def toy_inputs(samples: Sequence[Sample], **settings: Any) -> IndexInputs:
    """What indices are called with, of maps that are all one."""
    adapter = SimpleNamespace(joint_regions=lambda size: None, unit="px", stride=4)
    given = {"locality": "exact", "frame": None, "indices_over": "image", **settings}
    explainer = SimpleNamespace(adapter=adapter, settings=SimpleNamespace(**given))
    places = torch.stack([s.keypoints for s in samples])
    attribution = SimpleNamespace(maps=torch.ones(len(samples), 1, 16, 24))
    return index_inputs(samples, attribution, places, places, places=places, explainer=explainer)  # type: ignore[arg-type]


def test_a_person_in_a_whole_image_counts_the_images_pixels_around_it() -> None:
    """In the frame 'instance': image, and within 1.25 times the box (here columns 1 to 11), and nothing else."""
    own = torch.zeros(16, 24, dtype=torch.bool)
    own[:, 6:] = True
    inputs = toy_inputs([toy_sample(in_image=own, extra={"whole_image": True, "input_bbox": [2.0, 2.0, 10.0, 10.0]})])
    assert inputs.in_image is not None
    assert inputs.in_image.shape == inputs.maps.shape == (1, 1, 11, 11)
    assert inputs.in_image[0, 0].any(0).tolist() == [False] * 5 + [True] * 6


def test_all_pixels_count_where_all_are_image_and_of_a_sequence() -> None:
    """A batch holds persons with and without padding; 'input' counts all of everything."""
    own = torch.zeros(16, 24, dtype=torch.bool)
    padded, full, sequence = toy_sample(in_image=own), toy_sample(in_image=~own), toy_sample()
    assert toy_inputs([full, sequence]).in_image is None
    assert toy_inputs([padded, full, sequence], indices_over="input").in_image is None
    together = toy_inputs([padded, full, sequence]).in_image
    assert together is not None
    assert together.double().mean((1, 2, 3)).tolist() == [0.0, 1.0, 1.0]
