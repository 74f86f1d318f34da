"""Each model trains by its config: drawn hands, all its losses, MMEngine's runner; small networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mmpose", reason="mmpose cannot be imported")

from mmengine.hooks import Hook
from mmengine.runner import Runner

from poseig_mm.compat import read_config

CONFIGS = Path(__file__).parents[3] / "configs" / "hand_models"
LIXEL = dict(size=16, blocks=(1, 1, 1, 1), width=4, channels=8)
NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {  # config -> side of the input, settings of a small backbone
    "mobrecon_synthetic_hands-128x128": (
        64,
        dict(size=64, channels=8, latent=16, decoder_channels=(8, 12, 12, 16)),
    ),
    "cmr_sg_synthetic_hands-224x224": (
        64,
        dict(width=4, latent=10, decoder_channels=(8, 8, 12, 16), blocks=(1, 1, 1, 1)),
    ),
    "i2l_meshnet_synthetic_hands-256x256": (64, LIXEL),
    "i2l_meshnet_param_synthetic_hands-256x256": (64, {**LIXEL, "neurons": (16, 12)}),
    "handar_synthetic_hands-256x256": (64, {**LIXEL, "vector": 5, "graph": 6, "hidden": 9}),
    "handoccnet_synthetic_hands-256x256": (
        64,
        dict(size=8, blocks=(1, 1, 1, 1), width=4, channels=8, depth=3, neurons=(16, 12), heads=2),
    ),
}
LOSSES = {
    "mobrecon": {"vertices", "normal", "edge", "uv"},
    "cmr": {"vertices", "normal", "edge", "levels", "heatmaps", "masks"},
    "i2l_meshnet_synthetic": {"mesh", "joints", "pose", "normal", "edge"},
    "i2l_meshnet_param": {"vertices", "pose", "shape"},
    "handar": {"mesh", "joints", "normal", "edge"},
    "handoccnet": {"vertices", "joints", "pose", "shape", "uv"},
}


class Losses(Hook):
    """What each iteration's losses were."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.seen.append({name: float(value) for name, value in outputs.items()})


def trained(name: str, folder: Path, iterations: int = 10) -> list[dict[str, float]]:
    """The config with a small network, on the same four hands again and again."""
    config = read_config(CONFIGS / f"{name}.py")
    side, settings = NETWORKS[name]
    config.model.backbone.update(settings)
    config.model.head.input_size = (side, side)
    if config.model.head.type == "LixelMeshHead":
        config.model.head.size = settings["size"]
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.length = 4
        (affine,) = [step for step in loader.dataset.pipeline if step["type"] == "HandAffine"]
        affine.input_size = (side, side)
    steps = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset.pipeline = [step for step in steps if step["type"] != "RandomBBoxTransform"]
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    config.optim_wrapper.optimizer.lr = 1e-2
    config.default_hooks.checkpoint.interval = iterations
    config.work_dir = str(folder)
    runner = Runner.from_cfg(config)
    hook = Losses()
    runner.register_hook(hook)
    runner.train()
    return hook.seen


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    """By a twentieth or more within ten steps on four hands; every loss of the model's own is there, none is nought;
    the validation at the end runs and a checkpoint is written.
    """
    if not CONFIGS.is_dir():
        pytest.skip(f"no configs at {CONFIGS}")
    seen = trained(name, tmp_path)
    assert len(seen) == 10
    (wanted,) = [losses for start, losses in LOSSES.items() if name.startswith(start)]
    assert {part.removeprefix("loss_") for part in seen[0] if part.startswith("loss_")} == wanted
    assert all(0 < seen[0][f"loss_{part}"] < float("inf") for part in wanted)
    assert seen[-1]["loss"] < 0.95 * seen[0]["loss"]
    assert (tmp_path / "iter_10.pth").is_file()
