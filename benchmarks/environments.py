"""Whether two environments give the same numbers: python -m benchmarks.environments WORK_DIR OTHER [OTHER ...].

Each is the work dir of one run of the same config, checkpoint and data, made in another environment (another torch,
say). Rows of the `joints` tables are compared one by one with those of the first; exit code 1 where one differs by more
than is allowed, with the rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from poseig_mm.store import Store

__all__ = ["Difference", "Quantity", "compare_tables", "main"]

KEYS = ("sample_id", "joint")


@dataclass(frozen=True)
class Quantity:
    """A column of the joints table and how far two environments may be apart, in its unit or as a share of the
    first's.
    """

    column: str
    allowed: float
    relative: bool

    def show(self, value: float) -> str:
        """A difference in words.

        >>> Quantity("di", 0.01, relative=True).show(0.00123), Quantity("epe", 0.01, relative=False).show(0.00123)
        ('0.123 %', '0.00123 px')
        """
        return f"{100 * value:.3g} %" if self.relative else f"{value:.3g} px"


QUANTITIES = (
    Quantity("epe", 0.01, relative=False),
    Quantity("di", 0.01, relative=True),
    Quantity("fi", 0.01, relative=True),
    Quantity("li", 0.01, relative=True),
)


@dataclass(frozen=True)
class Difference:
    """How far apart a quantity is, over the rows where either has a value."""

    quantity: Quantity
    rows: int
    median: float
    largest: float
    beyond: pl.DataFrame  # sample_id, joint, joint_name, first, other, difference: more than allowed, the largest first

    def __str__(self) -> str:
        q = self.quantity
        return (
            f"{q.column:>4}: {self.rows} rows, median {q.show(self.median)}, largest {q.show(self.largest)}, "
            f"{len(self.beyond)} beyond {q.show(q.allowed)}"
        )


def compare_tables(first: pl.DataFrame, other: pl.DataFrame) -> list[Difference]:
    """Row by row; a value that only one has, or a row that only one has, is infinitely far away.

    >>> row = {"sample_id": "1", "joint": 0, "joint_name": "nose", "epe": 2.0, "di": 20.0, "fi": 3.0, "li": 4.0}
    >>> epe, di, *_ = compare_tables(pl.DataFrame([row]), pl.DataFrame([row | {"di": 20.5}]))
    >>> str(di)
    '  di: 1 rows, median 2.5 %, largest 2.5 %, 1 beyond 1 %'
    """
    both = first.join(other, on=KEYS, how="full", suffix="_other", coalesce=True)
    return [_difference(both, quantity) for quantity in QUANTITIES]


def _difference(both: pl.DataFrame, quantity: Quantity) -> Difference:
    a, b = (pl.col(name).fill_null(float("nan")) for name in (quantity.column, f"{quantity.column}_other"))
    distance = (a - b).abs() / (a.abs() if quantity.relative else 1)
    distance = pl.when(a == b).then(0.0).when(a.is_nan() | b.is_nan()).then(float("inf")).otherwise(distance)
    table = both.filter(~(a.is_nan() & b.is_nan())).select(*KEYS, "joint_name", first=a, other=b, difference=distance)
    column = table["difference"]
    beyond = table.filter(pl.col("difference") > quantity.allowed).sort("difference", descending=True)
    median, largest = (float(v or 0.0) for v in (column.median(), column.max()))  # type: ignore[arg-type]
    return Difference(quantity, len(table), median, largest, beyond)


def _title(store: Store) -> str:
    run = store.run
    versions, acceleration = run.get("versions", {}), run.get("acceleration", {})
    parts = [f"torch {versions.get('torch')}, Python {versions.get('python')}"]
    parts.append(
        f"{len(store)} persons, {run.get('timings', {}).get('attribution', float('nan')):.0f} s of attribution"
    )
    parts.append(f"backward pass in {acceleration.get('backward_dtype')}")
    return "; ".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; the exit code."""
    parser = argparse.ArgumentParser(description="Compare the numbers of one run made in several environments.")
    parser.add_argument("work_dir", help="of the run that the others are compared with")
    parser.add_argument("other", nargs="+", help="work dirs of the same run in other environments")
    parser.add_argument("--rows", type=int, default=10, help="how many rows beyond what is allowed are shown")
    options = parser.parse_args(argv)
    first = Store(options.work_dir)
    print(f"{options.work_dir}: {_title(first)}")
    same = True
    for path in options.other:
        other = Store(path)
        print(f"\n{path}: {_title(other)}")
        for difference in compare_tables(first.joints(), other.joints()):
            print(difference)
            if len(difference.beyond):
                same = False
                with pl.Config(tbl_rows=options.rows, tbl_hide_dataframe_shape=True):
                    print(difference.beyond.head(options.rows))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
