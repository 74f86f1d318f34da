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
        return _attribute(_import_file(Path(match["path"]).expanduser()), match["attribute"])
    if match := _DOTTED.fullmatch(spec):
        return _import(spec, match["module"], match["attribute"])
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


def _import(spec: str, name: str, attribute: str | None) -> object:
    """A module, or what is called `attribute` in it; without `attribute` the last part of the name may be one too."""
    try:
        return _attribute(import_module(name), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there; one that it needs is not
        parent, _, last = name.rpartition(".")
        if error.name == name and parent and attribute is None:
            return _attribute(import_module(parent), last)
        raise PluginError(
            f"plugin {spec!r}: no module named {error.name!r}; is it installed, or on PYTHONPATH? "
            "A file that is not installed is given by its path, 'path/file.py'"
        ) from error


def _attribute(module: ModuleType, name: str | None) -> object:
    if name is None:
        return module
    if not hasattr(module, name):
        classes = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise PluginError(f"module {module.__name__!r} has no {name!r}; {did_you_mean(name, classes)}")
    return getattr(module, name)
