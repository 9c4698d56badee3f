"""The commands that read their words a second time: the closed list of what the shell itself does, and the shells.

Quotes keep a value one word. They do not help where the shell reads that word again as a script (`eval`, `sh -c`), as a name whose subscript
is evaluated (`unset`, `printf -v`) or as the command itself. Programs other than shells are not looked into.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from flowq.compiler.shell.refusals import (
    COMPARED,
    LOADER,
    NAME,
    NUMBER_VARIABLE,
    OPTION,
    PROGRAM,
    SHELL,
    TEST,
    TOO_MANY,
    Refusal,
    reads_again,
)
from flowq.compiler.shell.variables import protected

HOLE: Final = "\0"  # stands for a value in the text of a word
EXPANSION: Final = "\1"  # stands for what the shell itself expands
ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^=]*\])?\+?=", re.DOTALL)

MOST: Final = 64  # shells that one command may name; no real one names more, and each is looked at up to its script

_READING_AGAIN: Final = frozenset({
    *("eval", ".", "source", "trap", "alias", "let", "unset", "read", "mapfile", "readarray", "getopts", "wait", "hash", "enable"),
    *("bind", "compgen", "complete", "compopt", "fc", "history", "jobs", "shopt", "declare", "typeset", "local", "integer", "nameref"),
})  # fmt: skip
_INTEGER_VARIABLES: Final = frozenset({"RANDOM", "SRANDOM", "OPTIND", "HISTCMD", "SECONDS", "LINENO"})
_PREFIXES: Final = frozenset({"command", "builtin", "exec"})
_STARTING_NOTHING: Final = frozenset({
    *(":", "[", "[[", "case", "cd", "declare", "echo", "exit", "export", "false", "for", "local", "printf", "readonly", "return", "select"),
    *("set", "shift", "test", "true", "type", "typeset"),
})  # fmt: skip
_SHELLS: Final = re.compile(r"(?:r?ba|da|a|k|mk|lk|pdk|z|ya|c|tc|fi)?sh[0-9.-]*")
_STANDARD_INPUT: Final = re.compile(r"-|.*(?:stdin|fd/[0-9]+)", re.DOTALL)
_WITH_ARGUMENT: Final = frozenset({"--rcfile", "--init-file"})
_EVALUATING_TESTS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})
_ODD_TESTS: Final = frozenset({"-a", "-o", "-v", "-R", "("})


@dataclass(slots=True)
class Word:
    """A word of a command. `text` has its quotes removed; `holes` are the numbers of the values in it, also in its substitutions."""

    text: str = ""
    holes: list[int] = field(default_factory=list)
    quoted: bool = False
    several: bool = False  # has "$@" or its like in it
    spelled: bool = False  # has {a,b} or $'\\x61' in it: what that makes is not looked into
    subscript: int = 0  # where the text of the subscript begins that an unquoted `name[` opens

    @property
    def loose(self) -> bool:
        """Whether it can expand to no word at all, or to several."""
        return self.spelled or (bool(self.text) and not self.text.strip(EXPANSION) and (self.several or not self.quoted))

    @property
    def chosen(self) -> bool:
        """Whether a value decides what it begins with."""
        return bool(self.holes) and self.text.startswith((HOLE, EXPANSION))


def check_words(words: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Yield the values of a simple command that the shell would read again. `words`: without redirections, in order."""
    if not any(word.holes for word in words):
        return
    shells = _shells(words)
    starts = list(_starts(words))
    if max(len(shells), len(starts)) > MOST:
        yield from _all(words, TOO_MANY)
        return
    for word in words:
        match = ASSIGNMENT.match(word.text)
        if match is None:
            break
        yield from _assigned(match[1], word)
    for start in starts:
        yield from _command(words[start], words[start + 1 :])
    for position in shells:
        yield from _shell_arguments(words[position + 1 :])


def reads_script(words: Sequence[Word]) -> bool:
    """Tell whether a command is, starts or may start a shell that reads its script from standard input."""
    if words and words[0].text in (".", "source"):
        return any(_STANDARD_INPUT.fullmatch(word.text) for word in words)
    shells = _shells(words)
    if len(shells) > MOST or (shells and any(_base(word) == "xargs" for word in words[: shells[0]])):
        return True
    if any(_reads_input(words[position + 1 :]) for position in shells):
        return True
    return len(words) == 1 and EXPANSION in words[0].text and not ASSIGNMENT.match(words[0].text)


def declares_integers(words: Sequence[Word]) -> bool:
    """Tell whether a command could declare variables whose assignments are evaluated."""
    for position, word in enumerate(words):
        if word.text in ("declare", "typeset", "local"):
            return any(re.match(r"[-+][A-Za-z]*[in]", it.text) or it.loose for it in words[position + 1 :])
    return any(word.text in ("integer", "nameref") for word in words[:1])


def _all(words: Sequence[Word], refusal: Refusal) -> Iterator[tuple[int, Refusal]]:
    for word in words:
        for hole in word.holes:
            yield hole, refusal


def _assigned(name: str, word: Word) -> Iterator[tuple[int, Refusal]]:
    if protected(name):
        yield from _all([word], LOADER)
    elif name in _INTEGER_VARIABLES:
        yield from _all([word], NUMBER_VARIABLE)


def _command(command: Word, arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Check one command of the shell: its name, and the arguments of those that read them again."""
    path = "/" in command.text and command.text.count(HOLE) == len(command.holes)  # so it is no builtin
    if command.spelled or (command.holes and not path):
        yield from _all([command, *arguments] if command.spelled else [command], PROGRAM)
        return
    name = command.text
    if name in _READING_AGAIN:
        yield from _all(arguments, reads_again(name))
    elif name in ("export", "readonly"):
        yield from _exported(arguments)
    elif name in ("[", "test"):
        yield from _tested(arguments)
    elif name == "[[":
        if any(word.text in _EVALUATING_TESTS for word in arguments):
            yield from _all(arguments, COMPARED)
    elif name == "printf":
        yield from _printed(arguments)
    elif name == "set":
        ends = next((position for position, word in enumerate(arguments) if word.text == "--"), len(arguments))
        yield from _all(arguments[:ends], OPTION)
    elif name in ("for", "select") and arguments:
        for word in arguments[1:]:
            yield from _assigned(arguments[0].text, word)
    elif EXPANSION in name and any(re.match(r"[-+]\w*c", word.text) for word in arguments):
        yield from _shell_arguments(arguments)  # it may be a shell: "$SHELL" -c


def _starts(words: Sequence[Word]) -> Iterator[int]:
    """Yield where the command may begin: behind assignments, `command` and its like, and what may expand to nothing."""
    start, end = 0, len(words)
    while start < end and ASSIGNMENT.match(words[start].text):
        start += 1
    while start < end:
        yield start
        if words[start].text in _PREFIXES:
            prefix = words[start].text
            start += 1
            while start < end and words[start].text.startswith("-"):
                if prefix == "command" and words[start].text in ("-v", "-V"):
                    return  # it starts nothing
                start += 2 if prefix == "exec" and words[start].text.endswith("a") else 1
        elif words[start].loose:
            start += 1
        else:
            return


def _exported(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    flags = any(word.text.startswith("-") or word.loose for word in arguments)
    for word in arguments:
        match = ASSIGNMENT.match(word.text)
        if match is None or match[2] or HOLE in match[0] or flags:
            yield from _all([word], NAME)
        else:
            yield from _assigned(match[1], word)


def _tested(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse values in odd tests: with names of variables, with -a and -o, and next to another value or expansion."""
    if any(word.text in _ODD_TESTS or word.spelled for word in arguments):
        yield from _all(arguments, TEST)
        return
    for word, following in pairwise(arguments):
        if all(HOLE in it.text or EXPANSION in it.text for it in (word, following)):
            yield from _all([word, following], TEST)


def _printed(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse a value that could be an option of `printf`: -v takes the name of a variable."""
    for word in arguments:
        if word.text.startswith("-v"):
            yield from _all(arguments, OPTION)
        if word.chosen:
            yield from _all([word], OPTION)
        if not word.loose:
            return


def _shells(words: Sequence[Word]) -> list[int]:
    """Return where a command names shells: it may be one, or start one."""
    if words and words[0].text in _STARTING_NOTHING:
        return []
    return [position for position, word in enumerate(words) if _SHELLS.fullmatch(_base(word))]


def _base(word: Word) -> str:
    return word.text.rpartition("/")[2]


def _shell_arguments(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse the values that a shell reads as an option, as its script or as the name of it; those behind are its arguments."""
    for position, (word, role) in enumerate(_roles(arguments)):
        if role == "unsure":
            yield from _all(arguments[position:], SHELL)
        else:
            yield from _all([word], SHELL)


def _reads_input(arguments: Sequence[Word]) -> bool:
    """Tell whether a shell with these arguments reads its script from standard input, or could."""
    options = ""
    for word, role in _roles(arguments):
        if role == "unsure":
            return True
        if role == "script":
            return "c" not in options and ("s" in options or _STANDARD_INPUT.fullmatch(word.text) is not None)
        options += "" if word.text.startswith("--") or role == "value" else word.text
    return True


def _roles(arguments: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """Yield the arguments of a shell up to its script: "option", "value" of an option, "script", or "unsure", which ends all."""
    pending = ended = False
    for word in arguments:
        if word.loose:
            yield word, "unsure"
            return
        if pending:
            pending = False
            yield word, "value"
        elif not ended and word.text[:1] in ("-", "+"):
            ended = word.text in ("-", "--")
            long = word.text.startswith("--")
            pending = word.text in _WITH_ARGUMENT if long else bool({"o", "O"} & {*word.text})
            yield word, "option"
        else:
            yield word, "script"
            return
