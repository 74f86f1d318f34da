"""What the collected hooks may return, checked while it is still known whose it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import PluginError
from ..types import Section

__all__ = ["KINDS", "LABELS", "check_result", "named_entries"]

# What the catalog holds, and the hook it comes from.
KINDS: dict[str, str] = {
    "adapters": "poseig_register_adapters",
    "attribution_methods": "poseig_attribution_methods",
    "likelihoods": "poseig_likelihoods",
    "paths": "poseig_paths",
    "indices": "poseig_indices",
    "studies": "poseig_studies",
    "datasets": "poseig_datasets",
}
LABELS: dict[str, str] = {
    "adapters": "adapter",
    "attribution_methods": "attribution method",
    "likelihoods": "likelihood",
    "paths": "path",
    "indices": "index",
    "studies": "study",
    "datasets": "data set",
}
INDEX_ATTRIBUTES = ("name", "title", "unit", "range", "requires", "kind")
INDEX_REQUIRES = frozenset({"mask", "heatmaps", "visible"})
INDEX_KINDS = ("joint", "relation")


def check_result(hook: str, result: object) -> None:
    """Raises `PluginError` where `result` is not what `hook` returns; hooks that return nothing are not checked."""
    if hook in KINDS.values():
        named_entries(hook, result)
    elif hook == "poseig_report_sections":
        for entry in _sequence(hook, result):
            if not isinstance(entry, Section):
                raise PluginError(f"{hook} returned {_what(entry)} in its list; expected poseig_mm.Section")


def named_entries(hook: str, result: object) -> list[tuple[str, Any]]:
    """(name, object) of everything a registering hook returned.

    Raises:
        PluginError: neither a mapping nor a sequence, as the hook's specification says; an entry without a name, or
            without what the rest of the program needs of it.
    """
    if hook in _MAPPING_CHECKS:
        entries = _items(hook, result)
        check = _MAPPING_CHECKS[hook]
    else:
        check = _SEQUENCE_CHECKS[hook]
        entries = [(getattr(entry, "name", None), entry) for entry in _sequence(hook, result)]
    named = []
    for name, entry in entries:
        check(hook, entry)
        if not isinstance(name, str) or not name:
            raise PluginError(
                f"{hook} returned {_what(entry)} with the name {name!r}; expected a str that is not empty"
            )
        if hook in ("poseig_indices", "poseig_studies") and not name.isidentifier():
            raise PluginError(
                f"{hook}: {name!r} becomes a column or a folder; expected letters, digits and underscores"
            )
        named.append((name, entry))
    return named


def _sequence(hook: str, result: object) -> Sequence[Any]:
    if isinstance(result, Sequence) and not isinstance(result, (str, bytes)):
        return result
    raise PluginError(f"{hook} returned {_what(result)}; expected a list or tuple, () for nothing")


def _items(hook: str, result: object) -> list[tuple[Any, Any]]:
    if isinstance(result, Mapping):
        return list(result.items())
    raise PluginError(f"{hook} returned {_what(result)}; expected a dict from name to object, {{}} for nothing")


def _what(value: object) -> str:
    return "None" if value is None else f"{'the class' if isinstance(value, type) else 'a'} {_type_name(value)}"


def _type_name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _check_adapter(hook: str, entry: Any) -> None:
    if not isinstance(entry, type):
        raise PluginError(f"{hook} returned {_what(entry)}; expected the class itself, without ()")
    heads = getattr(entry, "head_types", None)
    if not isinstance(heads, (tuple, list)) or not all(isinstance(head, str) for head in heads):
        raise PluginError(
            f"{hook}: {entry.__name__}.head_types is {heads!r}; expected a tuple of class names, e.g. ('HeatmapHead',)"
        )


def _check_instance(hook: str, entry: Any) -> None:
    if isinstance(entry, type):
        raise PluginError(f"{hook} returned {_what(entry)}; expected an object: have you forgotten the ()?")


def _check_index(hook: str, entry: Any) -> None:
    _check_instance(hook, entry)
    missing = [name for name in INDEX_ATTRIBUTES if not hasattr(entry, name)]
    if missing or not callable(entry):
        raise PluginError(f"{hook}: index {_what(entry)} lacks {', '.join(missing) or '__call__'}")
    if entry.kind not in INDEX_KINDS:
        raise PluginError(f"{hook}: index {entry.name!r} has kind {entry.kind!r}; expected 'joint' or 'relation'")
    if not isinstance(entry.requires, (set, frozenset)) or not entry.requires <= INDEX_REQUIRES:
        raise PluginError(
            f"{hook}: index {entry.name!r} requires {entry.requires!r}; expected a set of {sorted(INDEX_REQUIRES)}"
        )


def _check_callable(hook: str, entry: Any) -> None:
    if not callable(entry):
        raise PluginError(f"{hook} returned {_what(entry)}; expected something that can be called")


def _check_dataset(hook: str, entry: Any) -> None:
    _check_instance(hook, entry)
    if not hasattr(entry, "groups"):
        raise PluginError(f"{hook} returned {_what(entry)}; expected poseig_mm.data.datasets.DatasetInfo")


_SEQUENCE_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "poseig_register_adapters": _check_adapter,
    "poseig_indices": _check_index,
    "poseig_studies": _check_instance,
}
_MAPPING_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "poseig_attribution_methods": _check_callable,
    "poseig_likelihoods": _check_callable,
    "poseig_paths": _check_callable,
    "poseig_datasets": _check_dataset,
}
