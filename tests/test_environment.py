"""`--env`: what it says, here and where something is missing or broken; and that it always says something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny import ROOT, write_plugin

from poseig_mm import cli
from poseig_mm.compat import EXTENSION, prepare_environment
from poseig_mm.environment import describe_environment

WITHOUT = """
import sys

class Absent:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            return None
        specs = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in specs if spec is not None), None)
    def find_distributions(self, context):
        able = (finder for finder in self.finders if hasattr(finder, "find_distributions"))
        return (found for finder in able for found in finder.find_distributions(context))

sys.meta_path = [Absent(sys.meta_path)]
from poseig_mm.cli import main
sys.exit(main(["--env"]))
"""


def section(text: str, title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^### {title}$\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, text
    return found.group(1)


def env_without(*absent: str, path: Path = ROOT) -> str:
    """`--env` in a process that lacks these modules; files in `path` come before what is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    code = WITHOUT.format(absent=absent)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here() -> str:
    """`--env` in a process of its own, in this environment."""
    return env_without()


# ---- here ------------------------------------------------------------------------------------------------------------


def test_versions_and_devices(here: str) -> None:
    """Those of the libraries that are loaded."""
    import mmpose
    import torch

    assert f"- torch: {torch.__version__}" in section(here, "Versions")
    assert f"- mmpose: {mmpose.__version__}" in section(here, "Versions")
    assert f"{os.cpu_count()} cores" in section(here, "Devices")
    assert "cuda" in section(here, "Devices")


def test_shims_and_operators(here: str) -> None:
    """What `prepare_environment` has done, and each operator by name."""
    from poseig_mm.adapters.operators import OPERATORS

    said, shims = section(here, "MMPose"), prepare_environment()
    assert "- can be used" in said
    assert ("stand-in" in said) == (EXTENSION in shims)
    assert ("are declared" in said) == ("torchvision" in shims)
    assert all(operator.name in said for operator in OPERATORS)
    assert ("takes its place" in said) == (EXTENSION in shims)


def test_every_operator_of_mmposes_models_is_known(mmpose_ready: None) -> None:
    """What their source imports from mmcv.ops."""
    import mmpose

    from poseig_mm.adapters.operators import OPERATORS

    files = (Path(mmpose.__file__).parent / "models").rglob("*.py")
    imports = [re.findall(r"from mmcv\.ops\S* import (.+)", file.read_text()) for file in files]
    assert {name.strip() for found in imports for line in found for name in line.split(",")} == {
        operator.name for operator in OPERATORS
    }


def test_a_users_folder_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths of plugins are in the table, with ~ for the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("poseig_mm.environment.prepare_environment", lambda: ("mmcv._ext",))
    plugin = write_plugin(tmp_path / "mine.py", "@hookimpl\ndef poseig_paths():\n    return {}\n")
    assert cli.main(["--env", "-p", str(plugin)]) == 0
    shown = capsys.readouterr().out
    assert "~/mine.py" in section(shown, "Plugins")
    assert str(tmp_path) not in shown


# ---- fast paths ------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without asking MMPose, which takes seconds."""

    def broken() -> None:
        raise OSError("one line\n    and another")

    monkeypatch.setattr("poseig_mm.environment.prepare_environment", broken)
    return monkeypatch


@pytest.mark.parametrize(("supported", "said"), [(True, "cpu: yes"), (False, "cpu: no, the hardware has no units")])
def test_bfloat16_is_said_by_hardware(quick: pytest.MonkeyPatch, supported: bool, said: str) -> None:
    """And what happens instead."""
    quick.setattr("poseig_mm.functional.torch_features.bfloat16_supported", lambda device: supported)
    paths = section(describe_environment(()), "Fast paths")
    assert f"the walk in bfloat16, {said}" in paths


@pytest.mark.parametrize(("capability", "said"), [((7, 5), "no, the card has none"), ((9, 0), "yes, by diagnosis")])
def test_cards_are_listed(quick: pytest.MonkeyPatch, capability: tuple[int, int], said: str) -> None:
    """With memory and capability; TF32 by the latter."""
    card: Any = SimpleNamespace(name="A card", total_memory=24 * 2**30, major=capability[0], minor=capability[1])
    quick.setattr("torch.backends.cuda.is_built", lambda: True)
    quick.setattr("torch.cuda.is_available", lambda: True)
    quick.setattr("torch.cuda.device_count", lambda: 1)
    quick.setattr("torch.cuda.get_device_properties", lambda device: card)
    quick.setattr("torch.cuda.get_device_capability", lambda device: capability)
    quick.setattr("poseig_mm.functional.torch_features.bfloat16_supported", lambda device: device == "cpu")
    text = describe_environment(())
    assert f"cuda:0: A card, 24 GiB, capability {capability[0]}.{capability[1]}" in section(text, "Devices")
    assert f"TF32, cuda:0: {said}" in section(text, "Fast paths")
    assert "bfloat16, cuda:0: no, the hardware" in section(text, "Fast paths")


def test_cuda_without_a_card(quick: pytest.MonkeyPatch) -> None:
    """Not the same as a torch without CUDA."""
    quick.setattr("torch.backends.cuda.is_built", lambda: True)
    quick.setattr("torch.cuda.is_available", lambda: False)
    text = describe_environment(())
    assert "finds no card" in section(text, "Devices")
    assert section(text, "MMPose").strip() == "- cannot be used (OSError: one line)"


# ---- missing and broken ----------------------------------------------------------------------------------------------


def test_without_torch_and_mmpose() -> None:
    """Both are named, with the commands; versions and plugins are still there."""
    text = env_without("torch", "mmpose")
    assert "torch: cannot be imported (ModuleNotFoundError: No module named 'torch')" in section(text, "Devices")
    assert "they need torch" in section(text, "Fast paths")
    for said in ("torch is missing", "mmpose is missing", "pip install mmpose"):
        assert said in section(text, "MMPose")
    assert "attribution" in section(text, "Plugins")


def test_a_broken_torch(tmp_path: Path) -> None:
    """What it raises stands where its devices would."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    text = env_without(path=tmp_path)
    for title in ("Devices", "MMPose"):
        assert "libcudart.so.12: cannot open" in section(text, title)


def test_a_broken_mmpose(tmp_path: Path) -> None:
    """The libraries are there, in supported versions, and it does not import."""
    (tmp_path / "mmpose").mkdir()
    (tmp_path / "mmpose" / "__init__.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    said = section(env_without(path=tmp_path), "MMPose")
    assert "mmpose.models cannot be imported (ImportError: numpy.core.multiarray failed to import)" in said
    assert "can be used" not in said
