"""The flows of a directory, as triggers connect them: what follows a flow that is not there, and what follows itself without end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowq.compiler import Code, Diagnostic
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.plan.trigger import Trigger


@dataclass(frozen=True, slots=True)
class TriggeredFlow:
    """A flow of a directory, with its file as messages name it, and its triggers."""

    file: str
    triggers: tuple[Trigger, ...]

    def problem(self, trigger: Trigger, code: Code, message: str, hint: str) -> Diagnostic:
        """Return a diagnostic at a trigger."""
        lines = Path(self.file).read_text(encoding="utf-8", errors="replace").split("\n")
        text = lines[trigger.line - 1] if 0 < trigger.line <= len(lines) else ""
        begin = max(text.find(trigger.name), 0) + 1
        end = begin + len(trigger.name)
        return Diagnostic(str(code), "error", message, self.file, trigger.line, begin, trigger.line, end, text, hint)


def check_follows(flows: Mapping[str, TriggeredFlow]) -> list[Diagnostic]:
    """Return what is wrong with the triggers that follow other flows.

    Args:
        flows: all flows of the directory, by name.
    """
    found = []
    for flow in flows.values():
        for trigger in flow.triggers:
            if trigger.kind == "flow" and trigger.flow not in flows:
                hint = did_you_mean(trigger.flow, list(flows), "the flows are")
                message = f"there is no flow `{trigger.flow[:60]}` in the directory: this trigger starts nothing"
                found.append(flow.problem(trigger, Code.TRIGGER, message, hint))
    for ring in _rings(flows):
        first = flows[ring[0]]
        trigger = next(item for item in _unconditional(first) if item.flow == ring[-1])
        message = f"these flows start each other without end: {' -> '.join([*ring, ring[0]])}"
        hint = "remove one of the triggers, or give it an `if` that is false at some time"
        found.append(first.problem(trigger, Code.TRIGGER_CYCLE, message, hint))
    return found


def _unconditional(flow: TriggeredFlow) -> Iterator[Trigger]:
    return (item for item in flow.triggers if item.kind == "flow" and not item.condition)


def _rings(flows: Mapping[str, TriggeredFlow]) -> Iterator[list[str]]:
    """Yield one ring of flows for each set of flows that reach each other; each starts the next one."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, flow in sorted(flows.items()):
        graph.add_edges_from((trigger.flow, name) for trigger in _unconditional(flow) if trigger.flow in flows)
    for part in sorted(nx.strongly_connected_components(graph), key=min):
        inner = graph.subgraph(part)
        if len(part) > 1 or inner.number_of_edges():
            yield [begin for begin, _ in nx.find_cycle(inner, min(part))]
