"""What was measured on a card, as a table for the terminal and as a part of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.nets import JOINTS, VISIBLE

__all__ = ["NOT_MEASURED", "PERFORMANCE", "markdown", "part_between_markers", "place", "table"]

PERFORMANCE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks.gpu -->", "<!-- end of benchmarks.gpu -->"
NOT_MEASURED = "Not measured yet: no card was at hand. `python -m benchmarks.gpu` measures it."
NAME = 80  # characters of a kernel's name
COCO_PERSONS = 6352  # val2017, with annotated joints

Results = dict[str, Any]  # what `benchmarks.gpu` writes: 'about' and 'parts'


def table(results: Results) -> str:
    """A line a part: status, name, seconds, and what it found or why it did not; then the tables of what was
    measured.
    """
    rows = [(p["status"], p["name"], f"{p['seconds']:.1f} s", _said(p)) for p in results["parts"]]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows]
    return "\n".join([*lines, *_tables(_found(results)), "", *_against_the_goals(results)])


def markdown(results: Results) -> str:
    """The part of docs/performance.md; it says by itself what was not measured.

    Raises:
        ValueError: the networks were tiny.
    """
    about, found = results["about"], _found(results)
    if about["small"]:
        raise ValueError("these are the results of --small, which say nothing about speed")
    lines = [
        f"{about['date']}, {about['device']}, torch {about['torch']}, CUDA {about['cuda']}, Python {about['python']}; "
        "from the JSON of `python -m benchmarks.gpu`. Networks have random weights and spend the gradients that a "
        f"trained one takes; {VISIBLE} of {JOINTS} joints a person; TF32 is off where nothing else is said.",
        "",
        *_rates(found),
        "| | wanted | reached |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(cells)} |" for cells in _goals(found)),
    ]
    checks = _checks(results)
    return "\n".join([*lines, *(_titled("Checks", checks) if checks else []), *_tables(found)])


def _tables(found: dict[str, Any]) -> list[str]:
    """All that was measured, as Markdown."""
    tables = {
        "Seconds a person": _speed(found),
        "One pass": _one_pass(found),
        "Joints stacked in one backward pass": _stacked(found),
        "Operations that take longest, and the kernels they launched": _profile(found),
    }
    return [line for title, rows in tables.items() if rows for line in _titled(title, rows)]


def _titled(title: str, rows: list[list[str]]) -> list[str]:
    """A table under a heading; the first row is its head."""
    head, *body = rows
    return ["", f"### {title}", "", _line(head), _line(["---"] * len(head)), *map(_line, body)]


def place(text: str, path: Path) -> None:
    """Put the part between the markers of a page, which must have them."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{path} must hold {BEGIN!r} and {END!r} once each")
    before, _, rest = page.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def part_between_markers(path: Path) -> list[str]:
    """The lines of a page from marker to marker, both included, for whoever writes the rest of it anew."""
    page = path.read_text() if path.is_file() else ""
    _, found, rest = page.partition(BEGIN)
    text = rest.partition(END)[0].strip("\n") if found else NOT_MEASURED
    return [BEGIN, *text.splitlines(), END]


def _found(results: Results) -> dict[str, Any]:
    """Results of the parts that are ok, by name."""
    return {p["name"]: p["result"] for p in results["parts"] if p["status"] == "ok"}


def _said(part: dict[str, Any]) -> str:
    """A part's outcome in one line."""
    numbers = [f"{k} {_number(v)}" for k, v in part["result"].items() if isinstance(v, (int, float))]
    counts = [f"{k} {v}" for k, v in part["result"].items() if isinstance(v, dict) and part["group"] == "checks"]
    return ", ".join(filter(None, [part["reason"], *numbers, *counts]))


def _number(value: float | None) -> str:
    """Five digits at most; nothing for None."""
    return "" if value is None else f"{value:.5g}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rates(found: dict[str, Any]) -> list[str]:
    if "matrix products" not in found:
        return []
    rates = found["matrix products"]["flop_a_second"]
    return [
        f"Matrix products in the same run: {', '.join(f'{k} {v / 1e12:.4g} TFLOP/s' for k, v in rates.items())}.",
        "",
    ]


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Our rows that were measured, without those with TF32."""
    rows = found.get("ours", {}).get("rows", [])
    return [r for r in rows if "seconds_a_person" in r and not r.get("tf32")]


def _goals(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What is wanted on an H200-class card, beside what was reached; an empty cell where it was not measured."""
    rows, missing = _rows(found), "not measured"
    best = min(rows, key=lambda r: r["seconds_a_person"], default=None)
    minutes = f"{best['seconds_a_person'] * COCO_PERSONS / 60:.3g} min (batch {best['batch']})" if best else missing
    yield f"COCO val2017, {COCO_PERSONS:,} persons, extrapolated", "<= 2 min", minutes
    share = f"{100 * best['peak_share']:.3g} %" if best and "peak_share" in best else missing
    yield "share of the bfloat16 products' rate", ">= 50 %", share
    against = missing
    if best and "published" in found:
        against = f"{found['published']['seconds_a_person'] / best['seconds_a_person']:.3g} x"
    yield "against the published procedure", ">= 20 x", against


def _against_the_goals(results: Results) -> list[str]:
    if results["about"]["small"]:
        return ["tiny networks: whether it runs, not how fast"]
    return [f"{what}: {reached} (wanted {wanted})" for what, wanted, reached in _goals(_found(results))]


def _checks(results: Results) -> list[list[str]]:
    """All checks, and what else was not done or went wrong."""
    parts = [p for p in results["parts"] if p["group"] == "checks" or p["status"] != "ok"]
    return [["", "", "found"], *([p["name"], p["status"], _said(p)] for p in parts)] if parts else []


def _speed(found: dict[str, Any]) -> list[list[str]]:
    """A row a method; times quicker than published by person."""
    base = found.get("published", {}).get("seconds_a_person")
    rows = [(f"ours{', TF32 forward' if r.get('tf32') else ''}", r) for r in found.get("ours", {}).get("rows", [])]
    rows += [
        (name, found[name]) for name in ("published", "ours linear", "captum", "is_grads_batched") if name in found
    ]
    shown = []
    for name, row in rows:
        if "seconds_a_person" not in row:
            shown.append([name, str(row["batch"]), row["skipped"], *[""] * 5])
            continue
        took, share, memory = row["seconds_a_person"], row.get("peak_share"), row.get("memory")
        shown.append(
            [
                name,
                str(row.get("batch", 1)),
                _number(took),
                f"{base / took:.3g}" if base else "",
                str(row["joints"]),
                f"{row['gradients_a_joint']:.0f}",
                "" if share is None else f"{100 * share:.3g} %",
                _gibibytes(memory),
            ]
        )
    head = ["method", "persons at once", "s / person", "x published", "joints", "gradients", "peak share", "GiB"]
    return [head, *shown] if shown else []


def _gibibytes(memory: int | None) -> str:
    return "" if memory is None else f"{memory / 2**30:.2f}"


def _one_pass(found: dict[str, Any]) -> list[list[str]]:
    row = found.get("one pass")
    if not row:
        return []
    images = row["images"]
    named = {"forward": "forward", "forward_without_graph": "forward, nothing recorded"}
    for key in row:
        if key.startswith(("autograd_", "walk_")):
            way, _, joints = key.partition("_")
            named[key] = f"backward, {'autograd' if way == 'autograd' else 'our walk'}, joints: {joints}"
    body = [[text, f"{1e3 * row[key]:.4g}"] for key, text in named.items()]
    return [[f"{images} images", "ms"], *body]


def _stacked(found: dict[str, Any]) -> list[list[str]]:
    rows = found.get("stacked joints", {}).get("rows", [])
    body = []
    for row in rows:
        stack = "by memory" if row["stack"] is None else str(row["stack"])
        took = _number(row["seconds_a_person"]) if "seconds_a_person" in row else row.get("skipped") or row["error"]
        body.append([stack, "yes" if row["cuda_graph"] else "no", took, _gibibytes(row.get("memory"))])
    return [["joints", "CUDA graph", "s / person", "GiB"], *body] if body else []


def _profile(found: dict[str, Any]) -> list[list[str]]:
    part = found.get("profile")
    if not part:
        return []
    head = [f"{part['batch']} persons, {part['milliseconds']:.4g} ms", "calls", "ms on the card", "ms on the CPU"]
    rows = part["rows"]
    return [
        head,
        *([f"`{r['name'][:NAME]}`", str(r["calls"]), _number(r["cuda_ms"]), _number(r["cpu_ms"])] for r in rows),
    ]
