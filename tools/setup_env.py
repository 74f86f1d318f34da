"""Create `.venv` with everything this project needs: python3 tools/setup_env.py [--venv DIR] [--requirements-only].

Runs on the standard library of any Python 3.7+, which need not be the one of the environment.  The files of requirements/
are installed in the order of their names (NAME.no-deps.txt without dependencies), then this package and each folder of
plugins/ as editable packages.  A stamp in the environment makes the next run a matter of milliseconds; an interrupted
installation is taken up where it stopped.  What is missing is said in one line; pip's own words go to setup.log.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CANDIDATES = ("python3.11", "python3.12", "python3.10", "python3", "python")
SUPPORTED = ("3.10", "3.11", "3.12")
SUPPORTED_IN_WORDS = f"{', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"
DISK_GB = 4.0  # the environment and the downloads; torch for CUDA brings its libraries
DISK_GB_CUDA = 10.0
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP, LOG = "setup.stamp", "setup.log"
OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|name resolution|ConnectTimeoutError|ReadTimeoutError"
    r"|ProxyError|Connection refused|Connection reset|Network is unreachable",
    re.IGNORECASE,
)


class SetupError(Exception):
    """What is missing, in one line."""


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


def steps() -> list[tuple[Path, list[str]]]:
    """The requirement files in order, each with its pip options."""
    found = []
    for path in sorted((ROOT / "requirements").glob("[0-9]*.txt")):
        flags = ["--no-deps"] if path.name.endswith(".no-deps.txt") else []
        found.append((path, [*flags, "-c", str(ROOT / "requirements" / "constraints.txt"), "-r", str(path)]))
    return found


def projects() -> list[Path]:
    """This package and its plugins: every folder with a pyproject.toml."""
    return [ROOT, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]


def stamp(editable: bool) -> str:
    """Hash of all that decides what is installed; the place too, since editable installs point to it."""
    digest = hashlib.sha256(f"{ROOT} {editable}".encode())
    watched = [Path(__file__), *sorted((ROOT / "requirements").glob("*.txt"))]
    if editable:
        watched += [project / "pyproject.toml" for project in projects()]
    for path in watched:
        digest.update(str(path).encode() + path.read_bytes())
    return f"{ROOT}\n{digest.hexdigest()}\n"


def find_python() -> str:
    """A Python of a supported version that can make an environment; `PYTHON=...` names one."""
    asked = os.environ.get("PYTHON")
    seen, without_venv = [], ""
    for name in (asked,) if asked else CANDIDATES:
        code = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip"
        try:
            done = subprocess.run([name, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError:
            continue
        version = done.stdout.decode().strip()
        if version in SUPPORTED and done.returncode == 0:
            return name
        if version in SUPPORTED:
            without_venv = (
                without_venv or f"{name} ({version}) has no venv module: sudo apt install python{version}-venv"
            )
        elif version:
            seen.append(f"{name} is {version}")
    if without_venv:
        raise SetupError(without_venv)
    raise SetupError(
        f"Python {SUPPORTED_IN_WORDS} is needed, found {', '.join(seen) or 'none'}: install python3.11, "
        "or name one with PYTHON=/path/to/python3.11"
    )


def check_disk(folder: Path) -> None:
    """There is room for the packages, of which torch is most."""
    free = shutil.disk_usage(str(folder)).free / 1e9
    needed = DISK_GB_CUDA if has_gpu() else DISK_GB
    if free < needed:
        raise SetupError(f"{needed:.0f} GB of free disk space are needed at {folder}, found {free:.1f} GB")


def ensure_venv(venv: Path) -> Path:
    """The environment's Python; an environment that is broken, or was copied from elsewhere, is made anew."""
    python = venv / "bin" / "python"
    old = venv / STAMP
    moved = old.exists() and old.read_text().splitlines()[:1] != [str(ROOT)]
    if python.exists() and not moved:
        code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([str(python), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        version = done.stdout.decode().strip()
        if done.returncode == 0 and version not in SUPPORTED:
            raise SetupError(f"{venv} holds Python {version}, needed is {SUPPORTED_IN_WORDS}: rm -rf {venv}")
        if done.returncode == 0:
            return python
    command = [find_python(), "-m", "venv", "--clear", str(venv)]
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


def setup(venv: Path, editable: bool) -> None:
    """Bring the environment up to date."""
    wanted = stamp(editable)
    if (venv / STAMP).exists() and (venv / STAMP).read_text() == wanted and (venv / "bin" / "python").exists():
        print(f"setup: {venv} is up to date")
        return
    started = time.time()
    if not list(venv.glob("lib/python3*/site-packages/torch/version.py")):
        check_disk(venv.parent)
    python = ensure_venv(venv)
    (venv / STAMP).write_text(f"{ROOT}\nunfinished\n")
    drop_halves(venv)
    todo = [(path.name, arguments) for path, arguments in steps()]
    if editable:
        places = [argument for project in projects() for argument in ("-e", str(project))]
        todo.append(("poseig_mm and plugins", ["--no-deps", "--no-build-isolation", *places]))
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
    parser.add_argument("--requirements-only", action="store_true", help="neither this package nor the plugins")
    options = parser.parse_args()
    try:
        setup(options.venv.resolve(), editable=not options.requirements_only)
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
