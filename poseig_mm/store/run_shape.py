"""What run.json must look like for its readers; it may have been edited, or come from somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_Check = Callable[[Any], bool]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _list_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


_OBJECTS = ("acceleration", "agreement", "counts", "dataset", "failure_counts", "identity", "likelihood_scale", "model",
            "peak_memory", "seeds", "settings", "store", "timings", "versions")  # fmt: skip
_SHAPES: dict[str, tuple[_Check, str]] = {
    **dict.fromkeys(_OBJECTS, (_is_object, "an object")),
    **dict.fromkeys(("environments", "failures", "plugins", "preflight"), (_list_of(_is_object), "a list of objects")),
    **dict.fromkeys(("loading_notes", "notes"), (_list_of(_text), "a list of texts")),
    "status": (_text, "a text"),
    "resumes": (lambda value: type(value) is int, "a whole number"),
    "indices": (_list_of(lambda one: _is_index(one)), "a list of objects with a 'name' (and texts in 'comparable_by')"),
    "keypoints": (lambda value: _are_keypoints(value), "names, groups, parents and skeleton that fit together"),
}
_NAMES = ("indices", "relations", "errors", "extra_indices", "extra_relations")  # of `store`, columns of tables


def without_nulls(run: Mapping[str, Any]) -> dict[str, Any]:
    """What has a shape and is null is missing.

    >>> without_nulls({"store": None, "checkpoint": None})
    {'checkpoint': None}
    """
    return {key: value for key, value in run.items() if value is not None or key not in _SHAPES}


def shape_fault(run: Mapping[str, Any]) -> str | None:
    """The first key of a run.json that is not what it should be, and what that is; None: all are.

    >>> shape_fault({"timings": {}, "store": {"indices": [3]}})
    "'store.indices' is [3]; expected a list of texts"
    """
    return next(_faults(run), None)


def _faults(run: Mapping[str, Any]) -> Iterator[str]:
    for key, (check, expected) in _SHAPES.items():
        if run.get(key) is not None and not check(run[key]):
            yield f"{key!r} is {str(run[key])[:60]}; expected {expected}"
    settings = run.get("settings") or {}
    if _is_object(settings) and not _is_object(settings.get("attribution", {})):
        yield f"'settings.attribution' is {str(settings['attribution'])[:60]}; expected an object"
    store = run.get("store", {})
    for key in _NAMES:
        if key in store and not _list_of(_text)(store[key]):
            yield f"'store.{key}' is {str(store[key])[:60]}; expected a list of texts"


def _is_index(value: Any) -> bool:
    return _is_object(value) and _text(value.get("name")) and _list_of(_text)(value.get("comparable_by", []))


def _are_keypoints(value: Any) -> bool:
    if not _is_object(value):
        return False
    names, groups, parents = (value.get(key) for key in ("names", "groups", "parents"))
    if not (_list_of(_text)(names) and _list_of(_text)(groups) and isinstance(parents, list)):
        return False
    count = len(names)

    def is_joint(joint: Any) -> bool:
        return type(joint) is int and 0 <= joint < count

    pairs = _list_of(lambda pair: isinstance(pair, list) and len(pair) == 2 and all(map(is_joint, pair)))
    return (
        len(groups) == len(parents) == count
        and all(parent == -1 or is_joint(parent) for parent in parents)
        and pairs(value.get("skeleton"))
        and pairs(value.get("flip_pairs", []))
        and _list_of(_is_number)(value.get("sigmas", []))
    )
