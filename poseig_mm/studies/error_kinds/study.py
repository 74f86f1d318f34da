"""What kind of error each joint's prediction is, after Ronchi & Perona, crossed with the indices and with AP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError, did_you_mean
from ..base import Study, StudyContext

if TYPE_CHECKING:
    import polars as pl

    from ...store.reader import Store
    from ...types import Finding, Section

__all__ = ["ErrorKinds", "sigmas_of"]

BOX_SHARE = 0.53  # of a person's box is the person, where the annotation has no area (COCO's convention)
CONFUSABLE = ("any", "symmetric")
# COCO's, by part of the body: the annotators' spread as a share of the person's size
COCO_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
_COCO_NAMES = {"nose", *(f"{side}_{part}" for side in ("left", "right") for part in COCO_SIGMAS if part != "nose")}


@dataclass(frozen=True)
class ErrorKinds(Study):
    """Rows: one a person, with the area that makes px into similarities; the kinds follow from the table of joints.

    `joint_kinds(store)` gives them joint by joint.
    """

    name: ClassVar[str] = "error_kinds"

    sigma: float = 0.067  # of every joint where the joints are not COCO's 17; the mean of those 17
    confusable: str = (
        "any"  # a joint can be mistaken for 'any' other, or for its 'symmetric' partner alone, as in coco-analyze
    )

    def __post_init__(self) -> None:
        if self.confusable not in CONFUSABLE:
            hint = did_you_mean(str(self.confusable), CONFUSABLE)
            raise ConfigError(f"study 'error_kinds': confusable is {self.confusable!r}; {hint}")
        if not (isinstance(self.sigma, (int, float)) and 0 < self.sigma < math.inf):
            raise ConfigError(f"study 'error_kinds': sigma is {self.sigma!r}; expected a number above 0")

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """The person's area in px^2 of the original image, which the tables do not hold, and where it is from."""
        sample, reason = finding.sample, ""
        area, source = sample.extra.get("area"), "annotation"
        if area is None or not float(area) > 0:
            box = sample.extra.get("bbox")
            sides = (math.nan, math.nan) if box is None else (box[2] - box[0], box[3] - box[1])
            area, source = BOX_SHARE * sides[0] * sides[1], "box"
        if not float(area) > 0:
            area, source, reason = math.nan, "none", "no_area"
        if context.unit != "px" or finding.prediction.shape[-1] != 2:
            reason = "not_pixels"
        return [{"sample_id": sample.sample_id, "area": float(area), "area_source": source, "reason": reason}]

    def joint_kinds(self, store: Store) -> pl.DataFrame:
        """The table of joints with `ks` and `kind`; null kind: not visible, or without an area.

        Raises:
            StoreError: the study has no rows in this run.
        """
        from .section import joint_kinds

        return joint_kinds(self, store)

    def section(self, store: Store) -> Section:
        """Kinds by joint and group, the indices of each, and what each costs in AP."""
        from .section import error_kinds_section

        return error_kinds_section(self, store)


def sigmas_of(names: Sequence[str], sigma: float) -> tuple[list[float], bool]:
    """Each joint's sigma, and whether they are COCO's own.

    >>> sigmas_of(['wrist', 'tip'], 0.067)
    ([0.067, 0.067], False)
    """
    if set(names) != _COCO_NAMES:
        return [sigma] * len(names), False
    return [COCO_SIGMAS[name.split("_")[-1]] for name in names], True
