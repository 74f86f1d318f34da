"""A treatment's verdict in sentences: a control that does better is said first, then what the treatment changed."""

from __future__ import annotations

from collections.abc import Sequence

from ..functional.inference import FEWEST
from ..summary.measures import image_count
from ..summary.sentences import format_estimate, format_p, plural
from .outcome import Change, Outcome

WORDS = {1: "better", 0: "no difference shown", -1: "worse"}


def verdict(outcome: Outcome, changes: Sequence[Change], *, judged: bool = True) -> str:
    """Of one set of held-out persons.

    The error decides, over the joints that the treatment is meant for; `judged`: these persons say whether it cures.
    """
    before, treated, *controls = outcome.arms
    epe = outcome.measures[0]
    meant = bool(outcome.meant_for)
    deciding = {(c.arm, c.than): c for c in changes if c.measure == epe and c.meant == meant}
    of = f" of {', '.join(outcome.meant_for)}" if meant else ""
    images = image_count(outcome.joints[before])
    persons = outcome.joints[before]["sample_id"].n_unique()
    parts = []
    for control in controls:
        change = deciding[treated, control]
        if change.verdict < 0:
            where, cure = ("", " What is to be the cure is not shown to cure anything.") if judged else (
                f", {outcome.data}", ""
            )  # fmt: skip
            parts.append(
                f"The control '{control}' does better than the treatment{where}: the error{of} with the treatment is "
                f"higher by {_said(change)}.{cure}"
            )
    change = deciding[treated, before]
    means = [outcome.mean(arm, epe, outcome.meant_for) for arm in (before, treated)]
    parts.append(
        f"On {plural(persons, 'person')} ({outcome.data}) the mean error{of} goes from {means[0].mean:.2f} to "
        f"{means[1].mean:.2f} {outcome.unit}: {_said(change)}, {WORDS[change.verdict]}."
    )
    for control in controls:
        change = deciding[treated, control]
        if change.verdict >= 0:
            only = (
                ""
                if change.verdict or not judged
                else ": what the treatment does, its control does as well, as far as can be told"
            )
            parts.append(f"Against the control '{control}': {_said(change)}, {WORDS[change.verdict]}{only}.")
    if meant:
        everywhere = next(c for c in changes if (c.arm, c.than, c.measure, c.meant) == (treated, before, epe, False))
        parts.append(f"Of all joints together: {_said(everywhere)}, {WORDS[everywhere.verdict]}.")
    for change in changes:
        if (
            (change.arm, change.than) == (treated, before)
            and change.measure != epe
            and change.meant == (meant and not change.measure.of_person)
        ):
            parts.append(f"{change.measure.label}: {_said(change)}, {WORDS[change.verdict]}.")
    if images < FEWEST:
        parts.append(f"With {plural(images, 'image')} nothing is tested.")
    return " ".join(parts)


def _said(change: Change) -> str:
    unit = change.measure.label.rpartition("(")[2].rstrip(")")
    text = f"{format_estimate(change.difference, sign=True)} {unit}"
    return f"{text} ({format_p(change.p)})"
