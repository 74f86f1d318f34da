"""Work dirs that are no good, a disk that fills up, and runs that go on where another was."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import IDS, run, tables, tiny, write_run

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, atomic

Annotations = dict[str, Any]


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
