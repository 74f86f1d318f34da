"""Runs of models that put joints in space (mm): what is compared, what is drawn, and the likelihood's scale."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import space_models
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from space_models import JOINTS, PatchAdapter, patch, truth_of
from tiny import FAST, IDS, VISIBLE, tiny, write_plugin

from poseig_mm import Plugins, Session, attribute, load_adapter
from poseig_mm.data.samples import SampleSource
from poseig_mm.errors import ConfigError, DataError
from poseig_mm.plugin.manager import PluginHost
from poseig_mm.report.person_pictures import Notes, PersonPictures
from poseig_mm.store import Store
from poseig_mm.summary.measures import measures
from poseig_mm.summary.sentences import scale_in_words

STUDIES = ["shortcuts", "sanity", "insertion_deletion", "output_space", "error_kinds", "perturbation", "inversion"]


def made(folder: Path, diagnosis: dict[str, Any] | None = None, **dataset: Any) -> Config:
    """The config of `tiny`, over the model of `space_models`."""
    given = {
        "plugins": ["space_models"],
        "report": {"enabled": False},
        "indices": ["di", "fi", "li", "ri"],
        **(diagnosis or {}),
    }
    given["attribution"] = {**FAST, **given.get("attribution", {})}
    files = tiny(folder, given)
    config = Config.fromfile(str(files.config))
    config.custom_imports.imports = ["mmpose", "space_models"]
    config.model.backbone, config.model.head = {"type": "Pixels"}, {"type": "PatchHead"}
    for loader in (config.test_dataloader, config.val_dataloader):
        loader.dataset.update(type="SpaceDataset", **dataset)
    return config


def run(config: Config, work_dir: Path, **options: Any) -> Store:
    """A finished run."""
    return Session(config, work_dir=work_dir, device="cpu", plugins=Plugins(entry_points=False), **options).run()


def source(config: Config, **options: Any) -> SampleSource:
    """Its samples, with the adapter's truth."""
    from poseig_mm.adapters.build_model import build_model

    adapter = PatchAdapter(build_model(config))
    options = {"truth": adapter.truth, "dimensions": adapter.dimensions, **options}
    return SampleSource(config, preprocess=adapter.model.data_preprocessor, **options)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run of all studies."""
    folder = tmp_path_factory.mktemp("space")
    return run(made(folder / "data", {"studies": STUDIES}), folder / "run")


def visible(store: Store) -> pl.DataFrame:
    return store.joints().filter(pl.col("visible"))


def test_truth_is_in_millimetres_and_places_in_pixels(tmp_path: Path) -> None:
    samples = source(made(tmp_path)).first(3)
    plain = source(made(tmp_path), truth=None).first(3)  # as for a 2D model
    for sample, flat, number in zip(samples, plain, VISIBLE, strict=True):
        given = [k in VISIBLE[number] for k in range(JOINTS)]
        assert sample.pixels is not None
        assert flat.pixels is not None
        assert torch.equal(sample.keypoints, torch.tensor(truth_of(number)))  # also where the picture shows nothing
        torch.testing.assert_close(sample.pixels, flat.keypoints, equal_nan=True, rtol=0, atol=0)
        torch.testing.assert_close(flat.pixels, flat.keypoints, equal_nan=True, rtol=0, atol=0)
        assert flat.visible.tolist() == sample.pixels.isfinite().all(1).tolist() == given
        assert sample.visible.all()  # true joints are known, and none of them is seen outside the input


def test_an_unknown_joint_is_not_visible(tmp_path: Path) -> None:
    sample = source(made(tmp_path, unknown=5)).load(0)
    assert not sample.visible[5]
    assert sample.keypoints[5].isnan().all()
    assert sample.visible[[0, 9]].all()


def test_a_joint_outside_the_input_is_not_visible(tmp_path: Path) -> None:
    """Its true place in space is known, but the network is not shown it."""
    config = made(tmp_path)
    config.test_dataloader.dataset.pipeline[1]["padding"] = 0.5  # the crop is half of the box
    sample = source(config).load(0)
    assert sample.pixels is not None
    outside = ((sample.pixels < 0) | (sample.pixels > 63)).any(1)
    assert outside[[0, 16]].all()
    assert not sample.visible[[0, 16]].any()
    assert sample.visible[9]


def test_lifting_targets_serve_too(tmp_path: Path) -> None:
    sample = source(made(tmp_path, field="lifting_target")).load(0)
    assert torch.equal(sample.keypoints, torch.tensor(truth_of(1)))


def test_a_data_set_without_true_joints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"keypoints_3d, lifting_target, keypoints_cam in gt_instances, got .*bboxes"):
        source(made(tmp_path, field="elsewhere")).load(0)
    with pytest.raises(DataError, match=r"shape \(17, 3\); expected \(K, D\) = \(17, 2\)"):
        source(made(tmp_path), dimensions=2).load(0)


def test_the_table_has_both_frames(store: Store) -> None:
    """gt and pred in mm, place in px of the input, EPE in mm."""
    joints = store.joints()
    assert set(joints["unit"]) == {"mm"}
    assert store.run["model"]["unit"] == "mm"
    for number, sample_id in zip(VISIBLE, IDS, strict=True):
        rows = joints.filter(pl.col("sample_id") == sample_id).sort("joint")
        np.testing.assert_array_equal(
            rows.select("gt_x", "gt_y", "gt_z").to_numpy(), truth_of(number).astype(np.float64)
        )
        found = rows.select("pred_x", "pred_y", "pred_z").to_numpy()
        np.testing.assert_allclose(found[:, 1:], 2 * found[:, :1].repeat(2, 1), atol=1e-4)
        distance = np.linalg.norm(found - truth_of(number), axis=1)
        np.testing.assert_allclose(rows["epe"].to_numpy(), distance, atol=1e-3)
        place = rows.select("place_x", "place_y").to_numpy()
        assert np.flatnonzero(np.isfinite(place).all(1)).tolist() == list(VISIBLE[number])
        k = np.array(VISIBLE[number])
        # on the box's diagonal, which the square crop, 1.25 times as large, has in its middle
        longest = {1: (45 * 1, 80), 2: (45, 60), 3: (70, 80)}[number]
        w, h = (50, 80) if number == 1 else longest
        wanted = 32 + ((k + 1) / 18 - 0.5)[:, None] * np.array([w, h]) * 64 / (1.25 * max(w, h))
        np.testing.assert_allclose(place[k], wanted, atol=0.51)


def test_maps_are_in_each_joint_s_own_patch(store: Store) -> None:
    maps = store.map(IDS[0])
    assert maps is not None
    for k in range(JOINTS):
        outside = maps[k].astype(np.float64).copy()
        outside[patch(k)] = 0
        assert outside.max() == 0
        assert maps[k].max() == 1


def test_the_scale_is_the_median_error(store: Store) -> None:
    """alpha = 1 / median, so that the likelihood of the median error is exp(-1)."""
    scale, joints = store.run["likelihood_scale"], visible(store)
    median = float(np.median(joints["epe_soft"]))
    assert scale["median"] == pytest.approx(median, rel=1e-5)
    assert median > 5
    assert scale["settings"] == {"alpha": pytest.approx(1 / median, rel=1e-5)}
    assert (scale["unit"], scale["joints"], scale["persons"]) == ("mm", len(joints), 3)
    np.testing.assert_allclose(joints["target_end"], np.exp(-joints["epe_soft"].to_numpy() / median), rtol=1e-4)
    said = f"alpha {1 / median:.4g} per mm, for the median error of 3 persons, {median:.4g} mm"
    assert scale_in_words(store) == said


def test_the_user_s_alpha_wins(tmp_path: Path) -> None:
    config = made(tmp_path / "data", {"attribution": {"likelihood_settings": {"alpha": 0.001}}})
    found = run(config, tmp_path / "run")
    joints = visible(found)
    np.testing.assert_allclose(joints["target_end"], np.exp(-0.001 * joints["epe_soft"].to_numpy()), rtol=1e-5)
    assert found.run["likelihood_scale"]["settings"] == {}
    assert scale_in_words(found) == ""


def test_a_gaussian_is_made_for_the_same_scale(tmp_path: Path) -> None:
    found = run(made(tmp_path / "data", {"attribution": {"likelihood": "gaussian"}}), tmp_path / "run")
    joints, median = visible(found), found.run["likelihood_scale"]["median"]
    np.testing.assert_allclose(
        joints["target_end"], np.exp(-((joints["epe_soft"].to_numpy() / median) ** 2) / 2), rtol=1e-4
    )


def test_alpha_by_heatmap_pixel_is_refused(tmp_path: Path) -> None:
    config = made(tmp_path / "data", {"attribution": {"alpha_per_heatmap_px": 0.3}})
    with pytest.raises(ConfigError, match=r"coordinates are in mm.*likelihood_settings=dict\(alpha=...\) per mm"):
        run(config, tmp_path / "run")


def test_a_resumed_run_keeps_the_scale(tmp_path: Path) -> None:
    """What the first part used holds for the second, whatever the errors are."""
    config = made(tmp_path / "data", {"samples": {"limit": 1}})
    first = run(config, tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    about = json.loads(file.read_text())
    about["likelihood_scale"]["median"] = 3 * first.run["likelihood_scale"]["median"]
    file.write_text(json.dumps(about))
    config.diagnosis.samples.limit = 2
    again = run(config, tmp_path / "run", resume=True)
    joints = visible(again).filter(pl.col("sample_id") == IDS[1])
    wanted = np.exp(-joints["epe_soft"].to_numpy() / about["likelihood_scale"]["median"])
    np.testing.assert_allclose(joints["target_end"], wanted, rtol=1e-4)
    assert again.run["likelihood_scale"] == about["likelihood_scale"]


def test_locality_is_around_the_place_in_the_picture(store: Store) -> None:
    """LI of a joint whose patch lies around its place is large; a joint without a place has none, and says why."""
    joints = store.joints()
    without = joints.filter(pl.col("place_x").is_nan())
    assert len(without)
    assert without["li"].is_nan().all()
    assert (without["reason"].str.contains("no_place")).all()
    placed = joints.filter(pl.col("place_x").is_finite())
    assert placed["li"].is_finite().sum() >= len(placed) - 2
    samples = {row["sample_id"]: row for row in store.samples().to_dicts()}
    assert not placed["reason"].str.contains("no_place").any()
    for row in placed.to_dicts():
        maps = store.map(row["sample_id"])
        assert maps is not None
        values = maps[row["joint"]].astype(np.float64)
        weight = np.exp(
            -(((np.arange(64)[:, None] - row["place_y"]) ** 2 + (np.arange(64) - row["place_x"]) ** 2) / 128)
        )
        warp = [[samples[row["sample_id"]][f"warp_{i}{j}"] for j in range(3)] for i in range(2)]
        u, v = (a * np.arange(64)[None] + b * np.arange(64)[:, None] + c for a, b, c in warp)
        own = (u >= -0.5) & (u <= 119.5) & (v >= -0.5) & (v <= 99.5)  # images of 120 x 100 px
        if not values[own].any():  # all that the joint looks at is padding
            assert math.isnan(row["li"])
            assert "li_undefined" in row["reason"]
            assert row["mass_in_padding"] == 1
            continue
        share = (values * weight)[own].sum() / weight[own].sum() / values[own].mean()
        assert row["li"] == pytest.approx(share, rel=2e-2)


def test_studies_that_need_places_have_them(store: Store) -> None:
    """Shortcuts by the places in the picture, errors in mm; kinds of error in pixels say that there are none."""
    assert not [f for f in store.failures if f.stage == "study"], store.failures
    rows = store.study("shortcuts").filter(pl.col("share_own").is_finite())
    assert set(rows["joint"]) <= {k for found in VISIBLE.values() for k in found}
    assert len(rows)
    errors = store.joints().select("sample_id", "joint", "epe")
    both = rows.join(errors, on=["sample_id", "joint"])
    np.testing.assert_allclose(both["error"], both["epe"], rtol=1e-6)
    assert not rows["inverted"].any()
    placeless = store.study("shortcuts").filter(pl.col("share_own").is_nan())
    assert set(placeless["reason"]) == {"no_place"}
    deletion = store.study("insertion_deletion").filter((pl.col("kind") == "deletion") & (pl.col("reason") == ""))
    median = store.run["likelihood_scale"]["median"]
    np.testing.assert_allclose(deletion["value_0"], np.exp(-deletion["error_0"].to_numpy() / median), rtol=1e-6)


def test_drawings_show_where_joints_appear(store: Store) -> None:
    """Rings at the annotated places; predictions in mm are at no place."""
    row = store.samples().filter(pl.col("sample_id") == IDS[0]).to_dicts()[0]
    joints = store.joints().filter(pl.col("sample_id") == IDS[0])
    notes = Notes()
    person = PersonPictures(store, row, joints, measures(store, joints), notes)
    np.testing.assert_array_equal(person.truth, joints.select("place_x", "place_y").to_numpy())
    assert np.isnan(person.prediction).all()
    assert list(notes.remarks) == ["Predictions in other units than pixels are not drawn"]
    with_rings, _ = person.sheet()
    person.truth[:] = np.nan
    assert with_rings.tobytes() != person.sheet()[0].tobytes()


def test_the_page_says_the_scale(tmp_path: Path) -> None:
    config = made(tmp_path / "data", {"report": {"enabled": True}})
    found = run(config, tmp_path / "run")
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert scale_in_words(found) in page


ASK = """
from poseig_mm.studies.base import Study


class Ask(Study):
    name = "ask"

    def sample_rows(self, finding, context):
        again = context.indices(finding.sample, finding.attribution)["pa_epe"]
        return [{"sample_id": finding.sample.sample_id, "run": float(a), "context": float(b)}
                for a, b in zip(finding.indices["pa_epe"], again)]


@hookimpl
def poseig_studies():
    return [Ask()]
"""


def test_the_aligned_error_is_that_of_the_models_own_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study's `context.indices()` gives the run's PA-EPE, also where the decoding is coarser than the coordinates."""

    def coarse(self: Any, feats: Any, samples: Any, test_cfg: Any = None) -> list[Any]:
        return [InstanceData(keypoints=(k[None] / 40).round().numpy() * 40) for k in self.forward(feats).detach()]

    monkeypatch.setattr(space_models.PatchHead, "predict", coarse)
    plugins = ["space_models", str(write_plugin(tmp_path / "asking.py", ASK))]
    config = made(tmp_path / "data", {"studies": ["ask"], "indices": ["di", "pa_epe"], "plugins": plugins})
    rows = run(config, tmp_path / "run").study("ask")
    assert rows["context"].to_list() == pytest.approx(rows["run"].to_list(), nan_ok=True)
    assert rows["run"].is_finite().sum() == 34


def test_the_function_makes_the_likelihood_for_the_median_error(tmp_path: Path) -> None:
    """Of coordinates in mm `attribute` takes alpha = 1 / median error, as a run does; 0.075 is a number of pixels."""
    config = made(tmp_path)
    samples = source(config).first(3)
    adapter = load_adapter(config, host=PluginHost(plugins=["space_models"], entry_points=False))
    images, truth = (torch.stack([getattr(s, name) for s in samples]) for name in ("image", "keypoints"))
    found = attribute(adapter, images, truth, **FAST)
    error = (adapter(images).coords - truth).norm(dim=-1).detach()
    expected = torch.exp(-error / error.double().quantile(0.5))
    assert found.target_end.tolist() == [pytest.approx(row) for row in expected.tolist()]
