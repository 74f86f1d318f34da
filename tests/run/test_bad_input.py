"""Bad input: each is an error that names the cause, or one sample's failure that the rest of the run survives."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tiny import IDS, run, session, tables, tiny, write_plugin, write_run

from poseig_mm import load_adapter
from poseig_mm.errors import CheckpointError, ConfigError, DataError, PluginError, StoreError
from poseig_mm.store import Store, atomic

Annotations = dict[str, Any]


def rows_of(store: Store, *columns: str, sample_id: str | None = None) -> list[tuple[Any, ...]]:
    """Visible joints' columns."""
    rows = store.joints().filter(pl.col("visible"))
    if sample_id is not None:
        rows = rows.filter(pl.col("sample_id") == sample_id)
    return rows.select(columns).rows()


# ---- data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["corrupt", "empty", "missing"])
def test_an_image_that_cannot_be_read(tmp_path: Path, mmpose_ready: None, how: str) -> None:
    """Its persons are failures that name the file; the others' rows are there."""
    made = write_run(tmp_path / "data")
    image = made.folder / "1.png"
    if how == "missing":
        image.unlink()
    else:
        image.write_bytes(image.read_bytes()[:300] if how == "corrupt" else b"")
    store = run(made, tmp_path / "w")
    assert (store.sample_ids, store.run["status"]) == (("2-3",), "complete")
    assert [(f.stage, f.sample_id) for f in store.failures] == [("sample", "1-1"), ("sample", "1-2")]
    assert all("1.png" in f.message for f in store.failures)
    assert store.run["counts"] == {"persons": 1, "joints": 3, "skipped": 0, "failed": 2}


def test_no_image_at_all_is_an_error(tmp_path: Path, mmpose_ready: None) -> None:
    """Nothing could be diagnosed: the first cause is told, and run.json says 'failed'."""
    made = write_run(tmp_path / "data")
    for i in (1, 2):
        (made.folder / f"{i}.png").unlink()
    with pytest.raises(DataError, match=r"none of the 3 samples could be diagnosed.*1\.png"):
        run(made, tmp_path / "w")
    store = Store(tmp_path / "w")
    assert (store.run["status"], store.run["counts"]["failed"]) == ("failed", 3)


def no_persons(a: Annotations) -> None:
    """Images without any annotation."""
    a["annotations"] = []


def no_joints(a: Annotations) -> None:
    """Boxes without a labelled joint, which MMPose leaves out."""
    for annotation in a["annotations"]:
        annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}


@pytest.mark.parametrize("annotate", [no_persons, no_joints])
def test_no_annotations(tmp_path: Path, mmpose_ready: None, annotate: Callable[[Annotations], None]) -> None:
    """An error that names the file; nothing is written."""
    made = write_run(tmp_path / "data", annotate=annotate)
    with pytest.raises(DataError, match=r"persons\.json"):
        run(made, tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"images": []}'])
def test_an_annotation_file_that_is_none(tmp_path: Path, mmpose_ready: None, content: str | None) -> None:
    """Missing, torn or of another kind: an error that says where to look."""
    made = write_run(tmp_path / "data")
    path = made.folder / "persons.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match="test_dataloader"):
        run(made, tmp_path / "w")


def move(number: int, joints: dict[int, tuple[float, float]]) -> Callable[[Annotations], None]:
    """Move joints of an annotation (in the image's pixels)."""

    def annotate(a: Annotations) -> None:
        for k, (x, y) in joints.items():
            a["annotations"][number - 1]["keypoints"][3 * k : 3 * k + 2] = [x, y]

    return annotate


def test_a_joint_outside_the_crop(tmp_path: Path, tiny_store: Store) -> None:
    """It has a place but no numbers; nothing else changes."""
    store = run(write_run(tmp_path / "data", annotate=move(1, {9: (119.0, 99.0)})), tmp_path / "w")
    row = store.joints().row(9, named=True)
    assert (row["sample_id"], row["joint"], row["visible"], row["evaluations"]) == ("1-1", 9, False, 0)
    assert math.isnan(row["di"])
    assert row["reason"] != ""
    before = [r for r in rows_of(tiny_store, "sample_id", "joint", "di", "li") if r[:2] != ("1-1", 9)]
    assert rows_of(store, "sample_id", "joint", "di", "li") == before


def test_zero_visible_joints(tmp_path: Path, mmpose_ready: None) -> None:
    """A person whose labelled joints all lie outside: counted as skipped, no number made up, also in a batch."""
    made = write_run(tmp_path / "data", annotate=move(2, dict.fromkeys((5, 6, 13), (0.0, 99.0))))
    for name, size in (("one", 1), ("three", 3)):
        store = run(made, tmp_path / name, {"samples.batch_size": size})
        assert store.run["counts"] == {"persons": 3, "joints": 7, "skipped": 1, "failed": 0}
        assert rows_of(store, "di", sample_id="1-2") == []
        assert math.isnan(store.samples()["mepe"][1])
        assert store.failures == ()


def test_an_empty_mask(tmp_path: Path, mmpose_ready: None) -> None:
    """A segmentation that covers nothing of the crop: FI is NaN and says why; DI and LI stand."""

    def annotate(a: Annotations) -> None:
        a["annotations"][2]["segmentation"] = {"size": [100, 120], "counts": [12000]}
        del a["annotations"][1]["segmentation"]

    store = run(write_run(tmp_path / "data", annotate=annotate), tmp_path / "w")
    for sample_id, reason in (("1-1", ""), ("1-2", "no_mask"), ("2-3", "empty_mask")):
        assert {r for (r,) in rows_of(store, "reason", sample_id=sample_id)} == {reason}
        for di, fi, li in rows_of(store, "di", "fi", "li", sample_id=sample_id):
            assert (math.isfinite(di), math.isnan(fi), math.isfinite(li)) == (True, bool(reason), True)


def test_a_segmentation_that_cannot_be_read(tmp_path: Path, mmpose_ready: None) -> None:
    """That sample fails, or has no mask; never a mask of zeros."""

    def annotate(a: Annotations) -> None:
        a["annotations"][2]["segmentation"] = [[1, 2, 3]]

    store = run(write_run(tmp_path / "data", annotate=annotate), tmp_path / "w")
    if "2-3" in store.sample_ids:
        assert all(math.isnan(fi) for (fi,) in rows_of(store, "fi", sample_id="2-3"))
    else:
        assert [f.sample_id for f in store.failures] == ["2-3"]


@pytest.mark.parametrize("mask", ["instance", "union"])
def test_a_crowd(tmp_path: Path, tiny_store: Store, mask: str) -> None:
    """A crowd's run lengths are no person; in the union of masks they count."""

    def annotate(a: Annotations) -> None:
        a["annotations"].append(
            {
                **{"id": 9, "image_id": 2, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 120, 100], "area": 6000},
                **{"keypoints": [0] * 51, "num_keypoints": 0},
                "segmentation": {"size": [100, 120], "counts": [0, 12000]},
            }
        )

    store = run(write_run(tmp_path / "data", annotate=annotate), tmp_path / "w", {"samples.mask": mask})
    assert store.sample_ids == IDS
    found, plain = (rows_of(s, "fi", sample_id="2-3") for s in (store, tiny_store))
    if mask == "instance":
        assert found == plain
    else:  # everything is foreground
        assert [fi for (fi,) in found] != pytest.approx([fi for (fi,) in plain], rel=1e-3)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_architecture(tiny_files: tiny, tmp_path: Path) -> None:
    """The first keys that don't match are named; nothing is written."""
    other = write_run(tmp_path / "other", channels=12)
    with pytest.raises(CheckpointError, match=r"backbone\.(conv1|stem)[\w.]*weight"):
        session_of(tiny_files, other, tmp_path).run()
    torch.save({"state_dict": {"some.weight": torch.ones(1)}}, tmp_path / "foreign.pth")
    with pytest.raises(CheckpointError, match=r"some\.weight"):
        load_adapter(str(tiny_files.config), tmp_path / "foreign.pth")
    assert not (tmp_path / "w").exists()


def test_a_checkpoint_of_another_joint_count(tiny_files: tiny, tmp_path: Path) -> None:
    """Both numbers are named."""
    other = write_run(tmp_path / "other", joints=14)
    with pytest.raises(CheckpointError, match=r"14 (key|joint).*17|17 (key|joint).*14"):
        session_of(tiny_files, other, tmp_path).run()


def test_a_model_of_another_joint_count_than_the_data(tmp_path: Path, mmpose_ready: None) -> None:
    """14 predicted, 17 annotated: an error that says both, not the sixteenth joint of nothing."""
    made = write_run(tmp_path / "data", joints=14)
    with pytest.raises((ConfigError, DataError), match=r"14[\s\S]*17|17[\s\S]*14"):
        run(made, tmp_path / "w")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_checkpoint_that_is_none(tiny_files: tiny, tmp_path: Path, content: bytes | None) -> None:
    """Damaged files are named."""
    path = tmp_path / "broken.pth"
    path.write_bytes(tiny_files.weights.read_bytes()[:2000] if content is None else content)
    with pytest.raises(CheckpointError, match=r"broken\.pth"):
        load_adapter(str(tiny_files.config), path)


def session_of(made: tiny, weights_of: tiny, tmp_path: Path) -> Any:
    """One run's config with another's weights."""
    both = tiny(made.folder.parent / f"{tmp_path.name}-both", {"report": {"enabled": False}})
    both.weights = weights_of.weights
    return session(both, tmp_path / "w")


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
    for sample_id, joint, di, fi, li, why in rows_of(store, "sample_id", "joint", "di", "fi", "li", "reason"):
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


def test_weights_that_are_nan(tmp_path: Path, mmpose_ready: None) -> None:
    """No number is made up: every joint is NaN with a reason."""
    made = write_run(tmp_path / "data")
    found = torch.load(made.weights)
    found["state_dict"]["head.final_layer.weight"].fill_(math.nan)
    torch.save(found, made.weights)
    store = run(made, tmp_path / "w")
    assert {r for (r,) in rows_of(store, "reason")} <= {"nonfinite_gradient", "zero_map"}
    assert store.joints()["di"].is_nan().all()


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


# ---- the work dir ----------------------------------------------------------------------------------------------------


def test_a_work_dir_that_cannot_be_made(tiny_files: tiny, tmp_path: Path) -> None:
    """A file is in the way: it is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot create directory .*file"):
        run(tiny_files, tmp_path / "file" / "w")


def test_a_work_dir_with_other_results(tiny_files: tiny, tmp_path: Path) -> None:
    """They are not overwritten."""
    before = tables(run(tiny_files, tmp_path / "w"))
    with pytest.raises(StoreError, match="--resume"):
        run(tiny_files, tmp_path / "w")
    assert tables(Store(tmp_path / "w")) == before


@pytest.mark.parametrize("file", ["config.py", "maps/", "signed/", "samples/", "run.json"])
def test_a_disk_that_fills_up(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """One error that says so; what was committed is whole, and --resume gives what an undisturbed run gives."""
    calls: list[str] = []
    write = atomic._write_all

    def full(path: Path, data: bytes, flags: int) -> None:
        if file in str(path).replace(".tmp", "").replace("/.", "/") and tmp_path in path.parents:
            calls.append(str(path))
            if len(calls) > (1 if file.endswith("/") else 0):
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data, flags)

    monkeypatch.setattr(atomic, "_write_all", full)
    settings = {"attribution.signed": True}
    with pytest.raises(StoreError, match="No space left on device"):
        run(tiny_files, tmp_path / "w", settings)
    monkeypatch.undo()
    store = run(tiny_files, tmp_path / "w", settings, resume=True)
    assert [len(list((tmp_path / "w" / d).iterdir())) for d in ("maps", "signed", "displays")] == [3, 3, 3]
    assert tables(store) == tables(tiny_store)
    assert store.run["status"] == "complete"


def test_a_report_that_cannot_be_written(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """The numbers are safe, and --resume goes on with the report alone."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "report").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the report"):
        run(tiny_files, tmp_path / "w", {"report.enabled": True})
    assert tables(Store(tmp_path / "w")) == tables(tiny_store)
    (tmp_path / "w" / "report").unlink()
    store = run(tiny_files, tmp_path / "w", {"report.enabled": True}, resume=True)
    assert (tmp_path / "w" / "report" / "index.html").is_file()
    assert (store.run["status"], store.run["counts"]["persons"]) == ("complete", 3)


def test_two_runs_in_one_work_dir(tiny_files: tiny, tmp_path: Path) -> None:
    """The second one is refused while the first one writes."""
    from poseig_mm.store import StoreWriter

    with StoreWriter(tmp_path / "w", identity={}), pytest.raises(StoreError, match="another process is writing"):
        run(tiny_files, tmp_path / "w", resume=True)


# ---- going on --------------------------------------------------------------------------------------------------------


def test_resume_with_nothing_to_do(tiny_files: tiny, tmp_path: Path) -> None:
    """Nothing is computed again, and nothing stands twice."""
    before = tables(run(tiny_files, tmp_path / "w"))
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert tables(store) == before
    assert store.run["resumes"] == 1


def test_resume_with_a_larger_limit_goes_on(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """How many is no part of what a run is."""
    run(tiny_files, tmp_path / "w", {"samples.limit": 1})
    assert tables(run(tiny_files, tmp_path / "w", resume=True)) == tables(tiny_store)


def test_resume_keeps_beta(tiny_files: tiny, tmp_path: Path) -> None:
    """The first session's soft-argmax holds for all rows of a run."""
    run(tiny_files, tmp_path / "w", {"samples.limit": 1})
    path = tmp_path / "w" / "run.json"
    about = json.loads(path.read_text())
    about["agreement"]["beta"] = 33.0
    path.write_text(json.dumps(about))
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert store.sample_ids == IDS
    assert (store.run["agreement"]["beta"], store.run["model"]["beta"]) == (33.0, 33.0)


def relabel(a: Annotations) -> None:
    """A joint at another place."""
    a["annotations"][0]["keypoints"][0] += 1.0


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("nothing", None),
        ("chunk", None),
        ("settings", "settings.attribution"),
        ("indices", "settings.indices"),
        ("store", "store.maps"),
        ("weights", "weights"),
        ("model", "model"),
        ("annotations", "data"),
        ("folder", "data"),
    ],
)
def test_resume_refuses_another_run(tmp_path: Path, mmpose_ready: None, what: str, keys: str | None) -> None:
    """Other settings, weights, model or data: an error that names the differing keys, and leaves all as it was."""
    folder = tmp_path / "data"
    made = write_run(folder)
    before = tables(run(made, tmp_path / "w", {"samples.limit": 1}))
    settings: dict[str, dict[str, Any]] = {
        "chunk": {"attribution.chunk": 3},
        "settings": {"attribution.power": 2.0},
        "indices": {"indices": ["di"]},
        "store": {"store.maps": "none"},
    }
    if what == "weights":
        found = torch.load(made.weights)
        found["state_dict"]["head.final_layer.bias"] += 1e-3
        torch.save(found, made.weights)
    elif what == "annotations":
        write_run(folder, annotate=relabel)
    elif what == "folder":
        made = write_run(tmp_path / "elsewhere")
    elif what == "model":
        made.config.write_text(made.config.read_text().replace("bgr_to_rgb=True", "bgr_to_rgb=False"))
    options = {**settings.get(what, {}), "samples.limit": 1}
    if keys is None:
        assert tables(run(made, tmp_path / "w", options, resume=True)) == before
        return
    with pytest.raises(StoreError, match="Differing: ") as caught:
        run(made, tmp_path / "w", options, resume=True)
    differing = [part.split(":")[0] for part in str(caught.value).split("Differing: ")[1].split("; ")]
    assert differing == [keys]
    assert tables(Store(tmp_path / "w")) == before


# ---- plugins that raise ----------------------------------------------------------------------------------------------

OBSERVERS = """
@hookimpl
def {hook}({arguments}):
    raise ValueError("{hook} has had enough")
"""
ARGUMENTS = {
    "poseig_session_start": ("run_dir", "session_start"),
    "poseig_after_sample": ("sample", "after_sample"),
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
    assert {r for (r,) in rows_of(store, "reason")} == {"weak_failed"}
    assert store.joints().filter(pl.col("visible"))["di"].is_finite().all()
    messages = {(f.stage, f.plugin, f.message) for f in store.failures}
    assert messages == {
        ("index", "weak", "the index is weak"),
        ("study", "frail", "the study is frail"),
        ("study", "failing", "the study failed at its end"),
    }
