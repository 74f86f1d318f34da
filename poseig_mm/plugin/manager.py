"""The plugin host: finds plugins, loads them in a fixed order, and calls their hooks so that none can stop the others.

pluggy calls last in, first out, and one implementation that raises stops the rest.  So the host calls implementations
itself, one by one, in the order the plugins were loaded (`tryfirst` and `trylast` hold), and turns what they raise into
`Failure`s: also what is no `Exception`, as `sys.exit()` raises.  Only the user's own KeyboardInterrupt passes.
Importing this loads no torch.  All state lives in the host object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from ..errors import PluginError, describe_error, did_you_mean, refuse_changes
from ..types import Failure
from .builtins import BUILTINS
from .catalog import Catalog
from .failure_log import FailureLog
from .kinds import COLLECTED, KINDS, OF_REPORTS
from .records import PluginRecord, format_records
from .registry import HOOKS, PluginRegistry
from .sources import source_hash

__all__ = ["BUILTINS", "PluginHost"]

logger = logging.getLogger(__name__)

ON_ERROR = "poseig_on_error"
SELECT = "poseig_select_adapter"


class PluginHost:
    """All plugins of one run.

    Order: blocking, built-ins, entry points of the group `poseig_mm` sorted by name, then those of the config.

    Args:
        block: names not to load, whatever they are: built-ins (`'report'`), entry points, those of the config.
        plugins: of the config or `-p`: 'pkg.mod', 'pkg.mod.Class', 'path/file.py', 'path/file.py:Class', or objects.
        builtins: dotted names of modules.
        entry_points: whether installed distributions are searched.

    Raises:
        PluginError: a built-in or one of `plugins` is broken.  A broken entry point is one warning and a record.

    >>> host = PluginHost(builtins=(), entry_points=False)
    >>> host.records, host.collect('poseig_indices')
    ((), [])
    """

    def __init__(
        self,
        *,
        block: Sequence[str] = (),
        plugins: Sequence[object] = (),
        builtins: Sequence[str] = BUILTINS,
        entry_points: bool = True,
    ) -> None:
        self._registry = PluginRegistry(block)
        self._log = FailureLog()
        self._in_on_error = False
        self._silenced: set[str] = set()  # plugins whose failing on_error has been logged
        self._registry.load_builtins(builtins)
        if entry_points:
            self._registry.load_entry_points()
        self.add(plugins)
        self._registry.warn_of_unknown_blocks()
        for record, error in self._registry.broken:
            self._tell(error, self._log.add(error, "plugin", plugin=record.name)[0])

    def add(self, plugins: Sequence[object]) -> None:
        """Load further plugins of a config, after those that are in; one that is in already is left as it is.

        Raises:
            PluginError: one of them cannot be loaded.
        """
        self._registry.load_config(plugins)
        self.__dict__.pop("catalog", None)  # it is made anew

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """Every plugin that was found, in load order, with its status."""
        return tuple(self._registry.records)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures kept in full: the first few of each plugin and stage."""
        return tuple(self._log.kept)

    @property
    def failure_counts(self) -> dict[str, dict[str, int]]:
        """How many failures there were, kept or not: plugin -> stage -> n; plugin '' is the session itself."""
        counts: dict[str, dict[str, int]] = {}
        for (plugin, stage), n in self._log.counts.items():
            counts.setdefault(plugin, {})[stage] = n
        return counts

    def signature(self, name: str, things: Sequence[object] = ()) -> str:
        """Which code a plugin is: its version, where it has one, and the hash of its source files.

        Args:
            name: of a loaded plugin.
            things: of the plugin's, that may be made in other files than itself (see `sources.source_hash`).
        """
        source = source_hash(self._registry.manager.get_plugin(name), *things)
        return ", ".join(filter(None, (self._registry.loaded[name].version, source and f"source {source}")))

    def format_records(self) -> str:
        """`records` as a text table, for `--list-plugins`."""
        return format_records(self._registry.records)

    @cached_property
    def catalog(self) -> Catalog:
        """Everything the plugins register, made when first asked for.

        Raises:
            PluginError: a name is given twice; a built-in fails; a plugin of the config returns what it must not.
        """
        entries = [
            (kind.name, name, obj, plugin)
            for kind in KINDS.values()
            for plugin, result in self.collect(kind.hook)
            for name, obj in kind.entries(result)
        ]
        return Catalog(entries, {name: record.owner for name, record in self._registry.loaded.items()})

    def collect(self, hook: str, /, **arguments: Any) -> list[tuple[str, Any]]:
        """(plugin, what it returned), in load order; a plugin that raises or returns the wrong thing is left out.

        Raises:
            PluginError: in a registering hook, from a built-in, or for a wrong result from a plugin of the config.
        """
        self._check_call(hook, arguments, collected=True)
        collected = []
        for name, call in self._implementations(hook, arguments):
            source = self._registry.loaded[name].source
            fatal = source == "built-in"
            try:
                result = call()
                fatal = source != "entry point"  # from here on: a wrong result
                COLLECTED[hook].entries(result)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._give_up(hook, name, error, fatal)
            else:
                collected.append((name, result))
        return collected

    def notify(
        self,
        hook: str,
        /,
        *,
        stage: str,
        sample_id: str = "",
        keep: Callable[[], Callable[[], Sequence[str]]] = lambda: lambda: (),
        **arguments: Any,
    ) -> None:
        """Tell every observer; what one raises is recorded under `stage` and `sample_id`, and the rest are told.

        Args:
            hook: its name.
            stage, sample_id: of a failure.
            keep: called once, before the first observer there is; gives a function that puts back what an observer
                changed in the arguments and names it: that is a failure of the observer.
            arguments: the hook's.
        """
        self._check_call(hook, arguments, collected=False)
        implementations = self._implementations(hook, arguments)
        restore = keep() if implementations else list
        for name, call in implementations:
            try:
                call()
                refuse_changes(restore())
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                restore()  # what raised may have changed something before
                self.record(error, stage, plugin=name, sample_id=sample_id)

    def first(self, hook: str, /, **arguments: Any) -> Any:
        """The first answer that is not None, the plugin loaded last being asked first; None where nobody answers.

        Raises:
            PluginError: a plugin raises before one has answered, or answers with a name that is not there.
        """
        self._check_call(hook, arguments, collected=False)
        for name, call in self._implementations(hook, arguments):
            try:
                answer = call()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise PluginError(
                    f"{hook} of plugin {self._owner(name)} failed ({describe_error(error)}); its answer "
                    f"decides, so the run cannot go on. Switch it off with --no-plugin {name}"
                ) from error
            if hook == SELECT and not (answer is None or answer in arguments["adapters"]):
                raise PluginError(
                    f"{hook} of plugin {self._owner(name)} answered {answer!r}, which is no adapter; "
                    f"{did_you_mean(str(answer), arguments['adapters'])}"
                )
            if answer is not None:
                return answer
        return None

    def record(self, error: BaseException, stage: str, plugin: str = "", sample_id: str = "") -> Failure:
        """Keep a failure that is survived, and tell `poseig_on_error` of all plugins.

        What these raise in turn is logged only; a failure they record themselves is kept, and nobody is told.
        """
        failure, kept = self._log.add(error, stage, plugin=plugin, sample_id=sample_id)
        logger.log(
            logging.WARNING if kept else logging.DEBUG,
            "%s failed%s: %s: %s%s",
            f"plugin {plugin!r}" if plugin else stage,
            (f" at {stage}" if plugin else "") + (f", sample {sample_id}" if sample_id else ""),
            failure.error,
            failure.message,
            " (further failures like this are counted only)" if self._log.is_full(plugin, stage) else "",
        )
        self._tell(error, failure)
        return failure

    def _owner(self, name: str) -> str:
        return self._registry.loaded[name].owner

    def _tell(self, error: BaseException, failure: Failure) -> None:
        if self._in_on_error:
            return
        self._in_on_error = True
        about = {"stage": failure.stage, "plugin_name": failure.plugin, "sample_id": failure.sample_id}
        try:
            for name, call in self._implementations(ON_ERROR, {"error": error, **about}):
                try:
                    call()
                except KeyboardInterrupt:
                    raise
                except BaseException:
                    level = logging.DEBUG if name in self._silenced else logging.WARNING
                    self._silenced.add(name)
                    logger.log(level, "%s of plugin %r failed; it is logged once", ON_ERROR, name, exc_info=True)
        finally:
            self._in_on_error = False

    def _give_up(self, hook: str, name: str, error: BaseException, fatal: bool) -> None:
        of_report = hook in [kind.hook for kind in OF_REPORTS]
        if fatal and not of_report:
            reason = str(error) if isinstance(error, PluginError) else describe_error(error)
            raise PluginError(
                f"plugin {self._owner(name)} cannot be used ({reason}); switch it off with --no-plugin {name}"
            ) from error
        self.record(error, "report" if of_report else "plugin", plugin=name)

    def _check_call(self, hook: str, arguments: Mapping[str, Any], *, collected: bool) -> None:
        """The program's own mistakes, which must not look like a plugin's."""
        if hook not in HOOKS:
            raise PluginError(f"there is no hook {hook!r}; {did_you_mean(hook, HOOKS)}")
        if collected != (hook in COLLECTED) or hook == ON_ERROR:
            raise PluginError(f"{hook} is not called this way; see poseig_mm.plugin.specs")
        if set(arguments) != set(HOOKS[hook]):
            raise PluginError(f"{hook} takes ({', '.join(HOOKS[hook])}), got ({', '.join(arguments)})")

    def _implementations(self, hook: str, arguments: Mapping[str, Any]) -> list[tuple[str, Callable[[], Any]]]:
        """(plugin, its implementation of `hook` with the arguments it names), in the order to ask."""
        implementations = getattr(self._registry.manager.hook, hook).get_hookimpls()  # pluggy calls them from the back
        place = {name: at for at, name in enumerate(self._registry.loaded)}
        if hook == SELECT:
            implementations.reverse()
        else:
            implementations.sort(key=lambda i: (not i.tryfirst, i.trylast, place[i.plugin_name]))
        logger.debug("%s: %s", hook, [i.plugin_name for i in implementations])
        return [(i.plugin_name, partial(i.function, *map(arguments.__getitem__, i.argnames))) for i in implementations]
