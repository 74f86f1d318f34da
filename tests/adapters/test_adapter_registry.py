"""Which adapter a model gets, and what is said when there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from adapter_models import EXPECTED, FAMILIES, HEATMAP_HEAD, MSRA, adapters, tiny_model
from instance_models import needs_family

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.heatmap import HeatmapAdapter
from poseig_mm.adapters.select import select_adapter
from poseig_mm.errors import AdapterError

pytestmark = pytest.mark.usefixtures("mmpose_ready")


def model_with(head: Any) -> Any:
    return SimpleNamespace(head=head)


class Base: ...


class Middle(Base): ...


class Leaf(Middle): ...


def adapter_for(name: str, *heads: str) -> dict[str, type[CoordinateAdapter]]:
    return {name: type(name, (HeatmapAdapter,), {"name": name, "head_types": heads})}


def test_the_most_specific_class_wins() -> None:
    """Along the head's MRO the nearest class that an adapter names decides, whatever the order of the adapters."""
    known = {**adapter_for("of_base", "Base"), **adapter_for("of_middle", "Other", "Middle")}
    for order in (known, dict(reversed(known.items()))):
        assert select_adapter(model_with(Leaf()), order).name == "of_middle"
        assert select_adapter(model_with(Base()), order).name == "of_base"


def test_wrappers_are_looked_through() -> None:
    """VisPredictHead, and a subclass of it, give the inner head's adapter; also nested."""
    wrapper = type("VisPredictHead", (), {})
    inner, outer = wrapper(), type("MyVisibility", (wrapper,), {})()
    inner.pose_head, outer.pose_head = Leaf(), inner
    assert select_adapter(model_with(outer), adapter_for("of_base", "Base")).name == "of_base"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_resolves(family: str) -> None:
    """Each of MMPose's heads gets its family's adapter."""
    chosen = select_adapter(tiny_model(family), adapters())
    assert chosen.name == EXPECTED.get(family, family.split("-")[0])


def test_no_match_names_the_head_the_adapters_and_the_way_out() -> None:
    """The message has the head's class, every known adapter with its heads, and how to write one."""
    with pytest.raises(AdapterError) as error:
        select_adapter(model_with(Leaf()), adapters())
    for part in ("Leaf", "heatmap for HeatmapHead, CPMHead, MSPNHead", "simcc for SimCCHead", "docs/plugins.md",
                 "poseig_register_adapters", "head_types"):  # fmt: skip
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("head", "base", "name"),
    [("AssociativeEmbeddingHead", "HeatmapHead", "associative_embedding"), ("RTMOHead", "YOLOXPoseHead", "rtmo")],
)
def test_bottom_up_heads_are_not_mistaken_for_their_base(head: str, base: str, name: str) -> None:
    """AssociativeEmbeddingHead is a HeatmapHead and RTMOHead a YOLOXPoseHead; each has an adapter of its own."""
    from mmpose.registry import MODELS

    needs_family(name)
    kind, parent = MODELS.get(head), MODELS.get(base)
    assert issubclass(kind, parent)
    assert select_adapter(model_with(kind.__new__(kind)), adapters()).name == name


def test_a_head_unlike_its_base_is_refused_unless_a_plugin_names_it() -> None:
    """Heatmap3DHead is a HeatmapHead whose channels are depth slices: an error that says so."""
    from mmpose.models.heads import HeatmapHead

    head = type("Heatmap3DHead", (HeatmapHead,), {})
    with pytest.raises(AdapterError, match="depth slices"):
        select_adapter(model_with(head.__new__(head)), adapters())
    own = {**adapters(), **adapter_for("mine", "Heatmap3DHead")}
    assert select_adapter(model_with(head.__new__(head)), own).name == "mine"  # a plugin may know better


def test_two_adapters_for_one_head_are_an_error() -> None:
    """Both are named, and so is the hook that decides."""
    known = {**adapter_for("one", "Base"), **adapter_for("two", "Base")}
    with pytest.raises(AdapterError, match=r"'one' and 'two' both name Base.*poseig_select_adapter"):
        select_adapter(model_with(Leaf()), known)


def test_a_model_without_a_head_is_an_error() -> None:
    """Not an MMPose pose estimator: the message says what was expected."""
    with pytest.raises(AdapterError, match="SimpleNamespace has no `head`; expected an MMPose pose estimator"):
        select_adapter(SimpleNamespace(), adapters())


def test_a_codec_that_is_not_known_is_an_error() -> None:
    """A HeatmapHead with another kind of codec, or without one, cannot be decoded: the message names what can."""
    for decoder, what in (
        ({"type": "SimCCLabel", "input_size": (64, 96)}, "the codec SimCCLabel"),
        (None, "neither a codec"),
    ):
        model = tiny_model("heatmap-msra", head={**HEATMAP_HEAD, "decoder": decoder})
        with pytest.raises(AdapterError, match=what):
            HeatmapAdapter(model)
    assert HeatmapAdapter(tiny_model("heatmap-msra", head={**HEATMAP_HEAD, "decoder": MSRA})).input_size == (64, 96)
