"""Whether the run's maps may be trusted: do they name the pixels that matter better than chance and simpler methods
do?
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ..base import Study, StudyContext
from ..joints import joint_columns, visible_truth, why_missing

if TYPE_CHECKING:
    from torch import Tensor

    from ...store import Store
    from ...types import Finding, Section

__all__ = ["METHODS", "Sanity"]

METHODS = ("run", "gradient", "linear", "random")  # the run's own, plain gradient, linear path from black, permuted
NOT_ASKED = ("not_visible", "not_asked")  # joints that this study has no rows of
_NOTHING = dict.fromkeys(("deletion", "change", "change_permuted", "gain"), math.nan)


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

    fractions: Sequence[float] = (0.02, 0.05, 0.1, 0.2, 0.4)  # of the pixels, replaced one after the other
    alpha: float | None = None  # per unit of the coordinates; None: 0.075 a px (the paper's 0.3 a heatmap pixel at
    # stride 4), else 1 / the run's median error
    n_permuted: int = 2  # permuted maps a joint and method; each is one prediction
    nodes: int = 16  # gradients of the linear path (midpoint rule)

    def __post_init__(self) -> None:
        given = (0.0, *self.fractions)
        if len(given) < 2 or given[-1] > 1 or any(a >= b for a, b in pairwise(given)):
            raise ConfigError(f"study 'sanity': fractions is {self.fractions!r}; expected rising numbers in (0, 1]")
        if self.alpha is not None and not self.alpha > 0:
            raise ConfigError(f"study 'sanity': alpha is {self.alpha!r}; expected a positive number")
        for name in ("n_permuted", "nodes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"study 'sanity': {name} is {value!r}; expected a whole number from 1 on")

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """Rows of the joints that the run was asked for; a joint without a map or annotation has NaN and a reason."""
        maps = self._maps(finding, context)
        truth = visible_truth(finding)
        rows: list[Mapping[str, Any]] = []
        for k, reason in enumerate(why_missing(finding, truth)):
            if reason in NOT_ASKED:
                continue
            known = {m: values[k] for m, values in maps.items() if bool(values[k].isfinite().all())}
            numbers = self._numbers(finding, context, known, truth[k], k) if known and not reason else {}
            for method in METHODS:
                missing = "" if method in numbers else reason or "no_map"
                about = joint_columns(finding, context, k)
                rows.append(
                    about
                    | {"method": method, "unit": context.unit}
                    | numbers.get(method, _NOTHING)
                    | {"reason": missing}
                )
        return rows

    def section(self, store: Store) -> Section | None:
        """The verdict, for the top of the page."""
        if self.name not in store.studies:
            return None
        from .section import sanity_section

        return sanity_section(store, store.study(self.name), self.name)

    def _maps(self, finding: Finding, context: StudyContext) -> dict[str, Tensor]:
        """Method -> (K, H, W).  Random: the run's map with its pixels permuted, as in the paper: it covers as much."""
        import torch

        from ...functional.perturbation import permuted_maps
        from ...seeding import generator_of

        own, sample = finding.attribution.maps[0], finding.sample
        linear = context.attribute(
            sample,
            method="path_ig",
            path="linear",
            path_settings={"baseline": "black"},
            quadrature="midpoint",
            nodes=self.nodes,
        )
        random = [
            permuted_maps(own[k], 1, generator_of(context.seed, sample.sample_id, self.name, k))[0]
            for k in range(len(own))
        ]
        return {
            "run": own,
            "gradient": context.attribute(sample, method="gradient").maps[0],
            "linear": linear.maps[0],
            "random": torch.stack(random),
        }

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
        found = {}
        for i, method in enumerate(maps):
            change = float(error_change(original, errors[i, :1]))
            permuted = float(error_change(original, errors[i, 1:]))
            found[method] = {
                "deletion": float(areas[i]), "change": change, "change_permuted": permuted, "gain": change - permuted
            }  # fmt: skip
        return found
