"""Dependency: the evidence of joint A is taken away; which other joints get lost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...settings_fields import number, one_of, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from .rows import dependency_rows


@dataclass(frozen=True)
class Dependency(Study):
    """The pixels where the map of joint A is largest are erased, and every visible joint B is predicted again.

    The control erases a patch of the same form and size that lies elsewhere (the same pixels, shifted around the edges
    by a random step): what any damage of that kind does to B.  One row a sample and pair A (`joint`), B (`other`): the
    error of B on the image (`error`), without A's evidence (`error_erased`) and without the control's pixels
    (`error_control`, the mean over draws), the likelihoods exp(-alpha error) of each, and the effect: `effect` =
    error_erased - error_control, `likelihood_effect` likewise.  A joint without a map has one row, with a `reason`.
    """

    name: ClassVar[str] = "dependency"
    images_only: ClassVar[bool] = True

    fraction: float = number(0.03, above=0, below=1)  # of the pixels, those of largest map value: the evidence
    # what stands in their place, 'blur': gamma(0) of the default blur path; 'mean': the image's own mean colour
    baseline: str = one_of("blur", "mean")
    n_random: int = whole(3, least=1)  # draws of the control a joint A
    joints: int = whole(25, least=1)  # most joints A a person; see choice.chosen_joints

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a pair; a joint A without a map has one, with the reason."""
        return dependency_rows(finding, context, self.fraction, self.baseline, self.n_random, self.joints)

    def section(self, store: Store) -> Section | None:
        """The matrix, the strongest pairs on the skeleton, and the run's relations beside them."""
        from .section import dependency_section

        return dependency_section(store, self.name)
