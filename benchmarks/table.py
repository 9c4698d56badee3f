"""The table: medians of the rounds, and ratios of the medians."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.blocks import Block, Line, Ratio
from benchmarks.measure import Figures, Key, key

Measured = Mapping[Key, Sequence[Figures]]  # one per round

LEGEND = """\
ratio: how many times better the first line of a block is than this line; below 1 it is worse.
       For commands: the first line's time divided by that of this baseline.
goal:  for the ratio; in lines of flowq, for the median."""
_HEAD = ("workload, worker", "job runs in", "median", "ratio", "goal")
_WIDTHS = (43, 20, 12, 10, 11)


def render(blocks: Sequence[Block], measured: Measured, reasons: Mapping[Key, str]) -> str:
    """Return the table as text. A figure that could not be measured is a dash; the reason is printed below the table."""
    lines = [_line(_HEAD), "-" * sum(_WIDTHS)]
    for block in blocks:
        lines += [block.title, *(_line(cells) for cells in _rows(block, measured)), ""]
    missing = {
        f"{line.worker.name}, {line.task.name}": reasons.get(key(line.worker, line.task))
        for block in blocks
        for line in block.lines
    }
    return "\n".join([*lines, LEGEND, *(f"- {name}: {reason}" for name, reason in missing.items() if reason)])


def _rows(block: Block, measured: Measured) -> Iterator[Sequence[str]]:
    own = _median(block.lines[0], measured)
    for line in block.lines:
        value = _median(line, measured)
        compared = _ratio(block.ratio, own, value) if line is not block.lines[0] else ""
        yield f"  {line.worker.name}", line.worker.isolation, _figure(value), compared, line.goal


def _ratio(kind: Ratio, own: float | None, other: float | None) -> str:
    if not own or not other:  # not measured, or zero
        return "-"
    ratio = other / own if kind is Ratio.LESS else own / other
    return f"{ratio:,.1f} x" if ratio >= 1 else f"{ratio:.2f} x"


def _median(line: Line, measured: Measured) -> float | None:
    values = [figures[line.figure] for figures in measured.get(key(line.worker, line.task), ())]
    return statistics.median(values) if values else None


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    left = "".join(cell.ljust(width) for cell, width in zip(cells[:2], _WIDTHS[:2], strict=True))
    return (left + "".join(cell.rjust(width) for cell, width in zip(cells[2:], _WIDTHS[2:], strict=True))).rstrip()
