"""The verdict on the run's maps, at the top of the page: better than chance, and than simpler methods?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from ...functional.inference import FEWEST, Comparison, corrected_p, paired_difference
from ...store.reader import Store
from ...summary.measures import estimate, images_of, joint_order, run_value
from ...summary.sentences import format_estimate, format_p, plural
from ...types import Missing, Section, Table
from ..section_parts import parts_of, ratio_of_means, reasons_by, study_rows, with_holm

ORDER = 5  # at the top of the page
TITLE = "May these maps be trusted?"
LEVEL = 0.05
BETTER = {"deletion": -1, "gain": 1}  # sign of run minus other where the run's maps are the better ones
OTHERS = {"random": "random maps", "gradient": "the plain gradient", "linear": "linear IG from black"}
TRUSTED, NOT_TRUSTED, OPEN, FEW = "may be trusted", "may not be trusted", "no verdict", "too few persons"
MOST_NAMES = 6  # of joints in the lead


@dataclass(frozen=True)
class Verdict:
    """What was decided, and from what: (other method, measure) -> run minus other, and p after Holm's correction."""

    word: str  # one of the four above
    persons: int
    tests: Mapping[tuple[str, str], tuple[Comparison, float]]

    def outcome(self, other: str, measure: str) -> int:
        """+1 the run's maps are better, -1 worse, 0 not told apart."""
        comparison, p = self.tests[other, measure]
        return _outcome(comparison, p, measure)


def _outcome(comparison: Comparison, p: float, measure: str) -> int:
    if not p < LEVEL:  # NaN: not tested
        return 0
    return int(np.sign(comparison.difference.mean)) * BETTER[measure]


def overall_verdict(rows: pl.DataFrame) -> Verdict:
    """Over all joints, Holm's correction over every comparison."""
    tests = with_holm({(other, m): _compare(rows, other, m) for other in OTHERS for m in BETTER})
    persons = _persons(rows)
    if any(isinstance(tests["random", m][1], Missing) for m in BETTER):
        return Verdict(FEW, persons, tests)
    against = [_outcome(*tests["random", m], m) for m in BETTER]
    return Verdict(_word(against), persons, tests)


def joint_verdicts(rows: pl.DataFrame, joints: Sequence[int]) -> dict[int, Verdict]:
    """Each joint against random maps alone; the larger of its two p-values is corrected for the number of joints."""
    tests = {k: {m: _compare(rows.filter(pl.col("joint") == k), "random", m) for m in BETTER} for k in joints}
    verdicts = {}
    for (k, of_joint), p in zip(tests.items(), corrected_p([_weaker(t) for t in tests.values()]), strict=True):
        persons = _persons(rows.filter(pl.col("joint") == k))
        outcomes = [_outcome(c, p, m) for m, c in of_joint.items()]
        word = FEW if isinstance(p, Missing) else _word(outcomes) if len(set(outcomes)) == 1 else OPEN
        verdicts[k] = Verdict(word, persons, {("random", m): (c, p) for m, c in of_joint.items()})
    return verdicts


def _weaker(of_joint: Mapping[str, Comparison]) -> Comparison:
    """The one of the larger p, with the larger least p: both must hold."""
    first, second = of_joint.values()
    p, least = (
        max(a, b) if a == a and b == b else math.nan for a, b in ((first.p, second.p), (first.least_p, second.least_p))
    )
    return replace(first, p=p, least_p=least)


def _word(outcomes: Sequence[int]) -> str:
    if any(o < 0 for o in outcomes):
        return NOT_TRUSTED
    return TRUSTED if all(o > 0 for o in outcomes) else OPEN


def _compare(rows: pl.DataFrame, other: str, measure: str) -> Comparison:
    """Run minus other of the same person and joint."""
    mine, theirs = (rows.filter(pl.col("method") == m) for m in ("run", other))
    pairs = mine.join(theirs, on=["sample_id", "joint"], suffix="_other").sort("sample_id", "joint")
    return paired_difference(pairs[f"{measure}_other"].to_numpy(), pairs[measure].to_numpy(), images_of(pairs))


def _persons(rows: pl.DataFrame) -> int:
    """Persons with a number for the run's maps."""
    known = rows.filter((pl.col("method") == "run") & pl.col("deletion").is_finite() & pl.col("gain").is_finite())
    return int(known["sample_id"].n_unique())


def sanity_section(store: Store, name: str) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    order = [(k, title) for k, title, _ in joint_order(rows, [])]
    verdict, by_joint = overall_verdict(rows), joint_verdicts(rows, [k for k, _ in order])
    unit, why = str(rows["unit"][0]), "Joints without these numbers, by reason."
    blocks = (
        *(_methods(store, rows), _comparisons(verdict, unit), _joints(order, by_joint, unit)),
        *reasons_by(rows, ["method"], why, ("map", "reason", "joints")),
    )
    return Section(name, TITLE, _lead(verdict, {title: by_joint[k] for k, title in order}), blocks, ORDER)


def _lead(verdict: Verdict, by_joint: Mapping[str, Verdict]) -> str:
    who = plural(verdict.persons, "person")
    if verdict.word == FEW:
        return (
            f"No verdict: {who} with a map, and nothing is tested on fewer than {FEWEST} images. The table describes "
            "them; run more to know whether the maps may be trusted."
        )
    numbers = "; ".join(
        f"{title} {format_estimate(c.difference, digits)}, {format_p(p)}"
        for title, digits, (c, p) in (
            ("deletion area", 3, verdict.tests["random", "deletion"]), ("gain", 2, verdict.tests["random", "gain"])
        )
    )  # fmt: skip
    begin = {
        TRUSTED: "These maps may be trusted on this model: the pixels they mark matter more than random ones",
        NOT_TRUSTED: "These maps may not be trusted on this model: they do worse than random ones",
        OPEN: "No verdict on these maps: they are not told apart from random ones in both measures",
    }[verdict.word]
    text = f"{begin} (run minus random: {numbers}; {who}). "
    text += " ".join(_against(verdict, other) for other in ("gradient", "linear"))
    failing = [title for title, v in by_joint.items() if v.word in (NOT_TRUSTED, OPEN)]
    few = [title for title, v in by_joint.items() if v.word == FEW]
    if failing:
        text += f" Not for {_named(failing, len(by_joint))}: there, maps are not shown to beat random ones."
    if few:
        text += f" Too few persons for {_named(few, len(by_joint))}."
    return text


def _against(verdict: Verdict, other: str) -> str:
    """How the run's maps do against one simpler method."""
    outcomes = {m: verdict.outcome(other, m) for m in BETTER}
    words = {"deletion": "deletion area", "gain": "gain"}
    better, worse = ([words[m] for m, o in outcomes.items() if o == sign] for sign in (1, -1))
    name = OTHERS[other]
    if better and not worse:
        return f"They beat {name} in {' and '.join(better)}."
    if worse and not better:
        return f"But {name} is better in {' and '.join(worse)}: it costs less, and should be preferred."
    if better and worse:
        return f"Against {name} they are better in {better[0]} and worse in {worse[0]}."
    return f"They are not told apart from {name}."


def _named(names: Sequence[str], of: int) -> str:
    if len(names) == of:
        return "any single joint"
    if len(names) > MOST_NAMES:
        return f"{len(names)} of {of} joints (see the table)"
    return ", ".join(n.replace("_", " ") for n in names)


def _methods(store: Store, rows: pl.DataFrame) -> Table:
    unit = str(rows["unit"][0])
    own = str(run_value(store, "settings", "attribution", "method", default=""))
    titles = {"run": f"this run's maps ({own})" if own else "this run's maps", **OTHERS}
    table = tuple(
        (
            titles[method],
            estimate(part, "deletion"),
            estimate(part, "gain"),
            ratio_of_means(part, "change", "change_permuted"),
        )
        for method, part in parts_of(rows, "method", list(titles))
    )
    caption = (
        "Deletion area: likelihood left, 0 to 1, while the pixels that a map ranks first are replaced by the blurred "
        "image; less is better. Gain: how much farther the joint's error moves when the map's places are greyed than "
        "when as many random places are; more is better. R_E: the same as a ratio (1: no better than chance). Mean [95 "
        "% interval], images resampled."
    )
    return Table(caption, ("map", "deletion area", f"gain ({unit})", "R_E"), table, 3)


def _comparisons(verdict: Verdict, unit: str) -> Table:
    def numbers(other: str) -> list[Any]:
        return [v for m in BETTER for v in (verdict.tests[other, m][0].difference, verdict.tests[other, m][1])]

    table = tuple((title, *numbers(other)) for other, title in OTHERS.items())
    caption = (
        "This run's maps minus the others', the same persons and joints. p: Wilcoxon's signed-rank test on the "
        "images' mean differences, Holm-corrected over all six. The rule: the maps may be trusted if they beat random "
        f"maps in both measures (p < {LEVEL}); they may not if they lose in one; otherwise, or with fewer than "
        f"{FEWEST} images, there is no verdict. Gradient and linear IG do not change it, they say whether a simpler "
        "method would do."
    )
    return Table(caption, ("against", "deletion area", "p", f"gain ({unit})", "p of the gain"), table, 3)


def _joints(order: Sequence[tuple[int, str]], by_joint: Mapping[int, Verdict], unit: str) -> Table:
    rows = []
    for k, title in order:
        v = by_joint[k]
        (deletion, p), (gain, _) = v.tests["random", "deletion"], v.tests["random", "gain"]
        rows.append((title.replace("_", " "), v.persons, deletion.difference, gain.difference, p, v.word))
    caption = (
        "Joint by joint, the run's maps minus random ones. p: the larger of the two measures' (both must hold), "
        "Holm-corrected over the joints; below 0.05 with both differences on the good side (deletion area less, gain "
        "more) the joint's maps may be trusted, with both on the bad side they may not, otherwise there is no verdict."
    )
    columns = ("joint", "persons", "deletion area", f"gain ({unit})", "p (Holm)", "verdict")
    return Table(caption, columns, tuple(rows), 3)
