"""`python -m poseig_hand_models.check` on a small official file of each model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import official_handar
import official_handmesh
import official_handoccnet
import pytest
import test_hand_i2l as i2l
import torch
from official_handmesh import Layout
from official_parts import estimator, random_weights
from poseig_hand_models.check import main
from poseig_hand_models.published import identify
from poseig_hand_models.template import synthetic_hand
from torch import Tensor

HAND = synthetic_hand()
FACES = len(HAND.mano.faces)
MESH = dict(topology="synthetic")


def handmesh(model: Layout) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    sizes = dict(size=model.size, channels=model.c, latent=model.latent)
    if model.kind in ("spiral", "dsconv"):
        backbone = dict(type="MobRecon", convolution=model.kind, projection=model.projection, **sizes)
    else:
        own = dict(latent=model.latent, width=model.c, depth=model.depth, blocks=model.blocks, spiral_length=27)
        backbone = dict(type="CMR", variant=model.kind, **own)
    backbone |= dict(decoder_channels=model.channels, **MESH)
    head = dict(type="HandMeshHead", input_size=(model.size,) * 2, scale=200.0, regressor="synthetic")
    weights = official_handmesh.random_weights(model, dtype=torch.float32)
    return {"model_state_dict": weights}, backbone, head  # type: ignore[dict-item]


def made(name: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The content of an official file, and the backbone and head of its config."""
    if name in ("mobrecon", "cmr"):
        small = (64, 8, 16, (8, 12, 12, 16)) if name == "mobrecon" else (64, 4, 10, (8, 8, 12, 16), 27)
        return handmesh(Layout("spiral" if name == "mobrecon" else "sg", *small, blocks=(1, 1, 1, 1)))
    if name == "i2l_meshnet":
        settings = {**i2l.SMALL, "vertices": 778, "num_joints": 21}
        weights = random_weights({**i2l.shapes(**settings), **i2l.beside(778)}, dtype=torch.float32)
        weights["human_model_layer.th_J_regressor"] = torch.from_numpy(HAND.mano.joint_regressor).float()
        content = {"network": {f"module.{k}": v for k, v in weights.items()}}
        return content, dict(type="I2LMeshNet", **settings), dict(type="LixelMeshHead", input_size=(64, 64), size=16)
    if name == "handar":
        settings = {**official_handar.SMALL, "vertices": 778}
        shapes = {**official_handar.shapes(**settings), **official_handar.dead_shapes(**settings)}
        content = {}
        for weight, value in random_weights(shapes, dtype=torch.float32).items():
            part, _, rest = weight.partition(".")
            content.setdefault(part, {})[rest] = value
        return (
            content,
            dict(type="HandAR", faces=FACES, **settings),
            dict(type="LixelMeshHead", input_size=(64, 64), size=16),
        )
    weights = {**official_handoccnet.drawn(dtype=torch.float32), **official_handoccnet.mano_weights(torch.float32)}
    content = {"network": {f"module.{k}": v for k, v in weights.items()}}
    backbone = dict(type="HandOccNet", faces=FACES, **official_handoccnet.SMALL)
    return content, backbone, dict(type="ManoMeshHead", input_size=(64, 64))


def written(name: str, folder: Path) -> list[str]:
    """The command's arguments."""
    content, backbone, head = made(name)
    torch.save(content, folder / "official.pt")
    (folder / "config.py").write_text(estimator(backbone, head).dump())
    return [str(folder / "official.pt"), str(folder / "config.py")]


SAID = {
    "mobrecon": ["MobRecon with spiral convolutions", "cmr/, since December 2021", "20 of 21 joints move"],
    "cmr": ["CMR-SG with ResNet-18, with attention", "cmr/ of 2021", "20 of 21 joints move"],
    "i2l_meshnet": ["I2L-MeshNet, lixel stage, beside it", "with the arrays of a MANO layer", "21 joints in px"],
    "handar": ["HandAR, with its segmentation", "left out, built and never run: ", "21 joints in px"],
    "handoccnet": ["HandOccNet", "with the arrays of a MANO layer", "21 joints in mm", "20 of 21 joints move"],
}


@pytest.mark.parametrize("name", list(SAID))
def test_a_file_is_told_and_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name and layout, its joints on a drawn hand, the command that converts it; one weight too many is an
    error that names it.
    """
    monkeypatch.setattr("poseig_hand_models.check.read_mano", lambda path: HAND.mano)
    call = written(name, tmp_path)
    mano = ["--mano", "MANO_RIGHT.pkl"] if name == "handar" else []
    assert main([*call, *mano]) == 0
    said = capsys.readouterr().out
    for words in SAID[name]:
        assert words in said
    convert = " ".join(
        ["python -m poseig_hand_models.official", name, call[0], f"{name}.pth", "--config", call[1], *mano]
    )
    assert f"next: {convert}, then poseig-diagnose {call[1]} {name}.pth" in said
    content, *_ = made(name)
    inner = next((content[k] for k in ("model_state_dict", "network") if k in content), content.get("gcn"))
    inner[("module." if "network" in content else "") + "more.weight"] = torch.zeros(1)
    torch.save(content, call[0])
    assert main([*call, *mano]) == 1
    assert "more.weight" in capsys.readouterr().err


def test_another_model_s_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the config that the file wants."""
    call = written("handoccnet", tmp_path)
    torch.save(made("cmr")[0], call[0])
    assert main(call) == 1
    wanted = "has a HandOccNet, and the file is for a CMR: configs/hand_models/cmr_sg_res18_freihand-224x224.py"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["backbone.conv.0.weight"], "cmr/, since December 2021"),
        (["backbone.reduce.0.weight", "decoder3d.de_layer_conv.0.weight"], "April 2022 to 2 November 2023"),
        (["backbone.reduce.0.weight"], "since 2 November 2023"),
    ],
)
def test_mobrecon_s_forms_have_dates(names: list[str], layout: str) -> None:
    """By the names that differ."""
    published = identify(dict.fromkeys([*names, "decoder3d.upsample"], torch.zeros(1)))
    assert published is not None
    assert layout in published.layout
    assert ("projection=True" in published.layout) == ("decoder3d.de_layer_conv.0.weight" in names)


def test_a_body_s_mesh_is_no_hand() -> None:
    """I2L-MeshNet was published for bodies too: 6890 vertices."""
    names = {"pose_net.conv_x.0.weight": torch.zeros(24, 8, 1), "mesh_net.conv_x.0.weight": torch.zeros(6890, 8, 1)}
    published = identify(names)
    assert published is not None
    assert "of 6890 vertices, which is no MANO hand" in published.what
    assert identify({"layer.weight": torch.zeros(1)}) is None
