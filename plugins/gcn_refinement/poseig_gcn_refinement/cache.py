"""The frozen model's heatmaps of the training data, computed once: float16 in memory-mapped files.

The frozen model never changes while the block is trained, so its heatmaps of the same images need not be computed again
in each epoch.  A cache lies in a folder named by its key, the hash of the frozen weights and of the data: other weights
or data have another folder, so that a stale cache is never read.  It appears whole or not at all (written aside, then
renamed), and a computation that was cut off goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poseig_mm.adapters.freezing import frozen
from poseig_mm.compat import prepare_environment
from poseig_mm.data.samples import SampleSource
from poseig_mm.errors import ConfigError, DataError
from poseig_mm.store.atomic import make_dir, publish, store_error
from poseig_mm.treatments.training import plain

prepare_environment()

from mmengine.structures import InstanceData, PixelData  # noqa: E402  (needs a prepared environment)
from mmpose.registry import DATASETS, KEYPOINT_CODECS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

__all__ = ["CachedHeatmaps", "cache_heatmaps", "cache_key", "cached_loader", "frozen_digest", "training_source"]

logger = logging.getLogger(__name__)
VERSION = 1  # of the files' form
ABOUT, PROGRESS = "cache.json", "progress.json"
HEATMAPS, KEYPOINTS = "heatmaps.npy", "keypoints.npy"
SAVED_EVERY = 256  # persons; a computation that is cut off loses that many at most


def cache_key(cfg: Any, model: Any, passes: int, seed: int, persons: int | None = None) -> str:
    """SHA-256 (hex) over the frozen weights, the training data's config and annotation files, and the arguments."""
    return _key(cfg, model, training_source(cfg, model, seed, persons), passes, seed)


def _key(cfg: Any, model: Any, source: SampleSource, passes: int, seed: int) -> str:
    digest = hashlib.sha256(f"{VERSION}|{passes}|{seed}|{len(source)}|{source.fingerprint()}".encode())
    digest.update(json.dumps(plain(cfg.train_dataloader["dataset"]), sort_keys=True, default=str).encode())
    digest.update(frozen_digest(model.state_dict()).encode())
    return digest.hexdigest()


def frozen_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hex) of all of a refined model's weights but the block's: names, types, shapes, bytes."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        if "refiner." not in name:
            digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def cache_heatmaps(
    cfg: Any,
    model: Any,
    folder: str | Path,
    *,
    passes: int = 1,
    seed: int = 0,
    persons: int | None = None,
    batch_size: int = 32,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Compute the frozen heatmaps of a config's training data, unless they are there.

    Args:
        cfg: with `train_dataloader`; its pipeline's random transforms are seeded by sample and pass.
        model: a `RefinedPoseEstimator` with its frozen weights, on the device that is to compute.
        folder: of all caches.
        passes: how often each person is taken, each time with other random transforms.
        seed: of the random transforms.
        persons: the first N of the seeded order; None: all.
        batch_size: persons in one forward pass.
        on_progress: gets persons done, and their number.

    Returns:
        The cache's folder: heatmaps.npy (N, K, h, w) float16, keypoints.npy (N, K, 2) float32 (x, y) in input px, NaN
        where not annotated, cache.json.

    Raises:
        DataError: no person could be loaded.
        StoreError: the disk is full.
    """
    if passes < 1 or batch_size < 1:
        raise ConfigError(f"passes is {passes}, batch_size {batch_size}; expected at least 1")
    source = training_source(cfg, model, seed, persons)
    key = _key(cfg, model, source, passes, seed)
    place = Path(folder) / key[:16]
    if is_whole(place, key):
        return place
    part = _Part(Path(folder) / f".{place.name}", key, passes * len(source))
    sources = chain([source], (training_source(cfg, model, seed + turn, persons) for turn in range(1, passes)))
    _compute(model, sources, part, batch_size, on_progress)
    part.finish(place, {"version": VERSION, "key": key, "passes": passes, "seed": seed})
    return place


def is_whole(place: Path, key: str | None = None) -> bool:
    """Whether the folder holds a cache, of this key where one is given, with files as long as they should be."""
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        sizes = {name: (place / name).stat().st_size for name in about["bytes"]}
    except (OSError, ValueError, KeyError):
        return False
    return about["version"] == VERSION and key in (None, about["key"]) and sizes == about["bytes"]


def cached_loader(place: str | Path, codec: Any, batch_size: int = 64, items: int | None = None) -> dict[str, Any]:
    """A `train_dataloader` for MMEngine's runner over a cache; the others are `CachedHeatmaps`'."""
    return {
        "batch_size": batch_size,
        "num_workers": 0,  # reading is faster than handing over
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "drop_last": True,  # a batch norm over few nodes is noise
        "dataset": {"type": f"{__name__}.CachedHeatmaps", "folder": str(place), "codec": codec, "items": items},
    }


@DATASETS.register_module()
class CachedHeatmaps(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Items for `RefinedPoseEstimator.loss`: frozen heatmaps in the place of an image, and the codec's targets.

    Args:
        folder: of one cache.
        codec: config of the codec that makes the targets.
        items: how many; where the cache has fewer, they are taken again.  None: those it has.

    Raises:
        DataError: the folder holds no whole cache.
    """

    def __init__(self, folder: str | Path, codec: Any, metainfo: Any = None, items: int | None = None) -> None:
        place = Path(folder)
        if not is_whole(place):
            raise DataError(f"{place} holds no whole cache of heatmaps (or one of another version); compute it again")
        self._heatmaps = np.load(place / HEATMAPS, mmap_mode="r")
        self._keypoints = np.load(place / KEYPOINTS, mmap_mode="r")
        self._items = len(self._heatmaps) if items is None else items
        self._codec = KEYPOINT_CODECS.build(codec)
        self.metainfo = dict(metainfo or {})
        # PoseDataPreprocessor wants an image; one grey pixel costs nothing.
        self._no_image = torch.zeros(3, 1, 1, dtype=torch.uint8)

    def __len__(self) -> int:
        return self._items

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self._items:
            raise IndexError(f"item {index} of {self._items}")
        index %= len(self._heatmaps)
        points = np.array(self._keypoints[index])[None]  # (1, K, 2)
        visible = np.isfinite(points).all(-1).astype(np.float32)
        encoded = self._codec.encode(np.nan_to_num(points), visible)
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(keypoint_weights=torch.from_numpy(encoded["keypoint_weights"]))
        sample.gt_fields = PixelData(
            heatmaps=torch.from_numpy(encoded["heatmaps"]),
            frozen_heatmaps=torch.from_numpy(np.array(self._heatmaps[index], dtype=np.float32)),
        )
        return {"inputs": self._no_image, "data_samples": sample}


def _claim_room(path: Path) -> None:
    """Take a mapped file's room on the disk: writing to one that finds none later ends the process, without a word.

    Raises:
        StoreError: there is not enough.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise store_error("write heatmaps to", path, error) from error


def training_source(cfg: Any, model: Any, seed: int, persons: int | None) -> SampleSource:
    """The persons of a config's training data, in the seeded order: the first N, or all of them (None)."""
    preprocess = model.data_preprocessor
    return SampleSource(cfg, preprocess=preprocess, split="train", mask="none", limit=persons, seed=seed)


class _Part:
    """A cache in the making, in a folder beside its place; what is computed is kept when that is interrupted.

    Args:
        folder: what another cache left there is removed.
        key: of the cache.
        total: persons, each pass counted.
    """

    def __init__(self, folder: Path, key: str, total: int) -> None:
        self.folder, self.total, self._key = folder, total, key
        try:
            there = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            there = {}
        if there.get("key") != key:
            shutil.rmtree(folder, ignore_errors=True)
            there = {}
        self.done, self.persons, self.failed = (int(there.get(name, 0)) for name in ("done", "persons", "failed"))
        self._seconds, self._began, self._saved = float(there.get("seconds", 0)), time.perf_counter(), self.done
        self._arrays: list[Any] = []

    def add(self, heatmaps: Any, keypoints: Any) -> None:
        """Heatmaps (n, K, h, w) and keypoints (n, K, 2) of the next persons."""
        if not self._arrays:
            make_dir(self.folder)
            shapes = ((HEATMAPS, heatmaps.shape[1:], np.float16), (KEYPOINTS, keypoints.shape[1:], np.float32))
            # as long as if nothing failed; cut in the end
            self._arrays = [_mapped(self.folder / name, (self.total, *shape), dtype) for name, shape, dtype in shapes]
        rows = slice(self.persons, self.persons + len(heatmaps))
        for array, values in zip(self._arrays, (heatmaps, keypoints), strict=True):
            array[rows] = values
        self.persons = rows.stop

    def save(self, done: int, failed: int) -> None:
        """Note how far it is, now and then."""
        self.done, self.failed = done, failed
        if self._arrays and (done - self._saved >= SAVED_EVERY or done == self.total):
            for array in self._arrays:
                array.flush()
            names = {"key": self._key, "done": done, "persons": self.persons, "failed": failed}
            publish(self.folder / PROGRESS, json.dumps({**names, "seconds": self._spent()}).encode())
            self._saved = done

    def finish(self, place: Path, about: Mapping[str, Any]) -> None:
        """Cut the files, describe them, and put them in their place."""
        if not self.persons:
            raise DataError(f"none of the {self.total} training samples could be loaded; see the log")
        self._arrays.clear()
        for name in (HEATMAPS, KEYPOINTS) if self.failed else ():
            np.save(self.folder / "cut.npy", np.load(self.folder / name, mmap_mode="r")[: self.persons])
            os.replace(self.folder / "cut.npy", self.folder / name)
        sizes = {name: (self.folder / name).stat().st_size for name in (HEATMAPS, KEYPOINTS)}
        counts = {"seconds": self._spent(), "persons": self.persons, "failed": self.failed, "bytes": sizes}
        publish(self.folder / ABOUT, (json.dumps({**about, **counts}, indent=1) + "\n").encode())
        (self.folder / PROGRESS).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)  # what an earlier version left
        os.replace(self.folder, place)

    def _spent(self) -> float:
        return round(self._seconds + time.perf_counter() - self._began, 1)


def _mapped(path: Path, shape: tuple[int, ...], dtype: type) -> Any:
    """A mapped file; one that is there goes on."""
    if path.is_file():
        return np.load(path, mmap_mode="r+")
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    _claim_room(path)
    return array


def _compute(
    model: Any,
    sources: Iterable[SampleSource],
    part: _Part,
    batch_size: int,
    on_progress: Callable[[int, int], None],
) -> None:
    """Heatmaps and keypoints of all persons of all sources, but for those that are there."""
    device = next(model.parameters()).device
    images: list[torch.Tensor] = []
    keypoints: list[torch.Tensor] = []
    failed = part.failed

    def flush(done: int) -> None:
        if images:
            heatmaps = model.head.frozen_heatmaps(model.extract_feat(torch.stack(images).to(device)))
            part.add(heatmaps.cpu().numpy(), torch.stack(keypoints).numpy())
            images.clear()
            keypoints.clear()
        part.save(done, failed)
        on_progress(done, part.total)

    with frozen(model), torch.no_grad():
        persons = ((source, position) for source in sources for position in range(len(source)))
        for done, (source, position) in enumerate(islice(persons, part.done, None), part.done + 1):
            try:
                sample = source.load(position)
            except DataError as error:
                failed += 1
                logger.warning("left out of the cache: %s", error)
            else:
                images.append(sample.image)
                keypoints.append(sample.keypoints)
            if len(images) == batch_size:
                flush(done)
        flush(part.total)
