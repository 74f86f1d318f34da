"""The preflight: what is looked at before the first person is diagnosed, and what may stop a run.

Each line is made beside the facts that it is about (`adapters/model_checks.py`, `data/data_checks.py`, ...); here they
are put together.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..adapters.evaluation import evaluation_check
from ..adapters.model_checks import agreement_check, outputs_check, weights_check
from ..attribution.acceleration import Acceleration
from ..checks import Check
from ..data.data_checks import images_check, joints_check, masks_check, persons_check, pixels_check, sigmas_check
from ..data.samples import SampleSource
from ..errors import ConfigError, PreflightError, describe_error
from ..functional.linearise import autograd_backward, linearise
from ..settings import Settings
from ..studies.base import Study
from ..types import Sample
from .diagnose import places_of
from .explainer import Explainer

NAMES = (
    "weights", "joints", "persons", "images", "masks", "pixels", "evaluation", "outputs", "agreement", "sigmas",
    "resources",
)  # fmt: skip
LOOKED_AT = 4  # images in the passes of the preflight's own
MAP_BYTES, PICTURE_BYTES, ROW_BYTES = 2, 3, 21_000  # a value of a map, a pixel of the input, the rows of a person
POOLED = 16  # values of a map that become one


@dataclass(frozen=True)
class Preflight:
    """What the checks look at.

    Args:
        settings: the user's.
        studies: of the run.
        explainer: calibrated and accelerated.
        source: the persons.
        samples: the run's first ones, as far as they could be loaded.
        agreement: of the calibration, `Agreement.as_dict()`.
        checkpoint: where the weights are from; None: nowhere that is known.
        weights_hash: of the model's state.
        work_dir: where results go.
        left: persons that are not done yet.
        processes: that share them.
    """

    settings: Settings
    studies: Sequence[Study]
    explainer: Explainer
    source: SampleSource
    samples: Sequence[Sample]
    agreement: dict[str, Any]
    checkpoint: str | None
    weights_hash: str
    work_dir: Path
    left: int
    processes: int = 1

    def checks(self, allow: Sequence[str] = ()) -> list[Check]:
        """A line for each of `NAMES`; one that cannot be looked at says so, as a warning.

        Args:
            allow: names of checks whose stop is a warning.
        """
        adapter, source, samples = self.explainer.adapter, self.source, self.samples
        asked: dict[str, Callable[[], Check]] = {
            "weights": lambda: weights_check(adapter, self.checkpoint, self.weights_hash),
            "joints": lambda: joints_check(source, adapter.keypoint_names),
            "persons": lambda: persons_check(source, samples),
            "images": lambda: images_check(source, samples),
            "masks": lambda: masks_check(source, samples, self.settings.samples.mask),
            "pixels": lambda: pixels_check(source),
            "evaluation": self._evaluation,
            "outputs": lambda: outputs_check(adapter, self._images()[:1]),
            "agreement": self._agreement,
            "sigmas": lambda: sigmas_check(source, [s.name for s in self.studies if s.needs_sigmas]),
            "resources": self._resources,
        }
        of_images, of_samples = ("images", "masks", "pixels"), ("evaluation", "outputs", "agreement")
        checks = []
        for name in NAMES:
            try:
                if name in of_images and not adapter.takes_images:
                    check = Check(name, "ok", "the input is a sequence of 2D poses")
                elif name in (*of_images, *of_samples) and not samples:
                    check = Check(name, "ok", "not looked at: no person can be loaded")
                else:
                    check = asked[name]()
            except Exception as error:  # looking is never a reason not to run
                check = Check(name, "warning", f"could not be looked at: {describe_error(error)}")
            if check.level == "stop" and name in allow:
                found = f"{check.found}; this stops a run, and is overruled by --allow {name}"
                check = Check(name, "warning", found, check.advice)
            checks.append(check)
        return checks

    def _images(self) -> torch.Tensor:
        """(B, C, H, W) of the first samples; of one where they differ in size."""
        first = self.samples[: 1 if self.explainer.adapter.one_image else LOOKED_AT]
        return torch.stack([s.image for s in first]).to(self.explainer.device, self.explainer.dtype)

    def _evaluation(self) -> Check:
        adapter, images = self.explainer.adapter, self._images()
        if adapter.one_image:
            adapter = adapter.bind(images, places_of(self.samples[:1]).to(images))
        return evaluation_check(adapter, images)

    def _agreement(self) -> Check:
        fixed = self.settings.attribution.beta is not None
        check = agreement_check(self.agreement, self.explainer.adapter, fixed=fixed)
        if self.settings.attribution.has_maps:
            return check
        # errors are of the model's own decoding; but that may be in no px of the input
        return replace(check, level="warning") if check.level == "stop" else Check(check.name, "ok", check.found)

    def _resources(self) -> Check:
        needed, free = self.left * self._bytes(), shutil.disk_usage(_existing(self.work_dir)).free
        found = f"{self.left} persons need about {_size(needed)} of disk, {_size(free)} are free"
        if (seconds := self._seconds()) is not None:
            low, high = (_duration(self.left * s / self.processes) for s in seconds)
            found += f"; about {low if low == high else f'{low} to {high}'} (a rough estimate; --dry-run measures)"
        if needed < free:
            return Check("resources", "ok", found)
        return Check("resources", "warning", found, "Keep fewer maps: diagnosis.store.maps='pooled', 'worst' or 'none'")

    def _bytes(self) -> float:
        """Of a person on disk."""
        image, joints = (
            self.samples[0].image if self.samples else torch.empty(0, 0, 0),
            len(self.source.groups.keypoint_names),
        )
        maps = joints * image.shape[-2] * image.shape[-1] * MAP_BYTES * (1 + self.settings.attribution.signed)
        picture = image.shape[-2] * image.shape[-1] * PICTURE_BYTES
        store = self.settings.store
        kept = {"all": maps + picture, "pooled": maps / POOLED + picture, "none": 0.0}
        if store.maps == "worst":
            return ROW_BYTES + (maps + picture) * min(1.0, store.worst / max(1, self.left))
        return ROW_BYTES + kept[store.maps]

    def _seconds(self) -> tuple[float, float] | None:
        """Least and most of a person's maps, by one pass forward and back; None where the method says no number."""
        settings, explainer = self.settings.attribution, self.explainer
        if settings.method != "path_ig" or explainer.adapter.one_image or not self.samples:
            return None
        fewest = settings.nodes or (16 if settings.quadrature == "adaptive" else 50)
        most = settings.max_nodes if settings.quadrature == "adaptive" else fewest
        passes = min(explainer.chunk, fewest)
        images = self._images()[:1].repeat(passes, 1, 1, 1).requires_grad_()
        fast = explainer.acceleration or Acceleration(explainer.adapter)
        joints = max(1, round(sum(int(s.visible.sum()) for s in self.samples) / len(self.samples)))
        begin = time.perf_counter()
        with explainer.adapter.frozen():
            coords, pull_back = linearise(lambda x: fast.adapter(x).coords, fast.backward or autograd_backward, images)
            cotangents = torch.zeros(joints, *coords.shape).to(coords)
            for joint in range(joints):
                cotangents[joint, :, joint] = 1
            float(pull_back(cotangents).sum())  # a GPU is waited for
        each = (time.perf_counter() - begin) / passes
        return fewest * each, most * each


def check_names(allow: Iterable[str]) -> tuple[str, ...]:
    """Names of checks, as they are.

    Raises:
        ConfigError: there is no such check.

    >>> check_names(["agreement"])
    ('agreement',)
    """
    names = tuple(allow)
    if unknown := [name for name in names if name not in NAMES]:
        raise ConfigError(f"--allow {unknown[0]}: there is no such check; known: {', '.join(NAMES)}")
    return names


def refuse_stops(checks: Iterable[Check]) -> None:
    """Nothing where no check says stop.

    Raises:
        PreflightError: with each of them, and how it is overruled.
    """
    if stops := [check for check in checks if check.level == "stop"]:
        texts = [f"{c.name}: {c.found}. {c.advice} (to go on all the same: --allow {c.name})" for c in stops]
        raise PreflightError("; ".join(texts))


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _size(count: float) -> str:
    """
    >>> _size(1234567), _size(2.5e10)
    ('1.2 MB', '25.0 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    """
    >>> _duration(40), _duration(7000)
    ('1 min', '1 h 57 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
