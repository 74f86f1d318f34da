"""One sample's results as the rows that the store keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PluginError
from ..indices.base import error_column
from ..indices.builtin import BUILTIN_INDICES
from ..settings import AttributionSettings
from ..store.schema import SampleRecord, joints_schema, relations_schema

if TYPE_CHECKING:
    from torch import Tensor

    from ..indices.base import Index
    from ..plugin.catalog import Catalog
    from ..types import Finding, JointGroups, Sample


_AXES = ("x", "y", "z")
_OVER_INPUT = ("mass_in_padding", "fi_input")
_ALWAYS = {kind: tuple(i.name for i in BUILTIN_INDICES if i.kind == kind) for kind in ("joint", "relation")}


def check_columns(indices: Sequence[Index], catalog: Catalog) -> None:
    """A plugin's index becomes a column: it cannot have the name of one that is there already.

    Raises:
        PluginError: it has; the message names the index and the plugin.
    """
    columns = {
        "joint": joints_schema(3, places=True, errors=error_columns(())).keys(),
        "relation": relations_schema().keys(),
    }
    for index in indices:
        if index.name in columns[index.kind]:
            owner = catalog.owner("indices", index.name)
            raise PluginError(
                f"plugin {owner!r} gives an index {index.name!r}, but that is a column of every run's table; give it "
                f"another name, leave it out of diagnosis.indices, or switch the plugin off with --no-plugin {owner}"
            )


def index_columns(indices: Sequence[Index], kind: str) -> list[str]:
    """Names of the columns of this kind of indices ('joint' or 'relation'): those of every run, then the others."""
    return list(dict.fromkeys((*_ALWAYS[kind], *(index.name for index in indices if index.kind == kind))))


def error_columns(indices: Sequence[Index]) -> list[str]:
    """Names of the columns that say how far a joint's map and its indices are from the exact ones.

    >>> error_columns([])
    ['map_error_2px', 'di_error', 'fi_error', 'li_error']
    """
    of_indices = filter(None, map(error_column, (*(index() for index in BUILTIN_INDICES), *indices)))
    return list(dict.fromkeys(("map_error_2px", *of_indices)))


def sample_record(
    finding: Finding,
    groups: JointGroups,
    unit: str,
    errors: Sequence[str] = (),
    settings: AttributionSettings = AttributionSettings(),  # noqa: B008 - it is frozen
) -> SampleRecord:
    """Rows of the tables `joints`, `samples` and `relations`, and the maps, where there are any.

    Args:
        finding: all about one person.
        groups: the joints' names and groups.
        unit: of coordinates and errors, 'px' or 'mm'.
        errors: of `error_columns`, those that the store has.
        settings: `diagnosis.attribution`.
    """
    sample, attribution, reasons = finding.sample, finding.attribution, finding.reasons
    visible = sample.visible.cpu()
    truth, prediction = sample.keypoints.double().cpu(), finding.prediction.double().cpu()
    soft = attribution.soft_coords.double().cpu() if attribution.soft_coords is not None else prediction * math.nan
    truth = truth.where(visible[:, None] & sample.annotated, truth.new_tensor(math.nan))
    epe, epe_soft = ((c - truth).norm(dim=-1).tolist() for c in (prediction, soft))
    if settings.epe_to == "reference":
        epe = (soft - finding.reference.double().cpu().where(visible[:, None], math.nan)).norm(dim=-1).tolist()
    per_joint = {name: value.double().cpu().tolist() for name, value in finding.indices.items() if value.ndim == 1}
    numbers = {
        name: getattr(attribution, name).cpu().tolist()
        for name in (
            "target_start", "target_end", "residual", "residual_rel", "map_error", "converged", "evaluations",
        )
    }  # fmt: skip
    known = dict(finding.index_errors)
    if attribution.map_error_2px is not None:
        known["map_error_2px"] = attribution.map_error_2px
    trust = {
        name: known[name].double().cpu().tolist() if name in known else [math.nan] * len(reasons) for name in errors
    }
    identity = {"sample_id": sample.sample_id, "image_id": sample.image_id, "instance_id": sample.instance_id}
    over_input = _over_input(sample, attribution.maps) if settings.has_maps else {}
    axes = _AXES[: prediction.shape[1]]
    places = None if unit == "px" else _places(sample).tolist()
    joints = [
        {
            **identity,
            "joint": k,
            "joint_name": name,
            "group": groups.group_of[k],
            "visible": bool(visible[k]),
            **{f"gt_{a}": float(v) for a, v in zip(axes, truth[k], strict=True)},
            **{f"pred_{a}": float(v) for a, v in zip(axes, prediction[k], strict=True)},
            **({} if places is None else {"place_x": places[k][0], "place_y": places[k][1]}),
            "epe": epe[k],
            "epe_soft": epe_soft[k],
            "unit": unit,
            **dict.fromkeys(_ALWAYS["joint"], math.nan),
            **{name: values[k] for name, values in per_joint.items()},
            "reason": reasons[k],
            **{name: values[k] for name, values in numbers.items()},
            **dict.fromkeys(_OVER_INPUT, math.nan),
            **{name: values[k] for name, values in over_input.items()},
            **{name: values[k] for name, values in trust.items()},
        }
        for k, name in enumerate(groups.keypoint_names)
    ]
    finite = [e for e in epe if math.isfinite(e)]
    row: dict[str, Any] = {
        **identity,
        "image_path": sample.image_path,
        "n_visible": int(visible.sum()),
        "mepe": sum(finite) / len(finite) if finite else math.nan,
        "mask_source": sample.mask_source,
        "seconds": finding.seconds,
        "evaluations": int(attribution.evaluations.sum()),
        "height": int(sample.image.shape[-2]),
        "width": int(sample.image.shape[-1]),
        **{f"warp_{i}{j}": float(sample.inverse_warp[i, j]) for i in range(2) for j in range(3)},
        "padding": 0.0 if sample.in_image is None else 1 - float(sample.in_image.double().mean()),
        "box_side": box_side(sample),
    }
    matrices = {name: value.double().cpu().tolist() for name, value in finding.indices.items() if value.ndim == 2}
    relations = [
        {
            "sample_id": sample.sample_id,
            "joint": a,
            "joint_name": name_a,
            "other": b,
            "other_name": name_b,
            **dict.fromkeys(_ALWAYS["relation"], math.nan),
            **{name: values[a][b] for name, values in matrices.items()},
        }
        for a, name_a in enumerate(groups.keypoint_names)
        for b, name_b in enumerate(groups.keypoint_names)
        if matrices and visible[a]
    ]
    return SampleRecord(
        sample_id=sample.sample_id,
        sample=row,
        joints=joints,
        relations=relations,
        maps=attribution.maps.float().cpu().numpy() if settings.has_maps else None,
        signed=None if attribution.signed is None else attribution.signed.float().cpu().numpy(),
        display=sample.display if settings.has_maps else None,
    )


def box_side(sample: Sample) -> float:
    """Longer side of a person's annotated box in the input, px; NaN where there is none, or it has no area.

    Sides are measured along the box, however the crop is turned.
    """
    box = sample.extra.get("bbox")
    if box is None or not (box[2] > box[0] and box[3] > box[1]):
        return math.nan
    (a, b), (c, d) = sample.inverse_warp[:, :2].tolist()  # its inverse takes a side (width, 0) to width * (d, -c) / det
    width, height = float(box[2] - box[0]) * math.hypot(d, c), float(box[3] - box[1]) * math.hypot(b, a)
    return max(width, height) / float(abs(a * d - b * c))


def _over_input(sample: Sample, maps: Tensor) -> dict[str, list[float]]:
    """(K,) each: the share of a map (K, H, W) in the padding, and FI over the whole input, padding and all."""
    import torch

    from ..functional.indices import foreground_index, mass_outside

    def region(given: Tensor | None, otherwise: bool) -> Tensor:
        size = maps.shape[-2:]
        pixels = torch.full(size, otherwise) if given is None else given.bool()
        return pixels[None, None].to(maps.device)

    in_padding = mass_outside(maps[None], region(sample.in_image, True))
    on_mask = foreground_index(maps[None], region(sample.mask, False))
    values = (value[0].double().cpu().tolist() for value in (in_padding, on_mask))
    return dict(zip(_OVER_INPUT, values, strict=True))


def _places(sample: Sample) -> Tensor:
    """(K, 2) input px on the CPU, NaN where a joint is not visible or appears nowhere."""
    import torch

    nowhere = torch.full((len(sample.visible), 2), math.nan, dtype=torch.float64)
    known = nowhere if sample.pixels is None else sample.pixels.double().cpu()
    return known.where(sample.visible.cpu()[:, None], nowhere)
