"""Official weights as MMPose checkpoints: python -m poseig_hand_models.official MODEL FILE OUT.pth --config C [--mano
M].

The names of a backbone's parts are the official ones, so little is to be done: parts that have no place here are left
out, MANO's buffers become the head's regressor or the backbone's MANO layer, and everything else must fit exactly.
"""

from __future__ import annotations

import argparse
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
from .handmesh import cmr_weights, mobrecon_weights
from .mano_file import ManoData, read_mano
from .regressor import joint_matrix

__all__ = ["WEIGHTS", "convert", "handar_weights", "handoccnet_weights", "i2l_meshnet_weights", "main"]

logger = logging.getLogger(__name__)
Weights = Mapping[str, Tensor]
UNPLACED = "what is known of HandAR does not say where its part `pose2feat` belongs"


def i2l_meshnet_weights(official: Weights, model: Any, mano: ManoData | None = None) -> dict[str, Tensor]:
    """I2L-MeshNet's file: the regressor is made of its MANO layer's; `param_regressor` (its other stage) is left out.

    Args:
        official: weights by official name, without 'module.'.
        model: MMPose's, with an `I2LMeshNet`; not changed.
        mano: the regressor's source instead of the file.

    Raises:
        CheckpointError: see `convert.place`; or neither the file nor `mano` has a regressor, and the joints are the
            mesh's.
    """

    dropped = {
        "param_regressor.": "the model's other stage is not run",
        "human_model_layer.": "of MANO's arrays the regressor alone is used",
    }
    weights = place(_with_second_stem(official, model), model, dropped=dropped, source="the file")
    matrix = official.get("human_model_layer.th_J_regressor")
    return _with_regressor(weights, model, matrix if mano is None else torch.from_numpy(mano.joint_regressor))


def handar_weights(official: Weights, model: Any, mano: ManoData | None = None) -> dict[str, Tensor]:
    """HandAR's file: dicts of weights by part.  It has neither triangles nor a regressor: both are the MANO file's.

    The inner names of the parts `posenet`, `pose2feat`, `global_img_feat` and `gcn` are not known for sure.  Where they
    differ from ours, weights are matched by their order among those of the same last name and shape, and this is
    logged. `segmentation_net` is left out.

    Args:
        official: weights by part and official name, e.g. 'gcn.tail.conv.nn.0.weight'.
        model: MMPose's, with a `HandAR`; not changed.
        mano: triangles and regressor; None: the model's own, where it has them.

    Raises:
        CheckpointError: see `convert.place`; `pose2feat` is in the file and 'unknown' to the model; no triangles.
    """
    backbone = model.backbone
    given = [k for k in official if k.startswith("pose2feat.")]
    if given and backbone.joining == "unknown":
        raise CheckpointError(
            f"{UNPLACED}; the file's first weight of it has shape {tuple(official[given[0]].shape)}. Set the "
            "backbone's `pose2feat` to 'concat', if it joins the stem's and the joints' features (twice 64 channels go "
            "in); to 'sum', if you know that they are added and the part has no use"
        )
    names: dict[str, str] = {}
    for part in ("posenet", "pose2feat", "global_img_feat", "gcn"):
        names |= _in_order(official, backbone.state_dict(), f"{part}.")

    dropped = {"segmentation_net.": "training alone needs it"}
    if backbone.pose2feat is None:
        dropped["pose2feat."] = "the backbone's `pose2feat` says that the part has no use"

    faces = backbone.faces if mano is None else torch.from_numpy(mano.faces)
    if bool((faces < 0).any()):
        raise CheckpointError(
            "HandAR's files have no triangles, of which its graph is made: give your MANO_RIGHT.pkl (--mano)"
        )
    eps = {k: v for k, v in backbone.state_dict().items() if k.endswith(".conv.eps")}  # constants that a file may lack
    complete = {"faces": faces, **{k: v for k, v in eps.items() if not any(o.endswith(".eps") for o in official)}}
    weights = place(
        {**complete, **_with_second_stem(official, model)},
        model,
        lambda name: f"backbone.{names.get(name, name)}",
        dropped=dropped,
        source="the file",
    )
    return _with_regressor(weights, model, None if mano is None else torch.from_numpy(mano.joint_regressor))


def handoccnet_weights(official: Weights, model: Any, mano: ManoData | None = None) -> dict[str, Tensor]:
    """HandOccNet's file: its MANO layer's buffers fill the backbone's, unless `mano` does.

    Args:
        official: weights by official name, without 'module.'.
        model: MMPose's, with a `HandOccNet`; not changed.  One with `mano=None` takes no MANO buffers.
        mano: instead of the file's buffers.

    Raises:
        CheckpointError: see `convert.place`; the backbone has a MANO layer and nothing fills it.
    """
    inside = "regressor.mano_regHead.mano_layer."
    layer = model.backbone.regressor.mano_regHead.mano_layer
    kept = {} if layer is None else {f"{inside}{name}": None for name, _ in layer.named_buffers()}
    weights = {k: v for k, v in official.items() if inside not in k or (k in kept and mano is None)}
    if layer is not None and mano is not None:
        import copy

        weights |= {f"{inside}{k}": v for k, v in copy.deepcopy(layer).fill(mano).state_dict().items()}
    elif layer is not None and not any(k in weights for k in kept):
        if bool(layer.th_weights.isnan().any()):
            raise CheckpointError(
                "the file has no MANO layer: give your MANO_RIGHT.pkl (--mano), or a config with `mano=None`, for "
                "the joints in the image alone"
            )
        weights |= {f"{inside}{k}": v for k, v in layer.state_dict().items()}
    return place(weights, model, source="the file")


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


def _in_order(official: Weights, own: Weights, part: str) -> dict[str, str]:
    """Official name -> ours, of a part whose inner names are not known: by last name and shape, in order.

    Nothing where the names are ours, or where the two sides do not have the same number of each kind: `place` then says
    so.
    """

    def kinds(state: Weights) -> dict[tuple[Any, ...], list[str]]:
        names: dict[tuple[Any, ...], list[str]] = {}
        for name, value in state.items():
            if name.startswith(part) and (has_eps or not name.endswith(".eps")):
                names.setdefault((name.rpartition(".")[2], tuple(value.shape)), []).append(name)
        return names

    has_eps = any(name.startswith(part) and name.endswith(".eps") for name in official)
    theirs, ours = kinds(official), kinds(own)
    same = {n for names in theirs.values() for n in names} == {n for names in ours.values() for n in names}
    if same or {k: len(v) for k, v in theirs.items()} != {k: len(v) for k, v in ours.items()}:
        return {}
    logger.warning("the names in the file's part %s are not the expected ones; matched by shape, in order", part[:-1])
    return {a: b for kind, names in theirs.items() for a, b in zip(names, ours[kind], strict=True)}


WEIGHTS: Mapping[str, Callable[[Weights, Any, ManoData | None], dict[str, Tensor]]] = {
    "i2l_meshnet": i2l_meshnet_weights,
    "handar": handar_weights,
    "handoccnet": handoccnet_weights,
    "mobrecon": mobrecon_weights,
    "cmr": cmr_weights,
}


def convert(name: str, source: str | Path, target: str | Path, config: Any, mano: str | Path | None = None) -> Path:
    """Write an official file as an MMPose checkpoint; nothing in it is run.

    Args:
        name: one of `WEIGHTS`.
        source: an official file.
        target: where to write; replaced when complete.
        config: the model's config, a path or an mmengine `Config`.
        mano: a MANO file; None: the official file's own arrays, where it has them.

    Raises:
        CheckpointError: no such file, or not this model's.
        ConfigError: the config cannot be read.
    """
    from poseig_mm.adapters.build_model import build_model

    official = read_official(source)
    model = build_model(config)
    weights = WEIGHTS[name](official, model, None if mano is None else read_mano(mano))
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
        target = convert(options.model, options.source, options.target, options.config, options.mano)
    except (PoseIGError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {target}, for {options.config}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
