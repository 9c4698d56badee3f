"""What the shell's commands do with their words: where even a quoted value could change what is executed.

Quoting keeps a value one word. It does not help where the word is read again as code (`eval`, `sh -c`, arithmetic, variable names with a
subscript) or chooses the code (the command itself). These are the rules for such places; `shell_lexer` finds the words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from flowq.compiler.fields import protected

HOLE: Final = "\0"  # stands for a value in the text of a word
EXPANSION: Final = "\1"  # stands for what the shell itself expands


@dataclass(slots=True)
class Word:
    """A word of a command. `text` has its quotes removed, `holes` are the numbers of the values in it."""

    text: str = ""
    holes: list[int] = field(default_factory=list)
    quoted: bool = False
    spread: bool = False  # has "$@" or its like in it

    @property
    def may_vanish(self) -> bool:
        """Whether it can expand to no word at all, so that the next word takes its place."""
        return bool(self.text) and not self.text.strip(EXPANSION) and (self.spread or not self.quoted)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no value can stand at a place, and what to do instead."""

    reason: str
    help: str


ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^=]*\])?\+?=", re.DOTALL)

_SUBSCRIPT = re.compile(r"[A-Za-z0-9_]*\[[^=]*\x00[^=]*\]\+?=", re.DOTALL)
_INTERPRETERS: Final = (  # programs that take a program as an argument, and the options that announce it
    (re.compile(r"(?:ba|da|z|k|mk|a|fi|c|tc)?sh|su|python[0-9.]*|pypy[0-9.]*"), re.compile(r"-[A-Za-z]*c|--command")),
    (re.compile(r"perl|ruby|node|nodejs|php|lua"), re.compile(r"-[A-Za-z]*[eErp]|--eval|--print")),
)
_WRAPPERS: Final = frozenset({"exec", "command", "builtin", "nohup", "env", "sudo", "time", "nice", "doas"})
_DECLARING: Final = frozenset({"declare", "typeset", "local", "export", "readonly"})
_ARITHMETIC_TESTS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})

_SHELL_ARGUMENT = "pass it as an argument: {name} {flag} '… \"$1\" …' _ ${{{{ … }}}}"
_ARGUMENT = "pass it as an argument, behind the program: {name} {flag} '…' ${{{{ … }}}}"
_READ_AGAIN: Final = {
    "eval": Refusal("`eval` reads its words again as a script", "call the command without eval"),
    "trap": Refusal(
        "`trap` reads its words again as a script", "put the value into a variable first: x=${{ … }}, then '… \"$x\" …'"
    ),
    "alias": Refusal("`alias` reads its words again as a script", 'use a function with "$1"'),
    "let": Refusal("`let` evaluates its words, and evaluation can run commands", "compute the value in an expression or a job"),
    "source": Refusal("the value would choose which script is read", "write the script's name"),
    ".": Refusal("the value would choose which script is read", "write the script's name"),
    "ssh": Refusal(
        "`ssh` gives its words to a shell on the other side, which reads them again", "send the value on standard input"
    ),
    **{
        name: Refusal(
            f"`{name}` takes names of variables, and a name can hold a command", "write the name; put only values in ${{ }}"
        )
        for name in (
            "unset",
            "read",
            "mapfile",
            "readarray",
            "getopts",
            "enable",
            "compgen",
            "complete",
            "bind",
            "hash",
            "wait",
        )
    },
}
_PROGRAM = Refusal(
    "the value would choose which program runs", "write the program's name, or use the list form: run: ['${{ … }}', …]"
)
_AFTER_NOTHING = Refusal(
    "when what stands before it is empty, the value would choose which program runs",
    "put double quotes around the expansion before it",
)
_OPTION = Refusal("the value would choose which program or option runs", "write the program's name before it")
_EVALUATED = Refusal(
    "[[ ]] evaluates numbers, and evaluation can run commands",
    "use [ … ] instead, or compare in an expression: `if: params.n > 3`",
)
_TEST = Refusal(
    "`test` could read this value as an operator", "write [ -n … ] or [ … = … ], one comparison at a time, joined by &&"
)
_FORMAT = Refusal("`printf` would read the value as its format or an option", "write printf '%s\\n' ${{ … }}")
_SET = Refusal("`set` could read the value as an option", "write set -- ${{ … }}")
_INDEX = Refusal("a subscript is evaluated, and evaluation can run commands", "put only the value of an assignment in ${{ }}")
_DECLARED = Refusal("the value would be read as a name or a number expression", "write name=${{ … }} without flags")
_LOADER = Refusal("this variable changes how programs load or how the shell reads", "give it a constant value")


def check_words(words: list[Word], *, only_subscripts: bool = False) -> Iterator[tuple[int, Refusal]]:
    """Yield the values of a simple command that cannot stand where they do.

    Args:
        words: the words of the command, in order, without redirections.
        only_subscripts: they are the items of an array, not a command.
    """
    for word in words:
        if word.holes and _SUBSCRIPT.match(word.text):
            yield from _all(word, _INDEX)
    if only_subscripts:
        return
    rest = list(words)
    while rest and (match := ASSIGNMENT.match(rest[0].text)):
        if protected(match[1]):
            yield from _all(rest[0], _LOADER)
        rest.pop(0)
    rest = _unwrapped(rest)
    if not rest:
        return
    command = rest[0]
    if command.may_vanish:
        if len(rest) > 1 and rest[1].text.startswith(HOLE):
            yield from _all(rest[1], _AFTER_NOTHING)
        yield from check_words(rest[1:])
        return
    if command.holes and "/" not in command.text.split(HOLE)[0]:
        yield from _all(command, _PROGRAM)
        return
    yield from _by_name(command.text.rpartition("/")[2], rest[1:])
    yield from _inline_code(rest)


def sets_integers(words: list[Word]) -> bool:
    """Tell whether a command declares variables whose assignments are evaluated."""
    names = [word.text for word in words]
    return bool(names) and (
        names[0] == "integer" or (names[0] in _DECLARING and any(re.match(r"[-+][A-Za-z]*[in]", it) for it in names[1:]))
    )


def _all(word: Word, refusal: Refusal) -> Iterator[tuple[int, Refusal]]:
    for hole in word.holes:
        yield hole, refusal


def _unwrapped(words: list[Word]) -> list[Word]:
    """Drop `exec`, `env A=1`, `sudo -n` … in front of the command that is meant."""
    rest = list(words)
    while rest and rest[0].text in _WRAPPERS:
        rest.pop(0)
        while rest and (rest[0].text.startswith("-") or ASSIGNMENT.match(rest[0].text)):
            rest.pop(0)
    return rest


def _by_name(name: str, arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    if name in _READ_AGAIN:
        for word in arguments:
            yield from _all(word, _READ_AGAIN[name])
    elif name in _DECLARING:
        yield from _declared(arguments)
    elif name in ("[", "test"):
        yield from _tested(arguments)
    elif name == "[[":
        if any(word.text in _ARITHMETIC_TESTS for word in arguments):
            for word in arguments:
                yield from _all(word, _EVALUATED)
    elif name == "printf":
        yield from _printed(arguments)
    elif name == "set":
        for word in arguments:
            if word.text == "--":
                return
            yield from _all(word, _SET)


def _declared(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    evaluated = any(re.match(r"[-+][A-Za-z]*[in]", word.text) for word in arguments)
    for word in arguments:
        match = ASSIGNMENT.match(word.text)
        if match is None or HOLE in match[0] or evaluated:
            yield from _all(word, _DECLARED)
        elif protected(match[1]):
            yield from _all(word, _LOADER)


def _tested(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    arguments = [word for word in arguments if not word.may_vanish]
    risky = any(word.text in ("-a", "-o", "-v", "-R", "(") and not word.holes for word in arguments)
    for position, word in enumerate(arguments):
        beside = (
            arguments[position + 1 : position + 2] if word.holes else []
        )  # two values in a row: the first may be an operator
        if risky or (beside and beside[0].holes):
            yield from _all(word, _TEST)


def _printed(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    arguments = [word for word in arguments if not word.may_vanish]
    first = arguments[1:] if arguments and arguments[0].text == "--" else arguments
    into_variable = any(word.text.startswith("-v") for word in arguments[:1])
    for position, word in enumerate(first):
        if into_variable or (position == 0 and word.text.startswith(HOLE)):
            yield from _all(word, _FORMAT)


def _inline_code(words: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Find `sh -c CODE` and its like anywhere in a command (`sudo -u x sh -c …`, `find … -exec python -c …`)."""
    for position, word in enumerate(words):
        name = word.text.rpartition("/")[2]
        for programs, flags in _INTERPRETERS:
            if not word.holes and programs.fullmatch(name):
                yield from _interpreter(name, flags, words[position + 1 :])


def _interpreter(name: str, flags: re.Pattern[str], arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Check the arguments up to the program: behind it they are the program's own."""
    flag = ""
    for word in arguments:
        if word.may_vanish:
            continue
        if flag:
            reason = f"`{name} {flag}` reads this text again as a program"
            advice = _SHELL_ARGUMENT if name.endswith(("sh", "su")) else _ARGUMENT
            yield from _all(word, Refusal(reason, advice.format(name=name, flag=flag)))
            if word.text.startswith(("-", "+")):
                continue  # `sh -c -v CODE`: an option may still stand before the program
            return
        if word.text.startswith((HOLE, "-")):
            yield from _all(word, _OPTION)
        elif name != "su":
            return
        if flags.fullmatch(word.text):
            flag = word.text
