"""Warnings about secrets in jobs: lines of a script that put one into the job's result or log, and places where it does not arrive.

The rule looks at lines, not at what commands do: it finds what people write, and a mask stands behind it.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import locate
from flowq.compiler.shell.interpolation import KNOWN_SHELLS, is_posix
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report

_RESULT: Final = re.compile(r"\$\{?FLOWQ_OUTPUT\b")
_TRACE: Final = re.compile(r"\bset[ \t]+(?P<sign>[-+])(?:[A-Za-z]*x|o[ \t]+xtrace\b)")
_LITERAL: Final = re.compile(r"\\\$|(?<![^\s;|&(=])'[^']*'|(?<![^\s;|&(])#.*")
"""What the shell does not expand in a line: an escaped $, a text in single quotes, a comment."""


def check_leaks(job: MapNode, shell: tuple[str, ...], secrets: Collection[str], report: Report) -> None:
    """Warn of places in a job that give its secrets away, or where they do not arrive.

    Args:
        job: the map of the job, defaults and templates merged in.
        shell: of its script; empty for the default.
        secrets: the names of its secrets.
        report: where warnings go.
    """
    run, env = job.get("run"), job.get("env")
    if isinstance(run, ScalarNode) and isinstance(run.value, str) and is_posix(shell):
        _check_script(run, secrets, _traces(shell), report)
    if isinstance(run, ListNode):
        texts = [item.value for item in run.items if isinstance(item, ScalarNode) and isinstance(item.value, str)]
        if not any(text.rpartition("/")[2] in KNOWN_SHELLS for text in texts):
            hint = "write the command as a text: then a shell runs it"
            _check_unread(run.items, secrets, ("a list is no script", hint), report)
    if isinstance(env, MapNode):
        hint = "put it together in the script, or make the whole value a secret"
        _check_unread([value for _, value in env.entries.values()], secrets, ("nothing is expanded in `env`", hint), report)


def _check_script(node: ScalarNode, secrets: Collection[str], traced: bool, report: Report) -> None:
    """Warn of each secret once for either reason, at the first line that has it beside `$FLOWQ_OUTPUT` or under `set -x`."""
    text: str = node.value
    if not any(name in text for name in secrets):
        return
    told: set[tuple[str, bool]] = set()
    for start, line in _lines(text):
        expanded = _LITERAL.sub(lambda match: " " * len(match[0]), line)
        signs = [match["sign"] for match in _TRACE.finditer(expanded)]
        shown = traced or "-" in signs
        traced = signs[-1] == "-" if signs else traced
        result = _RESULT.search(expanded) is not None
        for begin, end, name in _uses(expanded, secrets) if result or shown else ():
            if (name, result) in told:
                continue
            told.add((name, result))
            span = locate(report, node, start + begin, start + end)
            if result:
                message = f"the secret {name} would be in the job's result, where `***` takes its place"
                hint = "leave it out: the job that needs it lists the secret itself"
            else:
                message = f"`set -x` prints the secret {name} into the job's log"
                hint = "write set +x before it; masks in logs are a safety net"
            report.add(Code.SECRET_LEAK, span, message, hint)


def _traces(shell: Iterable[str]) -> bool:
    return any(re.fullmatch(r"-[A-Za-z]*x[A-Za-z]*|xtrace", word) for word in shell)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a script, each with its place; a line that is continued is one with the next."""
    for match in re.finditer(r"(?:[^\\\n]|\\[\s\S]?)+", text):
        yield match.start(), match[0]


def _check_unread(items: list[YamlNode], secrets: Collection[str], why: tuple[str, str], report: Report) -> None:
    """Warn of `$TOKEN` where no shell reads it."""
    for item in items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue
        for start, end, name in _uses(item.value, secrets):
            message = f"{item.value[start:end][:60]} stays as it is written: {why[0]}, so the secret {name} does not arrive"
            report.add(Code.SECRET_UNREAD, locate(report, item, start, end), message, why[1])


def _uses(text: str, names: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the places where a shell would put in the value of a variable: `$NAME`, `${NAME}`, `${NAME:-x}`, but not `${NAME:+x}`."""
    if not any(name in text for name in names):
        return
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    for match in re.finditer(rf"\$(?:(?P<plain>{either})(?!\w)|\{{(?P<braced>{either})(?:\}}|(?!\w|:?\+)[^{{}}]*\}}))", text):
        yield match.start(), match.end(), match["plain"] or match["braced"]
