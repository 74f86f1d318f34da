"""The shipped models: they load, are small, read their figures, and need the evidence that was planted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import poseig_synthetic_figures
import pytest
import torch

import poseig_mm
from poseig_mm.api import load_config
from poseig_mm.data.samples import SampleSource

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "synthetic_figures"
CHECKPOINTS = Path(poseig_synthetic_figures.__file__).parent / "checkpoints"
BODY = ("honest_heatmap", "honest_integral", "honest_rle", "honest_simcc", "marker_heatmap", "context_heatmap",
        "mirror_heatmap", "chain_heatmap", "swap_heatmap")  # fmt: skip
WRIST, FIGURES = 9, 48


@cache
def errors(name: str, removed: bool = False) -> torch.Tensor:
    """(N, 17) input px, of the model's own decoding on held-out figures; NaN outside the input."""
    config = load_config(CONFIGS / f"{name}.py")
    config.test_dataloader.dataset.update(length=FIGURES, removed=removed)
    adapter = poseig_mm.load_adapter(config, CHECKPOINTS / f"{name}.pth")
    source = SampleSource(config, preprocess=adapter.model.data_preprocessor, mask="none")
    samples = [source.load(i) for i in range(FIGURES)]
    distance = adapter.predict(torch.stack([s.image for s in samples])) - torch.stack([s.keypoints for s in samples])
    return torch.where(torch.stack([s.visible for s in samples]), distance.norm(dim=-1), torch.nan)


def test_every_config_has_a_checkpoint_and_none_is_large() -> None:
    """Three megabytes at most, plain types alone, all weights finite float16."""
    assert {p.stem for p in CHECKPOINTS.glob("*.pth")} == {p.stem for p in CONFIGS.glob("*.py")}
    for path in CHECKPOINTS.glob("*.pth"):
        assert path.stat().st_size <= 3_000_000, path.name
        found = torch.load(path, weights_only=True)
        assert found["meta"]["config"] == path.stem
        for value in found["state_dict"].values():
            if value.is_floating_point():
                assert value.dtype == torch.float16
                assert value.isfinite().all()


@pytest.mark.parametrize("name", BODY)
def test_a_model_fits_its_config_exactly(name: str) -> None:
    """No key is missing and none is left over."""
    adapter = poseig_mm.load_adapter(load_config(CONFIGS / f"{name}.py"))
    adapter.model.load_state_dict(torch.load(CHECKPOINTS / f"{name}.pth", weights_only=True)["state_dict"], strict=True)


def test_the_training_figures_are_persons_too() -> None:
    """Whose joints are known only when they are drawn: a treatment reads them as a diagnosis reads its own."""
    config = load_config(CONFIGS / "honest_heatmap.py")
    preprocess = poseig_mm.load_adapter(config).model.data_preprocessor
    sample = SampleSource(config, preprocess=preprocess, split="train", mask="none", limit=2).load(1)
    assert sample.visible.sum() > 8


@pytest.mark.parametrize("name", [n for n in BODY if n != "swap_heatmap"])
def test_a_model_finds_the_joints_of_figures_that_it_has_not_seen(name: str) -> None:
    """Mean error below 6 px of a 96 x 128 input, where a mean pose alone is off by more than twice that."""
    assert errors(name).nanmean() < 6


def test_the_model_without_a_cue_is_wrong_at_the_known_rate() -> None:
    """Left and right of whole figures are swapped in about three of ten: far more joints are wrong than with a face."""
    wrong = (errors("swap_heatmap")[:, 5:] > 10).float().mean()
    assert 0.12 < wrong < 0.45
    assert (errors("honest_heatmap")[:, 5:] > 10).float().mean() < 0.08


@pytest.mark.parametrize(
    ("name", "ratio"), [("marker_heatmap", 5), ("context_heatmap", 5), ("mirror_heatmap", 2), ("chain_heatmap", 2)]
)
def test_a_model_needs_the_evidence_that_was_planted(name: str, ratio: float) -> None:
    """Without it the left wrist's error rises, and that of the other joints hardly."""
    before, after = errors(name), errors(name, removed=True)
    assert after[:, WRIST].nanmean() > ratio * before[:, WRIST].nanmean()
    assert after[:, 11:].nanmean() < 1.5 * before[:, 11:].nanmean()
