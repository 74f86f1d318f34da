"""Official weights land where they belong: proven by a forward pass that knows nothing of MMPose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from official_transpose import OFFICIAL, forward, random_weights, shapes_of
from poseig_transpose.convert import convert, main, renamed
from poseig_transpose.variants import build_variant

from poseig_mm.adapters.weights import load_weights
from poseig_mm.errors import CheckpointError


@pytest.fixture(scope="module")
def built() -> Callable[[str], Any]:
    """Models by name, each built once."""
    models: dict[str, Any] = {}

    def build(name: str) -> Any:
        if name not in models:
            models[name] = build_variant(name).eval()
        return models[name]

    return build


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_the_official_layout_is_the_models_own(name: str, built: Callable[[str], Any]) -> None:
    """Names and shapes from the official code, one for one; and as many parameters as published."""
    model = built(name)
    official = {key: torch.empty(shape, device="meta") for key, shape in shapes_of(OFFICIAL[name]).items()}
    assert len(renamed(official, model)) == len(model.state_dict()) == len(official)
    count = sum(p.numel() for p in model.parameters())
    assert round(count / 1e6, 1) == OFFICIAL[name].published


@pytest.mark.parametrize("name", ["r-a3", "h-s"])
def test_converted_weights_compute_what_the_official_model_does(
    name: str, built: Callable[[str], Any], tmp_path: Path
) -> None:
    """A file in the official layout, converted and loaded strictly: heatmaps of the independent forward pass."""
    official = random_weights(OFFICIAL[name])
    torch.save(official, tmp_path / "official.pth")
    found = convert(tmp_path / "official.pth", tmp_path / "out.pth", name)
    state = torch.load(found, weights_only=True)["state_dict"]
    model = built(name)
    load_weights(model, state, "converted", 17)
    images = torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = model.head.forward(model.extract_feat(images))
        expected = forward(OFFICIAL[name], official, images)
    assert expected.std() > 0.1  # the weights are of a size that lets everything through
    assert (got - expected).abs().max() < 1e-3 * expected.abs().max()
    moved = {**official, "pos_embedding": official["pos_embedding"].roll(1, 0)}
    with torch.no_grad():
        other = forward(OFFICIAL[name], moved, images)
    assert (other - expected).abs().max() > 0.01 * expected.abs().max()  # so the checkpoint's embedding is the one used
    assert torch.equal(model.neck.pos_embedding, official["pos_embedding"])


@pytest.mark.parametrize("name", ["r-a3", "h-s"])
def test_each_number_is_in_its_place(name: str) -> None:
    """In float64, heatmaps to 1e-9 of the independent forward pass, and the slope of each weight to 1e-6.

    A weight whose place another has taken, or that takes part in another way, has another slope.  Statistics of norms
    have none in the model; that they are in the heatmaps is seen by their slopes on the independent side.
    """
    torch.manual_seed(0)
    model = build_variant(name).double().eval()
    drawn = random_weights(OFFICIAL[name], seed=1)
    official = {k: v.double() if v.is_floating_point() else v for k, v in drawn.items()}
    model.load_state_dict(renamed(official, model))
    model.neck.pos_embedding.requires_grad_()
    images = torch.randn(1, 3, 256, 192, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    numbers = {k: v.requires_grad_() for k, v in official.items() if v.is_floating_point()}
    expected = forward(OFFICIAL[name], official, images)
    got = model.head.forward(model.extract_feat(images))
    assert (got - expected).abs().max() < 1e-9 * expected.abs().max()
    pull = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    slopes = dict(zip(numbers, torch.autograd.grad((expected * pull).sum(), list(numbers.values())), strict=True))
    (got * pull).sum().backward()
    own = {key.partition(".")[2]: value.grad for key, value in model.named_parameters()}
    assert own.keys() == {key for key in slopes if "running_" not in key}
    for key, slope in slopes.items():
        size = slope.abs().max()
        assert size > 1e-9, key  # it takes part
        if key in own:
            assert (own[key] - slope).abs().max() < 1e-6 * size, key


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_no_name_may_be_missing_other_or_of_another_shape(name: str, built: Callable[[str], Any]) -> None:
    """Each weight of each model in turn: left out, called otherwise, with one number more; and a weight too many."""
    model = built(name)
    official = {key: torch.empty(shape, device="meta") for key, shape in shapes_of(OFFICIAL[name]).items()}
    for key, value in list(official.items())[:: 1 if name == "r-a3" else 29]:
        rest = {k: v for k, v in official.items() if k != key}
        with pytest.raises(CheckpointError, match=rf"missing: {re.escape(key)}\."):
            renamed(rest, model)
        with pytest.raises(CheckpointError, match=rf"unexpected: {re.escape(key)}x; missing: {re.escape(key)}\."):
            renamed({**rest, f"{key}x": value}, model)
        with pytest.raises(CheckpointError, match=rf"of another shape: {re.escape(key)} "):
            renamed({**rest, key: torch.empty(*value.shape, 2, device="meta")}, model)
        with pytest.raises(CheckpointError, match=r"unexpected: backbone\."):
            renamed({**official, f"backbone.{key}": value}, model)


def test_a_training_checkpoint_is_read(built: Callable[[str], Any], tmp_path: Path) -> None:
    """Weights under 'state_dict', their names beginning with 'module.', other things beside them."""
    official = random_weights(OFFICIAL["r-a3"])
    plain = convert(_saved(tmp_path / "plain.pth", official), tmp_path / "a.pth", "r-a3")
    content = {
        "epoch": 230,
        "model": "transpose_r",
        "state_dict": {f"module.{k}": v for k, v in official.items()},
        "best_state_dict": official,
        "perf": 0.717,
    }
    trained = convert(_saved(tmp_path / "trained.pth", content), tmp_path / "b.pth", "r-a3")
    first, second = (torch.load(p, weights_only=True)["state_dict"] for p in (plain, trained))
    assert list(first) == list(second)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_what_does_not_fit_is_listed(built: Callable[[str], Any]) -> None:
    """Missing, unexpected and of another shape, each by its official name."""
    official = random_weights(OFFICIAL["r-a3"])
    del official["layer2.3.bn2.running_var"]
    official["layer3.0.conv1.weight"] = torch.zeros(1)
    official["fc.weight"] = torch.zeros(1)
    official["reduce.weight"] = official["reduce.weight"][:, :511]
    with pytest.raises(CheckpointError) as caught:
        renamed(official, built("r-a3"))
    message = str(caught.value)
    assert "unexpected: layer3.0.conv1.weight, fc.weight;" in message
    assert "missing: layer2.3.bn2.running_var;" in message
    assert "of another shape: reduce.weight (256, 511, 1, 1) instead of (256, 512, 1, 1)." in message


def test_another_variants_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R-A4's file given as R-A3's: the command says so in a line, and writes nothing."""
    source = _saved(tmp_path / "r_a4.pth", random_weights(OFFICIAL["r-a4"]))
    assert main([str(source), str(tmp_path / "out.pth"), "--model", "r-a3"]) == 1
    assert "unexpected: global_encoder.layers.3." in capsys.readouterr().err
    assert not list(tmp_path.glob("out.pth*"))


class Harmful:
    """A pickle of it touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    """A checkpoint with code beside the weights is converted, and its code is not called."""
    content = {"state_dict": random_weights(OFFICIAL["r-a3"]), "perf": Harmful(tmp_path / "touched")}
    convert(_saved(tmp_path / "bad.pth", content), tmp_path / "out.pth", "r-a3")
    assert not (tmp_path / "touched").exists()


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path
