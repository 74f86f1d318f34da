"""Which plugins are in: blocks, imports, checks and registers them in a fixed order.  Calling them is manager.py's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

import pluggy

from ..errors import PluginError, describe_error, did_you_mean
from ..markers import PROJECT
from ..version import __version__
from . import specs
from .builtins import short_name
from .loading import plugin_name, resolve
from .records import PluginRecord
from .validation import hooks_of, spec_parameters

_T = TypeVar("_T")
logger = logging.getLogger(__name__)

DISTRIBUTION = "poseig-mm"
HOOKS = spec_parameters(specs)  # name -> names of its parameters


class PluginRegistry:
    """The plugins of one host, by name; blocked names are never imported.

    Attributes:
        manager: pluggy's, with every loaded plugin registered.
        records: every plugin that was found, in load order.
        loaded: those of `records` that are in, by name.
        broken: entry points that could not be loaded, each with its cause.
    """

    def __init__(self, block: Sequence[str] = ()) -> None:
        self._block = _names(block, "block")
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(specs)
        for name in self._block:
            self.manager.set_blocked(name)
        self.records: list[PluginRecord] = []
        self.loaded: dict[str, PluginRecord] = {}
        self.broken: list[tuple[PluginRecord, BaseException]] = []

    def load_builtins(self, builtins: Sequence[str]) -> None:
        """Modules by dotted name.

        Raises:
            PluginError: one cannot be loaded.
        """
        for dotted in _names(builtins, "builtins"):
            record = PluginRecord(short_name(dotted), "built-in", dotted, DISTRIBUTION, __version__, (), "loaded")
            self._add(record, partial(import_module, dotted))

    def load_entry_points(self) -> None:
        """What installed distributions offer, each by itself: one that is broken is one warning."""
        for point in sorted(entry_points(group=PROJECT), key=lambda p: (p.name, p.value)):
            origin = (str(point.dist.name), str(point.dist.version)) if point.dist else ("unknown", "?")
            try:
                self._add(PluginRecord(point.name, "entry point", point.value, *origin, (), "loaded"), point.load)
            except PluginError as error:
                cause = error.__cause__
                self.broken.append((self.records[-1], cause or error))
                logger.warning(
                    "%s It is left out: switch it off with --no-plugin %s, or update or uninstall %s",
                    *(error, point.name, origin[0]),
                )

    def load_config(self, plugins: Sequence[object]) -> None:
        """Plugins that somebody asked for, by what `resolve` takes or as objects.

        Raises:
            PluginError: one cannot be loaded.
        """
        for plugin in _names(plugins, "plugins"):
            if isinstance(plugin, str):
                target, load = plugin, partial(resolve, plugin)
            else:
                target = str(getattr(plugin, "__name__", type(plugin).__name__))  # modules and classes have one
                load = partial(_same, plugin)
            self._add(PluginRecord(plugin_name(target), "config", target, "", "", (), "loaded"), load)
        self.manager.check_pending()  # hooks_of() has refused all it could find: this holds pluggy to the same opinion

    def warn_of_unknown_blocks(self) -> None:
        """A blocked name that nothing has is probably misspelt."""
        known = {record.name for record in self.records}
        for name in self._block:
            if name not in known:
                hint = did_you_mean(name, known)
                logger.warning("--no-plugin %s: nothing that is loaded or installed is called that; %s", name, hint)

    def _add(self, record: PluginRecord, load: Callable[[], object]) -> None:
        if self.manager.is_blocked(record.name):
            self.records.append(replace(record, status="blocked"))
            return
        try:
            plugin = load()
            same = self._loaded_as(plugin)
            if same is not None and record.source == "config":
                logger.info("plugin %s is in already, as %r", record.target, same)
                return
            hooks = self._register(plugin() if isinstance(plugin, type) else plugin, record.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too
            reason = (str(error) if isinstance(error, PluginError) else describe_error(error)).rstrip(".")
            self.records.append(replace(record, status="failed", error=reason.splitlines()[0]))
            raise PluginError(f"plugin {record.owner} cannot be loaded ({reason}).") from error
        if not hooks:
            logger.warning("plugin %s implements no hook; have you forgotten @hookimpl?", record.owner)
        self.loaded[record.name] = replace(record, hooks=hooks)
        self.records.append(self.loaded[record.name])

    def _register(self, plugin: object, name: str) -> tuple[str, ...]:
        if name in self.loaded:
            raise PluginError(f"the name {name!r} is taken by plugin {self.loaded[name].owner}; rename one of them")
        hooks = hooks_of(plugin, HOOKS, self.manager)
        try:
            self.manager.register(plugin, name)
        except Exception:
            if self.manager.get_plugin(name) is plugin:  # releases of pluggy before 1.7 leave it half in
                self.manager.unregister(plugin, name)
            raise
        return hooks

    def _loaded_as(self, target: object) -> str | None:
        """The name under which a module or object, or an object of a class, is in already."""
        for name in self.loaded:
            plugin = self.manager.get_plugin(name)
            if plugin is target or (isinstance(target, type) and type(plugin) is target):
                return name
        return None


def _names(value: Sequence[_T], what: str) -> Sequence[_T]:
    if isinstance(value, str):
        raise PluginError(f"{what} is the str {value!r}; expected a list, [{value!r}]")
    return value


def _same(plugin: object) -> object:
    return plugin
