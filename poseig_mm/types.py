"""What crosses from one stage to the next: frozen dataclasses, no behaviour.  Importing this loads no torch.

Frames: *input* is the network input after MMPose's pipeline and data preprocessor, pixel centres at integers, x to the
right, y down; *original* is the image file.  B images, K keypoints, D coordinates (2 or 3), (H, W) the input's size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from .functional.statistics import Estimate


@dataclass(frozen=True)
class JointGroups:
    """Names, groups and kinematic chain of a data set's joints."""

    keypoint_names: tuple[str, ...]
    group_of: tuple[str, ...]  # (K,) name of each joint's group, '' where it belongs to none
    parent_of: tuple[int, ...]  # (K,) index of the joint that is next towards the trunk, -1 at a root
    flip_pairs: tuple[tuple[int, int], ...]  # (left, right) or (right, left) partners
    skeleton: tuple[tuple[int, int], ...]  # bones, to draw
    derived: bool = False  # True: read off the skeleton, not laid down by hand; reports say so
    sigmas: tuple[float, ...] = ()  # (K,) of OKS, as the data set's metainfo has them; () where it has none

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups, in order of first appearance, without ''."""
        return tuple(dict.fromkeys(g for g in self.group_of if g))


@dataclass(frozen=True)
class Sample:
    """One person (or hand), ready for the network."""

    sample_id: str  # stable over runs: '<image_id>-<instance_id>'
    image_id: str
    instance_id: str
    image_path: str
    image: Tensor  # (C, H, W) float32, normalised network input
    display: NDArray[np.uint8]  # (H, W, 3) uint8 RGB, the same crop to look at
    keypoints: Tensor  # (K, D) float32, the truth in the adapter's unit (2D: input px); NaN where not annotated
    visible: Tensor  # (K,) bool: annotated and inside the input
    mask: Tensor | None  # (H, W) bool, this instance's pixels
    mask_source: str  # 'instance' | 'union' | 'predicted' | 'joints' | 'none'
    inverse_warp: NDArray[np.float64]  # (2, 3) float64, input px (x, y, 1) -> original px
    extra: Mapping[str, Any] = field(default_factory=dict)  # bbox, area, iscrowd, ... whatever studies may want
    pixels: Tensor | None = (
        None  # (K, 2) where each joint appears, input px; NaN where unknown, None: input is no image
    )
    in_image: Tensor | None = None  # (H, W) bool: pixels that show the image, not what pads it; None: all
    # False: nobody annotated this person, and `keypoints`, `visible` and `pixels` are the model's own prediction, so
    # that there is no error to measure
    annotated: bool = True


@dataclass(frozen=True)
class Coordinates:
    """An adapter's differentiable prediction."""

    coords: Tensor  # (B, K, D), in the adapter's `unit`
    heatmaps: Tensor | None = field(default=None, kw_only=True)  # (B, K, h, w) raw, where the model has them


@dataclass(frozen=True)
class Attribution:
    """One map a joint and how far to trust it.  Joints that were not computed hold NaN and a reason.

    Of one person (in a `Finding`, from `StudyContext.attribute`, of a hook) it has the same fields without B.
    """

    maps: Tensor  # (B, K, H, W) >= 0, maximum 1
    residual: Tensor  # (B, K) |sum IG - (T(x) - T(x'))|
    residual_rel: Tensor  # (B, K) the same over max(|T(x) - T(x')|, 1e-3)
    target_start: Tensor  # (B, K) T at the baseline
    target_end: Tensor  # (B, K) T at the image
    map_error: Tensor  # (B, K) half L1 distance of the two interleaved half-rule maps, in [0, 1]; NaN of one gradient
    converged: Tensor  # (B, K) bool: the map error <= the tolerance asked for (False where none was asked)
    evaluations: Tensor  # (B, K) int, gradient evaluations spent on this joint
    reasons: tuple[Any, ...]  # (B)(K) '' or a code of functional.maps.REASONS
    signed: Tensor | None = None  # (B, K, H, W) sum over channels of IG, neither absolute nor normalised
    soft_coords: Tensor | None = None  # (B, K, D) the differentiable prediction on the image, not the model's decoding
    map_error_2px: Tensor | None = None  # (B, K) map_error of the maps seen at 2 px (Gaussian), never above it
    halves: Tensor | None = None  # (B, 2, K, H, W) maps of the even and of the odd half-rule, where they were asked for


@dataclass(frozen=True)
class Finding:
    """All that was found out about one person; everything in the input frame."""

    sample: Sample  # with the model's own mask where that was asked for
    attribution: Attribution  # without B: maps (K, H, W)
    prediction: Tensor  # (K, D) the model's own decoding, in the adapter's unit
    reference: Tensor  # (K, D) the points that the likelihood compared the coordinates with, same unit; NaN where none
    indices: Mapping[str, Tensor]  # name -> (K,), or (K, K) for a relation
    reasons: tuple[str, ...]  # (K,) why a number is missing, codes joined by ';'
    seconds: float  # an equal share of the batch's
    index_errors: Mapping[str, Tensor] = field(default_factory=dict)  # '<index>_error' -> (K,) error to expect of it


@dataclass(frozen=True)
class Failure:
    """Something that went wrong and was survived; it stands in run.json and in the report."""

    stage: str  # 'sample' | 'attribution' | 'index' | 'study' | 'report' | 'plugin' | ...
    message: str
    error: str = ""  # class name
    plugin: str = ""
    sample_id: str = ""
    traceback: str = ""


class Missing(float):
    """A number that does not exist: NaN wherever it is computed with or stored, its reason on the page.

    >>> why = Missing('fewer than 8 images')
    >>> why, why.reason
    (nan, 'fewer than 8 images')
    """

    reason: str

    def __new__(cls, reason: str) -> Missing:
        self = super().__new__(cls, "nan")
        self.reason = reason
        return self


@dataclass(frozen=True)
class Table:
    """A table in a report.

    `rows` hold str, int, float, None, a `Missing` number, or a `functional.Estimate` (mean with its interval); floats
    are shown with `digits` decimals.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    digits: int = 2


@dataclass(frozen=True)
class Picture:
    """A figure in a report: a matplotlib Figure (SVG in the page, PNG and PDF in figures/) or an image file."""

    name: str  # file stem
    caption: str
    figure: Figure | Path


@dataclass(frozen=True)
class Gallery:
    """Image files shown as a grid, lazily loaded: (path, caption) each."""

    caption: str
    images: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class PersonPicture:
    """A picture that the page draws from the store: one joint's map on its person, or all joints and maps together."""

    sample_id: str
    joint: int | None = None  # None: all of the person
    caption: str = ""


@dataclass(frozen=True)
class Conclusion:
    """One thing that stands out in a run, made from its store alone; what is within noise is none.

    Attributes:
        name: what it is about; of several with one name the first in rank stays.
        sentence: plain and complete.
        effect: how large it is, with interval and n; None where there is no number.
        unit: of the effect, in words that follow the number.
        sure: 'shown' (p < 0.05 after Holm's correction for all that was looked at), 'likely' (the 95 % interval alone
            excludes no effect), 'too few persons' (so does this, but nothing could be tested), 'seen' (a fact, no
            inference).
        cost: what it costs, by which conclusions are ranked; infinite where no number of this run can bound it (a mark
            that a joint is read from may be missing elsewhere), NaN where it costs nothing (a caveat, a help).
        cost_unit: 'AP' (0 to 1), or the unit of the errors, 'px' or 'mm'.
        pictures: at most three that show it: an image file, a figure, or what the page is to draw.
        try_: what to do about it.
    """

    name: str
    sentence: str
    effect: Estimate | None = None
    unit: str = ""
    sure: str = "seen"
    cost: float = math.nan
    cost_unit: str = ""
    pictures: tuple[Path | Picture | PersonPicture, ...] = ()
    try_: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a report: a sentence that says what was found, then tables and pictures."""

    name: str  # anchor, unique
    title: str
    lead: str = ""  # plain text
    blocks: tuple[Table | Picture | Gallery, ...] = ()
    # built-ins: conclusions 0, gallery 10, overview 80, indices 100, scatter 150, studies from 300, failures 900,
    # setup 940, provenance 950
    order: int = 500
