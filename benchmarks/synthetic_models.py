"""How good the shipped models of synthetic figures are: python -m benchmarks.synthetic_models [--length 512].

Every checkpoint on held-out figures (the test split) of its own kind, once as they are and once with the planted
evidence left out.  Writes docs/synthetic_models.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from poseig_mm.api import load_adapter, load_config
from poseig_mm.data.samples import SampleSource
from poseig_mm.studies.shortcuts.rows import partners_of

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "synthetic_figures"
PAGE = ROOT / "docs" / "synthetic_models.md"
WRIST, LIMBS = 9, slice(5, 17)
BATCH = 64


@dataclass(frozen=True)
class Errors:
    """Of a model on N figures; distances in input px, NaN where a joint is outside the input."""

    distance: NDArray[np.float64]  # (N, 17) of the model's own decoding from the truth
    swapped: NDArray[np.float64]  # (N, 17) 1 where the truth of the left-right partner is nearer than the joint's own
    seen: NDArray[np.bool_]  # (N, 17) joints that nothing covers


def measure(config: Any, checkpoint: Path | None, length: int, *, removed: bool = False) -> Errors:
    """A model's errors on the first `length` figures of its test split."""
    from poseig_synthetic_figures.datasets import SyntheticFiguresDataset

    dataset = config.test_dataloader.dataset
    dataset.update(length=length, removed=removed)
    adapter = load_adapter(config, checkpoint)
    source = SampleSource(config, preprocess=adapter.model.data_preprocessor, mask="none")
    samples = [source.load(i) for i in range(len(source))]
    images = torch.stack([s.image for s in samples])
    predicted = torch.cat([adapter.predict(part) for part in images.split(BATCH)])
    truth = torch.stack([s.keypoints for s in samples])
    visible = torch.stack([s.visible for s in samples])
    partner = [k if other < 0 else other for k, other in enumerate(partners_of(source.groups))]
    own, other = (predicted - truth).norm(dim=-1), (predicted - truth[:, partner]).norm(dim=-1)
    missing = torch.where(visible, 0.0, torch.nan)
    scenes = SyntheticFiguresDataset(dataset.split, length, dataset.variant, lazy_init=True)
    seen = np.stack([scenes.scene(int(s.image_id)).visible for s in samples])
    return Errors((own + missing).numpy(), ((other < own) + missing).numpy(), seen & visible.numpy())


def row(name: str, checkpoint: Path, length: int) -> str:
    """One line of the table."""
    config = load_config(CONFIGS / f"{name}.py")
    variant = config.test_dataloader.dataset.variant
    errors = measure(config, checkpoint, length)
    wrist = float(np.nanmean(errors.distance[:, WRIST]))
    without = None
    if variant != "swap":
        without = float(np.nanmean(measure(config, checkpoint, length, removed=True).distance[:, WRIST]))
    meta = torch.load(checkpoint, weights_only=True)["meta"]
    parameters = sum(p.numel() for p in load_adapter(config).model.parameters())
    cells = [
        f"`{name}`",
        f"{parameters / 1e6:.2f} M",
        f"{checkpoint.stat().st_size / 1e6:.2f} MB",
        str(meta["iterations"]),
        f"{np.nanmean(errors.distance):.2f}",
        f"{np.nanmean(errors.distance[errors.seen]):.2f} / {np.nanmean(errors.distance[~errors.seen]):.2f}",
        f"{100 * np.nanmean(errors.distance[np.isfinite(errors.distance)] < 5):.1f} %",
        f"{100 * np.nanmean(errors.swapped[:, LIMBS]):.1f} %",
        f"{wrist:.2f}",
        "-" if without is None else f"{without:.2f} ({without / wrist:.1f} x)",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """# Models of synthetic figures

Written by `python -m benchmarks.synthetic_models`, on the {length} first figures of the test split (not trained on).

- *EPE*: px of the 96 x 128 input, of the model's own decoding, over all joints inside the input.
- *swapped*: share of limb joints whose left-right partner's truth is nearer than their own.
- *without*: the left wrist's EPE where the evidence is left out (the forearm itself for `honest`); a model that uses
  the evidence needs it.

| model | parameters | file | iterations | EPE | EPE seen / covered | within 5 px | swapped | left wrist | without |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Measure all shipped checkpoints and write the page."""
    import poseig_synthetic_figures

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=512)
    length = parser.parse_args().length
    folder = Path(poseig_synthetic_figures.__file__).parent / "checkpoints"
    rows = []
    for checkpoint in sorted(folder.glob("*.pth")):
        if checkpoint.stem == "hands_3d":  # its joints are in mm: the plugin's README
            continue
        rows.append(row(checkpoint.stem, checkpoint, length))
        print(rows[-1], flush=True)
    PAGE.write_text(HEAD.format(length=length) + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
