"""The store's reader: committed rows and maps of all ranks, without a model; it loads what is asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from poseig_mm.errors import StoreError, did_you_mean
from poseig_mm.types import Failure, JointGroups

from .file_names import check_plain_name
from .older_runs import filled_in
from .parts import UNREADABLE, Inventory, has_content, part_files, scan_parts, whole_stem
from .run_file import earlier_run, failures_path, read_failures
from .schema import LATER, NULLABLE, SAMPLES_SCHEMA, Schema, joints_schema, relations_schema


class Store:
    """What a run has committed so far, as it was when this was made; a running writer does not disturb it.

    Rows come in the order of rank and part.  A sample that two ranks wrote counts once, the first time.  Damaged parts
    are left out and stand among `failures`.

    Raises:
        StoreError: `work_dir` is not the work dir of a run, or its run.json cannot be read.
    """

    def __init__(self, work_dir: str | Path) -> None:
        self.path = Path(work_dir)
        if not self.path.is_dir():
            raise StoreError(f"{self.path} is not a directory: expected the work dir of a poseig-diagnose run")
        inventory = scan_parts(self.path)
        self.run: dict[str, Any] = earlier_run(self.path)
        if not self.run and not inventory.parts and not inventory.broken:
            raise StoreError(
                f"{self.path} is not the work dir of a run: expected run.json and samples/part-*.parquet in it, as "
                "poseig-diagnose --work-dir writes them"
            )
        self.run = self.run or filled_in({})
        self._parts = inventory.parts
        self._checked: set[Path] = set()  # files of maps whose content is what was written
        self._where: dict[str, tuple[str, str | None]] = {}  # sample id -> part, maps file
        self._repeated: dict[str, list[str]] = {}  # part -> ids that an earlier part has
        for part in inventory.parts:
            for sample_id, maps_file in part.samples.select("sample_id", "maps_file").rows():
                if sample_id in self._where:
                    self._repeated.setdefault(part.stem, []).append(sample_id)
                else:
                    self._where[sample_id] = (part.stem, maps_file)
        self._studies, damaged = _readable_studies(self.path, inventory)
        self._damaged = (*map(inventory.failure, inventory.broken), *damaged)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._where)

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids of the committed samples, in the order of the tables."""
        return tuple(self._where)

    def scan_joints(self) -> pl.LazyFrame:
        """The `joints` table, lazily: one row a sample and joint."""
        return self._scan("joints", self._joints_schema())

    def joints(self) -> pl.DataFrame:
        """The `joints` table: one row a sample and joint, missing numbers NaN."""
        return self._collect("joints", self._joints_schema())

    def samples(self) -> pl.DataFrame:
        """The `samples` table: one row a sample."""
        return self._collect("samples", SAMPLES_SCHEMA)

    def relations(self) -> pl.DataFrame:
        """The `relations` table: one row a sample and pair of joints."""
        names = self.run.get("store", {}).get("relations", ())
        return self._collect("relations", relations_schema(names))

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the studies that have a table."""
        return tuple(self._studies)

    def study(self, name: str) -> pl.DataFrame:
        """A study's table, parts of all ranks one under the other (a column that a part lacks is null there).

        Raises:
            StoreError: no such study in this run, or its files cannot be read.
        """
        if name not in self._studies:
            raise StoreError(f"no study {name!r} in {self.path}; {did_you_mean(name, self._studies)}")
        frames = []
        try:
            for path in self._studies[name]:
                frame, repeated = pl.read_parquet(path, glob=False), self._repeated.get(path.stem)
                if repeated and "sample_id" in frame.columns:
                    frame = frame.filter(~pl.col("sample_id").is_in(repeated))
                frames.append(frame)
            return pl.concat(frames, how="diagonal_relaxed")
        except UNREADABLE as e:
            folder = self.path / "studies" / name
            raise StoreError(f"cannot read {folder}: {e}; delete it, and --resume computes it again") from e

    def pictures(self, study: str) -> list[Path]:
        """Image files that a study kept for its section, sorted by name; links out of the work dir are left out."""
        folder = self.path / "pictures" / check_plain_name(study, "a study's name")
        return [path for path in sorted(folder.glob("*.jpg")) if path.resolve().is_relative_to(self.path.resolve())]

    @cached_property
    def has_maps(self) -> bool:
        """Whether at least one sample's maps can be read."""
        files = dict.fromkeys(maps_file for _, maps_file in self._where.values() if maps_file is not None)
        return any((self.path / name).exists() for name in files)

    def map(self, sample_id: str) -> NDArray[np.float32] | None:
        """Maps of one sample, (K, H, W) in [0, 1], NaN where a joint was not computed; None where none were kept.

        Only these maps are read from the file.  Pooled maps come in their pooled size (run.json: `store.pool_factor`).

        Raises:
            StoreError: no such sample, or the file is damaged.
        """
        kept = self._kept("maps", sample_id)
        return None if kept is None else kept.astype(np.float32)

    def signed_map(self, sample_id: str) -> NDArray[np.float32] | None:
        """Signed sums of one sample, (K, H, W), neither absolute nor normalised; None where none were kept.

        Raises:
            StoreError: no such sample, or the file is damaged.
        """
        return self._kept("signed", sample_id)

    def display(self, sample_id: str) -> NDArray[np.uint8] | None:
        """The input crop of one sample to look at, (H, W, 3) uint8 RGB; None where none was kept.

        Raises:
            StoreError: no such sample, or the file is damaged.
        """
        return self._kept("displays", sample_id)

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """What went wrong and was survived, of all ranks, and the parts found damaged now."""
        paths = [failures_path(self.path, 0), *sorted(self.path.glob("failures-r*.jsonl"))]
        recorded = [failure for path in paths for failure in read_failures(path)]
        return tuple(dict.fromkeys((*recorded, *self._damaged)))

    @property
    def groups(self) -> JointGroups | None:
        """Joint names, groups and chain from run.json's `keypoints`; None where the run recorded none."""
        about = self.run.get("keypoints")
        if not about:
            return None
        return JointGroups(
            keypoint_names=tuple(about["names"]),
            group_of=tuple(about["groups"]),
            parent_of=tuple(about["parents"]),
            flip_pairs=tuple((int(a), int(b)) for a, b in about.get("flip_pairs", ())),
            skeleton=tuple((int(a), int(b)) for a, b in about["skeleton"]),
            derived=bool(about.get("derived", False)),
            sigmas=tuple(float(s) for s in about.get("sigmas", ())),
        )

    def _joints_schema(self) -> Schema:
        about = self.run.get("store", {})
        return joints_schema(
            about.get("dimensions", 2), about.get("indices", ()), about.get("places", False), about.get("errors", ())
        )

    def _collect(self, table: str, schema: Schema) -> pl.DataFrame:
        """A table that has the columns that the run says.

        Raises:
            StoreError: it has not, or cannot be read.
        """
        try:
            frame = self._scan(table, schema).collect()
        except UNREADABLE as e:
            raise self._unfit(table, schema, str(e)) from e
        if _misfit(frame, schema):
            raise self._unfit(table, schema, "its columns are not the run's")
        return frame

    def _unfit(self, table: str, schema: Schema, reason: str) -> StoreError:
        """The error of a table that cannot be read, by the first part that is to blame."""
        for part in self._parts:
            path = self.path / table / f"{part.stem}.parquet"
            try:
                why = _misfit(pl.read_parquet(path, glob=False), schema)
            except UNREADABLE as e:
                why = str(e)
            if why:
                marker = self.path / "samples" / path.name
                return StoreError(
                    f"cannot read {path}: {why}; delete {marker}, and --resume computes its samples again"
                )
        return StoreError(f"cannot read the {table} of {self.path}: {reason}; restore it")

    def _scan(self, table: str, schema: Schema) -> pl.LazyFrame:
        """The table's committed parts as one lazy frame; null in a column that a part lacks, NaN in one of `LATER`."""
        frames = list(self._scan_parts(table, schema))
        later = [name for name in schema if name in LATER]
        return (
            pl.concat(frames).with_columns(pl.col(later).fill_null(math.nan)) if frames else pl.LazyFrame(schema=schema)
        )

    def _scan_parts(self, table: str, schema: Schema) -> Iterator[pl.LazyFrame]:
        """Runs of parts scanned together, interrupted only by parts of which some rows are left out."""
        scan = partial(pl.scan_parquet, glob=False, schema=schema, missing_columns="insert", extra_columns="ignore")
        together: list[Path] = []
        for part in self._parts:
            name = f"{table}/{part.stem}.parquet"
            if table != "samples" and name not in part.files:
                continue
            path = self.path / name
            if part.stem not in self._repeated:
                together.append(path)
                continue
            if together:
                yield scan(together)
                together = []
            repeated = pl.Series(self._repeated[part.stem])
            yield scan(path).filter(~pl.col("sample_id").is_in(repeated.implode()))
        if together:
            yield scan(together)

    def _kept(self, directory: str, sample_id: str) -> NDArray[Any] | None:
        """What one of the directories keeps of a sample; signed maps are kept where maps are."""
        if sample_id not in self._where:
            raise StoreError(f"no sample {sample_id!r} among the {len(self)} of {self.path} (see `sample_ids`)")
        stem, maps_file = self._where[sample_id]
        if maps_file is None and directory != "displays":
            return None
        path = self.path / directory / (f"{stem}.safetensors" if maps_file is None else Path(maps_file).name)
        try:
            self._check_content(stem, path)
            with safe_open(path, framework="np") as file:
                return np.asarray(file.get_tensor(sample_id)) if sample_id in file.keys() else None  # noqa: SIM118
        except FileNotFoundError:
            return None
        except StoreError:
            raise
        except (SafetensorError, OSError) as e:
            raise StoreError(f"cannot read {path}: {e}; {_repair(stem)}") from e

    def _check_content(self, stem: str, path: Path) -> None:
        """What is read for the first time is what was written.

        Raises:
            StoreError: it is not.
        """
        if path in self._checked:
            return
        entry = next(part.files for part in self._parts if part.stem == stem).get(
            path.relative_to(self.path).as_posix()
        )
        if entry is not None and not has_content(path, entry):
            raise StoreError(f"cannot read {path}: it does not have the content that was written; {_repair(stem)}")
        self._checked.add(path)


def _repair(stem: str) -> str:
    return f"delete samples/{stem}.parquet in the work dir, and --resume computes its samples again"


def _misfit(frame: pl.DataFrame, schema: Schema) -> str:
    """The first column that is missing or of another type; '' where none is."""
    for name, kind in schema.items():
        if name not in frame.columns and name in LATER:
            continue
        if name not in frame.columns or (name not in NULLABLE and frame[name].null_count()):
            return f"it has no column {name!r}"
        if frame.schema[name] != kind:
            return f"its column {name!r} is of type {frame.schema[name]}; expected {kind}"
    return ""


def _readable_studies(work_dir: Path, inventory: Inventory) -> tuple[dict[str, list[Path]], list[Failure]]:
    """Files of each study that count and can be read, and a failure for each that should and cannot."""
    committed = {work_dir / name for part in inventory.parts for name in part.files}
    studies: dict[str, list[Path]] = {}
    failures = []
    missing = [p.parent.name for p in committed if p.parent.parent == work_dir / "studies" and not p.exists()]
    for name, n in sorted(Counter(missing).items()):
        message = (
            f"study {name!r}: {n} of its parts are gone; their rows are left out, and --resume computes them again"
        )
        failures.append(Failure("store", message, "StoreError"))
    for path, stem, rank in part_files(work_dir):
        name, whole = path.parent.name, path.name == f"{whole_stem(rank)}.parquet"
        if path.parent.parent != work_dir / "studies" or not (whole or path in committed):
            continue
        try:
            pl.read_parquet_metadata(path)
        except UNREADABLE as e:
            message = f"study {name!r}: {stem} cannot be read ({e}); its rows are left out"
            failures.append(Failure("store", message, type(e).__name__))
        else:
            studies.setdefault(name, []).append(path)
    return studies, failures
