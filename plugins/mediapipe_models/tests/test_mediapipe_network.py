"""The wheel's networks, read and run."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from poseig_mediapipe_models.network import OUTPUTS, TFLiteGraph, load_network
from poseig_mediapipe_models.tflite import read_tflite
from poseig_mediapipe_models.wheel import INSTALL_COMMAND, NETWORKS, network_file, provenance
from torch import nn

from poseig_mm.errors import CheckpointError, ConfigError, DependencyError

SIZES = {"pose_full": 256, "hand_full": 224, "hand_lite": 224}


@pytest.fixture(scope="module", params=list(NETWORKS))
def complete(request: pytest.FixtureRequest, wheel: Path) -> tuple[str, TFLiteGraph]:
    """Name and whole network, all outputs."""
    return request.param, load_network(request.param, tuple(OUTPUTS[request.param])).eval()


def picture(size: int, batch: int = 1) -> torch.Tensor:
    """(B, 3, size, size) smooth random colours in [0, 1]: something with edges, the same every time."""
    coarse = torch.rand(batch, 3, 12, 12, generator=torch.manual_seed(3))
    return nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def test_output_shapes_are_those_of_the_file(complete: tuple[str, TFLiteGraph]) -> None:
    """Every output has the file's shape, channels second, and the batch goes through."""
    name, network = complete
    graph = read_tflite(network_file(name))
    with torch.no_grad():
        outputs = network(picture(SIZES[name], batch=2))
    for output, index in zip(outputs, graph.outputs, strict=True):
        shape = graph.shapes[index]
        expected = (2, shape[3], *shape[1:3]) if len(shape) == 4 else (2, *shape[1:])
        assert tuple(output.shape) == expected
        assert output.isfinite().all()


def test_persons_of_a_batch_do_not_mix(complete: tuple[str, TFLiteGraph]) -> None:
    """A batch gives what its images give alone (in float64: float32's rounding depends on the batch)."""
    name, network = complete
    double, images = copy.deepcopy(network).double(), picture(SIZES[name], batch=2).double()
    with torch.no_grad():
        together, alone = double(images), double(images[1:])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b, rtol=1e-9, atol=1e-9)


def test_weights_are_ordinary_parameters_in_network_order(complete: tuple[str, TFLiteGraph]) -> None:
    """Each convolution and dense operator of the file is one nn.Conv2d or nn.Linear, in order, holding all
    parameters.
    """
    name, network = complete
    kinds = {"CONV_2D": nn.Conv2d, "DEPTHWISE_CONV_2D": nn.Conv2d, "FULLY_CONNECTED": nn.Linear}
    expected = [kinds[op.kind] for op in read_tflite(network_file(name)).operators if op.kind in kinds]
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [type(layer) for layer in layers] == expected
    assert sum(p.numel() for layer in layers for p in layer.parameters()) == sum(
        p.numel() for p in network.parameters()
    )
    assert all(p.requires_grad and p.dtype == torch.float32 for p in network.parameters())
    names = [key.split(".")[1] for key in network.state_dict()]
    assert names == sorted(names)
    assert not any(getattr(m, "inplace", False) for m in network.modules())


def test_weights_are_the_files(wheel: Path) -> None:
    """The first convolution holds the file's first weights, axes turned from (out, h, w, in) to (out, in, h, w)."""
    graph = read_tflite(network_file("pose_full"))
    first = next(op for op in graph.operators if op.kind == "CONV_2D")
    layer = next(m for m in load_network("pose_full", ("heatmap",)).modules() if isinstance(m, nn.Conv2d))
    np.testing.assert_array_equal(layer.weight.detach().numpy(), graph.constants[first.inputs[1]].transpose(0, 3, 1, 2))


def test_a_part_of_the_network_gives_what_the_whole_gives(wheel: Path) -> None:
    """Asked for some outputs, in any order, only what they need is built, and they are the same."""
    whole = load_network("pose_full", tuple(OUTPUTS["pose_full"])).eval()
    part = load_network("pose_full", ("heatmap", "presence")).eval()
    images = picture(256)
    with torch.no_grad():
        expected = dict(zip(OUTPUTS["pose_full"], whole(images), strict=True))
        heatmap, presence = part(images)
    assert torch.equal(heatmap, expected["heatmap"])
    assert torch.equal(presence, expected["presence"])
    assert len(part.layers) < len(whole.layers)


@pytest.mark.parametrize(
    ("network", "output"), [("pose_full", "heatmap"), ("pose_full", "landmarks"), ("hand_full", "landmarks")]
)
def test_every_layer_that_is_built_matters(wheel: Path, network: str, output: str) -> None:
    """Each weight tensor has a gradient: randomising any layer changes what is diagnosed."""
    model = load_network(network, (output,)).eval()
    model(picture(SIZES[network]))[0].square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0
        for m in model.modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
        for p in [m.weight]
    )


@pytest.mark.parametrize(
    ("network", "output"), [("pose_full", "heatmap"), ("pose_full", "landmarks"), ("hand_full", "landmarks")]
)
def test_the_gradient_reaches_every_pixel_and_is_the_derivative(wheel: Path, network: str, output: str) -> None:
    """float64: finite and not zero on any pixel; along three directions it equals the central difference.

    The step is 1e-9: the networks bend (ReLU6) so often that over 1e-7 the difference can be off by a hundredth.
    """
    model = load_network(network, (output,)).double().eval().requires_grad_(False)
    images = picture(SIZES[network]).double().requires_grad_()
    generator = torch.manual_seed(0)
    with torch.no_grad():
        weights = torch.randn(model(images)[0].shape, dtype=torch.float64, generator=generator)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (model(x)[0] * weights).sum()

    (gradient,) = torch.autograd.grad(value(images), images)
    assert gradient.isfinite().all()
    assert (gradient.abs().sum(dim=1) > 0).all()
    for _ in range(3):
        direction = torch.randn(images.shape, dtype=torch.float64, generator=generator)
        step = 1e-9 * direction
        with torch.no_grad():
            quotient = (value(images + step) - value(images - step)) / 2e-9
        torch.testing.assert_close((gradient * direction).sum(), quotient, rtol=1e-4, atol=1e-2)


def test_fresh_weights_have_the_same_structure(wheel: Path) -> None:
    """weights=None: same names and shapes, other values; a path to the same file: the same values."""
    trained = load_network("hand_lite", ("landmarks",)).state_dict()
    fresh = load_network("hand_lite", ("landmarks",), weights=None).state_dict()
    by_path = load_network("hand_lite", ("landmarks",), weights=str(network_file("hand_lite"))).state_dict()
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in fresh.items()}
    assert all(not torch.equal(trained[k], fresh[k]) for k in trained if k.endswith("weight"))
    assert all(torch.equal(trained[k], by_path[k]) for k in trained)


def test_agreement_with_the_interpreter(complete: tuple[str, TFLiteGraph]) -> None:
    """Where a TensorFlow Lite interpreter is installed: the same outputs, to float32's accuracy over 100 layers."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed (optional)")
    name, network = complete
    interpreter = litert.Interpreter(str(network_file(name)), num_threads=1)
    interpreter.allocate_tensors()
    images = picture(SIZES[name])
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images.permute(0, 2, 3, 1).contiguous().numpy())
    interpreter.invoke()
    with torch.no_grad():
        outputs = network(images)
    for output, index in zip(outputs, read_tflite(network_file(name)).outputs, strict=True):
        ours = output.permute(0, 2, 3, 1).numpy() if output.dim() == 4 else output.numpy()
        theirs = interpreter.get_tensor(index)
        assert np.abs(ours - theirs).max() < 1e-3 * max(1.0, np.abs(theirs).max())


def test_the_wheel_is_never_imported(wheel: Path) -> None:
    """Reading a network leaves `mediapipe` unimported: its own dependencies need not be there."""
    load_network("hand_lite", ("score",))
    assert "mediapipe" not in sys.modules


def test_an_absent_wheel_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel, the message holds the exact pip command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError) as caught:
        load_network("pose_full", ("heatmap",))
    assert INSTALL_COMMAND in str(caught.value)
    assert INSTALL_COMMAND == "pip install --no-deps mediapipe==0.10.21 flatbuffers"


def test_wrong_names_and_files_are_named(wheel: Path, tmp_path: Path) -> None:
    """Unknown network, unknown output, absent file, other file: each says what it got."""
    with pytest.raises(ConfigError, match="did you mean 'pose_full'"):
        load_network("pose_ful", ("heatmap",))
    with pytest.raises(ConfigError, match="did you mean 'heatmap'"):
        load_network("pose_full", ("heatmaps",))
    with pytest.raises(CheckpointError, match=r"absent\.tflite"):
        load_network("pose_full", ("heatmap",), weights="absent.tflite")
    other = tmp_path / "other.tflite"
    other.write_bytes(b"no flatbuffer at all")
    with pytest.raises(CheckpointError, match="TFL3"):
        load_network("pose_full", ("heatmap",), weights=str(other))


def test_provenance_identifies_the_file(wheel: Path, tmp_path: Path) -> None:
    """The SHA-256 is the file's own; another file is not passed off as the wheel's."""
    record = provenance("pose_full")
    assert record["sha256"] == hashlib.sha256((wheel / NETWORKS["pose_full"]).read_bytes()).hexdigest()
    assert "Apache-2.0" in record["licence"]
    own = tmp_path / "own.tflite"
    own.write_bytes(b"abc")
    assert provenance("pose_full", str(own))["sha256"].startswith("ba7816bf")
    assert "not known" in provenance("pose_full", str(own))["licence"]
