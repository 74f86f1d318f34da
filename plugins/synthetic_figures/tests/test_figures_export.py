"""Figures on disk: MMPose's own COCO data set reads back what was drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from poseig_synthetic_figures.export import export, main

from poseig_mm.errors import ConfigError

LENGTH = 4


def figures(**settings: Any) -> Any:
    from poseig_synthetic_figures.datasets import SyntheticFiguresDataset

    chosen = {"split": "test", "length": LENGTH, "variant": ["marker", "honest", "swap"], **settings}
    return SyntheticFiguresDataset(**chosen, test_mode=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the command line has written."""
    out = tmp_path_factory.mktemp("figures") / "made"
    assert main([str(out), "--variant", "marker", "honest", "swap", "--length", str(LENGTH)]) == 0
    return out


def test_the_stock_data_set_reads_back_what_was_drawn(written: Path) -> None:
    """Keypoints, visibility, boxes, areas, masks and pixels."""
    import cv2
    from mmpose.datasets import CocoDataset

    from poseig_mm.data.masks import rasterise

    drawn = figures()
    read = CocoDataset(
        data_root=f"{written}/", ann_file="annotations.json", data_prefix=dict(img="images/"), test_mode=True
    )
    assert len(read) == LENGTH
    for i in range(LENGTH):
        a, b, scene = drawn.get_data_info(i), read.get_data_info(i), drawn.scene(i)
        for key in ("bbox", "keypoints", "keypoints_visible", "area"):
            np.testing.assert_allclose(b[key], a[key], rtol=1e-6, err_msg=key)
        assert b["raw_ann_info"]["keypoints"][2::3] == a["raw_ann_info"]["keypoints"][2::3]  # COCO's 0, 1, 2
        height, width = scene.mask.shape
        np.testing.assert_array_equal(rasterise(b["segmentation"], height, width), scene.mask)
        np.testing.assert_array_equal(cv2.imread(b["img_path"])[..., ::-1], scene.image)


def test_the_evidence_is_in_the_annotations(written: Path) -> None:
    """The exact pixels; null where nothing carries it."""
    from poseig_mm.data.masks import rasterise

    drawn = figures()
    annotations = json.loads((written / "annotations.json").read_text())["annotations"]
    assert [a["variant"] for a in annotations] == ["marker", "honest", "swap", "marker"]
    assert annotations[2]["evidence"] is None
    for i in (0, 1, 3):
        found = rasterise(annotations[i]["evidence"], 160, 128)
        np.testing.assert_array_equal(found, drawn.scene(i).evidence)
        assert i == 1 or found.any()


def test_a_stopped_export_goes_on(tmp_path: Path) -> None:
    """Pictures that are there stay as they are, the rest is drawn, and the annotations come last."""

    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        export(figures(), tmp_path, stop)
    pictures = tmp_path / "images"
    assert sorted(p.name for p in pictures.iterdir()) == ["00000000.png", "00000001.png"]
    assert not (tmp_path / "annotations.json").exists()
    before = {p.name: p.stat().st_mtime_ns for p in pictures.iterdir()}
    export(figures(), tmp_path)
    assert {name: (pictures / name).stat().st_mtime_ns for name in before} == before
    assert len(list(pictures.iterdir())) == LENGTH
    assert len(json.loads((tmp_path / "annotations.json").read_text())["images"]) == LENGTH


def test_other_settings_are_refused(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder holds one export; a folder of other pictures is left alone."""
    with pytest.raises(ConfigError, match="removed=False"):
        export(figures(removed=True, variant=["marker", "honest"]), written)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="something else"):
        export(figures(), tmp_path)
    assert main([str(tmp_path / "new"), "--variant", "markr"]) == 1
    assert "marker" in capsys.readouterr().err
