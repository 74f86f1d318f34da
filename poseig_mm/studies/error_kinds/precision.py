"""What each person's errors are in COCO's measures: object keypoint similarity (OKS) and its part of AP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import StoreError
from ...store.reader import Store
from ...summary.measures import run_value
from ...summary.persons import in_pixels
from .classify import KINDS, Bools, Floats, average_precision, object_similarity
from .rows import ErrorKindsSettings, joint_kinds

_SCHEMA = {"sample_id": pl.String(), "image_id": pl.String(), "oks": pl.Float64(), "ap": pl.Float64()}


@dataclass(frozen=True)
class Similarities:
    """Joints with a kind, person by person: P persons, K joints."""

    persons: pl.DataFrame  # (P,) sample_id, image_id
    ks: Floats  # (P, K) to the own annotation; NaN where a joint has no kind
    largest: Floats  # (P, K) of all places it could be taken for
    kinds: NDArray[np.int_]  # (P, K) index in `KINDS`, -1 where a joint has none

    @property
    def oks(self) -> Floats:
        """(P,)."""
        return object_similarity(self.ks)

    @property
    def ap(self) -> Floats:
        """(P,) each person's part."""
        return average_precision(self.oks)

    def are(self, kinds: tuple[str, ...]) -> Bools:
        """(P, K): whose kind is one of these."""
        return np.isin(self.kinds, [KINDS.index(kind) for kind in kinds])


def similarities(known: pl.DataFrame) -> Similarities:
    """From rows of `joint_kinds` whose `kind` is not null."""
    persons = known.unique("sample_id", keep="first", maintain_order=True).select("sample_id", "image_id")
    place = {name: i for i, name in enumerate(persons["sample_id"])}
    person = np.array([place[name] for name in known["sample_id"]], dtype=int)
    joint = known["joint"].to_numpy()
    shape = (len(persons), int(joint.max(initial=-1)) + 1)
    ks, largest, kinds = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1)
    ks[person, joint], largest[person, joint] = known["ks"].to_numpy(), known["largest"].to_numpy()
    kinds[person, joint] = [KINDS.index(kind) for kind in known["kind"]]
    return Similarities(persons, ks, largest, kinds)


def person_ap(store: Store, name: str = "error_kinds") -> pl.DataFrame:
    """OKS of each person, and its part of AP@[.5:.95], as the study's section gives their means.

    AP is the mean of the parts: of annotated boxes, each person matched with its own prediction, so it is not COCO's.

    Args:
        store: of a run with the study; its sigmas are those of the run's settings.
        name: of the study.

    Returns:
        (sample_id, image_id, oks, ap), a row a person with a visible joint, a known area and a prediction; none where
        joints are not in px.

    Raises:
        StoreError: the run does not have the study.
    """
    given = dict(run_value(store, "settings", "studies", default=()))
    if name not in store.studies:
        raise StoreError(f"the run in {store.path} has no study {name!r}; diagnose with diagnosis.studies=['{name}']")
    if not in_pixels(store.joints()):
        return pl.DataFrame(schema=_SCHEMA)
    found = similarities(joint_kinds(store, name, ErrorKindsSettings(**given.get(name, {}))).drop_nulls("kind"))
    return found.persons.with_columns(pl.Series("oks", found.oks), pl.Series("ap", found.ap))
