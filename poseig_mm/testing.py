"""For the tests of plugins: a host without discovery, a small store, inputs of an index and the rules all indices keep.

In a test module (or the conftest.py at the top): `pytest_plugins = ["poseig_mm.testing"]`; then `poseig_host` and
`poseig_store` are fixtures.  Importing this loads no torch.

Its assertions speak for themselves (PYTEST_DONT_REWRITE: a test module may import this before pytest sees the line
above).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import PluginError, ShapeError
from .plugin.kinds import KINDS
from .plugin.manager import PluginHost
from .types import JointGroups

if TYPE_CHECKING:
    from torch import Tensor

    from .indices.base import Index, IndexInputs
    from .store.reader import Store


GROUPS = JointGroups(
    keypoint_names=("head", "left_hand", "right_hand"),
    group_of=("head", "hand", "hand"),
    parent_of=(-1, 0, 0),
    flip_pairs=((1, 2),),
    skeleton=((0, 1), (0, 2)),
)
"""The joints of `poseig_store` and, by default, of `index_inputs`."""

PERSONS = 2  # in `poseig_store`


@pytest.fixture
def poseig_host() -> Callable[..., PluginHost]:
    """`poseig_host(*plugins, builtins=())` makes a `PluginHost` that knows just these: nothing installed is loaded.

    Plugins are given as in a config, or as modules and objects; the built-ins are `poseig_mm.plugin.manager.BUILTINS`.
    """

    def make(*plugins: object, builtins: Sequence[str] = ()) -> PluginHost:
        return PluginHost(plugins=plugins, builtins=builtins, entry_points=False)

    return make


@pytest.fixture
def poseig_store(tmp_path: Path) -> Callable[..., Store]:
    """`poseig_store(ci=[...])` writes a run of two persons with three joints and returns its `Store`.

    Each keyword is an index: six numbers, the three joints of the first person, then those of the second.  Numbers of
    joint k = 0, 1, 2 of person p = 0, 1 that are not given: `epe` 1 + k + p (px), each built-in index k + 1; maps are
    4 x 3, all one.
    """

    def make(**columns: Sequence[float]) -> Store:
        from .indices.builtin import BUILTIN_INDICES
        from .store import Store, StoreWriter

        for name, values in columns.items():
            if len(values) != PERSONS * len(GROUPS.keypoint_names):
                raise ShapeError(
                    f"poseig_store({name}=...): got {len(values)} numbers, expected 6: 2 persons, 3 joints"
                )
        built_in = {index.name: (1.0, 2.0, 3.0) * PERSONS for index in BUILTIN_INDICES if index.kind == "joint"}
        columns = {**built_in, **columns}
        folder = tmp_path / "poseig_store"
        with StoreWriter(folder, identity={"run": "test"}, indices=tuple(columns)) as writer:
            writer.write([_record(person, columns) for person in range(PERSONS)])
            writer.update_run(
                keypoints={
                    "names": GROUPS.keypoint_names,
                    "groups": GROUPS.group_of,
                    "parents": GROUPS.parent_of,
                    "flip_pairs": GROUPS.flip_pairs,
                    "skeleton": GROUPS.skeleton,
                    "derived": False,
                }
            )
        return Store(folder)

    return make


def index_inputs(maps: Tensor | None = None, keypoints: Tensor | None = None, *, seed: int = 0) -> IndexInputs:
    """What an index is called with, on a CPU; what isn't given is random, and the same for the same seed.

    Args:
        maps: (B, K, H, W) in [0, 1]; by default (2, 3, 16, 12).
        keypoints: (B, K, 2) (x, y), input px; by default inside the map.
        seed: of the random parts.
    """
    import torch

    from .functional.heatmaps import gaussian_heatmaps
    from .indices.base import IndexInputs

    random = torch.Generator().manual_seed(seed)
    if maps is None:
        maps = torch.rand(2, 3, 16, 12, generator=random)
    b, k, h, w = maps.shape
    if keypoints is None:
        keypoints = torch.rand(b, k, 2, generator=random) * torch.tensor([w - 1.0, h - 1.0])
    mask = torch.zeros(b, 1, h, w, dtype=torch.bool)
    mask[:, :, h // 4 : -(h // 4), w // 4 : -(w // 4)] = True
    return IndexInputs(
        maps=maps,
        visible=torch.ones(b, k, dtype=torch.bool),
        mask=mask,
        heatmaps=gaussian_heatmaps(keypoints, (h, w)),
        keypoints=keypoints,
        prediction=keypoints + 1,
        pixels=keypoints,
        has_mask=torch.ones(b, dtype=torch.bool),
    )


def check_index(index: Index) -> None:
    """Fail, with the rule in words, where `index` breaks one that every index keeps.

    Raises:
        AssertionError: the shape is not (B, K) (or (B, K, K) for a relation); an input is changed; a person's value
            depends on the others in the batch; a joint that was not computed (NaN map) gets a number; a finite value
            outside `range`; or the interface is incomplete.
    """
    import torch

    try:
        KINDS["indices"].entries([index])
    except PluginError as error:
        raise AssertionError(str(error)) from error
    inputs = index_inputs()
    before = inputs.maps.clone()
    values = index(inputs)
    b, k = inputs.maps.shape[:2]
    shape = (b, k) if index.kind == "joint" else (b, k, k)
    assert values.shape == shape, f"{index.name}: shape {tuple(values.shape)}, expected {shape}"
    assert torch.equal(inputs.maps, before), f"{index.name} changes its input"
    alone = torch.cat([index(_of_person(inputs, i)) for i in range(b)])
    same = torch.allclose(alone, values, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert same, f"{index.name}: a person's value depends on the others in the batch"
    low, high = index.range
    finite = values[values.isfinite()]
    inside = bool(((finite >= low) & (finite <= high)).all())
    assert inside, f"{index.name}: values {finite.tolist()} outside its range {index.range}"
    missing = inputs.maps.clone()
    missing[0, 0] = math.nan
    value = index(index_inputs(missing, inputs.keypoints))[0, 0]
    assert bool(value.isnan().all()), (
        f"{index.name}: a joint that was not computed (NaN map) is {value.tolist()}, not NaN"
    )


def _of_person(inputs: IndexInputs, i: int) -> IndexInputs:
    from dataclasses import fields, replace

    tensors = {f.name: getattr(inputs, f.name) for f in fields(inputs)}
    return replace(inputs, **{name: value[i : i + 1] for name, value in tensors.items() if value is not None})


def _record(person: int, columns: Mapping[str, Sequence[float]]) -> Any:
    import numpy as np

    from .store import SampleRecord

    names = GROUPS.keypoint_names
    who = {"sample_id": f"{person}-0", "image_id": str(person), "instance_id": "0"}
    joints = [
        {
            **who,
            **{"joint": k, "joint_name": name, "group": GROUPS.group_of[k], "visible": True},
            **{"gt_x": float(k), "gt_y": 0.0, "pred_x": float(k), "pred_y": 1.0 + k + person},
            **{"epe": 1.0 + k + person, "epe_soft": 1.0 + k + person, "unit": "px"},
            **{index: float(values[person * len(names) + k]) for index, values in columns.items()},
            **{"reason": "", "target_start": 0.0, "target_end": 1.0, "residual": 0.0, "residual_rel": 0.0},
            **{"map_error": 0.0, "converged": True, "evaluations": 1},
            **{"mass_in_padding": 0.0, "fi_input": math.nan},
        }
        for k, name in enumerate(names)
    ]
    sample = {
        **who,
        **{"image_path": "", "n_visible": len(names), "mepe": 2.0 + person, "mask_source": "none", "seconds": 0.0},
        **{"evaluations": len(names), "height": 4, "width": 3, "padding": 0.0, "box_side": math.nan},
        **{f"warp_{i}{j}": float(i == j) for i in range(2) for j in range(3)},
    }
    return SampleRecord(who["sample_id"], sample, joints, maps=np.ones((len(names), 4, 3), np.float32))
