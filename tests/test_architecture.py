"""The house stands as it is drawn: one-way imports, cheap ones, and public names that stay."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import poseig_mm

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "mmengine", "mmcv", "mmpose", "mmdet", "torchvision", "matplotlib", "polars", "scipy")
PUBLIC = [
    "Attribution",
    "Coordinates",
    "Failure",
    "JointGroups",
    "PoseIGError",
    "Sample",
    "Section",
    "Session",
    "Store",
    "attribute",
    "hookimpl",
    "load_adapter",
]
# Each module is imported in a process that has loaded other people's libraries and none of our modules.
EACH_ALONE = """
import importlib, os, sys, traceback
from poseig_mm.compat import prepare_environment
prepare_environment()
import matplotlib.figure, mmengine.runner, mmpose.apis, mmpose.models, polars, pytest, scipy.ndimage, scipy.stats
for name in [name for name in sys.modules if name.split('.')[0] == 'poseig_mm']:
    del sys.modules[name]
status, running = 0, 0
for name in sys.argv[1:]:
    if running == os.cpu_count():
        status |= os.wait()[1]
        running -= 1
    child = os.fork()
    running += 1
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
for _ in range(running):
    status |= os.wait()[1]
sys.exit(status != 0)
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True)


def test_imports_are_one_way() -> None:
    """The contracts of pyproject.toml hold."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_each_module_imports_alone() -> None:
    """No module relies on another having been imported before it."""
    modules = [info.name for info in pkgutil.walk_packages(poseig_mm.__path__, "poseig_mm.")]
    assert len(modules) > 50
    done = python(EACH_ALONE, *modules)
    assert done.returncode == 0, done.stderr


def test_no_test_file_is_long() -> None:
    """A file is about one rule, or a few that go together: 400 lines at most."""
    files = [path for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("*.py")]
    tests = [path for path in files if "tests" in path.relative_to(ROOT).parts[:3]]
    assert len(tests) > 150
    long = {str(path.relative_to(ROOT)): n for path in tests if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_importing_the_package_is_cheap() -> None:
    """Plugin authors and `--help` pay for imports: none of the large libraries is loaded."""
    done = python(f"import poseig_mm, poseig_mm.cli, sys; print(*(set({HEAVY}) & set(sys.modules)))")
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_public_names_are_pinned() -> None:
    """What others import; a name is taken away in a major version only."""
    assert poseig_mm.__all__ == PUBLIC


def test_public_names_are_there() -> None:
    """Lazy ones too, and `functional`; an unknown one is an AttributeError."""
    code = "import sys, poseig_mm; print(*(name for name in sys.argv[1:] if not hasattr(poseig_mm, name)))"
    done = python(code, *PUBLIC, "functional", "nothing")
    assert (done.returncode, done.stdout.split()) == (0, ["nothing"]), done.stderr
