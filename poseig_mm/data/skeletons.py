"""Groups and parents of joints read off a skeleton's bones, where the joints' names say nothing."""

from __future__ import annotations

from collections.abc import Sequence

Bones = Sequence[tuple[int, int]]
Grouping = tuple[tuple[str, ...], tuple[int, ...]]  # group and parent of each joint
_INNER_FIRST = ("axial", "trunk", "branch")
_HAND = ("wrist", "MCP", "PIP", "DIP", "TIP")  # by the number of bones to the wrist


def five_chains(count: int, skeleton: Bones) -> Grouping | None:
    """A hand: 21 joints, five chains of four that meet in one joint; None for any other skeleton.

    >>> roots = [1, 5, 9, 13, 17]
    >>> bones = [(0, root) for root in roots] + [(root + i, root + i + 1) for root in roots for i in range(3)]
    >>> five_chains(21, bones)[0][:5]
    ('wrist', 'MCP', 'PIP', 'DIP', 'TIP')
    """
    neighbours = _neighbours(count, skeleton)
    roots = [i for i, near in enumerate(neighbours) if len(near) == 5]
    if count != 21 or len(roots) != 1:
        return None
    depth = _distances(roots[0], neighbours)
    per_depth = [list(depth.values()).count(d) for d in range(5)]
    if per_depth != [1, 5, 5, 5, 5] or sum(map(len, neighbours)) != 40:
        return None
    return tuple(_HAND[depth[i]] for i in range(count)), _parents(count, neighbours, depth)


def groups_by_distance(count: int, skeleton: Bones) -> Grouping:
    """'trunk', 'leaf' and 'branch' by the rule of `groups.joint_groups`.

    >>> groups_by_distance(7, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)])  # six in a row, and one without a bone
    (('leaf', 'trunk', 'trunk', 'trunk', 'branch', 'leaf', ''), (1, 2, -1, 2, 3, 4, -1))
    """
    neighbours = _neighbours(count, skeleton)
    groups, parents = [""] * count, [-1] * count
    placed: set[int] = set()
    for start in range(count):
        if start in placed or not neighbours[start]:
            continue
        piece = _distances(start, neighbours)
        root = min(piece, key=lambda i: (max(_distances(i, neighbours).values()), i))
        depth = _distances(root, neighbours)
        inner = _parents(count, neighbours, depth)
        for i, d in depth.items():
            groups[i] = "trunk" if d <= 1 else "leaf" if len(neighbours[i]) == 1 else "branch"
            parents[i] = inner[i]
        placed |= set(depth)
    return tuple(groups), tuple(parents)


def parents_by_groups(groups: Sequence[str], skeleton: Bones) -> tuple[int, ...]:
    """Each joint's neighbour nearer to the roots of its piece: axial joints, else trunk, else branches.

    >>> parents_by_groups(("leaf", "axial", "trunk", "leaf", "branch", "leaf"), [(0, 1), (1, 2), (2, 3), (4, 5)])
    (1, -1, 1, 2, -1, 4)
    """
    neighbours = _neighbours(len(groups), skeleton)
    parents, placed = [-1] * len(groups), set[int]()
    for start in range(len(groups)):
        if start in placed:
            continue
        piece = set(_distances(start, neighbours))
        placed |= piece
        kind = next(kind for kind in (*_INNER_FIRST, groups[start]) if any(groups[i] == kind for i in piece))
        depth = _distances([i for i in sorted(piece) if groups[i] == kind], neighbours)
        inner = _parents(len(groups), neighbours, depth)
        for i in piece:
            parents[i] = inner[i]
    return tuple(parents)


def _neighbours(count: int, skeleton: Bones) -> list[list[int]]:
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for a, b in skeleton:
        if a != b:
            neighbours[a].add(b)
            neighbours[b].add(a)
    return [sorted(near) for near in neighbours]


def _distances(start: int | Sequence[int], neighbours: Sequence[Sequence[int]]) -> dict[int, int]:
    """Number of bones from `start`, or the nearest of several, to every joint that can be reached."""
    frontier = [start] if isinstance(start, int) else list(start)
    distance = dict.fromkeys(frontier, 0)
    while frontier:
        reached = [(n, distance[i] + 1) for i in frontier for n in neighbours[i] if n not in distance]
        distance.update(reached)
        frontier = list(dict.fromkeys(n for n, _ in reached))
    return distance


def _parents(count: int, neighbours: Sequence[Sequence[int]], depth: dict[int, int]) -> tuple[int, ...]:
    """Each joint's first neighbour that is one bone nearer to the root."""
    return tuple(
        next((n for n in neighbours[i] if depth.get(n) == depth[i] - 1), -1) if depth.get(i) else -1
        for i in range(count)
    )
