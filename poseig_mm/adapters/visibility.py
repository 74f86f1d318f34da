"""Heads that wrap another head: MMPose's VisPredictHead adds visibility to whatever head its `pose_head` is.

Visibility has no part in the coordinates, so adapters look through the wrapper: they are chosen by the inner head's class,
along its MRO, and run the inner head alone (the wrapper also changes its features' shape in place).
"""

from __future__ import annotations

from typing import Any

__all__ = ["WRAPPERS", "coordinate_head"]

WRAPPERS = {"VisPredictHead": "pose_head"}  # class name -> attribute that holds the inner head


def coordinate_head(model: Any) -> Any:
    """The head that predicts coordinates: the model's, or the one inside a wrapper; None where there is no head.

    >>> from types import SimpleNamespace
    >>> class VisPredictHead:
    ...     pose_head = 'a HeatmapHead'
    >>> coordinate_head(SimpleNamespace(head=VisPredictHead()))
    'a HeatmapHead'
    """
    head = getattr(model, "head", None)
    while attribute := next((WRAPPERS[c.__name__] for c in type(head).__mro__ if c.__name__ in WRAPPERS), None):
        head = getattr(head, attribute)
    return head
