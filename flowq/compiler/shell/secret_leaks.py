"""Warnings about secrets in jobs: lines of a script that put one into the job's result or log, and places where it does not arrive.

The rule looks at lines, not at what commands do: it finds what people write, and a mask stands behind it.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final, TypeGuard

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import locate
from flowq.compiler.shell.interpolation import KNOWN_SHELLS, is_posix
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report

_RESULT: Final = re.compile(r"\$\{?FLOWQ_OUTPUT\b")
_TRACE: Final = re.compile(r"\bset[ \t]+(?P<sign>[-+])(?:[A-Za-z]*x|o[ \t]+xtrace\b)")
_LITERAL: Final = re.compile(r"\\\$|(?<![^\s;|&(=])'[^']*'|(?<![^\s;|&(])#.*")
"""The parts of a line that the shell does not expand: an escaped $, a text in single quotes, a comment."""
_WHOLE_LINE: Final = re.compile(r"(?:[^\\\n]|\\[\s\S]?)+")
"""A line, and the next one if it is continued."""
_TRACING: Final = re.compile(r"-[A-Za-z]*x[A-Za-z]*|xtrace")  # an option of a shell

_TO_RESULT: Final = (
    "the secret {} would be in the job's result, where `***` takes its place",
    "leave it out: the job that needs it lists the secret itself",
)
_TO_LOG: Final = ("`set -x` prints the secret {} into the job's log", "write set +x before it; masks in logs are a safety net")


def check_leaks(job: MapNode, shell: tuple[str, ...], secrets: Collection[str], report: Report) -> None:
    """Warn of places in a job that give its secrets away, or where they do not arrive.

    Args:
        job: the map of the job, defaults and templates merged in.
        shell: of its script; empty for the default.
        secrets: the names of its secrets.
        report: where warnings go.
    """
    run, env = job.get("run"), job.get("env")
    if _is_text(run) and is_posix(shell):
        _check_script(run, secrets, any(_TRACING.fullmatch(word) for word in shell), report)
    if isinstance(run, ListNode) and not any(
        item.value.rpartition("/")[2] in KNOWN_SHELLS for item in filter(_is_text, run.items)
    ):
        _check_unread(run.items, secrets, "a list is no script", "write the command as a text: then a shell runs it", report)
    if isinstance(env, MapNode):
        advice = "put it together in the script, or make the whole value a secret"
        _check_unread([value for _, value in env.entries.values()], secrets, "nothing is expanded in `env`", advice, report)


def _check_script(node: ScalarNode, secrets: Collection[str], traced: bool, report: Report) -> None:
    """Warn of each secret once for either reason, at the first line that has it beside `$FLOWQ_OUTPUT` or under `set -x`."""
    told: set[tuple[str, bool]] = set()
    for match in _WHOLE_LINE.finditer(node.value) if any(name in node.value for name in secrets) else ():
        line = _LITERAL.sub(lambda literal: " " * len(literal[0]), match[0])
        signs = [found["sign"] for found in _TRACE.finditer(line)]
        shown = traced or "-" in signs
        traced = signs[-1] == "-" if signs else traced
        result = _RESULT.search(line) is not None
        for start, end, name in variable_uses(line, secrets) if result or shown else ():
            if (name, result) not in told:
                told.add((name, result))
                text, advice = _TO_RESULT if result else _TO_LOG
                span = locate(report, node, match.start() + start, match.start() + end)
                report.add(Code.SECRET_LEAK, span, text.format(name), advice)


def _check_unread(items: list[YamlNode], secrets: Collection[str], why: str, advice: str, report: Report) -> None:
    """Warn of `$TOKEN` where no shell reads it."""
    for item in filter(_is_text, items):
        for start, end, name in variable_uses(item.value, secrets):
            message = f"{item.value[start:end][:60]} stays as it is written: {why}, so the secret {name} does not arrive"
            report.add(Code.SECRET_UNREAD, locate(report, item, start, end), message, advice)


def _is_text(node: YamlNode | None) -> TypeGuard[ScalarNode]:
    return isinstance(node, ScalarNode) and isinstance(node.value, str)


def variable_uses(text: str, names: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the places where a shell would put in the value of a variable: `$NAME`, `${NAME}`, `${NAME:-x}`, but not `${NAME:+x}`."""
    if not any(name in text for name in names):
        return
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    for match in re.finditer(rf"\$(?:(?P<plain>{either})(?!\w)|\{{(?P<braced>{either})(?:\}}|(?!\w|:?\+)[^{{}}]*\}}))", text):
        yield match.start(), match.end(), match["plain"] or match["braced"]
