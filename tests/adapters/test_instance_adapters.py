"""Adapters that read one person off an image of several, against MMPose's own decoding."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from instance_models import FAMILIES, SIZE, K, instance_adapter, instance_image
from torch import Tensor

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.edpose import SameChoices
from poseig_mm.adapters.instances import InstanceAdapter
from poseig_mm.adapters.plugin import poseig_register_adapters
from poseig_mm.errors import AdapterError, ShapeError
from poseig_mm.types import Coordinates

pytestmark = pytest.mark.usefixtures("mmpose_ready")
EXACT = ("dekr", "edpose", "rtmo", "yolox_pose")  # their coordinates are the model's own; the others' are softened
IMAGE = instance_image()


@cache
def adapter(family: str) -> InstanceAdapter:
    return instance_adapter(family)


def given_out(family: str, image: Tensor = IMAGE) -> Tensor:
    """(N, K, 2): everybody in MMPose's own answer, input px."""
    one = adapter(family)
    from mmpose.structures import PoseDataSample

    across = SIZE[::-1] if family == "edpose" else SIZE  # its pipeline has (h, w) there
    about = {"input_size": across, "img_shape": SIZE[::-1], "batch_input_shape": SIZE[::-1]}
    sample = PoseDataSample(metainfo=about)
    with one.frozen(), torch.no_grad():
        feats = one.model.extract_feat(image)
        if family.startswith("associative"):  # its predict asks for a list that no backbone gives
            heatmaps, tags = one.head.forward(feats)
            found = one.head.decode((heatmaps, tags if one.head.tag_per_keypoint else tags.repeat(1, K, 1, 1)))
        else:
            found = one.head.predict(feats, [sample], test_cfg={**one.model.test_cfg, "flip_test": False})
    return torch.as_tensor(found[0].keypoints).float()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_adapter_is_the_family_s_own(family: str) -> None:
    """Chosen by the head."""
    assert adapter(family).name == family.split("-")[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_whoever_is_annotated_is_the_one_given_out_there(family: str) -> None:
    """Annotated exactly where MMPose puts a person, that person is bound: its own decoding is MMPose's to 1e-3 px."""
    people = given_out(family)
    assert len(people) > 2
    for person in people[:6]:
        bound = adapter(family).bind(IMAGE, person[None])
        assert bound.person is not None
        assert bound.person.own == pytest.approx(person, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_decode_takes_what_the_head_gives_as_of_any_adapter(family: str) -> None:
    """Fault 7 of the house: one contract; `decode(outputs(features(images), size))` is what a call gives."""
    bound = adapter(family).bind(IMAGE)
    with bound.frozen(), torch.no_grad():
        output = bound.outputs(bound.features(IMAGE), SIZE)
        assert torch.equal(bound.decode(output).coords, bound(IMAGE).coords)


def test_every_adapter_is_calibrated_the_same_way() -> None:
    """No family has a `calibrate` of its own, so that nobody who calls it has to ask for the kind."""
    for kind in poseig_register_adapters():
        assert kind.calibrate is CoordinateAdapter.calibrate, kind
        assert [name for name in dir(kind) if name.startswith("calibrate")] == ["calibrate"]


def test_the_unit_is_the_adapter_s_alone() -> None:
    """Coordinates cannot contradict it; who still gives them a unit is told at once, not taken to give heatmaps."""
    assert not hasattr(Coordinates(torch.zeros(1, K, 2)), "unit")
    with pytest.raises(TypeError):
        Coordinates(torch.zeros(1, K, 2), "mm")  # type: ignore[misc]


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.startswith("associative")])
def test_predict_is_mmpose_s_decoding_of_that_person(family: str) -> None:
    """From the cell, without the model's search for persons; so are the coordinates, where nothing is softened."""
    for person in given_out(family)[:6]:
        bound = adapter(family).bind(IMAGE, person[None])
        assert bound.predict(IMAGE)[0] == pytest.approx(person, abs=1e-3)
        if family in EXACT:
            assert bound(IMAGE).coords[0].detach() == pytest.approx(person, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_rows_of_a_batch_are_read_at_the_person_s_cell(family: str) -> None:
    """A path's points, stacked: each row as if alone, and the clean image's row what it was."""
    bound = adapter(family).bind(IMAGE)
    other = instance_image(1)
    together = bound(torch.cat([other, IMAGE])).coords
    assert torch.allclose(together[1:], bound(IMAGE).coords, atol=1e-2)
    assert torch.allclose(together[:1], bound(other).coords, atol=1e-2)
    assert not torch.allclose(together[0], together[1], atol=0.1)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_finite_differences(family: str) -> None:
    """Of one coordinate along a random direction, float64: the way through the head is not cut anywhere."""
    bound: Any = adapter(family).bind(IMAGE)
    if family in EXACT or "associative" not in family:
        bound.beta = 5.0
    model = instance_adapter(family).model.double()
    bound = bound.around(model)
    x = IMAGE.double()
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(3))
    with bound.frozen():
        y = x.clone().requires_grad_()
        coords = bound(y).coords[0, 1, 0]
        (gradient,) = torch.autograd.grad(coords, y)
        step = 1e-6
        ahead, behind = (bound(x + s * step * direction).coords[0, 1, 0] for s in (1, -1))
    expected = float((ahead - behind) / (2 * step))
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_near_is_nan_and_said(family: str) -> None:
    """An annotation far from everybody: NaN coordinates and prediction, `matched` False, and nothing to calibrate
    on.
    """
    far = torch.full((1, K, 2), 1e5)
    bound = adapter(family).bind(IMAGE, far)
    assert not bound.matched
    assert bool(bound(IMAGE).coords.isnan().all())
    assert bool(bound.predict(IMAGE).isnan().all())
    assert bound(IMAGE).coords.shape == (1, K, 2)
    assert bound.calibrate(IMAGE, keypoints=far).n == 0


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "edpose"])  # which gives out a fixed number
def test_without_an_annotation_it_is_the_surest_person(family: str) -> None:
    """Also where nobody's score is high enough for the model to give anybody out."""
    one = adapter(family)
    assert one.bind(IMAGE).matched
    codec, config = getattr(one.head, "decoder", None), one.model.test_cfg
    kept = {k: getattr(codec, k) for k in ("decode_thr", "decode_keypoint_thr") if hasattr(codec, k)}
    one.model.test_cfg = {**config, "score_thr": 2.0, "score_threshold": 2.0}  # the latter is CID's
    try:
        for key in kept:
            setattr(codec, key, 1e9)
        assert not one.bind(IMAGE, torch.zeros(1, K, 2)).matched
        assert one.bind(IMAGE).matched
    finally:
        one.model.test_cfg = config
        for key, value in kept.items():
            setattr(codec, key, value)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_norms_are_folded_around_the_same_person(family: str) -> None:
    """The folded copy of a bound adapter gives the same coordinates; a new binding carries over by `around`."""
    bound = adapter(family).bind(IMAGE)
    with bound.frozen():
        twin = bound.folded(IMAGE)
    assert twin is not None
    assert twin.model is not bound.model
    assert torch.allclose(twin(IMAGE).coords, bound(IMAGE).coords, atol=0.05)
    person = given_out(family)[2]
    other = adapter(family).bind(IMAGE, person[None])
    assert torch.allclose(other.around(twin.model)(IMAGE).coords, other(IMAGE).coords, atol=0.05)


@pytest.mark.parametrize("family", ["dekr", "cid"])
def test_agreement_is_measured_over_persons_of_several_images(family: str) -> None:
    """Images of two sizes; persons without a match are left out, beta is set where there is one."""
    one = instance_adapter(family)
    larger = torch.nn.functional.interpolate(IMAGE, (96, 128), mode="bilinear")
    truth = [given_out(family)[0], torch.full((K, 2), 1e5), None]
    joints = [torch.ones(K, dtype=torch.bool)] * 3
    agreement = one.calibrate([IMAGE[0], IMAGE[0], larger[0]], keypoints=truth, joints=joints)
    assert (agreement.n, agreement.left_out) == (2 * K, 0)
    if family == "dekr":
        assert agreement.mean_distance == pytest.approx(0, abs=1e-3)
    else:
        assert agreement.beta == one.beta != one.default_beta()  # type: ignore[attr-defined]


def test_an_adapter_bound_to_nobody_says_so() -> None:
    """Calling it, or asking for a prediction, names the way out."""
    for call in (adapter("dekr"), adapter("dekr").predict):
        with pytest.raises(AdapterError, match=r"bound to none; call bind\(image, keypoints\)"):
            call(IMAGE)


def test_binding_takes_one_image() -> None:
    """The message gives the shape and what to do."""
    with pytest.raises(ShapeError, match=r"\(2, 3, 64, 96\).*use a batch of 1"):
        adapter("dekr").bind(torch.cat([IMAGE, IMAGE]))


def test_a_query_stays_the_same_person_s_when_scores_change_places() -> None:
    """EDPose sorts its proposals by score.  With the clean image's choice kept, a small change of the image moves each
    joint by little; the head alone may then give another person at that number."""
    one = adapter("edpose")
    bound = one.bind(IMAGE)
    with bound.frozen(), torch.no_grad():
        before = bound(IMAGE).coords
        cell = bound.person.cell  # type: ignore[union-attr]
        flipped = tuple(c.flip(d) for c, d in zip(cell.choices, (1, 0), strict=True))
        swapped = copy.copy(bound)
        swapped.person = replace(bound.person, cell=replace(cell, choices=flipped))  # type: ignore[type-var]
        other = swapped(IMAGE).coords
    assert torch.allclose(bound(IMAGE + 1e-4).coords, before, atol=0.05)
    assert not torch.allclose(other, before, atol=0.05)  # the choices decide whom the number means


def test_a_mixed_batch_follows_the_choices_of_the_clean_image() -> None:
    """Every image of a batch gathers the same proposals."""
    with SameChoices() as first:
        torch.topk(torch.tensor([[1.0, 3.0, 2.0]]), 2, dim=1)
        torch.topk(torch.tensor([[5.0], [6.0]]), 1, dim=0)
    batch = torch.tensor([[7.0, 8.0, 9.0], [1.0, 2.0, 3.0]])
    with SameChoices(first.made):
        assert torch.topk(batch, 2, dim=1)[0].tolist() == [[8.0, 9.0], [2.0, 3.0]]
        assert torch.topk(batch.T, 1, dim=0)[1].tolist() == [[1, 1]]
        assert batch.requires_grad_().detach().requires_grad
