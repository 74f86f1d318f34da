"""What is noticed when images are loaded stands in run.json and on the page, of all sessions of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from tiny import run, write_run

from poseig_mm.report.overview import overview_section, setup_section


def as_jpeg(content: dict[str, Any]) -> None:
    """Both images are JPEG files."""
    for image in content["images"]:
        image["file_name"] = f"{image['id']}.jpg"


def test_turned_images_are_counted_as_they_come(tmp_path: Path, mmpose_ready: None) -> None:
    """Not one of them is opened before it is loaded; the note stays when a later session loads no image."""
    made = write_run(tmp_path / "data", annotate=as_jpeg)
    exif = Image.Exif()
    exif[0x0112] = 3
    for i in (1, 2):
        Image.open(tmp_path / "data" / f"{i}.png").save(tmp_path / "data" / f"{i}.jpg", exif=exif)
    store = run(made, tmp_path / "w")
    (note,) = store.run["loading_notes"]
    assert note.startswith("2 of 2 images that were loaded have an EXIF orientation")
    assert not [text for text in store.run["notes"] if "EXIF" in text]
    assert store.run["dataset"]["annotated"] == "3 annotated, 3 used"
    store = run(made, tmp_path / "w", resume=True)
    assert store.run["loading_notes"] == [note]
    section = overview_section(store)
    assert note in str(section.blocks)
    assert "3 annotated, 3 used" in str(setup_section(store).blocks)
