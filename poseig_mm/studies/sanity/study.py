"""Whether the run's maps may be trusted: do they name the pixels that matter better than chance and simpler methods?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ...settings_fields import checked, number, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from ..joints import asked_joints, joint_columns, visible_truth, why_missing

if TYPE_CHECKING:
    from torch import Tensor


METHODS = ("run", "gradient", "linear", "random")  # the run's own, plain gradient, linear path from black, permuted
_UNKNOWN = dict.fromkeys(("deletion", "change", "change_permuted", "gain"), math.nan)


def _rising_from_zero(fractions: Sequence[float]) -> bool:
    given = (0.0, *fractions)
    return len(given) > 1 and given[-1] <= 1 and all(a < b for a, b in pairwise(given))


@dataclass(frozen=True)
class Sanity(Study):
    """Four maps of every joint are put to the same two tests; one row a sample, joint and method.

    `deletion`: the likelihood exp(-alpha d) of the differentiable coordinates, d from `Finding.reference`, while the
    pixels of largest map value are replaced by the blurred image; its mean height over fractions from 0 to the last
    one.  Less is better.  `gain`: `change` - `change_permuted`, how far the EPE moves when the map's places are blended
    into the image's mean colour, beyond what the same map with its pixels permuted does (so that a map does not win by
    covering more). More is better; the permuted maps are the control of the paper's R_E.
    """

    name: ClassVar[str] = "sanity"
    images_only: ClassVar[bool] = True

    # of the pixels, replaced one after the other
    fractions: Sequence[float] = checked((0.02, 0.05, 0.1, 0.2, 0.4), "rising numbers in (0, 1]", _rising_from_zero)
    # per unit of the coordinates; None: 0.075 a px (the paper's 0.3 a heatmap pixel at stride 4), else 1 / the run's
    # median error
    alpha: float | None = number(None, above=0)
    n_permuted: int = whole(2, least=1)  # permuted maps a joint and method; each is one prediction
    nodes: int = whole(16, least=1)  # gradients of the linear path (midpoint rule)

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """Rows of the joints that the run was asked for; a joint without a map or annotation has NaN and a reason."""
        maps, truth = self._maps(finding, context), visible_truth(finding)
        reasons = why_missing(finding, truth)
        rows: list[Mapping[str, Any]] = []
        for k in asked_joints(reasons):
            known = {m: values[k] for m, values in maps.items() if bool(values[k].isfinite().all())}
            numbers = self._numbers(finding, context, known, truth[k], k) if known and not reasons[k] else {}
            for method in METHODS:
                missing = "" if method in numbers else reasons[k] or "no_map"
                row = {**joint_columns(finding, context, k), "method": method, "unit": context.unit}
                rows.append({**row, **numbers.get(method, _UNKNOWN), "reason": missing})
        return rows

    def section(self, store: Store) -> Section | None:
        """The verdict, for the top of the page."""
        from .section import sanity_section

        return sanity_section(store, self.name)

    def _maps(self, finding: Finding, context: StudyContext) -> dict[str, Tensor]:
        """Method -> (K, H, W).  Random: the run's map with its pixels permuted, as in the paper: it covers as much."""
        import torch

        from ...functional.perturbation import permuted_maps
        from ...seeding import generator_of

        own, sample = finding.attribution.maps, finding.sample
        baseline: dict[str, Any] = {"path": "linear", "path_settings": {"baseline": "black"}}
        linear = context.attribute(sample, method="path_ig", quadrature="midpoint", nodes=self.nodes, **baseline)
        random = [
            permuted_maps(own[k], 1, generator_of(context.seed, sample.sample_id, self.name, k))[0]
            for k in range(len(own))
        ]
        gradient = context.attribute(sample, method="gradient")
        return {"run": own, "gradient": gradient.maps, "linear": linear.maps, "random": torch.stack(random)}

    def _numbers(
        self, finding: Finding, context: StudyContext, maps: Mapping[str, Tensor], truth: Tensor, k: int
    ) -> dict[str, dict[str, float]]:
        """The numbers of joint `k` for each of the maps (H, W); all images go through the model together."""
        import torch

        from ...functional.insertion_deletion import area_under, deletion_images, random_order, ranked_order
        from ...functional.paths import LinearPath
        from ...functional.perturbation import blend, error_change, permuted_maps
        from ...seeding import generator_of

        image = finding.sample.image.to(next(iter(maps.values())))
        blurred, mean = (LinearPath(baseline).baseline_of(image[None])[0] for baseline in ("blur", "mean"))
        fractions = (0.0, *self.fractions)
        identity = (context.seed, finding.sample.sample_id, self.name, k)
        shuffled = random_order(image[0].numel(), generator_of(*identity, "ties"))
        orders = [ranked_order(m, shuffled) for m in maps.values()]
        deleted = torch.cat([deletion_images(image, blurred, fractions, order) for order in orders])
        coords = context.coordinates(deleted)[:, k].double()
        distances = (coords - finding.reference[k].double().cpu()).norm(dim=-1).view(len(maps), len(fractions))
        alpha = context.alpha if self.alpha is None else self.alpha
        areas = area_under((-alpha * distances).exp(), fractions) / fractions[-1]
        grades = [  # the same places for all methods
            torch.cat([m[None], permuted_maps(m, self.n_permuted, generator_of(*identity, "permuted"))])
            for m in maps.values()
        ]
        predicted = context.predict(blend(image, mean[None], torch.cat(grades)).flatten(0, 1))[:, k].double()
        errors = (predicted - truth).norm(dim=-1).view(len(maps), -1)
        original = (finding.prediction[k].double().cpu() - truth).norm()
        numbers = {}
        for method, area, error in zip(maps, areas, errors, strict=True):
            change, permuted = (float(error_change(original, part)) for part in (error[:1], error[1:]))
            gain = {"change": change, "change_permuted": permuted, "gain": change - permuted}
            numbers[method] = {"deletion": float(area), **gain}
        return numbers
