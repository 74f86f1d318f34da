"""The attribution engine against analytic truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from coordinate_models import IMAGES, KEYPOINTS, WEIGHT, D, first, linear_coords, smooth_coords
from torch import Tensor

from poseig_mm.attribution.controls import gradient_attribution, random_attribution
from poseig_mm.errors import AttributionError, ConfigError, ShapeError
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.linearise import PullBack, autograd_backward
from poseig_mm.functional.maps import half_l1_distance, normalise_maps
from poseig_mm.functional.path_attribution import path_attribution
from poseig_mm.functional.paths import BlurPath, LinearPath
from poseig_mm.functional.quadrature import RULES
from poseig_mm.functional.torch_features import OutOfMemoryError


@pytest.mark.parametrize("quadrature", [*RULES, "adaptive"])
@pytest.mark.parametrize("path", [BlurPath(), LinearPath("white")])
def test_a_linear_model_is_exact_whatever_path_and_quadrature(quadrature: str, path: BlurPath | LinearPath) -> None:
    """For a linear target the signed map is sum_c w (x - x') to 1e-6, and the residual is 0."""
    a = path_attribution(
        linear_coords, IMAGES, KEYPOINTS, path=path, quadrature=quadrature, nodes=5, likelihood=first, signed=True
    )
    baseline = path(IMAGES, torch.zeros(1))[:, 0]
    expected = (WEIGHT[None] * (IMAGES - baseline)[:, None]).sum(2)
    assert a.signed is not None
    assert (a.signed - expected).abs().max() < 1e-6
    assert a.residual.max() < 1e-9
    assert torch.allclose(a.maps, expected.abs() / expected.abs().amax((2, 3), keepdim=True))


@pytest.mark.parametrize(("quadrature", "nodes"), [("midpoint", 200), ("trapezoid", 200), ("gauss_legendre", 24)])
def test_completeness_in_the_limit(quadrature: str, nodes: int) -> None:
    """Signed maps sum to T(x) - T(x') for a non-linear model, up to the rule's error."""
    a = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, path="linear", quadrature=quadrature, nodes=nodes)
    assert a.residual.max() < 1e-3
    assert (a.target_end - a.target_start).abs().min() > 1e-3


def test_the_residual_is_what_is_missing() -> None:
    """One left cell of T(t) = t^2 on a linear path gives 0 instead of 1: the residual says so."""
    image = torch.ones(1, 1, 2, 2, dtype=D) / 2
    a = path_attribution(
        lambda x: x.sum((1, 2, 3))[:, None, None].square(), image, torch.zeros(1, 1, 1), path="linear",
        quadrature="trapezoid", nodes=2, likelihood=first,
    )  # fmt: skip
    assert a.residual.item() == pytest.approx(0, abs=1e-12)  # mean of the end gradients is exact for a square
    a = path_attribution(
        lambda x: x.sum((1, 2, 3))[:, None, None].square(), image, torch.zeros(1, 1, 1), path="linear",
        quadrature="midpoint", nodes=1, likelihood=lambda c, r: c[..., 0] ** 1.5,
    )  # fmt: skip
    # T(t) = (2 t)^3: the midpoint gives 3 * 2^3 * 0.25 = 6 of 8.
    assert a.residual.item() == pytest.approx(2.0, abs=1e-9)
    assert a.residual_rel.item() == pytest.approx(0.25, abs=1e-9)


def test_results_do_not_depend_on_batching() -> None:
    """Chunk sizes and images beside it change nothing beyond rounding."""
    settings = {"quadrature": "adaptive", "nodes": 6, "tol": 0.0, "max_nodes": 30}
    whole = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, chunk=64, **settings)
    small = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, chunk=1, **settings)
    alone = path_attribution(smooth_coords, IMAGES[1:], KEYPOINTS[1:] + 1, chunk=7, **settings)
    assert torch.allclose(whole.maps, small.maps, atol=1e-10)
    assert torch.allclose(whole.maps[1:], alone.maps, atol=1e-10)
    assert torch.allclose(whole.map_error, small.map_error, atol=1e-10)


def test_only_asked_joints_are_computed() -> None:
    """Joints that are not asked for, or have no finite keypoint, are NaN with a reason and cost no evaluation."""
    calls = []
    joints = torch.tensor([[True, False, True, True], [False, False, False, True]])
    keypoints = KEYPOINTS.clone()
    keypoints[0, 2] = torch.nan

    class Count(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            calls.append(grad.shape[0])
            return grad

    a = path_attribution(
        lambda x: linear_coords(Count.apply(x)), IMAGES, keypoints, quadrature="midpoint", nodes=4, likelihood=first,
        joints=joints, chunk=100,
    )  # fmt: skip
    assert a.reasons == (("", "not_asked", "not_visible", ""), ("not_asked", "not_asked", "not_asked", ""))
    assert a.evaluations.tolist() == [[4, 0, 0, 4], [0, 0, 0, 4]]
    assert len(calls) == 2  # as many backward passes as the image with most joints has
    assert a.maps[0, 1].isnan().all()
    assert a.maps[0, 0].isfinite().all()
    assert a.target_end.isnan().tolist() == [[False, True, True, False], [True, True, True, False]]


class BrokenGradient(torch.autograd.Function):
    """The identity, whose gradient is NaN where it is asked for."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return torch.where(grad != 0, torch.nan, 0.0)


def test_bad_joints_spoil_only_themselves() -> None:
    """A joint without influence is 'zero_map', one with NaN gradients 'nonfinite_gradient'; the others stand."""

    def coords(images: Tensor) -> Tensor:
        good = linear_coords(images)
        dead = 0 * images.sum((1, 2, 3))[:, None]
        broken = BrokenGradient.apply(good[:, 3:, 0])
        x = torch.cat([good[:, :2, 0], dead, broken], 1)
        return torch.stack([x, x], -1)

    a = path_attribution(coords, IMAGES, KEYPOINTS, quadrature="midpoint", nodes=4, likelihood=first)
    assert a.reasons[0] == ("", "", "zero_map", "nonfinite_gradient")
    assert a.maps[:, 2:].isnan().all()
    assert a.residual[:, 2:].isnan().all()
    clean = path_attribution(linear_coords, IMAGES, KEYPOINTS, quadrature="midpoint", nodes=4, likelihood=first)
    assert torch.allclose(a.maps[:, :2], clean.maps[:, :2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"power": 0}, "power is 0; expected above 0"),
        ({"noise_std": -0.1}, "noise_std is -0.1; expected at least 0"),
        ({"tol": 2}, "tol is 2; expected from 0 to 1"),
        ({"nodes": 8, "max_nodes": 7}, "max_nodes is 7; expected at least 8"),
        ({"likelihood": "exp_l2", "likelihood_settings": {"alpha": -1}}, "alpha is -1; expected above 0"),
    ],
)
def test_a_setting_out_of_bounds_is_an_error(settings: dict[str, Any], message: str) -> None:
    """Not a map of something that has no meaning."""
    with pytest.raises(ConfigError, match=message):
        path_attribution(linear_coords, IMAGES, KEYPOINTS, path="linear", **{"likelihood": first, **settings})


def test_adaptive_refines_only_what_is_open() -> None:
    """Refinement stops at tol joint by joint, and at the limit of gradients."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(3, 40, 36, generator=generator, dtype=D)

    def coords(images: Tensor) -> Tensor:
        easy = linear_coords(images)[:, :1, 0]
        hard = torch.sin(4 * (images * rough)).sum((1, 2, 3))[:, None]
        x = torch.cat([easy, hard], 1)
        return torch.stack([x, x], -1)

    a = path_attribution(
        coords, IMAGES, KEYPOINTS[:, :2], path="linear", nodes=4, tol=1e-3, max_nodes=20, likelihood=first
    )
    assert a.evaluations[:, 0].tolist() == [4, 4]
    assert a.evaluations[:, 1].tolist() == [17, 17]  # 4 + 5 + 8; 16 more would pass the limit
    assert a.converged.tolist() == [[True, False], [True, False]]
    finer = path_attribution(
        coords, IMAGES, KEYPOINTS[:, :2], path="linear", nodes=4, tol=1e-3, max_nodes=2000, likelihood=first
    )
    assert finer.converged.all()
    assert (finer.map_error[:, 1] < a.map_error[:, 1]).all()
    assert (finer.residual_rel[:, 1] < 0.01).all()


def test_contrast_is_the_difference_of_two_targets() -> None:
    """For a linear target the contrast map is the difference of two signed maps."""
    other = KEYPOINTS + torch.tensor([1.0, 0.0])

    def target(coords: Tensor, reference: Tensor) -> Tensor:
        return coords[..., 0] * (1 + reference[..., 0])

    settings = {"quadrature": "midpoint", "nodes": 3, "likelihood": target, "signed": True}
    both = path_attribution(linear_coords, IMAGES, KEYPOINTS, contrast=other, **settings).signed
    a = path_attribution(linear_coords, IMAGES, KEYPOINTS, **settings).signed
    b = path_attribution(linear_coords, IMAGES, other, **settings).signed
    assert both is not None
    assert a is not None
    assert b is not None
    assert torch.allclose(both, a - b)


def test_power_acts_on_the_channels_before_they_are_summed() -> None:
    """With power 2 a linear model's map is sum_c sign (w dx)^2 for one cell; completeness is not claimed."""
    a = path_attribution(
        linear_coords, IMAGES, KEYPOINTS, path="linear", quadrature="midpoint", nodes=1, likelihood=first, power=2.0,
        signed=True,
    )  # fmt: skip
    product = WEIGHT[None] * IMAGES[:, None]
    assert a.signed is not None
    assert torch.allclose(a.signed, (product.abs() ** 2 * product.sign()).sum(2))
    assert a.residual.isnan().all()


def test_noise_is_seeded_averages_out_and_moves_only_the_gradient() -> None:
    """Noise leaves a linear model's map unchanged; for others it depends on the seed alone."""
    settings = {"quadrature": "midpoint", "nodes": 3, "noise_std": 0.1, "noise_draws": 2}
    a = path_attribution(linear_coords, IMAGES, KEYPOINTS, likelihood=first, **settings)
    clean = path_attribution(linear_coords, IMAGES, KEYPOINTS, likelihood=first, quadrature="midpoint", nodes=3)
    assert torch.allclose(a.maps, clean.maps)
    one, two, other = (
        path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, seed=s, **settings).maps for s in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.allclose(one, other)


def test_float64_and_float32_agree() -> None:
    """The dtype follows the images; float32 is float64 to rounding."""
    a = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, quadrature="midpoint", nodes=8)
    b = path_attribution(smooth_coords, IMAGES.float(), KEYPOINTS + 1, quadrature="midpoint", nodes=8)
    assert b.maps.dtype == torch.float32
    assert (a.maps - b.maps).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(3, 40, 36), (2, 3, 40)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    """Errors say what was got and expected."""
    with pytest.raises(ShapeError, match=r"expected \(B, C, H, W\)"):
        path_attribution(linear_coords, torch.zeros(shape), KEYPOINTS)


def _cut(images: Tensor) -> Tensor:
    return linear_coords(images.detach())


@pytest.mark.parametrize(
    ("coords", "keypoints", "settings", "error", "message"),
    [
        (linear_coords, KEYPOINTS[:1], {}, ShapeError, "with B = 2"),
        (linear_coords, KEYPOINTS[:, :3], {}, ShapeError, "metainfo of the data set"),
        (linear_coords, KEYPOINTS, {"contrast": KEYPOINTS[:, :1]}, ShapeError, "contrast"),
        (linear_coords, KEYPOINTS, {"joints": torch.ones(2, 3, dtype=torch.bool)}, ShapeError, r"expected \(B, K\)"),
        (_cut, KEYPOINTS, {}, AttributionError, "autograd graph"),
        (linear_coords, KEYPOINTS, {"quadrature": "simpson"}, ConfigError, "is unknown"),
    ],
)
def test_wrong_inputs_are_named(
    coords: Callable[[Tensor], Tensor], keypoints: Tensor, settings: dict[str, object], error: type, message: str
) -> None:
    """Each mistake has its own message."""
    with pytest.raises(error, match=message):
        path_attribution(coords, IMAGES, keypoints, **{"quadrature": "midpoint", "nodes": 2, **settings})


def test_nan_image_is_refused() -> None:
    """A NaN pixel is an error before anything is computed."""
    with pytest.raises(AttributionError, match="NaN or infinite"):
        path_attribution(linear_coords, IMAGES * torch.nan, KEYPOINTS)


def test_controls() -> None:
    """The gradient control of a linear model is |sum_c w|; the random one is seeded and knows nothing of the image."""
    a = gradient_attribution(linear_coords, IMAGES, KEYPOINTS, likelihood=first)
    expected = WEIGHT.sum(1).abs()
    assert torch.allclose(a.maps[0], expected / expected.amax((1, 2), keepdim=True))
    assert a.residual.isnan().all()
    one = random_attribution(linear_coords, IMAGES, KEYPOINTS, seed=1)
    assert torch.equal(one.maps, random_attribution(linear_coords, IMAGES * 2, KEYPOINTS, seed=1).maps)
    assert not torch.equal(one.maps, random_attribution(linear_coords, IMAGES, KEYPOINTS, seed=2).maps)


def test_map_helpers() -> None:
    """normalise_maps refuses zero and NaN maps; the half L1 distance is a distance of distributions."""
    maps = normalise_maps(torch.tensor([[[0.0, 0.0]], [[torch.nan, 1.0]], [[-2.0, 1.0]]]))
    assert maps[:2].isnan().all()
    assert maps[2].tolist() == [[1.0, 0.5]]
    assert half_l1_distance(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 0.0]])).item() == pytest.approx(0.5)


def test_joints_may_be_stacked() -> None:
    """One backward pass for several joints, whose number need not divide theirs; some images have fewer."""
    asked = torch.ones(KEYPOINTS.shape[:2], dtype=torch.bool)
    asked[0, 1:] = False
    settings: dict[str, Any] = {"quadrature": "midpoint", "nodes": 6, "joints": asked, "signed": True}
    alone = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, **settings)
    for backward in (None, FastBackward(torch.float64)):
        for stack in (1, 2, 3, 50):
            found = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, stack=stack, backward=backward, **settings)
            assert torch.allclose(found.signed, alone.signed, rtol=1e-9, atol=1e-12, equal_nan=True)


def test_out_of_memory_halves_the_stack_first() -> None:
    """Joints that do not fit together are taken in halves, without a second forward pass."""
    forwards, stacks = [], []

    def coords(images: Tensor) -> Tensor:
        forwards.append(len(images))
        return smooth_coords(images)

    def backward(outputs: Tensor, inputs: Tensor) -> PullBack:
        def pull_back(cotangents: Tensor) -> Tensor:
            stacks.append(len(cotangents))
            if len(cotangents) > 1:
                raise OutOfMemoryError("no room")
            return autograd_backward(outputs, inputs)(cotangents)

        return pull_back

    settings: dict[str, Any] = {"quadrature": "midpoint", "nodes": 4, "chunk": 16}
    found = path_attribution(coords, IMAGES, KEYPOINTS + 1, stack=5, backward=backward, **settings)
    assert stacks == [4, 2, 1, 1, 1, 1]
    assert forwards == [8, 4]  # four nodes of two images; then both ends of the path
    assert torch.equal(found.maps, path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, **settings).maps)


def test_a_likelihood_that_cuts_the_graph_is_said() -> None:
    """By name, and not as torch's own error: here the coordinates are detached."""
    with pytest.raises(AttributionError, match="the likelihood does not depend on the coordinates"):
        path_attribution(
            smooth_coords, IMAGES, KEYPOINTS, path="linear", quadrature="midpoint", nodes=2,
            likelihood=lambda coords, reference: coords[..., 0].detach(),
        )  # fmt: skip


def test_an_error_of_the_model_arrives_as_it_is() -> None:
    """The handler of a device without room does not hide another one, on whatever torch."""

    def coords(images: Tensor) -> Tensor:
        if images.requires_grad:
            raise RuntimeError("an operator of the model's own")
        return smooth_coords(images)

    with pytest.raises(RuntimeError, match="an operator of the model's own"):
        path_attribution(coords, IMAGES, KEYPOINTS + 1, path="linear", quadrature="midpoint", nodes=4)


def test_out_of_memory_halves_the_chunk_and_goes_on() -> None:
    """Chunks that do not fit are halved; nothing is counted twice, and noise is drawn as before."""
    sizes = []

    def coords(images: Tensor) -> Tensor:
        sizes.append(len(images))
        if images.requires_grad and len(images) > 4:
            raise OutOfMemoryError("no room")
        return smooth_coords(images)

    settings: dict[str, Any] = {"quadrature": "midpoint", "nodes": 10, "path": "linear", "noise_std": 0.1}
    small = path_attribution(coords, IMAGES, KEYPOINTS + 1, chunk=16, **settings)
    assert sizes[:3] == [16, 8, 4]
    whole = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, chunk=16, **settings)
    assert torch.allclose(small.maps, whole.maps, atol=1e-12)
    with pytest.raises(AttributionError, match="smaller batch_size"):
        path_attribution(lambda x: coords(torch.cat([x, x, x])), IMAGES, KEYPOINTS + 1, **settings)
