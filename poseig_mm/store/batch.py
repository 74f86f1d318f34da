"""One batch on its way to disk: rows checked and made into tables, then files published, the commit marker last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from poseig_mm.errors import StoreError

from .atomic import make_dir, publish, remove
from .image_marks import image_marks
from .map_parts import MapPlan
from .parts import encode_table, file_entry
from .schema import SAMPLES_SCHEMA, Row, SampleRecord, Schema, rows_to_frame


@dataclass(frozen=True)
class Batch:
    """Records and the tables made from them."""

    records: tuple[SampleRecord, ...]
    samples: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]  # 'joints', 'relations', 'studies/<name>'


def make_batch(
    records: Sequence[SampleRecord], study_rows: Mapping[str, Sequence[Row]], schemas: Mapping[str, Schema]
) -> Batch:
    """Check `records` and make their tables; of `study_rows`, those of other samples are left out.

    Raises:
        StoreError: a row does not fit its table (the column is named) or belongs to another sample.
    """
    for record in records:
        for row in (record.sample, *record.joints, *record.relations):
            if row.get("sample_id") != record.sample_id:
                raise StoreError(f"sample {record.sample_id!r} has a row whose sample_id is {row.get('sample_id')!r}")
    tables = {
        "joints": rows_to_frame("joints", [row for r in records for row in r.joints], schemas["joints"]),
        "relations": rows_to_frame("relations", [row for r in records for row in r.relations], schemas["relations"]),
    }
    ids = {record.sample_id for record in records}
    for name, rows in study_rows.items():
        own = [row for row in rows if row.get("sample_id", records[0].sample_id) in ids]
        tables[f"studies/{name}"] = study_frame(name, own)
    samples = rows_to_frame("samples", [r.sample for r in records], SAMPLES_SCHEMA)
    return Batch(tuple(records), samples, tables)


def publish_batch(work_dir: Path, stem: str, batch: Batch, plan: MapPlan) -> None:
    """Write all files of the part `stem`, the samples file last.

    Raises:
        StoreError: a file could not be written; those of this part that were are deleted again, which makes room.
    """
    files, written = {}, []
    try:
        for name, data in plan.files.items():
            files[name] = file_entry(data)
            written.append(work_dir / name)
            make_dir(written[-1].parent)
            publish(written[-1], data)
        for table, frame in batch.tables.items():
            if len(frame):
                name, data = f"{table}/{stem}.parquet", encode_table(frame)
                files[name] = file_entry(data)
                written.append(work_dir / name)
                make_dir(work_dir / table)
                publish(written[-1], data)
        images = image_marks(batch.samples["image_path"])
        samples = batch.samples.with_columns(pl.Series("maps_file", plan.maps_file, dtype=pl.String))
        publish(work_dir / "samples" / f"{stem}.parquet", encode_table(samples, {"files": files, "images": images}))
    except BaseException:
        _try_remove(written)
        raise


def study_frame(name: str, rows: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """A study's rows as a table; numpy scalars are numbers too.

    >>> study_frame('s', [{'a': 1}, {'a': 2.5, 'b': 'x'}]).rows()
    [(1.0, None), (2.5, 'x')]

    Raises:
        StoreError: a column has values that no one type holds.
    """
    if isinstance(rows, pl.DataFrame):
        return rows
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("sample_id", ""), str):
            raise StoreError(f"study {name!r}: a row is {str(row)[:80]!r}; expected a dict, with a str as `sample_id`")
    plain = [{k: _plain(v) for k, v in row.items()} for row in rows]
    kinds: dict[str, str] = {}
    for row in plain:
        for column, value in row.items():
            kind = "number" if type(value) in (int, float) else type(value).__name__
            if value is not None and kinds.setdefault(column, kind) != kind:
                raise StoreError(
                    f"study {name!r}, column {column!r}: got {kind} {value!r} after {kinds[column]} values; give every "
                    "column one type"
                )
    try:
        frame = pl.DataFrame(plain, infer_schema_length=None)
        for column, dtype in frame.schema.items():
            if dtype.is_nested() or dtype == pl.Object():  # not all of them can be written
                encode_table(frame.select(column))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError, OverflowError) as e:
        raise StoreError(
            f"study {name!r}: its rows make no table: {str(e)[:200]}; give numbers, texts or lists of them (`.item()`, "
            "`.tolist()` of a tensor)"
        ) from e
    return frame


def rows_that_fit(name: str, kept: Sequence[Row], new: Sequence[Row]) -> tuple[list[Row], StoreError | None]:
    """`kept` and those of `new` that make a table with them; what is wrong with the first of the others."""
    try:
        study_frame(name, [*kept, *new])
    except StoreError as e:
        if len(new) < 2:
            return list(kept), e
        half = len(new) // 2
        good, first = rows_that_fit(name, kept, new[:half])
        good, second = rows_that_fit(name, good, new[half:])
        return good, first or second
    return [*kept, *new], None


def _plain(value: Any) -> Any:
    """A numpy scalar as the Python number it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _try_remove(paths: Iterable[Path]) -> None:
    """Delete what can be deleted; what stays does not count, and a resuming writer deletes it."""
    for path in paths:
        try:
            remove(path)
        except StoreError:
            continue
