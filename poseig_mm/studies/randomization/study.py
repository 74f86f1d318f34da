"""Model randomisation (Table B, Fig. C): do the maps change when the model forgets what it learnt?

After Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import ConfigError
from ...settings_fields import one_of, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from ..choice import chosen_joints, takes_part
from .rows import Stage, soft_errors, stage_rows

QUADRATURES = ("adaptive", "midpoint", "trapezoid", "gauss_legendre", "riemann_left")


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

    # 'output': from the output to the input; 'input': from the input (the paper doesn't say)
    order: str = one_of("output", "input")
    step: int = whole(9, least=1)  # layers re-initialised from one stage to the next, as in the paper
    independent: bool = False  # True: each group of `step` layers alone, not with those before it
    # 'conv': Conv2d; 'linear': also Linear and MultiheadAttention, for transformers
    layers: str = one_of("conv", "linear")
    # of the maps at the stages: 'quick', by the next two settings; 'run', as the run makes its own
    attribution: str = one_of("quick", "run")
    quadrature: str = one_of(*QUADRATURES)  # 'adaptive': one pass
    nodes: int = whole(8, least=1)  # gradients a joint and stage
    joints: int = whole(4, least=1)  # most joints a person; see choice.chosen_joints
    every: int = whole(1, least=1)  # one in so many persons takes part: a stage costs about half a diagnosis
    strips: int = whole(1, least=0)  # of those, one in so many leaves a strip of maps; 0: none

    def __post_init__(self) -> None:
        """Check what two fields make together.

        Raises:
            ConfigError: a rule of pairs of cells with one node.
        """
        super().__post_init__()
        if self.nodes == 1 and self.quadrature in ("adaptive", "trapezoid"):
            raise ConfigError(f"study 'randomization': nodes is 1; expected at least 2 for {self.quadrature!r}")

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a stage and joint that takes part."""
        sample_id, asked = finding.sample.sample_id, chosen_joints(finding, self.joints)
        if not asked or not takes_part(sample_id, self.every):
            return []
        stages = self._stages(finding, context, asked)
        if self.strips and takes_part(sample_id, self.every * self.strips):
            _save_strip(self.name, finding, context, stages)
        how = {"order": self.order, "independent": self.independent, "kind": self.layers}
        before = [finding.attribution, *[stages[0].attribution] * len(stages)]
        return [
            {**row, **how}
            for stage, attribution in zip(stages, before, strict=False)
            for row in stage_rows(finding, context, stage, attribution, asked)
        ]

    def section(self, store: Store) -> Section | None:
        """Table B, Fig. C, and strips of maps."""
        from .section import randomization_section

        return randomization_section(store, self.name)

    def _stages(self, finding: Finding, context: StudyContext, asked: Sequence[int]) -> list[Stage]:
        """Maps of the model as it is, and after each group of layers; the model is as it was afterwards."""
        from .reinitialise import KINDS, layers_in_order, preserved, reinitialise

        model, image = context.adapter.model, finding.sample.image[None]
        names = layers_in_order(model, lambda: context.coordinates(image), KINDS[self.layers])
        if not names:
            raise ConfigError(f"study 'randomization': the model runs no layer of layers={self.layers!r}; try 'linear'")
        if self.order == "output":
            names.reverse()

        joints = [context.groups.keypoint_names[k] for k in asked]
        how: dict[str, Any] = {"quadrature": self.quadrature, "nodes": self.nodes}
        if self.quadrature == "adaptive":
            how["max_nodes"] = self.nodes
        if self.attribution == "run":
            how = {}

        def stage(number: int, first: int, last: int) -> Stage:
            maps = context.attribute(finding.sample, changed_model=True, joints=joints, **how)
            return Stage(number, first, last, len(names), names[last - 1] if last else "", maps)

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


def _save_strip(study: str, finding: Finding, context: StudyContext, stages: Sequence[Stage]) -> None:
    """The maps of one joint at all stages: the joint of median error among those that have a map."""
    from .strips import draw_strip, strip_stem

    original = stages[0].attribution
    errors = soft_errors(finding, original)
    known = [k for k, reason in enumerate(original.reasons) if not reason and math.isfinite(errors[k])]
    if not known:
        return
    joint = sorted(known, key=lambda k: (errors[k], k))[(len(known) - 1) // 2]
    strip = draw_strip(finding.sample, joint, [(s.title, s.attribution) for s in stages])
    name = context.groups.keypoint_names[joint]
    context.save_picture(study, strip_stem(finding.sample.sample_id, name), strip)
