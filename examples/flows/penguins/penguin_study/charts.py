"""Two charts as SVG text: points with fitted lines, and bars. It has only the features that the report needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 48
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito's, distinguishable with every kind of colour vision
INK, GRID = "#333333", "#dddddd"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line `y = slope * x + intercept`, drawn from the smallest to the largest x of its points."""

    slope: float
    intercept: float
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """The title of a chart and the labels of its axes."""

    title: str
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """A map from values between `low` and `high` to pixels between `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round values, 4 to 10 of them, inside the range."""
        rough = (self.high - self.low) / 8
        unit = 10 ** floor(log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        return [number * step for number in range(ceil(self.low / step), floor(self.high / step) + 1)]


def scatter(axes: Axes, series: Mapping[str, Sequence[Point]], lines: Mapping[str, Line]) -> str:
    """Draw points, one colour per series, and a line for each name in `lines`; a line without points spans all points."""
    everything = [point for points in series.values() for point in points]
    x, y = _scales(everything)
    colour = dict(zip(series, COLOURS, strict=False))
    body = [*_frame(axes, x, y)]
    for name, points in series.items():
        body += [_circle(x(px), y(py), colour[name]) for px, py in points]
    for name, line in lines.items():
        body.append(_line(line, series.get(name, everything), (x, y), colour.get(name, INK)))
    body += _legend([(name, colour.get(name, INK)) for name in {**series, **lines}])
    return _svg(axes.title, body)


def bars(axes: Axes, values: Sequence[tuple[str, float]], floor_at: float) -> str:
    """Draw one bar per (label, value), the axis starting at `floor_at`, with each value written above its bar."""
    y = _Scale(floor_at, 1.0, HEIGHT - BOTTOM, TOP)
    width = (WIDTH - LEFT - RIGHT) / len(values)
    body = [*_rows(y), *_titles(axes)]
    for index, (label, value) in enumerate(values):
        left, top = LEFT + (index + 0.2) * width, y(value)
        middle = left + 0.3 * width
        height = HEIGHT - BOTTOM - top
        body += [
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{0.6 * width:.1f}" height="{height:.1f}" fill="{COLOURS[0]}"/>',
            _text(middle, top - 5, f"{value:.1%}", "middle"),
            _text(middle, HEIGHT - BOTTOM + 16, label, "middle"),
        ]
    return _svg(axes.title, body)


def _scales(points: Sequence[Point]) -> tuple[_Scale, _Scale]:
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    room_x, room_y = 0.04 * (max(xs) - min(xs)), 0.06 * (max(ys) - min(ys))
    return (
        _Scale(min(xs) - room_x, max(xs) + room_x, LEFT, WIDTH - RIGHT),
        _Scale(min(ys) - room_y, max(ys) + room_y, HEIGHT - BOTTOM, TOP),
    )


def _frame(axes: Axes, x: _Scale, y: _Scale) -> Iterable[str]:
    yield from _rows(y)
    for tick in x.ticks():
        yield f'<line x1="{x(tick):.1f}" y1="{TOP}" x2="{x(tick):.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>'
        yield _text(x(tick), HEIGHT - BOTTOM + 16, f"{tick:g}", "middle")
    yield from _titles(axes)


def _rows(y: _Scale) -> Iterable[str]:
    for tick in y.ticks():
        yield f'<line x1="{LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - RIGHT}" y2="{y(tick):.1f}" stroke="{GRID}"/>'
        yield _text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end")


def _titles(axes: Axes) -> Iterable[str]:
    yield _text(LEFT, 20, axes.title, "start", size=15)
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axes.x, "middle")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield f'<g transform="rotate(-90 14 {middle:.1f})">{_text(14, middle, axes.y, "middle")}</g>'


def _legend(entries: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Draw the legend in the lower left corner, where this data has no points."""
    for index, (name, colour) in enumerate(reversed(entries)):
        y = HEIGHT - BOTTOM - 12 - 18 * index
        yield f'<rect x="{LEFT + 10}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield _text(LEFT + 26, y, name, "start")


def _line(line: Line, points: Sequence[Point], scales: tuple[_Scale, _Scale], colour: str) -> str:
    x, y = scales
    ends = min(point[0] for point in points), max(point[0] for point in points)
    (x1, y1), (x2, y2) = ((x(end), y(line.slope * end + line.intercept)) for end in ends)
    dash = ' stroke-dasharray="7 5"' if line.dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2.5"{dash}/>'


def _circle(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}" fill-opacity="0.55"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">{escape(text)}</text>'


def _svg(title: str, body: Iterable[str]) -> str:
    lines = "\n  ".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif">\n'
        f'  <title>{escape(title)}</title>\n  <rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n  {lines}\n</svg>\n'
    )
