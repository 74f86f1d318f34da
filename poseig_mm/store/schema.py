"""What the store's tables hold: columns, types, order, and the check that rows fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from poseig_mm.errors import StoreError, did_you_mean

Row = Mapping[str, Any]
Schema = dict[str, pl.DataType]


@dataclass(frozen=True)
class SampleRecord:
    """Everything the store keeps of one sample.  Arrays must not be changed after they were handed over."""

    sample_id: str
    sample: Row  # one row of `samples`; `maps_file` is filled in by the writer
    joints: Sequence[Row]  # K rows of `joints`
    relations: Sequence[Row] = field(default_factory=tuple)  # rows of `relations`
    maps: NDArray[np.floating[Any]] | None = None  # (K, H, W) in [0, 1], NaN where a joint was not computed
    display: NDArray[np.uint8] | None = None  # (H, W, 3) RGB
    signed: NDArray[np.floating[Any]] | None = None  # (K, H, W) signed sums, kept where `maps` are


SAMPLES_SCHEMA: Schema = {
    "sample_id": pl.String(),
    "image_id": pl.String(),
    "instance_id": pl.String(),
    "image_path": pl.String(),
    "n_visible": pl.Int32(),
    "mepe": pl.Float64(),  # mean EPE over visible joints, in the joints' `unit`
    "mask_source": pl.String(),
    "seconds": pl.Float64(),
    "evaluations": pl.Int64(),
    "height": pl.Int32(),  # of the input, px
    "width": pl.Int32(),
    **{f"warp_{row}{column}": pl.Float64() for row in range(2) for column in range(3)},  # input px -> original px
    "maps_file": pl.String(),  # null where no map was stored
    "padding": pl.Float64(),  # share of the input that shows no image
    "box_side": pl.Float64(),  # longer side of the person's annotated box, input px; NaN where there is none
}

_RELATIONS: Schema = {
    "sample_id": pl.String(),
    "joint": pl.Int32(),
    "joint_name": pl.String(),
    "other": pl.Int32(),
    "other_name": pl.String(),
}

NULLABLE = frozenset({"maps_file"})
# parts of earlier versions lack them: unknown there, NaN
LATER = frozenset({"padding", "mass_in_padding", "fi_input", "box_side"})


def joints_schema(
    dimensions: int = 2, indices: Sequence[str] = (), places: bool = False, errors: Sequence[str] = ()
) -> Schema:
    """Columns of `joints` in their fixed order, with z columns in 3D runs, the indices after `unit`, and `errors` last.

    With `places`, where gt and pred are no pixels of the input, `place_x` and `place_y` say where the joint appears in
    it.

    >>> list(joints_schema(3, ['my_index']))[7:19]  # doctest: +NORMALIZE_WHITESPACE
    ['gt_x', 'gt_y', 'gt_z', 'pred_x', 'pred_y', 'pred_z', 'epe', 'epe_soft', 'unit', 'my_index', 'reason',
     'target_start']

    Raises:
        StoreError: `dimensions` is neither 2 nor 3, or an index takes the name of another column.
    """
    if dimensions not in (2, 3):
        raise StoreError(f"joints have 2 or 3 dimensions, got {dimensions}")
    axes = "xyz"[:dimensions]
    text, integer, number, flag = pl.String(), pl.Int32(), pl.Float64(), pl.Boolean()
    head: Schema = {name: text for name in ("sample_id", "image_id", "instance_id")}
    head |= {"joint": integer, "joint_name": text, "group": text, "visible": flag}
    head |= {f"{kind}_{axis}": number for kind in ("gt", "pred") for axis in axes}
    head |= {f"place_{axis}": number for axis in "xy" if places}
    head |= {"epe": number, "epe_soft": number, "unit": text}
    tail: Schema = {"reason": text}
    tail |= {name: number for name in ("target_start", "target_end", "residual", "residual_rel", "map_error")}
    tail |= {"converged": flag, "evaluations": integer}
    tail |= {"mass_in_padding": number}  # share of the map's mass in pixels that show no image
    tail |= {"fi_input": number}  # FI over the whole input, padding and all
    columns = head | _index_columns("joints", indices, head | tail) | tail
    return columns | _index_columns("joints", errors, columns)


def relations_schema(relations: Sequence[str] = ()) -> Schema:
    """Columns of `relations`; the relation indices come last.

    >>> list(relations_schema(['mine']))
    ['sample_id', 'joint', 'joint_name', 'other', 'other_name', 'mine']

    Raises:
        StoreError: an index takes the name of another column.
    """
    return _RELATIONS | _index_columns("relations", relations, _RELATIONS)


def _index_columns(table: str, names: Sequence[str], taken: Schema) -> Schema:
    for i, name in enumerate(names):
        if name in taken or name in names[:i]:
            raise StoreError(f"index {name!r} has the name of another column of `{table}`: give it another name")
    return {name: pl.Float64() for name in names}


def rows_to_frame(table: str, rows: Sequence[Row], schema: Schema) -> pl.DataFrame:
    """A frame with exactly the columns and types of `schema`, in its order; a missing number is NaN, never null.

    >>> rows_to_frame('t', [{'b': float('nan'), 'a': 'x'}], {'a': pl.String(), 'b': pl.Float64()}).rows()
    [('x', nan)]

    Raises:
        StoreError: names the column that is missing, unknown or of another type.
    """
    for row in rows:
        if row.keys() == schema.keys():
            continue
        for name in schema:
            if name not in row and name not in NULLABLE:
                raise StoreError(f"table `{table}`: column {name!r} is missing from a row (a skipped number is NaN)")
        for name in row:
            if name not in schema:
                hint = did_you_mean(name, schema)
                raise StoreError(f"table `{table}`: unknown column {name!r}; {hint} (indices: `indices`)")
    columns = {
        name: pl.Series(name, _column(table, name, [row.get(name) for row in rows], kind), dtype=kind)
        for name, kind in schema.items()
    }
    return pl.DataFrame(columns)


def _column(table: str, name: str, values: list[Any], kind: pl.DataType) -> list[Any]:
    """The values as `_plain` gives them, checked together where they are all of the Python type that is stored."""
    types, whole = set(map(type, values)), kind.is_integer()
    plain = (
        (types == {float} and kind == pl.Float64())
        or (types == {bool} and kind == pl.Boolean())
        or (types == {str} and kind == pl.String() and _encodable("".join(values)))
        or (types == {int} and whole and all(_fits(value, kind) for value in (min(values), max(values))))
    )
    return values if plain else [_plain(table, name, value, kind) for value in values]


def _fits(value: int, kind: pl.DataType) -> bool:
    bits = 31 if kind == pl.Int32() else 63
    return bool(-(2**bits) <= value < 2**bits)


def _plain(table: str, name: str, value: Any, kind: pl.DataType) -> Any:
    """`value` as the Python type that `kind` stores, or a StoreError: nothing is converted on a guess."""
    is_flag = isinstance(value, (bool, np.bool_))
    if value is None and name in NULLABLE:
        return None
    if kind == pl.Boolean() and is_flag:
        return bool(value)
    if kind == pl.Float64() and isinstance(value, (int, float, np.integer, np.floating)) and not is_flag:
        return float(value)
    if kind.is_integer() and isinstance(value, (int, np.integer)) and not is_flag and _fits(int(value), kind):
        return int(value)
    if kind == pl.String() and isinstance(value, str) and _encodable(value):
        return str(value)
    raise StoreError(
        f"table `{table}`, column {name!r}: expected {kind}, got {type(value).__name__} {str(value)[:80]!r} "
        "(a missing number is NaN with a `reason`, a missing text is '')"
    )


def _encodable(text: str) -> bool:
    """Whether UTF-8 can hold it (a file name with undecodable bytes cannot be stored)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
