"""A study context without MMPose: small torch models whose coordinates, maps and indices are computed in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from poseig_mm.functional.indices import diffusion_index
from poseig_mm.functional.maps import person_of
from poseig_mm.functional.path_attribution import path_attribution
from poseig_mm.types import Attribution, Finding, JointGroups, Sample

SIZE = 24
NAMES = ("nose", "left_wrist")


class Net(nn.Module):
    """Two convolutions, batch norm, a transposed convolution and a last convolution; coordinates by soft-argmax."""

    def __init__(self, joints: int = 2) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, joints, 1)  # registered first, run last
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 3, padding=1)
        self.unused = nn.Conv2d(4, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.up(self.middle(self.norm(self.stem(images)).relu()).relu()).relu()
        p = (3 * self.last(x)).flatten(2).softmax(-1)
        grid = torch.arange(SIZE, dtype=images.dtype)
        ys, xs = torch.meshgrid(grid, grid, indexing="ij")
        return torch.stack([(p * xs.flatten()).sum(-1), (p * ys.flatten()).sum(-1)], -1)


class ToyContext:
    """The part of `StudyContext` that these studies use."""

    def __init__(self, model: Any, maps: Callable[[Sample, dict[str, Any]], Tensor] | None = None) -> None:
        self.adapter = SimpleNamespace(model=model)
        self.groups = JointGroups(NAMES, ("leaf", "leaf"), (-1, -1), (), ())
        self.unit, self.seed, self.alpha = "px", 0, 0.075
        self.calls: list[dict[str, Any]] = []
        self.pictures: dict[str, Image.Image] = {}
        self._maps = maps

    def coordinates(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = self.adapter.model(images)
        return found

    predict = coordinates

    def attribute(self, sample: Sample, **changes: Any) -> Attribution:
        self.calls.append(changes)
        if self._maps is not None:
            return attribution(self._maps(sample, changes))
        changes.pop("changed_model", None)
        if (names := changes.pop("joints", None)) is not None:
            changes["joints"] = torch.tensor([[name in names for name in NAMES]])
        made = path_attribution(
            self.adapter.model, sample.image[None], sample.keypoints[None], path="linear", **changes
        )
        return person_of(made, 0)

    def indices(self, sample: Sample, found: Attribution) -> Mapping[str, Tensor]:
        return {"di": diffusion_index(found.maps[None])[0]}

    def save_picture(self, study: str, stem: str, image: Image.Image) -> Path:
        self.pictures[stem] = image
        return Path(study) / f"{stem}.jpg"


def attribution(maps: Tensor) -> Attribution:
    """Ready maps (K, H, W); joints with NaN have the reason 'zero_map'."""
    shape = (len(maps),)
    nan, good = torch.full(shape, torch.nan), maps.flatten(1).isfinite().all(1)
    return Attribution(
        maps, nan, nan, nan, nan, nan, torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.long),
        tuple("" if g else "zero_map" for g in good.tolist()),
    )  # fmt: skip


def sample(sample_id: str, image: Tensor, keypoints: Tensor) -> Sample:
    """All joints visible."""
    size = image.shape[1:]
    return Sample(
        sample_id, sample_id, "1", "", image, np.zeros((*size, 3), np.uint8), keypoints,
        torch.ones(len(keypoints), dtype=torch.bool), None, "none", np.eye(2, 3), pixels=keypoints[:, :2],
    )  # fmt: skip


def finding(about: Sample, found: Attribution, prediction: Tensor) -> Finding:
    """Of the maps given, with the truth as reference."""
    return Finding(about, found, prediction, about.keypoints, {}, ("",) * len(prediction), 0.0)


def net() -> Net:
    """Seeded, frozen, with batch-norm statistics that are not the default."""
    torch.manual_seed(0)
    model = Net().double().eval()
    model.norm.running_mean.uniform_(-0.2, 0.2)
    return model.requires_grad_(False)


def net_finding(context: ToyContext, sample_id: str = "7-1") -> Finding:
    """A person made of noise, diagnosed with the context's own method."""
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(3, SIZE, SIZE, generator=generator, dtype=torch.float64)
    about = sample(sample_id, image, torch.tensor([[5.0, 6.0], [15.0, 12.0]], dtype=torch.float64))
    found = context.attribute(about, quadrature="midpoint", nodes=4)
    context.calls.clear()
    return finding(about, found, context.predict(image[None])[0])
