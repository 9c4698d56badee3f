"""Places of a job that give one of its secrets away, or where it does not arrive: warnings, because what a program does nobody knows.

The script reader of `shell_lexer` is used with the uses of secrets as its holes: so `$TOKEN` in a comment or in '…' is none, and each other
is a part of a word of a command.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from flowq.compiler.codes import Code
from flowq.compiler.scripts import KNOWN_SHELLS, is_posix
from flowq.compiler.shell_lexer import ShellLexer
from flowq.compiler.shell_quotes import LITERAL, Frame
from flowq.compiler.shell_words import ASSIGNMENT, Word
from flowq.compiler.sites import locate
from flowq.compiler.source import Report
from flowq.compiler.tree import Mapping, Node, Scalar, Sequence
from flowq.expr import ExprSyntaxError, Hole, split_template

_RESULT: Final = "FLOWQ_OUTPUT"
_PRINTING: Final = frozenset({"echo", "printf"})
_DUMPING: Final = frozenset({"env", "printenv"})
_INSIDE: Final = frozenset({  # of the shell itself: their words are no arguments of a process
    *(":", ".", "[", "[[", "alias", "bind", "break", "builtin", "case", "cd", "continue", "declare", "echo", "eval", "exit"),
    *("export", "false", "for", "getopts", "hash", "let", "local", "mapfile", "popd", "printf", "pushd", "read", "readarray", "readonly"),
    *("return", "select", "set", "shift", "shopt", "source", "test", "trap", "true", "type", "typeset", "unset", "wait"),
})  # fmt: skip
_PREFIXES: Final = frozenset({"exec", "command"})
_INTO_FILE: Final = (">", ">>", ">|", "&>", "&>>")
_FUNCTION = re.compile(r"^\s*(?:function\s+([\w.-]+)|([\w.-]+)\s*\(\))", re.MULTILINE)


def check_leaks(job: Mapping, shell: tuple[str, ...], secrets: Collection[str], report: Report) -> None:
    """Warn of places in a job that give its secrets away.

    Args:
        job: the map of the job, defaults and templates merged in.
        shell: of its script; empty for the default.
        secrets: the names of its secrets.
        report: where warnings go.
    """
    run, env = job.get("run"), job.get("env")
    if isinstance(run, Scalar) and isinstance(run.value, str) and is_posix(shell):
        _check_script(run, secrets, report)
    if isinstance(run, Sequence):
        texts = [item.value for item in run.items if isinstance(item, Scalar) and isinstance(item.value, str)]
        if not any(text.rpartition("/")[2] in KNOWN_SHELLS for text in texts):
            hint = "write the command as a text: then a shell runs it"
            _check_unread(run.items, secrets, ("a list is no script", hint), report)
    if isinstance(env, Mapping):
        hint = "put it together in the script, or make the whole value a secret"
        _check_unread([value for _, value in env.entries.values()], secrets, ("nothing is expanded in `env`", hint), report)


def _check_unread(items: list[Node], secrets: Collection[str], why: tuple[str, str], report: Report) -> None:
    """Warn of `$TOKEN` where no shell reads it."""
    for item in items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
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


def _check_script(node: Scalar, secrets: Collection[str], report: Report) -> None:
    text: str = node.value
    try:
        holes = [piece for piece in split_template(text) if isinstance(piece, Hole)]
    except ExprSyntaxError:
        return  # reported
    uses = {(start, end): name for start, end, name in _uses(text, {*secrets, _RESULT})}
    holes = sorted([*holes, *(Hole(text[start:end], start, start, end) for start, end in uses)], key=lambda hole: hole.start)
    reader = _Reader(text, holes)
    reader.scan()
    names = {number: name for number, hole in enumerate(holes) if (name := uses.get((hole.start, hole.end)))}
    functions = {match[1] or match[2] for match in _FUNCTION.finditer(text)}
    told: set[tuple[str, str]] = set()
    for command in reader.commands:
        for finding in _findings(command, names, functions):
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


def _findings(command: "_Command", names: dict[int, str], functions: Collection[str]) -> Iterator[_Finding]:
    words = command.program()
    name = words[0].text.rpartition("/")[2] if words else ""
    outside = bool(words) and not words[0].holes and name not in _INSIDE and name not in functions
    into_result = any(names.get(number) == _RESULT for _, target in command.targets for number in target.holes)
    for number in (number for word in words for number in word.holes):
        secret = names.get(number, _RESULT)
        if secret == _RESULT:
            continue
        if into_result:
            message = f"the secret {secret} would be in the job's result, where `***` takes its place"
            yield _Finding(name, number, secret, message, "leave it out: the job that needs it lists the secret itself")
        elif name in _PRINTING and command.prints:
            message = f"`{name}` prints the secret {secret} into the job's log"
            yield _Finding(name, number, secret, message, "remove it; masks in logs are a safety net")
        elif outside:
            shown = f"`{name[:40]}`"
            message = (
                f"the secret {secret} becomes an argument of {shown}, which every user of the machine can read while it runs"
            )
            hint = f"let {shown} read it from its environment, a file or standard input: <(printf '%s' \"${secret}\")"
            yield _Finding(name, number, secret, message, hint)
    if name in _DUMPING and len(words) == 1 and command.prints:
        message = f"`{name}` prints all variables into the job's log, secrets too"
        yield _Finding(name, None, "", message, "name the variables you want to see")


def _line_of(program: str, text: str) -> tuple[int, int]:
    """Return the place of a program that stands alone."""
    match = re.search(rf"(?:^|[\n;&|])[ \t]*(?P<name>\S*\b{re.escape(program)})[ \t]*(?=$|[\n;&|])", text)
    return (match.start("name"), match.end("name")) if match else (0, len(text))


@dataclass(slots=True)
class _Command:
    """A simple command. `targets`: its redirections, each with the word behind it."""

    words: list[Word]
    targets: list[tuple[str, Word]]
    piped: bool
    nested: bool

    @property
    def prints(self) -> bool:
        """Whether what it writes goes to the job's own output, as far as is sure."""
        return not (self.piped or self.nested or any(operator in _INTO_FILE for operator, _ in self.targets))

    def program(self) -> list[Word]:
        """Return its words from the program on."""
        before = (place for place, word in enumerate(self.words) if not (ASSIGNMENT.match(word.text) or word.text in _PREFIXES))
        return self.words[next(before, len(self.words)) :]


class _Reader(ShellLexer):
    """Collects the commands of a script."""

    def __init__(self, text: str, holes: list[Hole]) -> None:
        super().__init__(text, holes)
        self.commands: list[_Command] = []
        self._targets: dict[int, list[tuple[str, Word]]] = {}  # by the frame they stand in
        self._piping = False

    def literal(self, number: int | None) -> bool:
        """Tell whether a hole stands where the shell expands nothing."""
        return number is not None and self.refusals.get(number) in LITERAL

    def _end_word(self, frame: Frame) -> None:
        if frame.redirect and frame.word is not None:
            self._targets.setdefault(id(frame), []).append((frame.redirect, frame.word))
        super()._end_word(frame)

    def _separate(self, frame: Frame, *, pipe: bool = False, newline: bool = False) -> None:
        self._piping = pipe
        super()._separate(frame, pipe=pipe, newline=newline)
        self._piping = False

    def _end_command(self, frame: Frame) -> None:
        self._end_word(frame)
        targets = self._targets.pop(id(frame), [])
        if frame.words and not frame.array and not frame.pattern:
            nested = len(self._frames) > 1 or bool(frame.input.around)
            self.commands.append(_Command(list(frame.words), targets, self._piping, nested))
        super()._end_command(frame)
