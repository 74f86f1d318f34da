"""MPII, which has no masks: a stock MMPose config end to end, from images to the page."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from poseig_mm.store import Store

DATA = Path(__file__).parents[3] / "shared" / "data" / "mpii"
CONFIG = "body_2d_keypoint/topdown_heatmap/mpii/td-hm_mobilenetv2_8xb64-210e_mpii-256x256.py"
pytestmark = [
    pytest.mark.usefixtures("mmpose_ready"),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"sample data not found at {DATA}"),
]


@pytest.fixture(scope="module")
def run(mmpose_ready: None, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two persons, two gradients a joint, random weights (there are none to download)."""
    import mmpose
    from mmengine.config import Config

    from poseig_mm import Plugins, Session

    config = Config.fromfile(Path(mmpose.__file__).parent / ".mim" / "configs" / CONFIG)
    places = {"data_root": f"{DATA}/", "ann_file": "test_mpii.json", "data_prefix.img": ""}
    config.merge_from_dict({f"test_dataloader.dataset.{key}": value for key, value in places.items()})
    config.model.backbone.init_cfg = None
    config.diagnosis = {
        "attribution": {"quadrature": "midpoint", "nodes": 2, "compute": "exact"},
        "samples": {"limit": 2},
        "report": {"gallery": 1},
    }
    return Session(
        config, work_dir=tmp_path_factory.mktemp("mpii") / "work", device="cpu", plugins=Plugins(entry_points=False)
    ).run()


def test_di_and_li_are_there_and_fi_has_its_reason(run: Store) -> None:
    """Every visible joint has both; FI is NaN, and the table says that it is for want of a mask."""
    visible = run.joints().filter(pl.col("visible"))
    assert visible["sample_id"].n_unique() == 2
    assert len(visible) > 20
    for name in ("epe", "di", "li"):
        assert visible[name].is_finite().all(), name
    assert visible["fi"].is_nan().all()
    assert set(visible["reason"]) == {"no_mask"}


def test_the_page_says_that_fi_is_undefined(run: Store) -> None:
    """In a warning, in the table of reasons, and for the scatter's script."""
    html = (run.path / "report" / "index.html").read_text()
    assert "No person has a mask" in html
    assert "no mask of this person" in html
    assert '"missing":"no_mask"' in (run.path / "report" / "assets" / "scatter-points.js").read_text()


def test_groups_are_mpii_s_own(run: Store) -> None:
    """Trunk, branch, leaf and the midline of its 16 joints, laid down and not derived from the skeleton."""
    groups = run.groups
    assert groups is not None
    assert set(groups.group_names) == {"trunk", "branch", "leaf", "axial"}
    assert not groups.derived
