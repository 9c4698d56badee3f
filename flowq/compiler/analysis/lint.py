"""Warnings: valid flows that are probably not what the author meant.

Each help line names a way to confirm the intent: an explicit condition of a dependency, a name with an underscore.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from flowq.compiler.analysis.graph import Graph
from flowq.compiler.binding.fields import RETRIED
from flowq.compiler.binding.spec import DependencySpec, FlowSpec, JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import locate
from flowq.compiler.shell.interpolation import is_posix
from flowq.compiler.shell.secret_leaks import variable_uses
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, texts_of
from flowq.compiler.syntax.source import Report
from flowq.durations import format_duration
from flowq.expr.defaults import swallowing

MAX_CONDITIONS: Final = 200  # distinct ones that are followed through the graph

_EVERYWHERE: Final = frozenset({"HOME", "PATH", "PWD", "USER"})  # variables that people put into others, wherever they run
_PASSED_ON: Final = frozenset({"success", "failure"})  # a skipped parent skips the job too
_UNMARKED = re.compile(r"(?<!\$)\{\{ *((?:params|matrix|jobs)\.[^{}\n]*?) *\}\}|\$\{((?:params|matrix|jobs)\.[^{}\n]*)\}")
_USED_PARAMS = re.compile(r"""\bparams\b(?!\s*['"]?\s*:)(?:\s*\.\s*(\w+)|\s*\[\s*\\?['"](\w+))?""")


def warn(flow: FlowSpec, graph: Graph, root: MapNode, report: Report) -> None:
    """Report probable mistakes in a flow without errors.

    Args:
        flow: the flow.
        graph: the graph of its jobs.
        root: its tree.
        report: gets the warnings.
    """
    _skipped_joins(graph, report)
    told: set[int] = set()  # values of defaults and templates, which many jobs share
    for job in flow.jobs:
        _times(job, flow, told, report)
    for job in (*flow.jobs, *(job for section in flow.handlers.values() for job in section)):
        _retries(job, root.get("defaults"), report)
    _never_failing(graph, report)
    _unused_params(flow, report)
    _unused_templates(root, report)
    _unused_secrets(flow, root, report)
    _defaults(flow, report)
    _unexpanded(flow, report)
    _unmarked(flow, report)


# -- jobs that are skipped with another one ---------------------------------------------------------------------------------------


def _skipped_joins(graph: Graph, report: Report) -> None:
    """Report jobs with several parents that are skipped as soon as the `if` of one parent is false.

    A chain is meant to be skipped as a whole, so it is not reported. A condition that was reported at one job is not reported again at
    its descendants.
    """
    if all(job.condition is None for job in graph.jobs):
        return
    owners: dict[str, str] = {}  # condition -> the first job whose `if` it is
    skipped_by: list[frozenset[str]] = [frozenset()] * len(graph.jobs)  # for each job the conditions that can skip it
    for number in graph.order:
        job = graph.jobs[number]
        own = found = _own_condition(job, owners)
        parents = graph.parents(number)
        shared = frozenset.intersection(*(skipped_by[parent] for parent, _ in parents)) if parents else frozenset()
        for parent, edge in parents:
            if edge.condition not in _PASSED_ON:
                continue
            passed = skipped_by[parent]
            alone = passed - own - shared
            if edge.plain and edge.condition == "success" and (alone or _some_cells(graph.jobs[parent])):
                owner = next((name for text, name in owners.items() if text in alone), "")
                _report_join(job, edge, (graph.jobs[parent], owner), report)
                passed -= alone
            found |= passed
        skipped_by[number] = found


def _own_condition(job: JobSpec, owners: dict[str, str]) -> frozenset[str]:
    text = job.condition
    if text is None or text == "true" or (text not in owners and len(owners) >= MAX_CONDITIONS):
        return frozenset()
    owners.setdefault(text, job.name)
    return frozenset((text,))


def _some_cells(parent: JobSpec) -> bool:
    """Return whether an `if` can skip some cells of a matrix, which then does not succeed as a whole."""
    return parent.matrix is not None and parent.condition is not None and re.search(r"\bmatrix\b", parent.condition) is not None


def _report_join(job: JobSpec, edge: DependencySpec, cause: tuple[JobSpec, str], report: Report) -> None:
    parent, owner = cause
    if job.counts:
        message = f"the jobs of the next stage are skipped whenever `{parent.name}` is, and it has an `if`"
        hint = "give them `depends_on: {" + parent.name + ": ok, …}`, or put the `if` to them as well"
    elif not owner:
        message = f"`{job.name}` is skipped when the `if` of `{parent.name}` leaves out one of its cells"
        hint = f"write {{{parent.name}: ok}} to run it all the same, {{{parent.name}: success}} if this is meant"
    else:
        why = "which has an `if`" if owner == parent.name else f"which goes by the `if` of `{owner}`"
        message = f"`{job.name}` is skipped whenever `{parent.name}` is, {why}, though it waits for other jobs too"
        hint = f"write {{{parent.name}: ok, …}} to run it all the same, {{{parent.name}: success, …}} if this is meant"
    report.add(Code.SKIPPED_TOO, edge.span, message, hint)


def _never_failing(graph: Graph, report: Report) -> None:
    """Report `failure` edges to jobs whose failures all count as success."""
    for number, job in enumerate(graph.jobs):
        for parent, edge in graph.parents(number):
            if (
                edge.condition == "failure"
                and graph.jobs[parent].allow_failure is True
                and "allow_failure" not in graph.jobs[parent].own
            ):
                name = graph.jobs[parent].name
                message = f"`{job.name}` waits for a failure of `{name}`, which is allowed to fail: that counts as a success"
                hint = f"remove `allow_failure` of {name}, or depend on it with `done` and ask for jobs.{name}.result"
                report.add(Code.NEVER_HOLDS, edge.span, message, hint)


# -- times and retries ------------------------------------------------------------------------------------------------------------


def _times(job: JobSpec, flow: FlowSpec, told: set[int], report: Report) -> None:
    limit = flow.head.timeout
    if limit is None:
        return
    for key, value in (("timeout", job.timeout), ("delay", job.delay)):
        node = job.tree.get(key)
        if node is None or value is None or value < limit or (key == "timeout" and value == limit) or id(node) in told:
            continue
        told.add(id(node))
        message = f"`{key}` of `{job.name}` is {format_duration(value)}, and the whole run has {format_duration(limit)}"
        report.add(Code.NEVER_REACHED, node.span, message, "make it shorter, or the flow's `timeout` longer")


def _retries(job: JobSpec, defaults: YamlNode | None, report: Report) -> None:
    """Report names of exceptions in the `retry` of programs, which end with an exit code."""
    retry = job.tree.get("retry")
    node = retry.get("on") if isinstance(retry, MapNode) else None
    if node is None or job.action.kind not in ("shell", "argv") or node is _of_defaults(defaults):
        return
    for item in node.items if isinstance(node, ListNode) else [node]:
        if isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value not in RETRIED:
            message = f"`{job.name}` runs a program: it fails with an exit code, never with {item.value[:60]}"
            report.add(Code.RETRY_NEVER, item.span, message, "write the exit code, such as 75, or `failure`")


def _of_defaults(defaults: YamlNode | None) -> YamlNode | None:
    retry = defaults.get("retry") if isinstance(defaults, MapNode) else None
    return retry.get("on") if isinstance(retry, MapNode) else None


# -- expressions ------------------------------------------------------------------------------------------------------------------


def _defaults(flow: FlowSpec, report: Report) -> None:
    """Report `a ?? b == c`, whose default is the whole comparison."""
    jobs = (*flow.jobs, *(job for handlers in flow.handlers.values() for job in handlers))
    sites = (*flow.head.env_sites, *(site for job in jobs for site in job.sites), *flow.head.output_sites)
    told: set[tuple[int, int]] = set()  # many jobs share the expressions of a template
    for site in sites:
        if "??" not in site.expression.source or (id(site.scalar), site.offset) in told:
            continue
        told.add((id(site.scalar), site.offset))
        for node in swallowing(site.expression):
            source = site.expression.source
            value, rest = source[node.left.start : node.left.end], source[node.right.start : node.right.end]
            message = f"`??` takes everything after it: this is {value[:60]} ?? ({rest[:60]})"
            hint = f"write ({value[:60]} ?? …) {node.right.operator} …, or parentheses as in the message if that is meant"
            report.add(Code.DEFAULT_TAKES_ALL, site.span(report, node.start, node.end), message, hint)


# -- unused names -------------------------------------------------------------------------------------------------------------


def _unused_params(flow: FlowSpec, report: Report) -> None:
    """Report params that no expression uses; expressions in unused templates count too."""
    declared = [spec for spec in flow.head.bound.specs if not spec.name.startswith("_")]
    if not declared:
        return
    used = set()
    for match in _USED_PARAMS.finditer(report.source.text):
        name = match[1] or match[2]
        if name is None:
            return  # all of them: to_json(params)
        used.add(name)
    for spec in declared:
        if spec.name not in used:
            hint = f"remove it, or call it _{spec.name} if that is meant"
            report.add(Code.UNUSED, spec.span, f"nothing uses the param `{spec.name}`", hint)


def _unused_templates(root: MapNode, report: Report) -> None:
    templates = root.get("templates")
    if not isinstance(templates, MapNode):
        return
    used = set(_extended(root))
    for name, (spelling, _) in templates.entries.items():
        if name not in used and not name.startswith("_"):
            hint = f"remove it, or call it _{name} if that is meant"
            report.add(Code.UNUSED, spelling.span, f"nothing extends the template `{name[:60]}`", hint)


def _unused_secrets(flow: FlowSpec, root: MapNode, report: Report) -> None:
    section = root.get("secrets")
    if not isinstance(section, MapNode):
        return
    jobs = (*flow.jobs, *(job for handlers in flow.handlers.values() for job in handlers))
    listed = {name for job in jobs for name in job.secrets}
    for name, (spelling, _) in section.entries.items():
        if name not in listed and not name.startswith("_"):
            hint = f"add it to `secrets` of the job that needs it, or call it _{name[:60]} if that is meant"
            report.add(Code.UNUSED, spelling.span, f"no job lists the secret `{name[:60]}`", hint)


def _extended(root: MapNode) -> Iterator[str]:
    for _, section in root.entries.values():
        for _, job in section.entries.values() if isinstance(section, MapNode) else ():
            wanted = job.get("extends") if isinstance(job, MapNode) else None
            yield from texts_of(wanted)


# -- variables in variables -------------------------------------------------------------------------------------------------------


def _unexpanded(flow: FlowSpec, report: Report) -> None:
    """Report `$NAME` in a value of `env`, if that is a variable: CI systems put its value in, here only scripts do."""
    told: set[int] = set()  # values of defaults and templates, which many jobs share
    _unexpanded_in(flow.head.env_node, flow.head.env.keys() | _EVERYWHERE, told, report)
    for job in (*flow.jobs, *(job for section in flow.handlers.values() for job in section)):
        _unexpanded_in(job.tree.get("env"), (job.env.keys() | _EVERYWHERE) - job.secrets.keys(), told, report)


def _unexpanded_in(env: YamlNode | None, names: Collection[str], told: set[int], report: Report) -> None:
    for _, value in env.entries.values() if isinstance(env, MapNode) else ():
        if not isinstance(value, ScalarNode) or not isinstance(value.value, str) or "$" not in value.value or id(value) in told:
            continue
        for start, end, _ in variable_uses(value.value, names):
            told.add(id(value))
            message = f"{value.value[start:end][:60]} stays as it is written: nothing is expanded in `env`"
            hint = "put it together in the script, export NAME=…; what is known before the run is put in by ${{ params.x }}"
            report.add(Code.UNEXPANDED, locate(report, value, start, end), message, hint)


# -- expressions of other systems ---------------------------------------------------------------------------------------------------


def _unmarked(flow: FlowSpec, report: Report) -> None:
    """Report `{{ params.x }}` and `${params.x}` in what a job executes: other systems write expressions so, and here it is text."""
    told: set[int] = set()
    for job in (*flow.jobs, *(job for section in flow.handlers.values() for job in section)):
        posix = job.action.kind != "shell" or is_posix(job.action.shell)  # elsewhere `${params.x}` is the language's own
        for key in ("run", "args", "kwargs", "env") if posix else ("env",):
            for value in _scalars(job.tree.get(key)):
                if id(value) not in told:
                    told.add(id(value))
                    _unmarked_in(value, report)


def _unmarked_in(node: ScalarNode, report: Report) -> None:
    text = node.value if isinstance(node.value, str) else ""
    for found in _UNMARKED.finditer(text) if "{" in text else ():
        message = f"{found[0][:60]} stays as it is written: an expression begins with `${{{{`"
        hint = f"write ${{{{ {(found[1] or found[2]).strip()[:60]} }}}}"
        report.add(Code.UNMARKED, locate(report, node, found.start(), found.end()), message, hint)


def _scalars(node: YamlNode | None) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif node is not None:
        for item in node.items if isinstance(node, ListNode) else [value for _, value in node.entries.values()]:
            yield from _scalars(item)
