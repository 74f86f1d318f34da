"""What pads the inputs of a run, how much of the maps lies in it, and what that does to the indices, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from .measures import finite, run_value
from .sentences import plural

if TYPE_CHECKING:
    from ..store import Store


# Share of a map's mass in the padding from which on it is said: as much of a map as its quadrature may misplace (the
# true error of a map at the default tolerance 0.3 is about a third of that).
MUCH = 0.1
MANY = 0.1  # share of the joints, beyond which that is a warning


def padding_remarks(store: Store, joints: pl.DataFrame, samples: pl.DataFrame) -> list[tuple[str, str]]:
    """(level, text) each, 'note' or 'warning'; none where nothing is padded, or it is not known (runs of before).

    Args:
        store: of the run.
        joints, samples: its tables.
    """
    padding = finite(samples["padding"])
    if not padding.size or padding.max() == 0:
        return []
    over_image = run_value(store, "settings", "attribution", "indices_over", default="input") == "image"
    text = f"Padding is {_percent(padding.mean())} of the input"
    text += ". " if padding.size == 1 else f"s on average, {_percent(padding.max())} at most. "
    if over_image:
        remarks = [("note", text + "Indices are over the image's own pixels." + _as_published(joints))]
    else:
        text += (
            "Indices are over the whole input, padding and all: FI and LI are larger, and DI is smaller, than over the "
            "image (diagnosis.attribution.indices_over='image')."
        )
        remarks = [("warning" if padding.mean() >= MUCH else "note", text)]
    mass = finite(joints.filter(pl.col("visible"))["mass_in_padding"])
    if much := int((mass > MUCH).sum()):
        have = f"{plural(much, 'joint')} of {mass.size} {'has' if much == 1 else 'have'}"
        text = (
            f"{have} more than {_percent(MUCH)} of the map's mass in the padding, {_percent(mass.max())} at most: that "
            f"explains nothing in the image, and is {'left out of' if over_image else 'counted in'} the indices."
        )
        remarks.append(("warning" if much > MANY * mass.size else "note", text))
    return remarks


def _as_published(joints: pl.DataFrame) -> str:
    """FI over image and input, of the joints that have both; '' where there is none."""
    if "fi" not in joints.columns:
        return ""
    pairs = joints.filter(pl.col("fi").is_finite() & pl.col("fi_input").is_finite()).select("fi", "fi_input")
    if not len(pairs):
        return ""
    own, whole = (float(np.mean(pairs[name].to_numpy())) for name in pairs.columns)
    return (
        f" FI is {own:.2f}; over the whole input, as published, it would be {whole:.2f}: FI compares with a map that "
        "is even over all that counts, of which less is on the person the more is padding, whatever the model looks at."
    )


def _percent(share: float) -> str:
    """
    >>> _percent(0.8826), _percent(0.0234)
    ('88 %', '2.3 %')
    """
    return f"{100 * share:.2g} %"
