"""Inversions: a joint predicted at another joint's place; how often, and what pulled it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...seeding import stable_hash
from ...store.file_names import file_stem
from ...store.reader import Store
from ...types import Attribution, Finding, Section
from ..base import Study, StudyContext
from .rows import InversionSettings, contrast_numbers, inversion_rows, row_without_numbers


@dataclass(frozen=True)
class Inversion(InversionSettings, Study):
    """Rows: one an inversion, with its contrastive map T_{a|b} - T_{a|a}: why at b and not at a.

    The map is made as the run's maps are, of joint a alone.  Its shares are of the absolute signed map; `positive` is
    what pulls to b.  A run without maps has none: the reason is 'no_map'.  Counts are not taken from these rows but
    from the table of joints, so that none is lost where a map failed.
    """

    name: ClassVar[str] = "inversion"
    needs_annotations: ClassVar[bool] = True
    images_only: ClassVar[bool] = True
    needs_maps: ClassVar[bool] = False

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row for each ordered pair (a, b) of this person that is inverted."""
        sample, names = finding.sample, context.groups.keypoint_names
        if context.unit != "px" or finding.prediction.shape[-1] != 2:
            return [row_without_numbers(sample.sample_id, reason="not_pixels")]
        rows = []
        for row in inversion_rows(finding, context, self):
            a, b = row["joint"], row["other"]
            if finding.attribution.reasons[a] == "no_map":
                rows.append({**row, "reason": "no_map"})
                continue
            contrast = context.attribute(sample, reference=names[b], contrast="truth", joints=[names[a]], signed=True)
            row |= contrast_numbers(contrast, a, b, finding, context.groups.parent_of, self.limb_radius)
            rows.append({**row, "picture": self._picture(finding, contrast, a, b, context)})
        return rows

    def section(self, store: Store) -> Section:
        """Counts from the table of joints, RI from that of relations, contrasts and pictures from this study's."""
        from .section import inversion_section

        return inversion_section(store, self.name, self)

    def _picture(self, finding: Finding, contrast: Attribution, a: int, b: int, context: StudyContext) -> str:
        """Stem of the inversion's picture, '' where there is no map or no room for it."""
        if contrast.reasons[a] or contrast.signed is None or self.pictures == 0:
            return ""
        from .picture import inversion_picture

        names = context.groups.keypoint_names
        stem = file_stem(
            f"{finding.sample.sample_id}--{a}-{names[a]}--at--{b}-{names[b]}"
        )  # two joints may share a name
        values = contrast.signed[a].double().cpu().numpy()
        own = finding.attribution.maps[a].double().cpu().numpy()
        image = inversion_picture(finding, own, values, a, b, context.groups)
        path = context.save_picture(self.name, stem, image)
        # those whose names have the smallest hashes stay: the same ones in whatever order they came
        kept = sorted(path.parent.glob("*.jpg"), key=lambda p: (stable_hash(p.stem), p.stem))
        for superfluous in kept[self.pictures :]:
            superfluous.unlink(missing_ok=True)
        return stem
