"""Perturbation (PoseIG, Table A): does blurring out what a map marks move the joint more than chance does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...settings_fields import checked, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from .rows import MASKS, perturbation_rows


def _different_masks(values: Any) -> bool:
    return not isinstance(values, str) and 0 < len(values) == len(set(values)) and set(values) <= MASKS.keys()


@dataclass(frozen=True)
class Perturbation(Study):
    """I~ = I (1 - A_k) + M A_k for each joint's map A_k and mask M, and the same with the pixels of A_k permuted.

    One row a sample, joint and mask: EPE of the model's own decoding on the image (`error`) and on the perturbed ones
    (`error_attr`; `error_random`, the mean over draws), how far they are apart (`change_attr`, `change_random`: see
    `functional.perturbation.error_change`), and `ratio`, this joint's R_E.  A map and its permutations meet the same M.
    """

    name: ClassVar[str] = "perturbation"
    images_only: ClassVar[bool] = True

    # which M to blend with; each costs 1 + n_random predictions a joint
    masks: Sequence[str] = checked(
        tuple(MASKS), f"a list of different names among {', '.join(map(repr, MASKS))}", _different_masks
    )
    n_random: int = whole(5, least=1)  # permuted maps a joint; method section 7

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a joint and mask; a joint without a map or an annotation has NaN and a reason."""
        return perturbation_rows(finding, context, self.masks, self.n_random)

    def section(self, store: Store) -> Section | None:
        """R_E by joint and by group."""
        from .section import perturbation_section

        return perturbation_section(store, self.name)
