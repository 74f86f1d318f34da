"""What hangs on torch's version: the oldest supported one, when its graph shows its shapes, which hardware has
bfloat16.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from poseig_mm import compat
from poseig_mm.functional import torch_features
from poseig_mm.functional.torch_features import OLDEST_TORCH, bfloat16_supported, channels_last_pays, gradient_node

ASKED = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def release(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("+")[0].split(".")[:2])


def test_the_oldest_torch_is_one_number() -> None:
    """What is checked before torch is imported is what this file is written for, and this torch is in the range."""
    (torch_needed,) = [library for library in compat.LIBRARIES if library.module == "torch"]
    assert torch_needed.least == OLDEST_TORCH
    assert release(torch.__version__) >= release(OLDEST_TORCH)


def test_what_an_old_torch_hides_is_watched() -> None:
    """Each node's outputs have the shapes and types that torch >= 2.5 shows; one that no cotangent reaches has none."""
    x = torch.rand(2, 6, 8, 8, requires_grad=True)
    split = torch.nn.functional.conv2d(x, torch.rand(4, 6, 3, 3)).split(2, 1)
    y = split[0].relu().sum((2, 3)).double()
    conv, leaf = split[0].grad_fn.next_functions[0][0], gradient_node(x)
    seen = torch_features._watched([leaf, conv, split[0].grad_fn, y.grad_fn], y, x)
    assert seen == [
        (((2, 6, 8, 8),), (torch.float32,)),
        (((2, 4, 6, 6),), (torch.float32,)),
        (((2, 2, 6, 6), None), (torch.float32, torch.float32)),
        (((2, 2),), (torch.float64,)),
    ]


def test_a_graph_is_watched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of the same nodes and sizes asks nothing; one of another size does."""
    watched, known = [], {}
    monkeypatch.setattr(torch_features, "_watched", lambda order, outputs, inputs: watched.append(inputs.shape))
    monkeypatch.setattr(torch_features, "shows_output_types", lambda node: False)
    for size in (3, 3, 5):
        x = torch.rand(size, requires_grad=True)
        y = (2 * x).sum()
        torch_features.output_types([gradient_node(x), y.grad_fn], y, x, known)
    assert watched == [(3,), (5,)]


@pytest.mark.parametrize(
    ("flag", "expected"), [("avx512_bf16", True), ("amx_bf16", True), ("avx512f", False), ("", False)]
)
def test_an_old_torch_leaves_a_cpu_to_linux(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flag: str, expected: bool
) -> None:
    """The flags of the processor decide where torch does not say; without such a file the answer is no."""
    for name in ASKED:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    info = tmp_path / "cpuinfo"
    if flag:
        info.write_text(f"processor\t: 0\nflags\t\t: fpu {flag} sse\nbugs\t: none\n")
    monkeypatch.setattr(torch_features, "CPU_INFO", info)
    torch_features._cpu_flags.cache_clear()
    try:
        assert bfloat16_supported("cpu") == expected
    finally:
        torch_features._cpu_flags.cache_clear()


@pytest.mark.parametrize("answers", [(False, False), (True, False), (False, True)])
def test_a_newer_torch_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: tuple[bool, bool]) -> None:
    """Either kind of unit will do, and Linux is not asked."""
    for name, answer in zip(ASKED, answers, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    monkeypatch.setattr(torch_features, "_cpu_flags", lambda: pytest.fail("asked Linux"))
    assert bfloat16_supported("cpu") == any(answers)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((8, 6), True), ((9, 0), True)])
def test_a_gpu_needs_units_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: bool
) -> None:
    """Newer torches say yes of older cards too, which compute it by way of float32."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert bfloat16_supported("cuda:1") == expected


def test_other_devices_have_none() -> None:
    """What this machine's CPU can is not asked for them."""
    assert not bfloat16_supported("meta")


@pytest.mark.parametrize("version", ["2.0.1", "2.1.2+cu121", "2.2.2", "2.3.1", "2.13.0+cpu"])
def test_channels_last_is_for_models_that_gain(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """All, but on the CPU of two versions those with a grouped convolution somewhere."""
    monkeypatch.setattr(torch, "__version__", version)
    dense = torch.nn.Conv2d(4, 4, 3)
    grouped = torch.nn.Sequential(dense, torch.nn.Conv2d(4, 4, 3, groups=4))
    assert channels_last_pays(dense, "cpu")
    assert channels_last_pays(grouped, "cuda")
    assert channels_last_pays(grouped, "cpu") == (version not in ("2.1.2+cu121", "2.2.2"))
