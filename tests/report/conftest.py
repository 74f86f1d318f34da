"""Stores to build reports from."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_store import RUN, make_store, record

from poseig_mm.report.build import build_report
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six persons with maps; not to be written to."""
    return make_store(tmp_path_factory.mktemp("work"), [record(i) for i in range(6)])


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of such persons, in a work dir of its own: tests that build another report take nothing from
    it.
    """
    settings = {**RUN["settings"], "report": {"gallery": 3}}
    store = make_store(tmp_path_factory.mktemp("page"), [record(i) for i in range(6)], settings=settings)
    return build_report(store, poseig_report_sections(store, {}))
