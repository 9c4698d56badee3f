"""The table: medians of the rounds, and ratios of the medians."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.contestants import ROWS

Rates = Mapping[str, Sequence[float]]  # of each contestant: jobs per second, one figure per round

_HEAD = ("work", "RQ /s", "flowq /s", "ratio", "goal")
_WIDTHS = (48, 9, 10, 9, 11)


def render(rates: Rates) -> str:
    """Return the table as text; a figure that could not be measured is a dash."""
    lines = [_line(_HEAD), _line(["-" * (width - 1) for width in _WIDTHS])]
    lines += [_line(cells) for cells in _rows(rates)]
    return "\n".join(lines)


def _rows(rates: Rates) -> Iterator[Sequence[str]]:
    for row in ROWS:
        peer, own = _median(rates, row.peer), _median(rates, row.own)
        if peer is None and own is None:
            continue
        ratio = f"{own / peer:.1f} x" if peer and own else "-"
        yield row.title, _figure(peer), _figure(own), ratio, f">= {row.goal:g} x" if row.goal else ""


def _median(rates: Rates, contestant: str) -> float | None:
    measured = rates.get(contestant)
    return statistics.median(measured) if measured else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    return (
        first.ljust(_WIDTHS[0]) + "".join(cell.rjust(width) for cell, width in zip(rest, _WIDTHS[1:], strict=True))
    ).rstrip()
