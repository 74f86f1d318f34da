"""Treats the tiny model, killed (SIGKILL) at one stage after another, each time going on with --resume.

A process of its own: it forks a child a run, which is fast, and safe only while the parent has used nothing.
Usage: treat_kill_driver.py CONFIG WEIGHTS PLUGIN DIRECTORY; prints one JSON object: the verdicts of a run that is not
killed and of this one, and of each process the stage it died at, its exit code, and the stages it has begun.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from poseig_mm import cli
from poseig_mm.run import session, training_run, treat

STAGES = ("first diagnosis", "training treated", "weights treated", "training plain", "predictions", "again", "page")


def note(event: str, stage: str | None, log: Path) -> None:
    """What is done, and the end of the process where it is the stage to die at."""
    with log.open("a") as file:
        file.write(f"{event}\n")
    if event == stage:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(stage: str | None, log: Path) -> None:
    """Have every stage noted."""
    run, done, save, page = (
        session.Session.run,
        training_run._Steps.done,
        training_run.save_weights,
        treat.build_treatment_page,
    )

    def watched_run(self: Any) -> Any:
        place = Path(self.work_dir)
        inner = "again" if place.name == "after" else "predictions" if "held_out" in place.parts else "first diagnosis"
        loop = session.Loop.run

        def watched_loop(self: Any, positions: Any, *args: Any, **kwargs: Any) -> Any:
            found = loop(self, positions[:1] if inner == stage else positions, *args, **kwargs)
            if positions:
                note(inner, stage, log)
            return found

        session.Loop.run = watched_loop
        try:
            return run(self)
        finally:
            session.Loop.run = loop

    def watched_done(self: Any, runner: Any, outputs: Any) -> None:
        done(self, runner, outputs)
        if runner.iter + 1 == 4:
            note(f"training {Path(runner.work_dir).name}", stage, log)

    def watched_save(model: Any, path: Path) -> None:
        note(f"weights {path.stem}", stage, log)
        save(model, path)

    def watched_page(*args: Any, **kwargs: Any) -> Any:
        found = page(*args, **kwargs)
        note("page", stage, log)
        return found

    session.Session.run, training_run._Steps.done = watched_run, watched_done
    training_run.save_weights, treat.build_treatment_page = watched_save, watched_page


def forked(arguments: list[str], stage: str | None, folder: Path) -> dict[str, object]:
    """The command line in a child."""
    log = folder / f"{stage}.log"
    log.write_text("")
    pid = os.fork()
    if not pid:
        try:
            watch(stage, log)
            os.dup2(os.open(folder / "out", os.O_CREAT | os.O_WRONLY), 1)
            code = cli.main(arguments)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            code = 99
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"died at": stage, "code": code, "begun": log.read_text().splitlines()}


def main(config: str, weights: str, plugin: str, given: str) -> None:
    """A run that is not killed, then one that is at every stage."""
    folder, verdicts, processes = Path(given), [], []
    for name, stages in (("whole", (None,)), ("killed", (*STAGES, None))):
        arguments = [config, weights, "--work-dir", str(folder / name), "--device", "cpu", "-p", plugin]
        arguments += ["--treat", "colours", "iterations=6"]
        again = [*arguments, "--resume"]
        processes = [forked(again if i else arguments, stage, folder) for i, stage in enumerate(stages)]
        record = json.loads((folder / name / "treatments" / "colours" / "treatment.json").read_text())
        verdicts.append(record["verdict"])
    print(json.dumps({"verdicts": verdicts, "processes": processes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
