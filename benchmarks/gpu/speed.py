"""What a person costs: ours, the published procedure, Captum and `is_grads_batched`, beside the rate of matrix
products.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks import methods
from benchmarks.gpu.engine import attribute, lowest_cosine, spent
from benchmarks.gpu.measuring import Setup, Skipped, gemm_rate, operations, peak_memory
from benchmarks.gpu.nets import JOINTS, VISIBLE
from poseig_mm.attribution.acceleration import tensor_float32
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.maps import normalise_maps

__all__ = ["SPEED"]

PUBLISHED_STEPS = 50
LINEAR_NODES = 24
MEASURED_JOINTS = 2  # by Captum, whose cost is linear in them


def matrix_products(setup: Setup) -> dict[str, Any]:
    """FLOP/s of large products: what the rest is measured by."""
    n = 256 if setup.small else 8192
    rates = {
        "bfloat16": gemm_rate(torch.bfloat16, setup.device, n),
        "float32": gemm_rate(torch.float32, setup.device, n),
    }
    if setup.device.type == "cuda":
        with tensor_float32(True):
            rates["tf32"] = gemm_rate(torch.float32, setup.device, n)
    return {"flop_a_second": rates}


def ours(setup: Setup) -> dict[str, Any]:
    """The default method (blur path, adaptive), bfloat16 walk, at several batches; at the largest with TF32 forward
    too.
    """
    rows: list[dict[str, Any]] = []
    for batch in setup.batches:
        if setup.left < 20:
            rows.append({"batch": batch, "skipped": "no time left"})
            continue
        rows.append(_our_row(setup, batch))
    if setup.device.type == "cuda" and "skipped" not in rows[-1]:
        exact = _our_maps(setup, setup.batches[-1])()
        with tensor_float32(True):
            reduced = _our_maps(setup, setup.batches[-1])()
            row = _our_row(setup, setup.batches[-1])
        rows.append(row | {"tf32": True, "cosine": lowest_cosine(exact, reduced, dims=2)})
    return {"rows": rows}


def _our_maps(setup: Setup, batch: int, **settings: Any) -> Callable[[], Tensor]:
    case, backward = setup.baseline, FastBackward()
    persons, settings = case.persons(batch), settings or spent(setup)
    return lambda: attribute(case.fast, persons, backward, chunk=setup.chunk, **settings).maps


def _our_row(setup: Setup, batch: int) -> dict[str, Any]:
    """Seconds a person, and the operations that were needed for it by second, as a share of bfloat16 products' rate."""
    case, backward, images = setup.baseline, FastBackward(), [0]
    persons = case.persons(batch)

    def counted(x: Tensor) -> Tensor:
        images[0] += len(x)
        result: Tensor = case.fast(x)
        return result

    result = attribute(counted, persons, backward, chunk=setup.chunk, **spent(setup))
    gradients = int(result.evaluations.sum())
    took = setup.seconds(_our_maps(setup, batch), 2) / batch
    row = {
        "batch": batch,
        "seconds_a_person": took,
        "gradients_a_joint": gradients / batch / VISIBLE,
        "memory": peak_memory(_our_maps(setup, batch), setup.device),
        "joints": VISIBLE,
        "folded": case.folded,
    }
    rates, forward = setup.results.get("matrix products"), operations(lambda: case.fast(persons[0][:1]))
    if rates and forward:  # a backward pass to the input costs as much as a forward pass
        done = forward * (images[0] + gradients) / batch
        row["peak_share"] = done / took / rates["flop_a_second"]["bfloat16"]
    return row


def published(setup: Setup) -> dict[str, Any]:
    """The published procedure at its published cost, by a few of its 50 steps: one image, one joint at a time."""
    adapter, (image, keypoints) = _adapter(setup), setup.baseline.persons(1)
    run = 1 if setup.small else 2
    took = setup.seconds(lambda: methods.published(adapter, image, keypoints, run=run), 2)
    row = {"seconds_a_person": took * PUBLISHED_STEPS / run, "gradients_a_joint": PUBLISHED_STEPS, "joints": JOINTS}
    if setup.device.type == "cuda":
        with tensor_float32(True):
            reduced = setup.seconds(lambda: methods.published(adapter, image, keypoints, run=run), 2)
        row["seconds_a_person_tf32"] = reduced * PUBLISHED_STEPS / run
    return row


def linear(setup: Setup) -> dict[str, Any]:
    """Ours on the linear path with the nodes that Captum and `is_grads_batched` get, one person."""
    call = _our_maps(setup, 1, path="linear", quadrature="midpoint", nodes=LINEAR_NODES)
    return {"seconds_a_person": setup.seconds(call), "gradients_a_joint": LINEAR_NODES, "joints": VISIBLE}


def captum(setup: Setup) -> dict[str, Any]:
    """Captum's IntegratedGradients on the same nodes, all of them in one forward pass, by a few of the joints."""
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise Skipped(f"captum is not installed ({error})") from error
    adapter, persons = _adapter(setup), setup.baseline.persons(1, MEASURED_JOINTS)
    took = setup.seconds(lambda: methods.captum_linear(adapter, *persons, LINEAR_NODES, images_at_once=LINEAR_NODES))
    row = {"seconds_a_person": took * VISIBLE / MEASURED_JOINTS, "joints": VISIBLE}
    return row | {"gradients_a_joint": LINEAR_NODES}


def grads_batched(setup: Setup) -> dict[str, Any]:
    """torch's own way to pull many cotangents back at once, on the same nodes and joints, one person."""
    case = setup.baseline
    image, keypoints = case.persons(1)
    t = (torch.arange(LINEAR_NODES, device=image.device) + 0.5) / LINEAR_NODES
    points = t[:, None, None, None] * image

    def maps() -> Tensor:
        x = points.clone().requires_grad_()
        distance = (case.fast(x) - keypoints.nan_to_num()).norm(dim=-1)
        targets = torch.exp(-methods.ALPHA * distance)
        cotangents = torch.eye(VISIBLE, JOINTS, device=x.device)[:, None].expand(-1, LINEAR_NODES, -1)
        (gradients,) = torch.autograd.grad(targets, x, cotangents, is_grads_batched=True)
        return normalise_maps((gradients * image / LINEAR_NODES).sum((1, 2))[None])

    same = attribute(case.fast, (image, keypoints), path="linear", quadrature="midpoint", nodes=LINEAR_NODES)
    cosine = lowest_cosine(maps(), same.maps[:, :VISIBLE], dims=2)
    row = {"seconds_a_person": setup.seconds(maps), "joints": VISIBLE, "gradients_a_joint": LINEAR_NODES}
    return row | {"memory": peak_memory(maps, setup.device), "cosine": cosine}


def _adapter(setup: Setup) -> Any:
    """The network as `benchmarks.methods` asks for it."""

    class Adapter:
        model = setup.baseline.exact

        def __call__(self, images: Tensor) -> Any:
            return SimpleNamespace(coords=self.model(images))

    return Adapter()


SPEED: dict[str, tuple[Callable[[Setup], dict[str, Any]], float]] = {
    "matrix products": (matrix_products, 10),
    "ours": (ours, 60),
    "published": (published, 20),
    "ours linear": (linear, 10),
    "captum": (captum, 15),
    "is_grads_batched": (grads_batched, 15),
}
"""By name: what is measured, and the seconds it may take on a card."""
