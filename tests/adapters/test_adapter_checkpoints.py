"""Checkpoints, good and bad: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_models import FAMILIES, HEATMAP_HEAD, MSRA, SIMCC, K, tiny_config, tiny_model

from poseig_mm.adapters.build_model import build_model, model_hash
from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.restricted_pickle import Unknown
from poseig_mm.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("mmpose_ready")


@pytest.fixture(scope="module")
def model() -> Any:
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    return tiny_model("heatmap-msra")


def load(content: Any, tmp_path: Path, family: str = "heatmap-msra", **overrides: Any) -> Any:
    """Save with torch.save, load into a fresh model of the family."""
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path)
    return build_model(tiny_config(family, **overrides), path)


def plain(state: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Without torch's `_metadata`, as many tools write it."""
    return {prefix + k: v for k, v in state.items()}


def test_every_usual_form_is_read(model: Any, tmp_path: Path) -> None:
    """Under 'state_dict' or 'model', bare, from DataParallel, without module versions, in torch's older format."""
    state = model.state_dict()
    parallel = torch.nn.DataParallel(model).state_dict()
    for content in ({"state_dict": state}, {"model": plain(state)}, state, plain(state), {"state_dict": parallel},
                    plain(state, "module.")):  # fmt: skip
        assert model_hash(load(content, tmp_path)) == model_hash(model)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert model_hash(build_model(tiny_config("heatmap-msra"), tmp_path / "old.pth")) == model_hash(model)


def test_safetensors_are_read(model: Any, tmp_path: Path) -> None:
    """A .safetensors file holds the bare weights."""
    from safetensors.torch import save_file

    save_file(plain(model.state_dict()), str(tmp_path / "weights.safetensors"))
    assert model_hash(build_model(tiny_config("heatmap-msra"), tmp_path / "weights.safetensors")) == model_hash(model)


def test_a_training_checkpoint_of_mmengine_is_read(model: Any, tmp_path: Path) -> None:
    """Log histories, NumPy values and optimizer state in the file do no harm; the names in its meta data are used."""
    from mmengine.logging import HistoryBuffer

    meta = {"dataset_meta": {"keypoint_id2name": {i: f"k{i}" for i in range(K)}, "sigmas": np.arange(3.0)},
            "epoch": np.int64(3), "cfg": "model = dict()"}  # fmt: skip
    content = {
        "state_dict": model.state_dict(),
        "meta": meta,
        "message_hub": {"log_scalars": OrderedDict(loss=HistoryBuffer([1.0], [1]))},
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
    }
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(Exception, match="weights_only"):  # the reason for an unpickler of our own
        torch.load(tmp_path / "c.pth", weights_only=True)
    loaded = load(content, tmp_path)
    assert model_hash(loaded) == model_hash(model)
    assert loaded.dataset_meta["keypoint_id2name"][4] == "k4"
    assert loaded.dataset_meta["sigmas"].tolist() == [0.0, 1.0, 2.0]


class Evil:
    """Unpickled the usual way, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_an_empty_array_beside_the_weights_is_read(tmp_path: Path) -> None:
    """MMPose's metainfo of FreiHAND has one (`sigmas`), and MMEngine stores it with every checkpoint."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": {"dataset_meta": {"sigmas": np.array([])}}}, path)
    assert read_checkpoint(path)[1]["dataset_meta"]["sigmas"].shape == (0,)


def test_code_in_a_checkpoint_is_not_run(model: Any, tmp_path: Path) -> None:
    """An object whose unpickling calls a function becomes an inert `Unknown`; in the old format too."""
    folder = tmp_path / "made_by_the_pickle"
    for zipped in (True, False):
        path = tmp_path / f"evil_{zipped}.pth"
        torch.save({"state_dict": model.state_dict(), "meta": {"x": Evil(folder)}}, path,
                   _use_new_zipfile_serialization=zipped)  # fmt: skip
        state, meta = read_checkpoint(path)
        assert state.keys() == model.state_dict().keys()
        assert isinstance(meta["x"], Unknown)
        assert not folder.exists()
    torch.load(path, weights_only=False)
    assert folder.exists()  # it would have


def test_old_names_are_converted(model: Any, tmp_path: Path) -> None:
    """MMPose 0.x: 'keypoint_head.' without module versions becomes 'head.'."""
    old = {k.replace("head.", "keypoint_head."): v for k, v in model.state_dict().items()}
    assert any(k.startswith("keypoint_head.") for k in old)
    assert model_hash(load({"state_dict": old}, tmp_path)) == model_hash(model)


def test_keys_that_only_training_uses_may_differ(tmp_path: Path) -> None:
    """RLE's flow belongs to the loss: its weights may be missing, and so may other loss modules' be too many."""
    model = tiny_model("rle")
    state = plain(model.state_dict())
    flow = [k for k in state if ".loss_module." in k]
    assert flow
    fewer = {k: v for k, v in state.items() if k not in flow}
    more = {**state, "head.loss_module.extra.weight": torch.ones(2), "data_preprocessor.mean": torch.ones(3)}
    for content in (fewer, more):
        loaded = load(content, tmp_path, "rle").state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in state.items() if k not in flow)


def test_weights_that_reach_no_prediction_may_be_missing(model: Any, tmp_path: Path) -> None:
    """MobileNetV2 ends in conv2, which is built but not run when out_indices stops before: it may be missing.  A layer
    that is run may not.  The probe leaves no trace in the weights."""
    state = plain(model.state_dict())
    behind = [k for k in state if k.startswith("backbone.conv2.")]
    assert behind
    loaded = load({k: v for k, v in state.items() if k not in behind}, tmp_path)
    assert all(v.isfinite().all() for v in loaded.state_dict().values())
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items() if k not in behind)
    with pytest.raises(CheckpointError, match=r"1 missing in the checkpoint \(backbone.conv1.bn.running_var\)"):
        load({k: v for k, v in state.items() if k != "backbone.conv1.bn.running_var"}, tmp_path)


def test_layers_that_the_checkpoint_lacks_are_the_same_each_time(model: Any, tmp_path: Path) -> None:
    """Else the weights' hash would change from process to process, and no run could be resumed."""
    state = {k: v for k, v in plain(model.state_dict()).items() if not k.startswith("backbone.conv2.")}
    assert model_hash(load(state, tmp_path)) == model_hash(load(state, tmp_path))


def test_another_architecture_names_the_first_keys(model: Any, tmp_path: Path) -> None:
    """Missing and unexpected keys are counted and the first ones named; the message says what to do."""
    other = tiny_model("rtmw")  # a ResNet
    with pytest.raises(CheckpointError) as error:
        load({"state_dict": other.state_dict()}, tmp_path)
    message = str(error.value)
    assert "another architecture" in message
    assert "missing in the checkpoint (backbone.conv1.conv.weight, " in message
    assert "unknown to the model (backbone.bn1.weight" in message
    assert "checkpoint.pth" in message
    assert "Give the checkpoint that was trained with this config" in message
    assert message.count("backbone.") < 10  # the first keys, not all of them


def test_another_shape_is_named_with_both_shapes(model: Any, tmp_path: Path) -> None:
    """A weight of another shape: key, the checkpoint's shape, the model's."""
    state = {**plain(model.state_dict()), "backbone.conv1.conv.weight": torch.zeros(16, 3, 3, 3)}
    with pytest.raises(CheckpointError) as error:
        load(state, tmp_path)
    own = tuple(model.backbone.conv1.conv.weight.shape)
    assert f"backbone.conv1.conv.weight is (16, 3, 3, 3) in the checkpoint, {own} in the model" in str(error.value)


@pytest.mark.parametrize(
    "family", ["heatmap-msra", "heatmap-combined", "mspn", "rtmcc", "rle", "integral", "vis-heatmap"]
)
def test_another_joint_count_is_recognised(family: str, tmp_path: Path) -> None:
    """Whatever the head: 'checkpoint has 4 keypoints, config 5'."""
    head = dict(FAMILIES[family]["head"])
    if "pose_cfg" in head:
        head["pose_cfg"] = {**head["pose_cfg"], "out_channels": 4}
    elif "num_joints" in head:
        head["num_joints"] = 4
    else:
        head["out_channels"] = 12 if family == "heatmap-combined" else 4
    state = tiny_model(family, head=head).state_dict()
    state = OrderedDict((k, v) for k, v in state.items() if ".loss_module." not in k)
    with pytest.raises(CheckpointError, match="checkpoint has 4 keypoints, config 5;"):
        load({"state_dict": state}, tmp_path, family)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read"), (b"not a checkpoint at all", "cannot be read"), (None, "does not exist")],
)
def test_missing_and_damaged_files(content: bytes | None, message: str, tmp_path: Path) -> None:
    """No file, an empty one, some other file: a CheckpointError with the path."""
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"weights.pth.* {message}"):
        build_model(tiny_config("regression"), path)


def test_a_truncated_file_is_named(model: Any, tmp_path: Path) -> None:
    """Half a checkpoint, as after a full disk or a broken download; a folder instead of a file."""
    path = tmp_path / "half.pth"
    torch.save(model.state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"half\.pth .* damaged or not a torch file"):
        build_model(tiny_config("heatmap-msra"), path)
    with pytest.raises(CheckpointError, match="is a folder; expected weights"):
        build_model(tiny_config("heatmap-msra"), tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {"state_dict": {"a": 1}}], ids=str)
def test_a_torch_file_without_weights_is_named(content: Any, tmp_path: Path) -> None:
    """What it holds instead is said."""
    with pytest.raises(CheckpointError, match=r"holds .*; expected weights by name"):
        load(content, tmp_path, "regression")


def test_a_checkpoint_from_an_address(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """http addresses are fetched once into torch.hub's cache; one that cannot be reached is a CheckpointError."""
    (tmp_path / "served").mkdir()
    torch.save(model.state_dict(), tmp_path / "served" / "weights.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        first = build_model(tiny_config("heatmap-msra"), f"{address}/weights.pth")
        with pytest.raises(CheckpointError, match=r"gone\.pth cannot be downloaded"):
            read_checkpoint(f"{address}/gone.pth")
    finally:
        server.shutdown()
        server.server_close()
    second = build_model(tiny_config("heatmap-msra"), f"{address}/weights.pth")  # from the cache: nobody serves it
    assert model_hash(first) == model_hash(second) == model_hash(model)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served; torch.hub's cache is a fresh one."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_of_one_file_name_have_a_file_each(served: tuple[Path, str]) -> None:
    """Two models' `best.pth`, and two queries of one path: the cache goes by the whole address."""
    folder, address = served
    for i, name in enumerate(("a", "b")):
        (folder / name).mkdir()
        torch.save({"w": torch.full((2,), float(i))}, folder / name / "best.pth")
    assert [read_checkpoint(f"{address}/{n}/best.pth")[0]["w"][0].item() for n in "aba"] == [0.0, 1.0, 0.0]
    torch.save({"w": torch.full((2,), 5.0)}, folder / "a" / "best.pth")
    assert read_checkpoint(f"{address}/a/best.pth?version=2")[0]["w"][0].item() == 5.0


def test_a_cached_file_that_has_changed_is_fetched_again(served: tuple[Path, str], tmp_path: Path) -> None:
    """Its content is compared with what was downloaded; what was never weights is not kept."""
    folder, address = served
    torch.save({"w": torch.ones(2)}, folder / "best.pth")
    read_checkpoint(f"{address}/best.pth")
    (cached,) = (tmp_path / "hub" / "checkpoints").glob("*best.pth")
    torch.save({"w": torch.zeros(2)}, cached)
    assert read_checkpoint(f"{address}/best.pth")[0]["w"].tolist() == [1.0, 1.0]
    (folder / "page.pth").write_bytes(b"<!DOCTYPE html><html>log in</html>")
    with pytest.raises(CheckpointError, match=r"page\.pth is not what it should be: .* an HTML page"):
        read_checkpoint(f"{address}/page.pth")
    assert not list((tmp_path / "hub" / "checkpoints").glob("*page*"))


def test_relative_position_weights_of_rtmcc_count_joints(tmp_path: Path) -> None:
    """RTMCC with relative positions has a weight of 2 K - 1: recognised as a joint count too (checked with
    SimCCLabel).
    """
    head = {**FAMILIES["rtmcc"]["head"], "out_channels": 9, "decoder": SIMCC}
    state = tiny_model("rtmcc", head=head).state_dict()
    assert any(v.shape == (17,) for v in state.values())
    with pytest.raises(CheckpointError, match="checkpoint has 9 keypoints, config 5;"):
        load({"state_dict": state}, tmp_path, "rtmcc")


def test_an_unfit_head_beside_another_count_is_no_joint_count(tmp_path: Path) -> None:
    """Fewer channels in the backbone as well: another architecture, not another joint count."""
    head = {**HEATMAP_HEAD, "out_channels": 4, "deconv_out_channels": (8, 8, 8), "decoder": MSRA}
    with pytest.raises(CheckpointError, match="another architecture"):
        load({"state_dict": tiny_model("heatmap-msra", head=head).state_dict()}, tmp_path)
