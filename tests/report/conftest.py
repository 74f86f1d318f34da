"""Stores to build reports from."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseig_mm.report.build import build_report
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store

from .synthetic import make_store, record


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six persons with maps; not to be written to."""
    return make_store(tmp_path_factory.mktemp("work"), [record(i) for i in range(6)])


@pytest.fixture(scope="session")
def page(store: Store) -> Path:
    """The whole report of `store`."""
    return build_report(store, poseig_report_sections(store, {"diagnosis": {"report": {"gallery": 3}}}))
