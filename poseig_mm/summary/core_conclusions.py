"""What stands out in any run, whatever its studies: persons, joints, maps that may not be trusted, the preflight."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from ..types import Conclusion, PersonPicture
from .conclusions import how_sure
from .measures import images_of, unit_of
from .person_groups import group_conclusions, person_groups
from .sentences import plural

if TYPE_CHECKING:
    from ..store import Store

WORSE = 1.5  # times the error of the same persons' other joints, from which on a joint stands out: some joint is worst
MOST_NAMED = 3  # joints of a sentence
UNRELIABLE = 0.2  # share of a map's mass that is expected to lie elsewhere in the exact map
DISTRUSTED = 0.1  # share of joints with such a map, beyond which that is said
GRAVE = ("weights", "joints", "persons", "images", "outputs", "agreement", "evaluation")  # checks that bear on all


def core_conclusions(store: Store) -> list[Conclusion]:
    """Those that need nothing but the tables of every run."""
    joints = store.joints().filter(pl.col("visible"))
    if not len(joints):
        return _preflight(store)
    persons = joints.filter(pl.col("epe").is_finite()).group_by("sample_id", maintain_order=True)
    losses = persons.agg(pl.col("image_id").first(), pl.col("epe").mean().alias("loss"))
    return [
        *group_conclusions(losses, person_groups(store), unit_of(joints)),
        *_worst_joints(joints),
        *_distrusted_maps(store, joints),
        *_preflight(store),
    ]


def _worst_joints(joints: pl.DataFrame) -> list[Conclusion]:
    """The joints that are farther off than the same persons' others, in one conclusion."""
    from ..functional.inference import corrected_p, paired_difference

    known = joints.filter(pl.col("epe").is_finite())
    total, n = pl.col("epe").sum().over("sample_id"), pl.len().over("sample_id")
    others = pl.when(n > 1).then((total - pl.col("epe")) / (n - 1)).alias("others")
    known = known.with_columns(others).drop_nulls("others").sort("joint", "sample_id")
    parts = {name: part for (name,), part in known.group_by("joint_name", maintain_order=True)}
    compared = [paired_difference(p["others"].to_numpy(), p["epe"].to_numpy(), images_of(p)) for p in parts.values()]
    worse = []
    for (name, part), comparison, p in zip(parts.items(), compared, corrected_p(compared), strict=True):
        sure = how_sure(comparison.difference, p)
        if sure and part["epe"].mean() > WORSE * part["others"].mean():  # type: ignore[operator]
            worse.append((comparison.difference.mean * len(part) / len(known), str(name), comparison.difference, sure))
    if not worse:
        return []
    worse.sort(key=lambda row: -row[0])
    _, name, effect, sure = worse[0]
    named, left = [w[1] for w in worse[:MOST_NAMED]], len(worse) - MOST_NAMED
    text = ", ".join(named) + (f" and {plural(left, 'other')}" if left > 0 else "")
    farthest = parts[name].sort("epe", "sample_id", descending=[True, False]).head(3)
    one = len(worse) == 1
    sentence = f"{text} {'is' if one else 'are'} farther off than the same persons' other joints"
    return [
        Conclusion(
            name="worst joints",
            sentence=sentence + ("." if one else f", {name} most of all."),
            effect=effect,
            unit=f"{unit_of(joints)} more error",
            sure=sure,
            cost=sum(cost for cost, *_ in worse),
            cost_unit=unit_of(joints),
            pictures=tuple(
                PersonPicture(s, k, f"{name}, {e:.0f} {unit_of(joints)} off")
                for s, k, e in farthest.select("sample_id", "joint", "epe").rows()
            ),
            try_="see in their maps what they are read from (study 'shortcuts'); more training pictures that show them",
        )
    ]


def _distrusted_maps(store: Store, joints: pl.DataFrame) -> list[Conclusion]:
    """Where much of many maps is to be expected elsewhere; their residuals say nothing of that."""
    from ..functional.error_calibration import expected_map_error
    from ..functional.shares import share

    known = joints.filter(pl.col("map_error").is_finite())
    if not len(known):
        return []
    expected = pl.Series("expected", expected_map_error(known["map_error"], known["evaluations"]))
    known = known.with_columns(expected)
    ratio = share((expected > UNRELIABLE).cast(pl.Float64).to_numpy(), [1.0] * len(known), images_of(known))
    tested = math.isfinite(ratio.low)
    if not (ratio.low if tested else ratio.mean) > DISTRUSTED:
        return []
    much = f"{100 * UNRELIABLE:.0f} % of them or more"
    worst = known.sort("expected", "sample_id", descending=[True, False]).head(1)
    return [
        Conclusion(
            name="maps",
            sentence=f"Maps of some joints may not be trusted: {much} is expected to lie elsewhere.",
            effect=replace(ratio, **{end: 100 * getattr(ratio, end) for end in ("mean", "low", "high")}),
            unit="% of the joints",
            sure="shown" if tested else "too few persons",
            pictures=tuple(
                PersonPicture(s, k, f"{name}, expected map error {e:.2f}")
                for s, k, name, e in worst.select("sample_id", "joint", "joint_name", "expected").rows()
            ),
            try_="more gradients: diagnosis.attribution.max_nodes, or nodes, twice as large",
        )
    ]


def _preflight(store: Store) -> list[Conclusion]:
    """Checks that bear on every number; one that would have stopped the run bounds nothing."""
    given = store.run.get("preflight")
    checks = [c for c in given if isinstance(c, dict)] if isinstance(given, list) else []
    conclusions = []
    for check in checks:
        name, text = str(check.get("name", "")), str(check.get("found", "")).strip()
        if check.get("level") not in ("warning", "stop") or name not in GRAVE or not text:
            continue
        grave = check["level"] == "stop" or "overruled by --allow" in text
        conclusions.append(
            Conclusion(
                name=f"check {name}",
                sentence=f"Before the run, {name}: {text.rstrip('.')}.",
                cost=math.inf if grave else math.nan,
                try_=str(check.get("advice", "")),
            )
        )
    return conclusions
