"""The pipeline step, and what the distribution gives to poseig_mm."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from poseig_mediapipe_models import plugin

from poseig_mm.errors import ConfigError


def extend(**fractions: float) -> np.ndarray:
    """The box (10, 20, 30, 60), extended."""
    from poseig_mediapipe_models.transforms import ExtendBBox

    results = {"bbox": np.array([[10.0, 20.0, 30.0, 60.0]], np.float32), "other": 1}
    extended = ExtendBBox(**fractions).transform(results)
    assert results["bbox"].tolist() == [[10, 20, 30, 60]]  # the caller's own is left alone
    assert extended["other"] == 1
    return extended["bbox"][0]


def test_a_box_grows_by_fractions_of_its_own_size() -> None:
    """Each side moves outwards by its fraction of the width (20) or height (40), beyond the picture if need be."""
    assert extend().tolist() == [10, 20, 30, 60]
    assert extend(bottom=1.0).tolist() == [10, 20, 30, 100]
    assert extend(left=1.0, top=1.0, right=0.5).tolist() == [-10, -20, 40, 60]
    assert extend(bottom=-0.5).tolist() == [10, 20, 30, 40]


def test_a_box_may_not_vanish() -> None:
    """Shrinking by the whole height leaves nothing to crop."""
    with pytest.raises(ConfigError, match=r"bottom=-1\.0"):
        extend(bottom=-1.0)


def test_the_entry_point_is_light() -> None:
    """Discovery imports the plugin module at every start of the command line: no torch, no mmpose."""
    code = (
        "import sys, poseig_mediapipe_models.plugin;"
        "print([m for m in ('torch', 'mmpose', 'mediapipe', 'flatbuffers', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_entry_point_names_the_plugin() -> None:
    """Installed, the distribution is found in poseig_mm's group."""
    found = {e.name: e.value for e in metadata.entry_points(group="poseig_mm")}
    assert found["mediapipe_models"] == "poseig_mediapipe_models.plugin"


def test_a_run_records_its_weights_and_the_report_shows_them(wheel: Path, tmp_path: Path) -> None:
    """session_start writes what was read; the section shows the same record from the work dir alone."""
    config = {"model": {"backbone": {"type": "BlazePoseBackbone", "outputs": ("heatmap",)}}}
    plugin.poseig_session_start(config, tmp_path)
    record = json.loads((tmp_path / plugin.PROVENANCE_FILE).read_text())
    assert record["network"] == "pose_full"
    (section,) = plugin.poseig_report_sections(SimpleNamespace(path=tmp_path))
    assert dict(section.blocks[0].rows) == record


def test_other_models_leave_no_trace(tmp_path: Path) -> None:
    """A run of another model gets neither file nor section."""
    plugin.poseig_session_start({"model": {"backbone": {"type": "ResNet"}}}, tmp_path)
    plugin.poseig_session_start({}, tmp_path)
    assert not list(tmp_path.iterdir())
    assert plugin.poseig_report_sections(SimpleNamespace(path=tmp_path)) == ()


def test_the_host_accepts_the_plugin(wheel: Path) -> None:
    """poseig_mm's host loads it, with all hooks."""
    from poseig_mm.plugin.manager import PluginHost

    host = PluginHost(plugins=("poseig_mediapipe_models.plugin",), builtins=(), entry_points=False)
    (record,) = [r for r in host.records if "mediapipe" in r.target]
    assert set(record.hooks) == {"poseig_register_adapters", "poseig_session_start", "poseig_report_sections"}
