"""Which persons, joints and pictures a costly study takes: by hashes of their names, so never by order or batch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..seeding import stable_hash

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..store.reader import Store
    from ..types import Finding
    from .base import StudyContext

__all__ = ["check_counts", "chosen_joints", "keep_picture", "kept_pictures", "takes_part"]


def check_counts(study: object, **least: int) -> None:
    """Fields of a study that count something.

    Raises:
        ConfigError: one is no whole number, or below the least that is given.

    >>> from types import SimpleNamespace
    >>> check_counts(SimpleNamespace(every=0), every=1)
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: every is 0; expected a whole number, at least 1
    """
    for name, smallest in least.items():
        value = getattr(study, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {smallest}")


def takes_part(sample_id: str, every: int) -> bool:
    """Whether a person is among one in `every`: the stable hash of the id is divisible by it.

    >>> sum(takes_part(str(i), 4) for i in range(1000))
    249
    """
    return stable_hash(sample_id) % every == 0


def chosen_joints(finding: Finding, most: int) -> list[int]:
    """At most `most` joints of a person that are visible and that the run asked for, ascending.

    They are those of lowest stable hash of '<sample id>:<joint>': over many persons every joint comes up as often.
    """
    visible = finding.sample.visible.tolist()
    reasons = finding.attribution.reasons[0]
    there = [k for k, reason in enumerate(reasons) if visible[k] and reason not in ("not_visible", "not_asked")]
    return sorted(sorted(there, key=lambda k: stable_hash(f"{finding.sample.sample_id}:{k}"))[:most])


def keep_picture(context: StudyContext, study: str, sample_id: str, image: Image, most: int) -> None:
    """Save a person's picture; of all persons' pictures the `most` of lowest hash stay, whatever came first."""
    path = context.save_picture(study, _stem(sample_id), image)
    for superfluous in sorted(path.parent.glob("*.jpg"))[most:]:
        superfluous.unlink(missing_ok=True)


def kept_pictures(store: Store, study: str) -> list[tuple[Path, str]]:
    """(file, sample id) of the pictures that were kept, of samples that the store has."""
    ids = {_stem(sample_id): sample_id for sample_id in store.sample_ids}
    return [(path, ids[path.stem]) for path in store.pictures(study) if path.stem in ids]


def _stem(sample_id: str) -> str:
    """A file name that begins with the id's hash, so that the order of names is that of the hashes."""
    return f"{stable_hash(sample_id):08x}-{re.sub(r'[^A-Za-z0-9_.-]', '_', sample_id)}"
