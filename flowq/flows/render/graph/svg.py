"""A graph as one SVG file: nothing is loaded from anywhere, it opens in every browser and can be embedded in a page."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from flowq.flows.render.graph.dot_mermaid import colors_of
from flowq.flows.render.graph.layout import Layout, lay_out
from flowq.flows.render.graph.model import Drawing, Vertex
from flowq.flows.views.text import safe_line
from flowq.states import JobStatus

_CHAR: Final = 7.3  # px of an average character at 12 px
_HIGH: Final = 26  # px of a box
_ROW: Final = 38  # px from row to row
_GAP: Final = 56  # px between columns
_EDGE: Final = 20  # px around
_LONGEST: Final = 48  # characters of a label
_PASS: Final = 8  # px of a column through which edges only pass

_STYLE: Final = (
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,monospace;fill:#1f2328}"
    ".title{font-weight:bold;font-size:14px}"
    ".edge{fill:none;stroke:#8c959f;stroke-width:1.3}"
    ".special{stroke-dasharray:5 3}"
    ".note{font-size:10px;fill:#57606a}"
)


_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#8c959f"/></marker></defs>'
)


def to_svg(graph: Drawing, title: str) -> str:
    """Return the document. With a run's states the boxes have their colour; a box tells its state when pointed at."""
    layout = lay_out(graph)
    labels = [_short(safe_line(vertex.label)) for vertex in graph.vertices]
    lefts, widths = _columns(layout, labels)
    width = max([*(left + wide for left, wide in zip(lefts, widths, strict=True)), _CHAR * len(title) * 1.2]) + 2 * _EDGE
    height = layout.height * _ROW + 2 * _EDGE + 24
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        _TIP,
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="{_EDGE}" y="{_EDGE + 4}">{_text(title)}</text>',
        *_edges(graph, layout, lefts, widths),
        *_boxes(graph, layout, lefts, widths, labels),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _columns(layout: Layout, labels: Sequence[str]) -> tuple[list[float], list[float]]:
    lefts, widths = [], []
    left = float(_EDGE)
    for column in layout.columns:
        wide = max((_CHAR * len(labels[item]) + 18 for item in column if item < layout.vertices), default=float(_PASS))
        lefts.append(left)
        widths.append(wide)
        left += wide + _GAP
    return lefts, widths


def _middle(layout: Layout, item: int) -> float:
    return _EDGE + 24 + layout.rows[item] * _ROW + _ROW / 2


def _edges(graph: Drawing, layout: Layout, lefts: Sequence[float], widths: Sequence[float]) -> Iterator[str]:
    special = {(parent, child) for parent, child, condition in graph.edges if condition != "success"}
    for index, column in enumerate(layout.columns):
        for item in column:
            y = _middle(layout, item)
            if item >= layout.vertices:
                yield f'<path class="edge" d="M{lefts[index]:.1f},{y:.1f} h{widths[index]:.1f}"/>'
            for parent in layout.parents[item]:
                x0, x1 = lefts[index - 1] + widths[index - 1], lefts[index]
                y0, bend = _middle(layout, parent), (x1 - x0) / 2
                tip = ' marker-end="url(#tip)"' if item < layout.vertices else ""
                dashed = " special" if (parent, item) in special else ""
                curve = f"M{x0:.1f},{y0:.1f} C{x0 + bend:.1f},{y0:.1f} {x1 - bend:.1f},{y:.1f} {x1:.1f},{y:.1f}"
                yield f'<path class="edge{dashed}" d="{curve}"{tip}/>'


def _boxes(
    graph: Drawing, layout: Layout, lefts: Sequence[float], widths: Sequence[float], labels: Sequence[str]
) -> Iterator[str]:
    for index, column in enumerate(layout.columns):
        for item in column:
            if item >= layout.vertices:
                continue
            vertex = graph.vertices[item]
            line, fill = colors_of(vertex)
            x, y = lefts[index], _middle(layout, item)
            radius = _HIGH // 2 if vertex.group else 5
            yield (
                f"<g><title>{_text(_tooltip(vertex, graph.file))}</title>"
                f'<rect x="{x:.1f}" y="{y - _HIGH / 2:.1f}" width="{widths[index]:.1f}" height="{_HIGH}" rx="{radius}"'
                f' fill="{fill}" stroke="{line}" stroke-width="1.5"/>'
                f'<text x="{x + 9:.1f}" y="{y + 4:.1f}">{_text(labels[item])}</text></g>'
            )


def _tooltip(vertex: Vertex, file: str) -> str:
    shown = "failing" if vertex.goes_on and vertex.status in {JobStatus.FAILED, JobStatus.STOPPED} else vertex.status
    state = "" if shown is None else f": {shown}" + (" (allowed)" if vertex.allowed else "")
    took = "" if vertex.duration is None else f", {vertex.duration:.2f} s"
    queue = "" if vertex.queue is None else f", queue {vertex.queue}"
    if vertex.queues:
        queue = f", queues {', '.join(vertex.queues)}"
    return f"{vertex.label}{state}{took}{queue}, {vertex.place.beside(file) or f'line {vertex.place.line}'}"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _text(text: str) -> str:
    """Return the text as XML. What XML cannot hold at all was made visible by `safe_line`, but for two code points."""
    return escape(safe_line(text)).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
