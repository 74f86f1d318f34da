"""Tables as they are shown, as CSV and as LaTeX.

A cell is a str, int, float, bool or None, or an estimate: anything with `n`, `mean`, `low` and `high`
(`functional.statistics.Estimate`).  An estimate is one cell on the page and four columns in the CSV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import Missing, Table

NOTHING = "\u2013"  # what stands for a number that does not exist
MINUS = "\u2212"
CSV_QUOTED = frozenset(',"\r\n')  # a field that holds one of these stands in quotes
CSV_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # full-width ones too


@dataclass(frozen=True)
class Cell:
    """How one cell is shown: `text`, a smaller `aside` (an interval), and `sort`, its number where it has one."""

    text: str
    aside: str = ""
    sort: float | None = None
    numeric: bool = False


def is_estimate(value: Any) -> bool:
    """Whether `value` has a mean and an interval."""
    return all(hasattr(value, name) for name in ("n", "mean", "low", "high"))


def show(value: Any, digits: int = 2) -> Cell:
    """A cell's text; NaN and None are a dash, a `Missing` number is its reason, never a number.

    >>> show(1234.5678).text, show(7).text, show(True).text
    ('1234.57', '7', 'yes')
    >>> show(float('nan')).text == show(None).text == NOTHING
    True
    """
    if is_estimate(value):
        cell = show(float(value.mean), digits)
        known = not (math.isnan(value.low) or math.isnan(value.high))  # an end may be infinite
        aside = f"[{_number(value.low, digits)}, {_number(value.high, digits)}]" if known else ""
        return Cell(cell.text, aside if cell.sort is not None else "", cell.sort, True)
    if value is None:
        return Cell(NOTHING)
    if isinstance(value, (bool, np.bool_)):
        return Cell("yes" if value else "no", sort=float(value))
    if isinstance(value, (int, np.integer)):
        return Cell(str(int(value)), sort=float(value), numeric=True)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return Cell(value.reason if isinstance(value, Missing) else NOTHING, numeric=True)
        return Cell(_number(number, digits), sort=number, numeric=True)
    return Cell(str(value))


def _number(value: float, digits: int) -> str:
    """Fixed decimals with a real minus sign; numbers that would be shown as 0 keep two significant figures."""
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{digits}f}"
    if value != 0 and float(text) == 0:
        text = f"{value:.1e}"
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def shown_cells(table: Table) -> list[list[Cell]]:
    """Every row as cells.

    Raises:
        ValueError: a row has not as many cells as there are columns.
    """
    width = len(table.columns)
    for i, row in enumerate(table.rows):
        if len(row) != width:
            raise ValueError(
                f"table {table.caption!r}: row {i} has {len(row)} cells, expected {width} (one for each column)"
            )
    return [[show(value, table.digits) for value in row] for row in table.rows]


def csv_text(table: Table) -> str:
    """The table at full precision; a missing number is an empty field, an estimate is mean, low, high and n.

    A column with `Missing` numbers has another one beside it, of their reasons.

    Lines end as RFC 4180 says, with CR LF.  A text that a spreadsheet would take as a formula (a joint named '=1+1')
    gets an apostrophe before it; numbers are numbers.

    >>> csv_text(Table('', ('joint', 'DI'), (('nose', 0.1), ('hip', float('nan')))))
    'joint,DI\\r\\nnose,0.1\\r\\nhip,\\r\\n'
    """
    expanded = [any(is_estimate(row[i]) for row in table.rows) for i in range(len(table.columns))]
    with_reasons = [any(isinstance(row[i], Missing) for row in table.rows) for i in range(len(table.columns))]
    header: list[str] = []
    for name, wide, explained in zip(table.columns, expanded, with_reasons, strict=True):
        header += [name, f"{name} low", f"{name} high", f"{name} n"] if wide else [name]
        header += [f"{name} reason"] if explained else []
    lines: list[list[Any]] = [header]
    for row in table.rows:
        line: list[Any] = []
        for value, wide, explained in zip(row, expanded, with_reasons, strict=True):
            if not wide:
                line.append(_plain(value))
            elif is_estimate(value):
                line += [_plain(value.mean), _plain(value.low), _plain(value.high), int(value.n)]
            else:
                line += [_plain(value), "", "", ""]
            if explained:
                line.append(value.reason if isinstance(value, Missing) else "")
        lines.append(line)
    return "".join(f"{_csv_line(line)}\r\n" for line in lines)


def _csv_line(fields: Sequence[Any]) -> str:
    '''As the csv module writes it; that of Python 3.10 refuses a text with a zero in it.

    >>> print(_csv_line(['nose, "tip"', 0.5, '']))
    "nose, ""tip""",0.5,
    '''
    texts = [_harmless(field) if isinstance(field, str) else str(field) for field in fields]
    if texts == [""]:
        return '""'  # an empty line would be no row
    return ",".join('"' + text.replace('"', '""') + '"' if CSV_QUOTED & set(text) else text for text in texts)


def _harmless(text: str) -> str:
    """With an apostrophe before what a spreadsheet would compute, also behind spaces.

    >>> _harmless('=1+1'), _harmless(' @x'), _harmless('left-hip'), _harmless('')
    ("'=1+1", "' @x", 'left-hip', '')
    """
    return f"'{text}" if text.lstrip(" \u00a0").startswith(CSV_FORMULA) else text


def _plain(value: Any) -> Any:
    """What `str` of makes the field: numbers stay numbers, all else is text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, (int, float)) else str(value)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", MINUS: "$-$", NOTHING: "--", "∞": r"$\infty$", "→": r"$\to$",
}  # fmt: skip


def latex_text(table: Table) -> str:
    """The table as LaTeX with booktabs, numbers as on the page, intervals beside the means.

    >>> print(latex_text(Table('50 % of A_k', ('a_b', 'n'), (('x & y', 3),))), end='')
    % \\usepackage{booktabs}
    \\begin{table}
      \\centering
      \\caption{50 \\% of A\\_k}
      \\begin{tabular}{lr}
        \\toprule
        a\\_b & n \\\\
        \\midrule
        x \\& y & 3 \\\\
        \\bottomrule
      \\end{tabular}
    \\end{table}
    """
    cells = shown_cells(table)
    numeric = [any(row[i].numeric for row in cells) for i in range(len(table.columns))]
    lines = [" & ".join(_escape(cell.text) + _aside(cell.aside) for cell in row) + r" \\" for row in cells]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escape(table.caption)}}}",
            rf"  \begin{{tabular}}{{{''.join('r' if n else 'l' for n in numeric)}}}",
            r"    \toprule",
            "    " + " & ".join(_escape(name) for name in table.columns) + r" \\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _aside(text: str) -> str:
    return rf" {{\scriptsize {_escape(text)}}}" if text else ""
