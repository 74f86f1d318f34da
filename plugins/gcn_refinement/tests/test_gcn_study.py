"""The whole study on three drawn persons; its numbers against those counted by hand; resume."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from poseig_gcn_refinement import plugin
from poseig_gcn_refinement.evaluation import inversions_by_pair, read_table
from poseig_gcn_refinement.page import accuracy_section
from poseig_gcn_refinement.study import RefinementStudy, Settings, main

from poseig_mm import Plugins
from poseig_mm.errors import ConfigError, StoreError

TINY = Settings(epochs=2, batch_size=2, passes=2, limit=2, hidden=4, depth=2)


@pytest.fixture(scope="module")
def done(made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[RefinementStudy, Path]:
    """(the study, its page)."""
    from mmengine.config import Config

    cfg = Config.fromfile(str(made.config))
    study = RefinementStudy(
        cfg, made.weights, tmp_path_factory.mktemp("study"), TINY, device="cpu", plugins=Plugins(entry_points=False)
    )
    return study, study.run()


def test_the_page_has_all_it_should(done: tuple[RefinementStudy, Path]) -> None:
    """Accuracy, inversions, controls, indices before and after, and no failure."""
    study, page = done
    text = page.read_text()
    for words in ("EPE (px)", "PCK (%)", "inversions a person", "random edges", "RI, symmetric joints", "DI"):
        assert words in text
    assert 'id="failures"' not in text
    for name in ("frozen", "skeleton", "identity", "random"):
        assert (study.work_dir / "evaluation" / f"{name}.parquet").is_file()


def test_all_blocks_have_the_same_size_and_steps(done: tuple[RefinementStudy, Path]) -> None:
    """Controls differ in the graph alone."""
    record = json.loads((done[0].work_dir / "study.json").read_text())
    trained = [{k: v for k, v in about.items() if k != "seconds"} for about in record["trained"].values()]
    assert len(trained) == 3
    assert trained[0] == trained[1] == trained[2]
    assert trained[0]["steps"] == 6  # three persons twice, in batches of two, twice
    assert len({p.name for p in (done[0].work_dir / "cache").iterdir()}) == 1  # one cache serves all


def test_what_is_done_is_not_done_again(done: tuple[RefinementStudy, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted part is made again, the others are not."""
    study, page = done
    files = [p for p in study.work_dir.rglob("*") if p.is_file() and "report" not in p.parts]
    before = {p: p.stat().st_mtime_ns for p in files}
    monkeypatch.setattr(RefinementStudy, "report", lambda self: page)  # of which the test above tells
    assert study.run() == page
    assert {p: p.stat().st_mtime_ns for p in files} == before
    part = study.work_dir / "evaluation" / "random.parquet"
    rows = pl.read_parquet(part)
    part.unlink()
    study.run()
    assert pl.read_parquet(part).equals(rows)
    changed = {p.name for p in files if p.stat().st_mtime_ns != before[p]}
    assert changed == {"random.parquet", "study.json"}


def test_another_study_is_not_mixed_in(done: tuple[RefinementStudy, Path], made: Any) -> None:
    """Other settings, the same work dir."""
    from dataclasses import replace

    with pytest.raises(StoreError, match="another config, checkpoint or settings"):
        RefinementStudy(str(made.config), made.weights, done[0].work_dir, replace(TINY, epochs=3))


WRONG = {
    "epochs": 0, "batch_size": 2.5, "lr": 0.0, "passes": -1, "train_persons": 0, "limit": -3, "order": 0,
    "hidden": True, "depth": None, "dropout": 1.0, "epsilon": math.inf, "seed": -1,
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in fields(Settings) if f.name != "graphs"])
def test_every_setting_has_bounds(name: str) -> None:
    """The setting, its value and what it may be; None where that means all."""
    with pytest.raises(ConfigError, match=rf"study 'gcn_refinement': {name} is {WRONG[name]!r}; expected"):
        Settings(**{name: WRONG[name]})
    assert Settings(limit=None, train_persons=None, epsilon=None).limit is None


def test_settings_are_checked() -> None:
    """A study without the skeleton."""
    with pytest.raises(ConfigError, match="graphs are identity"):
        Settings(graphs=("identity",))


def test_the_command_says_what_is_wrong(made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 1."""
    assert main([str(made.config), str(tmp_path / "none.pth"), "--work-dir", str(tmp_path / "d")]) == 1
    assert "none.pth" in capsys.readouterr().err


def write(place: Path, name: str, shift: float, swapped: int) -> None:
    """Ten persons with two joints 40 px apart; predictions `shift` px off, those of the first `swapped` exchanged."""
    frames = []
    for i in range(10):
        truth = np.array([[10.0, 20.0], [50.0, 20.0]])
        predicted = (truth[::-1] if i < swapped else truth) + [shift, 0]
        frames.append(
            pl.DataFrame(
                {
                    "sample_id": [f"{i}"] * 2,
                    "joint": [0, 1],
                    "joint_name": ["left_eye", "right_eye"],
                    "visible": [True, i != 9],
                    "truth_x": truth[:, 0],
                    "truth_y": truth[:, 1],
                    "x": predicted[:, 0],
                    "y": predicted[:, 1],
                    "epe": [
                        np.linalg.norm(p - t) if v else np.nan
                        for p, t, v in zip(predicted, truth, (True, i != 9), strict=True)
                    ],
                    "box": [100.0] * 2,
                }
            )
        )
    (place / "evaluation").mkdir(exist_ok=True)
    pl.concat(frames).write_parquet(place / "evaluation" / f"{name}.parquet")


def test_the_numbers_are_those_counted_by_hand(tmp_path: Path) -> None:
    """Frozen: 6 px off, six swapped; refined: 3 px off, two swapped; 19 visible joints."""
    write(tmp_path, "frozen", 6.0, 6)
    write(tmp_path, "skeleton", 3.0, 2)
    write(tmp_path, "identity", 3.0, 2)
    record = {
        "settings": {**TINY.__dict__, "graphs": ["skeleton", "identity"]},
        "data": {"pairs": [[0, 1]], "input_height": 256},
        "trained": {},
    }
    frozen = read_table(tmp_path / "evaluation" / "frozen.parquet")
    assert np.nansum(frozen["pck"].to_numpy()) == 0
    assert int(np.isfinite(frozen["pck"].to_numpy()).sum()) == 19
    counted, persons = inversions_by_pair(frozen, [(0, 1)], 10.0)
    assert counted[:, 0].tolist()[:9] == [2.0] * 6 + [0.0] * 3
    assert np.isnan(counted[9, 0])  # one of the two is not visible
    assert persons == [str(i) for i in range(10)]
    section = accuracy_section(tmp_path, record)
    models, differences = section.blocks[:2]
    by_hand = {"frozen": (6 * (46 + 34) + 7 * 6) / 19, "refined": (2 * (43 + 37) + 15 * 3) / 19}
    for row in models.rows[:2]:
        assert row[1].mean == pytest.approx(by_hand[row[0]])
    assert [row[4] for row in models.rows] == [12, 4, 4]
    assert models.rows[1][2].mean == pytest.approx(100 * 15 / 19)
    found = {row[:3]: row[3] for row in differences.rows}
    change = found["refined", "frozen", "EPE (px)"]
    assert change.mean == pytest.approx(by_hand["refined"] - by_hand["frozen"])
    assert change.high < 0
    assert found["refined", "frozen", "PCK (points)"].mean == pytest.approx(100 * 15 / 19)
    assert found["refined", "frozen", "inversions (%)"].mean == pytest.approx(-100 * 8 / 12)
    for measure in ("EPE (px)", "PCK (points)", "inversions a person"):
        assert found["refined", "no edges", measure].mean == 0
    assert "from 12 to 4" in section.lead
    assert "no difference shown" in section.lead


def test_an_inversion_may_be_of_one_joint_alone(tmp_path: Path) -> None:
    """Both predicted at one place: the joint that is not there is inverted, the other is not; in either direction."""
    write(tmp_path, "frozen", 0.0, 0)
    table = read_table(tmp_path / "evaluation" / "frozen.parquet")
    for place in (10.0, 50.0):
        counted, _ = inversions_by_pair(table.with_columns(pl.lit(place).alias("x")), [(0, 1)], 10.0)
        assert counted[0, 0] == 1.0


def test_the_reports_of_refined_models_show_the_block(made: Any, frozen_cfg: Any) -> None:
    """Other models' reports have no such section."""
    from poseig_gcn_refinement.training import refined_config

    (section,) = plugin.poseig_report_sections(SimpleNamespace(), refined_config(frozen_cfg, "x.pth", {"hidden": 8}))
    rows = dict(section.blocks[0].rows)
    assert rows["frozen checkpoint"] == "x.pth"
    assert rows["hidden"] == "8"
    assert rows["skeleton"] == "CocoDataset"
    assert plugin.poseig_report_sections(SimpleNamespace(), frozen_cfg) == ()


def test_the_entry_point_is_light() -> None:
    """Discovery imports the plugin module at every start of the command line: no torch, no mmpose."""
    code = (
        "import sys, poseig_gcn_refinement.plugin;"
        "print([m for m in ('torch', 'mmpose', 'numpy', 'polars') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_entry_point_names_the_plugin() -> None:
    """Installed, the distribution is found in poseig_mm's group."""
    found = {e.name: e.value for e in metadata.entry_points(group="poseig_mm")}
    if "gcn_refinement" not in found:
        pytest.skip("this distribution is not installed: it is tested from its folder")
    assert found["gcn_refinement"] == "poseig_gcn_refinement.plugin"


def test_the_host_accepts_the_plugin(tiny: ModuleType) -> None:
    """poseig_mm's host loads it, with its hook."""
    from poseig_mm.plugin.manager import PluginHost

    host = PluginHost(plugins=("poseig_gcn_refinement.plugin",), builtins=(), entry_points=False)
    (record,) = [r for r in host.records if "gcn" in r.target]
    assert set(record.hooks) == {"poseig_report_sections"}


def test_a_difference_is_called_so_only_after_correction() -> None:
    """An interval without 0 is not enough among many tests; with too few persons for a test it has to be."""
    from poseig_gcn_refinement.page import _verdict

    from poseig_mm.functional import Estimate

    below, around = Estimate(9, -1.0, 1.0, -2.0, -0.5), Estimate(9, -1.0, 1.0, -2.0, 0.5)
    assert _verdict(below, 0.01) == _verdict(below, float("nan")) == "better"
    assert "p = 0.2 after correction" in _verdict(below, 0.2)
    assert "holds 0" in _verdict(around, 0.01)
    assert _verdict(Estimate(9, 1.0, 1.0, 0.5, 2.0), 0.01) == "worse"
