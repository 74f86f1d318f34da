"""From what stands in a config's `plugins=[...]` to the module, class or object it means."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..errors import PluginError, did_you_mean

__all__ = ["plugin_name", "resolve"]

_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<attribute>\w+))?")
_DOTTED = re.compile(r"(?P<module>\w+(?:\.\w+)*)(?::(?P<attribute>\w+))?")


def plugin_name(spec: str) -> str:
    """The name a plugin of the config goes by: the last part of how it is given.

    >>> [plugin_name(s) for s in ('pkg.mod', 'pkg.mod.Class', 'pkg.mod:Class', 'a/file.py', 'a/file.py:Class')]
    ['mod', 'Class', 'Class', 'file', 'Class']
    """
    if match := _FILE.fullmatch(spec):
        return match["attribute"] or Path(match["path"]).stem
    return re.split(r"[.:]", spec)[-1]


def resolve(spec: str) -> object:
    """What `spec` names: 'pkg.mod', 'pkg.mod.Class', 'pkg.mod:Class', 'path/file.py' or 'path/file.py:Class'.

    Raises:
        PluginError: no such module, file or attribute.  What the module itself raises on import is passed on.
    """
    if match := _FILE.fullmatch(spec):
        module = _import_file(Path(match["path"]).expanduser())
        return _attribute(module, match["attribute"]) if match["attribute"] else module
    if match := _DOTTED.fullmatch(spec):
        if match["attribute"]:
            return _attribute(_import(match["module"], spec), match["attribute"])
        return _module_or_attribute(spec)
    raise PluginError(
        f"plugin {spec!r} is neither a module nor a file; expected 'pkg.mod', 'pkg.mod.Class', 'path/file.py' or "
        "'path/file.py:Class'"
    )


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"there is no plugin file {path.absolute()}; the path is relative to where you are")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"poseig_plugin_{path.stem}_{digest}"  # two files of one name stay apart
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"Python cannot import the plugin file {path.absolute()}")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import(module: str, spec: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if not _is_part_of(error.name, module):
            raise  # the module is there; one that it needs is not
        raise PluginError(
            f"plugin {spec!r}: no module named {error.name!r}; is it installed, or on PYTHONPATH? "
            "A file that is not installed is given by its path, 'path/file.py'"
        ) from error


def _module_or_attribute(spec: str) -> object:
    parent, _, attribute = spec.rpartition(".")
    try:
        return import_module(spec)
    except ModuleNotFoundError as error:
        if not _is_part_of(error.name, spec):
            raise
        if not parent:
            return _import(spec, spec)  # for its message
    return _attribute(_import(parent, spec), attribute)


def _is_part_of(missing: str | None, module: str) -> bool:
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def _attribute(module: ModuleType, name: str) -> object:
    if not hasattr(module, name):
        classes = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise PluginError(f"module {module.__name__!r} has no {name!r}; {did_you_mean(name, classes)}")
    return getattr(module, name)
