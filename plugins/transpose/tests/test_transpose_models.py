"""The parts by themselves: position embedding, neck, attention, and the configs that put them together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from official_transpose import attention as by_definition
from poseig_transpose.attention import attention_matrices, cells_of, dependency_maps
from poseig_transpose.positions import sine_positions
from poseig_transpose.variants import VARIANTS, build_variant

from poseig_mm.errors import ConfigError, ShapeError

CONFIGS = Path(__file__).parents[3] / "configs" / "transpose"


@pytest.fixture
def neck() -> Any:
    """Two layers, two heads, 4 x 3 cells."""
    from poseig_transpose.models import TransPoseEncoder

    torch.manual_seed(0)
    return TransPoseEncoder(5, (4, 3), channels=8, hidden=12, heads=2, layers=2).double().eval()


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    """Each number by the formula, 1-based and over the last index."""
    width, height, channels = 5, 3, 12
    found = sine_positions((width, height), channels)
    assert found.shape == (width * height, 1, channels)
    for y in range(height):
        for x in range(width):
            for i in range(channels):
                n, count = (y + 1, height) if i < channels // 2 else (x + 1, width)
                j = i % (channels // 2)
                phase = 2 * math.pi * n / (count + 1e-6) / 10000 ** (2 * (j // 2) / (channels // 2))
                expected = math.cos(phase) if j % 2 else math.sin(phase)
                assert found[y * width + x, 0, i].item() == pytest.approx(expected, abs=2e-6)


def test_positions_need_pairs() -> None:
    """Ten channels do not split into sines and cosines for two directions."""
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_positions((2, 2), 10)


def test_the_position_embedding_is_kept_but_not_trained(neck: Any) -> None:
    """It is in the state dict, counted as a parameter, and gets no gradient."""
    assert "pos_embedding" in neck.state_dict()
    assert not dict(neck.named_parameters())["pos_embedding"].requires_grad


def test_another_size_of_input_is_an_error(neck: Any) -> None:
    """The message says both sizes."""
    with pytest.raises(ShapeError, match=r"3 x 4 cells, but the position embedding is for 4 x 3"):
        neck((torch.zeros(1, 5, 4, 3).double(),))


def test_attention_is_that_of_the_definition(neck: Any) -> None:
    """Rows of the first layer, mean over heads, in float64; the output is what it is without looking."""
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = type("Model", (), {"neck": neck})()
    plain = neck((x,))[0]
    with attention_matrices(model, [0, -1]) as found:
        looked = neck((x,))[0]
    assert torch.allclose(plain, looked, atol=1e-12)
    tokens = neck.reduce(x).flatten(2).transpose(1, 2)
    weights = {f"a.{k}": v for k, v in neck.global_encoder.layers[0].self_attn.state_dict().items()}
    _, expected = by_definition(weights, "a.", tokens, neck.pos_embedding[:, 0], 2)
    assert torch.allclose(found[0], expected.mean(1), atol=1e-12)
    assert torch.allclose(found[-1].sum(-1), torch.ones(2, 12, dtype=torch.float64))
    assert not torch.allclose(found[-1], found[0])
    seen = found[0]
    neck((2 * x,))
    assert found[0] is seen  # nobody watches any more


def test_a_layer_that_is_not_there_is_an_error(neck: Any) -> None:
    """And leaves no hook behind."""
    model = type("Model", (), {"neck": neck})()
    watched = attention_matrices(model, [0, 2])
    with pytest.raises(ConfigError, match="attention layer 2: the encoder has 2; expected -2 to 1"), watched:
        pass
    assert not neck.global_encoder.layers[0].self_attn._forward_hooks


def test_the_row_of_the_joints_cell_is_taken() -> None:
    """(x, y) = (9, 17) at stride 8 is column 1 of row 2: row 2 * 4 + 1 of the matrix of a 4 x 3 grid."""
    matrix = torch.arange(144.0).reshape(12, 12)
    cells = cells_of(torch.tensor([[9.0, 17.0]]), (32, 24), (4, 3))
    assert cells.tolist() == [[1, 2]]
    assert dependency_maps(matrix, cells, (4, 3))[0].flatten().tolist() == matrix[9].tolist()


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_config_is_the_converters_model(name: str) -> None:
    """configs/transpose/ describes the same weights and the same reading of heatmaps as `variants` does."""
    path = CONFIGS / f"transpose_{name.replace('-', '_')}_coco-256x192.py"
    if not path.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    config = Config.fromfile(str(path))
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmpose"):
        given, own = MODELS.build(config.model), build_variant(name)
    assert {k: v.shape for k, v in given.state_dict().items()} == {k: v.shape for k, v in own.state_dict().items()}
    codecs = [
        (type(h.decoder), h.decoder.input_size, tuple(h.decoder.heatmap_size), h.decoder.sigma)
        for h in (given.head, own.head)
    ]
    assert codecs[0] == codecs[1]
    assert given.neck.global_encoder.layers[0].self_attn.num_heads == VARIANTS[name].heads
    assert len(given.neck.global_encoder.layers) == VARIANTS[name].layers
