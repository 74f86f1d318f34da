"""Treats the tiny model again and again, each time killed (SIGKILL) at another stage, and then goes on with --resume.

A process of its own: it forks a child a run, which is fast, and safe only while the parent has used nothing.
Usage: treat_kill_driver.py CONFIG WEIGHTS PLUGIN DIRECTORY; prints one JSON object, stage -> exit codes, verdict, what
was done again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from poseig_mm import cli
from poseig_mm.run import session, training, treat

STAGES = ("first diagnosis", "training treated", "weights treated", "training plain", "predictions", "again", "page")
begun: list[str] = []


def note(event: str, stage: str | None) -> None:
    """What is done, and the end of the process where it is the stage to die at."""
    begun.append(event)
    if event == stage:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(stage: str | None) -> None:
    """Have every stage noted."""
    run, done, save, page = session.Session.run, training._Steps.done, training.save_weights, treat.build_treatment_page

    def watched_run(self: Any) -> Any:
        place = Path(self.work_dir)
        inner = "again" if place.name == "after" else "predictions" if "held_out" in place.parts else "first diagnosis"
        loop = session.Loop.run

        def watched_loop(self: Any, positions: Any, *args: Any, **kwargs: Any) -> Any:
            if positions:
                note(inner, None)
            found = loop(self, positions[:1] if inner == stage else positions, *args, **kwargs)
            if positions:
                note(inner, stage)
            return found

        session.Loop.run = watched_loop
        try:
            return run(self)
        finally:
            session.Loop.run = loop

    def watched_done(self: Any, runner: Any, outputs: Any) -> None:
        done(self, runner, outputs)
        if runner.iter + 1 == 4:
            note(f"training {Path(runner.work_dir).name}", stage)

    def watched_save(model: Any, path: Path) -> None:
        note(f"weights {path.stem}", stage)
        save(model, path)

    def watched_page(*args: Any, **kwargs: Any) -> Any:
        found = page(*args, **kwargs)
        note("page", stage)
        return found

    session.Session.run, training._Steps.done = watched_run, watched_done
    training.save_weights, treat.build_treatment_page = watched_save, watched_page


def forked(arguments: list[str], stage: str | None, log: Path) -> int:
    """The command line in a child; its exit code, -9 where it was killed."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        watch(stage)
        os.dup2(os.open(log.with_suffix(".out"), os.O_CREAT | os.O_WRONLY), 1)
        code = cli.main(arguments)
        log.write_text(json.dumps(begun))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 99
    os._exit(code)


def main(config: str, weights: str, plugin: str, folder: str) -> None:
    """All stages."""
    found = {}
    for stage in (None, *STAGES):
        work_dir, log = Path(folder) / "w", Path(folder) / "begun.json"
        shutil.rmtree(work_dir, ignore_errors=True)
        arguments = [config, weights, "--work-dir", str(work_dir), "--device", "cpu", "-p", plugin]
        arguments += ["--treat", "colours", "iterations=6"]
        codes = [forked(arguments, stage, log)]
        if stage is not None:
            codes.append(forked([*arguments, "--resume"], None, log))
        record = json.loads((work_dir / "treatments" / "colours" / "treatment.json").read_text())
        page = (work_dir / "treatments" / "colours" / "report" / "index.html").is_file()
        events = json.loads(log.read_text())
        found[str(stage)] = {"codes": codes, "verdict": record["verdict"], "page": page, "resumed": events}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
