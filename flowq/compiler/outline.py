"""The outline of a flow file: what can be told of it while it still has mistakes.

Lists of flows and completion need names, not plans: an outline takes a hundredth of the time of a compilation, and a flow that is being
edited rarely compiles.
"""

from dataclasses import dataclass

from flowq.compiler.params.params import ParamSpec, declare_params
from flowq.compiler.syntax.files import flow_name
from flowq.compiler.syntax.nodes import ListNode, MapNode, YamlNode, text_of
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.source import load_source

_FOREIGN = frozenset({"steps", "runs-on", "uses"})  # keys of jobs in files of CI systems, which have `jobs` too


@dataclass(frozen=True, slots=True)
class Outline:
    """The names in a flow file. `problem`: why it cannot be read to its end; "" if it can."""

    name: str
    description: str = ""
    params: tuple[ParamSpec, ...] = ()
    jobs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    problem: str = ""


def read_outline(path: str) -> Outline | None:
    """Return the outline of a flow file; None for a file that is no flow.

    A flow is a YAML file whose top level has `jobs`, a map, or that looks so and is no valid YAML. Never raises for what is in the file.

    Args:
        path: the file.
    """
    source, report = load_source(path)
    if "jobs" not in source.text:
        return None
    root = read(source, report)
    if root is None:
        meant = any(line.startswith("jobs:") for line in source.text.splitlines())
        return Outline(flow_name(path), problem=report.sorted()[0].message) if meant and report.failed else None
    jobs = root.get("jobs") if isinstance(root, MapNode) else None
    if not isinstance(root, MapNode) or not isinstance(jobs, MapNode) or _is_foreign(jobs):
        return None
    return Outline(
        text_of(root.get("name")) or flow_name(path),
        text_of(root.get("description")),
        declare_params(root, report),
        tuple(jobs.entries),
        _stages(root.get("stages")),
    )


def _is_foreign(jobs: MapNode) -> bool:
    return any(isinstance(job, MapNode) and not _FOREIGN.isdisjoint(job.entries) for _name, job in jobs.entries.values())


def _stages(node: YamlNode | None) -> tuple[str, ...]:
    return tuple(filter(None, map(text_of, node.items))) if isinstance(node, ListNode) else ()
