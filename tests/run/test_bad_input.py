"""Bad data and weights: an error that names the cause, or one sample's failure that the rest of the run survives."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import IDS, run, session, tiny, visible_rows, write_run

from poseig_mm import load_adapter
from poseig_mm.errors import CheckpointError, ConfigError, DataError
from poseig_mm.store import Store

Annotations = dict[str, Any]


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
    """Overruled, all are tried; nothing could be diagnosed: the first cause is told, and run.json says 'failed'."""
    made = write_run(tmp_path / "data")
    for i in (1, 2):
        (made.folder / f"{i}.png").unlink()
    with pytest.raises(DataError, match=r"none of the 3 samples could be diagnosed.*1\.png"):
        run(made, tmp_path / "w", allow=["persons"])
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
    before = [r for r in visible_rows(tiny_store, "sample_id", "joint", "di", "li") if r[:2] != ("1-1", 9)]
    assert visible_rows(store, "sample_id", "joint", "di", "li") == before


def test_zero_visible_joints(tmp_path: Path, mmpose_ready: None) -> None:
    """A person whose labelled joints all lie outside: counted as skipped, no number made up, also in a batch."""
    made = write_run(tmp_path / "data", annotate=move(2, dict.fromkeys((5, 6, 13), (0.0, 99.0))))
    for name, size in (("one", 1), ("three", 3)):
        store = run(made, tmp_path / name, {"samples.batch_size": size})
        assert store.run["counts"] == {"persons": 3, "joints": 7, "skipped": 1, "failed": 0}
        assert visible_rows(store, "di", sample_id="1-2") == []
        assert math.isnan(store.samples()["mepe"][1])
        assert store.failures == ()


def test_an_empty_mask(tmp_path: Path, mmpose_ready: None) -> None:
    """A segmentation that covers nothing of the crop: FI is NaN and says why; DI and LI stand."""

    def annotate(a: Annotations) -> None:
        a["annotations"][2]["segmentation"] = {"size": [100, 120], "counts": [12000]}
        del a["annotations"][1]["segmentation"]

    store = run(write_run(tmp_path / "data", annotate=annotate), tmp_path / "w")
    for sample_id, reason in (("1-1", ""), ("1-2", "no_mask"), ("2-3", "empty_mask")):
        assert {r for (r,) in visible_rows(store, "reason", sample_id=sample_id)} == {reason}
        for di, fi, li in visible_rows(store, "di", "fi", "li", sample_id=sample_id):
            assert (math.isfinite(di), math.isnan(fi), math.isfinite(li)) == (True, bool(reason), True)


def test_a_segmentation_that_cannot_be_read(tmp_path: Path, mmpose_ready: None) -> None:
    """That sample fails, or has no mask; never a mask of zeros."""

    def annotate(a: Annotations) -> None:
        a["annotations"][2]["segmentation"] = [[1, 2, 3]]

    store = run(write_run(tmp_path / "data", annotate=annotate), tmp_path / "w")
    if "2-3" in store.sample_ids:
        assert all(math.isnan(fi) for (fi,) in visible_rows(store, "fi", sample_id="2-3"))
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
    found, plain = (visible_rows(s, "fi", sample_id="2-3") for s in (store, tiny_store))
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
