"""Named indices: missing things get a reason, a failing index spoils nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from poseig_mm.errors import ShapeError
from poseig_mm.functional.heatmaps import gaussian_heatmaps
from poseig_mm.functional.indices import diffusion_index, foreground_index, locality_index, relation_index
from poseig_mm.indices import Index, IndexInputs, compute_indices
from poseig_mm.indices.builtin import BUILTIN_INDICES
from poseig_mm.testing import check_index

REASONS = (("", "not_visible", ""), ("", "", ""))  # of `inputs`


@pytest.fixture
def inputs() -> IndexInputs:
    """Two images, three joints; joint 1 of the first is invisible and has no map; the first has no mask."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 16, 12, generator=generator)
    maps[0, 1] = torch.nan
    points = torch.rand(2, 3, 2, generator=generator) * 10
    mask = torch.zeros(2, 1, 16, 12, dtype=torch.bool)
    mask[1, 0, 2:9, 2:9] = True
    return IndexInputs(
        maps=maps,
        visible=torch.tensor([[True, False, True], [True, True, True]]),
        keypoints=points,
        pixels=points,
        mask=mask,
        has_mask=torch.tensor([False, True]),
        heatmaps=gaussian_heatmaps(points, (16, 12)),
        prediction=points,
    )


def no_error(name: str, error: Exception) -> None:
    raise error


def builtin(*names: str) -> list[Index]:
    """All built-in indices, or those named."""
    return [i for i in (make() for make in BUILTIN_INDICES) if not names or i.name in names]


class Constant(Index):
    """`value` everywhere, or the exception that it is; says how often it was called."""

    name, title = "constant", "Constant"

    def __init__(self, value: Any, **attributes: Any) -> None:
        self.value, self.calls = value, 0
        vars(self).update(attributes)

    def __call__(self, inputs: IndexInputs) -> Tensor:
        self.calls += 1
        if isinstance(self.value, Exception):
            raise self.value
        b, k = inputs.maps.shape[:2]
        if isinstance(self.value, tuple):
            return torch.zeros(self.value)
        return torch.full((b, k) if self.kind == "joint" else (b, k, k), self.value)


@pytest.mark.parametrize("index", builtin(), ids=lambda i: i.name)
def test_built_in_indices_keep_the_rules_of_plugins(index: Index) -> None:
    """Shape, range, no change of the input, independence of the batch, NaN for a missing map."""
    check_index(index)


def test_built_in_indices_are_the_functions(inputs: IndexInputs) -> None:
    """Names, order and values are those of `functional.indices`; RI towards an invisible joint is NaN."""
    values, _ = compute_indices(builtin(), inputs, REASONS, on_error=no_error)
    assert list(values) == ["di", "fi", "li", "ri"]
    assert inputs.mask is not None
    assert inputs.heatmaps is not None
    functions = {
        "di": diffusion_index(inputs.maps),
        "fi": foreground_index(inputs.maps, inputs.mask),
        "li": locality_index(inputs.maps, inputs.heatmaps),
    }
    for name, expected in functions.items():
        assert torch.equal(values[name].nan_to_num(), expected.nan_to_num())
    relations = relation_index(inputs.maps, inputs.heatmaps)
    assert torch.equal(values["ri"][1], relations[1])
    assert values["ri"][0, :, 1].isnan().all()
    assert torch.equal(values["ri"][0, 0, [0, 2]], relations[0, 0, [0, 2]])


def test_a_missing_mask_is_a_nan_with_a_reason(inputs: IndexInputs) -> None:
    """No mask: FI NaN and 'no_mask' for each joint with a map; an empty one: 'empty_mask'; the other image is fine."""
    values, reasons = compute_indices(builtin(), inputs, REASONS, on_error=no_error)
    assert reasons == [["no_mask", "not_visible", "no_mask"], ["", "", ""]]
    assert values["fi"][0].isnan().all()
    assert values["fi"][1].isfinite().all()
    empty = replace(inputs, has_mask=torch.tensor([True, True]))
    assert compute_indices(builtin(), empty, REASONS, on_error=no_error)[1][0] == [
        "empty_mask",
        "not_visible",
        "empty_mask",
    ]
    assert compute_indices(builtin("di", "li", "ri"), inputs, REASONS, on_error=no_error)[1][0][0] == ""


@pytest.mark.parametrize(("field", "name", "code"), [("mask", "fi", "no_mask"), ("heatmaps", "li", "no_heatmaps")])
def test_what_a_whole_batch_lacks_is_not_asked_for(inputs: IndexInputs, field: str, name: str, code: str) -> None:
    """Without masks (heatmaps) at all, the index that requires them isn't called: NaN with a reason, no error."""
    without = replace(inputs, **{field: None})
    values, reasons = compute_indices(builtin("di", name), without, REASONS, on_error=no_error)
    assert values[name].isnan().all()
    assert values["di"][1].isfinite().all()
    assert reasons == [[code, "not_visible", code], [code] * 3]
    with pytest.raises(ShapeError, match="got None"):
        builtin(name)[0](without)


def test_a_reference_outside_is_said(inputs: IndexInputs) -> None:
    """A joint whose heatmap is NaN or zero (reference unknown, or far outside) has LI NaN, reason 'outside', once."""
    assert inputs.heatmaps is not None
    heatmaps = inputs.heatmaps.clone()
    heatmaps[1, 0], heatmaps[1, 2] = torch.nan, 0
    indices = [*builtin("di", "li"), Constant(1.0, requires=frozenset({"heatmaps"}))]
    values, reasons = compute_indices(indices, replace(inputs, heatmaps=heatmaps), REASONS, on_error=no_error)
    assert reasons[1] == ["outside", "", "outside"]
    for name in ("li", "constant"):
        assert values[name][1].isnan().tolist() == [True, False, True]
    assert values["di"][1].isfinite().all()


def test_requiring_visible_leaves_invisible_joints_out(inputs: IndexInputs) -> None:
    """A joint with a map that isn't annotated (reference: the prediction) is NaN for an index that requires it."""
    seen = replace(inputs, visible=torch.tensor([[True, False, True], [True, False, True]]))
    joint = Constant(1.0, requires=frozenset({"visible"}))
    relation = Constant(1.0, name="pair", kind="relation", requires=frozenset({"visible"}))
    values, reasons = compute_indices([joint, relation], seen, REASONS, on_error=no_error)
    assert reasons == [["", "not_visible", ""], ["", "not_visible", ""]]
    assert values["constant"][1].isnan().tolist() == [False, True, False]
    assert values["pair"][1].isnan().tolist() == [[False, True, False]] * 3


@pytest.mark.parametrize(
    ("value", "message"),
    [(RuntimeError("no"), "no"), ((2, 2), r"\(2, 2\); expected \(2, 3\)"), ((2, 3, 3), r"expected \(2, 3\)")],
)
def test_a_failing_index_spoils_nothing(inputs: IndexInputs, value: Any, message: str) -> None:
    """It is reported, is NaN with its reason, and the others keep their values."""
    errors: list[tuple[str, Exception]] = []
    values, reasons = compute_indices(
        [Constant(value), *builtin("di")], inputs, REASONS, on_error=lambda n, e: errors.append((n, e))
    )
    assert [n for n, _ in errors] == ["constant"]
    with pytest.raises(Exception, match=message):
        raise errors[0][1]
    assert values["constant"].isnan().all()
    assert values["constant"].shape == (2, 3)
    assert values["di"][1].isfinite().all()
    assert reasons == [["constant_failed", "not_visible", "constant_failed"], ["constant_failed"] * 3]


def test_a_joint_without_a_map_never_gets_a_number(inputs: IndexInputs) -> None:
    """Whatever an index returns; and where the method gave no reason either, 'no_map' stands there."""
    indices = [Constant(0.0), Constant(0.0, name="pair", kind="relation")]
    values, reasons = compute_indices(indices, inputs, [[""] * 3] * 2, on_error=no_error)
    assert values["constant"].isnan().tolist() == [[False, True, False], [False] * 3]
    assert values["pair"].isnan()[0].tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert reasons == [["", "no_map", ""], ["", "", ""]]


def test_a_nan_always_has_a_reason(inputs: IndexInputs) -> None:
    """An index that gives NaN by itself is named."""
    _, reasons = compute_indices([Constant(torch.nan)], inputs, REASONS, on_error=no_error)
    assert reasons == [["constant_undefined", "not_visible", "constant_undefined"], ["constant_undefined"] * 3]


def test_an_index_without_maps_to_read_is_not_called(inputs: IndexInputs) -> None:
    """A batch in which every map is missing calls nothing; no callback is needed for an index that fails."""
    index = Constant(RuntimeError("called"))
    none = replace(inputs, maps=torch.full_like(inputs.maps, torch.nan))
    _, reasons = compute_indices([index], none, [["zero_map"] * 3] * 2)
    assert (index.calls, reasons) == (0, [["zero_map"] * 3] * 2)
    compute_indices([index], inputs, REASONS)
    assert index.calls == 1


def test_values_are_numbers_of_the_maps_type_without_gradient(inputs: IndexInputs) -> None:
    """Booleans become 0 and 1, doubles stay doubles, nothing drags a graph along."""
    double = replace(inputs, maps=inputs.maps.double().requires_grad_())
    values, _ = compute_indices([*builtin("li"), Constant(True)], double, REASONS, on_error=no_error)
    assert [(v.dtype, v.requires_grad) for v in values.values()] == [(torch.float64, False)] * 2
    assert values["constant"][1].tolist() == [1.0] * 3


def test_relations_to_invisible_joints_are_nan(inputs: IndexInputs) -> None:
    """RI by itself: the column of a joint that isn't visible, even if it has a map; its row stands."""
    seen = replace(inputs, visible=torch.tensor([[True, False, True], [True, False, True]]))
    (index,) = builtin("ri")
    assert index(seen)[1].isnan().tolist() == [[False, True, False]] * 3


@pytest.mark.parametrize(("reasons", "got"), [([["", ""]] * 2, r"2 rows of \[2\]"), ([[""] * 3], r"1 rows of \[3\]")])
def test_reasons_must_fit(inputs: IndexInputs, reasons: list[list[str]], got: str) -> None:
    """One code for each image and joint."""
    with pytest.raises(ShapeError, match=rf"got {got} codes; expected \(B\)\(K\) = \(2, 3\)"):
        compute_indices(builtin(), inputs, reasons)
