"""The treatment: what it plans, what it makes, what it refuses."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import fields, replace
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from gcn_helpers import context_of
from poseig_gcn_refinement import plugin
from poseig_gcn_refinement.treatment import GCNRefinement

from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.errors import ConfigError, TrainingError
from poseig_mm.run.treatment_context import RunTreatmentContext
from poseig_mm.treatments.base import TREATED

SMALL = GCNRefinement(epochs=2, batch_size=2, passes=2, hidden=4, depth=2)
ARMS = (TREATED, "identity", "random")


@pytest.fixture(scope="module")
def treated(made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any], list[Any]]:
    """(the context, what was made of each arm, what was told)."""
    context, told = context_of(made, tmp_path_factory.mktemp("treated"))
    return context, {arm: SMALL.make(context, arm) for arm in ARMS}, told


def test_the_plan_says_what_and_against_what(made: Any, tmp_path: Path) -> None:
    """The block, its graph, the persons and steps; both controls; how many persons go through the model."""
    context, _ = context_of(made, tmp_path)
    plan = SMALL.plan(context)
    assert plan.controls == {"identity": "no edges", "random": "random edges"}
    assert plan.passes == 6  # three persons twice
    assert "6 steps of 2 on the frozen heatmaps of 3 persons" in plan.what
    assert "HeatmapHead" in plan.what
    assert "graph of bones" in plan.what
    assert not any(tmp_path.iterdir())
    other = replace(SMALL, graph="partners", controls=["skeleton"], train_persons=2).plan(context)
    assert other.controls == {"skeleton": "the bones alone"}
    assert other.passes == 4
    assert "left-right partners" in other.what


def test_what_is_made_loads_like_any_model(treated: Any, made: Any) -> None:
    """Each arm by its config and checkpoint alone: other heatmaps than the frozen model's, from its frozen weights."""
    context, results, _ = treated
    frozen = build_model(str(made.config), made.weights)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    outputs = []
    for arm in ARMS:
        config = results[arm].config
        config.model.frozen_checkpoint = "gone.pth"
        model = build_model(config, results[arm].checkpoint)
        assert config.train_cfg == context.config().train_cfg  # the user's, not the short schedule's
        assert torch.equal(model.backbone.conv1.weight, frozen.backbone.conv1.weight)
        state, _ = read_checkpoint(results[arm].checkpoint)
        assert state._metadata["head.frozen"] == {"version": 2}  # without it MMPose takes the names for old ones
        with torch.no_grad():
            outputs += [m.head.forward(m.extract_feat(image)) for m in (model, frozen)]
    assert not any(torch.allclose(a, outputs[1], atol=1e-4) for a in outputs[::2])
    assert not torch.allclose(outputs[0], outputs[2], atol=1e-5)
    assert not torch.allclose(outputs[0], outputs[4], atol=1e-5)


def test_controls_differ_in_the_graph_alone(treated: Any) -> None:
    """Size, persons, steps and start; one cache serves all."""
    context, results, told = treated
    alike = ("frozen", "weights of the block", "training persons", "steps", "batch", "times each person is taken")
    kept = [{k: results[arm].about[k] for k in alike} for arm in ARMS]
    assert kept[0] == kept[1] == kept[2]
    assert [results[arm].about["edges"] for arm in ARMS] == ["skeleton", "no edges", "random edges"]
    block = results[TREATED].about["weights of the block"]
    assert block == 4 * (3 * 256) + 4 + 2 * 4 + 256 * (3 * 4) + 256
    refiners = [dict(results[arm].config.model.refiner) for arm in ARMS]
    assert [r.pop("graph") for r in refiners] == ["skeleton", "identity", "random"]
    assert refiners[2].pop("as_many_as") == "skeleton"
    assert refiners[0] == refiners[1] == refiners[2]
    assert len(list((context.folder / "cache").iterdir())) == 1
    assert not list((context.folder / "starts").iterdir())
    assert ("frozen heatmaps", 6, 6) in told
    assert [done for stage, done, _ in told if stage.startswith("training identity")] == [1, 2, 3, 4, 5, 6]


def test_a_trial_caches_a_few_and_counts_all_steps(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three persons, in as many steps as the plan says."""
    monkeypatch.setattr("poseig_gcn_refinement.treatment.TRIED_PERSONS", 2)
    treatment = replace(SMALL, passes=4, batch_size=5)
    context, told = context_of(made, tmp_path, trial=True)
    treatment.make(context, TREATED)
    assert ("frozen heatmaps", 2, 2) in told
    assert context.trainings[TREATED].steps == 4  # twice twelve in batches of five
    assert "4 steps of 5 on the frozen heatmaps of 3 persons" in treatment.plan(context).what


def test_a_frozen_part_that_changed_is_an_error(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte."""
    train = RunTreatmentContext.train

    def spoil(*arguments: Any) -> Any:
        trained = train(*arguments)
        state = torch.load(trained.checkpoint)
        state["state_dict"]["backbone.bn1.running_mean"][0] += 1e-6
        torch.save(state, trained.checkpoint)
        return trained

    monkeypatch.setattr(RunTreatmentContext, "train", spoil)
    with pytest.raises(TrainingError, match="'treated' changed the frozen model"):
        SMALL.make(context_of(made, tmp_path)[0], TREATED)


def test_all_arms_start_alike(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was drawn before: the same block for the same seed; a frozen layer that no checkpoint has, too."""

    def unreached(cfg: Any) -> None:  # a second stage, whose features nobody takes
        cfg.model.backbone.update(num_stages=2, strides=(1, 2), dilations=(1, 1))

    starts = []

    def keep(self: Any, config: Any, arm: str, checkpoint: Path) -> Any:
        starts.append({k: v for k, v in torch.load(checkpoint)["state_dict"].items() if "polynomials" not in k})
        return train(self, config, arm, checkpoint)

    train = RunTreatmentContext.train
    monkeypatch.setattr(RunTreatmentContext, "train", keep)
    for number, (arm, seed) in enumerate(((TREATED, 0), ("random", 0), (TREATED, 1))):
        torch.rand(number)
        context, _ = context_of(made, tmp_path / str(number), edit=unreached)
        replace(SMALL, seed=seed).make(context, arm)
    assert any(name.startswith("backbone.layer2") for name in starts[0])
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())
    block = "head.refiner.convolutions.0.linear.weight"
    assert not torch.equal(starts[0][block], starts[2][block])


def regression(cfg: Any) -> None:
    cfg.model.neck = {"type": "GlobalAveragePooling"}
    cfg.model.head = {
        "type": "RegressionHead",
        "in_channels": 8,
        "num_joints": 17,
        "decoder": {"type": "RegressionLabel", "input_size": (64, 64)},
    }


def refined(cfg: Any) -> None:
    cfg.model.update(
        type="poseig_gcn_refinement.estimator.RefinedPoseEstimator",
        refiner={"type": "GCNRefiner", "hidden": 4},
        skeleton="CocoDataset",
    )


def distiller(cfg: Any) -> None:
    cfg.model = {"type": "DWPoseDistiller", "student_cfg": "student.py"}


def no_training_data(cfg: Any) -> None:
    cfg.pop("train_dataloader")


def other_skeleton(cfg: Any) -> None:
    cfg.train_dataloader.dataset.metainfo = {"from_file": "configs/_base_/datasets/mpii.py"}


@pytest.mark.parametrize(
    ("edit", "treatment", "message"),
    [
        (regression, SMALL, "has a RegressionHead with RegressionLabel; expected a HeatmapHead or CPMHead"),
        (refined, SMALL, "RefinedPoseEstimator already"),
        (distiller, SMALL, "a DWPoseDistiller, has no head; .*its student's"),
        (no_training_data, SMALL, "no train_dataloader.*give it one"),
        (other_skeleton, SMALL, "16 joints, the model predicts 17"),
        (lambda cfg: None, replace(SMALL, batch_size=7), "3 training persons, taken 2 times, make no batch of 7"),
    ],
)
def test_what_cannot_be_treated_is_refused_by_the_plan(
    edit: Any, treatment: GCNRefinement, message: str, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is computed."""
    context, _ = context_of(made, tmp_path, edit=edit)
    given = made.config if edit is distiller else context.config()
    adapter = SimpleNamespace(model=build_model(given, weights_follow=True))
    monkeypatch.setattr(RunTreatmentContext, "adapter", adapter)
    with pytest.raises(ConfigError, match=message):
        treatment.plan(context)
    assert not any(tmp_path.iterdir())


WRONG = {
    "epochs": 0, "batch_size": 2.5, "lr": 0.0, "passes": -1, "train_persons": 0, "order": 0, "hidden": True,
    "depth": None, "dropout": 1.0, "graph": "identity", "controls": "random", "seed": -1,
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in fields(GCNRefinement)])
def test_every_setting_has_bounds(name: str) -> None:
    """The setting, its value and what it may be; None where that means all."""
    with pytest.raises(ConfigError, match=rf"treatment 'gcn_refinement': {name} is {WRONG[name]!r}; expected"):
        replace(SMALL, **{name: WRONG[name]})
    assert replace(SMALL, train_persons=None).train_persons is None


def test_a_graph_is_not_its_own_control() -> None:
    """Nor is an unknown one a control."""
    with pytest.raises(ConfigError, match="'skeleton' is the graph and among its controls"):
        GCNRefinement(controls=("skeleton", "random"))
    with pytest.raises(ConfigError, match=r"controls is .*bones.*expected some of identity, random, skeleton"):
        GCNRefinement(controls=("bones",))
    assert math.isclose(GCNRefinement().lr, 1e-3)


def test_the_reports_of_refined_models_show_the_block(treated: Any, frozen_cfg: Any) -> None:
    """Other models' reports have no such section."""
    (section,) = plugin.poseig_report_sections(SimpleNamespace(), treated[1][TREATED].config)
    rows = dict(section.blocks[0].rows)
    assert rows["hidden"] == "4"
    assert rows["skeleton"] == "CocoDataset"
    assert rows["graph"] == "skeleton"
    assert plugin.poseig_report_sections(SimpleNamespace(), frozen_cfg) == ()


def test_the_entry_point_is_light() -> None:
    """Discovery imports the plugin module at every start of the command line: no torch, no mmpose."""
    code = (
        "import sys, poseig_gcn_refinement.plugin;"
        "print([m for m in ('torch', 'mmpose', 'numpy', 'polars') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_entry_point_names_the_plugin() -> None:
    """Installed, the distribution is found in poseig_mm's group."""
    entries = {e.name: e.value for e in metadata.entry_points(group="poseig_mm")}
    if "gcn_refinement" not in entries:
        pytest.skip("this distribution is not installed: it is tested from its folder")
    assert entries["gcn_refinement"] == "poseig_gcn_refinement.plugin"


def test_the_host_accepts_the_plugin(tiny: ModuleType) -> None:
    """poseig_mm's host loads it, with its hooks."""
    from poseig_mm.plugin.manager import PluginHost

    host = PluginHost(plugins=("poseig_gcn_refinement.plugin",), builtins=(), entry_points=False)
    (record,) = [r for r in host.records if "gcn" in r.target]
    assert set(record.hooks) == {"poseig_report_sections", "poseig_treatments"}


def test_the_command_diagnoses_treats_and_diagnoses_again(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of docs/paper.md: both diagnoses, every arm's predictions for all held-out persons, one page."""
    from poseig_mm.cli import main
    from poseig_mm.store import Store

    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())
    config = tmp_path / "config.py"
    settings = {"type": "gcn_refinement", "epochs": 8, "lr": 0.1, "batch_size": 2, "hidden": 4, "depth": 2}
    config.write_text(
        f"{made.config.read_text()}\n"
        f"diagnosis.update(plugins=['poseig_gcn_refinement.plugin'], treatments=[{settings}], samples=dict(limit=2))\n"
    )
    work = tmp_path / "work"
    arguments = [str(config), str(made.weights), "--work-dir", str(work), "--device", "cpu"]
    assert main([*arguments, "--treat", "gcn_refinement"]) == 0
    place = work / "treatments" / "gcn_refinement"
    printed = capsys.readouterr().out
    assert str(place / "report" / "index.html") in printed
    page = (place / "report" / "index.html").read_text()
    for words in ("no edges", "random edges", "graph of bones", "HeatmapHead"):
        assert words in page
    before, after = Store(work), Store(place / "after")
    assert set(before.sample_ids) == set(after.sample_ids)
    assert after.run["weights_hash"] != before.run["weights_hash"]
    held_out = {path.name: Store(path) for path in (place / "held_out" / "held-out_persons").iterdir()}
    assert set(held_out) == {"before", *ARMS}
    assert all(len(store.sample_ids) == 3 for store in held_out.values())  # all, not the two that were diagnosed
    errors = {arm: store.joints().filter(visible=True)["epe"].sum() for arm, store in held_out.items()}
    assert len(set(errors.values())) == 4
