"""Inversions: a joint predicted at another joint's place; how often, whether its map looked there, and what pulled
it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError, did_you_mean
from ...functional.limbs import limb_shares
from ...seeding import stable_hash
from ..base import Study, StudyContext
from ..pairs import PRESETS, pair_kinds
from .inverted import distances, inverted_pairs

if TYPE_CHECKING:
    import numpy as np

    from ...store.reader import Store
    from ...types import Attribution, Finding, Section

__all__ = ["Inversion"]


@dataclass(frozen=True)
class Inversion(Study):
    """Rows: one an inversion, with its contrastive map T_{a|b} - T_{a|a}: why at b and not at a.

    The map is made as the run's maps are, of joint a alone.  Its shares are of the absolute signed map; `positive` is
    what pulls to b.  Counts are not taken from these rows but from the table of joints, so that none is lost where a
    map failed.
    """

    name: ClassVar[str] = "inversion"
    images_only: ClassVar[bool] = True

    epsilon: float = 10.0  # input px: within it of another joint, and beyond it of its own (as published)
    pairs: str = "corrected"  # of child and parent: 'corrected', or 'as_printed' in the paper (hip for wrist)
    limb_radius: float = 12.0  # input px around a bone; half a thigh's width of a person that fills 256 x 192
    not_inverted: int | None = None  # that many to compare RI with, seeded (100 as published); None: all
    pictures: int = 40  # at most, a random choice of all that does not depend on their order
    seed: int = 0  # of the choice of those not inverted

    def __post_init__(self) -> None:
        if self.pairs not in PRESETS:
            raise ConfigError(f"study 'inversion': pairs is {self.pairs!r}; {did_you_mean(self.pairs, PRESETS)}")
        for setting in ("epsilon", "limb_radius"):
            value = getattr(self, setting)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"study 'inversion': {setting} is {value!r}; expected a number of px above 0")
        if self.pictures < 0 or (self.not_inverted is not None and self.not_inverted < 1):
            raise ConfigError(
                f"study 'inversion': pictures is {self.pictures}, not_inverted {self.not_inverted}; expected at least "
                "0, and at least 1 or None"
            )

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row for each ordered pair (a, b) of this person that is inverted."""
        sample = finding.sample
        if context.unit != "px" or finding.prediction.shape[-1] != 2:
            return [self._row(sample.sample_id, reason="not_pixels")]
        truth, prediction = sample.keypoints.double().cpu().numpy(), finding.prediction.double().cpu().numpy()
        visible = sample.visible.cpu().numpy()
        found = inverted_pairs(truth, prediction, visible, self.epsilon)
        if not found.any():
            return []
        kinds, gap, names = (
            pair_kinds(context.groups, self.pairs),
            distances(truth, prediction),
            context.groups.keypoint_names,
        )
        relation = finding.indices.get("ri")
        rows = []
        for a, b in zip(*(index.tolist() for index in found.nonzero()), strict=True):
            contrast = context.attribute(sample, reference=names[b], contrast="truth", joints=[names[a]], signed=True)
            rows.append(
                self._row(
                    sample.sample_id,
                    joint=a,
                    joint_name=names[a],
                    other=b,
                    other_name=names[b],
                    kind=kinds[a][b],
                    swap=bool(found[b, a]),
                    distance_own=float(gap[a, a]),
                    distance_other=float(gap[a, b]),
                    ri=math.nan if relation is None else float(relation[a, b]),
                    **self._contrast(contrast, a, b, truth, context.groups.parent_of, visible),
                    picture=self._picture(finding, contrast, a, b, context),
                )
            )
        return rows

    def section(self, store: Store) -> Section:
        """Counts from the table of joints, RI from that of relations, contrasts and pictures from this study's."""
        from .section import inversion_section

        return inversion_section(self, store)

    @staticmethod
    def _row(sample_id: str, **known: Any) -> dict[str, Any]:
        """A row with all columns."""
        numbers = (
            "distance_own", "distance_other", "ri", "mass_wrong", "area_wrong", "positive_wrong", "mass_right", "area_right",
            "positive_right", "positive", "soft_distance_other", "map_error",
        )  # fmt: skip
        row: dict[str, Any] = {"sample_id": sample_id, "joint": -1, "joint_name": "", "other": -1, "other_name": ""}
        row |= {"kind": "", "swap": False, **dict.fromkeys(numbers, math.nan), "picture": "", "reason": ""}
        return row | known

    def _contrast(
        self,
        contrast: Attribution,
        a: int,
        b: int,
        truth: np.ndarray[Any, Any],
        parents: Sequence[int],
        visible: np.ndarray[Any, Any],
    ) -> dict[str, Any]:
        """Numbers of the contrastive map: where its mass lies, and which way it pulls."""
        import numpy as np

        numbers: dict[str, Any] = {"reason": contrast.reasons[0][a], "map_error": float(contrast.map_error[0, a])}
        if contrast.soft_coords is not None:
            soft = contrast.soft_coords[0, a].double().cpu().numpy()
            numbers["soft_distance_other"] = float(np.linalg.norm(soft - truth[b]))
        if numbers["reason"]:
            return numbers
        signed = contrast.signed is not None
        values = (contrast.signed if contrast.signed is not None else contrast.maps)[0, a].double().cpu().numpy()
        points = np.where(visible[:, None], truth, np.nan)
        wrong, right = limb_shares(values, a, b, points, parents, self.limb_radius)
        total = float(np.abs(values).sum())
        for side, shares in (("wrong", wrong), ("right", right)):
            numbers |= {f"mass_{side}": shares.mass, f"area_{side}": shares.area}
            numbers[f"positive_{side}"] = shares.positive if signed else math.nan
        numbers["positive"] = float(values[values > 0].sum()) / total if signed and total > 0 else math.nan
        return numbers

    def _picture(self, finding: Finding, contrast: Attribution, a: int, b: int, context: StudyContext) -> str:
        """Stem of the inversion's picture, '' where there is no map or no room for it."""
        if contrast.reasons[0][a] or contrast.signed is None or self.pictures == 0:
            return ""
        from .picture import inversion_picture

        names = context.groups.keypoint_names
        stem = re.sub(r"[^\w.-]", "_", f"{finding.sample.sample_id}--{names[a]}--at--{names[b]}")
        values = contrast.signed[0, a].double().cpu().numpy()
        own = finding.attribution.maps[0, a].double().cpu().numpy()
        image = inversion_picture(finding, own, values, a, b, context.groups)
        path = context.save_picture(self.name, stem, image)
        self._make_room(path.parent, path.suffix)
        return stem

    def _make_room(self, folder: Path, suffix: str) -> None:
        """Keep the pictures whose names have the smallest hashes: the same ones in whatever order they came."""
        kept = sorted(folder.glob(f"*{suffix}"), key=lambda path: (stable_hash(path.stem), path.stem))
        for path in kept[self.pictures :]:
            path.unlink(missing_ok=True)
