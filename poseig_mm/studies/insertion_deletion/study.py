"""Insertion and deletion curves: how fast a joint is lost, or found, as pixels go, or come, in the order of its map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ...settings_fields import checked, number, one_of, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from ..joints import joint_columns, why_missing

if TYPE_CHECKING:
    from torch import Tensor


def _from_0_to_1(fractions: Sequence[float]) -> bool:
    return (*fractions[:1], *fractions[-1:]) == (0, 1) and all(a < b for a, b in pairwise(fractions))


@dataclass(frozen=True)
class InsertionDeletion(Study):
    """Deletion replaces the first fraction of the pixels by a baseline, insertion starts there and reveals them.

    One row a sample, joint and kind.  Measured on the differentiable coordinates: the likelihood exp(-alpha d) and d
    itself, the distance from the point that the run's target refers to (`Finding.reference`; the truth by default, so
    that d is the EPE of these coordinates).  `value_i` and `error_i` are their curves over the fractions, `random_i`
    and `random_error_i` those of random orders (mean over draws, the same draws for all joints of a person), `area...`
    the areas below, and `difference...` the map's area minus the random one: a good map has less likelihood left in
    deletion, more in insertion.
    """

    name: ClassVar[str] = "insertion_deletion"
    images_only: ClassVar[bool] = True

    # of all pixels
    fractions: Sequence[float] = checked(
        (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1), "numbers that rise from 0 to 1", _from_0_to_1
    )
    # 'blur': gamma(0) of the default blur path; 'mean': the image's own mean colour
    baseline: str = one_of("blur", "mean")
    # per unit of the coordinates; None: 0.075 a px (the paper's 0.3 a heatmap pixel at stride 4), else 1 / the run's
    # median error
    alpha: float | None = number(None, above=0)
    n_random: int = whole(3, least=1)  # random orders a person; all joints share them, so they cost little

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a joint and kind; a joint without a map or a point to measure from has NaN and a reason."""
        import torch

        from ...functional.insertion_deletion import deletion_images, insertion_images, random_order, ranked_order
        from ...functional.paths import LinearPath
        from ...seeding import generator_of

        maps = finding.attribution.maps
        image, reference = finding.sample.image.to(maps), finding.reference.double().cpu()
        baseline = LinearPath(self.baseline).baseline_of(image[None])[0]
        generator = generator_of(context.seed, finding.sample.sample_id, self.name)
        orders = [random_order(image[0].numel(), generator).to(maps.device) for _ in range(self.n_random)]
        reasons = why_missing(finding, reference)
        unknown = torch.full((1, len(self.fractions)), math.nan, dtype=torch.float64)
        rows: list[dict[str, Any]] = []
        for kind, images in (("deletion", deletion_images), ("insertion", insertion_images)):
            curves: list[Tensor] = []  # of the random orders, all joints: (F, K) each
            if not all(reasons):
                curves = [_distances(context, images(image, baseline, self.fractions, o), reference) for o in orders]
            for k, reason in enumerate(reasons):
                about = {**joint_columns(finding, context, k), "kind": kind, "unit": context.unit, "reason": reason}
                mine, chance = unknown[0], unknown
                if not reason:
                    order = ranked_order(maps[k], orders[0])
                    inner = images(image, baseline, self.fractions[1:-1], order)
                    ends, chance = curves[0][[0, -1], k], torch.stack([curve[:, k] for curve in curves])
                    mine = torch.cat([ends[:1], _distances(context, inner, reference)[:, k], ends[1:]])
                rows.append(about | self._numbers(mine, chance, context.alpha if self.alpha is None else self.alpha))
        return rows

    def _numbers(self, error: Tensor, random: Tensor, alpha: float) -> dict[str, Any]:
        """Curves and areas of one joint from its distances (F,) along the map's order and (R, F) along random ones."""
        from ...functional.insertion_deletion import area_under

        numbers: dict[str, Any] = {"fractions": " ".join(f"{f:g}" for f in self.fractions)}
        likelihood, likely = (-alpha * error).exp(), (-alpha * random).exp()
        for suffix, mine, chance in (("", likelihood, likely.mean(0)), ("_error", error, random.mean(0))):
            area, by_chance = (float(area_under(curve, self.fractions)) for curve in (mine, chance))
            numbers |= {
                f"area{suffix}": area,
                f"area{suffix}_random": by_chance,
                f"difference{suffix}": area - by_chance,
            }
            numbers |= {f"{suffix[1:] or 'value'}_{i}": v for i, v in enumerate(mine.tolist())}
            numbers |= {f"random{suffix}_{i}": v for i, v in enumerate(chance.tolist())}
        return numbers

    def section(self, store: Store) -> Section | None:
        """Areas by group, and the mean curves."""
        from .section import insertion_deletion_section

        return insertion_deletion_section(store, self.name)


def _distances(context: StudyContext, images: Tensor, reference: Tensor) -> Tensor:
    """How far the differentiable coordinates on images (F, C, H, W) are from points (K, D): (F, K) in float64."""
    if not len(images):
        return images.new_zeros(0, len(reference)).double().cpu()
    distances: Tensor = (context.coordinates(images).double() - reference).norm(dim=-1)
    return distances
