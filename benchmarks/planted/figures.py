"""Models trained on synthetic figures, held-out figures, and the pixels that carry each one's left wrist."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poseig_mm.api import load_adapter, load_config
from poseig_mm.data.crops import invert
from poseig_mm.data.masks import warp_mask
from poseig_mm.data.samples import SampleSource
from poseig_mm.types import Sample

if TYPE_CHECKING:
    from poseig_synthetic_figures.scene import Scene

    from poseig_mm.adapters.base import CoordinateAdapter

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs" / "synthetic_figures"
VARIANTS = ("honest", "marker", "context", "mirror", "chain")  # with evidence; 'swap' has none
JOINT, JOINT_NAME = 9, "left_wrist"
DILATION = 2  # input px on each side of the mark: a map's pixel beside it still speaks of it
BATCH = 16  # figures computed at once


def checkpoints() -> Path:
    """The folder in which the plugin keeps the trained models."""
    import poseig_synthetic_figures

    return Path(poseig_synthetic_figures.__file__).parent / "checkpoints"


def config_of(variant: str, *, split: str = "test", length: int, removed: bool = False) -> Any:
    """The model's config, with the wanted figures as its test data."""
    config = load_config(CONFIGS / f"{variant}_heatmap.py")
    config.test_dataloader.dataset.update(split=split, length=length, variant=variant, removed=removed)
    return config


@dataclass
class Case:
    """A model, and figures of its own kind that it was not trained on.

    Args:
        variant: what is planted.
        length: number of figures.
        split: 'test', or 'val' while something is being tried.
        checkpoint: weights; None: random ones (for tests).
    """

    variant: str
    length: int
    split: str = "test"
    checkpoint: Path | None = None
    adapter: CoordinateAdapter = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        config = config_of(self.variant, split=self.split, length=self.length)
        self.adapter = load_adapter(config, self.checkpoint)
        first = self.samples[:BATCH]
        self.adapter.calibrate(torch.stack([s.image for s in first]), joints=torch.stack([s.visible for s in first]))

    @cached_property
    def samples(self) -> list[Sample]:
        """The figures as the network sees them."""
        return self._load(removed=False)

    @cached_property
    def without(self) -> list[Sample]:
        """The same with the evidence left out."""
        return self._load(removed=True)

    def _load(self, *, removed: bool) -> list[Sample]:
        config = config_of(self.variant, split=self.split, length=self.length, removed=removed)
        source = SampleSource(config, preprocess=self.adapter.model.data_preprocessor, mask="none")
        return [source.load(i) for i in range(len(source))]

    @cached_property
    def scenes(self) -> list[Scene]:
        """The figures with all that is known of them, in the order of `samples`."""
        from poseig_synthetic_figures.datasets import SyntheticFiguresDataset

        dataset = SyntheticFiguresDataset(self.split, self.length, self.variant, lazy_init=True)
        return [dataset.scene(int(s.image_id)) for s in self.samples]

    @cached_property
    def evidence(self) -> list[NDArray[np.bool_]]:
        """(H, W) each, input px: what carries the left wrist, `marker`'s dilated; empty where it is covered."""
        return [
            evidence_of(scene.evidence, s, self.variant) for scene, s in zip(self.scenes, self.samples, strict=True)
        ]

    @cached_property
    def reasons(self) -> list[str]:
        """Why a figure is left out: '' for those that are not."""
        return [
            "wrist outside the input" if not s.visible[JOINT]
            else "wrist covered" if self.variant == "honest" and not scene.visible[JOINT]
            else "" if pixels.any() else "evidence covered"
            for s, scene, pixels in zip(self.samples, self.scenes, self.evidence, strict=True)
        ]  # fmt: skip

    def truth(self) -> Tensor:
        """(N, K, 2) input px."""
        return torch.stack([s.keypoints for s in self.samples])

    def errors(self, samples: list[Sample]) -> Tensor:
        """(N,) distance of the model's own left wrist from the truth, input px."""
        predicted = []
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            predicted.append(self.adapter.predict(torch.stack([s.image for s in part]))[:, JOINT].cpu())
        return (torch.cat(predicted) - torch.stack([s.keypoints[JOINT] for s in samples])).norm(dim=-1)


def evidence_of(pixels: NDArray[np.bool_] | None, sample: Sample, variant: str) -> NDArray[np.bool_]:
    """A scene's evidence (H0, W0) in the frame of the input (H, W), by the picture's own crop."""
    from scipy.ndimage import binary_dilation

    if pixels is None:
        raise ValueError(f"{variant!r} has no evidence")
    size = (sample.image.shape[-2], sample.image.shape[-1])
    warped = warp_mask(pixels.astype(np.uint8), invert(sample.inverse_warp), size)
    if variant != "marker" or not warped.any():
        return warped
    square = np.ones((2 * DILATION + 1,) * 2, bool)
    dilated: NDArray[np.bool_] = binary_dilation(warped, square)
    return dilated
