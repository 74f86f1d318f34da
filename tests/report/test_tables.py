"""Cells, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseig_mm.report.tables import NOTHING, csv_text, latex_text, show, shown_cells
from poseig_mm.types import Missing, Table

ESTIMATE = SimpleNamespace(n=5, mean=1.25, low=1.0, high=1.5)


# The csv module of Python 3.10 cannot read a zero either.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0" if sys.version_info < (3, 11) else ""))


@given(st.lists(st.tuples(TEXTS, st.floats(allow_nan=False)), max_size=5))
def test_csv_gives_back_every_text_and_number(rows: list[tuple[str, float]]) -> None:
    """Quoting, line breaks and the last digit survive; before what looks like a formula there is an apostrophe."""
    text = csv_text(Table("", ("a", "b"), tuple(rows)))
    header, *read = csv.reader(io.StringIO(text, newline=""))
    assert header == ["a", "b"]
    assert all(got in (given, f"'{given}") for (got, _), (given, _) in zip(read, rows, strict=True))
    assert [float(r[1]) for r in read] == [r[1] for r in rows]


def test_csv_holds_any_character() -> None:
    """A zero too; a field that is alone and empty is a row all the same."""
    assert csv_text(Table("", ("a",), (("\0",), ("",), ('"',)))) == 'a\r\n\0\r\n""\r\n""""\r\n'


def test_an_estimate_is_one_cell_and_four_columns() -> None:
    """Mean with its interval on the page; mean, low, high and n in the file; a plain number leaves the rest empty."""
    cell = show(ESTIMATE)
    assert (cell.text, cell.aside, cell.sort) == ("1.25", "[1.00, 1.50]", 1.25)
    text = csv_text(Table("", ("g", "DI"), (("a", ESTIMATE), ("b", 2.0))))
    assert text.splitlines() == ["g,DI,DI low,DI high,DI n", "a,1.25,1.0,1.5,5", "b,2.0,,,"]


def test_an_estimate_without_interval_or_mean() -> None:
    """One value: no interval; none: a dash, and nothing to sort by."""
    one = SimpleNamespace(n=1, mean=2.0, low=math.nan, high=math.nan)
    none = SimpleNamespace(n=0, mean=math.nan, low=math.nan, high=math.nan)
    assert (show(one).text, show(one).aside) == ("2.00", "")
    assert (show(none).text, show(none).aside, show(none).sort) == (NOTHING, "", None)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (-1.5, 1, "\u22121.5"),
        (0.0004, 2, "4.0e-04"),
        (0.0, 2, "0.00"),
        (np.float32(0.5), 2, "0.50"),
        (np.int64(3), 2, "3"),
        (math.inf, 2, "\u221e"),
        (-math.inf, 2, "\u2212\u221e"),
    ],
)
def test_numbers_as_they_are_shown(value: float, digits: int, text: str) -> None:
    """A number that is not 0 is never shown as 0; minus is a minus; integers have no decimals."""
    assert show(value, digits).text == text


def test_a_row_of_another_length_is_named() -> None:
    """The error says which row of which table."""
    with pytest.raises(ValueError, match=r"table 'T': row 1 has 3 cells, expected 2"):
        shown_cells(Table("T", ("a", "b"), ((1, 2), (1, 2, 3))))


def test_latex_escapes_what_tex_would_read() -> None:
    """Names with special characters and line breaks stay text, and intervals stand beside the mean."""
    text = latex_text(Table("a\nb", ("x_1", "DI"), (("50% & {more} \\ #$~^", ESTIMATE),)))
    assert r"\caption{a b}" in text
    assert r"x\_1 & DI \\" in text
    assert r"50\% \& \{more\} \textbackslash{} \#\$\textasciitilde{}\textasciicircum{}" in text
    assert r"1.25 {\scriptsize [1.00, 1.50]}" in text
    assert r"\begin{tabular}{lr}" in text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_a_text_that_a_spreadsheet_would_compute_is_text(text: str) -> None:
    """A joint's name, a column's, and one with a comma alike; the number -1.5 stays a number."""
    (header, row) = csv.reader(io.StringIO(csv_text(Table("", (text, "n"), ((f"{text},x", -1.5),))), newline=""))
    assert header == [f"'{text}", "n"]
    assert row == [f"'{text},x", "-1.5"]


def test_a_missing_number_says_why_on_the_page_and_in_the_csv() -> None:
    """It is still no number: it sorts as none, and its field in the CSV is empty, with the reason in a column."""
    table = Table("", ("a", "p"), (("x", 0.01), ("y", Missing("cannot be significant with n = 8")), ("z", math.nan)))
    cells = [row[1] for row in shown_cells(table)]
    assert [cell.text for cell in cells] == ["0.01", "cannot be significant with n = 8", "\u2013"]
    assert [cell.sort for cell in cells] == [0.01, None, None]
    assert csv_text(table).split("\r\n")[:4] == [
        "a,p,p reason", "x,0.01,", "y,,cannot be significant with n = 8", "z,,"
    ]  # fmt: skip
