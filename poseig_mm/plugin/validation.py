"""What is wrong with a plugin can be seen when it loads: faults that pluggy would let pass in silence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pluggy import PluginManager

from ..errors import PluginError, did_you_mean
from ..markers import PROJECT

PREFIX = "poseig_"  # names of a plugin that begin so are hooks, and nothing else
_KINDS_PASSED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def spec_parameters(specs: object) -> dict[str, tuple[str, ...]]:
    """Names of all hooks in `specs`, with the names of their parameters."""
    return {
        name: tuple(inspect.signature(function).parameters)
        for name, function in vars(specs).items()
        if hasattr(function, f"{PROJECT}_spec")
    }


def hooks_of(plugin: object, known: Mapping[str, tuple[str, ...]], manager: PluginManager) -> tuple[str, ...]:
    """The hooks that `plugin` (a module or an object) implements, in the order of `known`.

    Raises:
        PluginError: an unknown hook; a hook without `@hookimpl`; a parameter the hook hasn't, or one with a default,
            which pluggy before 1.7 does not pass; a wrapper, generator or coroutine, which would do nothing when it is
            called alone; None.
    """
    if plugin is None:
        raise PluginError("a plugin is a module, a class or an object; got None")
    implemented = set()
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            if attribute.startswith(PREFIX):
                _check_unmarked(plugin, attribute, known)
            continue
        hook = options.get("specname") or attribute
        if hook in known:
            _check_implementation(hook, getattr(plugin, attribute), known[hook])
            implemented.add(hook)
        elif not options.get("optionalhook"):
            raise PluginError(f"there is no hook {hook!r}; {did_you_mean(hook, known)}")
    return tuple(hook for hook in known if hook in implemented)


def _check_unmarked(plugin: object, attribute: str, known: Mapping[str, tuple[str, ...]]) -> None:
    value = inspect.getattr_static(plugin, attribute)
    if hasattr(value, f"{PROJECT}_spec") or not (inspect.isroutine(value) or isinstance(value, property)):
        return
    hint = "have you forgotten @hookimpl?" if attribute in known else f"as a hook: {did_you_mean(attribute, known)}"
    raise PluginError(f"{attribute} begins with {PREFIX!r} but is not marked as a hook; {hint} Else rename it.")


def _check_implementation(hook: str, function: Callable[..., Any], expected: tuple[str, ...]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise PluginError(
            f"{hook} is a wrapper, generator or coroutine; expected a plain function: plugins are called one by one, "
            "so it would wrap nothing, and nobody would run its body. Use return in the place of yield"
        )
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in _KINDS_PASSED:
            raise PluginError(
                f"{hook} has the parameter {parameter}, which never receives anything; name those it needs "
                f"of: {', '.join(expected) or '(it has none)'}"
            )
        if name not in expected:
            raise PluginError(f"{hook} has no parameter {name!r}; {did_you_mean(name, expected)}")
        if parameter.default is not inspect.Parameter.empty:
            raise PluginError(
                f"{hook} gives its parameter {name!r} a default value; pluggy before 1.7 never passes the real one. "
                f"Write {name!r} without '='"
            )
