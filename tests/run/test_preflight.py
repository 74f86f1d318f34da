"""The preflight: each line on a good model and on one that is made to fail it, what stops, and what overrules."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from check_lines import lines, pretty
from odd_heads import odd_head
from tiny import IDS, SIZE, run, session, tables, tiny, visible, write_run

from poseig_mm.checks import Check
from poseig_mm.errors import ConfigError, PreflightError
from poseig_mm.run.preflight import NAMES
from poseig_mm.store import Store

# ---- a good model ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    """Of the tiny files as they are."""
    folder = tmp_path_factory.mktemp("good")
    found = lines(tiny_files, folder)
    assert list(folder.iterdir()) == []  # no work dir
    return found


def test_every_line_is_there(good: dict[str, Check], tiny_store: Store) -> None:
    """In their order; run.json of a run has the same, but for the time and the room on disk."""
    assert tuple(good) == NAMES
    stored = {entry["name"]: entry for entry in tiny_store.run["preflight"]}
    assert tuple(stored) == NAMES
    for name, check in good.items():
        if name != "resources":
            assert vars(check) == stored[name]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("weights", "weights.pth, hash "),
        ("joints", "17 joints, called alike by model and data"),
        ("persons", "3 of 3 in coco"),
        ("images", "3 of the first 3 persons can be loaded; 10 of 10 annotated joints lie inside the input"),
        (
            "pixels",
            "in 3 channels, BGR, turned round by the preprocessor, less (123.675, 116.28, 103.53) over (58.395,",
        ),
        ("evaluation", "the same image gives the same coordinates twice, alone and in a batch of 3"),
        ("outputs", "one tensor (1, 17, 16, 16)"),
        ("sigmas", "the data set's own"),
        ("resources", "3 persons need about "),
    ],
)
def test_what_is_well(good: dict[str, Check], name: str, found: str) -> None:
    """Said in a few words, without advice."""
    assert found in good[name].found, pretty(good[name])
    assert (good[name].level, good[name].advice) == ("ok", "")


def test_the_disk_that_maps_take(good: dict[str, Check], tiny_files: tiny, tmp_path: Path) -> None:
    """Two bytes a value of 17 maps, a picture, and the rows."""
    person = 17 * SIZE * SIZE * 2 + SIZE * SIZE * 3 + 21_000
    assert f"3 persons need about {3 * person / 1e6:.1f} MB of disk" in good["resources"].found
    none = lines(tiny_files, tmp_path, {"store.maps": "none"})["resources"]
    assert "about 0.1 MB of disk" in none.found


def test_a_full_disk_is_a_warning(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what takes less."""
    from types import SimpleNamespace

    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    check = lines(tiny_files, tmp_path)["resources"]
    assert (check.level, "0.0 MB are free" in check.found, "maps='pooled'" in check.advice) == ("warning", True, True)


# ---- the model -------------------------------------------------------------------------------------------------------


def spoil(made: tiny, joint: int | None) -> None:
    """NaN weights of all joints, or one."""
    content = torch.load(made.weights)
    content["state_dict"]["head.final_layer.weight"][slice(None) if joint is None else joint] = math.nan
    torch.save(content, made.weights)


def test_weights_of_one_joint(tmp_path: Path, mmpose_ready: None) -> None:
    """A warning that names them; the run goes on."""
    made = write_run(tmp_path / "data")
    spoil(made, 5)
    check = lines(made, tmp_path)["weights"]
    assert check.level == "warning"
    assert "NaN or infinite in head.final_layer.weight" in check.found
    assert "1 of 17 joints have no prediction" in check.found


def test_weights_that_leave_no_joint(tmp_path: Path, mmpose_ready: None) -> None:
    """A stop, that can be overruled."""
    made = write_run(tmp_path / "data")
    spoil(made, None)
    with pytest.raises(PreflightError, match=r"weights: .*17 of 17 joints .*--allow weights\)"):
        run(made, tmp_path / "w")
    stored = json.loads((tmp_path / "w" / "run.json").read_text())
    assert stored["status"] == "failed"
    assert {c["name"]: c["level"] for c in stored["preflight"]}["weights"] == "stop"
    store = run(made, tmp_path / "w", allow=["weights"])
    assert store.sample_ids == IDS
    (line,) = [c for c in store.run["preflight"] if c["name"] == "weights"]
    assert line["level"] == "warning"
    assert "this stops a run, and is overruled by --allow weights" in line["found"]
    assert store.run["notes"] == []


def test_random_weights(tiny_files: tiny, tmp_path: Path) -> None:
    """A warning."""
    from mmengine.config import Config

    from poseig_mm import Plugins, Session

    config = Config.fromfile(str(tiny_files.config))
    own = Session(config, None, work_dir=tmp_path / "w", device="cpu", plugins=Plugins(entry_points=False))
    check = own.check()[0]
    assert (check.name, check.level) == ("weights", "warning")
    assert "random" in check.found


def test_prefixes_that_were_taken_off(tmp_path: Path, mmpose_ready: None) -> None:
    """Said, and well."""
    made = write_run(tmp_path / "data")
    content = torch.load(made.weights)
    content["state_dict"] = {f"_orig_mod.{key}": value for key, value in content["state_dict"].items()}
    torch.save(content, made.weights)
    check = lines(made, tmp_path)["weights"]
    assert (check.level, "_orig_mod." in check.found) == ("ok", True), pretty(check)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("DropoutHead", r"run twice, .* [1-9].* px apart; .*; DropoutHead.forward draws random numbers"),
        ("TrainingNormHead", r"run twice, the same image gives coordinates 0 px apart; alone and in a batch of 3, \d"),
        (
            "TrainingNormHead",
            r"every pass changes head.norm.running_mean, .*head.norm \(BatchNorm2d\) norms by the stat",
        ),
    ],
)
def test_a_model_that_goes_on_training(tmp_path: Path, mmpose_ready: None, head: str, found: str) -> None:
    """By how much, and where."""
    import re

    made = odd_head(tmp_path / "data", head)
    check = lines(made, tmp_path)["evaluation"]
    assert check.level == "warning"
    assert re.search(found, check.found), pretty(check)
    assert "self.training" in check.advice


def test_looking_changes_nothing(tmp_path: Path, mmpose_ready: None) -> None:
    """Buffers and random states are what they were."""
    from poseig_mm.adapters.evaluation import evaluation_check

    made = odd_head(tmp_path / "data", "TrainingNormHead")
    own = session(made, tmp_path / "w")
    adapter = own._adapter()
    before = {name: value.clone() for name, value in adapter.model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    images = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert "in a batch of 2" in evaluation_check(adapter, images).found
    assert torch.equal(torch.random.get_rng_state(), drawn)
    for name, value in adapter.model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    ("head", "output", "level", "found"),
    [
        (
            "PartsHead",
            None,
            "warning",
            "'0' explained, of '0' (1, 17, 16, 16), '1' (1, 17, 16, 16); '1' could be meant as well",
        ),
        ("PartsHead", 0, "ok", "'0' explained, of '0' (1, 17, 16, 16), '1' (1, 17, 16, 16)"),
        ("FewPartsFirstHead", None, "ok", "'1' explained, of '0' (1, 3, 16, 16), '1' (1, 17, 16, 16)"),
        (
            "NamedHead",
            None,
            "ok",
            "'heatmaps.1' explained, of 'parts' (1, 3, 16, 16), 'heatmaps.0' (1, 17, 16, 16), 'heatmaps.1'",
        ),
        ("NamedHead", "heatmaps", "ok", "'heatmaps.1' explained, of 'parts'"),
    ],
)
def test_which_output(
    tmp_path: Path, mmpose_ready: None, head: str, output: str | int | None, level: str, found: str
) -> None:
    """Seen, explained, and what else could be meant."""
    made = odd_head(tmp_path / "data", head)
    check = lines(made, tmp_path, {"attribution.output": output})["outputs"]
    assert check.level == level
    assert found in check.found, pretty(check)
    assert ("diagnosis.attribution.output='1'" in check.advice) == (level == "warning")


@pytest.mark.parametrize("head", ["PartsFirstHead", "OtherUnitsHead"])
def test_decodings_that_do_not_agree(tmp_path: Path, mmpose_ready: None, head: str) -> None:
    """Another output, or other units: a stop before the first person; overruled it is a warning."""
    made = odd_head(tmp_path / "data", head)
    with pytest.raises(PreflightError) as caught:
        run(made, tmp_path / "w")
    assert "agreement: 0 % of 10 joints are decoded within 4 px of the model's own decoding" in str(caught.value)
    assert "diagnosis.attribution.output" in str(caught.value)
    assert "--allow agreement" in str(caught.value)
    assert len(Store(tmp_path / "w")) == 0
    store = run(made, tmp_path / "w", allow=["agreement"])
    assert store.sample_ids == IDS
    (line,) = [c for c in store.run["preflight"] if c["name"] == "agreement"]
    assert (line["level"], "overruled" in line["found"]) == ("warning", True)


@pytest.mark.parametrize(
    ("share", "joints", "mean", "unit", "fixed", "level"),
    [
        (0.96, 100, 1.0, "px", False, "ok"),
        (0.94, 100, 1.0, "px", False, "warning"),
        (0.06, 100, 40.0, "px", False, "warning"),
        (0.04, 100, 40.0, "px", False, "stop"),
        (0.0, 8, 40.0, "px", False, "stop"),
        (0.0, 7, 40.0, "px", False, "warning"),  # too few to be certain
        (0.0, 100, 40.0, "px", True, "warning"),  # the user's own beta
        (0.0, 100, 15.0, "mm", False, "warning"),  # a decoding that is coarser than 1 mm
        (0.0, 100, 250.0, "mm", False, "stop"),
        (None, 0, None, "px", False, "warning"),
    ],
)
def test_how_little_agreement_stops(
    share: float | None, joints: int, mean: float | None, unit: str, fixed: bool, level: str
) -> None:
    """Only what is certain."""
    from types import SimpleNamespace
    from typing import cast

    from poseig_mm.adapters.base import CoordinateAdapter
    from poseig_mm.adapters.model_checks import agreement_check

    adapter = cast("CoordinateAdapter", SimpleNamespace(unit=unit, threshold=4.0, beta=None, model=None))
    agreement = {"share_within": share, "n": joints, "mean_distance": mean, "threshold": 4.0}
    assert agreement_check(agreement, adapter, fixed=fixed).level == level


def test_a_given_beta_explains_a_disagreement(tmp_path: Path, tiny_files: tiny) -> None:
    """The user's own choice is no stop."""
    check = lines(tiny_files, tmp_path, {"attribution.beta": 1e-6})["agreement"]
    assert (check.level, "beta is given" in check.advice) == ("warning", True), pretty(check)


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused(tiny_files: tiny, tmp_path: Path) -> None:
    """With those that are known, before anything is loaded."""
    with pytest.raises(
        ConfigError, match=r"--allow agreemnt: there is no such check; known: weights, joints, .*agreement"
    ):
        session(tiny_files, tmp_path / "w", allow=["agreemnt"])


def test_a_check_that_fails_stops_nothing(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, as a warning."""

    def broken(*given: Any) -> Check:
        raise RuntimeError("no idea")

    monkeypatch.setattr("poseig_mm.run.preflight.masks_check", broken)
    check = lines(tiny_files, tmp_path)["masks"]
    assert (check.level, check.found) == ("warning", "could not be looked at: RuntimeError: no idea")


def test_a_resumed_run_looks_again(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """At what is left, with the agreement of before; the numbers are those of one run."""
    seen: list[Sequence[Check]] = []
    run(tiny_files, tmp_path / "w", {"samples.limit": 1}, on_checked=seen.append)
    store = run(tiny_files, tmp_path / "w", resume=True, on_checked=seen.append)
    first, again = ({check.name: check for check in checks} for checks in seen)
    assert "1 persons need" in first["resources"].found
    assert "2 persons need" in again["resources"].found
    assert first["agreement"] == again["agreement"]
    assert tables(store) == tables(tiny_store)
    assert visible(store).height == 10


def test_a_work_dir_of_before(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """A run without a preflight is resumed and gets one."""
    run(tiny_files, tmp_path / "w", {"samples.limit": 1})
    path = tmp_path / "w" / "run.json"
    content = json.loads(path.read_text())
    del content["preflight"]
    path.write_text(json.dumps(content))
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert len(store.run["preflight"]) == len(NAMES)
    assert tables(store) == tables(tiny_store)
