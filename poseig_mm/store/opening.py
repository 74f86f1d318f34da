"""What a writer does with a work dir before its first batch: is it free, is it the same run, what is left over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poseig_mm.errors import StoreError

from .atomic import remove
from .image_marks import changed_images
from .lock import WriterLock
from .parts import Inventory, Part, part_files, whole_stem
from .run_file import failures_path, read_run, run_path

# Keys of `identity` that versions up to 0.2.0 did not write: what a run does not say is unknown, not different
_SAID_SINCE = ("adapter", "plugins")


def compare_runs(work_dir: Path, rank: int, about: Mapping[str, Mapping[str, Any]], has_parts: bool) -> None:
    """Refuse to go on with another run; `about` holds `identity` and `store`, as run.json does.

    Raises:
        StoreError: names every differing key with its old and new value; or there are results but no run.json.
    """
    paths = {run_path(work_dir), run_path(work_dir, rank), *work_dir.glob("run-r*.json")}
    runs = [run for path in sorted(paths) if (run := read_run(path))]
    if has_parts and not runs:
        raise StoreError(
            f"cannot resume in {work_dir}: its run.json is missing, so nobody knows which run it holds; restore it, or "
            "give another --work-dir"
        )
    for run in runs:
        unknown = {key for key in _SAID_SINCE if key not in run.get("identity", {})}
        old, new = _flat(run), _flat(about, unknown)
        keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        if keys:
            named = "; ".join(f"{k}: was {_short(old.get(k))}, now {_short(new.get(k))}" for k in keys)
            raise StoreError(f"cannot resume in {work_dir}: it holds another run. Differing: {named}. {_remedy(keys)}")


def compare_images(work_dir: Path, parts: Iterable[Part]) -> None:
    """Refuse to go on where images that there are rows of have become others since.

    Raises:
        StoreError: names the first of them.
    """
    marks = [mark for part in parts for mark in part.images.items()]
    if changed := changed_images(marks):
        path, what = next(iter(changed.items()))
        raise StoreError(
            f"cannot resume in {work_dir}: {len(changed)} of the {len(dict(marks))} images that it has rows of "
            f"have changed since, such as {path}, which {what}. Put the images back as they were, or give "
            "another --work-dir"
        )


def refuse_if_used(work_dir: Path, rank: int) -> None:
    """Without `resume` only a work dir without results will do; parts of ranks at work now are of our own run.

    Raises:
        StoreError: there are results already.
    """
    used = {r for path, _, r in part_files(work_dir) if path.parent.name == "samples" and path.suffix == ".parquet"}
    if any(r == rank or _is_idle(work_dir, r) for r in used):
        raise StoreError(f"{work_dir} already holds results: go on with them with --resume, or give another --work-dir")


def clean(work_dir: Path, rank: int, inventory: Inventory, resume: bool) -> set[int]:
    """Delete what does not count: own left-overs, and at rank 0 those of ranks that nobody writes for now.

    Returns the ranks that were seen to.

    Raises:
        StoreError: a file cannot be deleted.
    """
    kept = {part.stem for part in inventory.parts}
    if resume:
        kept |= {stem for _, stem, r in part_files(work_dir) if stem == whole_stem(r)}
    waste: dict[int, list[Path]] = {rank: []}
    for path, stem, r in part_files(work_dir):  # samples files come first: that takes back the commit
        if path.name.startswith(".") or stem not in kept:
            waste.setdefault(r, []).append(path)
    if not resume:
        for path in work_dir.glob("run-r*.json"):  # of an earlier run that had more ranks and no results
            if (number := path.stem[len("run-r") :]).isdecimal():
                r = int(number)
                waste.setdefault(r, []).extend((path, failures_path(work_dir, r)))
    seen = set()
    for r, paths in waste.items():
        lock = WriterLock.try_acquire(work_dir, r) if r != rank and rank == 0 else None
        if r == rank or lock is not None:
            for path in paths:
                remove(path)
            seen.add(r)
        if lock is not None:
            lock.release()
    return seen


def idle_ranks(work_dir: Path, ranks: Iterable[int]) -> list[int]:
    """Those of `ranks` that nobody writes for now."""
    return [rank for rank in ranks if _is_idle(work_dir, rank)]


def _is_idle(work_dir: Path, rank: int) -> bool:
    lock = WriterLock.try_acquire(work_dir, rank)
    if lock is not None:
        lock.release()
    return lock is not None


def _flat(about: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    identity = {key: value for key, value in about.get("identity", {}).items() if key not in without}
    plugins = {f"plugins.{name}": code for name, code in identity.pop("plugins", {}).items()}
    return {**identity, **plugins, **{f"store.{k}": v for k, v in about.get("store", {}).items()}}


def _remedy(keys: Sequence[str]) -> str:
    plugins = [key.removeprefix("plugins.") for key in keys if key.startswith("plugins.")]
    if not plugins:
        return "Give the same model, data and settings as before, or another --work-dir"
    named = f"plugin{'s' if len(plugins) > 1 else ''} {', '.join(map(repr, plugins))}"
    return (
        f"The code of {named} is another than before, and a column would hold two definitions. Go on with the plugins "
        "that the run was begun with, or give another --work-dir"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:87] + "..."
