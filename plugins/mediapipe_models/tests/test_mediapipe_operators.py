"""Each operator against its definition, on graphs made by hand: no wheel needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from poseig_mediapipe_models.network import TFLiteGraph
from poseig_mediapipe_models.operators import same_padding
from poseig_mediapipe_models.tflite import Graph, Operator
from torch import nn

from poseig_mm.errors import CheckpointError, ShapeError

SAME, VALID = 0, 1


def single(kind: str, shape: Any, output: Any, constants: Any = (), inputs: Any = None, **options: Any) -> TFLiteGraph:
    """A graph of one operator: tensor 0 is the input of `shape`, 1.. are `constants`, 9 is the output."""
    constant = {i: np.asarray(c) for i, c in enumerate(constants, start=1)}
    shapes = {0: shape, 9: output, **{i: c.shape for i, c in constant.items()}}
    op = Operator(kind, inputs or (0, *constant), (9,), options)
    return TFLiteGraph(Graph((op,), shapes, constant, (0,), (9,)))


def nchw(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(array, dtype=np.float32), -1, 1)))


def run(network: TFLiteGraph, array: Any) -> np.ndarray:
    """(N, H, W, C) in; what comes out with channels last again."""
    with torch.no_grad():
        (result,) = network(nchw(array))
    return np.moveaxis(result.numpy(), 1, -1) if result.dim() == 4 else result.numpy()


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, dilation: int, depthwise: bool) -> np.ndarray:
    """'same' convolution by its definition: output ceil(n / stride), zeros split with the odd one behind."""
    n_out = [-(-n // stride) for n in x.shape[1:3]]
    kernel = weight.shape[1:3]
    pads = []
    for n, m, k in zip(x.shape[1:3], n_out, kernel, strict=True):
        total = max((m - 1) * stride + (k - 1) * dilation + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    out = np.zeros((x.shape[0], *n_out, weight.shape[3] if depthwise else weight.shape[0]))
    for i in range(n_out[0]):
        for j in range(n_out[1]):
            rows = i * stride + dilation * np.arange(kernel[0])
            columns = j * stride + dilation * np.arange(kernel[1])
            patch = padded[:, rows][:, :, columns]  # (N, kh, kw, C)
            if depthwise:
                multiplier = weight.shape[3] // x.shape[3]
                out[:, i, j] = np.einsum("nhwc,hwc->nc", np.repeat(patch, multiplier, axis=3), weight[0])
            else:
                out[:, i, j] = np.einsum("nhwc,ohwc->no", patch, weight)
    return out


@settings(deadline=None)
@given(size=st.integers(1, 64), kernel=st.integers(1, 7), stride=st.integers(1, 4), dilation=st.integers(1, 3))
def test_same_padding_gives_ceil_n_over_stride_cells(size: int, kernel: int, stride: int, dilation: int) -> None:
    """With the zeros added, a valid convolution has ceil(size / stride) cells, and the sides differ by at most one."""
    before, after = same_padding(size, kernel, stride, dilation)
    extent = (kernel - 1) * dilation + 1
    padded = size + before + after
    assert 0 <= after - before <= 1
    assert padded >= extent
    if before + after > 0:  # the smallest padding that is enough
        assert (padded - extent) // stride + 1 == -(-size // stride)
        assert (padded - 1 - extent) // stride + 1 < -(-size // stride) or padded == extent


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"), [(6, 3, 2, 1), (7, 3, 2, 1), (6, 5, 1, 1), (6, 3, 1, 2)]
)
def test_convolutions_equal_their_definition(
    depthwise: bool, size: int, kernel: int, stride: int, dilation: int
) -> None:
    """CONV_2D and DEPTHWISE_CONV_2D (two outputs a channel) with 'same' padding, one-sided at even sizes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, size, size + 1, 3)).astype(np.float32)
    weight = rng.normal(size=(1, kernel, kernel, 6) if depthwise else (4, kernel, kernel, 3)).astype(np.float32)
    bias = rng.normal(size=6 if depthwise else 4).astype(np.float32)
    expected = convolve(x, weight, stride, dilation, depthwise) + bias
    network = single(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        (1, *x.shape[1:]),
        (1, *expected.shape[1:]),
        [weight, bias],
        padding=SAME,
        strideH=stride,
        strideW=stride,
        dilationHFactor=dilation,
        dilationWFactor=dilation,
        fusedActivationFunction=0,
    )
    np.testing.assert_allclose(run(network, x), expected, atol=1e-5)


def test_valid_convolution_adds_nothing() -> None:
    """Padding 'valid': a 3 x 3 kernel of ones over ones is 9 everywhere, on a grid two smaller."""
    options = dict(padding=VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    weight, bias = np.ones((1, 3, 3, 1), np.float32), np.zeros(1, np.float32)
    network = single("CONV_2D", (1, 5, 5, 1), (1, 3, 3, 1), [weight, bias], fusedActivationFunction=0, **options)
    np.testing.assert_array_equal(run(network, np.ones((1, 5, 5, 1))), np.full((1, 3, 3, 1), 9.0))


@pytest.mark.parametrize(
    ("flags", "source"),
    [
        ((False, False), lambda i: i * 4 / 10),
        ((True, False), lambda i: (i + 0.5) * 4 / 10 - 0.5),
        ((False, True), lambda i: i * 3 / 9),
    ],
    ids=["legacy", "half_pixel", "aligned"],
)
def test_resize_reads_where_its_flags_say(flags: tuple[bool, bool], source: Any) -> None:
    """On a ramp, bilinear resize returns the source index itself, held at the borders: 4 cells to 10."""
    expected = np.clip(source(np.arange(10)), 0, 3)
    ramp = np.arange(4.0)
    x = (ramp[:, None] * 10 + ramp[None, :]).reshape(1, 4, 4, 1)
    network = single(
        "RESIZE_BILINEAR",
        (1, 4, 4, 1),
        (1, 10, 10, 1),
        [np.array([10, 10], np.int32)],
        halfPixelCenters=flags[0],
        alignCorners=flags[1],
    )
    np.testing.assert_allclose(run(network, x)[0, :, :, 0], expected[:, None] * 10 + expected[None, :], atol=1e-5)


def test_reshape_and_dense_go_through_channels_last_order() -> None:
    """An image is flattened as (H, W, C), the file's order of memory, whatever torch's is."""
    x = np.arange(2 * 2 * 3 * 2.0).reshape(2, 2, 3, 2)
    flat = x.reshape(2, 12)
    network = single("RESHAPE", (1, 2, 3, 2), (1, 12), [np.array([1, 12], np.int32)])
    np.testing.assert_array_equal(run(network, x), flat)
    image = single("RESHAPE", (1, 2, 3, 2), (1, 4, 1, 3), [np.array([1, 4, 1, 3], np.int32)])
    np.testing.assert_array_equal(run(image, x), x.reshape(2, 4, 1, 3))
    weight = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    dense = single("FULLY_CONNECTED", (1, 2, 3, 2), (1, 5), [weight], fusedActivationFunction=0)
    np.testing.assert_allclose(run(dense, x), flat @ weight.T, rtol=1e-5)


def test_pad_puts_zeros_on_the_named_sides() -> None:
    """PAD lists (before, after) for batch, rows, columns and channels."""
    paddings = np.array([[0, 0], [1, 0], [0, 2], [0, 3]], np.int32)
    x = np.ones((1, 2, 2, 1))
    network = single("PAD", (1, 2, 2, 1), (1, 3, 4, 4), [paddings])
    np.testing.assert_array_equal(run(network, x), np.pad(x, paddings))


def test_padding_of_the_batch_is_refused() -> None:
    """Nothing here may make persons out of nothing."""
    with pytest.raises(CheckpointError, match="batch"):
        single("PAD", (1, 2, 2, 1), (2, 2, 2, 1), [np.array([[0, 1], [0, 0], [0, 0], [0, 0]], np.int32)])


def test_pooling_ignores_its_padding() -> None:
    """'same' pooling of a constant -1 is -1 at the border too: neither zeros nor their count enter."""
    options = dict(padding=SAME, strideH=2, strideW=2, filterHeight=2, filterWidth=2, fusedActivationFunction=0)
    for kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        network = single(kind, (1, 5, 5, 1), (1, 3, 3, 1), **options)
        np.testing.assert_array_equal(run(network, np.full((1, 5, 5, 1), -1.0)), np.full((1, 3, 3, 1), -1.0))


def test_pooling_takes_maximum_and_mean() -> None:
    """One 2 x 2 window of 1, 2, 3, 6: maximum 6, mean 3."""
    options = dict(padding=VALID, strideH=2, strideW=2, filterHeight=2, filterWidth=2, fusedActivationFunction=0)
    x = np.array([1.0, 2, 3, 6]).reshape(1, 2, 2, 1)
    for kind, expected in (("MAX_POOL_2D", 6.0), ("AVERAGE_POOL_2D", 3.0)):
        assert run(single(kind, (1, 2, 2, 1), (1, 1, 1, 1), **options), x).item() == expected


def test_elementwise_constants_keep_their_side_and_their_channels() -> None:
    """A constant may be either operand, and (C,) means one value a channel."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    constant = np.array([10.0, -1.0], np.float32)
    shape = (1, 3, 4, 2)
    for kind, inputs, expected in (
        ("SUB", (0, 1), x - constant),
        ("SUB", (1, 0), constant - x),
        ("MUL", (0, 1), x * constant),
        ("ADD", (0, 0), x + x),
    ):
        network = single(kind, shape, shape, [constant], inputs=inputs, fusedActivationFunction=0)
        np.testing.assert_allclose(run(network, x), expected, rtol=1e-6)


def test_mean_logistic_and_concatenation() -> None:
    """MEAN is over height and width; CONCATENATION on axis 3 joins channels; LOGISTIC is 1 / (1 + exp(-x))."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    mean = single("MEAN", (1, 3, 4, 2), (1, 2), [np.array([1, 2], np.int32)], keepDims=False)
    np.testing.assert_allclose(run(mean, x), x.mean(axis=(1, 2)), atol=1e-6)
    logistic = single("LOGISTIC", (1, 3, 4, 2), (1, 3, 4, 2))
    np.testing.assert_allclose(run(logistic, x), 1 / (1 + np.exp(-x)), rtol=1e-5)
    for axis, size in ((3, (1, 3, 4, 4)), (1, (1, 6, 4, 2))):
        both = single("CONCATENATION", (1, 3, 4, 2), size, inputs=(0, 0), axis=axis, fusedActivationFunction=0)
        np.testing.assert_array_equal(run(both, x), np.concatenate([x, x], axis=axis))


def test_fused_activations_are_modules_and_change_nothing_in_place() -> None:
    """ReLU6 of an ADD cuts at 0 and 6, and the input tensor is what it was."""
    network = single("ADD", (1, 1, 3, 1), (1, 1, 3, 1), inputs=(0, 0), fusedActivationFunction=3)
    image = nchw(np.array([-1.0, 2.0, 5.0]).reshape(1, 1, 3, 1))
    before = image.clone()
    assert network(image)[0].flatten().tolist() == [0.0, 4.0, 6.0]
    assert torch.equal(image, before)
    assert [type(m) for m in network.modules() if isinstance(m, nn.ReLU6)] == [nn.ReLU6]


def test_an_unknown_operator_or_activation_is_named() -> None:
    """What can't be built is said when the network is built, by name."""
    with pytest.raises(CheckpointError, match=r"CUSTOM_THING.*CONV_2D"):
        single("CUSTOM_THING", (1, 1, 1, 1), (1, 1, 1, 1))
    with pytest.raises(CheckpointError, match="activation 5"):
        single("ADD", (1, 1, 1, 1), (1, 1, 1, 1), inputs=(0, 0), fusedActivationFunction=5)


def test_another_image_size_is_refused() -> None:
    """The paddings are made for one size: another is an error that says which."""
    network = single("LOGISTIC", (1, 3, 4, 2), (1, 3, 4, 2))
    with pytest.raises(ShapeError, match=r"\(B, 2, 3, 4\)"):
        network(torch.zeros(1, 2, 4, 3))


def test_a_chain_of_operators_is_differentiable() -> None:
    """float64 gradients of convolution, ReLU6, legacy resize and pooling equal central differences."""
    rng = np.random.default_rng(0)
    options = dict(padding=SAME, strideH=2, strideW=2)
    convolution = dict(options, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=3)
    pool = dict(options, filterHeight=2, filterWidth=2, fusedActivationFunction=0)
    resize = dict(halfPixelCenters=False, alignCorners=False)
    graph = Graph(
        operators=(
            Operator("CONV_2D", (0, 1, 2), (10,), convolution),
            Operator("RESIZE_BILINEAR", (10, 3), (11,), resize),
            Operator("MAX_POOL_2D", (11,), (12,), pool),
        ),
        shapes={0: (1, 6, 6, 2), 10: (1, 3, 3, 3), 11: (1, 5, 5, 3), 12: (1, 3, 3, 3)},
        constants={
            1: rng.normal(size=(3, 3, 3, 2)).astype(np.float32),
            2: np.ones(3, np.float32),
            3: np.array([5, 5], np.int32),
        },
        inputs=(0,),
        outputs=(12,),
    )
    network = TFLiteGraph(graph).double()
    images = torch.rand(2, 2, 6, 6, dtype=torch.float64, generator=torch.manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x)[0], (images,))
