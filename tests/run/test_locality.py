"""LI by the person's size: what it is the same for, and where there is no size.  Against analytic truth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny import BOXES, run, tiny

from poseig_mm.functional import gaussian_heatmaps, locality_index
from poseig_mm.indices import IndexInputs, compute_indices
from poseig_mm.indices.builtin import LocalityIndex
from poseig_mm.run.diagnose import index_inputs
from poseig_mm.types import Sample

D = torch.float64


def inputs_of(
    size: tuple[int, int], joint: tuple[float, float], box: list[float] | None, spread: float, **settings: Any
) -> IndexInputs:
    """Of one joint, whose map is a Gaussian of `spread` px around it."""
    point = torch.tensor([joint], dtype=D)
    whole = settings.pop("whole_image", False)
    sample = Sample(
        "1-1", "1", "1", "", torch.zeros(3, *size), np.zeros((*size, 3), np.uint8), point, torch.tensor([True]), None,
        "none", np.eye(2, 3), {"input_bbox": box, "whole_image": whole}, point,
    )  # fmt: skip
    adapter = SimpleNamespace(joint_regions=lambda size: None, unit="px", stride=4)
    given = {"locality": "person", "frame": None, "indices_over": "image", **settings}
    explainer: Any = SimpleNamespace(adapter=adapter, settings=SimpleNamespace(**given))
    attribution: Any = SimpleNamespace(maps=gaussian_heatmaps(point[None], size, spread))
    return index_inputs([sample], attribution, point[None], point[None], places=point[None], explainer=explainer)


def li(*args: Any, **settings: Any) -> float:
    return float(LocalityIndex()(inputs_of(*args, **settings)))


def test_a_person_of_standard_size_has_the_sigma_of_8_px() -> None:
    """A box of 204.8 px, which 1.25 times as large fills an input of 256: LI is that of 'exact'."""
    standard = ((256, 192), (90.0, 120.0), [60.0, 20.0, 130.0, 224.8], 12.0)
    assert li(*standard) == pytest.approx(li(*standard, locality="exact"), rel=1e-12)


def test_an_input_twice_as_fine_has_the_same() -> None:
    """Person, map and input twice as large; N / (2 pi (sigma^2 + spread^2))."""
    coarse = ((128, 96), (45.0, 60.0), [30.0, 10.0, 65.0, 112.4], 4.0)
    fine = ((256, 192), (90.0, 120.0), [60.0, 20.0, 130.0, 224.8], 8.0)
    assert li(*fine) == pytest.approx(li(*coarse), rel=1e-6)
    assert li(*fine) == pytest.approx(256 * 192 / (2 * np.pi * (8**2 + 8**2)), rel=1e-6)
    plain = li(*fine, locality="exact") / li(*coarse, locality="exact")
    assert plain == pytest.approx(4 * (8**2 + 4**2) / (8**2 + 8**2), rel=1e-3)


def test_a_person_twice_as_large_in_an_image_has_the_same() -> None:
    """In its own frame, which grows with it; by 2 %, as frames are whole pixels.  With sigma 8 px it has not."""
    small = ((400, 400), (100.0, 100.0), [60.0, 50.0, 140.0, 150.0], 4.0)
    large = ((400, 400), (200.0, 200.0), [120.0, 100.0, 280.0, 300.0], 8.0)
    assert li(*large, whole_image=True) == pytest.approx(li(*small, whole_image=True), rel=0.02)
    plain = [li(*person, whole_image=True, locality="exact") for person in (small, large)]
    assert plain[1] > 1.5 * plain[0]


def test_an_even_map_has_no_preference() -> None:
    """LI is 1, whatever the person's size."""
    inputs = inputs_of((128, 96), (45.0, 60.0), [30.0, 10.0, 65.0, 50.0], 1e9)
    assert float(LocalityIndex()(inputs)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("box", [None, [30.0, 10.0, 30.0, 10.0]])
def test_without_a_size_it_is_missing_with_a_reason(box: list[float] | None) -> None:
    """No box, or one around a single joint; with sigma 8 px no box is needed."""
    values, reasons = compute_indices([LocalityIndex()], inputs_of((128, 96), (45.0, 60.0), box, 4.0), [[""]])
    assert values["li"].isnan().all()
    assert reasons == [["no_box"]]
    exact = inputs_of((128, 96), (45.0, 60.0), box, 4.0, locality="exact")
    assert compute_indices([LocalityIndex()], exact, [[""]])[1] == [[""]]


def test_a_run_has_it(tiny_files: tiny, tmp_path: Path) -> None:
    """LI of each stored map with the sigma of the stored box's size; run.json says which Gaussian it is."""
    store = run(tiny_files, tmp_path / "w", {"attribution.locality": "person", "attribution.indices_over": "input"})
    assert store.run["locality"] == {"weight": "person"}
    given = run(tiny_files, tmp_path / "e", {"attribution.indices_over": "input"})
    assert given.run["locality"] == {"weight": "exact", "input_size": given.run["model"]["input_size"]}
    joints = store.joints()
    for sample in store.samples().iter_rows(named=True):
        side = (
            max(BOXES[int(sample["sample_id"].split("-")[1])][2:]) / sample["warp_00"]
        )  # input px; the crop is not turned
        rows = joints.filter(pl.col("sample_id") == sample["sample_id"])
        maps = torch.from_numpy(store.map(sample["sample_id"]).astype(np.float64))[None]
        places = torch.from_numpy(rows.select("gt_x", "gt_y").to_numpy())[None]
        expected = locality_index(maps, gaussian_heatmaps(places, tuple(maps.shape[-2:]), side / 25.6))[0]
        assert rows["li"].to_numpy() == pytest.approx(
            expected.numpy(), rel=2e-3, abs=1e-5, nan_ok=True
        )  # maps are float16
        assert rows["li"].is_finite().any()
