"""`defaults`, `templates` and `extends`: the maps that are merged into a job.

Maps merge key by key, lists and scalars replace. The result is a map of the same tree nodes, so every value keeps its span, also one
from a template.
"""

from collections.abc import Iterable
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.schema import schema_document
from flowq.compiler.syntax.source import Report
from flowq.plan.bulk import record

MAX_CHAIN: Final = 50  # length of a chain of `extends`


@record
class MergedJob:
    """A job with its inherited keys. `own` lacks the flow's defaults."""

    name: str
    spelling: ScalarNode
    own: MapNode
    whole: MapNode
    is_map: bool = True  # whether the file has a map under the name, as it should


def merge_jobs(root: MapNode, sections: Iterable[str], report: Report) -> dict[str, list[MergedJob]]:
    """Return the jobs of each section of a flow (`jobs`, `on_exit`, …) in the order of the file."""
    templates = _Templates(root.get("templates"), report)
    defaults = _known(root.get("defaults"))
    merged = {name: _merge_section(root.get(name), defaults, templates) for name in sections}
    templates.check_all()
    return merged


def _known(defaults: YamlNode | None) -> MapNode | None:
    """Return the defaults without illegal keys: these are reported already, and would cause an error in every job."""
    if not isinstance(defaults, MapNode):
        return None
    found = MapNode(defaults.start)
    found.end = defaults.end
    legal = schema_document()["$defs"]["defaults"]["properties"]
    found.entries = {key: entry for key, entry in defaults.entries.items() if key in legal}
    return found


def _merge_section(section: YamlNode | None, defaults: MapNode | None, templates: "_Templates") -> list[MergedJob]:
    if not isinstance(section, MapNode):
        return []
    merged = []
    for name, (spelling, node) in section.entries.items():
        if not isinstance(node, MapNode):
            nothing = MapNode(spelling.end)
            merged.append(
                MergedJob(name, spelling, nothing, nothing, is_map=False)
            )  # reported already; other jobs may depend on its name
            continue
        own = templates.applied(node)
        whole = overlay(defaults, own) if defaults is not None else own
        merged.append(MergedJob(name, spelling, own, whole))
    return merged


def overlay(base: MapNode, top: MapNode) -> MapNode:
    """Return a map with the entries of both; `top` takes precedence, and nested maps are merged."""
    if not base.entries:
        return top
    result = MapNode(top.start)
    result.end = top.end
    result.entries = dict(base.entries)
    for key, (spelling, value) in top.entries.items():
        below = base.entries.get(key)
        if below is not None and isinstance(value, MapNode) and isinstance(below[1], MapNode):
            result.entries[key] = (spelling, overlay(below[1], value))
        else:
            result.entries[key] = (spelling, value)
    return result


class _Templates:
    def __init__(self, section: YamlNode | None, report: Report) -> None:
        self._nodes = section.entries if isinstance(section, MapNode) else {}
        self._report = report
        self._done: dict[str, MapNode | None] = {}
        self._open: list[str] = []

    def applied(self, node: MapNode) -> MapNode:
        """Return a job or template merged over the templates that it extends."""
        wanted = node.entries.get("extends")
        if wanted is None:
            return node
        base = MapNode(node.start)
        items = wanted[1].items if isinstance(wanted[1], ListNode) else [wanted[1]]
        for item in items:
            if isinstance(item, ScalarNode) and isinstance(item.value, str):
                template = self._template(item.value, item)
                if template is not None:
                    base = overlay(base, template)
        return overlay(base, node)

    def check_all(self) -> None:
        """Check also the templates that no job uses."""
        for name, (spelling, _) in self._nodes.items():
            self._template(name, spelling)

    def _template(self, name: str, place: ScalarNode) -> MapNode | None:
        if name in self._done:
            return self._done[name]
        entry = self._nodes.get(name)
        if entry is None:
            hint = did_you_mean(name, self._nodes, "the templates are") if self._nodes else "the flow has no `templates:`"
            self._report.add(Code.UNKNOWN_TEMPLATE, place.span, f"there is no template `{name[:60]}`", hint)
            return None
        if name in self._open or len(self._open) >= MAX_CHAIN:
            self._report_chain(name, place)
            return None
        if not isinstance(entry[1], MapNode):
            return None
        self._open.append(name)
        found: MapNode | None = self.applied(entry[1])
        self._open.pop()
        self._done[name] = found
        return found

    def _report_chain(self, name: str, place: ScalarNode) -> None:
        if name in self._open:
            path = " -> ".join([*self._open[self._open.index(name) :], name])
            self._report.add(Code.TEMPLATE_CYCLE, place.span, f"templates extend each other: {path}", "remove one `extends`")
        else:
            self._report.add(
                Code.TEMPLATE_CYCLE, place.span, f"templates extend each other more than {MAX_CHAIN} levels deep", ""
            )
