"""The treatment on made-up runs whose causes are known: what it plans, what it trains, and the recipe it prints."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from planted import PLACES, record, store_of
from read_from import MARK, crowd
from tiny import tiny

from poseig_mm.errors import ConfigError
from poseig_mm.report.blocks import Listing
from poseig_mm.settings_fields import configured
from poseig_mm.store import Store
from poseig_mm.treatments.base import TREATED, Trained
from poseig_mm.treatments.shortcut_augmentation.pipelines import with_transforms
from poseig_mm.treatments.shortcut_augmentation.recipe import recipe, recipe_section
from poseig_mm.treatments.shortcut_augmentation.shortcuts import treatable_shortcuts
from poseig_mm.treatments.shortcut_augmentation.treatment import CONTROL, WITHOUT, ShortcutAugmentation

PERSON = (50 * 100) ** 0.5  # px, the size of the persons of `read_from`
PIPELINE = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale"},
    {"type": "TopdownAffine", "input_size": (96, 128), "use_udp": True},
    {"type": "PackPoseInputs"},
]


def store(path: Path, variant: str, **run: Any) -> Store:
    """A run whose left wrist is read from one thing."""
    rows = crowd(variant)
    persons = [record(name, PLACES, PLACES) for name in rows["sample_id"].unique().sort()]
    return store_of(path, persons, "shortcuts", rows.to_dicts(), **run)


def config_of(**others: Any) -> Config:
    loader = {"batch_size": 64, "dataset": {"type": "RepeatDataset", "dataset": {"type": "A", "pipeline": PIPELINE}}}
    return Config(
        copy.deepcopy(
            {
                "train_dataloader": loader,
                "test_dataloader": {"dataset": {"type": "A", "pipeline": PIPELINE}},
                "optim_wrapper": {"type": "AmpOptimWrapper", "optimizer": {"type": "SGD", "lr": 1.0}},
                "custom_imports": {"imports": ["theirs"]},
                **others,
            }
        )
    )


class Context:
    """A context over a store, which notes what it is to train."""

    device, split, trial, checkpoint = "cpu", "test", False, "first.pth"

    def __init__(self, store: Store, config: Config | None = None, unit: str = "px", images: bool = True) -> None:
        self.store, self._config = store, config or config_of()
        self.adapter = SimpleNamespace(unit=unit, takes_images=images)
        self.trained: list[tuple[Config, str, Any]] = []

    def config(self) -> Config:
        return copy.deepcopy(self._config)

    training_config = config

    def train(self, config: Config, arm: str, checkpoint: Any = None) -> Trained:
        self.trained.append((config, arm, checkpoint))
        return Trained(Path(f"{arm}.pth"), {"steps": 7})


def context(*given: Any, **others: Any) -> Any:
    return Context(*given, **others)


def erasing(pipeline: Any) -> list[dict[str, Any]]:
    """The transforms right behind the crop."""
    kinds = [step["type"] for step in pipeline]
    behind = pipeline[kinds.index("TopdownAffine") + 1 :]
    assert behind[-1]["type"] == "PackPoseInputs"
    return [dict(step) for step in behind[:-1]]


@pytest.mark.usefixtures("mmpose_ready")
@pytest.mark.parametrize(
    ("variant", "evidence"),
    [
        ("mark", {"offset": pytest.approx((MARK[0] / PERSON, MARK[1] / PERSON), abs=0.02)}),
        ("parent", {"around": (7,), "bones": ((7, 5),)}),
        ("partner", {"around": (10,), "bones": ((10, 8),)}),
        ("context", {"background": True}),
    ],
)
def test_each_cause_has_its_own_evidence(variant: str, evidence: dict[str, Any], tmp_path: Path) -> None:
    """In the person's size; the plan names joint and cause, and a second look without the evidence."""
    plan = ShortcutAugmentation().plan(context(store(tmp_path, variant)))
    assert plan.joints == ("left_wrist",)
    assert not plan.needless
    assert (list(plan.controls), plan.judged_on) == ([CONTROL], WITHOUT)
    (shortcut,) = treatable_shortcuts(Store(tmp_path))
    assert shortcut.words in plan.what
    assert "75 %" in plan.what
    (always,) = erasing(plan.held_out[WITHOUT]["dataset"]["pipeline"])
    assert always == {
        "type": "DestroyEvidence", "joint": 9, "radius": pytest.approx(0.1), **evidence, "prob": 1.0,
        "ways": ("blur",), "decoys": 0, "use_udp": True,
    }  # fmt: skip


def test_where_every_joint_is_read_from_itself_nothing_is_done(tmp_path: Path) -> None:
    """And a cause that the run's own settings of the study do not name is none."""
    assert ShortcutAugmentation().plan(context(store(tmp_path / "a", "own"))).needless
    strict = store(tmp_path / "b", "partner", settings={"studies": [["shortcuts", {"margin": 1000.0}]]})
    assert ShortcutAugmentation().plan(context(strict)).needless


@pytest.mark.usefixtures("mmpose_ready")
def test_what_an_arm_is_trained_with(tmp_path: Path) -> None:
    """From the first weights, briefly, with the user's kind of optimizer wrapper; the control elsewhere."""
    given = context(store(tmp_path, "mark"))
    treatment = configured(
        ShortcutAugmentation(), {"iterations": 28, "lr": 1e-3, "batch_size": 4, "prob": 0.25}, "treatment"
    )
    treated, control = (treatment.make(given, arm) for arm in (TREATED, CONTROL))
    assert [(arm, checkpoint) for _, arm, checkpoint in given.trained] == [
        (TREATED, "first.pth"),
        (CONTROL, "first.pth"),
    ]
    assert treated.checkpoint == Path("treated.pth")
    assert treated.about["steps"] == 7
    assert "mark" in treated.about["destroyed"]
    assert "random" in control.about["destroyed"]
    for made, elsewhere in ((treated, False), (control, True)):
        config = made.config
        assert (config.train_dataloader.batch_size, config.train_cfg.max_iters) == (4, 28)
        assert (config.optim_wrapper.type, config.optim_wrapper.optimizer.lr) == ("AmpOptimWrapper", 1e-3)
        assert config.custom_imports["imports"] == [
            "theirs", "poseig_mm.treatments.shortcut_augmentation.erasing"
        ]  # fmt: skip
        (transform,) = erasing(config.train_dataloader.dataset.dataset.pipeline)
        assert (transform["elsewhere"], transform["prob"], transform["decoys"]) == (elsewhere, 0.25, 2)
        assert config.test_dataloader == given.config().test_dataloader
    assert given.config().to_dict() == config_of().to_dict()  # the user's own is left as it is


@pytest.mark.usefixtures("mmpose_ready")
def test_the_batch_size_is_the_config_s_own_by_default(tmp_path: Path) -> None:
    """64 here."""
    made = ShortcutAugmentation().make(context(store(tmp_path, "mark")), TREATED)
    assert made.config.train_dataloader.batch_size == 64


@pytest.mark.usefixtures("mmpose_ready")
def test_a_loader_that_is_given_stays_as_it_is() -> None:
    """A copy has the transforms, behind every crop of it."""
    loader = config_of().train_dataloader
    made = with_transforms(loader, [{"type": "DestroyEvidence"}], "train_dataloader")
    assert erasing(made.dataset.dataset.pipeline) == [{"type": "DestroyEvidence", "use_udp": True}]
    assert loader.to_dict() == config_of().train_dataloader.to_dict()


@pytest.mark.usefixtures("mmpose_ready")
def test_what_it_cannot_be_given_to(tmp_path: Path) -> None:
    """No study, no crop, coordinates in space, sequences: each says what is expected."""
    planted = store(tmp_path / "a", "mark")
    without_crop = config_of(train_dataloader={"dataset": {"type": "A", "pipeline": [{"type": "LoadImage"}]}})
    for given, words in (
        (context(planted, without_crop), "train_dataloader has a TopdownAffine"),
        (context(planted, unit="mm"), "coordinates in mm"),
        (context(planted, images=False), "sequences of poses"),
        (context(store_of(tmp_path / "b", [record("1-1", PLACES, PLACES)])), "no study 'shortcuts'"),
    ):
        with pytest.raises(ConfigError, match=words):
            ShortcutAugmentation().plan(given)
    with pytest.raises(ConfigError, match=r"prob is 1\.5"):
        configured(ShortcutAugmentation(), {"prob": 1.5}, "treatment")


@pytest.mark.parametrize("masked", [True, False])
def test_of_a_background_it_says_whether_persons_have_masks(masked: bool, tiny_files: tiny, tmp_path: Path) -> None:
    """All three of the tiny data set, or none where the segmentations are gone."""
    import json

    config = Config.fromfile(tiny_files.config)
    loader = copy.deepcopy(config.test_dataloader)
    dataset = loader.dataset
    if not masked:
        source = Path(dataset.get("data_root") or "") / dataset.ann_file
        content = json.loads(source.read_text())
        for person in content["annotations"]:
            del person["segmentation"]
        (tmp_path / "bare.json").write_text(json.dumps(content))
        dataset.ann_file = str(tmp_path / "bare.json")
    config.train_dataloader = loader
    made = ShortcutAugmentation().make(context(store(tmp_path / "a", "context"), config), TREATED)
    assert made.about["the person is"].startswith(f"annotated, for {3 if masked else 0} of 3 ")
    assert ("discs and bones" in made.about["the person is"]) != masked


def test_the_recipe_is_a_config_that_trains_the_same(tiny_files: tiny, tmp_path: Path) -> None:
    """Over the user's own file it gives the treated model's training, and its pipeline can be built and run."""
    from mmpose.registry import DATASETS

    base = Config.fromfile(tiny_files.config)
    base.train_dataloader = copy.deepcopy(base.test_dataloader)
    base.optim_wrapper = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 1.0, "momentum": 0.5}}
    base.dump(str(tmp_path / "user.py"))
    treated = ShortcutAugmentation().make(context(store(tmp_path / "a", "mark"), base), TREATED).config
    text = recipe(treated, base, str(tmp_path / "user.py"), "user.pth")
    (tmp_path / "cure.py").write_text(text)
    config = Config.fromfile(tmp_path / "cure.py")
    for name in ("train_dataloader", "optim_wrapper", "train_cfg", "param_scheduler", "custom_imports", "model"):
        assert config[name] == treated[name], name
    assert config.load_from == "user.pth"
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert "DestroyEvidence" in [type(step).__name__ for step in dataset.pipeline.transforms]
    assert dataset[0]["inputs"].shape == (3, 64, 64)


def test_the_page_prints_the_recipe(tmp_path: Path) -> None:
    """One listing, of the second run's config over the first run's."""
    before = store(tmp_path / "a", "mark", config="model.py", checkpoint="model.pth")
    after = store(tmp_path / "b", "own")
    config_of().dump(str(before.path / "config.py"))
    treated = config_of(train_cfg={"max_iters": 5}, param_scheduler=[{"type": "LinearLR"}])
    treated.dump(str(after.path / "config.py"))
    (listing,) = recipe_section(before, after).blocks
    assert isinstance(listing, Listing)
    text = listing.rows[0][0]
    assert str(Path("model.py").resolve()) in text.splitlines()[0]
    assert "model.pth" in text
    assert "max_iters=5" in text
