"""Numbers that are none, and plugins that raise: what the rest of the run survives, and what it says of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tiny import IDS, run, tables, tiny, visible_rows, write_plugin, write_run

from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import PluginError
from poseig_mm.store import Store

# ---- numbers ---------------------------------------------------------------------------------------------------------


LIKELIHOOD = """
@hookimpl
def poseig_likelihoods():
    return {{"spoilt": spoilt}}


def spoilt(coords, reference):
    import torch
    value = -(coords - reference).norm(dim=-1)
    factor = torch.ones_like(value)
    factor[{where}] = {factor}
    return value * factor
"""


PERSON = "(reference[:, 5, 0] > 25) & (reference[:, 5, 0] < 26)"  # the sample 1-2


@pytest.mark.parametrize(
    ("where", "factor", "reason"),
    [
        (PERSON, "float('nan')", "nonfinite_gradient"),
        (PERSON, "float('inf')", "nonfinite_gradient"),
        (":, 5", "0.0", "zero_map"),
    ],
    ids=["nan", "inf", "zero"],
)
def test_a_gradient_that_is_not_finite_or_zero(
    tmp_path: Path, tiny_files: tiny, where: str, factor: str, reason: str
) -> None:
    """Its joints are NaN with the reason, never maps of zeros; other joints and samples of the batch stand."""
    plugin = write_plugin(tmp_path / "spoilt.py", LIKELIHOOD.format(where=where, factor=factor))
    settings = {"attribution.likelihood": "spoilt", "samples.batch_size": 3}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[str(plugin)])
    assert store.sample_ids == IDS
    count = 0
    for sample_id, joint, di, fi, li, why in visible_rows(store, "sample_id", "joint", "di", "fi", "li", "reason"):
        spoilt = sample_id == "1-2" if where == PERSON else joint == 5
        count += spoilt
        assert [math.isnan(v) for v in (di, fi, li)] == [spoilt] * 3
        assert why == (reason if spoilt else "")
        maps = store.map(sample_id)
        assert maps is not None
        assert (maps[joint].max() == 1) != spoilt
        assert not (maps[joint] == 0).all()
    assert count == (3 if where == PERSON else 2)
    spoilt_rows = store.relations().filter((pl.col("sample_id") == "1-2") & (pl.col("joint") == 5))
    assert spoilt_rows["ri"].is_nan().all()


@pytest.mark.parametrize(("joint", "handed_in"), [(None, False), (5, False), (5, True)])
def test_weights_that_are_nan(tmp_path: Path, mmpose_ready: None, joint: int | None, handed_in: bool) -> None:
    """No number is made up: the joints that they reach are NaN with a reason, which the run's notes give too; the
    others have what they have without.
    """
    made = write_run(tmp_path / "data")
    whole = run(made, tmp_path / "whole")
    content = torch.load(made.weights)
    weight = content["state_dict"]["head.final_layer.weight"]
    weight[slice(None) if joint is None else joint] = math.nan
    torch.save(content, made.weights)
    model: Any = None
    if handed_in:  # as the training hook does
        model = build_model(str(made.config), str(made.weights))
        del model.weights_notes
    store = run(made, tmp_path / "w", model=model, allow=["weights"])
    if model is not None:
        assert model.head.final_layer.weight[joint].isnan().all()
    numbers = ("pred_x", "pred_y", "epe", "epe_soft", "di", "fi", "li")
    columns = ("sample_id", "joint", "reason", *numbers)
    pairs = list(zip(visible_rows(store, *columns), visible_rows(whole, *columns), strict=True))
    assert any(row[1] == joint for row, _ in pairs) or joint is None
    for row, before in pairs:
        if joint in (None, row[1]):
            assert row[2] == "nonfinite_weights"
            assert all(math.isnan(value) for value in row[3:])
        else:
            assert row[:3] == before[:3]
            assert row[3:] == pytest.approx(before[3:], rel=1e-4, nan_ok=True)
    said = store.run["preflight"][0]["found"]
    assert handed_in or "NaN or infinite in head.final_layer.weight" in said
    assert f"{17 if joint is None else 1} of 17 joints have no prediction" in said
    assert "right_shoulder" not in said
    assert joint is None or "left_shoulder" in said
    assert not store.failures


METHOD = """
seen = []


@hookimpl
def poseig_attribution_methods():
    return {"fragile": fragile}


def fragile(adapter, images, keypoints, **settings):
    from poseig_mm.attribution.methods import path_ig
    bad = [float(k[0, 0]) for k in keypoints if 25 < float(k[5, 0]) < 26]  # the sample 1-2
    seen.append(len(images))
    if bad:
        raise KeyError("no luck")
    return path_ig(adapter, images, keypoints, **settings)
"""


@pytest.mark.parametrize("size", [1, 3])
def test_one_sample_that_fails_takes_no_other_with_it(tmp_path: Path, tiny_files: tiny, size: int) -> None:
    """Whatever is raised; a batch is taken apart."""
    plugin = write_plugin(tmp_path / "fragile.py", METHOD)
    settings = {"attribution.method": "fragile", "samples.batch_size": size}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[str(plugin)])
    assert store.sample_ids == ("1-1", "2-3")
    assert [(f.stage, f.error, f.sample_id) for f in store.failures] == [("attribution", "KeyError", "1-2")]
    assert store.run["counts"] == {"persons": 2, "joints": 7, "skipped": 0, "failed": 1}


# ---- plugins that raise ----------------------------------------------------------------------------------------------


OBSERVERS = """
@hookimpl
def {hook}({arguments}):
    raise ValueError("{hook} has had enough")
"""
ARGUMENTS = {
    "poseig_session_start": ("run_dir", "session_start"),
    "poseig_after_sample": ("sample", "after_sample"),
    "poseig_conclusions": ("store", "report"),
    "poseig_report_sections": ("store", "report"),
    "poseig_add_cli": ("parser", "add_cli"),
    "poseig_register_adapters": ("", "plugin"),
    "poseig_attribution_methods": ("", "plugin"),
    "poseig_likelihoods": ("", "plugin"),
    "poseig_paths": ("", "plugin"),
    "poseig_indices": ("", "plugin"),
    "poseig_studies": ("", "plugin"),
    "poseig_datasets": ("", "plugin"),
}


def test_a_plugin_that_raises_in_every_hook(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's numbers are the same; each failure stands in run.json and on the page, with plugin and message."""
    from poseig_mm import cli

    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())
    arguments = [str(tiny_files.config), str(tiny_files.weights), "--work-dir", str(tmp_path / "w"), "--device", "cpu"]
    for hook, takes in {**{h: a for h, (a, _) in ARGUMENTS.items()}, "poseig_on_error": "error"}.items():
        body = OBSERVERS.format(hook=hook, arguments=takes)
        arguments += ["-p", str(write_plugin(tmp_path / f"angry_{hook}.py", body))]
    assert cli.main([*arguments, "--cfg-options", "diagnosis.report.enabled=True"]) == 0
    store = Store(tmp_path / "w")
    assert tables(store) == tables(tiny_store)
    found = {(f.stage, f.plugin, f.message) for f in store.failures}
    assert found == {(s, f"angry_{h}", f"{h} has had enough") for h, (_, s) in ARGUMENTS.items()}
    assert sum(f.stage == "after_sample" for f in store.failures) == 3
    assert {json.dumps(f) for f in store.run["failures"]} == {json.dumps(vars(f)) for f in store.failures}
    page = (tmp_path / "w" / "report" / "index.html").read_text()
    for hook in ARGUMENTS:
        assert f"{hook} has had enough" in page


def test_a_select_hook_that_raises_stops_the_run(tiny_files: tiny, tmp_path: Path) -> None:
    """Its answer decides what is measured: the run says whose it was and ends."""
    body = OBSERVERS.format(hook="poseig_select_adapter", arguments="model")
    plugin = write_plugin(tmp_path / "angry.py", body)
    with pytest.raises(
        PluginError, match=r"poseig_select_adapter of plugin 'angry'.*has had enough.*--no-plugin angry"
    ):
        run(tiny_files, tmp_path / "w", plugins=[str(plugin)])


def test_an_index_and_a_study_that_raise(tiny_files: tiny, tmp_path: Path) -> None:
    """NaN with a reason in the index's column; the study's rows are missing; both are recorded under their names."""
    plugin = write_plugin(
        tmp_path / "weak.py",
        """
from poseig_mm.indices import Index
from poseig_mm.studies.base import Study


class Weak(Index):
    name, title = "weak", "Weak"

    def __call__(self, inputs):
        raise ValueError("the index is weak")


class Frail(Study):
    name = "frail"

    def sample_rows(self, finding, context):
        raise ValueError("the study is frail")


class Failing(Study):
    name = "failing"

    def store_rows(self, store):
        raise ValueError("the study failed at its end")


@hookimpl
def poseig_indices():
    return [Weak()]


@hookimpl
def poseig_studies():
    return [Frail(), Failing()]
""",
    )
    store = run(
        tiny_files, tmp_path / "w", {"studies": ["frail", "failing"], "indices": ["di", "weak"]}, plugins=[str(plugin)]
    )
    assert store.sample_ids == IDS
    assert store.joints()["weak"].is_nan().all()
    assert {r for (r,) in visible_rows(store, "reason")} == {"weak_failed"}
    assert store.joints().filter(pl.col("visible"))["di"].is_finite().all()
    messages = {(f.stage, f.plugin, f.message) for f in store.failures}
    assert messages == {
        ("index", "weak", "the index is weak"),
        ("study", "frail", "the study is frail"),
        ("study", "failing", "the study failed at its end"),
    }
