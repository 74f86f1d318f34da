"""What a run will take, from a few of its persons: time and disk, before it is started."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config

from ..settings import Settings
from .open import Plugins
from .session import Session
from .treat import TreatmentRun

TRIED, TRIED_WITHOUT_MAPS = 3, 32  # persons; without maps in one batch
PER_PERSON = ("load", "prediction", "attribution", "indices", "store")  # timings that grow with the persons


@dataclass(frozen=True)
class DryRun:
    """What was counted, and what was estimated from `tried` persons."""

    persons: int
    joints: int  # annotated ones; some may lie outside the input
    tried: int
    seconds: float  # of all persons, without set-up and report
    data_bytes: int  # tables, maps and pictures of all persons
    joint_kind: str = "annotated"
    treatments: tuple[str, ...] = ()  # what each is going to do, and what it will take

    def __str__(self) -> str:
        hours, rest = divmod(round(self.seconds), 3600)
        each = max(1, self.persons)
        diagnosis = (
            f"{self.persons} persons, {self.joints} {self.joint_kind} joints; from {self.tried} of them: about "
            f"{hours} h {rest // 60:02d} min {rest % 60:02d} s ({self.seconds / each:.1f} s a person) and "
            f"{self.data_bytes / 1e6:.1f} MB ({self.data_bytes / each / 1e6:.2f} MB a person)"
        )
        return "\n".join((diagnosis, *self.treatments))


def dry_run(
    config: Config, checkpoint: str | None, *, device: str, plugins: Plugins, allow: Sequence[str] = ()
) -> DryRun:
    """Diagnose the first few persons in a temporary folder, studies included, and count the others.

    Args:
        config, checkpoint, device, plugins, allow: as of `Session`.

    Raises:
        PoseIGError: what the run itself would meet at its start.
    """
    settings = Settings.parse(config.get("diagnosis"))
    limit = settings.samples.limit
    most, batch_size = (
        (TRIED, 1) if settings.attribution.has_maps else (TRIED_WITHOUT_MAPS, settings.samples.batch_size)
    )
    samples = replace(settings.samples, limit=min(most, limit or most), batch_size=batch_size)
    trial = replace(settings, samples=samples, report=replace(settings.report, enabled=False))
    with tempfile.TemporaryDirectory(prefix="poseig-dry-run-") as folder:
        session = Session(
            config, checkpoint, settings=trial, work_dir=folder, device=device, plugins=plugins, allow=allow
        )
        store = session.run()
        tried = len(store)
        spent = sum(v for k, v in store.run["timings"].items() if k in PER_PERSON or k.startswith("study "))
        size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file() and f.parent != Path(folder))
        persons, joints = session.count(limit)
        treatments = tuple(TreatmentRun(session, t, trial=True).estimate() for t in session.treatments)
    kind = "predicted" if samples.image_names else "annotated"
    return DryRun(persons, joints, tried, spent / tried * persons, round(size / tried * persons), kind, treatments)
