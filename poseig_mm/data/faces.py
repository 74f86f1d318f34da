"""Groups of facial landmarks, whose names are numbers: known by how many there are, and the midline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# number of landmarks -> groups in the order of the landmarks, and the landmarks that are no mirror partner's
_SCHEMES: dict[int, tuple[tuple[tuple[str, int], ...], frozenset[int]]] = {
    # iBUG (300-W, 300-VW, 300W-LP; the faces of COCO-WholeBody and Halpe)
    68: (
        (("jaw", 17), ("eyebrow", 10), ("nose", 9), ("eye", 12), ("mouth", 20)),
        frozenset({8, 27, 28, 29, 30, 33, 51, 57, 62, 66}),
    ),
    # WFLW; the last two are the pupils
    98: (
        (("jaw", 33), ("eyebrow", 18), ("nose", 9), ("eye", 16), ("mouth", 20), ("eye", 2)),
        frozenset({16, 51, 52, 53, 54, 57, 79, 85, 90, 94}),
    ),
    # LaPa; the last two are the pupils
    106: (
        (("jaw", 33), ("eyebrow", 18), ("nose", 15), ("eye", 18), ("mouth", 20), ("eye", 2)),
        frozenset({16, 51, 52, 53, 54, 60, 87, 93, 98, 102}),
    ),
    # COFW; the last one is the chin
    29: (
        (("eyebrow", 8), ("eye", 10), ("nose", 4), ("mouth", 6), ("jaw", 1)),
        frozenset({20, 21, 24, 25, 26, 27, 28}),
    ),
    # AFLW without ears; the last one is the chin
    19: (
        (("eyebrow", 6), ("eye", 6), ("nose", 3), ("mouth", 3), ("jaw", 1)),
        frozenset({13, 16, 18}),
    ),
}  # fmt: skip
_WITHOUT_PAIRS = {"300wlp"}


def face_groups(count: int, flip_pairs: Iterable[Sequence[int]], dataset: str = "") -> tuple[str, ...] | None:
    """'jaw', 'eyebrow', 'nose', 'eye' and 'mouth' of the landmarks of a known scheme; None of any other.

    Args:
        count: landmarks.
        flip_pairs: of mirror partners, both numbered within the face; they must be the scheme's: no partners in two
            groups, and the landmarks without a partner where its midline is.
        dataset: its name; MMPose gives 300W-LP no pairs.

    >>> pairs = [(0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)]
    >>> face_groups(19, pairs)[5:8], face_groups(19, pairs[:-1])
    (('eyebrow', 'eye', 'eye'), None)
    """
    if count not in _SCHEMES:
        return None
    parts, midline = _SCHEMES[count]
    groups = tuple(group for group, number in parts for _ in range(number))
    pairs = [(a, b) for a, b in flip_pairs if a != b]
    alone = set(range(count)) - {i for pair in pairs for i in pair}
    if not pairs and dataset in _WITHOUT_PAIRS:
        return groups
    if alone != midline or any(groups[a] != groups[b] for a, b in pairs):
        return None
    return groups
