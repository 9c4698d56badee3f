"""`artifacts` and `fetch` of a job, and what can be said of them before the graph is known."""

import re
from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.inheritance import MergedJob
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.expressions.constants import StaticScope
from flowq.compiler.expressions.sites import SiteReader
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.durations import NEVER
from flowq.plan import Action, Artifact, Fetch

OPTIONAL: Final = "?"
"""The end of a pattern that may match nothing, and of an artifact that may be missing."""

_SWAPPED: Final = re.compile(r"[\w-]{1,60}\.[\w-]{1,60}\??")
_EXAMPLES: Final = {Code.ARTIFACTS: "write a pattern such as out/**/*.html", Code.FETCH: "write a directory such as site/"}


def read_artifacts(
    job: MergedJob, action: Action, reader: SiteReader, scope: StaticScope, report: Report
) -> tuple[Artifact, ...]:
    """Return the artifacts of a job."""
    node = job.whole.get("artifacts")
    if not isinstance(node, MapNode) or _is_misplaced("artifacts", job, action, report):
        return ()
    return tuple(_artifact(name, value, reader, scope, report) for name, (_, value) in node.entries.items())


def _artifact(name: str, node: YamlNode, reader: SiteReader, scope: StaticScope, report: Report) -> Artifact:
    path: YamlNode | None = node
    always, keep = False, None
    if isinstance(node, MapNode):
        path, when = node.get("path"), node.get("when")
        always = isinstance(when, ScalarNode) and when.value == "always"
        keep = fields.duration(node.get("keep"), scope, report, never=True, positive=True)
    items = path.items if isinstance(path, ListNode) else [path]
    texts = [item for item in items if isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value]
    for item in texts:
        _check(item, name, _bare(item.value) or " ", report, Code.ARTIFACTS)
    if texts and all(item.value.startswith("!") for item in texts):
        message, hint = f"artifact `{name}` only leaves files out", "name those that count before it: out"
        report.add(Code.ARTIFACTS, texts[0].span, message, hint)
    return Artifact(name, tuple(reader.value(item) for item in texts), always, None if keep == NEVER else keep)


def _bare(pattern: str) -> str:
    """Return a pattern without the marks at its ends."""
    return pattern[1:] if pattern.startswith("!") else pattern.removesuffix(OPTIONAL)


def read_fetch(
    job: MergedJob, action: Action, reader: SiteReader, report: Report
) -> tuple[tuple[Fetch, ...], tuple[Span, ...]]:
    """Return what a job fetches, and the place of each in the file. Names are checked when the graph is known."""
    node = job.whole.get("fetch")
    if not isinstance(node, MapNode) or _is_misplaced("fetch", job, action, report):
        return (), ()
    found, spans = [], []
    for name, (spelling, value) in node.entries.items():
        named, _, artifact = name.removesuffix(OPTIONAL).rpartition(".")
        if not (named and artifact):
            message = f"expected the name of a job and of its artifact, found {name[:60]!r}"
            report.add(Code.FETCH, spelling.span, message, _fetch_help(name, value))
            continue
        if not isinstance(value, ScalarNode) or not isinstance(value.value, str) or not value.value:
            continue
        _check(value, name, value.value, report, Code.FETCH)
        found.append(Fetch(named, artifact, reader.value(value), name.endswith(OPTIONAL)))
        spans.append(spelling.span)
    return tuple(found), tuple(spans)


def _fetch_help(name: str, value: YamlNode) -> str:
    """Return how a `fetch` is written; where the two sides were swapped, with the names that were given."""
    text = value.value if isinstance(value, ScalarNode) else None
    if isinstance(text, str) and _SWAPPED.fullmatch(text):
        return f"first what is fetched, then the directory: {{{text}: {name.removesuffix('/')[:60]}/}}"
    return "write fetch: {build.report: site/}"


def _is_misplaced(key: str, job: MergedJob, action: Action, report: Report) -> bool:
    if action.kind != "join":
        return False
    message = f"`{key}` has no effect on a job that executes nothing"
    report.add(Code.MISPLACED_KEY, job.whole.key_span(key), message, "put it in a job with `call` or `run`")
    return True


def _check(node: ScalarNode, name: str, path: str, report: Report, code: Code) -> None:
    """Report what is wrong with a path, as far as its text tells: expressions in it have values at run time."""
    shown = f"{name[:60]}: {path[:60]!r}"
    if "\0" in path:
        report.add(code, node.span, f"{name[:60]}: a path cannot have NUL characters", "remove it")
    elif path.startswith("~"):
        report.add(code, node.span, f"{shown}: `~` is not expanded", "write a path relative to the job's directory")
    elif path.startswith("/") or ".." in path.split("/"):
        message = f"{shown} leaves the job's directory"
        report.add(code, node.span, message, "write a path below it, or set `workdir` to a directory above both")
    elif not path.strip():
        report.add(code, node.span, f"{name[:60]}: {node.value[:60]!r} names no file", _EXAMPLES[code])
