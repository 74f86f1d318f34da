"""Official weights as MMPose checkpoints: python -m poseig_hand_models.official MODEL FILE OUT.pth --config C [--mano
M].

The names of a backbone's parts are the official ones, so little is to be done: parts that have no place here are left
out, MANO's buffers become the head's regressor or the backbone's MANO layer, and everything else must fit exactly.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseig_mm.adapters.official import write_checkpoint
from poseig_mm.errors import CheckpointError, PoseIGError

from .convert import REGRESSOR, place, read_official
from .handar import never_run
from .handmesh import cmr_weights, mobrecon_weights
from .i2l_meshnet import ParamRegressor
from .mano_file import ManoData, read_mano
from .regressor import joint_matrix
from .skinning import ManoLayer

__all__ = ["WEIGHTS", "convert", "handar_weights", "handoccnet_weights", "i2l_meshnet_weights", "main"]

logger = logging.getLogger(__name__)
Weights = Mapping[str, Tensor]
Note = Callable[[str], None]
NEVER_RUN = "built and never run"
UNUSED_BUFFERS = ("th_betas", "th_comps", "th_selected_comps")  # of MANO layers as checkpoints hold them


def i2l_meshnet_weights(
    official: Weights, model: Any, mano: ManoData | None = None, note: Note | None = None
) -> dict[str, Tensor]:
    """I2L-MeshNet's file: the regressor is made of its MANO layer's; for `joints='param'` the layer is the backbone's.

    `param_regressor`, which is random in a file of the lixel stage, is left out of a model without that stage.

    Args:
        official: weights by official name, without 'module.'.
        model: MMPose's, with an `I2LMeshNet`; not changed.
        mano: the source of regressor or MANO layer instead of the file.
        note: see `place_weights`.

    Raises:
        CheckpointError: see `convert.place`; or neither the file nor `mano` has what the joints need.
    """
    inside = "human_model_layer."
    dropped = {f"{inside}{name}": "no part of MANO's mesh" for name in UNUSED_BUFFERS}
    weights = _with_second_stem(official, model)
    if model.backbone.joints == "param":
        own = _mano_buffers(official, model.backbone.human_model_layer, inside, mano)
        return place({**weights, **own}, model, dropped=dropped, source="the file", note=note)
    dropped |= dict.fromkeys(
        ParamRegressor(1).state_dict(prefix="param_regressor."), "the param stage is not asked for"
    )
    dropped |= dict.fromkeys(ManoLayer(1, 1).state_dict(prefix=inside), "of MANO's arrays the regressor alone is used")
    placed = place(weights, model, dropped=dropped, source="the file", note=note)
    matrix = official.get(f"{inside}th_J_regressor")
    return _with_regressor(placed, model, matrix if mano is None else torch.from_numpy(mano.joint_regressor))


def handar_weights(
    official: Weights, model: Any, mano: ManoData | None = None, note: Note | None = None
) -> dict[str, Tensor]:
    """HandAR's file: dicts of weights by part.  It has neither triangles nor a regressor: both are the MANO file's.

    What its network builds and never runs (`handar.never_run`) and `segmentation_net` are left out.

    Args:
        official: weights by part and official name, e.g. 'gcn.tail.conv.nn.0.weight'.
        model: MMPose's, with a `HandAR`; not changed.
        mano: triangles and regressor; None: the model's own, where it has them.
        note: see `place_weights`.

    Raises:
        CheckpointError: see `convert.place`; a part that never runs has another shape; no triangles.
    """
    backbone = model.backbone
    idle = never_run(backbone)
    if other := [n for n, shape in idle.items() if n in official and tuple(official[n].shape) != shape]:
        name = other[0]
        raise CheckpointError(
            f"the file is not the released HandAR's: {name} has shape {tuple(official[name].shape)}; expected "
            f"{idle[name]}, of a part that is never run. What this file does with it is not known"
        )
    faces = backbone.faces if mano is None else torch.from_numpy(mano.faces)
    if bool((faces < 0).any()):
        raise CheckpointError(
            "HandAR's files have no triangles, of which its graph is made: give your MANO_RIGHT.pkl (--mano)"
        )
    weights = place(
        {"faces": faces, **_with_second_stem(official, model)},
        model,
        dropped={**dict.fromkeys(idle, NEVER_RUN), "segmentation_net.": "for training alone"},
        source="the file",
        note=note,
    )
    return _with_regressor(weights, model, None if mano is None else torch.from_numpy(mano.joint_regressor))


def handoccnet_weights(
    official: Weights, model: Any, mano: ManoData | None = None, note: Note | None = None
) -> dict[str, Tensor]:
    """HandOccNet's file: its MANO layer's buffers fill the backbone's, unless `mano` does.

    Args:
        official: weights by official name, without 'module.'.
        model: MMPose's, with a `HandOccNet`; not changed.  One with `mano=None` takes no MANO buffers.
        mano: instead of the file's buffers.
        note: see `place_weights`.

    Raises:
        CheckpointError: see `convert.place`; the backbone has a MANO layer and nothing fills it.
    """
    inside = "regressor.mano_regHead.mano_layer."
    layer = model.backbone.regressor.mano_regHead.mano_layer
    dropped = {f"{inside}{name}": "no part of MANO's mesh" for name in UNUSED_BUFFERS}
    own: dict[str, Tensor] = {}
    if layer is None:
        dropped |= dict.fromkeys(ManoLayer(1, 1).state_dict(prefix=inside), "the config's `mano` is None")
    else:
        own = _mano_buffers(official, layer, inside, mano)
    return place({**official, **own}, model, dropped=dropped, source="the file", note=note)


def _mano_buffers(official: Weights, layer: ManoLayer, inside: str, mano: ManoData | None) -> dict[str, Tensor]:
    """A MANO layer's buffers by official name: of a MANO file, else the layer's own where the file has none."""
    if mano is not None:
        return copy.deepcopy(layer).fill(mano).state_dict(prefix=inside)
    own: dict[str, Tensor] = layer.state_dict(prefix=inside)
    if official.keys() & own.keys():
        return {}
    if bool(layer.th_weights.isnan().any()):
        raise CheckpointError(
            "the file has no MANO layer: give your MANO_RIGHT.pkl (--mano), or a config whose joints need none "
            "(HandOccNet's `mano=None`, for the joints in the image; I2L-MeshNet's `joints='pose_net'`)"
        )
    return own


def _with_second_stem(official: Weights, model: Any) -> Weights:
    """The stem of `mesh_backbone`, which nothing runs through, is the model's own where a file lacks it altogether."""
    own = model.backbone.mesh_backbone.state_dict(prefix="mesh_backbone.")
    stem = {k: v for k, v in own.items() if k.startswith(("mesh_backbone.conv1.", "mesh_backbone.bn1."))}
    return official if any(k in official for k in stem) else {**official, **stem}


def _with_regressor(weights: dict[str, Tensor], model: Any, matrix: Tensor | None) -> dict[str, Tensor]:
    if matrix is not None:
        return {**weights, REGRESSOR: joint_matrix(matrix, "i2l").to(torch.get_default_dtype())}
    if not model.head.regressor.loaded and not model.backbone.gives_joints:
        logger.warning("no regressor was found: joints of the mesh need one; give your MANO_RIGHT.pkl (--mano)")
    return weights


WEIGHTS: Mapping[str, Callable[[Weights, Any, ManoData | None, Note | None], dict[str, Tensor]]] = {
    "i2l_meshnet": i2l_meshnet_weights,
    "handar": handar_weights,
    "handoccnet": handoccnet_weights,
    "mobrecon": mobrecon_weights,
    "cmr": cmr_weights,
}


def convert(
    name: str,
    source: str | Path,
    target: str | Path,
    config: Any,
    mano: str | Path | None = None,
    note: Note | None = None,
) -> Path:
    """Write an official file as an MMPose checkpoint; nothing in it is run.

    Args:
        name: one of `WEIGHTS`.
        source: an official file.
        target: where to write; replaced when complete.
        config: the model's config, a path or an mmengine `Config`.
        mano: a MANO file; None: the official file's own arrays, where it has them.
        note: see `place_weights`.

    Raises:
        CheckpointError: no such file, or not this model's.
        ConfigError: the config cannot be read.
    """
    from poseig_mm.adapters.build_model import build_model

    official = read_official(source)
    model = build_model(config, weights_follow=True)
    weights = WEIGHTS[name](official, model, None if mano is None else read_mano(mano), note)
    return write_checkpoint(weights, target, hand_model=name, converted_from=Path(source).name)


def main(argv: list[str] | None = None) -> int:
    """Parse, convert, exit code."""
    parser = argparse.ArgumentParser(prog="python -m poseig_hand_models.official", description=__doc__)
    parser.add_argument("model", choices=list(WEIGHTS), help="which of the published models it is")
    parser.add_argument("source", help="the official file")
    parser.add_argument("target", help="the MMPose checkpoint to write")
    parser.add_argument(
        "--config", required=True, help="the model's config, e.g. configs/hand_models/i2l_meshnet_256x256.py"
    )
    parser.add_argument("--mano", help="your MANO_RIGHT.pkl, where the official file has no MANO arrays")
    options = parser.parse_args(argv)
    try:
        target = convert(options.model, options.source, options.target, options.config, options.mano, note=print)
    except (PoseIGError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {target}, for {options.config}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
