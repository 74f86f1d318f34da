"""What plugin authors are given for their tests does what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from poseig_mm import hookimpl
from poseig_mm.errors import ShapeError
from poseig_mm.indices.builtin import BUILTIN_INDICES
from poseig_mm.plugin.manager import BUILTINS, PluginHost
from poseig_mm.store import Store
from poseig_mm.testing import GROUPS, check_index, index_inputs

pytest_plugins = ["poseig_mm.testing"]


class Good:
    """The mean of the map: an index that keeps all rules."""

    name, title, unit, range, requires, kind = "mean", "Mean", "", (0.0, 1.0), frozenset[str](), "joint"

    def __call__(self, inputs: Any) -> torch.Tensor:
        return inputs.maps.mean((-2, -1))


class GoodRelation(Good):
    kind = "relation"

    def __call__(self, inputs: Any) -> torch.Tensor:
        return (inputs.maps[:, :, None] * inputs.heatmaps[:, None]).mean((-2, -1))


class WrongShape(Good):
    def __call__(self, inputs: Any) -> torch.Tensor:
        return inputs.maps.mean((-3, -2, -1))


class ChangesInput(Good):
    def __call__(self, inputs: Any) -> torch.Tensor:
        return inputs.maps.mul_(0.5).mean((-2, -1))


class LooksAtOthers(Good):
    def __call__(self, inputs: Any) -> torch.Tensor:
        return super().__call__(inputs) / inputs.maps.mean()


class OutOfRange(Good):
    def __call__(self, inputs: Any) -> torch.Tensor:
        return super().__call__(inputs) + 1


class ZeroForMissing(Good):
    def __call__(self, inputs: Any) -> torch.Tensor:
        return super().__call__(inputs).nan_to_num()


class NoTitle(Good):
    title = property()  # raises AttributeError, as if there were none


@pytest.mark.parametrize("index", [Good(), GoodRelation()], ids=["joint", "relation"])
def test_an_index_that_keeps_the_rules_passes(index: Any) -> None:
    """Both kinds."""
    check_index(index)


@pytest.mark.parametrize(
    ("index", "rule"),
    [
        (WrongShape(), r"shape \(2,\), expected \(2, 3\)"),
        (ChangesInput(), "changes its input"),
        (LooksAtOthers(), "depends on the others in the batch"),
        (OutOfRange(), "outside its range"),
        (ZeroForMissing(), r"\(NaN map\) is 0.0, not NaN"),
        (NoTitle(), "lacks title"),
        (Good, r"have you forgotten the \(\)"),
    ],
)
def test_each_broken_rule_is_named(index: Any, rule: str) -> None:
    """One index a rule."""
    with pytest.raises(AssertionError, match=rule):
        check_index(index)


def test_inputs_are_the_same_for_the_same_seed_and_keep_what_is_given() -> None:
    """Maps and keypoints are taken as they are; the mask has pixels inside and outside."""
    one, again, other = index_inputs(), index_inputs(), index_inputs(seed=1)
    assert torch.equal(one.maps, again.maps)
    assert not torch.equal(one.maps, other.maps)
    maps, keypoints = torch.rand(1, 2, 8, 8), torch.ones(1, 2, 2)
    given = index_inputs(maps, keypoints)
    assert given.maps is maps
    assert given.keypoints is keypoints
    assert given.mask is not None
    assert 0 < int(given.mask.sum()) < given.mask.numel()
    assert given.visible.shape == (1, 2)
    assert given.heatmaps is not None
    assert given.heatmaps.shape == maps.shape


def test_the_host_fixture_knows_only_what_it_is_given(
    poseig_host: Callable[..., PluginHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery is off: nothing installed is even looked for."""

    def searched(**_: Any) -> None:
        raise AssertionError("entry points were searched")

    class Plugin:
        @hookimpl
        def poseig_paths(self) -> dict[str, Any]:
            return {"p": len}

    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", searched)
    assert [r.name for r in poseig_host(Plugin).records] == ["Plugin"]
    names = [r.name for r in poseig_host(Plugin, builtins=BUILTINS[1:2]).records]
    assert names == ["attribution", "Plugin"]


def test_the_store_fixture_is_a_real_store(poseig_store: Callable[..., Store]) -> None:
    """With the numbers its docstring says."""
    store = poseig_store(ci=[1, 2, 3, 4, 5, 6])
    joints = store.joints()
    assert joints["ci"].to_list() == [1, 2, 3, 4, 5, 6]
    assert joints["epe"].to_list() == [1, 2, 3, 2, 3, 4]
    for index in BUILTIN_INDICES:
        assert index.kind == "relation" or joints[index.name].to_list() == [1, 2, 3] * 2
    assert store.samples()["mepe"].to_list() == [2, 3]
    assert store.groups == GROUPS
    maps = store.map("0-0")
    assert maps is not None
    assert (maps.shape, float(maps.min())) == ((3, 4, 3), 1.0)


def test_the_store_fixture_wants_six_numbers(poseig_store: Callable[..., Store]) -> None:
    """Two persons with three joints."""
    with pytest.raises(ShapeError, match=r"poseig_store\(ci=...\): got 2 numbers, expected 6"):
        poseig_store(ci=[1, 2])
