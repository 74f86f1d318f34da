"""Groups of animals' joints and of garments' landmarks by their names: rules laid down for the data sets of MMPose."""

from __future__ import annotations

import re
from collections.abc import Sequence

# As for persons: shoulders and hips are trunk, what bends between them and the ends is branch, ends (those of the head
# too) are leaf, and the midline from neck to tail is axial.  An insect's leg is numbered from the body outwards.
_PARTS = {
    "axial": "neck throat wither withers center girth thorax abdomen abdomen1 abdomen2 torso_mid_back root_of_tail "
             "tail tailbase tail_top_back tail_mid_back",
    "trunk": "shoulder midshoulder hip ischium foreleg1 midleg1 hindleg1",
    "branch": "elbow f_elbow b_elbow knee f_knee b_knee stifle hindhock antbase foreleg2 midleg2 hindleg2 foreleg3 "
              "midleg3 hindleg3",
    "leaf": "eye ear earbase nose snout head head_mid_top mouth_front_top mouth_front_bottom mouth_back paw f_paw "
            "b_paw front_paw back_paw wrist ankle frontfetlock hindfetlock frontfoot hindfoot foreleg4 midleg4 "
            "hindleg4 wing anttip tailtip tail_end_back",
}  # fmt: skip
_GROUP_OF = {part: group for group, parts in _PARTS.items() for part in parts.split()}
_SIDE_BEFORE = re.compile(r"^(left_|right_|l_|r_|near|off)")  # a horse's near side is its left one
_SIDE_BEHIND = re.compile(r"_(left|right)$")
_SIDE_INSIDE = re.compile(r"(?<=[a-z])[LR](?=\d?$)")  # eyeL, forelegR2
_CLOTHES = {"collar", "sleeve", "waistline", "hem"}  # DeepFashion
_GARMENTS = {  # DeepFashion2
    "sss": "short sleeved shirt", "lss": "long sleeved shirt", "sso": "short sleeved outwear",
    "lso": "long sleeved outwear", "vest": "vest", "sling": "sling", "shorts": "shorts", "trousers": "trousers",
    "skirt": "skirt", "ssd": "short sleeved dress", "lsd": "long sleeved dress", "vd": "vest dress",
    "sd": "sling dress",
}  # fmt: skip


def animal_groups(names: Sequence[str]) -> tuple[str, ...] | None:
    """'axial', 'trunk', 'branch' and 'leaf'; None where a name is not known, or there are none.

    >>> animal_groups(["Root of tail", "L_Shoulder", "R_F_Paw", "Elbow_Left", "forelegL2", "Nearfrontfoot"])
    ('axial', 'trunk', 'leaf', 'branch', 'branch', 'leaf')
    >>> animal_groups(["Neck", "Udder"])
    """
    groups = tuple(_GROUP_OF.get(_part(name), "") for name in names)
    return groups if groups and all(groups) else None


def garment_groups(names: Sequence[str]) -> tuple[str, ...] | None:
    """DeepFashion: 'collar', 'sleeve', 'waistline', 'hem'; DeepFashion2: the garments; else None.

    >>> garment_groups(["left collar", "right hem"]), garment_groups(["vest_kpt1", "sd_kpt19"])
    (('collar', 'hem'), ('vest', 'sling dress'))
    >>> garment_groups(["hem", "lace"])
    """
    parts = [_part(name) for name in names]
    if parts and all(part in _CLOTHES for part in parts):
        return tuple(parts)
    kinds = [re.fullmatch(r"([a-z]+)_kpt\d+", name) for name in names]
    garments = tuple(_GARMENTS.get(kind[1], "") if kind else "" for kind in kinds)
    return garments if garments and all(garments) else None


def _part(name: str) -> str:
    """A name without its side, in lower case."""
    lower = _SIDE_INSIDE.sub("", name).lower().replace(" ", "_")
    return _SIDE_BEHIND.sub("", _SIDE_BEFORE.sub("", lower))
