"""A treatment's verdict in sentences: a control that does better is said first, then what the treatment changed."""

from __future__ import annotations

from collections.abc import Sequence

from ..functional.inference import FEWEST
from ..summary.measures import image_count
from ..summary.sentences import format_estimate, format_p, plural
from .outcome import Change, Outcome

WORDS = {1: "better", 0: "no difference shown", -1: "worse"}


def verdict(outcomes: Sequence[tuple[Outcome, Sequence[Change]]], judged: str = "") -> str:
    """The error decides, over the joints that the treatment is meant for.

    Args:
        outcomes: all arms on some held-out persons, and what changed between them; the same on others.
        judged: the data that say whether it cures, which come first; '': the first.  Of others a sentence is enough.
    """
    judged = judged or outcomes[0][0].data
    first = sorted(outcomes, key=lambda entry: entry[0].data != judged)
    return " ".join(_of_one(outcome, changes, outcome.data == judged) for outcome, changes in first)


def _of_one(outcome: Outcome, changes: Sequence[Change], judged: bool) -> str:
    before, treated, *controls = outcome.arms
    epe, meant = outcome.measures[0], bool(outcome.meant_for)
    deciding = {(c.arm, c.than): c for c in changes if c.measure == epe and c.meant == meant}
    of = f" of {', '.join(outcome.meant_for)}" if meant else ""
    images = image_count(outcome.joints[before])
    persons = outcome.joints[before]["sample_id"].n_unique()
    means = [outcome.mean(arm, epe, outcome.meant_for).mean for arm in (before, treated)]
    gone = (
        f"On {plural(persons, 'person')} ({outcome.data}) the mean error{of} goes from {means[0]:.2f} to "
        f"{means[1]:.2f} {outcome.unit}: {_said(deciding[treated, before])}"
    )
    against = {control: deciding[treated, control] for control in controls}
    if not judged:
        return "; ".join([gone, *(f"against '{name}' {_said(c)}" for name, c in against.items())]) + "."
    parts = [
        f"The control '{name}' does better than the treatment: against it the error{of} is {_said(c)}. What is to "
        "be the cure is not shown to cure anything."
        for name, c in against.items()
        if c.verdict < 0
    ]
    parts.append(f"{gone}.")
    for name, c in against.items():
        if c.verdict >= 0:
            only = "" if c.verdict else ": what the treatment does, its control does as well, as far as can be told"
            parts.append(f"Against the control '{name}': {_said(c)}{only}.")
    if meant:
        everywhere = next(c for c in changes if (c.arm, c.than, c.measure, c.meant) == (treated, before, epe, False))
        parts.append(f"Of all joints together: {_said(everywhere)}.")
    if images < FEWEST:
        parts.append(f"With {plural(images, 'image')} nothing is tested.")
    return " ".join(parts)


def _said(change: Change) -> str:
    """'-4.4 [-8.4, -1.9] px (p = 0.001), better'."""
    unit = change.measure.label.rpartition("(")[2].rstrip(")")
    difference = format_estimate(change.difference, sign=True)
    return f"{difference} {unit} ({format_p(change.p)}), {WORDS[change.verdict]}"
