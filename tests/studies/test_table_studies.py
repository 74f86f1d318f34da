"""The studies of the tables in a run: rows that are made again alike, and sections that say what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from synthetic_store import COLUMNS, make_store, record

from poseig_mm.store import Store, StoreWriter
from poseig_mm.studies.base import Study
from poseig_mm.studies.easy_hard.study import EasyHard
from poseig_mm.studies.error_relation.study import ErrorRelation
from poseig_mm.studies.groups.study import Groups
from poseig_mm.types import Picture, Section, Table

STUDIES: tuple[Study, ...] = (Groups(), EasyHard(), ErrorRelation())


def finished(folder: Path, persons: int, **run: object) -> Store:
    """A store with the three studies' tables."""
    store = make_store(folder, [record(i) for i in range(persons)], maps="none", **run)
    with StoreWriter(folder, identity={"model": "abc"}, maps="none", resume=True, **COLUMNS) as writer:
        for study in STUDIES:
            writer.write_study(study.name, study.store_rows(store), replace_all=True)
    return Store(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return finished(tmp_path_factory.mktemp("studied"), 9)


def section_of(study: Study, store: Store) -> Section:
    section = study.section(store)
    assert section is not None
    return section


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_rows_are_made_again_alike(study: Study, store: Store) -> None:
    """A resumed run replaces them by the same ones, and the table on disk is the rows."""
    again = study.store_rows(Store(store.path))
    assert repr(study.store_rows(store)) == repr(again)
    assert repr(store.study(study.name).to_dicts()) == repr(list(again))


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_a_section_has_a_finding_tables_and_a_figure(study: Study, store: Store) -> None:
    """And every table's rows are as long as its columns."""
    section = section_of(study, store)
    assert "9 persons" in section.lead or "3 easy and 3 hard" in section.lead
    assert any(isinstance(block, Picture) and isinstance(block.figure, Figure) for block in section.blocks)
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert tables
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_one_person_is_no_finding(study: Study, tmp_path: Path) -> None:
    """The section is there and says that there is too little."""
    lead = section_of(study, finished(tmp_path, 1)).lead
    assert any(word in lead for word in ("no difference to show", "no difference is tested", "say little"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_without_rows_there_is_no_section(study: Study, tmp_path: Path) -> None:
    """A run that did not ask for the study."""
    assert study.section(make_store(tmp_path, [record(0)], maps="none")) is None


def test_published_figures_stand_beside_that_model_alone(store: Store, tmp_path: Path) -> None:
    """In a column that says whose they are, and nowhere for another model or data set."""
    model = {
        "backbone": "ResNet", "head": "HeatmapHead", "parameters": 34_000_000, "input_size": [192, 256], "unit": "px",
    }  # fmt: skip
    same = finished(tmp_path, 3, model=model, dataset={"name": "coco", "persons": 3})
    for study, figure in ((STUDIES[0], 1.961), (STUDIES[1], 4.03)):
        for shown, there in ((same, True), (store, False)):
            tables = [block for block in section_of(study, shown).blocks if isinstance(block, Table)]
            columns = [c for table in tables for c in table.columns if "published for SB-R50" in c]
            assert bool(columns) is there
            assert any(figure in row for table in tables for row in table.rows) is there


def test_importing_the_studies_loads_no_torch() -> None:
    """Reports are built again where there is none."""
    names = [f"{n}.{part}" for n in ("groups", "easy_hard", "error_relation") for part in ("section", "study")]
    code = f"import importlib, json, sys; [importlib.import_module('poseig_mm.studies.' + n) for n in {names}]; "
    code += "print(json.dumps(sorted({'torch', 'mmpose', 'mmengine'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
