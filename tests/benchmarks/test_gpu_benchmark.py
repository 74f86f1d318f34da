"""The benchmark for a GPU: that it runs to its end on a CPU in small, and says what failed, what was left out, and
why.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bare import run_bare

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, engine, measuring, nets, page
from benchmarks.gpu.measuring import Failed, Setup, Skipped
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.torch_features import OutOfMemoryError

NEEDS_CUDA = ["cuda equals cpu", "memory that runs out", "graph equals eager", "no waiting in the loop"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Its JSON on a CPU, in small, where nothing but torch and numpy is installed."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    arguments = ["--device", "cpu", "--small", "--out", str(out)]
    done = run_bare(f"from benchmarks.gpu.__main__ import main; sys.exit(main({arguments}))")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fast equals exact, ViT-like" in done.stdout
    results: dict[str, Any] = json.loads(out.read_text())
    return results


def test_it_runs_to_its_end_on_a_cpu(small: dict[str, Any]) -> None:
    """Every part is there, in order; none failed, and what a CPU lacks is skipped with a reason."""
    assert [(p["group"], p["name"]) for p in small["parts"]] == [
        (group, name) for group, parts in command.GROUPS.items() for name in parts
    ]
    parts = {p["name"]: p for p in small["parts"]}
    assert not [name for name, part in parts.items() if part["status"] == "failed"]
    for name in NEEDS_CUDA:
        assert parts[name]["status"] == "skipped"
        assert parts[name]["reason"].startswith("needs CUDA: ")
    assert parts["captum"]["reason"].startswith("captum is not installed")
    assert all(part["reason"] for part in parts.values() if part["status"] == "skipped")


def test_what_it_measures_on_a_cpu(small: dict[str, Any]) -> None:
    """Cosines of all three networks, seconds of all methods, operations of the profile."""
    parts = {p["name"]: p["result"] for p in small["parts"] if p["status"] == "ok"}
    for name in nets.NETS:
        assert 0.999 <= parts[f"fast equals exact, {name}"]["maps"] <= 1 + 1e-6
    for name in ("published", "ours linear", "is_grads_batched"):
        assert parts[name]["seconds_a_person"] > 0
    assert [row["batch"] for row in parts["ours"]["rows"]] == [1, 2]
    counted = find_spec("torch.utils.flop_counter") is not None  # torch 2.0 has none
    assert [0 < row.get("peak_share", 0) < 1 for row in parts["ours"]["rows"]] == [counted] * 2
    rows = parts["stacked joints"]["rows"]
    assert [row["stack"] for row in rows if "seconds_a_person" in row] == [1, 2, 4, 8, nets.VISIBLE, None]
    assert {row["skipped"] for row in rows if row["cuda_graph"]} == {"needs CUDA"}
    assert any("convolution" in row["name"] for row in parts["profile"]["rows"])


# ---- one part --------------------------------------------------------------------------------------------------------


def setup_for_tests(seconds: float = 100.0) -> Setup:
    """Small, on a CPU, with some time left."""
    return Setup(CPU, small=True, ends=measuring.time.monotonic() + seconds)


def fakes(**parts: Callable[[Setup], dict[str, Any]]) -> dict[str, Any]:
    """Groups as `__main__` has them."""
    return {"checks": {name: (part, 1) for name, part in parts.items()}}


def broken(setup: Setup) -> dict[str, Any]:
    raise RuntimeError("CUDA error: an illegal access\nand more")


def wrong(setup: Setup) -> dict[str, Any]:
    raise Failed("maps below 0.999", maps=0.5)


def absent(setup: Setup) -> dict[str, Any]:
    raise Skipped("no such card", seen=3)


def test_it_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1; an exception is recorded with its traceback, a check with its numbers."""
    monkeypatch.setattr(command, "GROUPS", fakes(broken=broken, wrong=wrong, absent=absent, fine=lambda s: {"x": 1}))
    out = tmp_path / "gpu.json"
    assert command.main(["--device", "cpu", "--out", str(out)]) == 1
    found = {p["name"]: p for p in json.loads(out.read_text())["parts"]}
    assert [p["status"] for p in found.values()] == ["failed", "failed", "skipped", "ok"]
    assert found["broken"]["reason"] == "RuntimeError: CUDA error: an illegal access"
    assert "in broken" in found["broken"]["result"]["traceback"]
    assert (found["wrong"]["result"], found["absent"]["result"]) == ({"maps": 0.5}, {"seen": 3})
    monkeypatch.setattr(command, "GROUPS", fakes(absent=absent, fine=lambda s: {}))
    assert command.main(["--device", "cpu"]) == 0


def test_without_time_the_rest_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the seconds that a part may take, before it is begun."""
    monkeypatch.setattr(command, "GROUPS", {"checks": {"quick": (lambda s: {}, 1), "slow": (broken, 100)}})
    out = tmp_path / "gpu.json"
    assert command.main(["--device", "cpu", "--minutes", "1", "--out", str(out)]) == 0
    parts = json.loads(out.read_text())["parts"]
    assert [(p["status"], p["reason"]) for p in parts] == [("ok", ""), ("skipped", "no time left")]


def test_only_takes_parts_and_groups(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name is an error, before anything is measured."""
    monkeypatch.setattr(command, "GROUPS", fakes(broken=broken, fine=lambda s: {}))
    assert command.main(["--device", "cpu", "--only", "fine"]) == 0
    assert command.main(["--device", "cpu", "--only", "checks"]) == 1
    with pytest.raises(SystemExit):
        command.main(["--device", "cpu", "--only", "finer"])
    assert "there is no part finer" in capsys.readouterr().err


def test_a_wrong_walk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that loses a tenth of each gradient's values, by chance."""

    class Careless(FastBackward):
        def __call__(self, outputs: torch.Tensor, inputs: torch.Tensor) -> Any:
            walk = super().__call__(outputs, inputs)
            return lambda cotangent: walk(cotangent) * (torch.rand(inputs.shape) > 0.1)

    assert checks.fast_equals_exact("SB-R50")(setup_for_tests())["maps"] > 0.999
    monkeypatch.setattr(checks, "FastBackward", Careless)
    with pytest.raises(Failed, match=r"gradients and maps below 0\.999"):
        checks.fast_equals_exact("SB-R50")(setup_for_tests())


class PretendedCard:
    """torch's allocator on a CPU: an image takes a byte, and under a limit more images than that are refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limited: bool) -> None:
        self.limit, self.peak, self.refused = 2.0**40, 0, 0
        card = SimpleNamespace(total_memory=1)
        monkeypatch.setattr(Setup, "need_cuda", lambda self, what: None)
        for name, does in {
            "empty_cache": lambda: None,
            "reset_peak_memory_stats": self.reset,
            "max_memory_reserved": lambda device: self.peak,
            "max_memory_allocated": lambda device: self.peak,
            "memory_stats": lambda device: {"num_ooms": self.refused},
            "get_device_properties": lambda device: card,
            "set_per_process_memory_fraction": (self.set_limit if limited else lambda fraction, device: None),
        }.items():
            monkeypatch.setattr(f"torch.cuda.{name}", does)
        forward = nets.Coordinates.forward

        def counted(net: nets.Coordinates, images: torch.Tensor) -> torch.Tensor:
            if len(images) > self.limit:
                self.refused += 1
                raise OutOfMemoryError("out of memory")
            self.peak = max(self.peak, len(images))
            return forward(net, images)

        monkeypatch.setattr(nets.Coordinates, "forward", counted)

    def reset(self, device: torch.device) -> None:
        self.peak = 0

    def set_limit(self, fraction: float, device: torch.device) -> None:
        self.limit = fraction if fraction != 1.0 else 2.0**40


def test_memory_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit fewer images are taken, and it is lifted again; a limit that is never met is a failure."""
    card = PretendedCard(monkeypatch, limited=True)
    found = checks.memory_that_runs_out(setup_for_tests())
    assert found["last_images"] < found["first_images"]
    assert (found["met"], found["maps"] > 0.999) == (1, True)
    assert card.limit == 2.0**40
    PretendedCard(monkeypatch, limited=False)
    with pytest.raises(Failed, match="the limit was not met"):
        checks.memory_that_runs_out(setup_for_tests())


def test_waiting_is_said_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch warns of each; its watch is switched off again."""
    modes: list[str] = []
    monkeypatch.setattr("torch.cuda.set_sync_debug_mode", modes.append)

    def waiting() -> None:
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    ((line, count),) = checks._waiting_lines(waiting).items()
    assert (line.split(":")[0], count, modes) == (Path(__file__).name, 2, ["warn", "default"])


def test_a_cosine_of_nan_is_no_cosine() -> None:
    """Joints that are NaN in both are left out; in one of them, or everywhere, they are an error."""
    a = torch.tensor([[[1.0, 0.0], [torch.nan, torch.nan]]])
    b = torch.tensor([[[1.0, 1.0], [torch.nan, torch.nan]]])
    assert engine.lowest_cosine(a, b, dims=2) == pytest.approx(0.5**0.5)
    for one, other in ((a, b.nan_to_num()), (a[:, 1:], b[:, 1:])):
        with pytest.raises(ValueError, match="NaN"):
            engine.lowest_cosine(one, other, dims=2)


def test_calls_that_wait_are_counted() -> None:
    """`item` and a mask's `nonzero`; arithmetic does not wait."""
    x = torch.ones(3)
    assert measuring.waits(lambda: (x + 1, x * x), CPU) == {}
    assert measuring.waits(lambda: [x[0].item(), x[1].item()], CPU)["aten::item"] == 2
    assert measuring.waits(lambda: x[x > 0], CPU)["aten::nonzero"] == 1


@pytest.mark.parametrize("name", list(nets.NETS))
def test_networks_are_the_same_everywhere(name: str) -> None:
    """The same weights and images each time; (B, 17, 2) near the keypoints; the folded one gives the same
    coordinates.
    """
    one, two = (nets.build(name, 2, CPU, small=True) for _ in range(2))
    assert torch.equal(one.images, two.images)
    with torch.no_grad():
        found = one.exact(one.images)
        assert torch.equal(found, two.exact(two.images))
        assert torch.allclose(found, one.fast(one.images), atol=1e-2)
    assert found.shape == (2, nets.JOINTS, 2)
    assert torch.allclose(one.keypoints - found, torch.tensor(nets.OFFSET), atol=1e-3)
    assert one.persons(1)[1].isfinite().all(-1).sum() == nets.VISIBLE


# ---- the page --------------------------------------------------------------------------------------------------------


def part(
    name: str, result: dict[str, Any], group: str = "speed", status: str = "ok", reason: str = ""
) -> dict[str, Any]:
    """As `__main__` writes it."""
    return {"group": group, "name": name, "status": status, "reason": reason, "seconds": 1.0, "result": result}


def measured() -> dict[str, Any]:
    """Made-up results of a card."""
    row = {"joints": 11, "gradients_a_joint": 33.0, "memory": 2**31}
    ours = [
        row | {"batch": 1, "seconds_a_person": 0.1, "peak_share": 0.2},
        row | {"batch": 64, "seconds_a_person": 0.03, "peak_share": 0.6},
        row | {"batch": 64, "seconds_a_person": 0.02, "peak_share": 0.9, "tf32": True},
    ]
    stacked = [
        {"stack": 1, "cuda_graph": False, "batch": 8, "seconds_a_person": 0.07, "memory": 2**30},
        {"stack": None, "cuda_graph": True, "batch": 8, "skipped": "no time left"},
    ]
    return {
        "about": {
            "date": "2026-01-01",
            "device": "A card",
            "torch": "2",
            "cuda": "13",
            "python": "3.12",
            "small": False,
        },
        "parts": [
            part("cuda equals cpu", {"maps": 0.99999}, "checks"),
            part("no waiting in the loop", {"calls_a_chunk": {"item": 2}}, "checks", "failed", "the host waits"),
            part("ours", {"rows": ours}),
            part("published", {"seconds_a_person": 3.0, "joints": 17, "gradients_a_joint": 50}),
            part("captum", {}, "speed", "skipped", "captum is not installed"),
            part("stacked joints", {"rows": stacked}, "time"),
        ],
    }


def test_the_page_says_what_was_reached() -> None:
    """By the quickest batch in float32: 0.03 s x 6,352 persons are 3.18 minutes, 3 s over 0.03 s is 100 times."""
    text = page.markdown(measured())
    assert "| <= 2 min | 3.18 min (batch 64) |" in text
    assert "| >= 50 % | 60 % |" in text
    assert "| >= 20 x | 100 x |" in text
    assert "| ours, TF32 forward | 64 | 0.02 | 150 |" in text
    assert "| no waiting in the loop | failed | the host waits, calls_a_chunk {'item': 2} |" in text
    assert "| captum | skipped | captum is not installed |" in text
    assert "| by memory | yes | no time left |" in text
    assert "3.18 min" in page.table(measured())


def test_what_was_not_measured_is_said_so() -> None:
    """Nothing is filled in."""
    results = measured()
    results["parts"] = results["parts"][:1]
    assert page.markdown(results).count("not measured") == 3


def test_tiny_networks_are_no_result() -> None:
    """Their seconds are compared with no goal."""
    results = measured()
    results["about"]["small"] = True
    with pytest.raises(ValueError, match="--small"):
        page.markdown(results)
    assert "tiny networks" in page.table(results)
    assert "3.18 min" not in page.table(results)


def test_the_part_is_placed_between_its_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice gives the same page; the rest stays; whoever writes the rest anew keeps the part."""
    performance, out = tmp_path / "performance.md", tmp_path / "gpu.json"
    performance.write_text("\n".join(["# Before", *page.part_between_markers(performance), "# After"]))
    assert page.NOT_MEASURED in performance.read_text()
    monkeypatch.setattr(command, "PERFORMANCE", performance)
    out.write_text(json.dumps(measured()))
    assert command.main(["--page", str(out)]) == 0
    once = performance.read_text()
    assert command.main(["--page", str(out)]) == 0
    assert performance.read_text() == once
    assert once.startswith("# Before\n<!--")
    assert once.endswith("-->\n# After")
    assert "3.18 min" in "\n".join(page.part_between_markers(performance))
    assert page.NOT_MEASURED not in once
    (tmp_path / "other.md").write_text("no markers")
    with pytest.raises(ValueError, match="must hold"):
        page.place("text", tmp_path / "other.md")


def test_performance_md_has_the_markers() -> None:
    """The page in docs/ is the one that is written."""
    text = page.PERFORMANCE.read_text()
    assert (text.count(page.BEGIN), text.count(page.END)) == (1, 1)
