"""Shortcuts: is a joint read from itself, or from its parent, its partner, a mark, the background?  Where its map
lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ..base import Study, StudyContext
from ..joints import joint_columns, visible_places, visible_truth, why_missing
from .causes import Thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...store.reader import Store
    from ...types import Finding, JointGroups, Section

__all__ = ["SPOTS", "Shortcuts", "partners_of"]

SPOTS = 3  # densest spots a map that are kept; a mark need not be the very densest in every map


@dataclass(frozen=True)
class Shortcuts(Study):
    """Where the evidence of each joint lies, and what the joint is therefore likely read from.

    Rows, one a joint that has a map: `size` of the person and `radius` (input px); `error` of the prediction (px); for
    each place of `functional.evidence` the map's `share_*` and the place's `area_*` (each set sums to 1; share over
    area is the density, 1 = no preference); `parent_apart`, `partner_apart`: whether that joint is visible and its disc
    does not overlap the joint's own.  Of the densest spots, discs of the same radius, the first being the densest:
    offset from the joint (`spot1_x`, `spot1_y`, input px), `spot1_share`, `spot1_area`, and the place of its middle
    (`spot1_place`). `invertible`, `inverted`: whether joint and partner are both visible and apart, and whether the
    prediction is within a radius of the partner and not of the joint.  `reason`: 'no_mask' or 'empty_mask' where person
    and background are not told apart (they are 'unknown'); a row without numbers has 'no_place', 'no_size', or why it
    has no map.
    """

    name: ClassVar[str] = "shortcuts"
    images_only: ClassVar[bool] = True

    radius: float = (
        0.1  # of a person's size (the root of its box's area): on a man of 1.7 m about 0.1 m, hand and wrist
    )
    # of the decision: see `functional.causes.Thresholds`
    fewest: int = Thresholds.fewest
    margin: float = Thresholds.margin
    fixed: float = Thresholds.fixed
    background: float = Thresholds.background
    weak: float = Thresholds.weak
    flipped: float = Thresholds.flipped
    pictures: int = 6  # joints whose mean map is drawn

    def __post_init__(self) -> None:
        from ..choice import check_counts

        check_counts(self, fewest=2, pictures=0)
        shares = ("radius", "fixed", "flipped")
        for setting in (*shares, "margin", "background", "weak"):
            value, most = getattr(self, setting), 1.0 if setting in shares else math.inf
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most:
                limits = f"a number above 0, below {most:g}"
                raise ConfigError(f"study 'shortcuts': {setting} is {value!r}; expected {limits}")

    @property
    def thresholds(self) -> Thresholds:
        """Of the decision."""
        names = ("fewest", "margin", "fixed", "background", "weak", "flipped")
        return Thresholds(**{name: getattr(self, name) for name in names})

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row a joint with a map; joints that were not asked for have none."""
        import numpy as np

        from .evidence import person_size, place_maps

        sample = finding.sample
        truth = visible_truth(finding)
        reasons = why_missing(finding, truth)
        asked = [k for k, reason in enumerate(reasons) if reason not in ("not_visible", "not_asked")]
        places = visible_places(finding)
        if places is None:
            return [_row(finding, context, k, reason="no_place") for k in asked]
        reasons = ["no_place" if not r and p else r for r, p in zip(reasons, places.isnan().any(1), strict=True)]
        points = places.numpy()
        size = person_size(points, sample.extra.get("bbox"), sample.inverse_warp)
        if not math.isfinite(size):
            return [_row(finding, context, k, reason="no_size") for k in asked]
        mask = None if sample.mask is None else sample.mask.cpu().numpy()
        without = "no_mask" if mask is None else "" if mask.any() else "empty_mask"
        maps = finding.attribution.maps[0].float().cpu().numpy()
        height, width = maps.shape[-2:]
        radius = self.radius * size
        parents, partners = context.groups.parent_of, partners_of(context.groups)
        where = place_maps(points, parents, partners, (height, width), radius, None if without else mask)
        found = finding.prediction.double().cpu()
        errors = [float(np.linalg.norm(found[k] - truth[k])) for k in range(len(truth))]
        flat = context.unit == "px" and found.shape[-1] == 2
        prediction = found.numpy() if flat else np.full_like(points, math.nan)  # in space: at no place in the input
        rows = []
        for k in asked:
            known = {"size": size, "radius": radius, "error": errors[k]}
            if reasons[k]:
                rows.append(_row(finding, context, k, **known, reason=reasons[k]))
                continue
            known |= _evidence(maps[k], where[k], points[k], radius)
            known |= _kin(points, prediction, k, parents[k], partners[k], radius)
            rows.append(_row(finding, context, k, **known, reason=without))
        return rows

    def section(self, store: Store) -> Section | None:
        """Joints that are not read from themselves, the shares, and mean maps around suspicious joints."""
        from .section import shortcuts_section

        return shortcuts_section(self, store)


def partners_of(groups: JointGroups) -> tuple[int, ...]:
    """(K,) index of each joint's left-right partner, -1 where it has none.

    >>> from ..types import JointGroups
    >>> partners_of(JointGroups(('nose', 'left_eye', 'right_eye'), ('',) * 3, (-1, 0, 0), ((1, 2),), ()))
    (-1, 2, 1)
    """
    found = [-1] * len(groups.keypoint_names)
    for a, b in groups.flip_pairs:
        found[a], found[b] = b, a
    return tuple(found)


def _row(finding: Finding, context: StudyContext, joint: int, **known: Any) -> dict[str, Any]:
    """A row with all columns."""
    from .evidence import PLACES

    numbers = ("size", "radius", "error", *(f"{kind}_{place}" for place in PLACES for kind in ("share", "area")))
    row = joint_columns(finding, context, joint) | dict.fromkeys(numbers, math.nan)
    row |= {"parent_apart": False, "partner_apart": False}
    for i in range(1, SPOTS + 1):
        row |= {f"spot{i}_{of}": math.nan for of in ("x", "y", "share", "area")} | {f"spot{i}_place": ""}
    return row | {"invertible": False, "inverted": False, "reason": ""} | known


def _evidence(
    values: NDArray[np.floating[Any]], places: NDArray[np.int8], point: NDArray[np.float64], radius: float
) -> dict[str, Any]:
    """Shares and areas of the places, and the densest spots."""
    from .evidence import PLACES, densest_spots, place_areas, place_shares

    row: dict[str, Any] = {}
    for kind, numbers in (("share", place_shares(values, places)), ("area", place_areas(places))):
        row |= {f"{kind}_{place}": float(v) for place, v in zip(PLACES, numbers, strict=True)}
    for i, spot in enumerate(densest_spots(values, radius, SPOTS), 1):
        row |= {f"spot{i}_x": spot.x - float(point[0]), f"spot{i}_y": spot.y - float(point[1])}
        row |= {
            f"spot{i}_share": spot.share,
            f"spot{i}_area": spot.area,
            f"spot{i}_place": PLACES[places[spot.y, spot.x]],
        }
    return row


def _kin(
    points: NDArray[np.float64],
    prediction: NDArray[np.float64],
    joint: int,
    parent: int,
    partner: int,
    radius: float,
) -> dict[str, Any]:
    """Which kin can be told from the joint, and whether the prediction is at the partner."""
    import numpy as np

    row: dict[str, Any] = {}
    for name, other in (("parent", parent), ("partner", partner)):
        gap = float(np.linalg.norm(points[other] - points[joint])) if other >= 0 else math.nan
        row[f"{name}_apart"] = gap > 2 * radius  # False where it is not known
    row["invertible"] = row["partner_apart"] and bool(np.isfinite(prediction[joint]).all())
    if row["invertible"]:
        there, here = (float(np.linalg.norm(prediction[joint] - points[j])) for j in (partner, joint))
        row["inverted"] = there <= radius < here
    return row
