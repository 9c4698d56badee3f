"""The commands that read their words a second time: the closed list of the shell's own commands, and the shells.

Quotes keep a value one word. They do not help where the shell reads that word again as a script (`eval`, `sh -c`), as a name whose subscript
is evaluated (`unset`, `printf -v`) or as the command itself. Programs other than shells are not looked into.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from flowq.compiler.shell import refusals
from flowq.compiler.shell.quoting import EXPANSION, HOLE, Word
from flowq.compiler.shell.refusals import Refusal
from flowq.compiler.shell.variables import protected

ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^=]*\])?\+?=", re.DOTALL)

_MOST: Final = 64  # commands that one command may start; no real one starts more, and each is looked at up to its script
_READING_AGAIN: Final = frozenset({
    *("eval", ".", "source", "trap", "alias", "let", "unset", "read", "mapfile", "readarray", "getopts", "wait", "hash", "enable"),
    *("bind", "compgen", "complete", "compopt", "fc", "history", "jobs", "shopt", "declare", "typeset", "local", "integer", "nameref"),
})  # fmt: skip
_EVALUATED: Final = frozenset({"RANDOM", "SRANDOM", "OPTIND", "HISTCMD", "SECONDS", "LINENO"})
_PREFIXES: Final = frozenset({"command", "builtin", "exec"})
_STARTING_NOTHING: Final = frozenset({
    *(":", "[", "[[", "case", "cd", "declare", "echo", "exit", "export", "false", "for", "local", "printf", "readonly", "return", "select"),
    *("set", "shift", "test", "true", "type", "typeset"),
})  # fmt: skip
_SHELL: Final = re.compile(r"(?:r?ba|da|a|r?k|mk|lk|ok|pdk|r?z|ya|po|c|tc|fi|o|y|hu)?sh[0-9.-]*")
_STANDARD_INPUT: Final = re.compile(r"-|.*(?:stdin|fd/[0-9]+)", re.DOTALL)
_COMPARISONS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})
_ODD_TESTS: Final = frozenset({"-a", "-o", "-v", "-R", "("})


def check_words(words: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Yield the values of a simple command that the shell would read again. `words`: without redirections, in order."""
    if not any(word.holes for word in words):
        return
    shells, starts = _shells(words), list(_starts(words))
    if max(len(shells), len(starts)) > _MOST:
        yield from _all(words, refusals.TOO_MANY)
        return
    for word in words:
        match = ASSIGNMENT.match(word.text)
        if match is None:
            break
        yield from _all([word], check_assignment(match[1]))
    for start in starts:
        yield from _command(words[start], words[start + 1 :])
    for position in shells:
        yield from _shell_arguments(words[position + 1 :])


def check_assignment(name: str) -> Refusal | None:
    """Return why no value can be assigned to a variable, if so."""
    if protected(name):
        return refusals.LOADER
    return refusals.NUMBER_VARIABLE if name in _EVALUATED else None


def reads_script(words: Sequence[Word]) -> bool:
    """Return whether a command is, starts or may start a shell that reads its script from standard input."""
    shells, starts = _shells(words), list(_starts(words))
    if len(shells) > _MOST or (shells and any(_base(word) == "xargs" for word in words[: shells[0]])):
        return True
    if any(words[start].text in (".", "source") for start in starts):
        return any(_STANDARD_INPUT.fullmatch(word.text) for word in words)
    if any(_reads_input(words[position + 1 :]) for position in shells):
        return True
    return len(words) == 1 and EXPANSION in words[0].text and not ASSIGNMENT.match(words[0].text)


def redirects(words: Sequence[Word]) -> bool:
    """Return whether a command could be an `exec` that only redirects."""
    last = next((word for word in reversed(words) if not word.loose), None)
    return last is not None and last.text == "exec"


def declares_integers(words: Sequence[Word]) -> bool:
    """Return whether a command could declare variables whose assignments are evaluated."""
    for position, word in enumerate(words):
        if word.text in ("declare", "typeset", "local"):
            flags = rf"[-+][A-Za-z]*[in{EXPANSION}]|{EXPANSION}"
            return any(re.match(flags, it.text) or it.spelled for it in words[position + 1 :])
    return any(word.text in ("integer", "nameref") for word in words[:1])


def _all(words: Sequence[Word], refusal: Refusal | None) -> Iterator[tuple[int, Refusal]]:
    for word in words if refusal else ():
        for hole in word.holes:
            yield hole, refusal  # type: ignore[misc]


def _command(command: Word, arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Check one command of the shell: its name, and the arguments of those that read them again."""
    path = "/" in command.text and "=" not in command.text and command.text.count(HOLE) == len(command.holes)
    if command.spelled or (command.holes and not path):  # with a / in its name it is no command of the shell
        yield from _all([command, *arguments] if command.spelled else [command], refusals.PROGRAM)
        return
    name = command.text.replace(EXPANSION, "")
    if name in _READING_AGAIN:
        yield from _all(arguments, refusals.reads_again(name))
    elif name in ("export", "readonly"):
        yield from _exported(arguments)
    elif name in ("[", "test"):
        yield from _tested(arguments)
    elif name == "[[" and any(word.text in _COMPARISONS for word in arguments):
        yield from _all(arguments, refusals.COMPARED)
    elif name == "printf":
        yield from _printed(arguments)
    elif name == "set":
        ends = next((position for position, word in enumerate(arguments) if word.text == "--"), len(arguments))
        yield from _all(arguments[:ends], refusals.OPTION)
    elif name == "env" and any(re.match(r"-[A-Za-z0]*S|--s", word.text) for word in arguments):
        yield from _all(arguments, refusals.reads_again("env -S"))
    elif EXPANSION in command.text and any(re.match(r"[-+]\w*c", word.text) for word in arguments):
        yield from _shell_arguments(arguments)  # it may be a shell: "$SHELL" -c


def _starts(words: Sequence[Word]) -> Iterator[int]:
    """Yield where the command may begin: behind assignments, `command` and its like, and what may expand to nothing."""
    start, end = 0, len(words)
    while start < end and ASSIGNMENT.match(words[start].text):
        start += 1
    while start < end:
        yield start
        prefix = words[start].text
        if prefix not in _PREFIXES and not words[start].loose:
            return
        start += 1
        while prefix in _PREFIXES and start < end and words[start].text.startswith("-"):
            if prefix == "command" and words[start].text in ("-v", "-V"):
                return  # it starts nothing
            start += 2 if prefix == "exec" and words[start].text.endswith("a") else 1


def _exported(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    flags = any(word.text.startswith("-") or word.loose for word in arguments)
    for word in arguments:
        match = ASSIGNMENT.match(word.text)
        named = match is not None and not match[2] and HOLE not in match[0] and not flags
        yield from _all([word], check_assignment(match[1]) if match and named else refusals.NAME)


def _tested(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse values in odd tests: with names of variables, with -a and -o, and next to another value or expansion."""
    odd = any(word.text in _ODD_TESTS or word.spelled for word in arguments)
    for word, following in pairwise([*arguments, Word()]):
        if odd or all(HOLE in it.text or EXPANSION in it.text for it in (word, following)):
            yield from _all([word, following], refusals.TEST)


def _printed(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse a value that could be an option of `printf`: -v takes the name of a variable."""
    for word in arguments:
        if word.text.startswith(("-v", f"-{EXPANSION}")):
            yield from _all(arguments, refusals.OPTION)
        if word.chosen:
            yield from _all([word], refusals.OPTION)
        if not word.loose:
            return


def _base(word: Word) -> str:
    return word.text.replace(EXPANSION, "").rpartition("/")[2]


def _shells(words: Sequence[Word]) -> list[int]:
    """Return where a command names shells: it may be one, or start one. The name of a script (`sh -c '…' sh "$x"`) starts none."""
    found: list[int] = []
    name = -1
    for position, word in enumerate(words) if not words or words[0].text not in _STARTING_NOTHING else ():
        if position != name and len(found) <= _MOST and _SHELL.fullmatch(_base(word)):
            found.append(position)
            roles = list(_roles(words[position + 1 :]))
            inline = any(role == "option" and re.match(r"[-+]\w*c", option.text) for option, role in roles)
            name = position + len(roles) + 1 if inline and roles[-1][1] == "script" else -1
    return found


def _shell_arguments(arguments: Sequence[Word]) -> Iterator[tuple[int, Refusal]]:
    """Refuse the values that a shell reads as an option, as its script or as the name of it; those behind are its arguments."""
    for position, (word, role) in enumerate(_roles(arguments)):
        yield from _all(arguments[position:] if role == "unsure" else [word], refusals.SHELL)


def _reads_input(arguments: Sequence[Word]) -> bool:
    """Return whether a shell with these arguments reads its script from standard input, or could."""
    options = ""
    for word, role in _roles(arguments):
        if role == "unsure":
            return True
        if role == "script":
            return "c" not in options and ("s" in options or _STANDARD_INPUT.fullmatch(word.text) is not None)
        options += "" if word.text.startswith("--") or role == "value" else word.text
    return True


def _roles(arguments: Sequence[Word]) -> Iterator[tuple[Word, str]]:
    """Yield the arguments of a shell up to its script: "option", "value" of an option, "script", or "unsure", which ends all.

    Behind `-s --` there is no script, only arguments.
    """
    pending = ended = False
    options = ""
    for word in arguments:
        if word.loose:
            yield word, "unsure"
            return
        if pending:
            pending = False
            yield word, "value"
        elif not ended and word.text[:1] in ("-", "+"):
            ended = word.text in ("-", "--")
            short = "" if word.text.startswith("--") else word.text
            pending = word.text in ("--rcfile", "--init-file") or bool({"o", "O"} & {*short})
            options += short
            yield word, "option"
        else:
            if not (ended and "s" in options and "c" not in options):
                yield word, "script"
            return
