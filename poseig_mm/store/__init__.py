"""Append-only store of a run: tables as Parquet parts, maps as safetensors parts, run.json.  No torch."""

from .map_parts import MapMode, MapPolicy, pool
from .reader import Store
from .run_file import json_safe
from .schema import SAMPLES_SCHEMA, SampleRecord, joints_schema, relations_schema, rows_to_frame
from .writer import StoreWriter

__all__ = [
    "SAMPLES_SCHEMA",
    "MapMode",
    "MapPolicy",
    "SampleRecord",
    "Store",
    "StoreWriter",
    "joints_schema",
    "json_safe",
    "pool",
    "relations_schema",
    "rows_to_frame",
]
