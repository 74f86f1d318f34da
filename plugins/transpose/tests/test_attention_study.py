"""The study `attention`: its numbers against those computed from the weights by definition; its section."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from official_transpose import attention as by_definition
from poseig_transpose.likeness import mean_of_others, rank_correlations, shared_masses
from poseig_transpose.study import Attention, _placed
from scipy.stats import spearmanr

from poseig_mm import load_adapter
from poseig_mm.errors import ConfigError
from poseig_mm.plugin.manager import PluginHost


@pytest.fixture(scope="module")
def done(tiny: ModuleType, made: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The store of a finished run."""
    return tiny.run(made, tmp_path_factory.mktemp("run") / "work", {"report.enabled": True})


def test_the_numbers_are_those_of_the_definition(done: Any, made: Any) -> None:
    """Last layer, mean over heads, the row of the predicted cell; scipy's rank correlation with the pooled stored
    map.
    """
    from mmengine.config import Config

    from poseig_mm.data.samples import SampleSource

    rows, joints = done.study("attention"), done.joints()
    assert len(rows) == joints.filter(pl.col("visible")).height
    adapter = load_adapter(str(made.config), str(made.weights))
    source = SampleSource(Config.fromfile(str(made.config)), preprocess=adapter.model.data_preprocessor)
    samples = {s.sample_id: s for s in source.first(3)}
    compared = 0
    for (sample_id,), own in rows.group_by("sample_id"):
        areas, cells = _attention(adapter.model, samples[str(sample_id)].image), {}
        person = joints.filter(pl.col("sample_id") == sample_id).sort("joint")
        places = person.select("pred_x", "pred_y").to_numpy()
        for k, (x, y) in enumerate(places):
            if min(x, y) >= -1:  # others have no peak: MMPose puts them at (-4, -4)
                cells[k] = (min(max(int(x // 4), 0), 15), min(max(int(y // 4), 0), 15))
        maps = done.map(sample_id)
        for row in own.iter_rows(named=True):
            k = row["joint"]
            if k not in cells:
                assert row["reason"] == "no_prediction"
                continue
            compared += 1
            assert (row["column"], row["row"]) == cells[k]
            mass = np.asarray(maps[k], dtype=np.float64).reshape(16, 4, 16, 4).sum((1, 3)).ravel()
            mass /= mass.sum()
            rank = {j: spearmanr(mass, areas[r * 16 + c]).statistic for j, (c, r) in cells.items()}
            shared = {j: np.minimum(mass, areas[r * 16 + c]).sum() for j, (c, r) in cells.items()}
            others = [j for j in cells if cells[j] != cells[k]]
            for name, found in (("rank", rank), ("shared", shared)):
                expected = (found[k], np.mean([found[j] for j in others]))
                assert row[name] == pytest.approx(expected[0], abs=5e-3)  # stored maps are float16
                assert row[f"{name}_other"] == pytest.approx(expected[1], abs=5e-3)
                assert row[f"{name}_gain"] == pytest.approx(row[name] - row[f"{name}_other"], abs=1e-9)
    assert compared >= 5


def _attention(model: Any, image: torch.Tensor) -> np.ndarray[Any, Any]:
    """(L, L) of the last layer, from the first layer's output on by definition."""
    neck = model.neck
    with torch.no_grad():
        x = neck.reduce(model.backbone(image[None])[0])
        tokens = x.flatten(2).permute(2, 0, 1)
        tokens = neck.global_encoder.layers[0](tokens, neck.pos_embedding)
        weights = {f"a.{k}": v for k, v in neck.global_encoder.layers[1].self_attn.state_dict().items()}
        _, found = by_definition(weights, "a.", tokens.transpose(0, 1), neck.pos_embedding[:, 0], 2)
    return found[0].mean(0).numpy()


def test_the_page_shows_pictures_and_numbers(done: Any) -> None:
    """As many pictures as asked for, the table, and no failure."""
    text = (done.path / "report" / "index.html").read_text()
    assert "Attention and attribution" in text
    assert done.failures == ()
    assert len(done.pictures("attention")) == 2
    assert "3 persons are too few" in text


def test_models_without_attention_have_no_rows_and_no_section(tiny: ModuleType, tmp_path: Path) -> None:
    """The study may stand in any config."""
    settings = {"studies": ["attention"], "plugins": ["poseig_transpose.plugin"]}
    store = tiny.run(tiny.write_run(tmp_path / "files", settings), tmp_path / "work")
    assert Attention().section(store) is None
    assert store.failures == ()


def test_a_joint_without_a_peak_is_nowhere() -> None:
    """MMPose's place-holder, a heatmap pixel outside, and NaN; a quarter step outside is still a place."""
    points = torch.tensor([[-4.0, -4.0], [math.nan, 3.0], [-1.0, 5.0], [47.0, 63.0], [47.0, 70.0]])
    assert _placed(points, (48, 64)).tolist() == [False, False, True, True, False]


def test_a_map_that_is_constant_has_no_rank() -> None:
    """NaN, and NaN where a map has one; means leave them out."""
    first = torch.stack([torch.ones(2, 3), torch.arange(6.0).reshape(2, 3)])
    second = torch.stack([torch.arange(6.0).reshape(2, 3), torch.full((2, 3), math.nan)])
    found = rank_correlations(first, second)
    assert found[1, 0].item() == pytest.approx(1)
    assert torch.isnan(found).tolist() == [[True, True], [False, True]]
    assert torch.isnan(shared_masses(first, second)).tolist() == [[False, True], [False, True]]
    assert mean_of_others(found, torch.ones(2, 2, dtype=torch.bool)).nan_to_num(-5).tolist() == pytest.approx([-5, 1])


def rows_of(ranks: list[float], others: list[float], persons: int) -> list[dict[str, Any]]:
    """The same joints for each person, `ranks` of them, with a tenth of a difference between persons."""
    rows = []
    for person in range(persons):
        for k, (rank, other) in enumerate(zip(ranks, others, strict=True)):
            mine = rank + 0.1 * (person % 2)
            numbers = {"rank": mine, "rank_other": other, "rank_gain": mine - other}
            numbers |= {"shared": 0.5, "shared_other": 0.4, "shared_gain": 0.1}
            about = {"sample_id": f"{person}", "joint": k, "joint_name": f"{'left' if k % 2 else 'right'}_hip"}
            rows.append({**about, "group": "trunk", "column": 0, "row": 0, **numbers, "reason": ""})
    return rows


def section_of(rows: list[dict[str, Any]]) -> Any:
    """Of a store that has these rows alone."""
    store = SimpleNamespace(
        studies=("attention",), study=lambda name: pl.DataFrame(rows), pictures=lambda name: [], sample_ids=[]
    )
    return Attention().section(store)  # type: ignore[arg-type]


def test_the_lead_says_whether_attention_is_the_joints_own() -> None:
    """Nearer, farther, or not to be told, by the interval of the difference; left and right are one line of the
    table.
    """
    nearer = section_of(rows_of([0.5, 0.6], [0.2, 0.2], 10))
    assert "nearer to its attribution, by 0.40 [" in nearer.lead
    assert "(10 persons, 20 joints)" in nearer.lead
    assert [row[0] for row in nearer.blocks[0].rows] == ["all joints", "hip"]
    assert nearer.blocks[0].rows[1][2].mean == pytest.approx(0.6)  # (0.5 + 0.6) / 2 + 0.05
    assert "farther from its attribution" in section_of(rows_of([0.1], [0.4], 10)).lead
    assert "may be none" in section_of(rows_of([0.15], [0.2], 10)).lead
    assert "2 persons are too few" in section_of(rows_of([0.5], [0.2], 2)).lead


def test_nothing_to_compare_is_said() -> None:
    """All joints without a map: reasons, counted."""
    rows = [{**r, "rank": math.nan, "reason": "zero_map"} for r in rows_of([0.5], [0.2], 3)]
    found = section_of(rows)
    assert "compared with nothing" in found.lead
    assert found.blocks[0].rows[0][:2] == ("zero_map", 3)


def test_settings_are_checked() -> None:
    """Pictures without joints; half a layer."""
    with pytest.raises(ConfigError, match="joints is 0"):
        Attention(joints=0)
    with pytest.raises(ConfigError, match=r"layer is 0\.5"):
        Attention(layer=0.5)  # type: ignore[arg-type]


def test_the_entry_point_is_light() -> None:
    """Discovery imports the plugin module at every start of the command line: no torch, no mmpose."""
    code = (
        "import sys, poseig_transpose.plugin;"
        "print([m for m in ('torch', 'mmpose', 'numpy', 'polars') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_entry_point_names_the_plugin() -> None:
    """Installed, the distribution is found in poseig_mm's group."""
    found = {e.name: e.value for e in metadata.entry_points(group="poseig_mm")}
    if "transpose" not in found:
        pytest.skip("this distribution is not installed: it is tested from its folder")
    assert found["transpose"] == "poseig_transpose.plugin"


def test_the_host_accepts_the_plugin() -> None:
    """poseig_mm's host loads it, with its hook, and its study is found by name."""
    host = PluginHost(plugins=("poseig_transpose.plugin",), builtins=(), entry_points=False)
    (record,) = [r for r in host.records if "transpose" in r.target]
    assert set(record.hooks) == {"poseig_studies"}
    assert isinstance(host.catalog.get("studies", "attention"), Attention)
