"""Places of a job that give one of its secrets away, or where it does not arrive: warnings, because it is unknown what a program does.

The script reader of `shell_streams` is used with the uses of secrets as its holes: so `$TOKEN` in a comment or in '…' is none, and each
other is a part of a word of a command or of a here-document, of which is known where it goes.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import locate
from flowq.compiler.shell.interpolation import KNOWN_SHELLS, is_posix
from flowq.compiler.shell.streams import Command, StreamEnd, StreamReader
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.expr import ExprSyntaxError, Hole, split_template

_RESULT: Final = "FLOWQ_OUTPUT"
_PRINTING: Final = frozenset({"echo", "printf"})
_WRITING: Final = frozenset({*_PRINTING, "eval"})
_DUMPING: Final = frozenset({"env", "printenv"})
_INSIDE: Final = frozenset({  # of the shell itself: their words are no arguments of a process
    *(":", ".", "[", "[[", "alias", "bind", "break", "builtin", "case", "cd", "continue", "declare", "echo", "eval", "exit"),
    *("export", "false", "for", "getopts", "hash", "let", "local", "mapfile", "popd", "printf", "pushd", "read", "readarray", "readonly"),
    *("return", "select", "set", "shift", "shopt", "source", "test", "trap", "true", "type", "typeset", "unset", "wait"),
})  # fmt: skip
_FUNCTION = re.compile(r"^\s*(?:function\s+([\w.-]+)|([\w.-]+)\s*\(\))", re.MULTILINE)


def check_leaks(job: MapNode, shell: tuple[str, ...], secrets: Collection[str], report: Report) -> None:
    """Warn of places in a job that give its secrets away.

    Args:
        job: the map of the job, defaults and templates merged in.
        shell: of its script; empty for the default.
        secrets: the names of its secrets.
        report: where warnings go.
    """
    run, env = job.get("run"), job.get("env")
    if isinstance(run, ScalarNode) and isinstance(run.value, str) and is_posix(shell):
        _check_script(run, secrets, report)
    if isinstance(run, ListNode):
        texts = [item.value for item in run.items if isinstance(item, ScalarNode) and isinstance(item.value, str)]
        if not any(text.rpartition("/")[2] in KNOWN_SHELLS for text in texts):
            hint = "write the command as a text: then a shell runs it"
            _check_unread(run.items, secrets, ("a list is no script", hint), report)
    if isinstance(env, MapNode):
        hint = "put it together in the script, or make the whole value a secret"
        _check_unread([value for _, value in env.entries.values()], secrets, ("nothing is expanded in `env`", hint), report)


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


def _check_script(node: ScalarNode, secrets: Collection[str], report: Report) -> None:
    text: str = node.value
    try:
        holes = [piece for piece in split_template(text) if isinstance(piece, Hole)]
    except ExprSyntaxError:
        return  # reported
    uses = {(start, end): name for start, end, name in _uses(text, {*secrets, _RESULT})}
    holes = sorted([*holes, *(Hole(text[start:end], start, start, end) for start, end in uses)], key=lambda hole: hole.start)
    reader = StreamReader(text, holes)
    reader.scan()
    names = {number: name for number, hole in enumerate(holes) if (name := uses.get((hole.start, hole.end)))}
    results = frozenset(number for number, name in names.items() if name == _RESULT)
    hidden = {number: name for number, name in names.items() if name != _RESULT}
    functions = {match[1] or match[2] for match in _FUNCTION.finditer(text)}
    told: set[tuple[str, str]] = set()
    for command in reader.commands:
        for finding in _findings(command, hidden, results, functions):
            if (finding.secret, finding.help) in told or reader.literal(finding.hole):
                continue
            told.add((finding.secret, finding.help))
            hole = holes[finding.hole] if finding.hole is not None else None
            start, end = _line_of(finding.program, text) if hole is None else (hole.start, hole.end)
            report.add(Code.SECRET_LEAK, locate(report, node, start, end), finding.message, finding.help)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a command gives away. `hole`: where it is used, None where no secret is named; `secret` is "" then."""

    program: str
    hole: int | None
    secret: str
    message: str
    help: str


def _findings(
    command: Command, secrets: Mapping[int, str], marks: frozenset[int], functions: Collection[str]
) -> Iterator[_Finding]:
    words, name = command.program(), command.name
    outside = bool(words) and not words[0].holes and name not in _INSIDE and name not in functions
    end = command.end(marks)
    for number in (number for word in words for number in word.holes if number in secrets):
        if end is StreamEnd.MARKED and (name in _WRITING or name in functions):
            yield _in_result(name, number, secrets[number])
        elif end is StreamEnd.OUTPUT and name in _PRINTING:
            yield _in_log(name, number, secrets[number])
        elif outside:
            yield _argument(name, number, secrets[number])
    passed = command.passed(marks) if command.passes else StreamEnd.ELSEWHERE
    for number in (number for number in command.read if number in secrets):
        if passed is StreamEnd.MARKED:
            yield _in_result(name, number, secrets[number])
        elif passed is StreamEnd.OUTPUT:
            yield _in_log(name, number, secrets[number])
    if name in _DUMPING and len(words) == 1 and end is StreamEnd.OUTPUT:
        message = f"`{name}` prints all variables into the job's log, secrets too"
        yield _Finding(name, None, "", message, "name the variables you want to see")


def _in_result(name: str, number: int, secret: str) -> _Finding:
    message = f"the secret {secret} would be in the job's result, where `***` takes its place"
    return _Finding(name, number, secret, message, "leave it out: the job that needs it lists the secret itself")


def _in_log(name: str, number: int, secret: str) -> _Finding:
    message = f"`{name}` prints the secret {secret} into the job's log"
    return _Finding(name, number, secret, message, "remove it; masks in logs are a safety net")


def _argument(name: str, number: int, secret: str) -> _Finding:
    shown = f"`{name[:40]}`"
    message = f"the secret {secret} becomes an argument of {shown}, which every user of the machine can read while it runs"
    hint = f"let {shown} read it from its environment, a file or standard input: <(printf '%s' \"${secret}\")"
    return _Finding(name, number, secret, message, hint)


def _line_of(program: str, text: str) -> tuple[int, int]:
    """Return the place of a program that stands alone."""
    match = re.search(rf"(?:^|[\n;&|])[ \t]*(?P<name>\S*\b{re.escape(program)})[ \t]*(?=$|[\n;&|])", text)
    return (match.start("name"), match.end("name")) if match else (0, len(text))
