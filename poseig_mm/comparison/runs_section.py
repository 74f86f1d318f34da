"""What is compared, whether it may be, and the means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from ..functional.inference import FEWEST
from ..functional.statistics import FEWEST_GROUPS
from ..plotting.charts import group_distributions
from ..report.blocks import GuardedSection, Heading, Notices
from ..report.provenance import flatten
from ..report.tables import NOTHING
from ..store import Store
from ..summary.environments import different_plugins
from ..summary.measures import estimate, finite, has_maps, image_count, measures, run_value
from ..summary.sentences import model_facts, plural, scale_in_words
from ..types import Picture, Table
from .comparable import incomparable_texts
from .runs import Runs, indices_over
from .side_by_side import different_images

HEADING = Heading("comparison", "Comparison", 50)

# Of `diagnosis.attribution`: what changes no number, or stands in other settings
_SAME_NUMBERS = ("preset", "chunk", "residual_threshold", "signed", "indices_over", "locality")


def overview_section(runs: Runs) -> GuardedSection:
    """The runs' facts, remarks, what was left out, and means over the shared joints."""
    notices = [("warning", text) for text in warnings(runs)] + [("note", text) for text in _notes(runs)]
    facts = tuple(
        (label, *(read(store) or NOTHING for store in runs.stores.values())) for label, read in _FACTS.items()
    )
    facts = tuple(fact for fact in facts if runs.have_maps or fact[0] not in _OF_MAPS)
    seen = "have a map of" if runs.have_maps else "show"
    counts = {
        "visible": [n.visible for n in runs.lost.values()],
        **({"without a map": [n.without_map for n in runs.lost.values()]} if runs.have_maps else {}),
        "not in all runs": [n.not_in_all for n in runs.lost.values()],
        "annotated elsewhere": [n.elsewhere for n in runs.lost.values()],
        "compared": [n.used for n in runs.lost.values()],
    }
    means = tuple((name, *(estimate(joints, m.name) for m in runs.measures)) for name, joints in runs.joints.items())
    values = {name: {m.name: finite(joints[m.name]) for m in runs.measures} for name, joints in runs.joints.items()}
    blocks: tuple[Table | Picture, ...] = (
        Notices("Remarks.", ("level", "text"), tuple(notices)),
        Table("What is compared.", ("", *runs.names), facts),
        *_settings_table(runs),
        Table(
            f"Joints: of those visible in a run, those that all runs {seen} are compared.",
            ("run", *counts),
            tuple(zip(runs.lost, *counts.values(), strict=True)),
        ),
        Table(
            "Means over the compared joints [95 % interval, images resampled].",
            ("run", *(m.label for m in runs.measures)),
            means,
        ),
        Picture(
            "distributions",
            "Distribution over the compared joints: box = quartiles and median, dots = joints.",
            group_distributions(values, runs.measures),
        ),
    )
    return HEADING.section(_lead(runs), blocks)


def _settings_table(runs: Runs) -> tuple[Table, ...]:
    different = different_settings(runs) if runs.have_maps else {}
    lines = tuple((f"attribution.{key}", *values.values()) for key, values in different.items())
    return (Table("Attribution settings that differ.", ("setting", *runs.names), lines),) if lines else ()


def warnings(runs: Runs) -> list[str]:
    """Why the numbers may not be comparable, or may say little."""
    texts = _warnings_of_maps(runs) if runs.have_maps else []
    for label, what in (("Data", "Only joints of one name, annotated at one place of the image, are compared."),):
        values = {name: _FACTS[label](store) for name, store in runs.stores.items()}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{value or NOTHING} ({name})" for name, value in values.items())
            texts.append(f"{label} differs: {said}. {what}")
    texts += incomparable_texts(runs.incomparable, runs.persons)
    for name, ids in different_images(runs).items():
        texts.append(
            f"Images differ: {plural(len(ids), 'person')} of {name} (such as {ids[0]}) are seen in another image than "
            f"in {runs.names[0]}, of those that were looked at. The same person in different pixels is another input."
        )
    over = {name: indices_over(store) for name, store in runs.stores.items()}
    if runs.padded:
        said = ", ".join(f"the {what} ({name})" for name, what in over.items())
        texts.append(
            f"Indices are over {said}, which is not the same where an input is padded: of {runs.padded} of "
            f"{plural(runs.persons, 'person')}, whose inputs are or may be padded, only the errors are compared. "
            "Diagnose with one diagnosis.attribution.indices_over to compare all."
        )
    texts += different_plugins(runs.stores)
    if runs.to_truth:
        texts.append(
            f"EPE of {', '.join(runs.to_truth)} was measured again, from the model's own decoding to the annotation, "
            "as in the others (diagnosis.attribution.epe_to)."
        )
    if runs.rescaled:
        texts.append(
            f"Errors of {', '.join(runs.rescaled)} are given in input pixels of {runs.names[0]}: theirs are of another "
            "size."
        )
    for name, store in runs.stores.items():
        if (status := store.run.get("status")) != "complete":
            texts.append(f"{name} is not complete ({status or 'unknown'}): only its persons done so far are compared.")
        if run_value(store, "model", "random_weights", default=False):
            what = "maps say" if runs.have_maps else "errors say"
            texts.append(f"{name} has random weights: its {what} nothing about a trained model.")
    images = image_count(runs.first)
    if images < FEWEST:
        who = f"Only {plural(runs.persons, 'person')} in {plural(images, 'image')} are compared: "
        texts.append(who + ("there are no intervals, and " if images < FEWEST_GROUPS else "") + "nothing is tested.")
    return texts


def _warnings_of_maps(runs: Runs) -> list[str]:
    texts = []
    if different := different_settings(runs):
        texts.append(
            f"The attribution settings differ ({', '.join(different)}; see below): the maps were made in different "
            "ways, so that indices do not compare the models."
        )
    betas = [run_value(store, "model", "beta") for store in runs.stores.values()]
    numbers = {round(float(b), 6) for b in betas if isinstance(b, (int, float))}
    if len(numbers) > 1:
        said = ", ".join(f"{b} ({name})" for name, b in zip(runs.names, betas, strict=True))
        texts.append(f"The soft-argmax beta differs: {said}. The maps explain decodings of different sharpness.")
    return texts


def _notes(runs: Runs) -> list[str]:
    texts = [] if runs.have_maps else [_errors_alone(runs)]
    hashes = {str(store.run.get("weights_hash")) for store in runs.stores.values()}
    if len(hashes) == 1 and "None" not in hashes:
        texts.append("All runs have the same weights (equal hashes).")
    known_names = {m.name for m in runs.measures} | {each.measure.name for each in runs.incomparable}
    missing = {
        m.label
        for name, store in runs.stores.items()
        for m in measures(store, store.joints())
        if m.name not in known_names
    }
    if missing:
        texts.append(f"Not in all runs, so left out: {', '.join(sorted(missing))}.")
    return texts


def _errors_alone(runs: Runs) -> str:
    without = [name for name, store in runs.stores.items() if not has_maps(store)]
    of = (
        "No run was"
        if len(without) == len(runs.stores)
        else f"{' and '.join(without)} {'was' if len(without) == 1 else 'were'} not"
    )
    return f"{of} asked for maps (diagnosis.attribution.method='none'): errors are compared."


def different_settings(runs: Runs) -> dict[str, dict[str, str]]:
    """Settings of the attribution that are not the same: key -> run -> value."""
    every = {name: dict(flatten(_attribution(store))) for name, store in runs.stores.items()}
    keys = dict.fromkeys(key for settings in every.values() for key in settings)
    different = {}
    for key in keys:
        values = {name: settings.get(key, NOTHING) for name, settings in every.items()}
        if key.split(".")[0] not in _SAME_NUMBERS and len(set(values.values())) > 1:
            different[key] = values
    return different


def _attribution(store: Store) -> Mapping[str, Any]:
    """`path_settings` and the like are one entry each where they are empty, so that a missing key shows."""
    given: Mapping[str, Any] = run_value(store, "settings", "attribution", default={})
    return {key: value for key, value in given.items() if value != {}}


def _lead(runs: Runs) -> str:
    names = " and ".join(runs.names) if len(runs.names) < 3 else f"{', '.join(runs.names[:-1])} and {runs.names[-1]}"
    best = min(runs.names, key=lambda name: _mean_error(runs.joints[name]))
    errors = {name: _mean_error(runs.joints[name]) for name in runs.names}
    if errors[best] == float("inf"):
        finding = "No joint has an error."
    else:
        finding = (
            f"The errors are the same, {errors[best]:.2f} {runs.unit} on average."
            if len(set(errors.values())) == 1
            else f"The smallest mean error here is {errors[best]:.2f} {runs.unit}, by {best}."
        )
    common = ", explained in one common output space, the joint's coordinates" if runs.have_maps else ""
    return (
        f"{names} on the same {plural(len(runs.first), 'joint')} of {plural(runs.persons, 'person')}{common}. {finding}"
    )


def _mean_error(joints: pl.DataFrame) -> float:
    return float(finite(joints["epe"]).mean()) if finite(joints["epe"]).size else float("inf")


def _joined(store: Store, section: tuple[str, ...], keys: tuple[str, ...]) -> str:
    about = run_value(store, *section, default={})
    return " · ".join(str(about[key]) for key in keys if about.get(key) not in (None, "", {}))


def _parameters(store: Store) -> str:
    count = run_value(store, "model", "parameters")
    return f"{count / 1e6:.2f} million" if count else ""


def _alpha(store: Store) -> str:
    settings = run_value(store, "settings", "attribution", default={})
    if settings.get("alpha_per_heatmap_px") is not None:
        return f"alpha {settings['alpha_per_heatmap_px']:g} a heatmap pixel"
    return (
        ", ".join(f"{k} {v}" for k, v in (settings.get("likelihood_settings") or {}).items())
        or scale_in_words(store)
        or "default"
    )


_OF_MAPS = ("Decoding", "Attribution", "Target", "Target's settings", "Masks")  # facts on how maps were made

_FACTS: dict[str, Callable[[Store], str]] = {
    "Work dir": lambda store: str(store.path),
    "Model": lambda store: model_facts(store)["Model"],
    "Parameters": _parameters,
    "Checkpoint": lambda store: str(store.run.get("checkpoint") or ""),
    "Weights, hash": lambda store: str(store.run.get("weights_hash") or "")[:16],
    "Input": lambda store: model_facts(store)["Input"],
    "Decoding": lambda store: model_facts(store)["Decoding"],
    "Data": lambda store: str(run_value(store, "dataset", "name", default="")),
    "Persons": lambda store: str(len(store)),
    "Attribution": lambda store: _joined(
        store, ("settings", "attribution"), ("method", "path", "path_settings", "quadrature", "nodes")
    ),
    "Target": lambda store: _joined(store, ("settings", "attribution"), ("likelihood", "reference", "contrast")),
    "Target's settings": _alpha,
    "Masks": lambda store: ", ".join(sorted(store.samples()["mask_source"].unique().to_list())),
    "Failures": lambda store: str(len(store.failures)),
    "poseig_mm": lambda store: str(run_value(store, "versions", "poseig-mm", default="")),
}  # fmt: skip
