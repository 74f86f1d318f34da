"""Output spaces: a toy with heatmaps by hand, a whole run against its own indices, and what the section says."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from tiny import IDS, run, tiny, write_run

from poseig_mm.errors import ConfigError
from poseig_mm.functional import gaussian_heatmaps
from poseig_mm.store import Store
from poseig_mm.store.older_runs import filled_in
from poseig_mm.studies.output_space.rows import Target, heatmap_points, targets_of
from poseig_mm.studies.output_space.study import OutputSpace
from poseig_mm.types import Coordinates, Finding, Picture, Sample, Table

SIDE, STRIDE = 40, 4


class ToyAdapter:
    """Two joints; each one's heatmap pixel is the mean of a 4 x 4 block of one channel of the image."""

    name, kind, stride, input_size = "heatmap", "MSRAHeatmap", 4.0, (SIDE, SIDE)
    grid = SimpleNamespace(scale=(4.0, 4.0), shift=0.0)

    def __init__(self, **changed: Any) -> None:
        vars(self).update({"with_heatmaps": True, **changed})
        self.model = torch.nn.Linear(1, 1).double()

    def __call__(self, images: torch.Tensor) -> Coordinates:
        maps = F.avg_pool2d(images, STRIDE) if self.with_heatmaps else None  # type: ignore[attr-defined]
        return Coordinates(torch.zeros(len(images), 2, 2), heatmaps=maps)


def context(**changed: Any) -> Any:
    """A run's context; its coordinate maps are of no interest here: they have a reason."""
    nothing = SimpleNamespace(
        maps=torch.full((2, SIDE, SIDE), torch.nan), reasons=("zero_map",) * 2,
        residual_rel=torch.full((2,), torch.nan), map_error=torch.full((2,), torch.nan),
    )  # fmt: skip
    asked: list[dict[str, Any]] = []

    def attribute(sample: Sample, **changes: Any) -> Any:
        asked.append(changes)
        return nothing

    def indices(sample: Sample, found: Any) -> dict[str, torch.Tensor]:
        """`di` is the number of pixels that have some of the map, `li` the map's value at (9, 21)."""
        return {"di": (found.maps > 0).sum((1, 2)), "fi": torch.full((2,), torch.nan), "li": found.maps[:, 21, 9]}

    groups = SimpleNamespace(keypoint_names=("a", "b"), group_of=("", ""))
    return SimpleNamespace(
        adapter=ToyAdapter(**changed), groups=groups, attribute=attribute, indices=indices, asked=asked, unit="px"
    )


def finding() -> Finding:
    """Random pixels; joint a at heatmap px (2, 5), joint b a quarter between (3, 5) and (4, 5)."""
    image = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sample = Sample(
        sample_id="7-1", image_id="7", instance_id="1", image_path="", image=image,
        display=np.full((SIDE, SIDE, 3), 128, np.uint8), keypoints=torch.tensor([[8.0, 20.0], [13.0, 20.0]]),
        visible=torch.tensor([True, True]), mask=None, mask_source="none", inverse_warp=np.eye(2, 3),
        pixels=torch.tensor([[8.0, 20.0], [13.0, 20.0]]),
    )  # fmt: skip
    attribution: Any = SimpleNamespace(reasons=("", ""))
    indices = {name: torch.zeros(2) for name in ("di", "fi", "li")} | {"ri": torch.zeros(2, 2)}
    return Finding(sample, attribution, torch.zeros(2, 2), torch.zeros(2, 2), indices, ("no_mask", "no_mask"), 0.0)


def rows_of(ctx: Any, **settings: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """(title of the target, joint) -> row."""
    rows = OutputSpace(**{"pictures": 0, "nodes": 4, **settings}).sample_rows(finding(), ctx)
    return {(Target(r["space"], r["function"], r["factor"]).title, r["joint"]): dict(r) for r in rows}


def test_the_heatmaps_value_is_explained_by_its_own_pixels() -> None:
    """The value at a pixel depends on the 16 input pixels of its block; between two pixels on 32; and on no other's."""
    rows = rows_of(context())
    assert rows["heatmap value", 0]["di"] == 16
    assert rows["heatmap value", 1]["di"] == 32
    assert rows["heatmap value", 0]["li"] > 0  # (9, 21) lies in a's block
    assert rows["heatmap value", 1]["li"] == 0
    assert rows["heatmap value", 0]["residual_rel"] < 1e-9  # linear: complete whatever the nodes


def test_the_heatmaps_squared_error_is_explained_by_all_pixels() -> None:
    """Every heatmap pixel has an error, so that every input pixel that blurring changes has a part in it."""
    rows = rows_of(context())
    assert rows["heatmap mse", 0]["di"] == SIDE**2
    assert rows["heatmap mse", 0]["reason"] == "no_mask"  # for fi; the other numbers stand


@pytest.mark.parametrize(
    ("changed", "value", "mse"),
    [
        ({"with_heatmaps": False}, "no_heatmaps", "no_heatmaps"),
        ({"name": "integral"}, "no_mask", "no_gaussian_target"),
        ({"combined": True}, "no_mask", "no_gaussian_target"),
        ({"kind": "MegviiHeatmap"}, "no_mask", "no_gaussian_target"),
    ],
    ids=repr,
)
def test_models_without_such_a_space(changed: dict[str, Any], value: str, mse: str) -> None:
    """A row with NaN and a reason; a heatmap that is no Gaussian's still has a value."""
    rows = rows_of(context(**changed))
    for title, reason in (("heatmap value", value), ("heatmap mse", mse)):
        assert rows[title, 0]["reason"] == reason
        assert math.isnan(rows[title, 0]["di"]) == (reason != "no_mask")


def test_what_is_asked_of_the_run() -> None:
    """Factors are per heatmap px: alpha = factor / stride (4 without one); the other likelihoods get no alpha."""
    for stride, unit in ((8.0, 8.0), (None, 4.0)):
        ctx = context(stride=stride)
        rows_of(ctx, factors=(0.1, 2))
        assert [a["likelihood"] for a in ctx.asked] == ["exp_l2", "exp_l2", "neg_l2", "neg_squared_l2"]
        assert [a["likelihood_settings"] for a in ctx.asked] == [{"alpha": 0.1 / unit}, {"alpha": 2 / unit}, {}, {}]
    assert [t.title for t in targets_of((0.5,))] == [
        "exp_l2, 0.5", "neg_l2", "neg_squared_l2", "heatmap value", "heatmap mse"
    ]  # fmt: skip


def test_points_on_the_heatmap() -> None:
    """By the codec's grid, input px = (heatmap px + shift) * scale; by proportion without one; depth is left out."""
    points = torch.tensor([[[42.0, 50.0, 7.0]]])
    grid: Any = SimpleNamespace(grid=SimpleNamespace(scale=(4.0, 4.0), shift=0.5))
    assert heatmap_points(points, grid, (48, 64)).tolist() == [[[10.0, 12.0]]]
    without: Any = SimpleNamespace(input_size=(192, 256))
    assert heatmap_points(points, without, (48, 32)).tolist() == [[[10.5, 6.25]]]


@pytest.mark.parametrize("factors", [(), (0.0,), (-1,), ("a",), 0.3, (math.inf,), (True,)])
def test_factors_are_checked(factors: Any) -> None:
    """Positive numbers; a list from a config file is as good as a tuple, and one given twice counts once."""
    with pytest.raises(ConfigError, match="factors is"):
        OutputSpace(factors=factors)
    given = targets_of(OutputSpace(factors=[1, 1.0, 0.5]).factors)
    assert [t.factor for t in given if t.function == "exp_l2"] == [1.0, 0.5]


@pytest.fixture(scope="module")
def store(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run whose own maps are those of factor 0.3."""
    studies = [{"type": "output_space", "nodes": 2, "joints": 3, "pictures": 2}]
    settings = {"studies": studies, "attribution.alpha_per_heatmap_px": 0.3, "report": {"enabled": True}}
    return run(tiny_files, tmp_path_factory.mktemp("w"), settings)


def test_the_published_factor_has_the_runs_indices(store: Store) -> None:
    """DI, FI and LI of exp_l2 at 0.3 are those of the table `joints`; other targets give others."""
    rows, keys = store.study("output_space"), ["sample_id", "joint"]
    assert len(rows) == 7 * 9
    assert (rows["reason"] == "").all()
    both = rows.join(store.joints(), on=keys, suffix="_run")
    own = both.filter(pl.col("factor") == 0.3)
    assert len(own) == 9
    for index in ("di", "fi", "li"):
        assert np.allclose(own[index], own[f"{index}_run"], rtol=1e-4)
        others = both.filter((pl.col("function") != "exp_l2") | (pl.col("factor") != 0.3))
        assert (others[index] - others[f"{index}_run"]).abs().mean() > 1e-3
    assert store.failures == ()


def test_the_heatmap_of_a_network_at_its_peak() -> None:
    """`value` reads what soft-argmax sees: at the peak of a Gaussian heatmap it is 1."""
    from poseig_mm.studies.output_space.heatmap_targets import heatmap_value

    points = torch.tensor([[[5.0, 6.0]]])
    assert heatmap_value(gaussian_heatmaps(points, (12, 10), 2.0), points).item() == pytest.approx(1)


def test_differences_are_taken_joint_by_joint() -> None:
    """Of two joints, DI +1 and -3 to the default: 2 on average, not -1; FI of one is NaN: the other's alone."""
    made = [
        {"sample_id": s, "joint": 0, "space": "coordinates", "function": "exp_l2", "factor": f, "di": di, "fi": fi,
         "li": 1.0, "residual_rel": 0.1, "map_error": 0.2, "reason": ""}
        for s, f, di, fi in (
            ("a", 0.3, 10.0, 1.0), ("b", 0.3, 10.0, 1.0), ("a", 1.0, 11.0, math.nan), ("b", 1.0, 7.0, 1.5)
        )
    ]  # fmt: skip
    fake: Any = SimpleNamespace(
        run=filled_in({}),
        studies=("output_space",),
        study=lambda name: pl.DataFrame(made),
        samples=lambda: pl.DataFrame({"sample_id": ["a", "b"], "image_id": ["1", "2"]}),
        pictures=lambda name: [],
        sample_ids=("a", "b"),
    )
    section = OutputSpace().section(fake)
    assert section is not None
    table = section.blocks[1]
    assert isinstance(table, Table)
    ((title, n, di, fi, li),) = table.rows
    assert (title, n, di.mean, fi.mean, fi.n, li.mean) == ("exp_l2, 1", 2, 2.0, 0.5, 1, 0.0)
    assert "DI 2.00" in section.lead
    assert "2 persons are too few" in section.lead


def test_the_section_of_a_run(store: Store) -> None:
    """Two tables, a figure, the kept pictures; nothing is missing."""
    section = OutputSpace().section(store)
    assert section is not None
    first, second, picture, gallery = section.blocks
    assert isinstance(first, Table)
    assert isinstance(second, Table)
    assert isinstance(picture, Picture)
    assert (len(first.rows), len(second.rows)) == (7, 6)
    assert {caption for _, caption in gallery.images} < set(IDS)  # type: ignore[union-attr]
    assert "What is explained" in (store.path / "report" / "index.html").read_text()


def test_nobody_took_part(tmp_path: Path, mmpose_ready: None) -> None:
    """No section; no rows."""
    made = write_run(tmp_path / "data", {"studies": [{"type": "output_space", "every": 10**9}]})
    assert OutputSpace().section(run(made, tmp_path / "w")) is None
