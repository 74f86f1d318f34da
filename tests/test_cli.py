"""The command line: what it prints, its exit codes, and that a run which is stopped anywhere can go on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from tiny import HANGS, IDS, ROOT, command, tables, tiny, write_plugin, write_run

from poseig_mm import cli
from poseig_mm.run.loop import Progress
from poseig_mm.store import Store

Main = Callable[..., int]

MOST_MODULES = 350  # that `--help` may load: Python's own and pluggy are some 200, numpy alone would be 130 more


# ---- without a run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--help", "--list-plugins", "--version"])
def test_help_is_fast(option: str) -> None:
    """Neither torch nor MMPose is imported, and few modules at all: a count, since a time hangs on the machine."""
    code = "\n".join(
        [
            "import sys",
            "from poseig_mm.cli import main",
            "try:",
            "    code = main(sys.argv[1:])",
            "except SystemExit as end:",
            "    code = end.code",
            "print('used', len(sys.modules), code, *({'torch', 'mmengine', 'mmpose', 'polars'} & set(sys.modules)))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
    *shown, last = done.stdout.splitlines()
    used = last.split()
    assert int(used[1]) < MOST_MODULES
    assert used[2:] == ["0"]
    expected = {"--help": "--cfg-options", "--list-plugins": "attribution", "--version": "poseig_mm"}[option]
    assert any(expected in line for line in shown)


def test_list_plugins_shows_those_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -p and --no-plugin heeded; no config is needed."""
    plugin = write_plugin(tmp_path / "mine.py", "@hookimpl\ndef poseig_paths():\n    return {}\n")
    assert cli.main(["--list-plugins", "-p", str(plugin), "--no-plugin", "report"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "loaded" in lines["mine"]
    assert "paths" in lines["mine"]
    assert "blocked" in lines["report"]


def test_without_a_config_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's exit code 2."""
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "give the path of an MMPose config, or --list-plugins, or --env" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--cfg-options", "diagnosis.atribution.nodes=3"],
            "diagnosis.atribution is unknown; did you mean 'attribution'",
        ),
        (["--cfg-options", "nonsense"], "expected KEY=VALUE"),
        (["--limit", "0"], "limit is 0; expected at least 1"),
        (["-p", "nowhere.py"], "there is no plugin file"),
        (["-p", "no_such_module"], "no module named 'no_such_module'"),
        (["--no-plugin", "attribution"], "there is no attribution method 'path_ig'"),
        (["--launcher", "pytorch"], "RANK is not set"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
    ],
)
def test_an_error_is_one_line(
    main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], message: str
) -> None:
    """Exit code 1, no traceback, nothing written."""
    assert main(*options) == 1
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in err
    assert not (tmp_path / "w" / "samples").exists()


@pytest.mark.parametrize("what", ["config", "weights"])
def test_a_missing_file_is_named(main: Main, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Config and checkpoint."""
    assert main(**{what: "nowhere/at_all"}) == 1
    assert "nowhere/at_all" in capsys.readouterr().err


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_prints_a_summary(
    main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_store: Store
) -> None:
    """Exit code 0; the numbers are those of a session."""
    assert main("--limit", 2) == 0
    shown = capsys.readouterr()
    assert "2 persons, 7 visible joints" in shown.out
    assert "2/2" in shown.err
    store = Store(tmp_path / "w")
    assert store.run["settings"]["samples"]["limit"] == 2
    assert tables(store)["samples"] == tables(tiny_store)["samples"][:2]


@pytest.mark.parametrize(
    ("done", "seconds", "said"),
    [
        (0, 0.0, ""),
        (1, 90.0, "0:04:30 left"),  # a person takes a minute and a half: rich's own column would say nothing
        (3, 90.0, "0:00:30 left"),
        (4, 90.0, "0:00:00 left"),
        (2, 0.0, ""),  # no clock is kept of this stage
    ],
)
def test_the_time_left_is_said_from_the_first_person_on(done: int, seconds: float, said: str) -> None:
    """At the mean speed so far, in the bar's line."""
    bar = cli._progress_bar(visible=True)
    bar.console.file = StringIO()
    with bar:
        bar.show(Progress("diagnosing", done, 4, seconds))
    assert said in bar.console.file.getvalue()
    assert ("left" in bar.console.file.getvalue()) == bool(said)


def test_cfg_options_reach_the_settings(main: Main, tmp_path: Path) -> None:
    """Also keys of a section; lists in mmengine's way."""
    options = ["diagnosis.attribution.nodes=3", "diagnosis.samples.ids=[2-3]", "diagnosis.store.maps=none"]
    assert main("--cfg-options", *options) == 0
    store = Store(tmp_path / "w")
    assert store.sample_ids == ("2-3",)
    assert (store.run["settings"]["attribution"]["nodes"], store.map("2-3")) == (3, None)


CLI_PLUGIN = """
@hookimpl
def poseig_add_cli(parser):
    parser.add_argument("--favourite", default="none")
    parser.add_argument("--where", type=__import__("pathlib").Path)


@hookimpl
def poseig_session_start(config, run_dir):
    (run_dir / "favourite.txt").write_text(config.cli_options.favourite)
"""


def test_options_of_a_plugin_reach_its_hooks(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `config.cli_options`; they belong to the run, so another value does not resume it."""
    plugin = write_plugin(tmp_path / "chosen.py", CLI_PLUGIN)
    assert main("--limit", 1, "-p", plugin, "--favourite", "blue", "--where", "a/b") == 0
    assert (tmp_path / "w" / "favourite.txt").read_text() == "blue"
    records = [p for p in Store(tmp_path / "w").run["plugins"] if p["name"] == "chosen"]
    assert [p["status"] for p in records] == ["loaded"]  # once
    assert main("--limit", 1, "-p", plugin, "--favourite", "red", "--where", "a/b", "--resume") == 1
    assert "cli_options" in capsys.readouterr().err
    assert main("--limit", 1, "-p", plugin, "--favourite", "blue", "--where", "a/b", "--resume") == 0


def test_a_config_may_name_its_plugins(main: Main, tmp_path: Path) -> None:
    """A file given by the config and by -p is loaded once."""
    plugin = write_plugin(tmp_path / "named.py", "@hookimpl\ndef poseig_paths():\n    return {}\n")
    assert main("--limit", 1, "--cfg-options", f"diagnosis.plugins=[{plugin}]", "-p", plugin) == 0
    records = [p for p in Store(tmp_path / "w").run["plugins"] if p["name"] == "named"]
    assert [(p["source"], p["status"]) for p in records] == [("config", "loaded")]


# ---- stopped and resumed ---------------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c_works() -> Iterator[None]:
    """SIGINT interrupts this process and those it starts, also where pytest was started with SIGINT ignored.

    So it is under nohup, and for what a script starts in the background; whoever is started inherits it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


STOPPING = """
import os, signal, time


@hookimpl
def {hook}({argument}):
    if {condition}:
        {action}
"""


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_cleanly(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_store: Store, number: signal.Signals
) -> None:
    """Exit code 130, 'interrupted' in run.json, what was done is there; --resume ends it; the handlers are back."""
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    action = f"os.kill(os.getpid(), {int(number)}); time.sleep(5)"
    text = STOPPING.format(
        hook="poseig_after_sample", argument="sample", condition="sample.sample_id == '1-2'", action=action
    )
    plugin = write_plugin(tmp_path / "stop.py", text)
    assert main("-p", plugin) == 130
    assert "--resume" in capsys.readouterr().err
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    store = Store(tmp_path / "w")
    assert (store.run["status"], store.sample_ids) == ("interrupted", IDS[:1])
    assert main("--resume") == 0
    store = Store(tmp_path / "w")
    assert (store.run["status"], store.run["resumes"]) == ("complete", 1)
    assert tables(store) == tables(tiny_store)


@pytest.mark.usefixtures("ctrl_c_works")
def test_an_interrupt_during_setup(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While plugins are asked, before there is a store: the same exit code, no traceback."""
    action = "os.kill(os.getpid(), signal.SIGINT); time.sleep(5); return {}"
    plugin = write_plugin(
        tmp_path / "stop.py", STOPPING.format(hook="poseig_paths", argument="", condition="True", action=action)
    )
    assert main("-p", plugin) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def wait_until(reached: Callable[[], bool]) -> None:
    """Look every 50 ms."""
    end = time.monotonic() + HANGS
    while not reached():
        assert time.monotonic() < end, "never reached"
        time.sleep(0.05)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_from_outside(
    main: Main, tmp_path: Path, tiny_files: tiny, tiny_store: Store, number: signal.Signals
) -> None:
    """Ctrl-C and kill -9 in the middle of the last sample: --resume gives an undisturbed run's tables, nothing
    twice.
    """
    marker = tmp_path / "here"
    action = f"open({str(marker)!r}, 'w').close(); time.sleep({HANGS})"
    text = STOPPING.format(
        hook="poseig_after_sample", argument="sample", condition="sample.sample_id == '2-3'", action=action
    )
    plugin = write_plugin(tmp_path / "stop.py", text)
    given = (tiny_files.config, tiny_files.weights, "--work-dir", tmp_path / "w", "--device", "cpu", "-p", plugin)
    process = command(*given)
    # The samples before are written behind the computation.
    wait_until(lambda: process.poll() is not None or (marker.exists() and Store(tmp_path / "w").sample_ids == IDS[:2]))
    process.send_signal(number)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), err
    assert "Traceback" not in err
    store = Store(tmp_path / "w")
    assert store.run["status"] == ("interrupted" if number == signal.SIGINT else "running")
    assert store.sample_ids == IDS[:2]
    seen = write_plugin(
        tmp_path / "seen.py",
        "@hookimpl\ndef poseig_after_sample(sample):\n"
        f"    open({str(tmp_path / 'seen')!r}, 'a').write(sample.sample_id + ' ')\n",
    )
    assert main("--resume", "-p", seen) == 0
    assert (tmp_path / "seen").read_text().split() == ["2-3"]  # nothing is computed again
    store = Store(tmp_path / "w")
    assert store.run["status"] == "complete"
    assert tables(store) == tables(tiny_store)


def test_a_run_that_ignores_ctrl_c_ends_on_sigterm(tmp_path: Path, tiny_files: tiny) -> None:
    """As under nohup, where SIGINT is ignored from the start: the run goes on, and SIGTERM still ends it cleanly."""
    marker = tmp_path / "here"
    action = f"os.kill(os.getpid(), signal.SIGINT); open({str(marker)!r}, 'w').close(); time.sleep({HANGS})"
    text = STOPPING.format(
        hook="poseig_after_sample", argument="sample", condition="sample.sample_id == '1-2'", action=action
    )
    given = (tiny_files.config, tiny_files.weights, "--work-dir", tmp_path / "w", "--device", "cpu")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = command(*given, "-p", write_plugin(tmp_path / "stop.py", text))
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: process.poll() is not None or marker.exists())
    assert process.poll() is None, process.communicate()[1]  # SIGINT came before the marker
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    store = Store(tmp_path / "w")
    assert (store.run["status"], store.sample_ids) == ("interrupted", IDS[:1])


def test_several_processes_share_a_run(tmp_path: Path, tiny_files: tiny, tiny_store: Store) -> None:
    """Two ranks of torch.distributed on a CPU: each its samples and its own parts, one store with the same numbers."""
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    line += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(ROOT / "tools" / "diagnose.py")]
    line += [str(tiny_files.config), str(tiny_files.weights), "--work-dir", str(tmp_path / "w"), "--device", "cpu"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = ["--launcher", "pytorch", "--cfg-options", "diagnosis.report.enabled=True"]
    done = subprocess.run([*line, *options], capture_output=True, text=True, env=env, timeout=HANGS)
    assert done.returncode == 0, done.stderr[-3000:]
    store = Store(tmp_path / "w")
    assert tables(store) == tables(tiny_store)
    assert sorted({re.findall(r"r(\d+)", p.name)[0] for p in (tmp_path / "w" / "samples").iterdir()}) == ["000", "001"]
    runs = [json.loads((tmp_path / "w" / name).read_text()) for name in ("run.json", "run-r001.json")]
    assert [(r["status"], "report" in r["timings"]) for r in runs] == [("complete", True), ("complete", False)]
    page = (tmp_path / "w" / "report" / "index.html").read_text()
    assert "2-3" in page
    assert "1-2" in page


def test_a_dry_run_counts_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run says persons, annotated joints, time and bytes, and writes no work dir; --limit is honoured."""
    made = write_run(tmp_path / "data")
    for limit, said in ((None, "3 persons, 10 annotated joints"), (2, "2 persons, 7 annotated joints")):
        options = [] if limit is None else ["--limit", str(limit)]
        work_dir = tmp_path / "work"
        assert cli.main([str(made.config), str(made.weights), "--work-dir", str(work_dir), "--dry-run", *options]) == 0
        text = capsys.readouterr().out
        assert said in text
        assert "s a person" in text
        assert "MB a person" in text
        assert not work_dir.exists()


def test_exit_codes_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each one that `main` gives."""
    assert f"{cli.INTERRUPTED}  interrupted" in cli.EXIT_CODES
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert cli.EXIT_CODES in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, None, 3, "enough"])
def test_a_run_that_somebody_elses_code_ends_is_no_success(
    main: Main, code: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.exit(0)` in a dataset or a model, which no hook guards."""
    from poseig_mm.run.session import Session

    def leave(self: Session) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(Session, "run", leave)
    assert main() == cli.FAILED
    assert "asked the whole program to exit" in capsys.readouterr().err
