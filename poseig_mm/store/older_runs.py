"""What run.json of earlier versions did not say, filled in when it is read: the one place that knows of them."""

from __future__ import annotations

from typing import Any


def _index(
    title: str,
    meaning: str,
    neutral: float | None = None,
    kind: str = "joint",
    error: str = "",
    comparable_by: tuple[str, ...] = (),
) -> dict[str, Any]:
    return {
        "title": title,
        "unit": "",
        "meaning": meaning,
        "neutral": neutral,
        "kind": kind,
        "error": error,
        "comparable_by": list(comparable_by),
    }


_BY_SIGMA = ("locality.weight", "locality.input_size", "locality.stride", "frame")


# These were known by name wherever they were shown, and were columns of every run.
_JOINT = {
    "di": _index(
        "DI",
        "diffusion: 0 one pixel, 100 the whole image alike",
        error="di_error",
        comparable_by=("height", "width", "frame"),
    ),
    "fi": _index(
        "FI",
        "foreground: 1 no preference for the person, more is more",
        1.0,
        error="fi_error",
        comparable_by=("mask_source", "frame"),
    ),
    "li": _index(
        "LI",
        "locality: 1 no preference for the joint's surroundings, more is more",
        1.0,
        error="li_error",
        comparable_by=_BY_SIGMA,
    ),
}
_OF_RI = "how much more of a joint's map (row) is around another joint (column) than of an even map; diagonal: LI"
_RELATION = {"ri": _index("RI", _OF_RI, 1.0, "relation", comparable_by=_BY_SIGMA)}


def filled_in(run: dict[str, Any]) -> dict[str, Any]:
    """The content of a run.json with `indices` as they are described now, the columns that its tables have, and the
    settings that could not be chosen then.

    >>> old = {'indices': [{'name': 'ci', 'title': 'Centre', 'unit': 'px', 'kind': 'joint'}], 'store': {}}
    >>> filled_in(old)['indices']  # doctest: +NORMALIZE_WHITESPACE
    [{'title': 'Centre', 'unit': 'px', 'meaning': '', 'neutral': None, 'kind': 'joint', 'error': '',
      'comparable_by': [], 'name': 'ci'}]
    >>> [index['title'] for index in filled_in({})['indices']]
    ['DI', 'FI', 'LI', 'RI']
    >>> filled_in({'indices': [], 'store': {'indices': ['di']}})['indices']
    []
    >>> filled_in({'settings': {'attribution': {}}})['settings']
    {'attribution': {'tol_scale': 0.0, 'indices_over': 'input'}}
    """
    store = dict(run.get("store", {}))
    indices = run.get("indices")
    if indices is None or (not indices and "indices" not in store):
        indices = [{"name": name} for name in _JOINT | _RELATION]
    if "indices" not in store:
        store["indices"] = [*_JOINT, *store.pop("extra_indices", ())]
        store["relations"] = [*_RELATION, *store.pop("extra_relations", ())]
    settings = run.get("settings", {})
    if isinstance(settings.get("attribution"), dict):
        attribution = {"tol_scale": 0.0, "indices_over": "input", **settings["attribution"]}
        run = {**run, "settings": {**settings, "attribution": attribution}}
        if "locality" not in run:
            run["locality"] = _locality(attribution, run.get("model") or {})
    return {**run, "indices": [_described(index) for index in indices], "store": store}


def _described(index: dict[str, Any]) -> dict[str, Any]:
    """What it says of itself, with what it could not say yet."""
    known = (_JOINT | _RELATION).get(index["name"], {})
    if "neutral" not in index:
        return {**_index(index["name"], ""), **index, **known}
    return index if "comparable_by" in index else {**index, "comparable_by": known.get("comparable_by", [])}


def _locality(attribution: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Which Gaussian LI has; the stride of a published one was not said."""
    size = {"input_size": model["input_size"]} if "input_size" in model else {}
    return {"weight": attribution.get("locality", "exact"), **size}
