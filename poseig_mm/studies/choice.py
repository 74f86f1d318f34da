"""Which persons, joints and pictures a costly study takes: by hashes of their names, so never by order or batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..seeding import stable_hash
from ..store.reader import Store
from ..types import Finding, Gallery
from .base import StudyContext
from .joints import asked_joints

if TYPE_CHECKING:
    from PIL.Image import Image


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
    candidates = [k for k in asked_joints(finding.attribution.reasons) if visible[k]]
    return sorted(sorted(candidates, key=lambda k: stable_hash(f"{finding.sample.sample_id}:{k}"))[:most])


def keep_picture(context: StudyContext, study: str, sample_id: str, image: Image, most: int) -> None:
    """Save a person's picture; of all persons' pictures the `most` of lowest hash stay, whatever came first."""
    path = context.save_picture(study, _stem(sample_id), image)
    for superfluous in sorted(path.parent.glob("*.jpg"))[most:]:
        superfluous.unlink(missing_ok=True)


def kept_gallery(store: Store, study: str, caption: str) -> tuple[Gallery, ...]:
    """The pictures that were kept, each with its sample's id, of samples that the store has; () without any."""
    ids = {_stem(sample_id): sample_id for sample_id in store.sample_ids}
    images = tuple((path, ids[path.stem]) for path in store.pictures(study) if path.stem in ids)
    return (Gallery(caption, images),) if images else ()


def _stem(sample_id: str) -> str:
    """A file name that begins with the id's hash, so that the order of names is that of the hashes."""
    return f"{stable_hash(sample_id):08x}-{re.sub(r'[^A-Za-z0-9_.-]', '_', sample_id)}"
