"""A whole run on a tiny model: what is written, that each setting does what it says, and that the model is left
alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from mmengine.config import Config
from tiny import FAST, IDS, VISIBLE, run, session, tables, tiny, write_plugin, write_run
from torch import Tensor

from poseig_mm import Session, attribute, load_adapter
from poseig_mm.api import load_config
from poseig_mm.errors import AdapterError, CheckpointError, ConfigError, PluginError
from poseig_mm.functional.likelihood import LIKELIHOODS
from poseig_mm.functional.paths import LinearPath
from poseig_mm.functional.quadrature import RULES
from poseig_mm.run.session import Progress
from poseig_mm.store import Store

COLUMNS = (
    "sample_id,image_id,instance_id,joint,joint_name,group,visible,gt_x,gt_y,pred_x,pred_y,epe,epe_soft,unit,di,fi,li,"
    "reason,target_start,target_end,residual,residual_rel,map_error,converged,evaluations"
)
RUN_KEYS = {
    *("status", "versions", "config", "config_hash", "identity", "checkpoint", "weights_hash", "plugins", "seeds"),
    *(
        "counts",
        "failures",
        "timings",
        "peak_memory",
        "keypoints",
        "agreement",
        "notes",
        "settings",
        "model",
        "dataset",
    ),
}


def visible(store: Store, sample_id: str | None = None) -> pl.DataFrame:
    """Rows of joints that have numbers."""
    rows = store.joints().filter(pl.col("visible"))
    return rows if sample_id is None else rows.filter(pl.col("sample_id") == sample_id)


# ---- what is written -------------------------------------------------------------------------------------------------


def test_every_sample_and_joint_has_its_row(tiny_store: Store) -> None:
    """Columns as architecture.md fixes them; numbers wherever a joint is visible, NaN with a reason elsewhere."""
    joints = tiny_store.joints()
    assert ",".join(joints.columns) == COLUMNS
    assert (tiny_store.sample_ids, len(joints)) == (IDS, 3 * 17)
    shown = joints.filter(pl.col("visible"))
    assert shown.select("sample_id", "joint").rows() == [(IDS[i - 1], k) for i in VISIBLE for k in VISIBLE[i]]
    numbers = ["epe", "epe_soft", "di", "fi", "li", "target_start", "target_end", "residual", "map_error"]
    assert shown.select(pl.col(numbers).is_finite().all()).row(0) == (True,) * len(numbers)
    assert (set(shown["reason"]), set(shown["evaluations"])) == ({""}, {2})
    hidden = joints.filter(~pl.col("visible"))
    assert set(hidden["reason"]) == {"not_visible"}
    assert hidden.select(pl.col("epe", "di", "fi", "li", "gt_x").is_nan().all()).row(0) == (True,) * 5
    assert hidden["evaluations"].sum() == 0


def test_run_json_says_how_it_came_about(tiny_store: Store, tiny_files: tiny) -> None:
    """All that a reader of the numbers may ask."""
    run_json = tiny_store.run
    assert run_json.keys() >= RUN_KEYS
    assert (run_json["status"], run_json["failures"]) == ("complete", [])
    assert run_json["counts"] == {"persons": 3, "joints": 10, "skipped": 0, "failed": 0}
    assert run_json["keypoints"].keys() == {"names", "groups", "parents", "flip_pairs", "skeleton", "derived"}
    assert [1, 2] in run_json["keypoints"]["flip_pairs"]
    assert (run_json["checkpoint"], run_json["config"]) == (str(tiny_files.weights), str(tiny_files.config))
    assert run_json["model"]["head"] == "HeatmapHead"
    assert run_json["agreement"]["n"] == 10  # the visible joints
    assert {"setup", "attribution", "store", "total"} <= run_json["timings"].keys()
    assert run_json["peak_memory"]["cpu"] > 0
    assert {p["name"] for p in run_json["plugins"]} >= {"attribution", "indices", "report"}
    assert run_json["settings"]["attribution"]["nodes"] == FAST["nodes"]


def test_the_resolved_config_lies_beside_the_results(tiny_store: Store, tiny_files: tiny) -> None:
    """It can be read again, and gives the same."""
    again = Config.fromfile(str(tiny_store.path / "config.py"))
    assert again.to_dict() == Config.fromfile(str(tiny_files.config)).to_dict()


def test_maps_and_pictures_of_each_sample(tiny_store: Store) -> None:
    """Maximum 1 where a joint is visible, NaN elsewhere; the picture is the crop."""
    maps = tiny_store.map("2-3")
    assert maps is not None
    assert maps.shape == (17, 64, 64)
    shown = np.array([k in VISIBLE[3] for k in range(17)])
    assert np.isfinite(maps[shown]).all()
    assert maps[shown].max((1, 2)).tolist() == [1.0] * 3
    assert np.isnan(maps[~shown]).all()
    display = tiny_store.display("2-3")
    assert display is not None
    assert display.shape == (64, 64, 3)
    assert display.std() > 10


def test_relations_are_between_visible_joints(tiny_store: Store) -> None:
    """RI(a, a) is LI of joint a; it is a number exactly where the other joint is visible too."""
    rows = tiny_store.relations().filter(pl.col("sample_id") == "1-2")
    assert sorted(set(rows["joint"])) == list(VISIBLE[2])
    assert sorted(set(rows.filter(pl.col("ri").is_finite())["other"])) == list(VISIBLE[2])
    diagonal = rows.filter(pl.col("joint") == pl.col("other")).sort("joint")["ri"].to_list()
    assert diagonal == pytest.approx(visible(tiny_store, "1-2")["li"].to_list(), rel=1e-5)


def test_predictions_are_mmposes_own(tiny_store: Store, tiny_files: tiny) -> None:
    """Warped back to the photograph they are what `model.test_step` gives on MMPose's own data loader."""
    from mmengine.runner import Runner

    config = Config.fromfile(str(tiny_files.config))
    model = load_adapter(config, tiny_files.weights).model
    for batch in Runner.build_dataloader(config.test_dataloader, seed=0):
        (found,) = model.test_step(batch)
        sample_id = f"{found.img_id}-{found.id}"
        rows = tiny_store.joints().filter(pl.col("sample_id") == sample_id)
        warp = tiny_store.samples().filter(pl.col("sample_id") == sample_id)
        matrix = np.array([[warp[f"warp_{i}{j}"][0] for j in range(3)] for i in range(2)])
        points = np.c_[rows["pred_x"].to_numpy(), rows["pred_y"].to_numpy(), np.ones(17)]
        np.testing.assert_allclose(points @ matrix.T, found.pred_instances.keypoints[0], atol=1e-3)


def test_progress_is_told_after_each_sample(tiny_files: tiny, tmp_path: Path) -> None:
    """From 0 of 3 to 3 of 3."""
    seen: list[Progress] = []
    run(tiny_files, tmp_path, on_progress=seen.append)
    assert [(p.done, p.total) for p in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]


# ---- which samples, which maps ---------------------------------------------------------------------------------------


def test_a_config_without_a_section_of_ours(tiny_files: tiny, tmp_path: Path) -> None:
    """Every default holds: adaptive quadrature, all indices, a report."""
    text = tiny_files.config.read_text().split("diagnosis =")[0]
    config = tmp_path / "plain.py"
    config.write_text(text)
    work_dir = tmp_path / "w"
    store = Session(config, tiny_files.weights, work_dir=work_dir, device="cpu", entry_points=False).run()
    assert "diagnosis" not in Config.fromfile(str(work_dir / "config.py"))
    evaluations = visible(store)["evaluations"]
    assert evaluations.is_between(16, 64).all()
    page = (work_dir / "report" / "index.html").read_text()
    assert all(sample_id in page for sample_id in IDS)
    assert (store.sample_ids, store.failures) == (IDS, ())
    assert "report" in store.run["timings"]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({"limit": 2}, IDS[:2]),
        ({"ids": ["2-3", "1-1"]}, ("2-3", "1-1")),
        ({"ids": ["2-3", "1-1"], "limit": 1}, ("2-3",)),
        ({"split": "val"}, IDS),
    ],
)
def test_samples_are_chosen(
    tiny_files: tiny, tmp_path: Path, samples: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """By number, by id, by data loader; rows come in that order."""
    assert run(tiny_files, tmp_path, {"samples": samples}).sample_ids == expected


def test_a_seed_draws_the_samples(tiny_files: tiny, tmp_path: Path) -> None:
    """The same seed draws the same, in its order."""
    drawn = [run(tiny_files, tmp_path / f"{n}", {"samples": {"seed": n % 2}}).sample_ids for n in range(3)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert all(sorted(d) == sorted(IDS) for d in drawn)


@pytest.mark.parametrize(("maps", "shape"), [("none", None), ("pooled", (17, 16, 16))])
def test_maps_are_kept_as_asked(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, maps: str, shape: tuple[int, ...] | None
) -> None:
    """The tables don't depend on it."""
    store = run(tiny_files, tmp_path, {"store.maps": maps})
    found = store.map("1-1")
    assert (None if found is None else found.shape) == shape
    assert tables(store) == tables(tiny_store)


def test_the_worst_maps_are_kept(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Of the person with the largest mean error."""
    store = run(tiny_files, tmp_path, {"store.maps": "worst", "store.worst": 1, "attribution.signed": True})
    worst = tiny_store.samples().sort("mepe")["sample_id"][-1]
    assert [i for i in IDS if store.map(i) is not None] == [worst]
    assert [i for i in IDS if store.signed_map(i) is not None] == [worst]
    assert [len(list((tmp_path / d).iterdir())) for d in ("maps", "signed")] == [1, 1]


def test_signed_maps_are_kept(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Their sum is the change of the target up to the residual, and |.| / max is the map."""
    store = run(tiny_files, tmp_path, {"attribution.signed": True})
    assert tables(store) == tables(tiny_store)
    signed, maps = store.signed_map("1-1"), store.map("1-1")
    assert signed is not None
    assert maps is not None
    assert signed.dtype == np.float32
    assert (signed[0] < 0).any()
    for row in visible(store, "1-1").iter_rows(named=True):
        own = signed[row["joint"]]
        change = row["target_end"] - row["target_start"]
        assert abs(own.sum(dtype=np.float64) - change) == pytest.approx(row["residual"], rel=1e-3, abs=1e-7)
        np.testing.assert_allclose(np.abs(own) / np.abs(own).max(), maps[row["joint"]], atol=1e-3)
    assert tiny_store.signed_map("1-1") is None


@pytest.mark.parametrize("mask", ["none", "union"])
def test_masks_are_chosen(tiny_files: tiny, tiny_store: Store, tmp_path: Path, mask: str) -> None:
    """Without one FI is NaN and says why; with all persons of the image it differs where there are two."""
    store = run(tiny_files, tmp_path, {"samples.mask": mask})
    before, after = (visible(s)["fi"].to_list() for s in (tiny_store, store))
    if mask == "none":
        assert all(map(math.isnan, after))
        assert set(visible(store)["reason"]) == {"no_mask"}
    else:
        assert after[:7] != pytest.approx(before[:7], rel=1e-3)
        assert after[7:] == pytest.approx(before[7:])  # the second image has one person
        assert set(store.samples()["mask_source"]) == {"union"}


def test_a_mask_the_model_cannot_predict_is_an_error(tmp_path: Path, mmpose_ready: None) -> None:
    """At once, with what to do instead."""
    made = write_run(tmp_path, annotate=lambda a: [x.pop("segmentation") for x in a["annotations"]] and None)
    with pytest.raises(ConfigError, match="has no predict_mask"):
        run(made, tmp_path / "w", {"samples.mask": "predicted"})


def test_a_predicted_mask_is_flagged_in_every_row(
    tmp_path: Path, mmpose_ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the data have no mask, FI on the model's own is a number, and each row with a map says whose mask it
    was.
    """
    from mmpose.models import TopdownPoseEstimator

    def predict_mask(self: Any, images: Tensor) -> Tensor:
        mask = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
        mask[:, 10:40, 10:40] = True
        return mask

    monkeypatch.setattr(TopdownPoseEstimator, "predict_mask", predict_mask, raising=False)
    made = write_run(tmp_path, annotate=lambda a: [x.pop("segmentation") for x in a["annotations"]] and None)
    store = run(made, tmp_path / "w", {"samples.mask": "predicted"})
    assert set(store.samples()["mask_source"]) == {"predicted"}
    assert visible(store)["fi"].is_finite().all()
    assert set(visible(store)["reason"]) == {"predicted_mask"}
    assert set(store.joints().filter(~pl.col("visible"))["reason"]) == {"not_visible"}


# ---- how a map is made -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tensor, Tensor]:
    """Adapter, image and truth of the first sample, made by hand."""
    own = session(tiny_files, tmp_path_factory.mktemp("parts"))
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    sample = own._source(adapter.model.data_preprocessor, None, adapter).load(0)
    return adapter, sample.image[None], sample.keypoints[None]


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"quadrature-{q}": ({"quadrature": q}, {"quadrature": q}) for q in (*RULES, "adaptive")},
    **{f"likelihood-{n}": ({"likelihood": n}, {"likelihood": n}) for n in LIKELIHOODS if n != "exp_l2"},
    "alpha": ({"likelihood_settings": {"alpha": 0.2}}, {"likelihood_settings": {"alpha": 0.2}}),
    "alpha-heatmap": ({"alpha_per_heatmap_px": 0.8}, {"likelihood_settings": {"alpha": 0.2}}),
    "blur": ({"path_settings": {"sigma": 3.0, "kernel_size": 9}}, {"path_settings": {"sigma": 3.0, "kernel_size": 9}}),
    "linear": ({"path": "linear"}, {"path": "linear"}),  # black
    "linear-mean": (
        {"path": "linear", "path_settings": {"baseline": "mean"}},
        {"path": "linear", "path_settings": {"baseline": "mean"}},
    ),
    "power": ({"power": 2.0}, {"power": 2.0}),
    "noise": ({"noise_std": 0.3, "noise_draws": 2, "seed": 4}, {"noise_std": 0.3, "noise_draws": 2, "seed": 4}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_setting_reaches_the_attribution(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, parts: tuple[Any, Tensor, Tensor], name: str
) -> None:
    """The maps of the run are those that `attribute` gives with the same settings, and no longer the default ones."""
    adapter, image, truth = parts
    given, direct = VARIANTS[name]
    adapter.beta = tiny_store.run["agreement"]["beta"]
    if name == "linear":
        low, high = adapter.pixel_range()
        direct = {**direct, "path_settings": {"black": low, "white": high}}
    store = run(tiny_files, tmp_path, {"attribution": {**FAST, **given}, "samples.limit": 1})
    expected = attribute(adapter, image, truth, **{**FAST, "chunk": 3, **direct})
    found, default = store.map("1-1"), tiny_store.map("1-1")
    assert found is not None
    np.testing.assert_allclose(found, expected.maps[0].numpy(), atol=2e-2)  # other chunks, other rounding, other ReLUs
    assert np.nanmean(np.abs(found - expected.maps[0].numpy())) < 2e-4
    if name != "quadrature-midpoint":
        assert np.nanmax(np.abs(found - default)) > 0.01  # type: ignore[operator]


def test_the_quadrature_is_checked_at_the_start(tiny_files: tiny, tmp_path: Path) -> None:
    """With the nearest known one."""
    with pytest.raises(ConfigError, match="did you mean 'midpoint'"):
        session(tiny_files, tmp_path, {"attribution.quadrature": "midpont"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "blurr"}, "there is no path 'blurr'; did you mean 'blur'"),
        ({"path_settings": {"sgma": 3.0}}, "path_settings of path 'blur' do not fit.*sgma"),
        ({"path": "linear", "path_settings": {"baseline": "nowhere.png"}}, "nowhere.png"),
        ({"likelihood": "exp_l1"}, "there is no likelihood 'exp_l1'; did you mean 'exp_l2'"),
        ({"likelihood_settings": {"alhpa": 3.0}}, "likelihood_settings of likelihood 'exp_l2' do not fit.*alhpa"),
        ({"method": "path_gi"}, "there is no attribution method 'path_gi'; did you mean 'path_ig'"),
        ({"reference": "noze"}, "'noze' is neither 'truth', 'prediction' nor a joint"),
        ({"contrast": "noze"}, "'noze' is neither"),
        ({"joints": ["nose", "noze"]}, r"joints names \['noze'\]"),
    ],
)
def test_a_wrong_name_is_an_error_before_the_first_sample(
    tiny_files: tiny, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigError, match=message):
        run(tiny_files, tmp_path / "w", {f"attribution.{k}": v for k, v in settings.items()})
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("given", "points"),
    [
        ({"reference": "prediction"}, lambda truth, found: (found, None)),
        ({"reference": "left_wrist"}, lambda truth, found: (truth[:, 9:10].expand_as(truth), None)),
        ({"contrast": "prediction"}, lambda truth, found: (truth, found)),
        ({"contrast": "nose"}, lambda truth, found: (truth, truth[:, :1].expand_as(truth))),
    ],
    ids=["prediction", "joint", "contrast-prediction", "contrast-joint"],
)
def test_reference_points(
    tiny_files: tiny,
    tiny_store: Store,
    tmp_path: Path,
    parts: tuple[Any, Tensor, Tensor],
    given: dict[str, str],
    points: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
) -> None:
    """Truth, prediction or another joint, alone or as a contrast between two."""
    adapter, image, truth = parts
    adapter.beta = tiny_store.run["agreement"]["beta"]
    store = run(tiny_files, tmp_path, {"attribution": {**FAST, **given}, "samples.limit": 1})
    reference, contrast = points(truth, adapter.predict(image))
    shown = truth.isfinite().all(-1)
    expected = attribute(adapter, image, reference, contrast=contrast, joints=shown, chunk=3, **FAST)
    ends = visible(store)["target_end"].to_list()
    assert ends == pytest.approx(expected.target_end[shown].tolist(), abs=1e-5)
    found = store.map("1-1")
    assert found is not None
    np.testing.assert_allclose(found[shown[0]], expected.maps[0, shown[0]].numpy(), atol=2e-3)
    everywhere = given.get("reference") == "prediction"  # needs no label
    assert np.isfinite(found).all() == everywhere


def test_joints_are_chosen(tiny_files: tiny, tmp_path: Path) -> None:
    """Others are NaN and say that nobody asked."""
    store = run(tiny_files, tmp_path, {"attribution.joints": ["nose"], "samples.limit": 1})
    reasons = dict(visible(store).select("joint_name", "reason").rows())
    assert reasons == {"nose": "", "left_shoulder": "not_asked", "left_wrist": "not_asked", "right_ankle": "not_asked"}


def test_a_baseline_from_a_file(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Preprocessed as the model's input; the target at the path's start is that of the file."""
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    adapter.beta = tiny_store.run["agreement"]["beta"]
    file = str(tiny_files.folder / "2.png")
    given = {"path": "linear", "path_settings": {"baseline": file}}
    store = run(tiny_files, tmp_path, {"attribution": {**FAST, **given}, "samples.limit": 1})
    with adapter.frozen():
        coords = adapter(adapter.preprocess_file(file)).coords[0].detach()
    rows = visible(store)
    for row in rows.iter_rows(named=True):
        truth = torch.tensor([row["gt_x"], row["gt_y"]])
        expected = math.exp(-0.075 * float((coords[row["joint"]] - truth).norm()))
        assert row["target_start"] == pytest.approx(expected, abs=1e-4)


def test_the_published_preset_runs(tiny_files: tiny, tmp_path: Path) -> None:
    """50 cells, beta 10 as given, and the published weight of LI."""
    settings = {"attribution": {"preset": "published"}, "samples.limit": 1}
    store = run(tiny_files, tmp_path / "a", settings)
    assert set(visible(store)["evaluations"]) == {50}
    assert store.run["agreement"]["beta"] == store.run["model"]["beta"] == 10.0
    exact = run(
        tiny_files, tmp_path / "b", {"attribution": {"preset": "published", "locality": "exact"}, "samples.limit": 1}
    )
    assert visible(store)["di"].to_list() == visible(exact)["di"].to_list()
    assert visible(store)["li"].to_list() != pytest.approx(visible(exact)["li"].to_list(), rel=1e-3)


@pytest.mark.parametrize("method", ["gradient", "random"])
def test_other_methods(tiny_files: tiny, tiny_store: Store, tmp_path: Path, method: str) -> None:
    """The controls give maps of their own."""
    store = run(tiny_files, tmp_path, {"attribution.method": method, "samples.limit": 1})
    found, default = store.map("1-1"), tiny_store.map("1-1")
    assert np.nanmax(np.abs(found - default)) > 0.1  # type: ignore[operator]
    assert visible(store)["di"].is_finite().all()


def test_float64_agrees_with_float32(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """And its residuals are not the same to the last digit: it was really computed in it."""
    store = run(
        tiny_files, tmp_path, {"attribution.dtype": "float64", "attribution.beta": tiny_store.run["agreement"]["beta"]}
    )
    for name in ("di", "fi", "li", "target_end"):
        a, b = (visible(s)[name].to_list() for s in (tiny_store, store))
        assert a == pytest.approx(b, rel=5e-2, abs=1e-4)
    exact = visible(store)["target_end"].to_list()
    assert exact != torch.tensor(exact).tolist()
    assert store.run["weights_hash"] == tiny_store.run["weights_hash"]


def test_batches_change_nothing(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Two persons at once give the rows of one by one."""
    store = run(tiny_files, tmp_path, {"samples.batch_size": 2})
    assert len(list((tmp_path / "samples").iterdir())) == 2
    a, b = (s.joints() for s in (tiny_store, store))
    for name in a.columns:
        if a[name].dtype == pl.Float64:
            np.testing.assert_allclose(a[name].to_numpy(), b[name].to_numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            assert a[name].to_list() == b[name].to_list(), name


# ---- indices ---------------------------------------------------------------------------------------------------------


def test_a_choice_of_indices(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """The others' columns are NaN, and without RI there are no relations."""
    store = run(tiny_files, tmp_path, {"indices": ["di"]})
    assert visible(store)["di"].to_list() == visible(tiny_store)["di"].to_list()
    assert visible(store).select(pl.col("fi", "li").is_nan().all()).row(0) == (True, True)
    assert len(store.relations()) == 0
    assert store.run["failures"] == []


MINE = """
class Mine:
    name, title, unit, range, requires, kind = {name!r}, "Mine", "", (0.0, 1e9), frozenset(), {kind!r}

    def __call__(self, inputs):
        {body}


@hookimpl
def poseig_indices():
    return [Mine()]
"""


def test_a_plugins_index_and_relation(tiny_files: tiny, tmp_path: Path) -> None:
    """A column after `li`, and one after `ri`, which is NaN where nobody asked for it."""
    one = write_plugin(
        tmp_path / "one.py", MINE.format(name="one", kind="joint", body="return inputs.maps.sum((2, 3))")
    )
    body = "return inputs.maps.sum((2, 3))[:, :, None].repeat(1, 1, inputs.maps.shape[1])"
    two = write_plugin(tmp_path / "two.py", MINE.format(name="two", kind="relation", body=body))
    store = run(
        tiny_files, tmp_path / "w", {"indices": ["one", "two"], "samples.limit": 1}, plugins=[str(one), str(two)]
    )
    joints, relations = store.joints(), store.relations()
    assert joints.columns[joints.columns.index("li") + 1] == "one"
    assert relations.columns[-2:] == ["ri", "two"]
    assert (relations["ri"].is_nan().all(), len(relations)) == (True, 4 * 17)
    sums = dict(visible(store).select("joint", "one").rows())
    assert [sums[k] for k in relations["joint"]] == relations["two"].to_list()


@pytest.mark.parametrize(("name", "kind"), [("epe", "joint"), ("gt_z", "joint"), ("other", "relation")])
def test_an_index_cannot_have_a_columns_name(tiny_files: tiny, tmp_path: Path, name: str, kind: str) -> None:
    """The error names index and plugin, before anything is computed."""
    plugin = write_plugin(tmp_path / "greedy.py", MINE.format(name=name, kind=kind, body="return inputs.maps"))
    with pytest.raises(PluginError, match=f"plugin 'greedy' gives an index '{name}'.*--no-plugin greedy"):
        session(tiny_files, tmp_path, {"indices": None}, plugins=[str(plugin)])
    session(tiny_files, tmp_path, plugins=[str(plugin)])  # not asked for: no clash


def test_a_plugin_given_twice_is_loaded_once(tiny_files: tiny, tmp_path: Path) -> None:
    """In the config and on the command line."""
    one = str(
        write_plugin(tmp_path / "one.py", MINE.format(name="one", kind="joint", body="return inputs.maps.sum((2, 3))"))
    )
    made = session(tiny_files, tmp_path, {"plugins": [one]}, plugins=[one])
    assert [r.name for r in made.host.records].count("one") == 1


# ---- the model is left alone -----------------------------------------------------------------------------------------


def state(model: torch.nn.Module) -> list[Any]:
    """Modes, gradient flags and weights."""
    flags = [m.training for m in model.modules()] + [p.requires_grad for p in model.parameters()]
    return [*flags, *(p.grad for p in model.parameters()), *(v.sum().item() for v in model.state_dict().values())]


@pytest.mark.parametrize("fails", [False, True])
def test_a_users_model_comes_back_as_it_was(tiny_files: tiny, parts: tuple[Any, Tensor, Tensor], fails: bool) -> None:
    """Mixed modes and flags, also after an error in the middle; parameters never get gradients."""
    _, image, truth = parts
    model = load_adapter(str(tiny_files.config), tiny_files.weights).model
    model.train()
    model.backbone.layer1.eval()
    next(model.parameters()).requires_grad_(False)
    before = state(model)
    adapter = load_adapter(model)
    calls: list[bool] = []

    def likelihood(coords: Tensor, reference: Tensor) -> Tensor:
        calls.append(model.training)
        if fails and len(calls) == 2:
            raise ZeroDivisionError
        return -(coords - reference).norm(dim=-1)

    if fails:
        with pytest.raises(ZeroDivisionError):
            attribute(adapter, image, truth, likelihood=likelihood, **FAST)
    else:
        attribute(adapter, image, truth, likelihood=likelihood, **FAST)
    assert set(calls) == {False}
    assert state(model) == before


def test_attribute_in_another_type(tiny_files: tiny, parts: tuple[Any, Tensor, Tensor]) -> None:
    """`dtype` says what to compute in."""
    _, image, truth = parts
    model = load_adapter(str(tiny_files.config), tiny_files.weights).model.double()
    found = attribute(load_adapter(model), image, truth, dtype=torch.float64, **FAST)
    assert found.maps.dtype == torch.float64


def test_a_model_without_an_adapter_is_an_error() -> None:
    """It says which heads are known."""
    with pytest.raises(AdapterError):
        load_adapter(torch.nn.Linear(2, 2))


def test_a_plugin_may_choose_the_adapter(tiny_files: tiny, tmp_path: Path) -> None:
    """Its answer wins over the head's class; a wrong one is an error."""
    from poseig_mm.plugin.manager import PluginHost

    def host(answer: str) -> PluginHost:
        body = f"@hookimpl\ndef poseig_select_adapter(model):\n    return {answer!r}\n"
        return PluginHost(entry_points=False, plugins=[str(write_plugin(tmp_path / f"{answer}.py", body))])

    assert load_adapter(str(tiny_files.config), tiny_files.weights, host=host("heatmap")).name == "heatmap"
    with pytest.raises(PluginError, match="which is no adapter"):
        load_adapter(str(tiny_files.config), tiny_files.weights, host=host("nothing"))


def test_a_missing_checkpoint_or_config_is_an_error(tiny_files: tiny, tmp_path: Path) -> None:
    """It names the file."""
    with pytest.raises(CheckpointError, match=r"nowhere\.pth"):
        load_adapter(str(tiny_files.config), tmp_path / "nowhere.pth")
    with pytest.raises(ConfigError, match=r"nowhere\.py does not exist"):
        load_config(tmp_path / "nowhere.py")
    (tmp_path / "broken.py").write_text("model = dict(\n")
    with pytest.raises(ConfigError, match=r"broken\.py cannot be read"):
        load_config(tmp_path / "broken.py")


def test_the_linear_path_knows_black_and_white() -> None:
    """Guards the names that the session sets."""
    assert LinearPath(black=(0.0, 1.0, 2.0), white=3.0).baseline == "black"
