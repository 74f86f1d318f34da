"""The command line of `tools/diagnose.py` and `poseig-diagnose`: parse, call, exit code."""

from __future__ import annotations

import argparse
import ast
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import ConfigError, PoseIGError, describe_error
from .run.shard import Shard

if TYPE_CHECKING:
    from rich.console import Console

    from .checks import Check
    from .plugin.manager import PluginHost
    from .run.loop import Progress
    from .run.session import Session
    from .store import Store
    from .types import Conclusion


PATIENCE = 7 * 24 * 3600  # seconds that a finished process waits for the others of a launcher
DONE, FAILED, INTERRUPTED = 0, 1, 130  # exit codes; argparse's own is 2
EXIT_CODES = """exit codes:
  0    done; of persons, plugins and studies that failed on the way, the terminal gives the number and run.json the rest
  1    the run could not begin, or could not go on; the last lines say why. --check: a run would be stopped
  2    the command line is wrong
  130  interrupted by Ctrl-C or SIGTERM; what is on disk is whole, and --resume goes on
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `EXIT_CODES`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with _terminated_is_interrupted():
            host, parser = _host_and_parser(arguments)
            options = parser.parse_args(arguments)
            if options.list_plugins:
                print(host.format_records())
                return DONE
            if options.env:
                from .environment import describe_environment

                print(describe_environment(host.records))
                return DONE
            if options.config is None:
                parser.error("give the path of an MMPose config, or --list-plugins, or --env")
            try:
                return _diagnose(options, host)
            except (
                SystemExit
            ) as error:  # of code that the config or a plugin brought: the run is not done, whatever it says
                print(f"error: the run was ended by {describe_error(error)}", file=sys.stderr)
                return FAILED
    except KeyboardInterrupt:
        print("\ninterrupted; what is on disk is whole: go on with --resume and the same --work-dir", file=sys.stderr)
        return INTERRUPTED
    except PoseIGError as error:
        if os.environ.get("POSEIG_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _host_and_parser(arguments: list[str]) -> tuple[PluginHost, argparse.ArgumentParser]:
    """Plugins are loaded before the command line is parsed fully, since they may add options to it."""
    from .plugin.manager import PluginHost

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _plugin_options(early)
    known, _ = early.parse_known_args(arguments)
    host = PluginHost(block=tuple(known.no_plugin), plugins=tuple(known.plugin))
    parser = _parser()
    host.notify("poseig_add_cli", stage="add_cli", parser=parser)
    return host, parser


def _plugin_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p", "--plugin", action="append", default=[], metavar="PLUGIN", help="module, file.py or class path to load"
    )
    parser.add_argument("--no-plugin", action="append", default=[], metavar="NAME", help="leave this plugin out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poseig-diagnose",
        description="Diagnose an MMPose model: attribution maps of each joint, indices, and a report.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("config", nargs="?", help="any MMPose config; a `diagnosis` variable in it is optional")
    parser.add_argument("checkpoint", nargs="?", help="the model's weights")
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="PATH",
        help="explain these pictures, folders, globs or videos, which nobody annotated, in the data set's place",
    )
    parser.add_argument("--boxes", metavar="FILE", help="of --images: persons' boxes, a COCO results file")
    parser.add_argument("--every", type=int, metavar="N", help="of videos: one frame in N")
    parser.add_argument(
        "--detector",
        nargs=2,
        metavar=("CONFIG", "CHECKPOINT"),
        help="of --images: find the persons by this mmdet model; without boxes each whole picture is a person's",
    )
    parser.add_argument("--work-dir", help="where results go (default: work_dirs/<config name>)")
    parser.add_argument("--limit", type=int, help="diagnose the first N persons only")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the work dir")
    parser.add_argument(
        "--dry-run", action="store_true", help="count persons and joints, estimate time and disk from three, and stop"
    )
    parser.add_argument(
        "--check", action="store_true", help="look at model and data for some seconds, say what is found, and stop"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="CHECK",
        help="go on where this check says stop (agreement, ...)",
    )
    parser.add_argument(
        "--treat",
        action="append",
        nargs="+",
        default=[],
        metavar=("NAME", "KEY=VALUE"),
        help="treat the model after the diagnosis and diagnose it again, e.g. --treat gcn_refinement epochs=24",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="override config keys, a.b.c=value"
    )
    parser.add_argument("--list-plugins", action="store_true", help="show plugins, their hooks and status, and stop")
    parser.add_argument(
        "--env", action="store_true", help="show versions, devices, and what works here, for an issue, and stop"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm"], default="none", help="several processes")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"poseig_mm {__version__}")
    _plugin_options(parser)
    return parser


def _diagnose(options: argparse.Namespace, host: PluginHost) -> int:
    """One run with its progress on the terminal."""
    from .run.process import keep_freed_memory, wait_briefly

    wait_briefly()
    from .compat import prepare_environment

    prepare_environment()
    from rich.console import Console

    from .run.open import Plugins, load_config
    from .run.session import Session

    keep_freed_memory()

    config = load_config(options.config)
    config.merge_from_dict(_overrides(options))
    if options.treat:
        config.diagnosis = {**(config.get("diagnosis") or {}), "treatments": _treatments(config, options.treat)}
    if added := _plugins_options(options):
        config.cli_options = added
    plugins = Plugins(load=tuple(options.plugin), host=host)
    if options.dry_run:
        from .run.dry_run import dry_run

        print(dry_run(config, options.checkpoint, device=options.device, plugins=plugins, allow=options.allow))
        return DONE
    with _processes(options.launcher) as shard, _progress_bar(visible=shard.first and not options.check) as bar:
        session = Session(
            config,
            options.checkpoint,
            work_dir=options.work_dir,
            device=options.device,
            resume=options.resume,
            plugins=plugins,
            shard=shard,
            on_progress=bar.show,
            allow=options.allow,
            on_checked=partial(_print_checks, Console() if options.check else bar.console),
        )
        if options.check:
            return FAILED if any(check.level == "stop" for check in session.check()) else DONE
        if session.treatments and shard.world_size > 1:
            raise ConfigError(
                "a treatment trains in one process: diagnose with --launcher and without treatments, then go on in the "
                "same --work-dir with --resume --treat NAME and no launcher"
            )
        store = session.run()
    if shard.first:
        _print_summary(store, Path(session.work_dir), session.settings.report.enabled, session.conclusions)
    return _treat(session)


def _treat(session: Session) -> int:
    """The treatments of a diagnosed model, one after another; one that cannot be done leaves the others alone."""
    from .run.treat import TreatmentRun

    code = DONE
    for treatment in session.treatments:
        try:
            with _progress_bar(visible=True) as bar:
                session.on_progress = bar.show
                result = TreatmentRun(session, treatment).run()
        except PoseIGError as error:
            if os.environ.get("POSEIG_DEBUG"):
                raise
            print(f"error: treatment {treatment.name!r}: {error}", file=sys.stderr)
            code = FAILED
            continue
        print(f"{treatment.name}: {result.words}")
        if result.page is not None:
            print(f"treatment: {result.page}")
    return code


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM, which schedulers send, ends a run as cleanly as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plugins_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options that plugins have added: they reach every hook as `config.cli_options`."""
    own = vars(_parser().parse_args([]))
    return {name: _plain(value) for name, value in vars(options).items() if name not in own}


def _plain(value: Any) -> Any:
    """A value as a config can hold and write it."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """--cfg-options as mmengine reads them, and the options that are settings of samples."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    try:
        overrides = (
            parser.parse_args(["--cfg-options", *options.cfg_options]).cfg_options if options.cfg_options else {}
        )
    except ValueError as error:
        raise ConfigError(f"--cfg-options {options.cfg_options}: {error}; expected KEY=VALUE pairs") from error
    except RecursionError as error:  # MMEngine's reader has no dictionaries
        raise ConfigError(
            f"--cfg-options {options.cfg_options}: MMEngine cannot read this; expected KEY=VALUE pairs, the values "
            "being numbers, words, and lists of them. What holds a dict(...) stands in the config"
        ) from error
    given = {"limit": options.limit, "images": options.images or None, "boxes": options.boxes, "every": options.every,
             "detector": options.detector}  # fmt: skip
    overrides.update({f"diagnosis.samples.{key}": value for key, value in given.items() if value is not None})
    return dict(overrides)


def _treatments(config: Any, given: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Those of the config, and those of the command line, each a name and settings: KEY=VALUE, as in Python."""
    from .settings import Settings

    asked: dict[str, dict[str, Any]] = {}
    for name, *settings in given:
        if wrong := [text for text in settings if "=" not in text]:
            raise ConfigError(f"--treat {name} {wrong[0]}: expected a name, then settings as KEY=VALUE")
        asked[name] = {key: _value(text) for key, _, text in (setting.partition("=") for setting in settings)}
    there = Settings.parse(config.get("diagnosis")).as_config()["treatments"]
    kept = [{**entry, **asked.pop(entry["type"], {})} for entry in there]
    return [*kept, *({"type": name, **settings} for name, settings in asked.items())]


def _value(text: str) -> Any:
    """What is no Python literal is a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@contextmanager
def _processes(launcher: str) -> Iterator[Shard]:
    """This process' share, by mmengine's launchers; processes only wait for one another, so gloo does."""
    if launcher == "none":
        yield Shard()
        return
    import torch
    from mmengine.dist import get_dist_info, init_dist

    if launcher == "pytorch" and not torch.cuda.is_available():  # mmengine's own would select a GPU
        if "RANK" not in os.environ:
            raise ConfigError("--launcher pytorch: RANK is not set; start with python -m torch.distributed.run")
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=PATIENCE))
    else:
        init_dist(launcher, backend="gloo", timeout=PATIENCE)
    try:
        rank, world_size = get_dist_info()
        yield Shard(int(rank), int(world_size))
    finally:
        torch.distributed.destroy_process_group()


class _progress_bar:
    """rich's bar with persons done, speed and time left; silent on other ranks."""

    def __init__(self, visible: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.console = Console(stderr=True)  # what is printed here while the bar moves stands above it
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=not visible,
        )
        self._task = self._progress.add_task("preparing", total=None, unit="persons", left="")
        self._last = (0, 0)  # done, of how many

    def __enter__(self) -> _progress_bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: Progress) -> None:
        """How far the run is; where something else is counted, speed and time left are its own."""
        done, total = self._last
        if progress.total != total or progress.done < done:
            self._progress.reset(self._task)
        self._last = (progress.done, progress.total)
        self._progress.update(
            self._task,
            description=progress.stage,
            completed=progress.done,
            total=progress.total,
            unit=progress.unit,
            left=_left(progress),
            refresh=True,
        )


def _left(progress: Progress) -> str:
    """The time left at the mean speed of what is counted, however slow a step is; '' before the first one is done.

    rich's own column forgets steps of more than half a minute.
    """
    if not (progress.done and progress.seconds):
        return ""
    seconds = round(progress.seconds / progress.done * (progress.total - progress.done))
    return f"{timedelta(seconds=seconds)} left"


def _print_checks(console: Console, checks: Sequence[Check]) -> None:
    """The preflight: a dim line for each that is well, the others with what to do."""
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "dim", "warning": "yellow", "stop": "bold red"}
    table = Table.grid(padding=(0, 2))
    for check in checks:
        style = styles[check.level]
        found = Text(check.found, "dim" if check.level == "ok" else "")
        if check.advice:
            found.append(f"\n{check.advice}", style)
        table.add_row(Text(check.level, style), Text(check.name, style), found)
    console.print(table)


def _print_summary(store: Store, work_dir: Path, report: bool, conclusions: Sequence[Conclusion]) -> None:
    """The few numbers one wants first, where the rest is, and what stands out."""
    import polars as pl
    from rich.console import Console
    from rich.table import Table

    from .summary.measures import measures, with_values

    joints = store.joints()
    table = Table(title=f"{len(store.sample_ids)} persons, {int(joints['visible'].sum())} visible joints")
    table.add_column("group")
    titles = {m.name: m.label for m in with_values(measures(store, joints), joints)} | {
        "residual_rel": "residual",
        "map_error": "map error",
    }
    columns = list(titles)
    for title in titles.values():
        table.add_column(title, justify="right")
    shown = joints.filter(pl.col("visible")).with_columns(pl.col(columns).fill_nan(None))
    groups = shown.filter(pl.col("group") != "").group_by("group", maintain_order=True).agg(pl.col(columns).mean())
    for row in [*groups.iter_rows(named=True), {"group": "all", **shown.select(pl.col(columns).mean()).to_dicts()[0]}]:
        table.add_row(row["group"], *("-" if row[c] is None else f"{row[c]:.3g}" for c in columns))
    console = Console()
    console.print(table)
    if store.failures:
        failures = f"{len(store.failures)} failures were recorded; see {work_dir / 'run.json'}"
        console.print(failures, markup=False, highlight=False, soft_wrap=True)
    where = f"report: {work_dir / 'report' / 'index.html'}" if report else f"results (no report): {work_dir}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)
    _print_conclusions(console, store, conclusions)


def _print_conclusions(console: Console, store: Store, conclusions: Sequence[Conclusion]) -> None:
    """The sentences of the page's first screen."""
    from rich.padding import Padding
    from rich.text import Text

    from .summary.conclusions import MOST_SHOWN, effect_in_words, verdict

    console.print(Text(f"\n{verdict(store, conclusions)}"))
    for i, conclusion in enumerate(conclusions[:MOST_SHOWN], start=1):
        text = Text(f"{i}. {conclusion.sentence}", "bold")
        about = ", ".join(filter(None, (effect_in_words(conclusion), conclusion.sure)))
        text.append(f" {about}.", "not bold")
        if conclusion.try_:
            text.append(f" Try: {conclusion.try_.rstrip('.')}.", "not bold dim")
        console.print(Padding(text, (0, 0, 0, 2)))
    if (left := len(conclusions) - MOST_SHOWN) > 0:
        console.print(f"  {left} more in the report", markup=False)
