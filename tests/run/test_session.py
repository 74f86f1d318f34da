"""A whole run on a tiny model: what is written, that each setting does what it says, and that the model is left
alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from mmengine.config import Config
from tiny import FAST, IDS, VISIBLE, run, session, tables, tiny, visible, write_plugin, write_run
from torch import Tensor

from poseig_mm import Plugins, Session, load_adapter
from poseig_mm.api import load_config
from poseig_mm.errors import AdapterError, CheckpointError, ConfigError, PluginError
from poseig_mm.run.diagnose import BatchDiagnosis
from poseig_mm.run.loop import Progress
from poseig_mm.store import Store

COLUMNS = (
    "sample_id,image_id,instance_id,joint,joint_name,group,visible,gt_x,gt_y,pred_x,pred_y,epe,epe_soft,unit,di,fi,li,"
    "reason,target_start,target_end,residual,residual_rel,map_error,converged,evaluations,mass_in_padding,fi_input,"
    "map_error_2px,di_error,fi_error,li_error"
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


# ---- what is written -------------------------------------------------------------------------------------------------


def test_every_sample_and_joint_has_its_row(tiny_store: Store) -> None:
    """Columns as architecture.md fixes them; numbers wherever a joint is visible, NaN with a reason elsewhere."""
    joints = tiny_store.joints()
    assert ",".join(joints.columns) == COLUMNS
    assert (tiny_store.sample_ids, len(joints)) == (IDS, 3 * 17)
    shown = joints.filter(pl.col("visible"))
    assert shown.select("sample_id", "joint").rows() == [(IDS[i - 1], k) for i in VISIBLE for k in VISIBLE[i]]
    numbers = ["epe", "epe_soft", "di", "fi", "li", "target_start", "target_end", "residual", "map_error"]
    numbers += ["map_error_2px", "di_error", "fi_error", "li_error"]
    assert shown.select(pl.col(numbers).is_finite().all()).row(0) == (True,) * len(numbers)
    assert (set(shown["reason"]), set(shown["evaluations"])) == ({""}, {2})
    hidden = joints.filter(~pl.col("visible"))
    assert set(hidden["reason"]) == {"not_visible"}
    assert hidden.select(pl.col("epe", "di", "fi", "li", "gt_x").is_nan().all()).row(0) == (True,) * 5
    assert hidden["evaluations"].sum() == 0


def test_a_map_of_one_gradient_has_indices_without_errors(tiny_files: tiny, tmp_path: Path) -> None:
    """There are no two half-rules to differ: NaN with a reason, beside the numbers that there are."""
    store = run(tiny_files, tmp_path / "run", {"attribution.method": "gradient"})
    shown = store.joints().filter(pl.col("visible"))
    assert shown["di"].is_finite().all()
    assert shown.select(pl.col("di_error", "fi_error", "map_error_2px").is_nan().all()).row(0) == (True,) * 3
    assert set(shown["reason"]) == {"one_rule"}


def test_run_json_says_how_it_came_about(tiny_store: Store, tiny_files: tiny) -> None:
    """All that a reader of the numbers may ask."""
    run_json = tiny_store.run
    assert run_json.keys() >= RUN_KEYS
    assert (run_json["status"], run_json["failures"]) == ("complete", [])
    assert run_json["counts"] == {"persons": 3, "joints": 10, "skipped": 0, "failed": 0}
    assert run_json["keypoints"].keys() == {"names", "groups", "parents", "flip_pairs", "skeleton", "derived", "sigmas"}
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


def test_progress_counts_persons_that_are_done_and_not_those_that_are_loaded(
    tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch of three the speed is that of the diagnosis; then come the studies of the whole, by name."""
    told: list[tuple[str, int, int]] = []
    diagnose = BatchDiagnosis.__call__

    def watched(self: BatchDiagnosis, batch: Any) -> Any:
        told.append(("batch", len(batch), 0))
        return diagnose(self, batch)

    monkeypatch.setattr(BatchDiagnosis, "__call__", watched)
    settings = {"samples": {"batch_size": 3}, "studies": ["groups", "error_relation"]}
    run(tiny_files, tmp_path, settings, on_progress=lambda p: told.append((p.stage, p.done, p.total)))
    persons = [("diagnosing", done, 3) for done in (1, 2, 3)]
    studies = [("study groups", 0, 2), ("study error_relation", 1, 2)]
    assert told == [("diagnosing", 0, 3), ("batch", 3, 0), *persons, *studies]


# ---- which samples, which maps ---------------------------------------------------------------------------------------


def test_a_config_without_a_section_of_ours(tiny_files: tiny, tmp_path: Path) -> None:
    """Every default holds: adaptive quadrature, all indices, a report."""
    text = tiny_files.config.read_text().split("diagnosis =")[0]
    config = tmp_path / "plain.py"
    config.write_text(text)
    work_dir = tmp_path / "w"
    store = Session(
        config, tiny_files.weights, work_dir=work_dir, device="cpu", plugins=Plugins(entry_points=False)
    ).run()
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


# ---- what cannot begin -----------------------------------------------------------------------------------------------


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
