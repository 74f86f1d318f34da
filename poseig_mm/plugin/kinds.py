"""What plugins give the host by name, one `Kind` each: a new kind is one entry of `KINDS` (and a hook in specs.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import PluginError
from ..types import Conclusion, JointGroups, Section

INDEX_ATTRIBUTES = ("name", "title", "unit", "range", "requires", "kind")
INDEX_REQUIRES = frozenset({"mask", "heatmaps", "visible"})
INDEX_KINDS = ("joint", "relation")
MOST_PICTURES = 3  # of a conclusion


@dataclass(frozen=True)
class Kind:
    """Entries that a collected hook returns.

    >>> KINDS['paths'].entries({'blur': len})
    [('blur', <built-in function len>)]
    >>> KINDS['paths'].entries({'blur': 3})
    Traceback (most recent call last):
        ...
    poseig_mm.errors.PluginError: poseig_paths: got a int; expected something that can be called
    """

    name: str  # of the catalog's mapping
    label: str  # what messages call an entry
    hook: str
    fault: Callable[[Any], str]  # what is wrong with an entry, '' where nothing is
    by_name: bool = False  # the hook returns a mapping from name to entry, else a sequence of entries with a `name`
    identifiers: bool = False  # a name becomes a column or a folder

    def entries(self, result: object) -> list[tuple[str, Any]]:
        """(name, entry) of all that one plugin's hook returned.

        Raises:
            PluginError: neither a mapping nor a sequence, as `by_name` says; an entry with a fault, or without a name.
        """
        named: list[tuple[Any, Any]]
        if self.by_name and isinstance(result, Mapping):
            named = list(result.items())
        elif not self.by_name and isinstance(result, Sequence) and not isinstance(result, (str, bytes)):
            named = [(getattr(entry, "name", None), entry) for entry in result]
        else:
            expected = (
                "a dict from name to object, {} for nothing" if self.by_name else "a list or tuple, () for nothing"
            )
            raise PluginError(f"{self.hook}: got {_what(result)}; expected {expected}")
        for name, entry in named:
            if fault := self.fault(entry) or self._fault_of_name(name, entry):
                raise PluginError(f"{self.hook}: {fault}")
        return named

    def _fault_of_name(self, name: object, entry: object) -> str:
        if not isinstance(name, str) or not name:
            return f"got {_what(entry)} with the name {name!r}; expected a str that is not empty"
        if self.identifiers and not name.isidentifier():
            return f"{name!r} becomes a column or a folder; expected letters, digits and underscores"
        return ""


def _what(value: object) -> str:
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _adapter_fault(entry: Any) -> str:
    if not isinstance(entry, type):
        return f"got {_what(entry)}; expected the class itself, without ()"
    heads = getattr(entry, "head_types", None)
    if not isinstance(heads, (tuple, list)) or not all(isinstance(head, str) for head in heads):
        return f"{entry.__name__}.head_types is {heads!r}; expected a tuple of class names, e.g. ('HeatmapHead',)"
    return ""


def _class_fault(entry: object) -> str:
    return f"got {_what(entry)}; expected an object: have you forgotten the ()?" if isinstance(entry, type) else ""


def _index_fault(entry: Any) -> str:
    if fault := _class_fault(entry):
        return fault
    missing = [name for name in INDEX_ATTRIBUTES if not hasattr(entry, name)]
    if missing or not callable(entry):
        return f"index {_what(entry)} lacks {', '.join(missing) or '__call__'}"
    if entry.kind not in INDEX_KINDS:
        return f"index {entry.name!r} has kind {entry.kind!r}; expected 'joint' or 'relation'"
    if not isinstance(entry.requires, (set, frozenset)) or not entry.requires <= INDEX_REQUIRES:
        return f"index {entry.name!r} requires {entry.requires!r}; expected a set of {sorted(INDEX_REQUIRES)}"
    if not isinstance(neutral := getattr(entry, "neutral", None), (int, float, type(None))):
        return f"index {entry.name!r} has the neutral value {neutral!r}; expected a number, or None where there is none"
    keys = getattr(entry, "comparable_by", ())
    if not isinstance(keys, (tuple, list)) or not all(isinstance(key, str) for key in keys):
        return f"index {entry.name!r} has comparable_by {keys!r}; expected a tuple of names, e.g. ('height', 'width')"
    return ""


def _function_fault(entry: object) -> str:
    return "" if callable(entry) else f"got {_what(entry)}; expected something that can be called"


def _groups_fault(entry: object) -> str:
    return "" if isinstance(entry, JointGroups) else f"got {_what(entry)}; expected poseig_mm.types.JointGroups"


def _section_fault(entry: object) -> str:
    return "" if isinstance(entry, Section) else f"got {_what(entry)} in its list; expected poseig_mm.Section"


def _conclusion_fault(entry: object) -> str:
    if not isinstance(entry, Conclusion):
        return f"got {_what(entry)} in its list; expected poseig_mm.types.Conclusion"
    if not entry.sentence.strip():
        return f"the conclusion {entry.name!r} has no sentence; expected a plain and complete one"
    if len(entry.pictures) > MOST_PICTURES:
        return f"the conclusion {entry.name!r} has {len(entry.pictures)} pictures; expected at most {MOST_PICTURES}"
    return ""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("adapters", "adapter", "poseig_register_adapters", _adapter_fault),
        Kind("attribution_methods", "attribution method", "poseig_attribution_methods", _function_fault, by_name=True),
        Kind("likelihoods", "likelihood", "poseig_likelihoods", _function_fault, by_name=True),
        Kind("paths", "path", "poseig_paths", _function_fault, by_name=True),
        Kind("indices", "index", "poseig_indices", _index_fault, identifiers=True),
        Kind("studies", "study", "poseig_studies", _class_fault, identifiers=True),
        Kind("treatments", "treatment", "poseig_treatments", _class_fault, identifiers=True),
        Kind("datasets", "data set", "poseig_datasets", _groups_fault, by_name=True),
    )
}
"""What the catalog holds, by the name of its mapping; their hooks are called once."""

SECTIONS = Kind("sections", "section", "poseig_report_sections", _section_fault)
"""Parts of a report: collected as the others, whenever one is built, and not in the catalog."""

CONCLUSIONS = Kind("conclusions", "conclusion", "poseig_conclusions", _conclusion_fault)
"""What stands out in a run: collected as sections are."""

OF_REPORTS = (CONCLUSIONS, SECTIONS)
"""Kinds that are collected from a finished run, where a failure costs its part of the report alone."""

COLLECTED: dict[str, Kind] = {kind.hook: kind for kind in (*KINDS.values(), *OF_REPORTS)}
"""Every kind by its hook."""
