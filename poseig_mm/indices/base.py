"""What an index is, what it is given, and how all of a run's indices are computed without one spoiling the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ShapeError, refuse_changes

if TYPE_CHECKING:
    from torch import Tensor

    from ..unchanged import KeptValues


@dataclass(frozen=True)
class IndexInputs:
    """What an index may read; B images, K joints, everything in the input frame.  Nothing may be changed in place."""

    maps: Tensor  # (B, K, H, W) >= 0, maximum 1; NaN where there is no map
    visible: Tensor  # (B, K) bool
    keypoints: Tensor  # (B, K, D) reference points in the adapter's unit: maps' px (x, y) for 2D models
    pixels: Tensor  # (B, K, 2) where they appear in the maps, px (x, y); NaN where in no place that is known
    mask: Tensor | None = None  # (B, 1, H, W) bool, the instance; all False where an image has none
    has_mask: Tensor | None = None  # (B,) bool; None: every image has the mask that is given
    heatmaps: Tensor | None = None  # (B, K, H, W) Gaussian around each reference point, NaN where that is not known
    prediction: Tensor | None = None  # (B, K, D) the model's own decoding, as `keypoints`
    in_image: Tensor | None = (
        None  # (B, 1, H, W) bool: pixels that count, those of the image without padding; None: all
    )
    has_box: Tensor | None = None  # (B,) bool: the person's size, which `heatmaps` need, is known; None: not needed


class Index(Protocol):
    """A number read off each joint's map: a few attributes and a call.

    A plugin's index may derive from this class, which gives all attributes but `name` and `title`, or just look like
    it; `meaning`, `neutral`, `has_error`, `dimensions`, `comparable_by` and `by_default` may then be left out.

    `requires` names what the index cannot do without; where that is missing its value is NaN with a reason: 'mask' (no
    mask, or none of its pixels inside the input), 'heatmaps' (the joint's own is NaN or zero: its reference lies
    outside, or in no place that is known, or the person has no size that is known), 'visible' (the joint is not
    annotated, even if it has a map; for a relation, the other joint).
    """

    name: str  # column of the table `joints` or `relations`
    title: str  # for people, as short as a column's head
    unit: str = ""
    meaning: str = ""  # in a few words, e.g. which end is which
    neutral: float | None = None  # the value that says 'no preference': a line in figures; None: there is none
    range: tuple[float, float] = (float("-inf"), float("inf"))  # both ends included
    requires: frozenset[str] = frozenset()
    kind: str = "joint"  # or 'relation'
    has_error: bool = False  # a column `<name>_error`: of its values on the two half-rules' maps (kind 'joint' only)
    # true error over half their difference at `error_calibration.GRADIENTS`; None: the largest measured of any index
    error_factors: tuple[float, ...] | None = None
    by_default: bool = True  # False: only in runs that ask for it by name (diagnosis.indices)
    # what its value depends on besides the model: columns of the table `samples`, or keys of run.json joined by dots;
    # runs are compared where these are equal
    comparable_by: tuple[str, ...] = ()
    dimensions: int | None = None  # of the coordinates it is about; of others it is left out, unless asked for by name

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), or (B, K, K) [b, k, m] for a relation of joint k's map to joint m; NaN where it is undefined."""
        ...


def describe_index(index: Index) -> dict[str, Any]:
    """What tables, page, terminal and comparison need to know of an index: its entry in run.json.

    >>> from poseig_mm.indices.builtin import ForegroundIndex
    >>> describe_index(ForegroundIndex())  # doctest: +NORMALIZE_WHITESPACE
    {'name': 'fi', 'title': 'FI', 'unit': '', 'meaning': 'foreground: 1 no preference for the person, more is more',
     'neutral': 1.0, 'kind': 'joint', 'error': 'fi_error', 'comparable_by': ['mask_source', 'frame']}
    """
    return {
        "name": index.name,
        "title": index.title,
        "unit": index.unit,
        "meaning": getattr(index, "meaning", ""),
        "neutral": getattr(index, "neutral", None),
        "kind": index.kind,
        "error": error_column(index),
        "comparable_by": list(getattr(index, "comparable_by", ())),
    }


def error_column(index: Index) -> str:
    """Name of the column of `joints` that holds the index's error; '' where it has none."""
    return f"{index.name}_error" if index.kind == "joint" and getattr(index, "has_error", False) else ""


def compute_index_errors(
    indices: Sequence[Index],
    even: IndexInputs,
    odd: IndexInputs,
    reasons: Sequence[Sequence[str]],
    evaluations: Tensor,
) -> dict[str, Tensor]:
    """The error to expect of each index that has one, from its values on the maps of the two half-rules.

    Args:
        indices: of the run; one that fails on a half has no error there.
        even, odd: what the indices were read off, with the half-rules' maps.
        reasons: (B)(K) why a joint has no map, '' where it has one.
        evaluations: (B, K) gradients spent on a joint.

    Returns:
        `<name>_error` -> (B, K) mean absolute error to expect, in the index's unit; NaN where it cannot be said.

    >>> import torch
    >>> from poseig_mm.indices.builtin import DiffusionIndex
    >>> point = torch.zeros(1, 1, 2)
    >>> half = IndexInputs(torch.ones(1, 1, 4, 3), torch.ones(1, 1).bool(), point, point)
    >>> compute_index_errors([DiffusionIndex()], half, half, [['']], torch.tensor([[16]]))
    {'di_error': tensor([[0.]])}
    """
    import torch

    from ..functional.error_calibration import INDEX, expected_index_error

    measured = [index for index in indices if error_column(index)]
    on_even, on_odd = (compute_indices(measured, half, reasons)[0] for half in (even, odd))
    spent = evaluations.cpu().numpy()
    errors = {}
    for index in measured:
        one, other = (values[index.name].double().cpu().numpy() for values in (on_even, on_odd))
        error = expected_index_error(one, other, spent, getattr(index, "error_factors", None) or INDEX)
        errors[error_column(index)] = torch.from_numpy(error).to(even.maps)
    return errors


def compute_indices(
    indices: Sequence[Index],
    inputs: IndexInputs,
    reasons: Sequence[Sequence[str]],
    *,
    on_error: Callable[[str, BaseException], None] | None = None,
) -> tuple[dict[str, Tensor], list[list[str]]]:
    """All indices of a batch, and why a number is missing.

    An index is not called on a batch in which no joint has what it requires, and never yields a number for a joint
    without a map.

    Args:
        indices: to compute; one that raises, returns another shape than its kind's, or changes what it was given
            (which is put back), is NaN on this batch.
        inputs: see `IndexInputs`.
        reasons: (B)(K) why a joint has no map, '' where it has one (`Attribution.reasons`).
        on_error: called with a failing index's name and its exception.

    Returns:
        name -> (B, K) or (B, K, K) without gradient, and (B)(K) reason codes joined by ';': those given, and for joints
        with a map 'no_mask', 'empty_mask', 'no_heatmaps', 'no_place', 'no_box', 'outside', 'not_visible' where
        an index asked for them, '<name>_failed' where it raised, '<name>_undefined' where it gave NaN by itself.

    Raises:
        ShapeError: `reasons` has not one entry for each image and joint.

    >>> import torch
    >>> from poseig_mm.indices.builtin import DiffusionIndex, ForegroundIndex
    >>> point = torch.zeros(1, 1, 2)
    >>> inputs = IndexInputs(torch.ones(1, 1, 4, 3), torch.ones(1, 1).bool(), point, point)
    >>> compute_indices([DiffusionIndex(), ForegroundIndex()], inputs, [['']])
    ({'di': tensor([[100.]]), 'fi': tensor([[nan]])}, [['no_mask']])
    """
    import torch

    from ..unchanged import KeptValues, is_built_in

    size = (int(inputs.maps.shape[0]), int(inputs.maps.shape[1]))
    if [len(row) for row in reasons] != [size[1]] * size[0]:
        got = (len(reasons), sorted({len(row) for row in reasons}))
        raise ShapeError(
            f"reasons: got {got[0]} rows of {got[1]} codes; expected (B)(K) = {size}, '' where there is a map"
        )
    codes = [[[code] if code else [] for code in row] for row in reasons]
    values: dict[str, Tensor] = {}
    with torch.no_grad():
        has_map = inputs.maps.sum((2, 3)).isfinite()
        _add(codes, "no_map", ~has_map & torch.tensor([[not code for code in row] for row in codes]).to(has_map))
        kept: KeptValues | None = None  # before the first index that is a plugin's
        for index in indices:
            if kept is None and not is_built_in(index):
                kept = KeptValues(inputs=inputs)
            lacking = _lacking(index, inputs)
            usable = has_map
            for code, where in lacking.items():
                usable = usable & ~where
                _add(codes, code, where & has_map)
            shape = size if index.kind == "joint" else (*size, size[1])
            value = torch.full(shape, torch.nan, dtype=inputs.maps.dtype, device=inputs.maps.device)
            if bool(usable.any()):
                try:
                    value = _called(index, inputs, shape)
                    refuse_changes(kept.restore() if kept is not None else ())
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # SystemExit too
                    if kept is not None:
                        kept.restore()  # what raised may have changed something before
                    if on_error is not None:
                        on_error(index.name, error)
                    _add(codes, f"{index.name}_failed", usable)
                    usable = torch.zeros_like(usable)
            value = value.where(usable if index.kind == "joint" else usable[:, :, None], torch.nan)
            if index.kind == "joint":
                _add(codes, f"{index.name}_undefined", usable & value.isnan())
            elif "visible" in index.requires:
                value = value.where(inputs.visible[:, None, :], torch.nan)
            values[index.name] = value
    return values, [[";".join(dict.fromkeys(joint)) for joint in row] for row in codes]


def _called(index: Index, inputs: IndexInputs, shape: tuple[int, ...]) -> Tensor:
    value = index(inputs)
    if tuple(value.shape) != shape:
        raise ShapeError(
            f"index {index.name!r} returned shape {tuple(value.shape)}; expected {shape} for kind {index.kind!r}"
        )
    return value.detach().to(inputs.maps)


def _lacking(index: Index, inputs: IndexInputs) -> dict[str, Tensor]:
    """Reason code -> (B, K) bool, where something that the index requires is missing."""
    nowhere = ~inputs.visible & inputs.visible
    lacking: dict[str, Tensor] = {}
    if "mask" in index.requires and inputs.mask is None:
        lacking["no_mask"] = ~nowhere
    elif "mask" in index.requires and inputs.mask is not None:
        empty = ~inputs.mask.bool().flatten(1).any(1)
        without = empty & ~empty if inputs.has_mask is None else ~inputs.has_mask.to(empty)
        lacking["no_mask"] = nowhere | without[:, None]
        lacking["empty_mask"] = nowhere | (empty & ~without)[:, None]
    if "heatmaps" in index.requires and inputs.heatmaps is None:
        lacking["no_heatmaps"] = ~nowhere
    elif "heatmaps" in index.requires and inputs.heatmaps is not None and index.kind == "joint":
        total = inputs.heatmaps.sum((2, 3))
        placeless = inputs.pixels.isnan().any(-1)
        lacking["no_place"] = placeless
        sizeless = nowhere if inputs.has_box is None else ~inputs.has_box.to(nowhere)[:, None] & ~placeless
        lacking["no_box"] = sizeless
        lacking["outside"] = ~((total > 0) & total.isfinite()) & ~placeless & ~sizeless
    if "visible" in index.requires and index.kind == "joint":
        lacking["not_visible"] = ~inputs.visible
    return lacking


def _add(codes: list[list[list[str]]], code: str, where: Tensor) -> None:
    """Append a code to the joints where it holds."""
    for row, holds in zip(codes, where.tolist(), strict=True):
        for joint, held in zip(row, holds, strict=True):
            if held:
                joint.append(code)
