"""What a baseline hides (Fig. A): the person painted black and white, explained with black, white and blurry
baselines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import Study
from ..choice import check_counts, chosen_joints, keep_picture, takes_part

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.reader import Store
    from ...types import Attribution, Finding, Sample, Section
    from ..base import StudyContext

__all__ = ["BASELINES", "PAINTINGS", "Baselines"]

PAINTINGS = ("original", "black", "white")
BASELINES = ("black", "white", "blurry")
_PATHS: dict[str, dict[str, Any]] = {
    "black": {"path": "linear", "path_settings": {"baseline": "black"}},
    "white": {"path": "linear", "path_settings": {"baseline": "white"}},
    "blurry": {"path": "blur", "path_settings": {}},
}
# The same for all maps that are compared, whatever the run's own: one rule, no noise, the truth as reference.
_FIXED: dict[str, Any] = {
    **{"method": "path_ig", "quadrature": "midpoint", "power": 1.0, "noise_std": 0.0, "reference": "truth"},
    **{"contrast": None, "signed": False},
}


@dataclass(frozen=True)
class Baselines(Study):
    """How much of a map falls on the person when the person is painted in one colour, for each baseline.

    The pixels of the person's mask (not dilated) become black or white; the rest, and what is explained, stays.  A
    straight path gives a pixel (x - x') times a mean gradient, so what has the baseline's colour gets exactly 0: the
    share of the map on a person painted black is 0 with the black baseline, by construction, and that is its bias.  A
    blurry baseline is blind to what blurring leaves as it is: the inside of a painted area that is wider than its
    kernel.

    Rows, a sample x painting x baseline: `n` joints (those that have a map in all three paintings), their mean `share`
    of the map's mass on the mask, `share_original` (the same joints in the original image), mean `di` and `map_error`;
    `area` is the mask's share of the input.  `reason`: 'no_mask', 'empty_mask', 'not_visible', 'no_map'.
    """

    name: ClassVar[str] = "baselines"
    images_only: ClassVar[bool] = True
    nodes: int = 16  # gradients a map, midpoint rule: enough for a share of the mass, see `map_error`
    joints: int = 4  # most joints a person; see choice.chosen_joints
    every: int = 1  # one in so many persons takes part; each costs about 9 * nodes * joints gradients
    pictures: int = 6  # persons whose maps are kept for the report

    def __post_init__(self) -> None:
        check_counts(self, nodes=1, joints=1, every=1, pictures=0)

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """Nine rows a person."""
        sample = finding.sample
        if not takes_part(sample.sample_id, self.every):
            return ()
        joints = chosen_joints(finding, self.joints)
        reason = _why_not(sample, joints)
        if reason:
            return [_row(sample, painting, baseline, reason) for painting in PAINTINGS for baseline in BASELINES]
        painted = {painting: _painted(sample, painting, context) for painting in PAINTINGS}
        names = [context.groups.keypoint_names[k] for k in joints]
        maps = {
            (painting, baseline): context.attribute(
                sample, image=image, joints=names, nodes=self.nodes, **_FIXED, **_PATHS[baseline]
            )
            for painting, (image, _) in painted.items()
            for baseline in BASELINES
        }
        if self.pictures:
            from .sheet import draw_sheet

            shown = {painting: display for painting, (_, display) in painted.items()}
            keep_picture(context, self.name, sample.sample_id, draw_sheet(shown, maps, sample, joints), self.pictures)
        return list(_rows(sample, maps, joints))

    def section(self, store: Store) -> Section | None:
        """The shares with intervals, and the kept pictures."""
        from .section import make_section

        return make_section(store, self.name)


def _why_not(sample: Sample, joints: Sequence[int]) -> str:
    """'' or the reason why nothing can be painted or explained."""
    if sample.mask is None:
        return "no_mask"
    if not bool(sample.mask.any()):
        return "empty_mask"
    return "" if joints else "not_visible"


def _painted(sample: Sample, painting: str, context: StudyContext) -> tuple[Tensor, Any]:
    """The network input (C, H, W) and the picture (H, W, 3) with the mask's pixels in one colour."""
    assert sample.mask is not None
    image, display = sample.image.clone(), sample.display.copy()
    if painting != "original":
        colour = context.adapter.pixel_range()[painting == "white"]
        mask = sample.mask.to(image.device)
        image[:, mask] = image.new_tensor(colour)[:, None]
        display[sample.mask.cpu().numpy()] = 255 if painting == "white" else 0
    return image, display


def _rows(
    sample: Sample, maps: Mapping[tuple[str, str], Attribution], joints: Sequence[int]
) -> Iterator[dict[str, Any]]:
    from ...functional.indices import diffusion_index
    from ...functional.regions import mass_share

    mask = sample.mask
    assert mask is not None
    area = float(mask.double().mean())
    for baseline in BASELINES:
        shares = {p: mass_share(maps[p, baseline].maps[0, joints], mask) for p in PAINTINGS}  # (J,) each
        both = shares["original"].isfinite() & shares["black"].isfinite() & shares["white"].isfinite()
        for painting in PAINTINGS:
            row = _row(sample, painting, baseline, "" if bool(both.any()) else "no_map", area)
            if bool(both.any()):
                found = maps[painting, baseline]
                row |= {
                    "n": int(both.sum()),
                    "share": float(shares[painting][both].mean()),
                    "share_original": float(shares["original"][both].mean()),
                    "di": float(diffusion_index(found.maps[:, joints])[0, both].mean()),
                    "map_error": float(found.map_error[0, joints][both].mean()),
                }
            yield row


def _row(sample: Sample, painting: str, baseline: str, reason: str, area: float = math.nan) -> dict[str, Any]:
    """A row without numbers."""
    return {
        **{"sample_id": sample.sample_id, "painting": painting, "baseline": baseline, "n": 0, "area": area},
        **dict.fromkeys(("share", "share_original", "di", "map_error"), math.nan),
        "reason": reason,
    }
