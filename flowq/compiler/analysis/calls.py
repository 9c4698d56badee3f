"""`call`: the names of callables and their arguments, checked against the source of the callable.

A callable that cannot be found is a warning, because it may exist only on the workers. Arguments are checked as Python does at a call.
"""

import builtins
import re
from collections.abc import Callable, Sequence
from typing import Final

from flowq.compiler.binding.fields import RETRIED
from flowq.compiler.binding.spec import JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START, Span
from flowq.compiler.diagnostics.suggestions import close_match
from flowq.compiler.signatures import Fit, Installed, Lookup, Parameter, Problem, Signature, misfit, read_installed
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.expr.templates import spelled
from flowq.expr.types import Type

_EXCEPTIONS: Final = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)
_LETTERS: Final = 2  # by which the lengths of a misspelt name and the right one differ at most
_ALIKE: Final = 0.87  # of 1: ConnectError, which exists, is not ConnectionError
OLDEST: Final = (3, 11)
"""The oldest interpreter of jobs."""

_CODES: Final = {
    "module": Code.NO_MODULE,
    "local": Code.NO_LOCAL_MODULE,
    "source": Code.BROKEN_MODULE,
    "attribute": Code.NO_CALLABLE,
}


def find_signatures(jobs: Sequence[JobSpec], lookup: Lookup, report: Report) -> dict[str, Signature]:
    """Return the known signatures of the jobs' callables, and report names that do not exist.

    A missing module is reported once, at its first use.
    """
    found: dict[str, Signature] = {}
    told: set[str] = set()
    for job in jobs:
        if job.action.kind != "call":
            continue
        _check_retry(job, lookup, report)
        answer = lookup.find(job.action.module, job.action.attribute)
        if isinstance(answer, Signature):
            found[job.name] = answer
        elif answer is not None and not (answer.kind != "attribute" and answer.subject in told):
            told.add(answer.subject)
            _report_name(job, answer, report)
    return found


def find_installed(python: str, report: Report) -> Installed:
    """Return the packages of the interpreter that a flow names for its calls, and report one that is missing or too old."""
    installed = read_installed(python)
    node = report.tree.get("python") if isinstance(report.tree, MapNode) else None
    span = START if node is None else node.span
    named = node.value if isinstance(node, ScalarNode) else python
    if installed.version and installed.version < OLDEST:
        version = ".".join(map(str, installed.version))
        message = f"python: {named} is Python {version}, and jobs with `call` need {'.'.join(map(str, OLDEST))} or newer"
        report.add(Code.OLD_INTERPRETER, span, message, "name a newer one")
    elif not installed.exists:
        hint = "write the path, relative to this file, of an interpreter or of an environment such as .venv; a job of the run can make it"
        if re.fullmatch(r"python[\d.]*", named):
            hint = f"it is a path, relative to this file, and not looked for on PATH: write .venv, say, or what `command -v {named}` prints"
        report.add(Code.NO_INTERPRETER, span, f"python: there is no interpreter {named} here", hint)
    return installed


def _check_retry(job: JobSpec, lookup: Lookup, report: Report) -> None:
    """Report names of exceptions in `retry.on` that are probably misspelt: one letter or two beside a known one.

    Other unknown names are those of libraries, which the module need not mention.
    """
    retry = job.tree.get("retry")
    node = retry.get("on") if isinstance(retry, MapNode) else None
    if node is None or report.full:
        return
    items = [item for item in (node.items if isinstance(node, ListNode) else [node]) if isinstance(item, ScalarNode)]
    asked = [item for item in items if isinstance(item.value, str) and item.value not in RETRIED and "." not in item.value]
    known = {*_EXCEPTIONS, *lookup.names(job.action.module)} if asked else set()
    for item in asked:
        likely = [name for name in known if name[:1].isupper() and abs(len(name) - len(item.text)) <= _LETTERS]
        close = close_match(item.text, likely, _ALIKE) if item.text not in known else None
        if close is not None:
            message = f"no exception called {item.text[:60]} is built in or stands in `{job.action.module}`"
            report.add(Code.EXCEPTION_NAME, item.span, message, f"did you mean {close}?")


def _report_name(job: JobSpec, problem: Problem, report: Report) -> None:
    node = job.tree.get("call")
    span = job.span
    if isinstance(node, ScalarNode):
        span = _part(node, problem, report)
    report.add(_CODES[problem.kind], span, problem.message, problem.help)


def _part(node: ScalarNode, problem: Problem, report: Report) -> Span:
    """Return the span of the part of the name that a problem is about, or of the whole name."""
    raw = report.source.text[node.start.index : node.end.index] if not report.full and problem.subject else ""
    place = raw.rfind(problem.subject) if problem.kind == "attribute" else raw.find(problem.subject)
    start = node.start.index + place
    return report.source.span(start, start + len(problem.subject)) if raw and place >= 0 else node.span


def check_arguments(job: JobSpec, signature: Signature, typed: Callable[[str], Type], report: Report) -> None:
    """Report unknown and missing arguments, and values of a wrong type.

    Args:
        job: the job.
        signature: the signature of its callable.
        typed: returns the type of an expression in this job.
        report: gets the problems.
    """
    if report.full:
        return
    if signature.gives:
        message = f"{_name(signature)}() gives {signature.gives}, and the result of a job is JSON: the job would fail"
        hint = "return null, booleans, numbers, strings, lists or maps of these"
        report.add(Code.NO_CALLABLE, _span(job, "call"), message, f"{hint} ({signature.place})")
    given = _Given(job, signature)
    for span, message, hint in given.problems():
        report.add(Code.ARGUMENTS, span, message, hint)
    for parameter, name, value, span in given.bound:
        if misfit(parameter.fit, value, typed):
            message = f"`{name}` of {_name(signature)}() takes {parameter.fit}, this is {_found(value, typed, parameter.fit)}"
            report.add(Code.ARGUMENT_TYPE, span, message, _help(signature))


class _Given:
    """The arguments of a job bound to the parameters of its callable, as Python binds them."""

    def __init__(self, job: JobSpec, signature: Signature) -> None:
        self._signature = signature
        self._name = _name(signature)
        self._taking = [item for item in signature.parameters if item.kind in ("positional", "either")]
        self._by_name = {item.name: item for item in signature.parameters if item.kind in ("either", "keyword")}
        self._more = {item.kind: item for item in signature.parameters if item.kind in ("list", "map")}
        self._call = _span(job, "call")
        args, kwargs = job.tree.get("args"), job.tree.get("kwargs")
        self._args: list[YamlNode] = args.items if isinstance(args, ListNode) else []
        self._kwargs = kwargs.entries if isinstance(kwargs, MapNode) else {}
        self._values = job.action
        self.bound: list[tuple[Parameter, str, Json, Span]] = []

    def problems(self) -> list[tuple[Span, str, str]]:
        """Bind all arguments; return the errors that Python would raise, as span, message and help."""
        found: list[tuple[Span, str, str]] = []
        self._positional(found)
        filled = {item.name for item in self._taking[: len(self._args)]}
        for name, (spelling, node) in self._kwargs.items():
            parameter = self._by_name.get(name)
            if parameter is not None and name in filled:
                found.append(
                    (
                        spelling.span,
                        f"{self._name}() gets `{name}` twice: it is the argument {self._order(name)} in `args` too",
                        "",
                    )
                )
            elif parameter is not None or "map" in self._more:
                self.bound.append((parameter or self._more["map"], name, self._values.kwargs.get(name), node.span))
                filled |= {name} if parameter is not None else set()  # a keyword taken by `**more` fills no parameter
            else:
                found.append((spelling.span, *self._unknown(name)))
        missing = [item.name for item in self._signature.parameters if item.required and item.name not in filled]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            found.append((self._call, f"{self._name}() needs {names}, which the job does not give", _help(self._signature)))
        return found

    def _positional(self, found: list[tuple[Span, str, str]]) -> None:
        for position, (node, value) in enumerate(zip(self._args, self._values.args, strict=False)):
            if position < len(self._taking):
                self.bound.append((self._taking[position], self._taking[position].name, value, node.span))
            elif "list" in self._more:
                self.bound.append((self._more["list"], "*" + self._more["list"].name, value, node.span))
            else:
                most = len(self._taking)
                takes = "no arguments by position" if not most else f"{most} argument{'s' * (most != 1)} by position"
                found.append(
                    (node.span, f"{self._name}() takes {takes}, this is number {position + 1}", _help(self._signature))
                )
                return

    def _order(self, name: str) -> int:
        return [item.name for item in self._taking].index(name) + 1

    def _unknown(self, name: str) -> tuple[str, str]:
        if any(item.name == name for item in self._taking):
            return f"{self._name}() takes `{name}` by position only", "move it to `args`"
        close = close_match(name, self._by_name)
        hint = f"did you mean {close}? " if close else ""
        return f"{self._name}() has no parameter `{name[:60]}`", hint + _help(self._signature)


def _span(job: JobSpec, key: str) -> Span:
    node = job.tree.get(key)
    return job.span if node is None else node.span


def _name(signature: Signature) -> str:
    return signature.text.partition("(")[0]


def _help(signature: Signature) -> str:
    return f"it is {signature.text} ({signature.place})"


def _found(value: Json, typed: Callable[[str], Type], fit: Fit | None) -> str:
    """Return the type of a value, in the words of the messages."""
    source = spelled(value)
    if source is not None:
        return f"a {typed(source)}"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if "$join" in value:
        return "a string"
    kind = "list" if isinstance(value, list) else "map"
    inside = fit is not None and any(form.kind == kind for form in fit.forms)
    return f"a {kind}" + (" of something else" if inside else "")
