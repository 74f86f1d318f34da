"""Which maps are kept, and in what form: all, the worst N, pooled, or none.

`all`     one safetensors file a batch, key = sample id, float16 (or float32), (K, H, W); NaN for joints not computed.
`pooled`  the same with each 4 x 4 block of pixels replaced by its mean: a sixteenth of the space.  Not renormalised, so
          that sums over regions stay comparable; an index does not depend on a map's scale, a drawing divides by the
          max.
`worst`   one file a sample, only for the N samples of largest mean error that this rank has seen so far; a sample that
          falls out has its file deleted after the batch that displaced it is committed.  Its picture goes with it.
`none`    no maps; pictures are still kept where a record has them.

Signed maps, where a record has them, are kept with the maps, in `signed/` and in float32: their sums are differences of
the target, which may be far below what float16 resolves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import save

from poseig_mm.errors import ConfigError, StoreError, did_you_mean

from .parts import Part
from .schema import SampleRecord

MapMode = Literal["all", "worst", "pooled", "none"]
POOL_FACTOR = 4


def pool(maps: NDArray[Any], factor: int = POOL_FACTOR) -> NDArray[np.float32]:
    """Means over blocks of `factor` x `factor` pixels, (K, H, W) -> (K, ceil(H / factor), ceil(W / factor)).

    Blocks at the right and lower edge may be smaller; each is averaged over the pixels it has.

    >>> pool(np.arange(6.0).reshape(1, 2, 3), 2).tolist()
    [[[2.0, 3.5]]]
    """
    _, height, width = maps.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(maps.astype(np.float32), rows, axis=1), columns, axis=2)
    counts = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))
    means: NDArray[np.float32] = sums / counts.astype(np.float32)
    return means


@dataclass(frozen=True)
class MapPlan:
    """What one batch does to `maps/` and `displays/`."""

    files: dict[str, bytes]  # path in the work dir -> content, to be written before the commit
    maps_file: tuple[str | None, ...]  # of each record, for the `samples` table
    drop: tuple[str, ...] = ()  # to be deleted after the commit
    kept: dict[str, float] = field(default_factory=dict)  # the worst so far: maps file -> mean error


class MapPolicy:
    """Plans each batch's map files; its memory is bounded by `worst` names.

    Raises:
        ConfigError: unknown mode or dtype, or `worst` below 1.
    """

    def __init__(self, mode: str, worst: int, dtype: str) -> None:
        if mode not in get_args(MapMode):
            raise ConfigError(f"store.maps: got {mode!r}; {did_you_mean(str(mode), get_args(MapMode))}")
        if dtype not in ("float16", "float32"):
            raise ConfigError(f"store.maps_dtype: got {dtype!r}; known: float16, float32")
        if worst < 1:
            raise ConfigError(
                f"store.worst: got {worst}, expected the number of samples whose maps are kept, 1 or more"
            )
        self.mode, self.worst, self.dtype = mode, worst, np.dtype(dtype)
        self._kept: dict[str, float] = {}

    def settings(self) -> dict[str, Any]:
        """What a reader needs to know, and what may not change when a run is resumed."""
        settings: dict[str, Any] = {"maps": self.mode, "maps_dtype": str(self.dtype)}
        if self.mode == "worst":
            settings["worst"] = self.worst
        if self.mode == "pooled":
            settings["pool_factor"] = POOL_FACTOR
        return settings

    def restore(self, work_dir: Path, parts: Iterable[Part]) -> tuple[str, ...]:
        """Take up the worst maps of committed `parts`; returns the files that should have been deleted already."""
        if self.mode != "worst":
            return ()
        errors: dict[str, float] = {}
        for part in parts:
            for name, mepe in part.samples.filter(pl.col("maps_file").is_not_null()).select("maps_file", "mepe").rows():
                if (work_dir / name).exists():
                    errors[name] = _badness(mepe)
        self._kept = self._largest(errors)
        return tuple(f for name in errors.keys() - self._kept.keys() for f in _files_of(name))

    def plan(self, stem: str, records: Sequence[SampleRecord]) -> MapPlan:
        """The files of the batch `stem`, whose records have passed `check_arrays`."""
        if self.mode == "worst":
            return self._plan_worst(stem, records)
        kept: dict[str, dict[str, NDArray[Any]]] = {}  # directory -> sample id -> array
        for record in records:
            for directory, array in self._kept_of(record).items():
                kept.setdefault(directory, {})[record.sample_id] = array
        files = {f"{directory}/{stem}.safetensors": save(arrays) for directory, arrays in kept.items()}
        with_maps = kept.get("maps", {})
        return MapPlan(files, tuple(f"maps/{stem}.safetensors" if r.sample_id in with_maps else None for r in records))

    def committed(self, plan: MapPlan) -> None:
        """The batch is on disk: its maps take part in the choice of the worst from now on."""
        self._kept = plan.kept

    def _plan_worst(self, stem: str, records: Sequence[SampleRecord]) -> MapPlan:
        name_of = {r.sample_id: f"maps/{stem}-{i:03d}.safetensors" for i, r in enumerate(records) if r.maps is not None}
        batch = {name_of[r.sample_id]: _badness(r.sample["mepe"]) for r in records if r.sample_id in name_of}
        kept = self._largest(self._kept | batch)
        files: dict[str, bytes] = {}
        for record in records:
            name = name_of.get(record.sample_id)
            if name in kept:
                for directory, array in self._kept_of(record).items():
                    files[_beside(name, directory)] = save({record.sample_id: array})
        drop = tuple(f for name in self._kept.keys() - kept.keys() for f in _files_of(name))
        return MapPlan(
            files, tuple(n if (n := name_of.get(r.sample_id)) in kept else None for r in records), drop, kept
        )

    def _largest(self, candidates: dict[str, float]) -> dict[str, float]:
        ranked = sorted(candidates.items(), key=lambda item: item[1], reverse=True)  # stable: the earlier one stays
        return dict(ranked[: self.worst])

    def _kept_of(self, record: SampleRecord) -> dict[str, NDArray[Any]]:
        """Directory -> what is kept there of a sample."""
        arrays: dict[str, NDArray[Any]] = {}
        for directory, maps, dtype in (("maps", record.maps, self.dtype), ("signed", record.signed, np.float32)):
            if maps is not None and record.maps is not None and self.mode != "none":
                arrays[directory] = np.ascontiguousarray(pool(maps) if self.mode == "pooled" else maps, dtype=dtype)
        if record.display is not None:
            arrays["displays"] = np.ascontiguousarray(record.display)
        return arrays


def _badness(mepe: float) -> float:
    """Samples without an error (nothing visible) are the first to go."""
    return -math.inf if math.isnan(mepe) else float(mepe)


def _beside(maps_file: str, directory: str) -> str:
    return maps_file.replace("maps/", f"{directory}/", 1)


def _files_of(maps_file: str) -> tuple[str, ...]:
    """All files of one sample, its maps last: while they are there, the others are looked for again."""
    return (_beside(maps_file, "displays"), _beside(maps_file, "signed"), maps_file)


def check_arrays(records: Iterable[SampleRecord]) -> None:
    """Maps and pictures have the shape and type that `SampleRecord` says.

    Raises:
        StoreError: names the sample, what was got and what was expected.
    """
    for record in records:
        maps, picture, of = record.maps, record.display, f"of sample {record.sample_id!r}"
        if record.sample_id == "__metadata__":
            raise StoreError("a sample cannot have the id '__metadata__': safetensors keeps that key for itself")
        for what, value in (("maps", maps), ("signed maps", record.signed)):
            if value is not None and (not isinstance(value, np.ndarray) or value.ndim != 3 or value.dtype.kind != "f"):
                raise StoreError(f"{what} {of}: expected a numpy float array (K, H, W), got {_kind(value)}")
        if picture is not None and (
            not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,)
        ):
            raise StoreError(f"display {of}: expected a numpy uint8 array (H, W, 3), got {_kind(picture)}")


def _kind(value: Any) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)} {getattr(value, 'shape', '')}".strip()
