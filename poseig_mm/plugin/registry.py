"""Which plugins are in: blocks, imports, checks and registers them in a fixed order.  Calling them is manager.py's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import pluggy

from .. import __version__
from ..errors import PluginError, did_you_mean
from . import specs
from .builtins import short_name
from .loading import plugin_name, resolve
from .markers import PROJECT
from .records import PluginRecord
from .validation import hooks_of, spec_parameters

__all__ = ["HOOKS", "PluginRegistry"]

logger = logging.getLogger(__name__)

DISTRIBUTION = "poseig-mm"
HOOKS = spec_parameters(specs)  # name -> names of its parameters


class PluginRegistry:
    """Loads in this order: blocking, built-ins, entry points sorted by name, plugins of the config.

    Attributes:
        manager: pluggy's, with every loaded plugin registered.
        records: every plugin that was found, in load order.
        loaded: those of `records` that are in, by name.
        broken: entry points that could not be loaded, each with its cause.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(specs)
        self.records: list[PluginRecord] = []
        self.loaded: dict[str, PluginRecord] = {}
        self.broken: list[tuple[PluginRecord, Exception]] = []

    def load(self, block: Sequence[str], builtins: Sequence[str], search: bool, plugins: Sequence[object]) -> None:
        """Load everything, once; the arguments are `PluginHost`'s.

        Raises:
            PluginError: a built-in or one of `plugins` cannot be loaded.
        """
        for name in block:
            self.manager.set_blocked(name)
        for dotted in builtins:
            record = PluginRecord(short_name(dotted), "built-in", dotted, DISTRIBUTION, __version__, (), "loaded")
            self._add(record, partial(import_module, dotted))
        if search:
            for point in sorted(entry_points(group=PROJECT), key=lambda p: (p.name, p.value)):
                self._add_entry_point(point)
        for plugin in plugins:
            if isinstance(plugin, str):
                self._add(_config_record(plugin_name(plugin), plugin), partial(resolve, plugin))
            else:
                named = plugin if hasattr(plugin, "__name__") else type(plugin)  # modules and classes, or an object
                title = str(named.__name__)  # type: ignore[attr-defined]
                self._add(_config_record(plugin_name(title), title), partial(_as_is, plugin))
        self.manager.check_pending()  # hooks_of() has refused all it could find: this holds pluggy to the same opinion
        known = {record.name for record in self.records}
        for name in block:
            if name not in known:
                logger.warning("no plugin is called %r, so none is blocked; %s", name, did_you_mean(name, known))

    def _add_entry_point(self, point: EntryPoint) -> None:
        """Load one installed plugin; one that is broken is one warning."""
        distribution, version = (str(point.dist.name), str(point.dist.version)) if point.dist else ("unknown", "?")
        record = PluginRecord(point.name, "entry point", point.value, distribution, version, (), "loaded")
        try:
            self._add(record, point.load)
        except PluginError as error:
            cause = error.__cause__
            self.broken.append((self.records[-1], cause if isinstance(cause, Exception) else error))
            logger.warning(
                "%s It is left out: switch it off with --no-plugin %s, or update or uninstall %s",
                *(error, point.name, distribution),
            )

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
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".rstrip(".")
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


def _config_record(name: str, target: str) -> PluginRecord:
    return PluginRecord(name, "config", target, "", "", (), "loaded")


def _as_is(plugin: object) -> object:
    return plugin
