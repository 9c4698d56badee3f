"""From the merged maps to typed jobs."""

from collections.abc import Mapping as MappingABC
from pathlib import PurePath

from flowq import defaults
from flowq.compiler import fields
from flowq.compiler.actions import read_action
from flowq.compiler.codes import Code
from flowq.compiler.matrix import read_matrix
from flowq.compiler.merge import MergedJob, merge_jobs
from flowq.compiler.params import Bound, bind_params, declare_params
from flowq.compiler.sites import Place, SiteReader
from flowq.compiler.source import Report
from flowq.compiler.spec import Dependency, FlowHead, FlowSpec, JobSpec
from flowq.compiler.tree import Json, Mapping, Node, Scalar, Sequence
from flowq.durations import NEVER


def read_flow(root: Mapping, params: MappingABC[str, Json], date: str | None, report: Report) -> FlowSpec:
    """Return the flow a tree spells, its params bound.

    Args:
        root: the tree; its shape was checked and reported, wrong parts of it read as absent.
        params: the values given for parameters.
        date: the UTC date of the run, where it is known.
        report: where problems go.
    """
    head = _head(root, params, date, report)
    jobs = tuple(_read_job(job, head, report) for job in merge_jobs(root, report))
    return FlowSpec(head, jobs)


def _head(root: Mapping, params: MappingABC[str, Json], date: str | None, report: Report) -> FlowHead:
    name_node = root.get("name")
    name = name_node.value if isinstance(name_node, Scalar) and isinstance(name_node.value, str) else _stem(report.source.name)
    run: dict[str, Json] = {"name": name} if date is None else {"name": name, "date": date}
    bound = bind_params(declare_params(root, report), params, run, root, report)
    env, sites = fields.environment(root.get("env"), Place.FLOW_ENV, report)
    return FlowHead(
        name=name,
        bound=bound,
        description=fields.static_text(root.get("description"), bound.scope, report),
        labels=fields.labels(root.get("labels"), bound.scope, report),
        env=env,
        env_sites=tuple(sites),
        retention=fields.duration(root.get("retention"), bound.scope, report, never=True),
    )


def _stem(name: str) -> str:
    return PurePath(name).stem or "flow"


def _read_job(job: MergedJob, head: FlowHead, report: Report) -> JobSpec:
    scope = head.bound.scope
    get = job.whole.get
    reader = SiteReader(report, Place.JOB)
    action = read_action(job, reader, report)
    env, env_sites = fields.environment(get("env"), Place.JOB_ENV, report)
    workdir = get("workdir")
    at_front = get("at_front")
    condition = _condition(get("if"), reader, report)
    return JobSpec(
        name=job.name,
        span=job.spelling.span,
        tree=job.whole,
        action=action,
        queue=fields.queue(get("queue"), scope, report) or defaults.QUEUE,
        timeout=_limit(job, "timeout", head.bound, report, defaults.FLOW_JOB_TIMEOUT),
        ttl=_limit(job, "ttl", head.bound, report, None),
        result_ttl=fields.duration(get("result_ttl"), scope, report, never=True),
        failure_ttl=fields.duration(get("failure_ttl"), scope, report, never=True),
        retry=fields.retry(get("retry"), scope, report),
        allow_failure=fields.allow_failure(get("allow_failure")) if "allow_failure" in job.whole.entries else False,
        priority=fields.integer(get("priority"), 0),
        at_front=isinstance(at_front, Scalar) and at_front.value is True,
        delay=fields.duration(get("delay"), scope, report, never=False) or None,
        condition=condition,
        env={**head.env, **env} if env else head.env,
        workdir=reader.value(workdir) if isinstance(workdir, Scalar) and isinstance(workdir.value, str) else None,
        depends_on=_depends_on(get("depends_on"), report),
        matrix=read_matrix(get("matrix"), job.whole, scope, report),
        description=fields.static_text(get("description"), scope, report),
        labels=fields.labels(get("labels"), scope, report),
        sites=(*reader.sites, *env_sites),
    )


def _limit(job: MergedJob, key: str, bound: Bound, report: Report, default: float | None) -> float | None:
    """Return a limit in seconds, None for no limit."""
    if key not in job.whole.entries:
        return default
    seconds = fields.duration(job.whole.get(key), bound.scope, report, never=True, positive=True)
    return None if seconds == NEVER else seconds


def _condition(node: Node | None, reader: SiteReader, report: Report) -> str | None:
    if not isinstance(node, Scalar) or node.value is None:
        return None
    if isinstance(node.value, bool):
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
            "`if` is one expression, this has text around ${{ }}",
            "write it without ${{ }}: a == b && c",
        )
        return None
    expression = reader.expression(node, source, offset, boolean=True)
    return None if expression is None else expression.source


def _depends_on(node: Node | None, report: Report) -> tuple[Dependency, ...]:
    if node is None:
        return ()
    if isinstance(node, Mapping):
        return tuple(Dependency(name, _edge(value), spelling.span) for name, (spelling, value) in node.entries.items())
    items = node.items if isinstance(node, Sequence) else [node]
    found: dict[str, Dependency] = {}
    for item in items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            continue
        if item.value in found:
            report.add(Code.DUPLICATE_DEPENDENCY, item.span, f"`{item.value[:60]}` stands twice in this list", "remove one")
            continue
        found[item.value] = Dependency(item.value, "success", item.span)
    return tuple(found.values())


def _edge(node: Node) -> str:
    if isinstance(node, Mapping):
        node = node.get("when") or node
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else "success"
