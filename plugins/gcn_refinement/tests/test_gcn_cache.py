"""Cached heatmaps: what training sees is what it would have computed; whole or not at all; stale ones are not read."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gcn_helpers import run_training
from poseig_gcn_refinement import cache
from poseig_gcn_refinement.cache import CachedHeatmaps, cache_heatmaps, cache_key, cached_loader, is_whole
from poseig_gcn_refinement.refined_config import refined_config

from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import DataError, StoreError
from poseig_mm.treatments.training import put, schedule


@pytest.fixture
def cfg(frozen_cfg: Any, made: Any) -> Any:
    return refined_config(frozen_cfg, made.weights, {"hidden": 8, "depth": 2})


@pytest.fixture
def model(cfg: Any) -> Any:
    found = build_model(cfg)
    found.init_weights()
    return found


def test_the_loss_is_that_of_the_images(cfg: Any, model: Any, tmp_path: Path) -> None:
    """MMPose's pipeline and the cache give the same losses, to float16's rounding."""
    from mmengine.dataset import pseudo_collate
    from mmpose.registry import DATASETS

    place = cache_heatmaps(cfg, model, tmp_path)
    cached = CachedHeatmaps(place, cfg.model.head.decoder)
    plain = DATASETS.build(cfg.train_dataloader.dataset)
    found = []
    for data in (plain, cached):
        batch = model.data_preprocessor(pseudo_collate([data[i] for i in range(3)]), training=True)
        found.append(model.train().loss(**batch)["loss_kpt"].item())
    assert len(cached) == len(plain) == 3
    assert found[0] > 1e-3
    assert found[1] == pytest.approx(found[0], rel=2e-3)


def test_float16_keeps_three_digits(cfg: Any, model: Any, tmp_path: Path) -> None:
    """The cached heatmaps are the frozen model's."""
    from poseig_mm.data.samples import SampleSource

    place = cache_heatmaps(cfg, model, tmp_path, batch_size=2)
    stored = np.load(place / "heatmaps.npy")
    assert stored.dtype == np.float16
    source = SampleSource(cfg, preprocess=model.data_preprocessor, split="train", mask="none", seed=0)
    image = torch.stack([source.load(i).image for i in range(3)])
    with torch.no_grad():
        expected = model.eval().head.frozen_heatmaps(model.extract_feat(image)).numpy()
    assert np.allclose(stored, expected, rtol=1e-3, atol=1e-4)


def test_a_second_call_computes_nothing(cfg: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and data: the same folder, as it is."""
    place = cache_heatmaps(cfg, model, tmp_path)
    monkeypatch.setattr(cache, "_compute", lambda *_: pytest.fail("computed again"))
    assert cache_heatmaps(cfg, model, tmp_path) == place


def test_other_weights_or_data_are_another_cache(cfg: Any, model: Any) -> None:
    """Frozen weights, passes, seed, persons, pipeline: each changes the key; the block's weights do not."""
    key = cache_key(cfg, model, 1, 0)
    with torch.no_grad():
        model.head.refiner.convolutions[0].linear.weight.add_(1)
    assert cache_key(cfg, model, 1, 0) == key
    others = [cache_key(cfg, model, 2, 0), cache_key(cfg, model, 1, 1), cache_key(cfg, model, 1, 0, persons=2)]
    cfg.train_dataloader.dataset.pipeline[1].padding = 1.5
    others.append(cache_key(cfg, model, 1, 0))
    cfg.train_dataloader.dataset.pipeline[1].padding = 1.25
    with torch.no_grad():
        model.backbone.bn1.running_mean.add_(1e-3)
    others.append(cache_key(cfg, model, 1, 0))
    assert len({key, *others}) == 6


def test_a_cut_or_changed_cache_is_computed_again(cfg: Any, model: Any, tmp_path: Path) -> None:
    """A file that is shorter than it was, or a record of another key."""
    place = cache_heatmaps(cfg, model, tmp_path)
    file = place / "heatmaps.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert not is_whole(place)
    with pytest.raises(DataError, match="no whole cache"):
        CachedHeatmaps(place, cfg.model.head.decoder)
    assert is_whole(cache_heatmaps(cfg, model, tmp_path))
    about = json.loads((place / "cache.json").read_text())
    (place / "cache.json").write_text(json.dumps({**about, "key": "0"}))
    assert not is_whole(place, about["key"])
    assert is_whole(cache_heatmaps(cfg, model, tmp_path), about["key"])


@pytest.mark.parametrize("whole", [True, False])
def test_an_interrupted_computation_goes_on(
    whole: bool, cfg: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last persons that were noted, whichever pass that is in; what comes out is equal to the byte."""
    from poseig_mm.data.samples import SampleSource

    cfg.train_dataloader.dataset.pipeline.insert(2, {"type": "RandomBBoxTransform"})
    expected = cache_heatmaps(cfg, model, tmp_path / "whole", passes=2, batch_size=1)
    monkeypatch.setattr(cache, "SAVED_EVERY", 1 if whole else 3)

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    folder = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        cache_heatmaps(cfg, model, folder, passes=2, batch_size=1, on_progress=interrupt)
    assert not is_whole(folder / expected.name)
    loaded = []
    load = SampleSource.load
    monkeypatch.setattr(SampleSource, "load", lambda self, i: (loaded.append(i), load(self, i))[1])
    place = cache_heatmaps(cfg, model, folder, passes=2, batch_size=1)
    assert len(loaded) == (1 if whole else 3)
    for name in ("heatmaps.npy", "keypoints.npy"):
        assert (place / name).read_bytes() == (expected / name).read_bytes()
    assert sorted(p.name for p in place.iterdir()) == ["cache.json", "heatmaps.npy", "keypoints.npy"]
    assert list(folder.iterdir()) == [place]


def test_what_another_cache_left_is_not_gone_on_with(cfg: Any, model: Any, tmp_path: Path) -> None:
    """Nor what has no record."""
    expected = cache_heatmaps(cfg, model, tmp_path / "whole")
    for record in ('{"key": "0", "done": 2, "persons": 2, "failed": 0}', "{"):
        part = tmp_path / "cut" / f".{expected.name}"
        part.mkdir(parents=True)
        (part / "progress.json").write_text(record)
        (part / "heatmaps.npy").write_bytes(b"half")
        place = cache_heatmaps(cfg, model, tmp_path / "cut")
        assert (place / "heatmaps.npy").read_bytes() == (expected / "heatmaps.npy").read_bytes()
        (place / "cache.json").unlink()


def test_a_full_disk_is_told_before_the_first_heatmap(
    cfg: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file without room would end the process."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StoreError, match=r"cannot write heatmaps to .*No space left"):
        cache_heatmaps(cfg, model, tmp_path)
    monkeypatch.undo()
    assert is_whole(cache_heatmaps(cfg, model, tmp_path))


def test_broken_samples_are_left_out(cfg: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are kept, in step with their keypoints, and the record says how many are missing."""
    from poseig_mm.data.samples import SampleSource

    whole = cache_heatmaps(cfg, model, tmp_path / "whole")
    load = SampleSource.load

    def failing(self: SampleSource, position: int) -> Any:
        if position == 1:
            raise DataError("broken")
        return load(self, position)

    monkeypatch.setattr(SampleSource, "load", failing)
    part = cache_heatmaps(cfg, model, tmp_path / "part", batch_size=2)
    for name in ("heatmaps.npy", "keypoints.npy"):
        assert np.array_equal(np.load(part / name), np.load(whole / name)[[0, 2]], equal_nan=True)
    assert json.loads((part / "cache.json").read_text())["failed"] == 1


def test_passes_see_other_random_transforms(cfg: Any, model: Any, tmp_path: Path) -> None:
    """Each person once a pass, with transforms of its own."""
    cfg.train_dataloader.dataset.pipeline.insert(2, {"type": "RandomBBoxTransform"})
    place = cache_heatmaps(cfg, model, tmp_path, passes=2)
    points = np.nan_to_num(np.load(place / "keypoints.npy"))
    assert len(points) == 6
    sums = {round(float(p.sum()), 3) for p in points}
    assert len(sums) > 3  # the transforms leave a box alone now and then


def test_the_block_is_trained_from_the_cache(cfg: Any, model: Any, tmp_path: Path) -> None:
    """By MMEngine's runner: the block changes, and the error on the cached targets falls."""
    place = cache_heatmaps(cfg, model, tmp_path, passes=2)
    cfg.train_dataloader = cached_loader(place, cfg.model.head.decoder, batch_size=2)
    put(cfg, schedule(lr=1e-3, epochs=8, steps=3))
    cfg.randomness = {"seed": 0}
    trained = run_training(cfg, tmp_path / "run")
    items = [CachedHeatmaps(place, cfg.model.head.decoder)[i] for i in range(6)]
    samples = [item["data_samples"] for item in items]
    with torch.no_grad():
        losses = [m.eval().loss(torch.zeros(6, 3, 1, 1), samples)["loss_kpt"].item() for m in (model, trained)]
    assert losses[1] < 0.9 * losses[0]
