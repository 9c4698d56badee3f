"""Which programs a simple command runs, through all that run others, and which of them read a script.

Where a word could be one thing or another, it is both.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from flowq.compiler.shell.programs import (
    EXPANSION,
    FIND_COMMANDS,
    INTERPRETERS,
    REMOTE,
    SHELL,
    SHELLS_WITHOUT_COMMAND,
    STDIN,
    SU,
    WRAPPERS,
    Options,
)
from flowq.compiler.shell.words import ASSIGNMENT, Word

MOST: Final = 64  # commands that one simple command may run; scripts have fewer, and each is checked up to the end


def commands_of(words: list[Word]) -> list[tuple[int, int]]:
    """Return where the commands may begin and end that a simple command runs: itself, and what its wrappers run.

    An option that may or may not take an argument, or an expansion that may be empty, gives more than one place. There is no point in
    going on behind `MOST` of them.
    """
    found: list[tuple[int, int]] = []
    todo, seen = [(0, len(words))], set[tuple[int, int]]()
    while todo and len(found) <= MOST:
        start, end = todo.pop()
        if (start, end) in seen or start >= end:
            continue
        seen.add((start, end))
        word = words[start]
        if ASSIGNMENT.match(word.text):
            todo.append((start + 1, end))
            continue
        found.append((start, end))
        name = program(word)
        if word.may_vanish:
            todo.append((start + 1, end))
        elif name in WRAPPERS:
            todo += [(position, end) for position in behind_options(WRAPPERS[name], words, start + 1, end)]
        elif name in ("find", "gfind", "fd"):
            todo += _found(words, start + 1, end)
    return found


def program(word: Word) -> str:
    """Return the name of the program that a word names, "" where a value is in it."""
    return "" if word.holes else word.text.rpartition("/")[2]


@lru_cache(maxsize=1024)
def interpreter(name: str) -> Options | None:
    """Return the options of a program that takes a program as an argument, None for any other."""
    return next((options for names, options in INTERPRETERS if names.fullmatch(name)), None)


def roles(options: Options, arguments: list[Word]) -> Iterator[tuple[Word, str, str]]:
    """Yield the arguments of an interpreter up to its program, each with its role and, if it is code, the option that says so.

    A role is "option", "value" (an option's own argument), "program" (the name of a file or module) or "code".
    """
    flag = pending = ""
    for word in arguments:
        text, stays = word.text, word.may_vanish  # a word that vanishes leaves its role to the next one
        is_option = text.startswith(("-", "+")) if options.late else text.startswith("-") and len(text) > 1
        if pending and not (pending == "maybe" and is_option):
            yield word, "program" if pending == "module" else "code" if pending == "maybe" and flag else "value", flag
            if pending == "module" and not stays:
                return
            pending = pending if stays else ""
        elif flag and not (options.late and is_option):
            yield word, "code", flag
            if options.ends and not stays:
                return
            flag = flag if stays else ""
        elif is_option:
            kind = options.argument(text)
            yield word, "code" if kind == "code+" else "option", text[:2]
            if kind == "module+" or (kind == "code+" and options.ends):
                return
            flag = text if options.announces(text) else flag
            pending = kind if kind in ("value", "module", "maybe") else ""
        else:
            yield word, "program", ""
            if not stays and options is not SU:
                return


def reads_script(words: list[Word]) -> bool:
    """Tell whether a command reads a script from its standard input, or could: there are too many to look at."""
    commands = commands_of(words)
    if len(commands) > MOST:
        return True
    for start, end in commands:
        name, arguments = program(words[start]), words[start + 1 : end]
        if _reads_script(name, arguments):
            return True
        if name in REMOTE:
            inside = [position for position, word in enumerate(arguments) if interpreter(program(word)) is not None]
            if len(inside) > MOST or any(_reads_script(program(arguments[it]), arguments[it + 1 :]) for it in inside):
                return True
        if name == "ssh" and sum(not word.text.startswith("-") for word in arguments) < 2:
            return True
    return False


def behind_options(options: Options, words: list[Word], start: int, end: int) -> Iterator[int]:
    """Yield where the command of a wrapper may begin, behind its options and its own words."""
    todo, seen = [(start, options.operands)], set[tuple[int, int]]()
    while todo:
        state = position, operands = todo.pop()
        if state in seen or position >= end:
            continue
        seen.add(state)
        word = words[position]
        if word.may_vanish and not word.inner:
            todo.append((position + 1, operands))
        if word.text.startswith("-"):
            argument = options.argument(word.text)
            if argument in ("", "maybe") or argument.endswith("+"):
                todo.append((position + 1, operands))
            if argument in ("value", "code", "maybe"):
                todo.append((position + 2, operands))
        elif operands:
            todo.append((position + 1, operands - 1))
        else:
            yield position


def _found(words: list[Word], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the commands of `find … -exec command ;`."""
    begin = 0
    for position in range(start, end):
        text = words[position].text
        if begin and text in (";", "+"):
            yield begin, position
            begin = 0
        elif not begin and text in FIND_COMMANDS:
            begin = position + 1
    if begin:
        yield begin, end


def _reads_script(name: str, arguments: list[Word]) -> bool:
    if name in (".", "source"):
        return bool(arguments) and arguments[0].text in STDIN
    if name in ("at", "batch"):
        return not any(word.text.startswith(("-f", "-l", "-r", "-c", "-d")) for word in arguments)
    if name == "crontab":
        return [word.text for word in arguments[-1:]] in ([], ["-"])
    if name in SHELLS_WITHOUT_COMMAND:
        return next(behind_options(WRAPPERS[name], arguments, 0, len(arguments)), None) is None and not any(
            WRAPPERS[name].argument(word.text) == "code" for word in arguments if word.text.startswith("-")
        )
    if name in ("sudo", "doas"):
        return any(re.fullmatch(r"-[A-Za-z]*[si]|--shell|--login", word.text) for word in arguments)
    if EXPANSION in name:
        return not arguments
    options = interpreter(name)
    if options is None:
        return False
    found = [(word, role) for word, role, _ in roles(options, arguments)]
    if any(role == "code" for _, role in found):
        return False
    if options is SHELL and any(role == "option" and re.fullmatch(r"-[A-Za-z]*s[A-Za-z]*", word.text) for word, role in found):
        return True
    program = next((word.text for word, role in found if role == "program" and not word.may_vanish), "-")
    return options is SU or program in STDIN
