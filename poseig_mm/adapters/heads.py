"""What is read off an MMPose head: the head that gives the coordinates, its input size, its number of joints.

MMPose's VisPredictHead wraps another head, its `pose_head`, to add visibility.  Visibility has no part in the
coordinates, so adapters look through the wrapper: they are chosen by the inner head's class, along its MRO, and run the
inner head alone (the wrapper also changes its features' shape in place).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import AdapterError

WRAPPERS = {"VisPredictHead": "pose_head"}  # class name -> attribute that holds the inner head
HANDS = ("right_hand_head", "left_hand_head")  # InternetHead's, each with its joints' volumes


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


def is_combined(head: Any) -> bool:
    """Whether a joint has a class map and two offset maps (UDP, heatmap_type 'combined') instead of one heatmap."""
    return getattr(getattr(head, "decoder", None), "heatmap_type", "gaussian") == "combined"


def count_joints(head: Any) -> int:
    """How many joints a head predicts: `num_joints`, `num_keypoints` or `out_channels`, a third of these where
    combined; of an InternetHead, those of the volumes of both hands.

    Raises:
        AdapterError: it says none of them.
    """
    if hands := [getattr(head, name) for name in HANDS if hasattr(head, name)]:
        return sum(int(hand.out_channels) // int(hand.depth_size) for hand in hands)
    for name in ("num_joints", "num_keypoints", "out_channels"):
        if isinstance(count := getattr(head, name, None), int):
            return count // 3 if is_combined(head) else count
    raise AdapterError(
        f"{type(head).__name__} has no `num_joints`, `num_keypoints` or `out_channels`; override count_joints() in its "
        "adapter"
    )


def find_input_size(head: Any) -> tuple[int, int]:
    """(w, h) of the network input, px: the `input_size` (or `image_size`) of the head's codec, or of the head.

    Raises:
        AdapterError: neither has one.
    """
    codec = getattr(head, "decoder", None)
    for holder in (codec, getattr(codec, "keypoint_codec", None), head):
        size = getattr(holder, "input_size", getattr(holder, "image_size", None))
        if size is not None:
            return int(size[0]), int(size[1])
    raise AdapterError(
        f"{type(head).__name__} has neither a codec with an `input_size` nor one itself; set `decoder` in the config's "
        "head, or override find_input_size() in its adapter"
    )


def codec_kind(head: Any, known: Iterable[str], adapter: str) -> str:
    """Which of the `known` codecs the head's decoder is, along the decoder's MRO.

    Raises:
        AdapterError: the head has no decoder, or one of a kind that is not known.
    """
    codec = getattr(head, "decoder", None)
    names = [c.__name__ for c in type(codec).__mro__]
    kinds = tuple(known)
    for name in names:
        if name in kinds:
            return name
    got = "no codec" if codec is None else f"the codec {names[0]}"
    raise AdapterError(
        f"{type(head).__name__} has {got}, but adapter {adapter!r} decodes {', '.join(kinds)}; set `decoder` in the "
        "config's head to one of them (or to a subclass), or write an adapter for this head (docs/plugins.md)"
    )


def codec_scale(head: Any) -> tuple[float, float]:
    """Input px per heatmap px (or cell), (x, y): the `scale_factor` of the head's codec."""
    x, y = head.decoder.scale_factor
    return float(x), float(y)
