"""The key numbers and how far they can be trusted; and, at the page's end, what was diagnosed and checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..functional.error_calibration import expected_map_error
from ..plotting.charts import trust_plot
from ..settings import AttributionSettings
from ..summary.environments import environments_in_words
from ..summary.measures import (
    Measure,
    estimate,
    finite,
    has_intervals,
    has_maps,
    image_count,
    is_annotated,
    measures,
    run_value,
    unit_of,
    with_values,
)
from ..summary.padding import padding_remarks
from ..summary.reasons import missing_reasons
from ..summary.sentences import model_facts, plural, scale_in_words
from ..types import Picture, Table
from .blocks import Cards, Checks, GuardedSection, Heading, Notices
from .tables import NOTHING, show

if TYPE_CHECKING:
    from ..store import Store


HEADING = Heading("overview", "Overview", 80)
SETUP = Heading("setup", "Settings and checks", 940)
_MAP_ERRORS = {"map_error": "", "map_error_2px": ", seen at 2 px"}
_ESTIMATE = "half the L1 distance between two half-density maps"
_EXPECTED = "distance from the exact map, as measured on trained models for such an estimate and so many gradients"
AGREEMENT_WANTED = 0.95  # share of joints whose differentiable decoding is within 1 heatmap px of the model's own


def overview_section(store: Store) -> GuardedSection:
    """The means over all joints, what weakens them, and how far the maps can be trusted.

    Raises:
        StoreError: the tables cannot be read.
    """
    joints, samples = store.joints(), store.samples()
    visible = joints.filter(pl.col("visible"))
    if not len(samples):
        lead = (
            f"No person was diagnosed ({_status(store)}), so there is nothing to show yet; "
            "see Failures for the reasons."
        )
        return HEADING.section(lead, [_notices(store, joints, samples)])
    blocks: list[Table | Picture] = [
        _cards(with_values(measures(store, joints), visible), visible),
        _notices(store, joints, samples),
    ]
    if has_maps(store):
        errors = finite(joints[_stopped_by(store, joints)])
        figure = trust_plot(finite(joints["residual_rel"].abs()), errors, _threshold(store), _tolerance(store))
        caption = "How far the maps can be trusted: a map is converged towards the left."
        blocks += [_trust(store, joints), Picture("trust", caption, figure)]
    return HEADING.section(_lead(store, visible, len(samples)), blocks)


def setup_section(store: Store) -> GuardedSection:
    """What was checked before the run, and what was diagnosed, how.

    Raises:
        StoreError: the tables cannot be read.
    """
    checks, what = _preflight(store), _what(store, store.joints(), store.samples())
    return SETUP.section("", (*checks, what))


def _lead(store: Store, visible: pl.DataFrame, persons: int) -> str:
    """The model, the data and the error in a sentence."""
    model = run_value(store, "model", "backbone", default="The model")
    head, data = run_value(store, "model", "head"), run_value(store, "dataset", "name", default="the data set")
    mepe = estimate(visible, "epe")
    first = f"{model}{f' with {head}' if head else ''} on {data}: {plural(persons, 'person')}, "
    if not is_annotated(store):
        return (
            f"{first}{plural(len(visible), 'joint')} predicted inside the input. Nobody annotated them: what is "
            "explained is the model's own prediction, right or wrong."
        )
    error = f"mean end-point error {show(mepe.mean, 1).text} {unit_of(visible)}" if mepe.n else "not annotated"
    return f"{first}{plural(len(visible), 'visible joint')}, {error}."


def _cards(shown: tuple[Measure, ...], visible: pl.DataFrame) -> Cards:
    rows = []
    for measure in shown:
        value = estimate(visible, measure.name)
        title = "MEPE" if measure.name == "epe" else measure.title
        label = f"{title} ({measure.unit})" if measure.unit else title
        note = measure.meaning if value.n else "no joint has a value; the reasons are listed below"
        rows.append((label, value, note))
    with_interval = ", with 95 % intervals (bootstrap over images)" if has_intervals(visible) else ""
    return Cards(
        f"Means over visible joints{with_interval}.",
        ("", "mean", ""),
        tuple(rows),
    )


def _what(store: Store, joints: pl.DataFrame, samples: pl.DataFrame) -> Table:
    settings = run_value(store, "settings", "attribution", default={})
    counts, parameters = run_value(store, "counts", default={}), run_value(store, "model", "parameters")
    model = {name: fact or NOTHING for name, fact in model_facts(store).items()}
    seen = "visible" if is_annotated(store) else "predicted inside the input"
    rows: list[tuple[str, Any]] = [
        ("Status", _status(store)),
        ("Configuration", store.run.get("config") or NOTHING),
        ("Checkpoint", store.run.get("checkpoint") or NOTHING),
        ("Model", model["Model"]),
        ("Parameters", f"{parameters:,}".replace(",", "\u202f") if parameters else NOTHING),
        ("Input", model["Input"]),
        ("Decoding", model["Decoding"]),
        ("Data", f"{run_value(store, 'dataset', 'name', default=NOTHING)}"),
        (
            "Annotated persons" if is_annotated(store) else "Given persons",
            run_value(store, "dataset", "annotated", default=NOTHING),
        ),
        ("Persons", _persons(samples, counts)),
        ("Joints", f"{int(joints['visible'].sum())} {seen} of {len(joints)}"),
    ]
    if has_maps(store):
        rows += [
            ("Attribution", _attribution(settings)),
            ("Target", _target(store, settings)),
            ("Indices over", _indices_over(settings)),
            ("Masks", _masks(samples)),
        ]
    return Table("What was diagnosed.", ("", "value"), tuple(rows))


def _persons(samples: pl.DataFrame, counts: dict[str, Any]) -> str:
    images = image_count(samples)
    in_images = f" in {plural(images, 'image')}, which intervals and tests resample" if images < len(samples) else ""
    rest = [
        f"{counts[k]} {word}"
        for k, word in (("skipped", "without a visible joint"), ("failed", "failed"))
        if counts.get(k)
    ]
    return ", ".join([f"{len(samples)}{in_images}", *rest])


def _attribution(settings: dict[str, Any]) -> str:
    if not settings:
        return NOTHING
    parts = [str(settings.get("method")), f"{settings.get('path')} path", f"{settings.get('quadrature')} quadrature"]
    if settings.get("preset"):
        parts.append(f"preset {settings['preset']}")
    if settings.get("quadrature") == "adaptive":
        seen = " at 2 px" if settings.get("tol_scale") else ""
        parts.append(f"tolerance {settings.get('tol')}{seen}, at most {settings.get('max_nodes')} gradients a joint")
    elif settings.get("nodes"):
        parts.append(f"{settings['nodes']} nodes")
    return ", ".join(parts)


def _target(store: Store, settings: dict[str, Any]) -> str:
    if not settings:
        return NOTHING
    text = f"{settings.get('likelihood')} of the distance from the {settings.get('reference')}"
    text = f"{text}, minus that from {settings['contrast']}" if settings.get("contrast") else text
    return ", ".join(filter(None, (text, scale_in_words(store))))


def _indices_over(settings: dict[str, Any]) -> str:
    over = {"image": "the image's own pixels", "input": "the whole input, padding and all"}
    return over.get(str(settings.get("indices_over")), NOTHING)


def _masks(samples: pl.DataFrame) -> str:
    counts = samples.group_by("mask_source").len().sort("len", descending=True).rows()
    return ", ".join(f"{source}: {n}" for source, n in counts) or NOTHING


def _trust(store: Store, joints: pl.DataFrame) -> Table:
    """One line a check: median, 90 % quantile, and the share of joints beyond the threshold."""
    threshold, tolerance, stopped = _threshold(store), _tolerance(store), _stopped_by(store, joints)
    known = {name: seen for name, seen in _MAP_ERRORS.items() if name in joints.columns}
    rows: list[tuple[Any, ...]] = []
    residuals, arithmetic = joints["residual_rel"].abs(), "checks the arithmetic: |ΣIG \u2212 ΔT| / |ΔT|"
    checks = (
        ("Completeness residual, relative", residuals, threshold, arithmetic),
        *(
            (f"Map error estimate{seen}", joints[name], tolerance if name == stopped else None, _ESTIMATE)
            for name, seen in known.items()
        ),
        *(
            (
                f"Map error to expect{seen}",
                expected_map_error(joints[name], joints["evaluations"], scale),
                None,
                _EXPECTED,
            )
            for (name, seen), scale in zip(known.items(), (0.0, 2.0), strict=False)
        ),
    )
    for name, column, limit, meaning in checks:
        values = finite(column)
        median, high = (float(q) for q in np.quantile(values, (0.5, 0.9))) if values.size else (None, None)
        share = 100 * float((values > limit).mean()) if values.size and limit is not None else None
        rows.append((name, values.size, median, high, limit, share, meaning))
    return Table(
        "How trustworthy: the distribution over joints.",
        ("check", "joints", "median", "90 %", "limit", "above limit (%)", "meaning"),
        tuple(rows),
    )


def _preflight(store: Store) -> tuple[Checks, ...]:
    """What was checked before the run, the gravest first; nothing of runs of before there was a preflight."""
    checks = _checks(store)
    levels = ("stop", "warning", "ok")
    rows = [tuple(str(check.get(key, "")) for key in ("level", "name", "found", "advice")) for check in checks]
    rows.sort(key=lambda row: levels.index(row[0]) if row[0] in levels else 0)
    return (Checks("Checked before the run.", ("", "check", "found", "what to do"), tuple(rows)),) if rows else ()


def _checks(store: Store) -> list[dict[str, Any]]:
    given = store.run.get("preflight")
    return [check for check in given if isinstance(check, dict)] if isinstance(given, list) else []


def _notices(store: Store, joints: pl.DataFrame, samples: pl.DataFrame) -> Notices:
    rows = [("warning", text) for text in _warnings(store, joints, samples)]
    if has_maps(store):
        rows += padding_remarks(store, joints, samples)
    else:
        rows.append(("note", "No maps were asked for (diagnosis.attribution.method='none'): errors alone, no indices."))
    agreement = None if _checks(store) else _agreement_text(store)  # among the checks
    if agreement is not None:
        rows.append(agreement)
    if left_out := run_value(store, "acceleration", "note", default=""):
        rows.append(("note", f"Speed: {left_out}. The maps are the same; they take longer."))
    rows += [("note", str(text)) for key in ("notes", "loading_notes") for text in store.run.get(key) or ()]
    return Notices("Remarks.", ("level", "text"), tuple(rows))


def _warnings(store: Store, joints: pl.DataFrame, samples: pl.DataFrame) -> list[str]:
    """Whatever weakens the numbers of this report."""
    texts = []
    status = store.run.get("status")
    if status != "complete":
        texts.append(f"The run is not complete ({_status(store)}): the numbers are of the persons done so far.")
    checked = bool(_checks(store))
    if not checked and run_value(store, "model", "random_weights", default=False):
        texts.append(
            "No checkpoint was given: the model has random weights, and its maps say nothing about a trained one."
        )
    failed = run_value(store, "counts", "failed", default=0)
    if failed:
        texts.append(
            f"{plural(int(failed), 'person')} failed and {'is' if failed == 1 else 'are'} missing here; see Failures."
        )
    if said := environments_in_words(store):
        texts.append(said)
    if len(samples) and has_maps(store) and not samples.filter(pl.col("mask_source") != "none").height:
        texts.append(
            f"No person has a mask, so indices that need one (FI) are undefined everywhere (shown as {NOTHING})."
        )
    for source, how in (("predicted", "predicted by the model"), ("joints", "drawn from the annotated joints")):
        if count := samples.filter(pl.col("mask_source") == source).height:
            texts.append(
                f"Indices that need a mask (FI) use one {how}, not an annotated one, of {plural(count, 'person')}."
            )
    if not checked and run_value(store, "keypoints", "derived", default=False):
        texts.append("The joint groups were derived from the data set's skeleton; they are not laid down by hand.")
    if has_intervals(joints) and len(samples) < 8:
        texts.append(f"Only {plural(len(samples), 'person')}: the intervals say little.")
    zero = missing_reasons(joints).get("zero_map", 0) + missing_reasons(joints).get("nonfinite_gradient", 0)
    if zero:
        texts.append(f"{plural(zero, 'joint')} without a usable gradient: no map, no indices.")
    return texts


def _agreement_text(store: Store) -> tuple[str, str] | None:
    """How the differentiable decoding agrees with MMPose's own, as a remark; None where it was not measured."""
    agreement = run_value(store, "agreement", default={})
    n, share = agreement.get("n"), agreement.get("share_within")
    if not n or share is None:
        return None
    distance, threshold, unit = (agreement.get(key) for key in ("mean_distance", "threshold", "unit"))
    within = "one heatmap pixel"
    if threshold:
        within = f"{within} ({threshold:g} px)" if unit == "px" else f"{threshold:g} {unit}"
    text = f"Decoding: {100 * share:.1f} % of {n} joints are within {within} of MMPose's own prediction"
    text += f"; on average they are {distance:.2f} {unit} away from it." if distance is not None else "."
    if agreement.get("left_out"):
        text += f" {agreement['left_out']} more were left out: not asked for, or without a peak."
    if share < AGREEMENT_WANTED:
        return "warning", f"{text} Below 95 %: the maps explain a decoding that differs from the reported one."
    return "note", text


def _status(store: Store) -> str:
    status = str(store.run.get("status") or "unknown")
    return {"running": "still running, or killed", "complete": "complete"}.get(status, status)


def _threshold(store: Store) -> float:
    return float(
        run_value(
            store, "settings", "attribution", "residual_threshold", default=AttributionSettings.residual_threshold
        )
    )


def _stopped_by(store: Store, joints: pl.DataFrame) -> str:
    """The column that the tolerance is of."""
    at_two = run_value(store, "settings", "attribution", "tol_scale", default=0.0) == 2
    return "map_error_2px" if at_two and "map_error_2px" in joints.columns else "map_error"


def _tolerance(store: Store) -> float | None:
    """The wanted map error; only an adaptive run has one."""
    settings = run_value(store, "settings", "attribution", default={})
    tolerance = settings.get("tol") if settings.get("quadrature") == "adaptive" else None
    return None if tolerance is None else float(tolerance)
