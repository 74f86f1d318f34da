"""Which layers are re-initialised, with what, and that the model is the same afterwards, to the bit."""

from __future__ import annotations

import pytest
import torch
from study_toy import SIZE, net
from torch import nn

from poseig_mm.studies.randomization.reinitialise import KINDS, layers_in_order, preserved, reinitialise


def snapshot(model: nn.Module) -> dict[str, tuple[int, bytes, bool]]:
    """Identity, bytes and requires_grad of everything that the model holds."""
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    return {name: (id(t), t.detach().numpy().tobytes(), t.requires_grad) for name, t in tensors.items()}


def order(model: nn.Module, kind: str = "conv") -> list[str]:
    return layers_in_order(model, lambda: model(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.float64)), KINDS[kind])


def test_layers_come_in_the_order_of_execution() -> None:
    """Not of registration; transposed convolutions and layers that do not run are left out, and no hook stays."""
    model = net()
    assert order(model) == ["stem", "middle", "last"]
    assert not any(m._forward_hooks for m in model.modules())


def test_hooks_are_gone_after_an_error() -> None:
    """Also where the forward pass raises."""
    model = net()
    with pytest.raises(RuntimeError):
        layers_in_order(model, lambda: model(torch.zeros(1, 5, SIZE, SIZE)), KINDS["conv"])
    assert not any(m._forward_hooks for m in model.modules())


def test_a_layer_that_runs_twice_counts_once() -> None:
    """At its first run."""
    shared = nn.Conv2d(3, 3, 1)
    model = nn.Sequential(shared, nn.Conv2d(3, 3, 1), shared)
    assert layers_in_order(model, lambda: model(torch.zeros(1, 3, 2, 2)), KINDS["conv"]) == ["0", "1"]


def test_attention_is_one_layer() -> None:
    """'linear' lists attention and linear layers, not the projections inside attention."""
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = layers_in_order(model, lambda: model(torch.zeros(1, 4, 8)), KINDS["linear"])
    assert found == ["self_attn", "linear1", "linear2"]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_model_is_the_same_afterwards(error: type[BaseException] | None) -> None:
    """Same objects, bytes, flags, and the same random state, also when the work is interrupted."""
    model = net()
    model.middle.weight.requires_grad_(True)
    before, state = snapshot(model), torch.get_rng_state()
    names = order(model)
    try:
        with preserved(model, names):
            for name in names:
                reinitialise(model, name)
            inside = snapshot(model)
            if error is not None:
                raise error
    except BaseException as raised:
        assert type(raised) is error  # noqa: PT017
    changed = {n for n in before if inside[n][1] != before[n][1]}
    assert changed == {f"{layer}.{part}" for layer in names for part in ("weight", "bias")}
    assert snapshot(model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_new_weights_depend_on_seed_and_name_alone() -> None:
    """The same twice, whatever was drawn in between; another seed or name gives others; none are the old ones."""

    def drawn(name: str, seed: int) -> torch.Tensor:
        model = nn.ModuleDict({"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(3, 4, 3)})
        reinitialise(model, name, seed)
        return model.get_submodule(name).weight.detach()

    first = drawn("a", 0)
    torch.rand(7)
    assert torch.equal(drawn("a", 0), first)
    assert not torch.equal(drawn("a", 1), first)
    assert not torch.equal(drawn("b", 0), first)


def test_new_weights_are_drawn_as_for_a_new_layer() -> None:
    """torch's default: uniform within 1 / sqrt(fan in)."""
    layer = nn.Conv2d(16, 64, 3)
    nn.init.constant_(layer.weight, 9.0)
    reinitialise(nn.Sequential(layer), "0")
    bound = (16 * 9) ** -0.5
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)


def test_all_of_attention_is_drawn_anew() -> None:
    """Its output projection too, which torch's own reset leaves alone."""
    model = nn.Sequential(nn.MultiheadAttention(8, 2))
    before = snapshot(model)
    reinitialise(model, "0")
    after = snapshot(model)
    assert {n for n in before if n.endswith("weight") and after[n][1] == before[n][1]} == set()


def test_simple_baseline_r50_has_54_layers(mmpose_ready: None) -> None:
    """MMPose's own SB-R50: 53 convolutions of the backbone, then the final layer; the three transposed ones do not
    count.
    """
    from mmengine.config import Config

    from poseig_mm.api import load_adapter

    path = "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py"
    adapter = load_adapter(Config.fromfile(Config._get_cfg_path(path, "")[0]))
    with adapter.frozen(), torch.no_grad():
        found = layers_in_order(adapter.model, lambda: adapter(torch.zeros(1, 3, 64, 64)), KINDS["conv"])
    assert len(found) == 54
    assert sum(name.startswith("backbone.") for name in found) == 53
    assert (found[0], found[-1]) == ("backbone.conv1", "head.final_layer")
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in adapter.model.modules()) == 3
