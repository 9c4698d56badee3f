"""`cache` of a job: patterns and a key, both with expressions, and their checks before the run.

Patterns may leave the job's directory: inputs are only read, and data sets may be anywhere.
"""

from collections.abc import Iterable
from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.inheritance import MergedJob
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import StaticScope, has_holes
from flowq.compiler.expressions.sites import ExpressionSite, SiteReader
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.durations import NEVER
from flowq.plan import Action, Cache

_CHANGING: Final = ("id",)  # keys of `run` that differ in every run


def read_cache(job: MergedJob, action: Action, reader: SiteReader, scope: StaticScope, report: Report) -> Cache | None:
    """Return the cache of a job; None if it always runs."""
    node = job.whole.get("cache")
    if not isinstance(node, MapNode):
        return None
    span = job.whole.key_span("cache")
    if action.kind == "join":
        report.add(Code.MISPLACED_KEY, span, "`cache` has no effect on a job that executes nothing", "put it in the jobs above")
        return None
    if not {"inputs", "key"} & node.entries.keys():
        message = "`cache` has neither `inputs` nor `key`: flowq cannot tell when the result is outdated"
        report.add(Code.CACHE, span, message, "name the files it is made of: inputs: [src], or a value: key: params.day")
        return None
    inputs = _globs(node, "inputs", reader, report)
    key = _key(node.get("key"), reader, report)
    outputs = _globs(node, "outputs", reader, report)
    ttl = fields.duration(node.get("ttl"), scope, report, never=True, positive=True)
    return Cache(inputs, key, outputs, None if ttl == NEVER else ttl)


def _globs(node: MapNode, key: str, reader: SiteReader, report: Report) -> tuple[Json, ...]:
    value = node.get(key)
    items = value.items if isinstance(value, ListNode) else [value]
    texts = [item for item in items if isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value]
    for item in texts:
        problem = _problem(item.value)
        if problem:
            report.add(Code.CACHE, item.span, f"{key}: {problem[0]}", problem[1])
    if texts and all(item.value.startswith("!") for item in texts):
        report.add(Code.CACHE, texts[0].span, f"`{key}` only leaves files out", "name those that count before it: src")
    return tuple(reader.value(item) for item in texts)


def _problem(pattern: str) -> tuple[str, str] | None:
    """Return the problem of a pattern and its fix, or None."""
    if "\0" in pattern:
        return "a path cannot have NUL characters", "remove it"
    if pattern.removeprefix("!").startswith("~"):
        return f"`~` in {pattern[:60]!r} is not expanded", "write the path, absolute or relative to the job's directory"
    if not pattern.removeprefix("!").strip():
        return f"{pattern[:60]!r} names no file", "write a pattern such as src/**/*.py"
    return None


def _key(node: YamlNode | None, reader: SiteReader, report: Report) -> Json:
    """Return the templated key: a string with `${{ }}`, else a bare expression as in `if`."""
    if not isinstance(node, ScalarNode) or node.value is None:
        return None
    if not isinstance(node.value, str) or has_holes(node):
        return reader.value(node)
    text = node.value
    source = text.strip()
    if not source:
        report.add(Code.CACHE, node.span, "`key` is empty", "write an expression such as params.day, or leave it out")
        return None
    expression = reader.expression(node, source, len(text) - len(text.lstrip()))
    return None if expression is None else {"$": expression.source}


def warn_of_changing(job: MergedJob, sites: Iterable[ExpressionSite], report: Report) -> None:
    """Warn of expressions that differ in every run and make a job's cache useless. `sites`: all expressions of the job."""
    for site in sites:
        for reference in site.expression.references():
            if reference.path[:1] == ("run",) and reference.path[1:2] and reference.path[1] in _CHANGING:
                name = ".".join(map(str, reference.path[:2]))
                message = f"`{name}` is another one in every run: `cache` of job `{job.name}` will never find an earlier result"
                span = site.span(report, reference.start, reference.end)
                report.add(Code.CACHE_NEVER, span, message, "use run.date or a param, or remove `cache`")
                return
