"""The template works as it is installed, and as any plugin should."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import poseig_template
import pytest
import torch

from poseig_mm.plugin.manager import PluginHost
from poseig_mm.store import Store
from poseig_mm.testing import check_index, index_inputs

pytest_plugins = ["poseig_mm.testing"]
FOLDER = Path(__file__).parents[1]


def test_it_is_found_when_installed(tmp_path: Path) -> None:
    """Installed by pip, its entry point is in the group that the host searches."""
    copy = shutil.copytree(FOLDER, tmp_path / "source")  # so that nothing is built in place
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(copy)], check=True)
    code = (
        "from poseig_mm.plugin.manager import PluginHost\n"
        "(r,) = [r for r in PluginHost(builtins=()).records if r.name == 'template']\n"
        "print(r.status, r.distribution, *r.hooks)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["loaded", "poseig-mm-template", "poseig_indices", "poseig_report_sections"]


def test_the_index_is_in_the_catalog(poseig_host: Callable[..., PluginHost]) -> None:
    """Under its name, and owned by this plugin."""
    catalog = poseig_host(poseig_template).catalog
    assert catalog.owner("indices", "ci") == "poseig_template"


def test_the_index_keeps_the_rules_of_all_indices() -> None:
    """Shape, range, NaN for a missing map, no dependence on the batch."""
    check_index(poseig_template.CentreDistance())


def test_a_single_pixel_is_the_centre() -> None:
    """A map that is one at (x, y) = (7, 2) and zero elsewhere is 5 px from a joint at (4, 6)."""
    maps = torch.zeros(1, 1, 10, 12)
    maps[0, 0, 2, 7] = 1
    inputs = index_inputs(maps, torch.tensor([[[4.0, 6.0]]]))
    assert poseig_template.CentreDistance()(inputs).item() == pytest.approx(5.0)


def test_an_all_zero_map_has_no_centre() -> None:
    """NaN, not 0: nothing was measured."""
    inputs = index_inputs(torch.zeros(1, 1, 4, 4))
    assert poseig_template.CentreDistance()(inputs).isnan().all()


def test_the_section_shows_the_mean_of_each_joint(
    poseig_host: Callable[..., PluginHost], poseig_store: Callable[..., Store]
) -> None:
    """Over the persons where it could be computed."""
    store = poseig_store(ci=[1.0, 2.0, math.nan, 3.0, 4.0, 5.0])
    host = poseig_host(poseig_template)
    ((_, (section,)),) = host.collect("poseig_report_sections", store=store, config={})
    assert section.blocks[0].rows == (("head", 2.0, 2), ("left_hand", 3.0, 2), ("right_hand", 5.0, 1))


def test_a_run_without_the_index_has_no_section(
    poseig_host: Callable[..., PluginHost], poseig_store: Callable[..., Store]
) -> None:
    """`diagnosis.indices` may leave it out."""
    host = poseig_host(poseig_template)
    assert host.collect("poseig_report_sections", store=poseig_store(), config={}) == [("poseig_template", [])]
