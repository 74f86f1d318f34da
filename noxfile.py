"""The environments of docs/environments.md: nox -s oldest newest.

A session a file of requirements/sets/, which alone says its versions; `operators` and `foreign` besides.  Each makes
its environment by tools/setup_env.py in .nox/ (or in $POSEIG_ENVIRONMENTS), and again only when something changed.
`nox -s oldest -- tests/store` runs other tests than `TESTS`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox

ROOT = Path(__file__).parent
ENVIRONMENTS = Path(os.environ.get("POSEIG_ENVIRONMENTS") or ROOT / ".nox").resolve()
SETS = sorted(path.stem for path in (ROOT / "requirements" / "sets").glob("*.txt"))
TESTS = ["tests/functional", "tests/adapters", "tests/store", "tests/integrations", "tests/test_compat.py"]
SHARED = ROOT.parent / "shared"
MODEL = ("simplepose_coco_256x192.py", "simplepose_mobilenetv2_coco_256x192.pth")  # in its weights/
PERSONS = "2"
OPERATORS = "torch-2.1"  # the set in which mmcv is built with its operators

nox.options.sessions = ["oldest", "newest"]


def setup(session: nox.Session, name: str, *arguments: str) -> Path:
    """Make the environment, or bring it up to date; its bin/."""
    venv = ENVIRONMENTS / name
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    session.run(sys.executable, str(ROOT / "tools" / "setup_env.py"), "--venv", str(venv), *arguments, external=True)
    return venv / "bin"


def check(session: nox.Session, programs: Path) -> None:
    """The tests, then a whole run of a really trained model, where there is one."""
    session.env["OMP_WAIT_POLICY"] = "PASSIVE"
    session.run(str(programs / "python"), "-m", "pytest", *(session.posargs or TESTS), external=True)
    if not SHARED.is_dir():
        session.warn(f"no whole run: no trained model in {SHARED}")
        return
    config, checkpoint = (str(SHARED / "weights" / name) for name in MODEL)
    work_dir = programs.parent / "run"
    shutil.rmtree(work_dir, ignore_errors=True)
    session.run(
        *(str(programs / "poseig-diagnose"), config, checkpoint, "--limit", PERSONS, "--work-dir", str(work_dir)),
        env={"PYTHONPATH": str(SHARED / "weights")},
        external=True,
    )
    session.log(f"the run is in {work_dir}")


def session_of(versions: str) -> Callable[[nox.Session], None]:
    """What `nox -s` runs for a set."""

    def run(session: nox.Session) -> None:
        check(session, setup(session, versions, "--set", versions))

    run.__doc__ = f"The versions of requirements/sets/{versions}.txt."
    return run


for name in SETS:
    nox.session(session_of(name), name=name, venv_backend="none")


@nox.session(venv_backend="none")
def operators(session: nox.Session) -> None:
    """mmcv with its operators, built here for the CPU; its wheel is kept."""
    programs = setup(session, "operators", "--set", OPERATORS)
    python, wheels = str(programs / "python"), ENVIRONMENTS / "wheels"
    constraints = (ROOT / "requirements" / "constraints.txt").read_text()
    (version,) = re.findall(r"^mmcv-lite==([\w.]+)", constraints, re.MULTILINE)
    pip = (python, "-m", "pip")
    if not list(wheels.glob(f"mmcv-{version}-*.whl")):
        options = ["--no-deps", "--no-build-isolation", "--no-binary", "mmcv", "--wheel-dir", str(wheels)]
        env = {
            "MMCV_WITH_OPS": "1",
            "MAX_JOBS": str(os.cpu_count()),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        session.run(*pip, "install", "ninja", external=True)
        session.run(*pip, "wheel", *options, f"mmcv=={version}", env=env, external=True)
    session.run(*pip, "uninstall", "--yes", "mmcv-lite", "mmcv", external=True)
    (wheel,) = wheels.glob(f"mmcv-{version}-*.whl")
    session.run(*pip, "install", "--no-deps", str(wheel), external=True)
    code = "from poseig_mm.compat import prepare_environment; assert prepare_environment() == (), 'a shim was applied'"
    session.run(python, "-c", code, external=True)
    check(session, programs)


@nox.session(venv_backend="none")
def foreign(session: nox.Session) -> None:
    """The wheel, installed as anybody does where MMPose is already: it moves no package that is there, and it works.

    `nox -s foreign -- oldest`: among the versions of that set.
    """
    versions = [option for name in session.posargs for option in ("--set", name)]
    programs = setup(session, "foreign", "--foreign", *versions)
    python, place = str(programs / "python"), programs.parent / "outside"
    session.run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "poseig-mm", external=True)
    for old in (place, ROOT / "build"):  # what an earlier build left would be packed too
        shutil.rmtree(old, ignore_errors=True)
    session.run(python, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT), external=True)
    (wheel,) = place.glob("*.whl")
    before = packages(session, python)
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    after = packages(session, python)
    moved = [f"{name} {version} -> {after.get(name)}" for name, version in before.items() if after.get(name) != version]
    if moved:
        session.error(f"installing the wheel moved {', '.join(moved)}")
    session.log(f"nothing of {len(before)} packages was moved; new: {', '.join(sorted(set(after) - set(before)))}")
    session.chdir(place)  # so that the installed package is the one that runs
    session.run(str(programs / "poseig-diagnose"), "--list-plugins", external=True)
    code = f"import sys; sys.path.append({str(ROOT / 'tests' / 'helpers')!r}); import tiny, pathlib, poseig_mm; "
    code += "assert 'site-packages' in poseig_mm.__file__, poseig_mm.__file__; tiny.write_run(pathlib.Path('tiny'))"
    session.run(python, "-c", code, external=True)
    run = [str(programs / "poseig-diagnose"), "tiny/config.py", "tiny/weights.pth", "--work-dir", str(place / "run")]
    session.run(*run, external=True)


def packages(session: nox.Session, python: str) -> dict[str, str]:
    """What is installed, and of which version."""
    listed = session.run(python, "-m", "pip", "list", "--format", "freeze", silent=True, external=True)
    return dict(line.split("==", 1) for line in str(listed).splitlines() if "==" in line)
