"""The section on dependency: which joints get lost where another joint's evidence is erased."""

from __future__ import annotations

import numpy as np
import polars as pl

from ...functional.inference import FEWEST, correlation
from ...functional.statistics import Estimate
from ...store.reader import Store
from ...summary.measures import Measure, estimate, index_measures
from ...summary.reasons import missing_table
from ...summary.sentences import format_estimate, plural
from ...types import JointGroups, Picture, Section, Table
from ..pairs import PAIR_KINDS, pair_kinds
from ..section_parts import mean_pose, study_rows
from .dependency_figures import Pair, effect_graph, effect_matrix, excludes_zero

ORDER = 305
TITLE = "Dependency: which joints need another joint's evidence?"
MOST_PAIRS, MOST_ARROWS = 20, 25  # in the table; in the graph


def dependency_section(store: Store, name: str) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    known = rows.filter(pl.col("reason") == "")
    missing = missing_table(rows, "joints")
    if not len(known):
        return Section(name, TITLE, "No joint has a map whose evidence could be erased.", missing, ORDER)
    groups, unit = store.groups, str(known["unit"][0])
    relations = index_measures(store, store.relations(), "relation")
    known = _with_relations(store, known, relations)
    effects = {_pair(key): estimate(part, "effect") for key, part in known.group_by("joint", "other")}
    between = {pair: effect for pair, effect in effects.items() if pair[0] != pair[1]}
    sure = {pair: e for pair, e in between.items() if e.n >= FEWEST and excludes_zero(e)}
    names = _names(known, groups)
    strongest = sorted(sure or between, key=lambda pair: -abs(between[pair].mean))
    blocks: list[Table | Picture] = [
        Picture("dependency-matrix", _MATRIX, effect_matrix(effects, names, unit)),
        _pairs_table(known, strongest[:MOST_PAIRS], names, relations, unit),
    ]
    if groups is not None:
        arrows = {pair: between[pair] for pair in strongest[:MOST_ARROWS]} if sure else {}
        graph = effect_graph(arrows, mean_pose(store, len(names)), groups.skeleton, names, unit)
        blocks += [Picture("dependency-graph", _GRAPH, graph), _kinds_table(known, groups, unit)]
    lead = _lead(known, between, sure, names, unit) + _beside(known, relations)
    return Section(name, TITLE, lead, (*blocks, *missing), ORDER)


_MATRIX = (
    "How much more the error of B (column) rises where the evidence of A (row) is erased than where as much is erased "
    "elsewhere, mean over persons. Red: B gets lost with A's evidence; a dot: the 95 % interval leaves out 0; hatched: "
    "no person has both. The diagonal is A's own error."
)
_GRAPH = (
    f"The strongest of the pairs whose interval leaves out 0 (at most {MOST_ARROWS}, each of at least {FEWEST} "
    "persons), on the mean pose: an arrow from the joint whose evidence is erased to the one whose error changes. "
    "Orange: it rises; blue: it falls."
)


def _pair(key: tuple[object, ...]) -> Pair:
    a, b = (int(str(k)) for k in key)
    return a, b


def _names(known: pl.DataFrame, groups: JointGroups | None) -> list[str]:
    """Of all joints; those of a run that does not hold its joints' names are read off the rows."""
    if groups is not None:
        return list(groups.keypoint_names)
    name_of = dict([*known.select("joint", "joint_name").iter_rows(), *known.select("other", "other_name").iter_rows()])
    return [name_of.get(k, str(k)) for k in range(max(name_of) + 1)]


def _with_relations(store: Store, known: pl.DataFrame, relations: tuple[Measure, ...]) -> pl.DataFrame:
    """Each row with what the run's relations say of the map of A and the joint B."""
    columns = [measure.name for measure in relations]
    keys = [pl.col(key).cast(known.schema[key]) for key in ("sample_id", "joint", "other")]
    table = store.relations().select(*keys, *columns)
    return known.join(table, on=["sample_id", "joint", "other"], how="left", maintain_order="left")


def _pairs_table(
    known: pl.DataFrame, pairs: list[Pair], names: list[str], relations: tuple[Measure, ...], unit: str
) -> Table:
    columns = [m.name for m in relations]
    lines = []
    for a, b in pairs:
        part = known.filter(joint=a, other=b)
        means = (part["error"].mean(), part["error_erased"].mean(), part["error_control"].mean())
        effects = (estimate(part, "effect"), estimate(part, "likelihood_effect"))
        lines.append((names[a], names[b], len(part), *means, *effects, *(estimate(part, c) for c in columns)))
    caption = (
        f"The {plural(len(pairs), 'strongest pair')}: mean error of B on the image, with A's evidence erased, and with "
        "as much erased elsewhere (control); effect: erased minus control, of the error and of the likelihood "
        "exp(-alpha error); last, where the map of A lies by the run's relations [95 % interval, images resampled]."
    )
    heads = (
        "evidence of A",
        "joint B",
        "persons",
        f"EPE ({unit})",
        "erased",
        "control",
        "effect",
        "effect, likelihood",
    )
    return Table(caption, (*heads, *(m.label for m in relations)), tuple(lines), 2)


def _kinds_table(known: pl.DataFrame, groups: JointGroups, unit: str) -> Table:
    """Effects by what B is to A."""
    kinds = pair_kinds(groups)
    word = {"child-as-parent": "B is A's parent", "parent-as-child": "B is A's child", "symmetric": "B is A's partner"}
    words = ["A itself", *(word.get(kind, kind) for kind in PAIR_KINDS)]
    of_pair = [
        "A itself" if a == b else word.get(kinds[a][b], kinds[a][b])
        for a, b in known.select("joint", "other").iter_rows()
    ]
    table = known.with_columns(pl.Series("kind", of_pair))
    parts = [(kind, table.filter(pl.col("kind") == kind)) for kind in words]
    lines = tuple(
        (kind, len(part), estimate(part, "effect"), estimate(part, "likelihood_effect")) for kind, part in parts
    )
    caption = (
        "By what B is to A: effect on the error and on the likelihood of B, beyond the control [95 % interval, images "
        "resampled]."
    )
    return Table(caption, ("joint B", "pairs of joints", f"effect ({unit})", "effect, likelihood"), lines, 2)


def _lead(
    known: pl.DataFrame, between: dict[Pair, Estimate], sure: dict[Pair, Estimate], names: list[str], unit: str
) -> str:
    """How many pairs depend, the strongest, and how many would by chance."""
    persons = known["sample_id"].n_unique()
    own = estimate(known.filter(pl.col("joint") == pl.col("other")), "effect")
    other = estimate(known.filter(pl.col("joint") != pl.col("other")), "effect")
    text = (
        f"Erasing a joint's own evidence changes its error by {format_estimate(own, 1, sign=True)} {unit}, that of "
        f"another joint by {format_estimate(other, 1, sign=True)} {unit}, beyond what erasing as much elsewhere does "
        f"({plural(persons, 'person')}). "
    )
    tested = sum(e.n >= FEWEST for e in between.values())
    if not tested:
        return text + f"No pair of joints is seen in {FEWEST} persons, so that no single pair can be named."
    rising = {pair: e for pair, e in sure.items() if e.mean > 0}
    text += (
        f"Of {plural(tested, 'pair')} with at least {FEWEST} persons, {len(rising)} have an interval above 0 (about "
        f"{0.025 * tested:.0f} would by chance)"
    )
    if not rising:
        return text + "."
    (a, b), most = max(rising.items(), key=lambda item: item[1].mean)
    return text + f"; the strongest: {names[b]} without the evidence of {names[a]}, {format_estimate(most, 1)} {unit}."


def _beside(known: pl.DataFrame, relations: tuple[Measure, ...]) -> str:
    """Whether the relations go with the effects, over pairs of different joints."""
    pairs = known.filter(pl.col("joint") != pl.col("other"))
    parts = []
    for measure in relations:
        found = correlation(pairs[measure.name], pairs["effect"], pairs["sample_id"], method="spearman")
        if np.isfinite(found.mean):
            parts.append(f"{measure.title} {format_estimate(found, sign=True)}")
    if not parts:
        return ""
    return f" Rank correlation with the effect, over pairs of different joints: {'; '.join(parts)}."
