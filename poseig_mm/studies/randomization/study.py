"""Model randomisation (Table B, Fig. C): do the maps change when the model forgets what it learnt?

After Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ...seeding import stable_hash
from ..base import Study, StudyContext

if TYPE_CHECKING:
    from torch import Tensor

    from ...store import Store
    from ...types import Attribution, Finding, Section

__all__ = ["Randomization"]

QUADRATURES = ("midpoint", "trapezoid", "gauss_legendre", "riemann_left", "adaptive")
NO_MAP = ("not_visible", "not_asked")  # joints that this study has no rows of


@dataclass(frozen=True)
class Randomization(Study):
    """The convolutions are re-initialised one group after the other, and maps are made again at every stage.

    Layers: every Conv2d that a forward pass reaches, in that order (SB-R50: 53 in the backbone and the final layer).
    Transposed convolutions and batch norms, with their statistics, stay as they are.  Stage 0 is the model as it is,
    with this study's own quadrature; later stages are compared with it.  Stage 0's own `rank_correlation` and `ssim`
    are those against the run's map: what the quadrature alone changes.
    """

    name: ClassVar[str] = "randomization"
    images_only: ClassVar[bool] = True

    order: str = "output"  # 'output': from the output to the input; 'input': from the input (the paper doesn't say)
    step: int = 9  # layers re-initialised from one stage to the next, as in the paper
    independent: bool = False  # True: each group of `step` layers alone, not with those before it
    layers: str = "conv"  # 'conv': Conv2d; 'linear': also Linear and MultiheadAttention, for transformers
    quadrature: str = (
        "midpoint"  # of the maps at the stages: the run's own adaptive rule would cost several times as much
    )
    nodes: int = 16  # gradients a joint and stage
    every: int = 1  # a sample takes part if crc32(its id) is divisible by this: a stage costs about half a diagnosis
    strips: int = 1  # of those that take part, every how many-th (by the same rule) leaves a strip of maps; 0: none

    def __post_init__(self) -> None:
        choices = {"order": ("output", "input"), "layers": ("conv", "linear"), "quadrature": QUADRATURES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"study 'randomization': {name} is {getattr(self, name)!r}; expected "
                    f"{' or '.join(map(repr, known))}"
                )
        for name, least in (("step", 1), ("nodes", 1), ("every", 1), ("strips", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"study 'randomization': {name} is {value!r}; expected a whole number from {least} on"
                )

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a stage and joint that the run was asked for."""
        number = stable_hash(finding.sample.sample_id)
        asked = [k for k, reason in enumerate(finding.attribution.reasons[0]) if reason not in NO_MAP]
        if number % self.every or not asked:
            return []
        stages = self._stages(finding, context)
        if self.strips and (number // self.every) % self.strips == 0:
            _save_strip(self.name, finding, context, stages)
        original = stages[0].attribution
        rows: list[Mapping[str, Any]] = []
        for i, stage in enumerate(stages):
            before = original if i else finding.attribution
            how = {"order": self.order, "independent": self.independent, "kind": self.layers}
            rows += [{**row, **how} for row in _rows(finding, context, stage, before, asked)]
        return rows

    def section(self, store: Store) -> Section | None:
        """Table B, Fig. C, and strips of maps."""
        if self.name not in store.studies:
            return None
        from .section import randomization_section

        return randomization_section(store, store.study(self.name), self.name)

    def _stages(self, finding: Finding, context: StudyContext) -> list[_Stage]:
        """Maps of the model as it is, and after each group of layers; the model is as it was afterwards."""
        from .reinitialise import KINDS, layers_in_order, preserved, reinitialise

        model, image = context.adapter.model, finding.sample.image[None]
        names = layers_in_order(model, lambda: context.coordinates(image), KINDS[self.layers])
        if not names:
            raise ConfigError(f"study 'randomization': the model runs no layer of layers={self.layers!r}; try 'linear'")
        if self.order == "output":
            names.reverse()

        def stage(number: int, first: int, last: int) -> _Stage:
            found = context.attribute(finding.sample, changed_model=True, quadrature=self.quadrature, nodes=self.nodes)
            return _Stage(number, first, last, len(names), names[last - 1] if last else "", found)

        stages = [stage(0, 0, 0)]
        groups = [names[start : start + self.step] for start in range(0, len(names), self.step)]
        done = 0
        with ExitStack() as cumulative:
            if not self.independent:
                cumulative.enter_context(preserved(model, names))
            for number, group in enumerate(groups, 1):
                with preserved(model, group) if self.independent else nullcontext():
                    for name in group:
                        reinitialise(model, name, context.seed)
                    first = done + 1 if self.independent else 1
                    done += len(group)
                    stages.append(stage(number, first, done))
        return stages


@dataclass(frozen=True)
class _Stage:
    """Layers `first` to `last` of `total` (1-based, in the study's order) are re-initialised."""

    number: int
    first: int
    last: int
    total: int
    last_name: str
    attribution: Attribution

    @property
    def title(self) -> str:
        return f"layers {self.first}\u2013{self.last}" if self.number else "original"


def _rows(
    finding: Finding, context: StudyContext, stage: _Stage, before: Attribution, asked: Sequence[int]
) -> Iterator[Mapping[str, Any]]:
    from .similarity import rank_correlation, structural_similarity

    found, sample = stage.attribution, finding.sample
    indices = context.indices(sample, found)
    old, new = before.maps[0, asked].cpu(), found.maps[0, asked].cpu()
    ranks, ssim = rank_correlation(old, new), structural_similarity(old, new)
    chance = structural_similarity(old, _scattered(new, f"{context.seed} {sample.sample_id} {stage.number}"))
    errors = _errors(finding, found)
    for i, k in enumerate(asked):
        reasons = [found.reasons[0][k], "no_original" if before.reasons[0][k] else "", finding.reasons[k]]
        yield {
            "sample_id": sample.sample_id,
            "joint": k,
            "joint_name": context.groups.keypoint_names[k],
            "stage": stage.number,
            "first_layer": stage.first,
            "layers": stage.last,
            "total_layers": stage.total,
            "last_layer": stage.last_name,
            **{name: float(value[k]) for name, value in indices.items() if value.ndim == 1},
            "rank_correlation": float(ranks[i]),
            "ssim": float(ssim[i]),
            "ssim_chance": float(chance[i]),
            "epe_soft": errors[k],
            "response": float((found.target_end - found.target_start)[0, k].abs()),
            "unit": context.unit,
            "reason": ";".join(dict.fromkeys(filter(None, reasons))),
        }


def _scattered(maps: Tensor, seed: str) -> Tensor:
    """Each map's own pixels in a random order, (n, H, W)."""
    import torch

    from ...seeding import generator_of

    order = torch.randperm(maps.shape[-1] * maps.shape[-2], generator=generator_of(seed))
    return maps.flatten(1)[:, order].reshape(maps.shape)


def _errors(finding: Finding, found: Attribution) -> list[float]:
    """Distance of the differentiable prediction from the truth, a joint each, in the run's unit."""
    if found.soft_coords is None:
        return [math.nan] * len(finding.sample.visible)
    distances = (found.soft_coords[0].cpu().double() - finding.sample.keypoints.double()).norm(dim=-1)
    return [float(d) for d in distances]


def _save_strip(study: str, finding: Finding, context: StudyContext, stages: Sequence[_Stage]) -> None:
    """The maps of one joint at all stages: the joint of median error among those that have a map."""
    from .strips import draw_strip, strip_stem

    original = stages[0].attribution
    errors = _errors(finding, original)
    known = [k for k, reason in enumerate(original.reasons[0]) if not reason and math.isfinite(errors[k])]
    if not known:
        return
    joint = sorted(known, key=lambda k: (errors[k], k))[(len(known) - 1) // 2]
    strip = draw_strip(finding.sample, joint, [(s.title, s.attribution) for s in stages])
    name = context.groups.keypoint_names[joint]
    context.save_picture(study, strip_stem(finding.sample.sample_id, name), strip)
