"""Every built-in study in one run: nothing fails, and each has its section in a report made of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from tiny import run, session, write_run

from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.settings_fields import configured
from poseig_mm.studies.plugin import poseig_studies

CHEAP: dict[str, dict[str, Any]] = {
    "sanity": {"nodes": 2, "fractions": [0.1], "n_permuted": 1},
    "perturbation": {"masks": ["mean"], "n_random": 1},
    "dependency": {"n_random": 1, "joints": 2},
    "insertion_deletion": {"fractions": [0, 0.1, 1], "n_random": 1},
    "randomization": {"step": 3, "nodes": 2},
    "baselines": {"nodes": 2, "joints": 1},
    "published_procedure": {},
    "output_space": {"nodes": 2, "joints": 1, "factors": [0.3]},
}
STUDIES = [study for study in poseig_studies() if not study.needs_frames]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three drawn persons, a tiny model, all studies on; the store, and a report of another session, without a
    model.
    """
    studies = [{"type": s.name, **CHEAP.get(s.name, {})} for s in STUDIES]
    folder = tmp_path_factory.mktemp("all")
    config = write_run(folder / "data", {"studies": studies})
    store = run(config, folder / "work")
    own = session(config, store.path)
    return store, own.build_report(store).read_text(), own.host.failures


def test_no_study_fails_and_each_has_its_section(made: Any) -> None:
    """No failure in the run, none in the report: every table and figure of every section could be made."""
    store, page, failures = made
    assert [f.message for f in store.failures] == []
    assert failures == ()
    assert "could not be made" not in page
    for study in STUDIES:
        assert f'id="{study.name}"' in page, study.name


def test_each_section_has_a_place_and_a_name_of_its_own(made: Any) -> None:
    """The sections of the studies and the report's own: no two share an order, so that none is decided by chance."""
    store, *_ = made
    settings = dict(store.run["settings"]["studies"])
    sections = [configured(s, settings[s.name], "study").section(store) for s in STUDIES]
    sections += poseig_report_sections(store, {})
    assert None not in sections
    for key in ("order", "name", "title"):
        values = [getattr(section, key) for section in sections]
        assert len(set(values)) == len(values), key


def test_studies_that_need_a_model_have_rows(made: Any) -> None:
    """Each has a row for at least one of the persons; their time is in run.json."""
    store, _, _ = made
    for name in CHEAP:
        assert len(store.study(name)) > 0
        assert store.run["timings"][f"study {name}"] > 0


def test_without_annotations_all_others_go_on(tmp_path: Path, mmpose_ready: None) -> None:
    """Over the frames of a video: nothing fails, and no section has an order that another one has."""
    config = write_run(tmp_path / "data")
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (120, 100))  # type: ignore[attr-defined]
    for i in (1, 1, 1, 2):
        writer.write(cv2.imread(str(config.folder / f"{i}.png")))
    writer.release()
    studies = [study for study in poseig_studies() if not study.needs_annotations]
    settings = {
        "samples.images": str(tmp_path / "v.avi"),
        "samples.mask": "joints",
        "studies": [{"type": s.name, **CHEAP.get(s.name, {})} for s in studies],
        "report.enabled": True,
    }
    store = run(config, tmp_path / "w", settings)
    assert [f.message for f in store.failures] == []
    page = (store.path / "report" / "index.html").read_text()
    assert "could not be made" not in page
    for study in studies:
        assert f'id="{study.name}"' in page, study.name
    sections = [study.section(store) for study in studies] + [section for section in poseig_report_sections(store, {})]
    orders = [section.order for section in sections if section is not None]
    assert len(set(orders)) == len(orders)
