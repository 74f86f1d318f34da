"""Which adapter fits a model: by the class of its head, along the MRO, the most specific first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import AdapterError
from .base import CoordinateAdapter
from .heads import coordinate_head

# Heads that inherit from one with an adapter, but whose output means something else; a plugin may name them itself.
UNLIKE_THEIR_BASE = {
    "Heatmap3DHead": "its channels are depth slices of a volume",
}


def select_adapter(model: Any, adapters: Mapping[str, type[CoordinateAdapter]]) -> type[CoordinateAdapter]:
    """The adapter class whose `head_types` names the head's class or, failing that, the nearest of its bases.

    A wrapper such as VisPredictHead is looked through: its inner head decides.

    Args:
        model: an MMPose pose estimator.
        adapters: by name, e.g. `catalog.adapters`.

    Raises:
        AdapterError: the model has no head; no adapter names it or a base of it; or two adapters name the same class.
    """
    estimator = type(model).__name__
    if getattr(model, "head", None) is None:
        raise AdapterError(
            f"{estimator} has no `head`; expected an MMPose pose estimator. Let a plugin choose an adapter with the "
            "hook poseig_select_adapter (docs/plugins.md)"
        )
    head = type(coordinate_head(model))
    for cls in head.__mro__:
        if adapter := _named(cls.__name__, adapters):
            return adapter
        if cls.__name__ in UNLIKE_THEIR_BASE:
            raise AdapterError(_message(head, estimator, adapters, UNLIKE_THEIR_BASE[cls.__name__]))
    raise AdapterError(_message(head, estimator, adapters))


def _named(head: str, adapters: Mapping[str, type[CoordinateAdapter]]) -> type[CoordinateAdapter] | None:
    names = [name for name, adapter in adapters.items() if head in adapter.head_types]
    if len(names) > 1:
        raise AdapterError(
            f"adapters {' and '.join(map(repr, names))} both name {head} in their head_types; let a plugin choose with "
            "the hook poseig_select_adapter, or switch one off with --no-plugin"
        )
    return adapters[names[0]] if names else None


def _message(head: type, estimator: str, adapters: Mapping[str, type[CoordinateAdapter]], why: str = "") -> str:
    known = "; ".join(f"{name} for {', '.join(adapter.head_types)}" for name, adapter in sorted(adapters.items()))
    return (
        f"no adapter turns the output of {head.__name__} (of {estimator}) into coordinates{': ' + why if why else ''}. "
        f"Adapters known: {known or 'none'} (and their subclasses). To write one, subclass "
        "poseig_mm.adapters.base.CoordinateAdapter, name the head in head_types, implement decode(), and return the "
        "class from poseig_register_adapters in a plugin (docs/plugins.md)"
    )
