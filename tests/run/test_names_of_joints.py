"""A checkpoint that was trained on other joints than the data have, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import session, tiny, write_run


def notes(made: tiny, folder: Path, names: list[str] | None) -> str:
    """Of a run with a checkpoint whose `dataset_meta` has these names."""
    state: Any = torch.load(made.weights, weights_only=False)
    if names is not None:
        state["meta"] = {"dataset_meta": {"keypoint_id2name": dict(enumerate(names)), "dataset_name": "made up"}}
    torch.save(state, folder / "other.pth")
    made.weights = folder / "other.pth"
    own = session(made, folder / "run")
    return "\n".join(own._samples(own._adapter()).notes)


def test_other_names_are_a_note(mmpose_ready: None, tmp_path: Path) -> None:
    """By number of joint: 17 of an animal are no 17 of a person, and the same joints may stand in another order."""
    made = write_run(tmp_path)
    from mmengine.config import Config
    from mmpose.registry import DATASETS

    Config.fromfile(str(made.config))
    info = DATASETS.get("CocoDataset")._load_metainfo()["keypoint_id2name"]
    coco = [info[k] for k in range(17)]
    assert "names differ" not in notes(made, tmp_path, coco)
    assert "names differ" not in notes(made, tmp_path, None)
    assert "names differ" not in notes(made, tmp_path, [name.upper().replace("_", " ") for name in coco])
    animal = [f"paw {k}" for k in range(17)]
    assert "17 of 17 names differ" in notes(made, tmp_path, animal)
    assert "'paw 0' is 'nose' in the data" in notes(made, tmp_path, animal)
    swapped = [*coco[:5], coco[6], coco[5], *coco[7:]]
    text = notes(made, tmp_path, swapped)
    assert "2 of 17 names differ" in text
    assert (
        "'right_shoulder' is 'left_shoulder' in the data, 'left_shoulder' is 'right_shoulder' in the data; the" in text
    )
    assert "the names are the same in another order" in text


@pytest.mark.parametrize("case", ["other", "none"])
def test_the_run_s_record_has_it(mmpose_ready: None, tmp_path: Path, case: str) -> None:
    """In the preflight's line of run.json, beside finished numbers."""
    made = write_run(tmp_path, {"samples": {"limit": 1}})
    if case == "other":
        notes(made, tmp_path, [f"paw {k}" for k in range(17)])
    store = session(made, tmp_path / "work").run()
    (line,) = [check for check in store.run["preflight"] if check["name"] == "joints"]
    assert ("17 of 17 names differ" in line["found"]) == (line["level"] == "warning") == (case == "other")
