"""Create `.venv` with everything this project needs: python3 tools/setup_env.py [--venv DIR] [--foreign].

Runs on the standard library of any Python 3.7+, which need not be the one of the environment.  The files of
requirements/ are installed in the order of their names (NAME.no-deps.txt without dependencies), then this package and
each folder of plugins/ as editable packages.  A stamp in the environment makes the next run a matter of milliseconds;
an interrupted installation is taken up where it stopped.  What is missing is said in one line; pip's own words go to
setup.log.

`--set NAME` installs other versions: the lines of requirements/sets/NAME.txt take the place of those of the same
packages. `--foreign` makes the environment of somebody who has MMPose and does not know this package: it and its
plugins are left out, and what only they depend on (`OURS`).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.11", "3.12", "3.10")  # the first that is found is taken
DISK_GB = 4.0  # the environment and the downloads; torch for CUDA brings its libraries
DISK_GB_CUDA = 10.0
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
EXAMPLE = "template"  # of plugins/, tested by its path
OURS = "50-poseig.txt"  # what this package and its plugins depend on and MMPose does not
STAMP, LOG = "setup.stamp", "setup.log"
OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|name resolution|ConnectTimeoutError|ReadTimeoutError"
    r"|ProxyError|Connection refused|Connection reset|Network is unreachable",
    re.IGNORECASE,
)


class SetupError(Exception):
    """What is missing, in one line."""


class Versions(NamedTuple):
    """What is installed: the Pythons that will do, the best first, and the lines of a set."""

    name: str = ""
    pythons: tuple[str, ...] = SUPPORTED
    lines: tuple[str, ...] = ()


AS_THEY_STAND = Versions()


def read_set(name: str) -> Versions:
    """The versions of requirements/sets/NAME.txt; its comment `# python: 3.10 3.11` names the Pythons."""
    folder = ROOT / "requirements" / "sets"
    path = folder / f"{name}.txt"
    if not path.exists():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.txt")))
        raise SetupError(f"there is no set {name!r}; there are {there or 'none'}")
    text = path.read_text()
    pythons = re.search(r"^# python: (.*)$", text, re.MULTILINE)
    lines = tuple(line for line in text.splitlines() if line and not line.startswith("#"))
    return Versions(name, tuple(pythons.group(1).split()) if pythons else SUPPORTED, lines)


def package(line: str) -> str:
    """The package that a line of a requirement file asks for; '' of a comment or an option."""
    found = re.match(r"[A-Za-z0-9][\w.-]*", line)
    return found.group().lower().replace("_", "-") if found else ""


def apply_set(versions: Versions, folder: Path) -> None:
    """Write requirements/ to `folder`: the set's lines in place of those of the same package, its options above them.

    Its versions are constraints too: what comes later must not raise them.
    """
    instead = {package(line): line for line in versions.lines if package(line)}
    options = [line for line in versions.lines if not package(line)]
    known = set()
    folder.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = path.read_text().splitlines()
        known |= {package(line) for line in lines}
        changed = [*options, *(instead.get(package(line), line) for line in lines)]
        if path.name == "constraints.txt":
            changed += [line for name, line in instead.items() if name not in map(package, lines)]
        (folder / path.name).write_text("".join(f"{line}\n" for line in changed))
    unknown = sorted(set(instead) - known)
    if unknown:
        raise SetupError(f"set {versions.name!r} has versions of what is not installed: {', '.join(unknown)}")


def has_gpu() -> bool:
    """Whether there is an NVIDIA driver for which CUDA's libraries are worth several GB."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def cpu_index() -> list[str]:
    """pip options that find torch without CUDA (0.2 instead of 3 GB) where it is of use and can be reached."""
    if has_gpu():
        return []
    try:
        urllib.request.urlopen(CPU_INDEX + "/torch/", timeout=5).close()
    except (OSError, ValueError):
        return []
    return ["--extra-index-url", CPU_INDEX]


def steps(folder: Path) -> list[tuple[Path, list[str]]]:
    """The requirement files in order, each with its pip options; what must be built is built with what is there."""
    found = []
    for path in sorted(folder.glob("[0-9]*.txt")):
        flags = ["--no-build-isolation"] + ["--no-deps"] * path.name.endswith(".no-deps.txt")
        found.append((path, [*flags, "-c", str(folder / "constraints.txt"), "-r", str(path)]))
    return found


def projects() -> list[Path]:
    """This package and its plugins: every folder with a pyproject.toml, but the example to copy, whose index would
    stand in everybody's tables.
    """
    plugins = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
    return [ROOT, *(folder for folder in plugins if folder.name != EXAMPLE)]


def stamp(ours: bool, versions: Versions) -> str:
    """Hash of all that decides what is installed; the place too, since editable installs point to it."""
    digest = hashlib.sha256(f"{ROOT} {ours} {versions}".encode())
    watched = [Path(__file__), *sorted((ROOT / "requirements").glob("*.txt"))]
    if ours:
        watched += [project / "pyproject.toml" for project in projects()]
    for path in watched:
        digest.update(str(path).encode() + path.read_bytes())
    return f"{ROOT}\n{digest.hexdigest()}\n"


def candidates(version: str) -> list[str]:
    """Where a Python of this version may be; pyenv's answer only to their full path, unless they are switched on."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python"))
    return [f"python{version}", "python3", "python", *found]


def in_words(pythons: Sequence[str]) -> str:
    """'3.10, 3.11 or 3.12'."""
    *most, last = sorted(pythons)
    return f"{', '.join(most)} or {last}" if most else last


def find_python(pythons: Sequence[str] = SUPPORTED) -> str:
    """A Python that can make an environment, of the first version that is here; `PYTHON=...` names one."""
    asked = os.environ.get("PYTHON")
    seen, without_venv = {}, ""
    for wanted in pythons:
        for name in (asked,) if asked else candidates(wanted):
            code = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip"
            try:
                done = subprocess.run([name, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            except OSError:
                continue
            version = done.stdout.decode().strip()
            if version == wanted and done.returncode == 0:
                if wanted != pythons[0]:
                    print(f"setup: no Python {pythons[0]} was found, {name} ({version}) is taken", flush=True)
                return name
            if version == wanted:
                without_venv = (
                    without_venv or f"{name} ({version}) has no venv module: sudo apt install python{version}-venv"
                )
            elif version:
                seen[name] = version
    if without_venv:
        raise SetupError(without_venv)
    others = [f"{name} is {version}" for name, version in seen.items() if version not in pythons]
    raise SetupError(
        f"Python {in_words(pythons)} is needed, found {', '.join(others) or 'none'}: install python{pythons[0]}, "
        f"or name one with PYTHON=/path/to/python{pythons[0]}"
    )


def check_disk(folder: Path, versions: Versions) -> None:
    """There is room for the packages, of which torch is most."""
    free = shutil.disk_usage(str(folder)).free / 1e9
    needed = DISK_GB_CUDA if has_gpu() or versions.lines else DISK_GB
    if free < needed:
        raise SetupError(f"{needed:.0f} GB of free disk space are needed at {folder}, found {free:.1f} GB")


def ensure_venv(venv: Path, pythons: Sequence[str]) -> Path:
    """The environment's Python; an environment that is broken, or was copied from elsewhere, is made anew."""
    python = venv / "bin" / "python"
    old = venv / STAMP
    moved = old.exists() and old.read_text().splitlines()[:1] != [str(ROOT)]
    if python.exists() and not moved:
        code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([str(python), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        version = done.stdout.decode().strip()
        if done.returncode == 0 and version not in pythons:
            raise SetupError(f"{venv} holds Python {version}, needed is {in_words(pythons)}: rm -rf {venv}")
        if done.returncode == 0:
            return python
    command = [find_python(pythons), "-m", "venv", "--clear", str(venv)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        said = done.stdout.decode().strip().splitlines() or ["no reason given"]
        raise SetupError(f"cannot make {venv}: {said[-1]}")
    return python


def drop_halves(venv: Path) -> None:
    """Forget packages whose installation was cut off: pip writes INSTALLER when all files are there."""
    for info in venv.glob("lib/python3*/site-packages/*.dist-info"):
        if not (info / "INSTALLER").exists():
            shutil.rmtree(str(info))


def pip(python: Path, arguments: list[str], log: Path) -> None:
    """One pip call; its output goes to the log, and its current line to a terminal."""
    command = [str(python), "-m", "pip", "install", "--progress-bar", "off", *arguments]
    start = log.stat().st_size if log.exists() else 0
    terminal = sys.stdout.isatty()
    with open(str(log), "a") as file:
        file.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        for line in process.stdout or ():
            file.write(line)
            if terminal:
                print(f"\r\033[K  {line.strip()[:100]}", end="", flush=True)
    if terminal:
        print("\r\033[K", end="")
    if process.wait() == 0:
        return
    with open(str(log)) as file:
        file.seek(start)
        said = file.read()
    if "No space left on device" in said:
        raise SetupError(f"the disk is full (pip's words: {log}): free some space and run this again")
    if OFFLINE.search(said):
        raise SetupError(f"no network: pip could not reach its package index (its words: {log})")
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()[-1:]
    raise SetupError(f"pip failed: {errors[-1] if errors else 'no reason given'} ({log})")


def drop_example(venv: Path) -> None:
    """Forget the example plugin, which earlier set-ups installed: without its entry point nothing loads it."""
    for info in venv.glob("lib/python3*/site-packages/poseig_mm_template-*.dist-info"):
        shutil.rmtree(str(info))


def setup(venv: Path, ours: bool, versions: Versions = AS_THEY_STAND) -> None:
    """Bring the environment up to date."""
    wanted = stamp(ours, versions)
    if (venv / STAMP).exists() and (venv / STAMP).read_text() == wanted and (venv / "bin" / "python").exists():
        print(f"setup: {venv} is up to date")
        return
    started = time.time()
    if not list(venv.glob("lib/python3*/site-packages/torch/version.py")):
        check_disk(venv.parent, versions)
    python = ensure_venv(venv, versions.pythons)
    (venv / STAMP).write_text(f"{ROOT}\nunfinished\n")
    drop_halves(venv)
    drop_example(venv)
    requirements = ROOT / "requirements"
    if versions.lines:
        requirements = venv / "requirements"
        apply_set(versions, requirements)
    todo = [(path.name, arguments) for path, arguments in steps(requirements) if ours or path.name != OURS]
    if ours:
        places = [argument for project in projects() for argument in ("-e", str(project))]
        todo.append(("poseig_mm and plugins", ["--no-build-isolation", "--no-deps", *places]))
    torch_index = cpu_index()
    for i, (name, arguments) in enumerate(todo):
        print(f"setup: {i + 1}/{len(todo)} {name}", flush=True)
        pip(python, arguments + torch_index * ("torch" in name), venv / LOG)
    (venv / STAMP).write_text(wanted)
    print(f"setup: {venv} is ready after {time.time() - started:.0f} s")


def main() -> int:
    """Parse, set up, exit code."""
    parser = argparse.ArgumentParser(description="Create the environment of this project.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where (default: .venv beside the Makefile)")
    parser.add_argument(
        "--foreign", action="store_true", help="MMPose alone, without this package and its dependencies"
    )
    parser.add_argument("--set", default="", metavar="NAME", help="the versions of requirements/sets/NAME.txt")
    options = parser.parse_args()
    try:
        versions = read_set(options.set) if options.set else AS_THEY_STAND
        setup(options.venv.resolve(), ours=not options.foreign, versions=versions)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"setup: {error.filename or options.venv}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
