"""The environment: what is checked, what is said, and that shims close gaps and touch nothing else.

Most tests run in a Python without site-packages, in which stand-ins of the libraries lie on PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PREPARE = "from poseig_mm.compat import prepare_environment; applied = prepare_environment(); "
VERSIONS = {
    "setuptools": "80.0",
    "torch": "2.1.0",
    "torchvision": "0.16",
    "mmengine": "0.10.4",
    "mmcv": "2.1.0",
    "mmdet": "3.3.0",
    "mmpose": "1.3.2",
}
TORCH_WITHOUT_OPERATORS = """
class Library:
    alive = []
    def __init__(self, namespace, kind):
        assert (namespace, kind) == ("torchvision", "FRAGMENT")
        self.schemas = []
        Library.alive.append(self)
    def define(self, schema):
        self.schemas.append(schema)
class library:
    Library = Library
"""
TORCHVISION_THAT_NEEDS_THEM = """
import torchvision.extension
from torch import Library
if not Library.alive:
    raise RuntimeError("operator torchvision::nms does not exist")
import torchvision.ops
"""


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`world(code, mmcv="2.0.1", torch=None, files={...})` runs code where these versions are installed and no
    others.
    """

    def run(
        code: str, *, files: dict[str, str | None] | None = None, **versions: str | None
    ) -> subprocess.CompletedProcess[str]:
        for name, version in {**VERSIONS, **{k.replace("_", "-"): v for k, v in versions.items()}}.items():
            if version is None:
                continue
            module = {"setuptools": "pkg_resources", "mmcv-lite": "mmcv"}.get(name, name)
            (tmp_path / module).mkdir(exist_ok=True)
            (tmp_path / module / "__init__.py").touch()
            info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for path, text in {"mmcv/_ext.py": "def nms(): return 'real'", **(files or {})}.items():
            if text is not None:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(text)
        (pluggy,) = importlib.util.find_spec("pluggy").submodule_search_locations  # type: ignore[union-attr,misc]
        (tmp_path / "pluggy").symlink_to(pluggy)
        environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        return subprocess.run(
            [sys.executable, "-S", "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    return run


World = Callable[..., "subprocess.CompletedProcess[str]"]


def output(done: subprocess.CompletedProcess[str]) -> str:
    """What the code printed; it must not have failed."""
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The message of the DependencyError with which the code ended."""
    assert done.returncode == 1
    _, found, message = done.stderr.partition("poseig_mm.errors.DependencyError: ")
    assert found, done.stderr
    return message.strip()


# ---- a complete environment ------------------------------------------------------------------------------------------


def test_a_complete_environment_is_left_alone(world: World) -> None:
    """A torchvision that imports and a full mmcv: nothing is applied, both stay what they are, nothing is declared."""
    code = PREPARE + "import torchvision, mmcv._ext, torch; print(applied, mmcv._ext.nms(), torch.Library.alive)"
    files = {"torch/__init__.py": TORCH_WITHOUT_OPERATORS, "torchvision/__init__.py": "state = 'working'"}
    assert output(world(code + "; print(torchvision.state)", files=files)) == "() real []\nworking"


def test_an_extension_that_is_loaded_already_is_left_alone(world: World) -> None:
    """Somebody else's stand-in, too."""
    code = "import sys; sys.modules['mmcv._ext'] = mine = type(sys)('mmcv._ext'); "
    code += PREPARE + "print(applied, sys.modules['mmcv._ext'] is mine)"
    assert output(world(code, mmcv=None, mmcv_lite="2.1.0", files={"mmcv/_ext.py": None})) == "() True"


# ---- torchvision -----------------------------------------------------------------------------------------------------


def test_operators_are_declared_where_torchvision_needs_them(world: World) -> None:
    """Once, with the schemas it describes; the half of the first attempt is gone."""
    code = PREPARE + "prepare_environment(); import torch, torchvision; (library,) = torch.Library.alive; "
    code += "print(applied, torchvision.ops.whole, *library.schemas, sep='\\n')"
    files = {
        "torch/__init__.py": TORCH_WITHOUT_OPERATORS,
        "torchvision/__init__.py": TORCHVISION_THAT_NEEDS_THEM,
        "torchvision/extension.py": "from torch import Library; declared = bool(Library.alive)",
        "torchvision/ops.py": "from torchvision.extension import declared as whole",
    }
    assert output(world(code, files=files)).splitlines() == [
        "('torchvision',)",
        "True",
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ]


def test_another_fault_of_torchvision_is_not_hidden(world: World) -> None:
    """Only missing operators are our business."""
    done = world(PREPARE, files={"torchvision/__init__.py": "raise RuntimeError('no CUDA driver')"})
    assert done.stderr.strip().endswith("RuntimeError: no CUDA driver")


# ---- mmcv._ext -------------------------------------------------------------------------------------------------------


def test_mmcv_lite_gets_a_stand_in(world: World) -> None:
    """It has every operator `mmcv.ops` asks for, is importable in each way, and is put in place once."""
    code = PREPARE + "import importlib.util, mmcv._ext as ext; from mmcv import _ext; "
    code += "print(applied, prepare_environment() == applied, hasattr(ext, 'ball_query_forward'), ext is _ext, "
    code += "importlib.util.find_spec('mmcv._ext').name, hasattr(ext, '__path__'))"
    done = world(code, mmcv=None, mmcv_lite="2.1.0", files={"mmcv/_ext.py": None})
    assert output(done) == "('mmcv._ext',) True True True mmcv._ext False"


def test_an_operator_of_the_stand_in_raises_when_called(world: World) -> None:
    """With its name and the remedy."""
    code = PREPARE + "import mmcv._ext; nms = mmcv._ext.softnms; nms(1, boxes=2)"
    message = refused(world(code, mmcv=None, mmcv_lite="2.1.0", files={"mmcv/_ext.py": None}))
    assert message.startswith("mmcv's compiled operator 'softnms' was called, but this is mmcv-lite")
    assert "mim install 'mmcv>=2.0.1,<2.2'" in message


def test_an_extension_that_does_not_load_is_an_error(world: World) -> None:
    """An mmcv built for another torch is not papered over."""
    message = refused(world(PREPARE, files={"mmcv/_ext.py": "raise ImportError('undefined symbol: _ZN3c10')"}))
    assert message.startswith("mmcv's compiled operators do not load: undefined symbol: _ZN3c10")
    assert "pip uninstall -y mmcv" in message


# ---- what is missing -------------------------------------------------------------------------------------------------


def test_without_anything_all_commands_are_given_in_the_order_that_works(world: World) -> None:
    """The first line names what is missing; each further line is a command."""
    from poseig_mm.compat import INSTALL_COMMANDS

    first, *commands = refused(world(PREPARE, files={"mmcv/_ext.py": None}, **dict.fromkeys(VERSIONS))).splitlines()
    assert [line.strip() for line in commands] == list(INSTALL_COMMANDS.values())
    for library in ("pkg_resources", "torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmpose"):
        assert re.search(rf"\b{library} is missing", first)


def test_only_the_commands_for_what_is_missing_are_given(world: World) -> None:
    """Somebody who has a torch is not told to install another."""
    message = refused(world(PREPARE, mmpose=None))
    assert "mmpose is missing" in message
    assert message.splitlines()[-1].strip() == "pip install mmpose==1.3.2 --no-deps"
    assert "torch" not in message
    assert "mmcv" not in message


def test_a_working_numpy_and_opencv_are_kept(world: World) -> None:
    """The step that chooses them is for those who have none."""
    both: dict[str, str | None] = {"numpy/__init__.py": "", "cv2/__init__.py": ""}
    message = refused(world(PREPARE, mmdet=None, files=both))
    assert "numpy" not in message
    assert message.splitlines()[-1].strip() == "pip install mmdet==3.3.0 --no-deps"


def test_numpy_is_chosen_where_there_is_none(world: World) -> None:
    """Before the libraries that would bring the newest."""
    assert refused(world(PREPARE, mmdet=None)).splitlines()[1].strip().startswith("pip install numpy==")


@pytest.mark.parametrize(("torch", "torchvision"), [("2.0.1+cu117", "0.15"), ("2.1.2", "0.16"), ("2.13.0", "0.28")])
def test_torchvision_is_the_one_that_fits_the_torch_that_is_there(world: World, torch: str, torchvision: str) -> None:
    """Each belongs to one torch; that one is not replaced."""
    message = refused(world(PREPARE, torch=torch, torchvision=None))
    assert message.splitlines()[1:] == [f"    pip install 'torchvision=={torchvision}.*' --no-deps"]


def test_a_python_below_the_range_is_refused() -> None:
    """From a checkout, which pip has not looked at: with what is needed, what this is, and the remedy."""
    code = "import sys; sys.version_info = (3, 9, 18, 'final', 0); import poseig_mm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: poseig_mm needs Python 3.10 or newer, this is 3.9.18 (")
    assert last.endswith("tools/setup_env.py")


@pytest.mark.parametrize(
    ("library", "version", "range_"),
    [
        ("torch", "1.13.1+cu117", ">=2.0"),
        ("mmengine", "0.9.1", ">=0.10,<1"),
        ("mmcv", "1.7.2", ">=2.0.1,<2.2"),
        ("mmcv", "2.0.0", ">=2.0.1,<2.2"),
        ("mmcv", "2.2.0", ">=2.0.1,<2.2"),
        ("mmcv", "2.2", ">=2.0.1,<2.2"),
        ("mmpose", "0.29.0", ">=1.2,<2"),
        ("mmpose", "1.1.0", ">=1.2,<2"),
    ],
)
def test_an_unsupported_version_is_refused(world: World, library: str, version: str, range_: str) -> None:
    """With what was found and what is supported."""
    assert f"{library} is {version}, supported is {range_}" in refused(world(PREPARE, **{library: version}))


@pytest.mark.parametrize(("library", "version"), [("mmcv", "2.0.1"), ("mmcv", "2.1.0"), ("mmpose", "1.2.0")])
def test_versions_in_the_range_are_accepted(world: World, library: str, version: str) -> None:
    """Both ends."""
    assert output(world(PREPARE + "print(applied)", **{library: version})) == "()"


def test_a_checkout_on_the_path_is_asked_itself(world: World) -> None:
    """A library that no distribution knows has a `__version__`."""
    code = "import sys; sys.path.insert(0, 'checkout'); " + PREPARE
    files = {"checkout/mmpose/__init__.py": "__version__ = '0.28.1'"}
    assert "mmpose is 0.28.1, supported is >=1.2,<2" in refused(world(code, mmpose=None, files=files))


# ---- this environment ------------------------------------------------------------------------------------------------


def run_here(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)


def test_here_mmpose_works_and_only_real_gaps_were_closed() -> None:
    """Its models are in its registry, torchvision is whole; a shim is there where a plain import fails, and only
    there.
    """
    code = PREPARE + "import mmpose.models, torchvision.ops; from mmpose.registry import MODELS; "
    code += "print(*applied, MODELS.get('HeatmapHead').__name__)"
    *applied, head = output(run_here(code)).split()
    assert head == "HeatmapHead"
    fails = {name: run_here(f"import torch, {name}").returncode != 0 for name in ("torchvision", "mmcv._ext")}
    assert applied == [name for name, gap in fails.items() if gap]
