"""A graph for other programs that draw: Mermaid (Markdown pages, merge requests) and Graphviz's DOT."""

from typing import Final

from flowq.flows.render.graph.model import Drawing, Vertex
from flowq.flows.views.text import safe_line
from flowq.states import JobStatus

COLORS: Final = {
    JobStatus.FINISHED: ("#1a7f37", "#dafbe1"),
    JobStatus.FAILED: ("#cf222e", "#ffebe9"),
    JobStatus.STOPPED: ("#cf222e", "#ffebe9"),
    JobStatus.CANCELED: ("#9a6700", "#fff8c5"),
    JobStatus.SKIPPED: ("#8c959f", "#f6f8fa"),
    JobStatus.STARTED: ("#0969da", "#ddf4ff"),
    JobStatus.QUEUED: ("#57606a", "#ffffff"),
    JobStatus.SCHEDULED: ("#9a6700", "#ffffff"),
    JobStatus.RATE_LIMITED: ("#9a6700", "#ffffff"),
    JobStatus.DEFERRED: ("#8c959f", "#ffffff"),
    JobStatus.CREATED: ("#8c959f", "#ffffff"),
}
"""Line and fill of each status."""

ALLOWED: Final = ("#9a6700", "#fff8c5")
PLAIN: Final = ("#57606a", "#ffffff")


def colors_of(vertex: Vertex) -> tuple[str, str]:
    """Return line and fill of a vertex."""
    if vertex.status is None:
        return PLAIN
    return ALLOWED if vertex.allowed and vertex.status is JobStatus.FAILED else COLORS[vertex.status]


def to_mermaid(graph: Drawing) -> str:
    """Return a flowchart; conditions other than success stand on dotted arrows, states are classes."""
    lines = ["flowchart LR"]
    for index, vertex in enumerate(graph.vertices):
        opening, closing = ("([", "])") if vertex.group else ("[", "]")
        lines.append(f'  j{index}{opening}"{_mermaid(vertex.label)}"{closing}')
    for parent, child, condition in graph.edges:
        lines.append(f"  j{parent} --> j{child}" if condition == "success" else f"  j{parent} -. {condition} .-> j{child}")
    members: dict[str, list[str]] = {}
    for index, vertex in enumerate(graph.vertices):
        if vertex.status is not None:
            members.setdefault("allowed" if colors_of(vertex) is ALLOWED else str(vertex.status), []).append(f"j{index}")
    for name, ids in members.items():
        line, fill = ALLOWED if name == "allowed" else COLORS[JobStatus(name)]
        lines += [f"  classDef {name} fill:{fill},stroke:{line},color:#1f2328", f"  class {','.join(ids)} {name}"]
    return "\n".join(lines) + "\n"


def to_dot(graph: Drawing) -> str:
    """Return a digraph for Graphviz."""
    lines = [
        f"digraph {_dot(graph.name)} {{",
        "  rankdir=LR",
        '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="sans-serif"]',
    ]
    for index, vertex in enumerate(graph.vertices):
        line, fill = colors_of(vertex)
        state = f', color="{line}", fillcolor="{fill}"' if vertex.status is not None else ""
        shape = ", shape=oval" if vertex.group else ""
        lines.append(f"  j{index} [label={_dot(vertex.label)}{shape}{state}]")
    for parent, child, condition in graph.edges:
        lines.append(
            f"  j{parent} -> j{child}" + ("" if condition == "success" else f" [style=dashed, label={_dot(condition)}]")
        )
    return "\n".join([*lines, "}"]) + "\n"


def _mermaid(text: str) -> str:
    """Return the text with everything that Mermaid or the HTML around it would read as its own written as an entity."""
    return "".join(char if char.isalnum() or char in " _-.,=×/:" else f"#{ord(char)};" for char in safe_line(text))


def _dot(text: str) -> str:
    escaped = safe_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
