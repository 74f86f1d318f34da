"""`python -m poseig_transpose.check` on generated files in the official layout, and on converted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from official_transpose import OFFICIAL, random_weights
from poseig_transpose.check import identify, main
from poseig_transpose.convert import convert
from poseig_transpose.positions import sine_positions
from poseig_transpose.variants import VARIANTS, model_config

CONFIGS = Path(__file__).parents[3] / "configs" / "transpose"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """TransPose-R-A3's file, with the published position embedding."""
    weights = random_weights(OFFICIAL["r-a3"])
    weights["pos_embedding"] = sine_positions((24, 32), 256)
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "official.pth")
    return tmp_path / "official.pth"


def config_of(folder: Path, name: str = "r-a3", *, crop: Any = True, joints: int = 17, **changes: Any) -> Path:
    """A config of a published model without data, but with a test pipeline; `changes` to its head, neck or test_cfg."""
    from mmengine.config import Config

    model = model_config(name, joints)
    for part, settings in changes.items():
        model[part].update(settings)
    pipeline = [{"type": "TopdownAffine", "input_size": (192, 256), **({"use_udp": True} if crop else {})}]
    imports = {"imports": ["poseig_transpose.models"], "allow_failed_imports": False}
    config = Config({"model": model, "custom_imports": imports, "test_dataloader": {"dataset": {"pipeline": pipeline}}})
    config.dump(str(folder / "config.py"))
    return folder / "config.py"


def test_a_file_is_told_placed_run_and_led_on(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the repository's config: each line of what is said, and the exit code."""
    config = CONFIGS / "transpose_r_a3_coco-256x192.py"
    if not config.is_file():
        pytest.skip("the configs are not here: this distribution is tested alone")
    assert main([str(official), str(config)]) == 0
    said = capsys.readouterr().out
    what = "ResNet-50 to stage 2, 3 layers of d 256, hidden 1024, on 768 tokens; 17 joints"
    assert f"what: TransPose-R-A3: {what}\n" in said
    assert "layout: the official code's names\n" in said
    assert "positions: the published sines\n" in said
    assert "place: every weight" in said
    assert "forward: 17 joints in px from a drawing of 192 x 256 px" in said
    assert "17 of 17 joints move when the drawing is taken away" in said
    assert "config: corners aligned" in said
    convert_command = f"python -m poseig_transpose.convert {official} transpose_r_a3.pth --model r-a3"
    assert f"next: {convert_command}, then poseig-diagnose {config} transpose_r_a3.pth\n" in said


def test_what_the_converter_made_is_told_too(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same model, and a diagnosis is next."""
    made = convert(official, tmp_path / "made.pth", "r-a3")
    config = config_of(tmp_path)
    assert main([str(made), str(config)]) == 0
    said = capsys.readouterr().out
    assert "what: TransPose-R-A3: " in said
    assert "layout: an MMPose checkpoint\n" in said
    assert f"next: poseig-diagnose {config} {made}\n" in said
    torch.save({"neck.reduce.weight": torch.zeros(256, 512, 1, 1)}, made)
    assert main([str(made), str(config)]) == 1
    assert "is none of the TransPose models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": False}, "its test pipeline has no TopdownAffine with use_udp=True"),
        ({"head": {"decoder": dict(type="MSRAHeatmap", input_size=(192, 256), heatmap_size=(48, 64), sigma=2)}},
         "its codec is MSRAHeatmap, not UDPHeatmap"),
        ({"test_cfg": {"shift_heatmap": True}}, "its flip test shifts heatmaps"),
    ],
)  # fmt: skip
def test_a_config_that_reads_heatmaps_otherwise_is_told(
    changes: dict[str, Any], words: str, official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All weights fit it, but its predictions are pixels off: not a success."""
    assert main([str(official), str(config_of(tmp_path, **changes))]) == 1
    said = capsys.readouterr().out
    assert f"config: {words}: predictions are 1 to 3 px off" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "r-a4"}, "take configs/transpose/transpose_r_a3_coco-256x192.py"),
        ({"name": "h-s"}, "has a HRNetStage3, and the file is for a ResNet"),
        ({"neck": {"heads": 4}}, "has 4 heads of attention, and the file is for 8"),
        ({"joints": 16}, "of another shape: final_layer.weight (17, 256, 1, 1) instead of (16, 256, 1, 1)"),
    ],
)
def test_another_models_config_is_refused(
    changes: dict[str, Any], words: str, official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Layers, backbone, joints; and heads, which no shape tells."""
    assert main([str(official), str(config_of(tmp_path, **changes))]) == 1
    assert words in capsys.readouterr().err


def test_what_is_wrong_with_weights_is_named(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One too many; one that is no number; another position embedding; another number of joints."""
    config = config_of(tmp_path)
    weights = torch.load(official, weights_only=True)
    torch.save({**weights, "module.layer3.0.conv1.weight": torch.zeros(1)}, official)
    assert main([str(official), str(config)]) == 1
    assert "unexpected: layer3.0.conv1.weight." in capsys.readouterr().err
    broken = weights["module.layer1.0.conv1.weight"].clone()
    broken[0, 0] = torch.nan
    torch.save({**weights, "module.layer1.0.conv1.weight": broken}, official)
    assert main([str(official), str(config)]) == 1
    assert "17 of them not finite" in capsys.readouterr().out
    final = {f"module.final_layer.{n}": weights[f"module.final_layer.{n}"][:16] for n in ("weight", "bias")}
    moved = {"module.pos_embedding": weights["module.pos_embedding"] + 0.01}
    torch.save({**weights, **final, **moved}, official)
    assert main([str(official), str(config_of(tmp_path, joints=16))]) == 0
    said = capsys.readouterr().out
    assert "positions: not the published sines; those of the file are used\n" in said
    assert "--model r-a3 --joints 16, then" in said


@pytest.mark.parametrize("name", list(VARIANTS))
def test_each_model_is_told_by_its_weights(name: str) -> None:
    """By the official names."""
    published = identify(random_weights(OFFICIAL[name]))
    assert published is not None
    assert published.name == name
    assert f"TransPose-{name.upper()}: " in published.what
    assert (CONFIGS.parents[1] / published.config).name == f"transpose_{name.replace('-', '_')}_coco-256x192.py"


def test_what_is_not_published_is_said(official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two layers of R-A3's."""
    weights = torch.load(official, weights_only=True)
    torch.save({k: v for k, v in weights.items() if ".layers.2." not in k}, official)
    assert main([str(official), str(config_of(tmp_path, neck={"layers": 2}))]) == 1
    assert "2 layers of d 256, hidden 1024, on 768 tokens; 17 joints, which is none of" in capsys.readouterr().err
    assert identify({"fc.weight": torch.zeros(1)}) is None
