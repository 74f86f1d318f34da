"""The source files that a plugin is made of, and one hash of them: runs of one hash were measured by the same code."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

_OURS = Path(__file__).resolve().parents[1]
_INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")})


def source_hash(*things: Any) -> str:
    """A shortened SHA-256 of the files that modules, classes, functions or objects are made of.

    Those are the package of each, or its file where it is in none, and what these import of the folder that they lie
    in.  Neither this package counts nor what else is installed: their versions say what they are.  Where the files lie
    is no part of it.

    Returns:
        '' where there is no file, as of what was made in an interpreter.

    >>> from poseig_mm.plugin import specs
    >>> source_hash(specs, print)
    ''
    """
    files: dict[str, Path] = {}
    for start in dict.fromkeys(file for thing in things if (file := _file_of(thing)) is not None):
        place = start.parent  # the folder that Python finds it in
        while (place / "__init__.py").is_file():
            place = place.parent
        package = start.parent if start.parent != place else None
        waiting = [start, *(_sources(package) if package else ())]
        while waiting:
            file = waiting.pop()
            if (name := file.relative_to(place).as_posix()) not in files:
                files[name] = file
                waiting += [f for f in _imports(file, place) if _is_own(f, start, place)]
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16] if files else ""


def _file_of(thing: Any) -> Path | None:
    """Where a thing's module is from; None for built-in ones and our own."""
    if not isinstance(thing, ModuleType):
        thing = sys.modules.get(str(getattr(getattr(thing, "func", thing), "__module__", "")))  # of a partial: its func
    file = getattr(thing, "__file__", None)
    path = Path(file).resolve() if isinstance(file, str) else None
    return path if path is not None and path.is_file() and not path.is_relative_to(_OURS) else None


def _sources(folder: Path) -> Iterator[Path]:
    endings = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
    return (path for path in folder.rglob("*") if path.name.endswith(endings) and path.is_file())


def _is_own(file: Path, start: Path, place: Path) -> bool:
    """Whether an imported file is the plugin's: not ours, and where plugins are installed, of the same package."""
    if place in _INSTALLED:
        return file.relative_to(place).parts[0] == start.relative_to(place).parts[0]
    return not any(file.is_relative_to(folder) for folder in (_OURS, *_INSTALLED))


def _imports(file: Path, place: Path) -> Iterator[Path]:
    """The files below `place` that a file imports, anywhere in it, as far as they stand there by name."""
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(place, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = file.parents[node.level - 1] if node.level else place
            if above.is_relative_to(place):
                for alias in node.names:
                    yield from _modules(above, [*(node.module or "").split("."), alias.name])


def _modules(folder: Path, names: list[str]) -> Iterator[Path]:
    """The files of a module and of the packages around it: the last name may be one of something in it."""
    for name in filter(None, names):
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                yield path.resolve()
        folder = folder / name
