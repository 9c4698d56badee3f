"""What the shell's commands do with their words: where even a quoted value could change what is executed.

Quoting keeps a value one word. It does not help where the word is read again as code (`eval`, `sh -c`, arithmetic, variable names with a
subscript) or chooses the code (the command itself). These are the rules for such places; `shell_lexer` finds the words.
"""

import re
from collections.abc import Iterator, Sequence

from flowq.compiler.shell.commands import MOST, behind_options, commands_of, interpreter, program, roles
from flowq.compiler.shell.programs import ARITHMETIC_TESTS, DECLARING, EXPANSION, SHELL, SU, UNKNOWN, WRAPPERS, Options
from flowq.compiler.shell.refusals import (
    AFTER_NOTHING,
    ARGUMENT,
    DECLARED,
    EVALUATED,
    EXPORTED,
    FORMAT,
    INDEX,
    LOADER,
    OPTION,
    PROGRAM,
    READ_AGAIN,
    SET,
    SHELL_ARGUMENT,
    TEST,
    TOO_MANY,
    Refusal,
)
from flowq.compiler.shell.variables import protected
from flowq.compiler.shell.words import ASSIGNMENT, HOLE, Word

_SUBSCRIPT = re.compile(r"[A-Za-z0-9_]*\[[^=]*\x00[^=]*\]\+?=", re.DOTALL)


def check_subscripts(words: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Yield the values that stand in the subscripts of assignments: all there is to refuse in the items of an array."""
    for word in words:
        if (word.holes or word.inner) and _SUBSCRIPT.match(word.text):
            yield from _all(word, INDEX)


def check_words(words: list[Word], fed: Sequence[int] = ()) -> Iterator[tuple[int, Refusal]]:
    """Yield the values of a simple command that cannot stand where they do.

    Args:
        words: the words of the command, in order, without redirections.
        fed: the numbers of the values that come to its standard input.
    """
    if not fed and not any(word.holes or word.inner for word in words):
        return
    yield from check_subscripts(words)
    for word in words:
        match = ASSIGNMENT.match(word.text)
        if match is None:
            break
        if protected(match[1]):
            yield from _all(word, LOADER)
    commands = commands_of(words)
    if len(commands) > MOST or sum(interpreter(program(word)) is not None for word in words) > MOST:
        for word in words:
            yield from _all(word, TOO_MANY)
        yield from ((hole, TOO_MANY) for hole in fed)
        return
    yield from _inline_code(words)
    for start, end in commands:
        yield from _command(words[start:end], fed)


def sets_integers(words: list[Word]) -> bool:
    """Tell whether a command declares variables whose assignments are evaluated."""
    names = [word.text for word in words]
    return bool(names) and (
        names[0] == "integer" or (names[0] in DECLARING and any(re.match(r"[-+][A-Za-z]*[in]", it) for it in names[1:]))
    )


def _all(word: Word, refusal: Refusal) -> Iterator[tuple[int, Refusal]]:
    for hole in (*word.holes, *word.inner):
        yield hole, refusal


def _chooses(word: Word) -> bool:
    """Tell whether a value decides what a word begins with."""
    return word.text.startswith(HOLE) or (bool(word.inner) and word.text.startswith(EXPANSION))


def _command(words: list[Word], fed: Sequence[int]) -> Iterator[tuple[int, Refusal]]:
    """Check one command: its name, and the arguments of those that read them again."""
    command, arguments = words[0], words[1:]
    if (command.holes and "/" not in command.text.split(HOLE)[0]) or _chooses(command):
        yield from _all(command, PROGRAM)
        return
    if command.may_vanish and arguments and _chooses(arguments[0]):
        yield from _all(arguments[0], AFTER_NOTHING)
    name = program(command)
    if EXPANSION in name:
        for word, role, flag in roles(UNKNOWN, arguments):
            if role == "code":
                yield from _all(word, _unknown_code(flag))
    elif name in WRAPPERS:
        yield from _wrapped_code(name, WRAPPERS[name], arguments)
    if name != "watch" or not any(re.fullmatch(r"-[A-Za-z]*x|--exec", word.text) for word in arguments):
        yield from _by_name(name, arguments)
    if name == "xargs" and fed:
        yield from check_words(_appended(arguments, fed))


def _unknown_code(flag: str) -> Refusal:
    return Refusal(
        f"the command is not known here, and `{flag}` could announce a program", "write the command's name, not a variable"
    )


def _wrapped_code(name: str, options: Options, arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Find the code of `flock file -c CODE`, `script -qc CODE`, `env -S CODE`, and options that a value chooses."""
    for position in range(min(behind_options(options, arguments, 0, len(arguments)), default=len(arguments))):
        word = arguments[position]
        if not word.text.startswith("-"):
            continue
        kind = options.argument(word.text)
        if HOLE in word.text[:3] and kind != "value+":
            yield from _all(word, OPTION)
        if kind in ("code", "code+"):
            refusal = Refusal(f"`{name} {word.text.split(HOLE)[0]}` reads this text again as a program", EXPORTED)
            for code in arguments[position : position + 2] if kind == "code" else [word]:
                yield from _all(code, refusal)


def _appended(arguments: list[Word], fed: Sequence[int]) -> list[Word]:
    """Return the command of `xargs` with the values it reads where it puts them."""
    start = next(behind_options(WRAPPERS["xargs"], arguments, 0, len(arguments)), len(arguments))
    mark = ""
    for option, following in zip(arguments[:start], [*arguments[1:], Word()], strict=False):
        if match := re.fullmatch(r"(?:-[IJi]|--replace)=?(.*)", option.text, re.DOTALL):
            mark = match[1] or (following.text if option.text in ("-I", "-J") else "{}")
    command = arguments[start:]
    if not mark:
        return [*command, Word(HOLE, list(fed))] if command else []
    return [Word(word.text.replace(mark, HOLE), list(fed)) if mark in word.text else word for word in command]


def _by_name(name: str, arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    if name in READ_AGAIN:
        for word in arguments:
            yield from _all(word, READ_AGAIN[name])
    elif name in DECLARING:
        yield from _declared(arguments)
    elif name in ("[", "test"):
        yield from _tested(arguments)
    elif name == "[[":
        if any(word.text in ARITHMETIC_TESTS for word in arguments):
            for word in arguments:
                yield from _all(word, EVALUATED)
    elif name == "printf":
        yield from _printed(arguments)
    elif name == "set":
        for word in arguments:
            if word.text == "--":
                return
            yield from ((hole, SET) for hole in word.holes)


def _declared(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    evaluated = any(re.match(r"[-+][A-Za-z]*[in]", word.text) for word in arguments)
    for word in arguments:
        match = ASSIGNMENT.match(word.text)
        if match is None or HOLE in match[0] or evaluated:
            yield from _all(word, DECLARED)
        elif protected(match[1]):
            yield from _all(word, LOADER)


def _tested(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    arguments = [word for word in arguments if not word.may_vanish]
    risky = any(word.text in ("-a", "-o", "-v", "-R", "(") and not word.holes for word in arguments)
    for position, word in enumerate(arguments):
        beside = (
            arguments[position + 1 : position + 2] if word.holes else []
        )  # two values in a row: the first may be an operator
        if risky or (beside and beside[0].holes):
            yield from ((hole, TEST) for hole in word.holes)


def _printed(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    arguments = [word for word in arguments if not word.may_vanish]
    first = arguments[1:] if arguments and arguments[0].text == "--" else arguments
    into_variable = any(word.text.startswith("-v") for word in arguments[:1])
    for position, word in enumerate(first):
        if into_variable or (position == 0 and word.text.startswith(HOLE)):
            yield from ((hole, FORMAT) for hole in word.holes)


def _inline_code(words: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Find `sh -c CODE` and its like anywhere in a command (`sudo -u x sh -c …`, `find … -exec python -c …`)."""
    for position, word in enumerate(words):
        name = program(word)
        options = interpreter(name)
        if options is None:
            continue
        for argument, role, flag in roles(options, words[position + 1 :]):
            if role == "code":
                advice = (SHELL_ARGUMENT if options in (SHELL, SU) else ARGUMENT).format(name=name, flag=flag)
                yield from _all(argument, Refusal(f"`{name} {flag}` reads this text again as a program", advice))
            elif role in ("option", "value") or _chooses(argument):
                yield from _all(argument, OPTION)
