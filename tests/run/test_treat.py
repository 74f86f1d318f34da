"""Diagnose, treat, diagnose again, by the treatment of docs/plugins.md; what goes wrong, and what is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import HANGS, IDS, ROOT, session, tiny, trainable, write_plugin, write_run

from poseig_mm import cli, load_adapter
from poseig_mm.errors import ConfigError, StoreError
from poseig_mm.plugin.registry import HOOKS
from poseig_mm.run.treat import TreatmentRun
from poseig_mm.store import Store
from poseig_mm.treatments.base import Plan, Treatment

ARMS = ("before", "treated", "plain")
FEW = {"treatments": [{"type": "colours", "iterations": 3}]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return trainable(write_run(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of the guide, as a file."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    example = re.search(r"<!-- file: colours.py -->\n```python\n(.*?)```", page, re.DOTALL)
    assert example
    assert len(example[1].splitlines()) < 40
    path = tmp_path_factory.mktemp("plugin") / "colours.py"
    path.write_text(example[1])
    return path


Main = Callable[..., int]


@pytest.fixture
def main(made: tiny, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """The command line, nothing installed."""
    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())

    def call(*options: object, config: Path = made.config) -> int:
        given = [config, made.weights, "--work-dir", tmp_path / "w", "--device", "cpu", "-p", colours, *options]
        return cli.main([str(o) for o in given])

    return call


@pytest.fixture(scope="module")
def done(made: tiny, colours: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TreatmentRun, Any]:
    """(a treatment that is done, what came of it)."""
    first = session(made, tmp_path_factory.mktemp("done") / "w", FEW, plugins=[str(colours)])
    first.run()
    treatment = TreatmentRun(first, first.treatments[0])
    return treatment, treatment.run()


def test_the_page_has_cause_cure_and_proof(done: tuple[TreatmentRun, Any]) -> None:
    """Verdict first; all arms; both diagnoses compared; no failure."""
    text = done[1].page.read_text()
    assert done[1].words[:40] in text
    for said in ("trained as long", "What was trained", "before and after on the same 10 joints", "Maps, run by run"):
        assert said in text
    assert 'id="failures"' not in text


def test_every_arm_predicts_every_held_out_person_without_maps(done: tuple[TreatmentRun, Any]) -> None:
    """And the errors of the first are those of the first diagnosis."""
    folder = done[0].folder
    stores = {arm: Store(folder / "held_out" / "held-out_persons" / arm) for arm in ARMS}
    for store in stores.values():
        assert tuple(store.sample_ids) == IDS
        assert store.run["settings"]["attribution"]["method"] == "none"
        assert store.map("1-1") is None
    first, again = (s.joints().sort("sample_id", "joint")["epe"] for s in (Store(folder.parents[1]), stores["before"]))
    assert (first - again).abs().fill_nan(0.0).max() < 1e-4  # type: ignore[operator]


def test_the_changed_model_loads_like_any_other(done: tuple[TreatmentRun, Any], made: tiny) -> None:
    """Config and checkpoint in `models/`; its weights are others than before."""
    models = done[0].folder / "models"
    adapter = load_adapter(str(models / "treated.py"), models / "treated.pth")
    before = load_adapter(str(made.config), made.weights)
    pairs = zip(adapter.model.parameters(), before.model.parameters(), strict=True)
    assert any(not a.equal(b) for a, b in pairs)


def test_the_second_diagnosis_is_of_the_same_persons(done: tuple[TreatmentRun, Any]) -> None:
    """With the same settings, but for the treatments."""
    first, after = Store(done[0].folder.parents[1]), Store(done[0].folder / "after")
    assert after.sample_ids == first.sample_ids
    settings = [dict(store.run["settings"]) for store in (first, after)]
    assert [s.pop("treatments") for s in settings] == [[["colours", {"iterations": 3}]], []]
    assert settings[0] == settings[1]


def test_what_is_done_is_not_done_again(done: tuple[TreatmentRun, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the page."""
    folder = done[0].folder
    files = [p for p in folder.rglob("*") if p.is_file() and "report" not in p.parts and p.name != "treatment.json"]
    before = {p: p.stat().st_mtime_ns for p in files}
    assert done[0].run() == done[1]
    assert {p: p.stat().st_mtime_ns for p in files} == before


def test_other_settings_are_not_mixed_in(done: tuple[TreatmentRun, Any], made: tiny, colours: Path) -> None:
    """Another length of training, the same work dir."""
    other = {"treatments": [{"type": "colours", "iterations": 4}]}
    first = session(made, done[0].folder.parents[1], other, plugins=[str(colours)], resume=True)
    with pytest.raises(StoreError, match="another model, other data or other settings"):
        TreatmentRun(first, first.treatments[0]).run()


def test_the_command_line_does_it_all(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command; the verdict and where the page is stand at its end."""
    assert main("--treat", "colours", "iterations=2") == 0
    said = capsys.readouterr().out
    assert "colours: On 3 persons (held-out persons) the mean error goes from" in said
    assert f"treatment: {tmp_path / 'w' / 'treatments' / 'colours' / 'report' / 'index.html'}" in said
    record = json.loads((tmp_path / "w" / "treatments" / "colours" / "treatment.json").read_text())
    assert record["settings"] == {"iterations": 2, "lr": 1e-4}


def test_a_dry_run_says_what_it_will_take(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps, persons, both arms; nothing is left."""
    assert main("--treat", "colours", "iterations=50", "--dry-run") == 0
    said = capsys.readouterr().out
    assert re.search(r"colours: The model is trained further.* 2 x 50 training steps: \d+", said)
    assert "3 held-out persons by 3 models" in said
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--treat", "colour"], "there is no treatment 'colour'; did you mean 'colours'?"),
        (["--treat", "colours", "rounds=2"], "treatment 'colours' has no setting 'rounds'"),
        (["--treat", "colours", "fast"], "--treat colours fast: expected a name, then settings as KEY=VALUE"),
        (["--treat", "colours", "--cfg-options", "diagnosis.treatments=[dict(type='a',b=1)]"], "MMEngine cannot read"),
    ],
)
def test_what_is_misspelt_is_said_at_once(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Before the first diagnosis."""
    assert main(*options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_settings_of_the_command_line_go_over_the_configs() -> None:
    """By name; numbers are numbers, other values words."""
    config = {"diagnosis": {"treatments": [{"type": "a", "x": 1, "y": 2}, "b"]}}
    given = cli._treatments(config, [["a", "x=3", "name=word"], ["c", "few=[1,2]"]])
    assert given == [{"type": "a", "x": 3, "y": 2, "name": "word"}, {"type": "b"}, {"type": "c", "few": [1, 2]}]


def test_without_training_data_it_says_what_to_give(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first diagnosis stands, and its report."""
    bare = write_run(tmp_path / "bare")
    assert main("--treat", "colours", config=bare.config) == 1
    assert re.search(
        r"error: treatment 'colours': config .* has no train_dataloader.*; give it one", capsys.readouterr().err
    )
    assert Store(tmp_path / "w").run["status"] == "complete"


BROKEN = """
from poseig_mm.treatments.base import Plan, Treated, Treatment


class Broken(Treatment):
    def __init__(self, name, **given):
        self.name, self.given = name, given

    def plan(self, context):
        if self.name == "raises_in_plan":
            raise ValueError("no plan")
        return self.given.get("plan", Plan("Nothing.", controls=self.given.get("controls", {})))

    def make(self, context, arm):
        if self.name == "exits_in_make":
            raise SystemExit(0)
        return self.given.get("made")


@hookimpl
def poseig_treatments():
    return [
        Broken("raises_in_plan"),
        Broken("exits_in_make"),
        Broken("plans_nothing", plan=None),
        Broken("makes_nothing"),
        Broken("odd_control", controls={"../x": "odd"}),
        Broken("needless", plan=Plan("", needless="No joint is read from a mark.")),
    ]
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises_in_plan", r"treatment 'raises_in_plan' failed at plan \(ValueError: no plan\).*is whole; --resume"),
        ("exits_in_make", r"treatment 'exits_in_make' failed at make 'treated' \(SystemExit"),
        ("plans_nothing", r"plan\(\) returned a NoneType; expected a poseig_mm.treatments.base.Plan"),
        ("makes_nothing", r"make\(\) returned a NoneType; expected a poseig_mm.treatments.base.Treated"),
        ("odd_control", r"has a control '../x'; expected letters"),
    ],
)
def test_a_broken_treatment_loses_nothing(
    made: tiny, tmp_path: Path, colours: Path, main: Main, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    """It is named, the first diagnosis stands, and the next treatment is done."""
    broken = write_plugin(tmp_path / "broken.py", BROKEN)
    assert main("-p", broken, "--treat", name, "--treat", "colours", "iterations=1") == 1
    captured = capsys.readouterr()
    assert re.search(message, captured.err)
    assert "colours: On 3 persons" in captured.out
    assert Store(tmp_path / "w").run["status"] == "complete"


def test_where_there_is_nothing_to_treat_nothing_is_done(
    tmp_path: Path, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said: that is no failure."""
    broken = write_plugin(tmp_path / "broken.py", BROKEN)
    assert main("-p", broken, "--treat", "needless") == 0
    assert "needless: No joint is read from a mark." in capsys.readouterr().out
    assert main("-p", broken, "--treat", "needless", "--dry-run") == 0
    assert "known after the diagnosis (of the 3 persons tried: No joint is" in capsys.readouterr().out


def test_ctrl_c_in_a_training_goes_on_later(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130; --resume does the rest."""
    from poseig_mm.run import training_run

    done = training_run._Steps.done

    def interrupted(self: Any, runner: Any, outputs: Any) -> None:
        done(self, runner, outputs)
        if runner.iter + 1 == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_run._Steps, "done", interrupted)
        assert main("--treat", "colours", "iterations=3") == 130
    assert main("--treat", "colours", "iterations=3", "--resume") == 0
    assert "treatment: " in capsys.readouterr().out


def test_several_processes_do_not_train(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at once, with the way to go."""
    from contextlib import nullcontext

    from poseig_mm import Shard

    monkeypatch.setattr(cli, "_processes", lambda launcher: nullcontext(Shard(0, 2)))
    with pytest.raises(ConfigError, match="a treatment trains in one process"):
        cli._diagnose(*reversed(_parsed(main)))


def _parsed(main: Main) -> tuple[Any, Any]:
    """Host and options as the command line makes them."""
    free = dict(zip(main.__code__.co_freevars, (cell.cell_contents for cell in main.__closure__ or ()), strict=True))
    arguments = [str(free["made"].config), str(free["made"].weights), "-p", str(free["colours"]), "--treat", "colours"]
    host, parser = cli._host_and_parser(arguments)
    return host, parser.parse_args(arguments)


def test_killed_at_any_stage_it_goes_on(made: tiny, colours: Path, tmp_path: Path) -> None:
    """SIGKILL in the first diagnosis, in each training, between, in the predictions, in the second diagnosis, at the
    page, in one work dir after another: in the end it has the verdict of a run that was not killed, and nothing that
    was done is done again.
    """
    driver = ROOT / "tests" / "helpers" / "treat_kill_driver.py"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(driver.parent), str(ROOT), env.get("PYTHONPATH"))))
    line = [sys.executable, str(driver), str(made.config), str(made.weights), str(colours), str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, env=env, timeout=HANGS)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["verdicts"][0] == found["verdicts"][1]
    *killed, last = found["processes"]
    assert [p["code"] for p in killed] == [-9] * len(killed), ended.stderr
    assert last["code"] == 0
    assert last["begun"] == ["page"]
    for i, process in enumerate(killed):  # what one died at was not whole, or not yet noted; all before it was
        finished = {event for before in killed[:i] for event in before["begun"]} - {p["died at"] for p in killed[:i]}
        assert not finished & set(process["begun"]), process


def test_the_hook_is_one() -> None:
    """And nothing of it is called with arguments."""
    assert HOOKS["poseig_treatments"] == ()


def test_a_plan_is_all_a_treatment_must_say() -> None:
    """A class without `make` cannot be made."""
    with pytest.raises(TypeError, match="make"):
        type("Half", (Treatment,), {"name": "half", "plan": lambda self, context: Plan("")})()
