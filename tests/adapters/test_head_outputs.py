"""Heads that give more than one tensor: the right one is explained, or it is said what was seen and how to choose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from odd_heads import odd_head
from tiny import run, tables, tiny

import poseig_mm
from poseig_mm.errors import AdapterError, ConfigError
from poseig_mm.store import Store


@pytest.mark.parametrize(
    ("head", "output"),
    [("PartsHead", None), ("PartsHead", 0), ("FewPartsFirstHead", None), ("PartsFirstHead", 1),
     ("PartsFirstHead", -1), ("NamedHead", None), ("NamedHead", "heatmaps"), ("NamedHead", "heatmaps.1")],
)  # fmt: skip
def test_the_right_output_is_explained(tmp_path: Path, tiny_store: Store, head: str, output: str | int | None) -> None:
    """The run is that of the plain head, number by number."""
    made = odd_head(tmp_path / "data", head)
    store = run(made, tmp_path / "w", {"attribution.output": output})
    assert store.run["agreement"]["share_within"] == tiny_store.run["agreement"]["share_within"]
    assert tables(store, ("joints", "relations")) == tables(tiny_store, ("joints", "relations"))


@pytest.mark.parametrize(
    ("head", "output", "message"),
    [
        ("NoHeatmapHead", None, "NoHeatmapHead cannot be explained: got 'parts' (3, 3, 16, 16); expected heatmaps"),
        ("OwnNothingHead", None, "OwnNothingHead.predict() fails (TypeError"),
        ("OwnNothingHead", None, "its forward() gives '0' (3, 17, 16, 16), '1' (3, 17, 16, 16)"),
        ("NamedHead", "maps", "diagnosis.attribution.output is 'maps', but the head gives 'parts' (3, 3, 16, 16), "),
        ("NamedHead", "heatmaps.2", "is 'heatmaps.2', but the head gives"),
        ("PartsHead", 2, "is 2, but the head gives"),
        ("NamedHead", "parts", "got one tensor (3, 3, 16, 16); expected heatmaps (B, 17, h, w)"),
    ],
)
def test_no_output_fits(tmp_path: Path, head: str, output: str | int | None, message: str) -> None:
    """What was seen, and what to do; no traceback of a library."""
    made = odd_head(tmp_path / "data", head)
    with pytest.raises(AdapterError, match=re.escape(message)):
        run(made, tmp_path / "w", {"attribution.output": output})


def test_a_regression_with_deviations(tmp_path: Path, tiny_files: tiny) -> None:
    """Coordinates are the first tensor."""
    from adapter_models import REGRESSION_HEAD, K, tiny_adapter

    adapter = tiny_adapter("regression", head={**REGRESSION_HEAD, "type": "SigmaHead"})
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    assert adapter(images).coords.shape == (2, K, 2)
    torch.testing.assert_close(adapter(images).coords, adapter.predict(images))
    adapter.output = 1
    assert not torch.allclose(adapter(images).coords, adapter.predict(images))


def test_simcc_by_name() -> None:
    """A dict of the logits of x and of y."""
    from adapter_models import tiny_adapter

    adapter = tiny_adapter("simcc")
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    output = adapter.outputs(adapter.features(images), (64, 96))
    named = {"x": output[0], "y": output[1], "other": torch.ones(2)}
    assert torch.equal(adapter.decode(named).coords, adapter.decode(output).coords)
    with pytest.raises(AdapterError, match="expected the logits of x and of y"):
        adapter.decode(output[0])


def test_the_interface_takes_the_choice(tmp_path: Path, tiny_files: tiny) -> None:
    """`load_adapter(output=...)`, and `attribute(output=...)`; not of an adapter that reads its head another way."""
    made = odd_head(tmp_path / "data", "PartsFirstHead")
    adapter = poseig_mm.load_adapter(str(made.config), made.weights)
    right = poseig_mm.load_adapter(str(made.config), made.weights, output=1)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    truth = right(image).coords.detach() + 3
    asked = poseig_mm.attribute(adapter, image, truth, quadrature="midpoint", nodes=2, compute="exact", output=1)
    own = poseig_mm.attribute(right, image, truth, quadrature="midpoint", nodes=2, compute="exact")
    assert torch.equal(asked.maps, own.maps)
    assert adapter.output is None

    class Own(type(adapter)):  # type: ignore[misc]
        def outputs(self, feats: object, size: tuple[int, int]) -> object:
            return feats

    from poseig_mm.run.open import with_output

    with pytest.raises(ConfigError, match="output is 1, but adapter 'heatmap' reads its head in a way of its own"):
        with_output(Own(adapter.model), 1)
