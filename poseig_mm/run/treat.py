"""Diagnose, treat, diagnose again: from a finished run to the page on a treatment, whichever it is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import PluginError, PoseIGError, StoreError, describe_error
from ..settings import Settings
from ..store import Store
from ..store.atomic import make_dir, publish
from ..store.parts import check_inside
from ..studies.error_kinds.study import ErrorKinds
from ..treatments.base import BEFORE, TREATED, Plan, Treated, Treatment
from ..treatments.page import AFTER, build_treatment_page
from ..treatments.training import plain
from .identity import digest
from .open import Plugins
from .session import Session
from .training_run import save_weights
from .treatment_context import RunTreatmentContext

ABOUT = "treatment.json"
OWN = "held-out persons"  # the config's, all of them
STUDIES = (ErrorKinds.name,)  # of a run without maps
TRIED_PERSONS = 16  # whose predictions are timed before


@dataclass(frozen=True)
class TreatmentResult:
    """What came of it."""

    words: str  # the verdict, or why nothing was done
    page: Path | None  # None: there was nothing to treat


class TreatmentRun:
    """A treatment of the model that a session has diagnosed, in `treatments/<name>/` of its work dir.

    What is done is done once: called again, it goes on where it stopped, whenever that was.

    Args:
        session: of the first diagnosis, which is complete.
        treatment: what is to be done.
        trial: for the time it takes: one arm, a few steps, no second diagnosis.
    """

    def __init__(self, session: Session, treatment: Treatment, *, trial: bool = False) -> None:
        self._session, self._treatment, self._trial = session, treatment, trial
        self.folder = session.work_dir / "treatments" / treatment.name
        self._settings = replace(session.settings, treatments=())

    def run(self) -> TreatmentResult:
        """Do what is not done yet.

        Raises:
            ConfigError: the treatment cannot be given to this model or with these data.
            StoreError: the folder holds another treatment's, or the disk is full; nothing done is lost.
            TrainingError: a training cannot go on.
            PluginError: the treatment raised something else.
        """
        check_inside(self._session.work_dir, self.folder)
        plan = self._plan()
        if plan.needless:
            return TreatmentResult(plan.needless, None)
        self._claim(plan)
        for arm in (TREATED, *plan.controls):
            self._make(arm)
        held_out = {OWN: None, **plan.held_out}
        stores = {
            data: {arm: self._evaluated(data, loader, arm) for arm in (BEFORE, TREATED, *plan.controls)}
            for data, loader in held_out.items()
        }
        after = self._diagnosed_again()
        before = Store(self._session.work_dir)
        with self._foreign("sections"):
            extra = tuple(self._treatment.sections(before, after))
        page, words = build_treatment_page(
            self.folder / "report",
            name=self._treatment.name,
            plan=plan,
            arms={arm: made["about"] for arm, made in self._record()["arms"].items()},
            before=before,
            after=after,
            held_out=stores,
            extra=extra,
        )
        self._note("verdict", words)
        return TreatmentResult(words, page)

    def estimate(self) -> str:
        """What it will take, from a trial of one arm: a few steps, a few persons; what is made is thrown away."""
        context = self._context
        plan = self._plan()
        if plan.needless:
            few = len(context.store)
            return (
                f"{self._treatment.name}: what there is to treat is known after the diagnosis (of the {few} persons "
                f"tried: {plan.needless})"
            )
        self._claim(plan)
        with self._foreign("make"):
            made = self._treatment.make(context, TREATED)
        arms = 1 + len(plan.controls)
        began = time.perf_counter()
        few = self._session.count(TRIED_PERSONS)[0]
        self._without_maps("trial", made.config, str(made.checkpoint), limit=few)
        each = (time.perf_counter() - began) / max(1, few)
        persons = self._session.count(None)[0]
        steps = sum(t.steps for t in context.trainings.values())
        training = sum(t.steps * t.seconds_a_step for t in context.trainings.values()) * arms
        predictions = each * persons * (arms + 1) * (1 + len(plan.held_out))
        passes = each * plan.passes
        parts = [
            f"{arms} x {steps} training steps: {duration(training)}",
            f"{persons} held-out persons by {arms + 1} models"
            f"{f' on {1 + len(plan.held_out)} sets of data' if plan.held_out else ''}: {duration(predictions)}",
            *([f"{plan.passes} training persons through the model: {duration(passes)}"] if plan.passes else []),
            "a second diagnosis as long as the first",
        ]
        return f"{self._treatment.name}: {plan.what} It will take: {'; '.join(parts)}"

    # ---- the steps -------------------------------------------------------------------------------------------------

    @cached_property
    def _context(self) -> RunTreatmentContext:
        session = self._session
        make_dir(self.folder)
        return RunTreatmentContext(
            store=Store(session.work_dir),
            first_config=session.config,
            settings=self._settings,
            checkpoint=self._checkpoint(),
            device=session.device,
            folder=self.folder,
            host=session.host,
            identity=self._identity,
            on_progress=session.on_progress,
            trial=self._trial,
        )

    def _checkpoint(self) -> str:
        """The first model's weights as a file; written where the model brings its own."""
        session = self._session
        if session.checkpoint is not None:
            return session.checkpoint
        path = self.folder / "models" / f"{BEFORE}.pth"
        if not path.is_file():
            save_weights(session.built_model(), path)
        return str(path)

    @cached_property
    def _identity(self) -> str:
        """What makes a treatment the one it is, but for its plan."""
        session, treatment = self._session, self._treatment
        owner = session.host.catalog.owner("treatments", treatment.name)
        config = session.config
        return digest(
            [
                Store(session.work_dir).run.get("weights_hash"),
                config.get("model"),
                config.get("train_dataloader"),
                config.get(f"{self._settings.samples.split}_dataloader"),
                self._own_settings,
                session.host.signature(owner, [treatment]),
            ]
        )

    @property
    def _own_settings(self) -> dict[str, Any]:
        """Of the treatment; {} where it has none."""
        return asdict(self._treatment) if is_dataclass(self._treatment) else {}

    def _plan(self) -> Plan:
        with self._foreign("plan"):
            plan: object = self._treatment.plan(self._context)
        if not isinstance(plan, Plan):
            raise PluginError(
                f"treatment {self._treatment.name!r}: plan() returned a {type(plan).__name__}; expected a "
                "poseig_mm.treatments.base.Plan"
            )
        if wrong := [
            arm for arm in plan.controls if not re.fullmatch(r"[A-Za-z_]\w*", arm) or arm in (BEFORE, TREATED)
        ]:
            raise PluginError(
                f"treatment {self._treatment.name!r} has a control {wrong[0]!r}; expected letters, digits and "
                f"underscores, and neither {BEFORE!r} nor {TREATED!r}"
            )
        return plan

    def _claim(self, plan: Plan) -> None:
        """Write treatment.json, or check that it is of this treatment."""
        about = {"identity": self._identity, "plan": digest(asdict(plan))}
        record = self._record()
        if record and {key: record.get(key) for key in about} != about:
            what = "its plan has changed with the diagnosis" if record["identity"] == self._identity else (
                "another model, other data or other settings"
            )  # fmt: skip
            raise StoreError(
                f"{self.folder} holds this treatment with {what}; go on as it was begun, or delete it to begin anew"
            )
        if not record:
            said = {"name": self._treatment.name, "settings": self._own_settings, "what": plan.what}
            self._write({**about, **said, "arms": {}})

    def _make(self, arm: str) -> None:
        """One arm's model, its config and checkpoint in `models/`."""
        record = self._record()
        config_file, weights = (self.folder / "models" / f"{arm}{end}" for end in (".py", ".pth"))
        if arm in record["arms"] and config_file.is_file() and weights.is_file():
            return
        with self._foreign(f"make {arm!r}"):
            made: object = self._treatment.make(self._context, arm)
        if not isinstance(made, Treated):
            raise PluginError(
                f"treatment {self._treatment.name!r}: make() returned a {type(made).__name__}; expected a "
                "poseig_mm.treatments.base.Treated"
            )
        if Path(made.checkpoint).resolve() != weights.resolve():
            publish(weights, Path(made.checkpoint).read_bytes())
        publish(config_file, made.config.pretty_text.encode())
        record = self._record()
        record["arms"][arm] = {"about": dict(made.about)}
        self._write(record)

    def _model(self, arm: str) -> tuple[Config, str]:
        """Config and checkpoint of an arm."""
        if arm == BEFORE:
            return self._context.config(), self._context.checkpoint
        models = self.folder / "models"
        return Config.fromfile(str(models / f"{arm}.py")), str(models / f"{arm}.pth")

    def _evaluated(self, data: str, loader: Mapping[str, Any] | None, arm: str) -> Store:
        """What an arm predicts for all persons of some held-out data: a run without maps."""
        place = Path("held_out") / file_name(data) / arm
        done = f"{place}"
        if done not in self._record().get("evaluated", {}):
            config, checkpoint = self._model(arm)
            if loader is not None:
                config[f"{self._settings.samples.split}_dataloader"] = plain(loader)
            self._without_maps(str(place), config, checkpoint, told=f"{arm}: predictions, {data}")
            self._note("evaluated", True, done)
        return Store(self.folder / place)

    def _without_maps(
        self, place: str, config: Config, checkpoint: str, *, limit: int | None = None, told: str = ""
    ) -> None:
        settings = self._settings.without_maps(STUDIES)
        settings = replace(
            settings,
            samples=replace(settings.samples, limit=limit, seed=None, ids=None),
            report=replace(settings.report, enabled=False),
        )
        self._session_of(config, checkpoint, settings, place, told).run()

    def _diagnosed_again(self) -> Store:
        if not self._record().get("after") or not self._is_as_long():
            config, checkpoint = self._model(TREATED)
            self._session_of(config, checkpoint, self._settings, AFTER, "second diagnosis").run()
            self._note("after", True)
        return Store(self.folder / AFTER)

    def _is_as_long(self) -> bool:
        """Whether the second diagnosis has all persons of the first, which may have gone on since."""
        return set(Store(self._session.work_dir).sample_ids) <= set(Store(self.folder / AFTER).sample_ids)

    def _session_of(self, config: Config, checkpoint: str, settings: Settings, place: str, told: str) -> Session:
        folder = self.folder / place
        return Session(
            config,
            checkpoint,
            settings=settings,
            work_dir=folder,
            device=self._session.device,
            resume=(folder / "run.json").exists(),
            plugins=Plugins(host=self._session.host),
            on_progress=lambda p: self._session.on_progress(replace(p, stage=told or p.stage)),
            allow=self._session.allow,
        )

    @contextmanager
    def _foreign(self, step: str) -> Iterator[None]:
        """What a treatment raises, as an error that names it; ours pass."""
        try:
            yield
        except (PoseIGError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise PluginError(
                f"treatment {self._treatment.name!r} failed at {step} ({describe_error(error)}). The first diagnosis "
                f"in {self._session.work_dir} is whole; --resume goes on from here"
            ) from error

    # ---- what is kept ----------------------------------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        path = self.folder / ABOUT
        if not path.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(
                f"cannot read {path}: {error}; delete {self.folder} to begin the treatment anew"
            ) from error
        return found

    def _note(self, part: str, value: Any, name: str | None = None) -> None:
        record = self._record()
        if name is None:
            record[part] = value
        else:
            record.setdefault(part, {})[name] = value
        self._write(record)

    def _write(self, record: Mapping[str, Any]) -> None:
        publish(self.folder / ABOUT, (json.dumps(record, indent=1, default=str) + "\n").encode())


def file_name(words: str) -> str:
    """A few words as the name of a folder.

    >>> file_name("held-out persons"), file_name("../x")
    ('held-out_persons', 'x')
    """
    return re.sub(r"[^\w.-]+", "_", words).strip("._") or "data"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(75.2), duration(7300)
    ('1 min 15 s', '2 h 01 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
