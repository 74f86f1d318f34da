"""The refined model as an MMPose model: frozen to the byte, trained by MMEngine's runner, loaded, diagnosed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch
from gcn_helpers import ROOT, run_training
from poseig_gcn_refinement.refined_config import refined_config
from poseig_gcn_refinement.skeleton import edges_of, partners_of, skeleton_of_config

from poseig_mm import load_adapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import CheckpointError, ConfigError
from poseig_mm.treatments.training import put, schedule

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = {"hidden": 8, "depth": 2}


def hashes(model: torch.nn.Module, part: str) -> dict[str, str]:
    """Of the bytes of each weight and statistic whose name does, or does not, begin with the block's."""
    return {
        name.replace("head.frozen.", "head."): hashlib.sha256(value.numpy().tobytes()).hexdigest()
        for name, value in model.state_dict().items()
        if ("refiner." in name) == (part == "refiner")
    }


def training_config(cfg: Any, made: Any, epochs: int = 2, **refiner: Any) -> Any:
    found = refined_config(cfg, made.weights, {**HIDDEN, **refiner})
    put(found, schedule(lr=1e-3, epochs=epochs, steps=1))
    found.randomness = {"seed": 0}
    return found


@pytest.fixture(scope="module")
def trained(made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """(config, model, work dir) after two real steps."""
    from mmengine.config import Config

    cfg = training_config(Config.fromfile(str(made.config)), made)
    work_dir = tmp_path_factory.mktemp("trained")
    model = run_training(cfg, work_dir)
    return cfg, model, work_dir


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def test_before_training_it_predicts_what_the_frozen_model_does(
    frozen_cfg: Any, made: Any, images: torch.Tensor
) -> None:
    """Heatmaps to 1e-6; with the frozen model's own checkpoint, renamed as it is loaded."""
    frozen = build_model(frozen_cfg, made.weights)
    refined = build_model(refined_config(frozen_cfg, made.weights, HIDDEN))
    refined.init_weights()
    with torch.no_grad():
        expected, found = (m.head.forward(m.extract_feat(images)) for m in (frozen, refined))
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def test_training_changes_the_block_alone(trained: tuple[Any, Any, Path], made: Any, frozen_cfg: Any) -> None:
    """Byte by byte: parameters and batch norm statistics of the frozen part are those of its checkpoint."""
    _, model, _ = trained
    frozen = build_model(frozen_cfg, made.weights)
    expected = hashes(frozen, "frozen")
    assert any("running_var" in name for name in expected)
    assert hashes(model, "frozen") == expected
    fresh = build_model(refined_config(frozen_cfg, made.weights, HIDDEN))
    before, after = hashes(fresh, "refiner"), hashes(model, "refiner")
    changed = {name for name in before if before[name] != after[name]}
    assert {"head.refiner.convolutions.1.linear.weight", "head.refiner.norms.0.running_mean"} <= changed
    assert "head.refiner.convolutions.0.polynomials" not in changed


def test_train_mode_is_the_blocks_alone(trained: tuple[Any, Any, Path]) -> None:
    """Whatever a hook calls: batch norms of the frozen part stay in evaluation mode, and no parameter of it learns."""
    _, model, _ = trained
    model.train()
    training = {name for name, module in model.named_modules() if module.training and name}
    assert training
    assert all(n.split(".")[0] in ("head", "data_preprocessor") and "frozen" not in n for n in training), training
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning
    assert all(name.startswith("head.refiner.") for name in learning)
    model.eval()
    assert not any(module.training for module in model.modules())


def test_training_records_no_graph_through_the_frozen_part(
    trained: tuple[Any, Any, Path], images: torch.Tensor
) -> None:
    """Memory and time of a step are the block's."""
    _, model, _ = trained
    assert not model.extract_feat(images)[0].requires_grad
    assert not model.head.frozen_heatmaps(model.extract_feat(images)).requires_grad
    assert model.head.forward(model.extract_feat(images)).requires_grad


def test_gradients_reach_the_image_through_both(trained: tuple[Any, Any, Path], images: torch.Tensor) -> None:
    """Frozen is not detached: the adapter differentiates to the image, as differences say."""
    cfg, _, work_dir = trained
    adapter = load_adapter(cfg, work_dir / "epoch_2.pth")
    assert adapter.name == "heatmap"
    x = images.double().requires_grad_()
    adapter.model.double()
    with adapter.frozen():
        (gradient,) = torch.autograd.grad(adapter(x).coords[0, 9, 0], x)
        step = torch.zeros_like(x)
        step[0] = 1e-5 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
        numeric = (adapter((x + step).detach()).coords - adapter((x - step).detach()).coords)[0, 9, 0] / 2
    assert gradient[0].abs().sum() > 0
    assert (gradient * step).sum().item() == pytest.approx(numeric.item(), rel=1e-3)


def test_the_checkpoint_alone_is_enough_for_inference(
    trained: tuple[Any, Any, Path], images: torch.Tensor, tmp_path: Path
) -> None:
    """MMPose's init_model, without the frozen model's file, gives the trained model's heatmaps, flip test included."""
    import copy

    from mmpose.apis import init_model
    from mmpose.structures import PoseDataSample

    cfg, model, _ = copy.deepcopy(trained)
    model.eval()
    cfg.model.frozen_checkpoint = str(tmp_path / "gone.pth")
    torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "refined.pth")
    loaded = init_model(cfg, str(tmp_path / "refined.pth"), device="cpu")
    with torch.no_grad():
        assert torch.equal(loaded(images, None), model(images, None))
    found = []
    for flip in (False, True):
        loaded.test_cfg = {"flip_test": flip, "flip_mode": "heatmap", "output_heatmaps": True}
        sample = PoseDataSample(metainfo={"flip_indices": list(range(17))})
        with torch.no_grad():
            feats = loaded.extract_feat(images[:1])
            flipped = loaded.extract_feat(images[:1].flip(-1))
            _, fields = loaded.head.predict([feats, flipped] if flip else feats, [sample], loaded.test_cfg)
        found.append(fields[0].heatmaps)
    assert torch.allclose(found[0], loaded(images[:1], None)[0], atol=1e-6)
    assert not torch.allclose(found[0], found[1], atol=1e-4)


def test_training_goes_on_where_it_stopped(frozen_cfg: Any, made: Any, trained: Any, tmp_path: Path) -> None:
    """One epoch, then a second one: the weights are those of two epochs at once."""
    _, model, _ = trained
    run_training(training_config(frozen_cfg, made, 2), tmp_path)  # what the fixture did, for its checkpoints
    (tmp_path / "epoch_2.pth").unlink()
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    resumed = run_training(training_config(frozen_cfg, made, 2), tmp_path)
    assert hashes(resumed, "refiner") == hashes(model, "refiner")


def test_targets_and_weights_are_used(frozen_cfg: Any, made: Any) -> None:
    """The loss is the mean squared error of weighted joints: no weight, no loss."""
    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    model = build_model(refined_config(frozen_cfg, made.weights, HIDDEN)).train()
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.ones(17, 16, 16), frozen_heatmaps=torch.zeros(17, 16, 16))
    weights = torch.zeros(1, 17)
    weights[0, 3] = 1.0
    sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
    assert model.loss(torch.zeros(1, 3, 1, 1), [sample])["loss_kpt"].item() == pytest.approx(1 / 17)


def test_a_checkpoint_of_another_model_is_refused(frozen_cfg: Any, made: Any, tmp_path: Path) -> None:
    """Strictly, and by name."""
    state = torch.load(made.weights)["state_dict"]
    state.pop("backbone.conv1.weight")
    torch.save({"state_dict": state}, tmp_path / "other.pth")
    model = build_model(refined_config(frozen_cfg, tmp_path / "other.pth", HIDDEN))
    with pytest.raises(CheckpointError, match=r"backbone\.conv1\.weight"):
        model.init_weights()


SHARED = ROOT.parent / "shared" / "weights"  # what the sample model's config calls ../shared/weights


def test_the_sample_models_checkpoint_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another project, without MobileNet's last layer, which reaches no heatmap: the heatmaps are the same."""
    config, weights = SHARED / "simplepose_coco_256x192.py", SHARED / "simplepose_mobilenetv2_coco_256x192.pth"
    if not weights.is_file():
        pytest.skip(f"no {weights}")
    from mmengine.config import Config

    monkeypatch.syspath_prepend(str(SHARED))
    cfg = Config.fromfile(str(config))
    refined = build_model(refined_config(cfg, weights, HIDDEN), weights_follow=True)
    refined.init_weights()
    image = torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = (m.head.forward(m.extract_feat(image)) for m in (build_model(cfg, weights), refined.eval()))
    assert expected.std() > 1e-3
    assert torch.allclose(got, expected, rtol=0, atol=1e-6)


def old_names(name: str) -> str:
    return name.replace("head.", "keypoint_head.", 1) if name.startswith("head.") else name


@pytest.mark.parametrize("rename", [old_names, "module.{}".format, "model.module.{}".format, "_orig_mod.{}".format])
def test_frozen_checkpoints_come_as_a_diagnosis_takes_them(
    rename: Callable[[str], str], frozen_cfg: Any, made: Any, tmp_path: Path
) -> None:
    """MMPose 0.x's names, wrappers' prefixes: the same frozen weights, and the block as it was."""
    state = torch.load(made.weights)["state_dict"]
    torch.save({rename(name): value for name, value in state.items()}, tmp_path / "frozen.pth")
    expected = hashes(build_model(frozen_cfg, made.weights), "frozen")
    model = build_model(refined_config(frozen_cfg, tmp_path / "frozen.pth", HIDDEN), weights_follow=True)
    block = hashes(model, "refiner")
    assert hashes(model, "frozen") != expected
    model.init_weights()
    assert hashes(model, "frozen") == expected
    assert hashes(model, "refiner") == block


def test_the_skeleton_must_be_of_the_models_joints(frozen_cfg: Any, made: Any) -> None:
    """Both numbers, and what to do."""
    cfg = refined_config(frozen_cfg, made.weights, HIDDEN)
    cfg.model.skeleton = "MpiiDataset"
    with pytest.raises(ConfigError, match="MpiiDataset has 16 joints, the model predicts 17"):
        build_model(cfg)
    cfg.model.skeleton = [(0, 17)]
    with pytest.raises(ConfigError, match="joins 0 and 17"):
        build_model(cfg)
    cfg.model.skeleton = None
    with pytest.raises(ConfigError, match="no skeleton"):
        build_model(cfg)
    cfg.model.skeleton = "CocoDatset"
    with pytest.raises(ConfigError, match="did you mean 'CocoDataset'"):
        build_model(cfg)


def test_skeletons_are_read_from_every_form_of_metainfo(frozen_cfg: Any) -> None:
    """A name, a file of MMPose, parsed metainfo, pairs: the same 19 bones."""
    bones = edges_of("CocoDataset", 17)
    assert len(bones) == 19
    assert edges_of({"from_file": "configs/_base_/datasets/coco.py"}, 17) == bones
    assert edges_of({"skeleton_links": bones, "num_keypoints": 17}, 17) == bones
    assert edges_of(bones, 17) == bones
    assert skeleton_of_config(frozen_cfg) == "CocoDataset"
    wrapped = {"train_dataloader": {"dataset": {"type": "CombinedDataset", "datasets": [{"type": "MpiiDataset"}]}}}
    assert skeleton_of_config(wrapped) == "MpiiDataset"


def test_partners_are_those_of_the_flip() -> None:
    """COCO's eight pairs, from every form of metainfo; none of bare pairs of joints."""
    pairs = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]
    assert partners_of("CocoDataset", 17) == pairs
    assert partners_of({"from_file": "configs/_base_/datasets/coco.py"}, 17) == pairs
    assert partners_of([(0, 1)], 17) == []


def test_the_partners_are_joined_in_the_model(frozen_cfg: Any, made: Any) -> None:
    """19 bones, three of which (eyes, shoulders, hips) join partners already, and the other five pairs."""
    model = build_model(refined_config(frozen_cfg, made.weights, {**HIDDEN, "graph": "partners"}), weights_follow=True)
    (terms, plain) = (
        m.head.refiner.convolutions[0].polynomials[1].abs() > 1e-6
        for m in (model, build_model(refined_config(frozen_cfg, None, HIDDEN), weights_follow=True))
    )
    assert [int(found.triu(1).sum()) for found in (plain, terms)] == [19, 24]
    assert terms[15, 16]
    assert not plain[15, 16]
    cfg = refined_config(frozen_cfg, None, {**HIDDEN, "graph": "partners"})
    cfg.model.skeleton = [(0, 1)]
    with pytest.raises(ConfigError, match="left-right partner"):
        build_model(cfg, weights_follow=True)


def test_other_heads_are_refused(frozen_cfg: Any, made: Any) -> None:
    """A regression head has no heatmaps; a refined model is not refined again."""
    cfg = refined_config(frozen_cfg, made.weights, HIDDEN)
    with pytest.raises(ConfigError, match="already"):
        refined_config(cfg, made.weights)
    cfg.model.head = {"type": "RegressionHead", "in_channels": 8, "num_joints": 17, "decoder": None}
    with pytest.raises(ConfigError, match="RegressionHead"):
        build_model(cfg)
    del cfg.model.refiner
    with pytest.raises(ConfigError, match="refiner"):
        build_model(cfg)


def test_the_refined_model_is_diagnosed_like_any_other(
    tiny: ModuleType, made: Any, trained: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    """A whole run with the randomization study, which changes the model and gives it back."""
    import copy

    from poseig_mm import Plugins, Session

    cfg, _, work_dir = copy.deepcopy(trained)
    cfg.diagnosis.update(
        studies=[{"type": "randomization", "nodes": 2, "step": 4}],
        samples={"limit": 1},
        attribution={**tiny.FAST, "joints": ["nose"]},
    )
    session = Session(
        cfg, work_dir / "epoch_2.pth", work_dir=tmp_path, device="cpu", plugins=Plugins(entry_points=False)
    )
    store = session.run()
    assert not store.failures
    assert store.joints()["di"].is_finite().sum() == 1
    assert store.study("randomization")["stage"].max() >= 2


def test_the_training_tool_trains_and_resumes(frozen_cfg: Any, made: Any, tmp_path: Path) -> None:
    """tools/train.py: options override the config, a checkpoint an epoch, --resume goes on, errors are one line."""
    import importlib.util

    path = ROOT / "tools" / "train.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("train_tool", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    cfg = training_config(frozen_cfg, made, 1)
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            cfg[f"{split}_{part}"] = None
    cfg.dump(str(tmp_path / "refined.py"))
    arguments = [str(tmp_path / "refined.py"), "--work-dir", str(tmp_path / "work")]
    assert tool.main(arguments) == 0
    assert tool.main([*arguments, "--resume", "--cfg-options", "train_cfg.max_epochs=2"]) == 0
    assert {p.name for p in (tmp_path / "work").glob("epoch_*.pth")} == {"epoch_1.pth", "epoch_2.pth"}
    assert tool.main([str(tmp_path / "none.py")]) == 1
