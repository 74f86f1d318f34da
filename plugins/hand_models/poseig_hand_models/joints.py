"""The 21 joints of a hand in the orders that are in use, and which vertices of MANO's mesh stand for the fingertips.

FreiHAND's order (also DexYCB's and MMPose's): wrist, then thumb, index, middle, ring, little, four each from base to
tip. MANO's order: wrist, index 1-3, middle 1-3, little 1-3, ring 1-3, thumb 1-3.  MANO has no fingertips: each code
base appends five vertices of the mesh, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from poseig_mm.errors import ConfigError, did_you_mean

__all__ = ["FINGERS", "MANO_PARENTS", "NAMES", "TIPS", "order_to_freihand", "tips_of"]

FINGERS = ("thumb", "index", "middle", "ring", "little")
NAMES = ("wrist", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3, 4)))
MANO_FINGERS = ("index", "middle", "little", "ring", "thumb")
MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)

# Preset -> vertex of each fingertip, in the order in which that source appends them
TIPS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "handmesh": dict(index=333, middle=444, little=672, ring=555, thumb=744),
        "i2l": dict(thumb=745, index=317, middle=445, ring=556, little=673),
        "manopth_right": dict(thumb=745, index=317, middle=444, ring=556, little=673),
        "manopth_left": dict(thumb=745, index=317, middle=445, ring=556, little=673),
        "handoccnet_extra": dict(thumb=728, index=353, middle=442, ring=576, little=694),
        "freihand": dict(thumb=744, index=320, middle=443, ring=555, little=672),
    }
)


def tips_of(tips: str | Mapping[str, int]) -> dict[str, int]:
    """Finger -> vertex, in the order in which they are appended to MANO's 16 joints.

    Args:
        tips: a preset of `TIPS`, or a vertex for each of the five `FINGERS`.

    Raises:
        ConfigError: no such preset, or other fingers.

    >>> tips_of('handmesh')['thumb']
    744
    """
    if isinstance(tips, str):
        if tips not in TIPS:
            raise ConfigError(f"there is no preset of fingertips {tips!r}; {did_you_mean(tips, TIPS)}")
        return dict(TIPS[tips])
    if set(tips) != set(FINGERS):
        raise ConfigError(
            f"fingertips are given for {', '.join(tips)}; expected a vertex for each of {', '.join(FINGERS)}"
        )
    return {finger: int(vertex) for finger, vertex in tips.items()}


def order_to_freihand(tips: str | Mapping[str, int]) -> tuple[int, ...]:
    """Where each of FreiHAND's 21 joints stands among MANO's 16 and the five appended tips.

    >>> order_to_freihand('handmesh')
    (0, 13, 14, 15, 20, 1, 2, 3, 16, 4, 5, 6, 17, 10, 11, 12, 19, 7, 8, 9, 18)
    >>> order_to_freihand('i2l')
    (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
    """
    appended = list(tips_of(tips))
    found = [0]
    for finger in FINGERS:
        first = 1 + 3 * MANO_FINGERS.index(finger)
        found += [first, first + 1, first + 2, 16 + appended.index(finger)]
    return tuple(found)
