"""The merged map of a job to a `JobSpec`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from flowq import defaults
from flowq.compiler.binding import fields
from flowq.compiler.binding.actions import effective, read_action
from flowq.compiler.binding.artifacts import read_artifacts, read_fetch
from flowq.compiler.binding.cache import read_cache, warn_of_changing
from flowq.compiler.binding.harmless import HarmlessValues
from flowq.compiler.binding.inheritance import MergedJob
from flowq.compiler.binding.matrix import read_matrix
from flowq.compiler.binding.queues import read_queue, values_of_cells
from flowq.compiler.binding.secrets import job_secrets
from flowq.compiler.binding.spec import CellValues, DependencySpec, FlowHead, JobSpec, SubFlow
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import StaticScope, has_holes
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.shell.secret_leaks import check_leaks
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, text_of, texts_of
from flowq.compiler.syntax.source import Report
from flowq.durations import NEVER
from flowq.plan import Action, Concurrency


def read_job(job: MergedJob, head: FlowHead, report: Report) -> JobSpec:
    """Read a job by the keys that it has: most jobs of a large flow have two or three of thirty."""
    job = effective(job)
    scope, entries = head.bound.scope, job.whole.entries
    reader = SiteReader(report, Context.JOB)
    action = read_action(job, head, reader, report)
    scopes = {
        key: replace(scope, place=place, job=job.name)
        for key, place in _OF_CELLS.items()
        if key in entries and has_holes(entries[key][1])
    }
    own, unread = _of_cells(job, action.kind, scopes, report)
    found = {
        key: _SIMPLE[key](entry[1], scopes.get(key, scope), report)
        for key, entry in entries.items()
        if key in _SIMPLE and key not in unread
    }
    if own:
        found["own"] = own
    if "allow_failure" in own:
        found["allow_failure"] = True  # maybe: what uses its result must bear that
    found["env"] = head.env
    found["sites"] = tuple(reader.sites)
    if not _OTHERS.isdisjoint(entries):
        found |= _read_others(job, action, head, reader, report)
    timeout = None if "timeout" in unread else _timeout(job, action.kind, scopes.get("timeout", scope), report)
    queue = read_queue(job.name, job.whole, scope, report) if "queue" in entries else None
    if isinstance(queue, CellValues):
        found["queues"], queue = queue, None
    if not {"matrix", "foreach"} & entries.keys():
        found |= {"max_parallel": None, "fail_fast": False}  # these may come from `defaults`, for jobs with cells
    return JobSpec(action, queue or defaults.QUEUE, timeout, name=job.name, span=job.spelling.span, tree=job.whole, **found)


def _read_others(job: MergedJob, action: Action, head: FlowHead, reader: SiteReader, report: Report) -> dict[str, Any]:
    """Return the fields of a job that contain expressions or depend on several keys."""
    scope, get = head.bound.scope, job.whole.get
    listing, whole = SiteReader(report, Context.LIST), SiteReader(report, Context.WHOLE)
    harmless = HarmlessValues(head.bound, get("matrix"), get("env"), head.env_node)
    env, env_sites = fields.environment(get("env"), SiteReader(report, Context.JOB_ENV), harmless, report)
    listed = job_secrets(get("secrets"), get("env"), head.secrets, report)
    secrets = listed if action.kind != "join" else {}
    if secrets:
        check_leaks(job.whole, action.shell, secrets, report)
    asking = SiteReader(report, Context.RESOURCES)
    workdir = get("workdir")
    fields.refuse_nul("workdir", workdir, report)
    foreach = bare_expression(get("foreach"), "foreach", listing, report)
    cache = read_cache(job, action, reader, scope, report)
    if cache is not None:
        warn_of_changing(job, (*reader.sites, *env_sites, *head.env_sites), report)
    artifacts = read_artifacts(job, action, reader, scope, report)
    fetch, fetch_spans = read_fetch(job, action, reader, report)
    condition = bare_expression(get("if"), "if", whole if "foreach" in job.whole.entries else reader, report)
    found: dict[str, Any] = {
        "env": {**head.env, **env} if env else head.env,
        "secrets": secrets,
        "resources": fields.resources(get("resources"), asking, report),
        "condition": condition,
        "workdir": reader.value(workdir) if isinstance(workdir, ScalarNode) and isinstance(workdir.value, str) else None,
        "matrix": read_matrix(get("matrix"), job.whole, scope, report),
        "foreach": foreach,
        "concurrency": _job_concurrency(get("concurrency"), reader) if action.kind != "join" else None,
        "cache": cache,
        "artifacts": artifacts,
        "fetch": fetch,
        "fetch_spans": fetch_spans,
        "sub": _sub_flow(job, scope, report),
    }
    return found | {"sites": (*reader.sites, *env_sites, *listing.sites, *whole.sites, *asking.sites)}


_OF_CELLS: Final = {"timeout": Context.TIMEOUT, "allow_failure": Context.ALLOW_FAILURE}


def _of_cells(
    job: MergedJob, kind: str, scopes: Mapping[str, StaticScope], report: Report
) -> tuple[dict[str, CellValues], tuple[str, ...]]:
    """Return the keys that differ from cell to cell, and those that are not to be read as one value: these, and those with a problem.

    Args:
        job: the job.
        kind: of its action: an approval has its time limit elsewhere.
        scopes: of its keys with expressions that cells may have for themselves.
        report: gets the problems.
    """
    own: dict[str, CellValues] = {}
    unread: list[str] = []
    for key, scope in scopes.items():
        if key == "timeout" and kind in {"approval", "join"}:
            continue
        before = report.errors
        values = values_of_cells(job.whole.get(key), job.whole, scope, report)
        if values is not None:
            own[key] = values
        if values is not None or report.errors > before:
            unread.append(key)
    return own, tuple(unread)


def _limit(node: YamlNode, scope: StaticScope, report: Report) -> float | None:
    """Return a limit in seconds, None for no limit."""
    seconds = fields.duration(node, scope, report, never=True, positive=True)
    return None if seconds == NEVER else seconds


def limit_of(value: Json, node: YamlNode, report: Report, whose: str) -> float | None:
    """Return a limit of a cell in seconds, None for no limit, and after a problem."""
    seconds = fields.seconds_of(value, node, report, never=True, positive=True, whose=whose)
    return None if seconds == NEVER else seconds


def _kept(node: YamlNode, scope: StaticScope, report: Report) -> float | None:
    return fields.duration(node, scope, report, never=True)


def _delay(node: YamlNode, scope: StaticScope, report: Report) -> float | None:
    return fields.duration(node, scope, report, never=False) or None


def _text(node: YamlNode, _scope: StaticScope, _report: Report) -> str:
    return text_of(node)


_SIMPLE: Final[Mapping[str, Callable[[YamlNode, StaticScope, Report], Any]]] = {
    "ttl": _limit,
    "result_ttl": _kept,
    "failure_ttl": _kept,
    "retry": fields.retry,
    "allow_failure": fields.allow_failure,
    "priority": lambda node, _scope, _report: fields.integer(node, 0),
    "at_front": lambda node, _scope, _report: fields.flag(node),
    "delay": _delay,
    "stop_grace": lambda node, scope, report: fields.duration(node, scope, report, never=False),
    "isolation": _text,
    "depends_on": lambda node, _scope, report: _depends_on(node, report),
    "max_parallel": lambda node, _scope, _report: fields.integer(node, 0) or None,
    "fail_fast": lambda node, _scope, _report: fields.flag(node),
    "stage": _text,
    "description": fields.static_text,
    "labels": fields.labels,
}
"""The keys that map to a field of the same name, independently of other keys."""

_OTHERS: Final = frozenset(
    {"env", "secrets", "resources", "if", "workdir", "matrix", "foreach", "concurrency", "cache", "artifacts", "fetch", "flow"}
)


def _timeout(job: MergedJob, kind: str, scope: StaticScope, report: Report) -> float | None:
    """Return the time limit of an attempt; for an approval, of the decision, to which the flow's defaults do not apply."""
    if kind != "approval":
        return time_limit(job.whole, scope, report, defaults.FLOW_JOB_TIMEOUT)
    asked = job.whole.get("approval")
    return time_limit(asked, scope, report, None) if isinstance(asked, MapNode) else None


def time_limit(node: MapNode, scope: StaticScope, report: Report, default: float | None) -> float | None:
    """Return the `timeout` of a map in seconds, None for no limit."""
    given = node.get("timeout")
    return default if given is None else _limit(given, scope, report)


def _job_concurrency(node: YamlNode | None, reader: SiteReader) -> Concurrency | None:
    group = node.get("group") if isinstance(node, MapNode) else None
    return fields.concurrency(node, reader.value(group) if isinstance(group, ScalarNode) else None)


def _sub_flow(job: MergedJob, scope: StaticScope, report: Report) -> SubFlow | None:
    node, given = job.own.get("flow"), job.own.get("params")
    path = fields.static_text(node, scope, report)
    if node is None or not path:
        return None
    entries = given.entries if isinstance(given, MapNode) else {}
    names = {name: spelling.span for name, (spelling, _) in entries.items()}
    return SubFlow(path, node.span, {name: value for name, (_, value) in entries.items()}, names, scope)


def bare_expression(node: YamlNode | None, key: str, reader: SiteReader, report: Report) -> str | None:
    """Return the expression of `if` or `foreach`, written with or without `${{ }}`."""
    if not isinstance(node, ScalarNode) or node.value is None:
        return None
    if isinstance(node.value, bool) and key == "if":
        return "true" if node.value else "false"
    if not isinstance(node.value, str):
        return None
    text = node.value
    source, offset = text.strip(), len(text) - len(text.lstrip())
    if source.startswith("${{") and source.endswith("}}") and source.count("${{") == 1:
        inner = source[3:-2]
        offset += 3 + len(inner) - len(inner.lstrip())
        source = inner.strip()
    elif "${{" in source:
        report.add(
            Code.EXPRESSION,
            node.span,
            f"`{key}` is one expression, but this has text around ${{{{ }}}}",
            "write it without ${{ }}: " + ("a == b && c" if key == "if" else "jobs.a.result"),
        )
        return None
    expression = reader.expression(node, source, offset, wanted="boolean" if key == "if" else "list")
    return None if expression is None else expression.source


def _depends_on(node: YamlNode, report: Report) -> tuple[DependencySpec, ...]:
    if isinstance(node, MapNode):
        return tuple(
            DependencySpec(name, _edge(value), spelling, _axes(value)) for name, (spelling, value) in node.entries.items()
        )
    items = node.items if isinstance(node, ListNode) else [node]
    found: dict[str, DependencySpec] = {}
    for item in items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue
        if item.value in found:
            report.add(Code.DUPLICATE_DEPENDENCY, item.span, f"duplicate dependency `{item.value[:60]}`", "remove one")
            continue
        found[item.value] = DependencySpec(item.value, "success", item, plain=True)
    return tuple(found.values())


def _axes(node: YamlNode) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts_of(node.get("match")))) if isinstance(node, MapNode) else ()


def _edge(node: YamlNode) -> str:
    if isinstance(node, MapNode):
        node = node.get("when") or node
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else "success"
