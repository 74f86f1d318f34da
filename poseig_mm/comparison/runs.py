"""Which runs are compared, and on what: the joints that all of them show and have a map of, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import ConfigError, DataError
from ..store import Store
from ..summary.measures import Measure, has_maps, is_annotated, measures, run_value, unit_of
from .comparable import Incomparable, incomparable_indices

KEYS = ["sample_id", "joint_name", "_nth"]  # runs may number joints differently; the n-th one of a name is the same
WITHOUT_MAP = ("not_visible", "not_asked", "no_match", "zero_map", "nonfinite_gradient", "no_map")  # reason codes
SAME_PLACE = 1.0  # px of the original image (mm in 3D): farther apart, two annotations are not of the same joint


@dataclass(frozen=True)
class Lost:
    """How a run's visible joints became the compared ones."""

    visible: int
    without_map: int
    not_in_all: int  # a sample or joint that another run lacks, or has no map of
    elsewhere: int  # annotated at another place than in the first run
    used: int


@dataclass(frozen=True)
class Runs:
    """Two runs or more over the same joints; the first is what the others are compared with.

    Where one was not asked for maps, errors alone are compared, of all visible joints.
    """

    stores: Mapping[str, Store]
    joints: Mapping[str, pl.DataFrame]  # rows of `joints`, the same samples and joints in the same order
    measures: tuple[Measure, ...]  # what all runs have; NaN in one run is NaN in all
    lost: Mapping[str, Lost]
    rescaled: tuple[str, ...]  # runs whose errors were brought to the first run's input pixels
    to_truth: tuple[str, ...]  # runs whose EPE was measured again, to the truth as in the others
    incomparable: tuple[Incomparable, ...]  # indices that are left out, for some persons or all
    padded: int  # persons whose indices are not compared: of one run over the image, of another over a padded input

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs, the first one first."""
        return tuple(self.stores)

    @property
    def have_maps(self) -> bool:
        """Whether all were asked for maps."""
        return all(map(has_maps, self.stores.values()))

    @property
    def first(self) -> pl.DataFrame:
        """The first run's joints."""
        return self.joints[self.names[0]]

    @property
    def persons(self) -> int:
        """How many samples are compared."""
        return self.first["sample_id"].n_unique()

    @property
    def unit(self) -> str:
        """Of the errors."""
        return unit_of(self.first)


def open_runs(paths: Sequence[str | Path], names: Sequence[str] | None = None) -> dict[str, Store]:
    """The stores by name; without `names`, the work dirs' own, with their parents' where two are alike.

    Raises:
        ConfigError: fewer than two runs, names that do not fit, or a run of persons whom nobody annotated.
        StoreError: a path is not the work dir of a run.
    """
    if len(paths) < 2:
        raise ConfigError(
            f"{len(paths)} run{'' if len(paths) == 1 else 's'} given, expected two or more: poseig-compare RUN RUN, "
            "each the work dir of a poseig-diagnose run"
        )
    if names is not None and (len(names) != len(paths) or len(set(names)) != len(names)):
        raise ConfigError(
            f"--names gives {', '.join(names)} for {len(paths)} runs; expected one name for each run, all different"
        )
    stores = dict(zip(names or _names([Path(p) for p in paths]), map(Store, paths), strict=True))
    if without := [name for name, store in stores.items() if not is_annotated(store)]:
        raise ConfigError(
            f"run {without[0]!r} is of pictures that nobody annotated: a comparison pairs joints by the place that is "
            "annotated, and begins with the errors. Compare runs on a data set"
        )
    return stores


def _names(paths: Sequence[Path]) -> list[str]:
    """As short as tells them apart.

    >>> _names([Path('a/x'), Path('b/y')]), _names([Path('/a/x'), Path('/b/x')]), _names([Path('x'), Path('x')])
    (['x', 'y'], ['a/x', 'b/x'], ['x', 'x (2)'])
    """
    for parts in (1, 2, 3):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    short = [path.name for path in paths]
    return [name if i == short.index(name) else f"{name} ({i + 1})" for i, name in enumerate(short)]


def match(stores: Mapping[str, Store]) -> Runs:
    """The runs on what they share.

    Raises:
        DataError: errors of different units, no joint name in common, or no joint of a sample.
    """
    tables = {name: _with_place(store) for name, store in stores.items()}
    tables, to_truth = _errors_of_one_kind(stores, tables)
    _check_units(tables)
    _check_names(stores, tables)
    compared = _has_map() if all(map(has_maps, stores.values())) else pl.col("visible")
    usable = {name: table.filter(compared) for name, table in tables.items()}
    for name, table in usable.items():
        if table.select(KEYS).is_duplicated().any():
            raise DataError(f"run {name!r} has a joint of a person twice in its tables; restore its work dir")
    first = next(iter(tables))
    shared = reduce(lambda a, b: a.join(b, on=KEYS, how="semi"), usable.values())
    same = shared
    for table in usable.values():
        there = shared.join(
            table.select(*KEYS, "_x", "_y"), on=KEYS, how="left", suffix="_other", maintain_order="left"
        )
        distance = (pl.col("_x") - pl.col("_x_other")).pow(2) + (pl.col("_y") - pl.col("_y_other")).pow(2)
        apart = there.filter(distance > SAME_PLACE**2)
        same = same.join(apart, on=KEYS, how="anti", maintain_order="left")
    if not len(same):
        raise DataError(_nothing_shared(stores, usable, len(shared)))
    order = same.select(*KEYS, "group", pl.col("_scale").alias("_scale_first"))
    joints = {
        name: order.drop("group").join(table.drop("group"), on=KEYS, how="left", maintain_order="left").with_columns(
            order["group"]
        )
        for name, table in usable.items()
    }  # fmt: skip
    joints, rescaled = _in_first_pixels(joints)
    lost = {
        name: Lost(
            int(tables[name]["visible"].sum()),
            int(tables[name]["visible"].sum()) - len(usable[name]),
            len(usable[name]) - len(shared),
            len(shared) - len(same),
            len(same),
        )
        for name in stores
    }
    common = _shared_measures(stores, joints)
    persons = frozenset(same["sample_id"])
    incomparable = incomparable_indices(stores, common, persons)
    nowhere = {each.measure.name for each in incomparable if each.persons == persons}
    common = tuple(measure for measure in common if measure.name not in nowhere)
    padded = _padded(stores) if len({indices_over(store) for store in stores.values()}) > 1 else frozenset()
    left_out = {m.name: padded for m in common if m.name != "epe"}
    for each in incomparable:
        if each.measure.name in left_out:
            left_out[each.measure.name] |= each.persons
    joints = {name: _without_indices(table, left_out) for name, table in joints.items()}
    return Runs(
        dict(stores),
        _finite_in_all(joints, common),
        common,
        lost,
        tuple(r for r in rescaled if r != first),
        to_truth,
        incomparable,
        len(padded & persons),
    )


def _with_place(store: Store) -> pl.DataFrame:
    """`joints` with the annotated place in the original image, and original pixels an input pixel."""
    joints, samples = store.joints(), store.samples()
    warp = [f"warp_{row}{column}" for row in range(2) for column in range(3)]
    joints = joints.join(samples.select("sample_id", *warp), on="sample_id", how="left", maintain_order="left")
    joints = joints.with_columns(pl.col("joint").rank("dense").over("sample_id", "joint_name").alias("_nth"))
    x, y = pl.col("gt_x"), pl.col("gt_y")
    if unit_of(joints) == "px":
        place = [
            (pl.col(f"warp_{i}0") * x + pl.col(f"warp_{i}1") * y + pl.col(f"warp_{i}2")).alias(f"_{'xy'[i]}")
            for i in (0, 1)
        ]
    else:
        place = [x.alias("_x"), y.alias("_y")]
    area = pl.col("warp_00") * pl.col("warp_11") - pl.col("warp_01") * pl.col("warp_10")
    return joints.with_columns(*place, area.abs().sqrt().alias("_scale")).drop(warp)


def _errors_of_one_kind(
    stores: Mapping[str, Store], tables: Mapping[str, pl.DataFrame]
) -> tuple[dict[str, pl.DataFrame], tuple[str, ...]]:
    """The tables with EPE as in all others, and names of those that were changed: where some runs measure it to the
    reference point of their target, all have that of the model's own decoding to the truth.
    """
    other = [n for n, s in stores.items() if run_value(s, "settings", "attribution", "epe_to") == "reference"]
    if len(other) in (0, len(tables)):
        return dict(tables), ()
    changed = dict(tables)
    for name in other:
        axes = [axis for axis in "xyz" if f"gt_{axis}" in tables[name].columns]
        squares = [(pl.col(f"pred_{axis}") - pl.col(f"gt_{axis}")).pow(2) for axis in axes]
        changed[name] = tables[name].with_columns(pl.sum_horizontal(squares).sqrt().alias("epe"))
    return changed, tuple(other)


def _has_map() -> pl.Expr:
    codes = pl.col("reason").fill_null("").str.split(";")
    return pl.col("visible") & ~codes.list.eval(pl.element().str.strip_chars().is_in(WITHOUT_MAP)).list.any()


def _in_first_pixels(joints: Mapping[str, pl.DataFrame]) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Errors in the first run's input pixels, where another input or crop makes pixels of another size."""
    tables, rescaled = {}, []
    for name, table in joints.items():
        factor = table["_scale"] / table["_scale_first"]
        differs = ((factor - 1).abs() > 1e-6).any()
        if differs and unit_of(table) == "px":
            rescaled.append(name)
            table = table.with_columns(pl.col("epe") * factor)
        tables[name] = table.drop("_scale", "_scale_first", "_x", "_y", "_nth")
    return tables, rescaled


def _shared_measures(stores: Mapping[str, Store], joints: Mapping[str, pl.DataFrame]) -> tuple[Measure, ...]:
    every = [measures(store, joints[name]) for name, store in stores.items()]
    return tuple(m for m in every[0] if all(any(m.name == other.name for other in rest) for rest in every[1:]))


def indices_over(store: Store) -> str:
    """'image' or 'input': which pixels a run's indices count."""
    return str(run_value(store, "settings", "attribution", "indices_over", default="input"))


def _padded(stores: Mapping[str, Store]) -> frozenset[str]:
    """Ids of persons whose input is padded in some run, or may be: image and input are not the same there.

    A run of before there were columns for it has the padding that another run has of the same part of the image.
    """
    part = ["height", "width", *(f"warp_{row}{column}" for row in range(2) for column in range(3))]
    rows = pl.concat([store.samples().select("sample_id", *part, "padding") for store in stores.values()])
    known = pl.col("padding").fill_nan(None).max().over("sample_id", *part).fill_null(1.0)
    return frozenset(rows.with_columns(known).filter(pl.col("padding") > 0)["sample_id"])


def _without_indices(joints: pl.DataFrame, left_out: Mapping[str, frozenset[str]]) -> pl.DataFrame:
    """The joints; NaN in the indices of some persons each."""
    return joints.with_columns(
        pl.when(pl.col("sample_id").is_in(list(persons))).then(float("nan")).otherwise(pl.col(name)).alias(name)
        for name, persons in left_out.items()
    )


def _finite_in_all(joints: Mapping[str, pl.DataFrame], common: Iterable[Measure]) -> dict[str, pl.DataFrame]:
    """A number that one run lacks is NaN in all, so that means are over the same joints."""
    columns: dict[str, Any] = {}
    for measure in common:
        finite = [table[measure.name].is_finite() for table in joints.values()]
        columns[measure.name] = reduce(lambda a, b: a & b, finite)
    return {
        name: table.with_columns(
            pl.when(keep).then(pl.col(column)).otherwise(float("nan")).alias(column) for column, keep in columns.items()
        )
        for name, table in joints.items()
    }


def _check_units(tables: Mapping[str, pl.DataFrame]) -> None:
    units = {name: unit_of(table) for name, table in tables.items()}
    if len(set(units.values())) > 1:
        said = ", ".join(f"{name}: {unit}" for name, unit in units.items())
        raise DataError(f"the runs' errors have different units ({said}): expected runs of one kind, all px or all mm")


def _check_names(stores: Mapping[str, Store], tables: Mapping[str, pl.DataFrame]) -> None:
    named = {name: set(table["joint_name"].unique().to_list()) for name, table in tables.items()}
    if reduce(lambda a, b: a & b, named.values()):
        return
    said = "; ".join(
        f"{name} ({(stores[name].run.get('dataset') or {}).get('name') or 'unknown data set'}): "
        f"{', '.join(sorted(own)[:4]) or 'none'}{' ...' if len(own) > 4 else ''}"
        for name, own in named.items()
    )
    raise DataError(f"the runs have no joint name in common: {said}. Compare runs on one data set")


def _nothing_shared(stores: Mapping[str, Store], usable: Mapping[str, pl.DataFrame], elsewhere: int) -> str:
    if elsewhere:
        return (
            f"the runs' {elsewhere} shared joints are annotated at different places, so their samples are not the same "
            "persons: compare runs on one data set"
        )
    said = "; ".join(
        f"{name}: {len(store)} samples such as {', '.join(store.sample_ids[:2]) or 'none'}, {len(usable[name])} joints"
        for name, store in stores.items()
    )
    return (
        f"the runs share no joint that is visible, and has a map where all make maps, in all of them ({said}). "
        "Diagnose the same persons: the same data set, with the same --limit, or diagnosis.samples.ids"
    )
