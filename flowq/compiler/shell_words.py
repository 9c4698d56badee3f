"""What the shell's commands do with their words: where even a quoted value could change what is executed.

Quoting keeps a value one word. It does not help where the word is read again as code (`eval`, `sh -c`, arithmetic, variable names with a
subscript) or chooses the code (the command itself). These are the rules for such places; `shell_lexer` finds the words.
"""

import re
from collections.abc import Iterator, Sequence
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
    inner: list[int] = field(default_factory=list)  # values in its substitutions: what is printed there becomes its text
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


@dataclass(frozen=True)
class _Options:
    """Which options of a program take an argument, and what the argument is. Short ones by their letters, long ones by name."""

    taking: str = ""
    long: tuple[str, ...] = ()
    code: str = ""  # the argument is a program
    long_code: tuple[str, ...] = ()
    module: str = ""  # the argument names the program; what follows is the program's own
    operands: int = 0  # of a wrapper: its own words between its options and the command
    guess: bool = False  # any other long option could take an argument too
    ends: bool = False  # behind the code there are no options any more
    late = False  # the code is not the next word but the one behind all options

    def argument(self, option: str) -> str:
        """Return what the word behind an option is: "code", "module", "value", "maybe" a value, or nothing special.

        With a "+" the argument is in the word itself, as in `-n5`.
        """
        if option.startswith("--"):
            return self._long(option)
        for position, letter in enumerate(option[1:], 2):
            if letter in self.code or letter in self.module or letter in self.taking or letter == EXPANSION:
                kind = "module" if letter in self.module else "value" if letter in self.taking else "code"
                return kind if position == len(option) else kind + "+"
        return ""

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        return self.argument(option) == "code"

    def _long(self, option: str) -> str:
        name, equals, _ = option.partition("=")
        if option == "--":
            return ""
        if name in self.long_code:
            return "code" + "+" * bool(equals)
        if equals:
            return ""
        if name in self.long:
            return "value"
        return "maybe" if self.guess or any(known.startswith(name) for known in self.long + self.long_code) else ""


class _ShellOptions(_Options):
    """Shells read all letters of `-ceuo` before the argument of any of them."""

    late = True

    def argument(self, option: str) -> str:
        """Return what the word behind an option is."""
        if option.startswith("--"):
            return self._long(option).replace("code", "")
        return "value" if set(option[1:]) & set(self.taking) else ""

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        if option.startswith("--"):
            return self._long(option) == "code"
        return "c" in option or EXPANSION in option


class _UnknownOptions(_Options):
    """Of a program that a variable names: any option could take an argument, and `-c` could be a shell's."""

    late = True

    def argument(self, option: str) -> str:
        """Return what the word behind an option is."""
        return "module" if option == "-m" else "" if "=" in option or self.announces(option) else "maybe"

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        return option in self.long_code or re.fullmatch(r"-[A-Za-z]*(?:c[A-Za-z]*|[eE])", option) is not None


_SHELL: Final = _ShellOptions("oOTR", ("--rcfile", "--init-file"), "c", ("--command",), ends=True)
_SU: Final = _Options("sgGwu", ("--shell", "--group", "--supp-group", "--user"), "c", ("--command", "--session-command"))
_UNKNOWN: Final = _UnknownOptions(long_code=("--command", "--eval", "--print"))
_INTERPRETERS: Final = (  # programs that take a program as an argument, or read it from their input
    (re.compile(r"(?:ba|da|z|k|mk|a|c|tc)?sh"), _SHELL),
    (re.compile(r"su|runuser"), _SU),
    (re.compile(r"fish"), _Options("dDof", ("--debug", "--features"), "cC", ("--command", "--init-command"))),
    (re.compile(r"python[0-9.]*|pypy[0-9.]*"), _Options("WXQ", ("--check-hash-based-pycs",), "c", (), "m", ends=True)),
    (re.compile(r"perl[0-9.]*"), _Options("IMm", (), "eE")),
    (re.compile(r"ruby[0-9.]*"), _Options("IrCE", (), "e", guess=True)),
    (re.compile(r"node|nodejs|bun"), _Options("rC", (), "ep", ("--eval", "--print"), guess=True)),
    (
        re.compile(r"php[0-9.]*"),
        _Options("cdtzS", (), "rBRE", ("--run", "--process-code", "--process-begin"), "fF", guess=True),
    ),
    (re.compile(r"lua(?:jit)?[0-9.]*"), _Options("lj", (), "e")),
    (re.compile(r"R|Rscript|julia|osascript"), _Options("pLltCJHf", (), "eE", ("--eval", "--print"), guess=True)),
)
_USER: Final = (
    "--user",
    "--group",
    "--chdir",
    "--host",
    "--prompt",
    "--close-from",
    "--chroot",
    "--role",
    "--type",
    "--command-timeout",
)
_WRAPPERS: Final = {  # programs that run the command behind their own words
    **dict.fromkeys(("command", "builtin", "nohup", "setsid", "busybox", "eatmydata", "fakeroot", "caffeinate"), _Options()),
    "exec": _Options("a"),
    "env": _Options("uC", ("--unset", "--chdir"), "S", ("--split-string",)),
    "sudo": _Options("ugCchpRrTtUD", _USER),
    "doas": _Options("uC"),
    "time": _Options("fo", ("--format", "--output")),
    "nice": _Options("n", ("--adjustment",)),
    "ionice": _Options("cnpPu", ("--class", "--classdata", "--pid", "--pgid", "--uid")),
    "timeout": _Options("ks", ("--kill-after", "--signal"), operands=1),
    "gtimeout": _Options("ks", ("--kill-after", "--signal"), operands=1),
    "stdbuf": _Options("ioe", ("--input", "--output", "--error")),
    "chroot": _Options("", ("--userspec", "--groups"), operands=1),
    "taskset": _Options("", (), operands=1),
    "chrt": _Options("TPD", ("--sched-runtime", "--sched-period", "--sched-deadline"), operands=1),
    "unshare": _Options("SGRw", ("--setuid", "--setgid", "--root", "--wd", "--propagation", "--setgroups", "--map-user", "--map-group")),
    "nsenter": _Options("tSG", ("--target", "--setuid", "--setgid")),
    "setpriv": _Options("", ("--reuid", "--regid", "--groups", "--inh-caps", "--ambient-caps", "--bounding-set", "--securebits", "--pdeathsig")),
    "strace": _Options("abeEIoOpPsSuUX", ("--output", "--trace", "--attach", "--user", "--env")),
    "gosu": _Options(operands=1),
    "su-exec": _Options(operands=1),
    "flock": _Options("wE", ("--timeout", "--wait", "--conflict-exit-code"), "c", ("--command",), operands=1),
    "script": _Options(
        "IOBTEmo", ("--log-in", "--log-out", "--log-io", "--log-timing", "--logging-format", "--echo", "--output-limit"),
        "c", ("--command",), operands=1,
    ),
    "sg": _Options("", (), "c", operands=1),
    "xargs": _Options(
        "adEILnPsJRS", ("--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-chars", "--process-slot-var"),
    ),
    "watch": _Options("nq", ("--interval", "--equexit")),
}  # fmt: skip
_SHELLS_WITHOUT_COMMAND: Final = frozenset({"chroot", "unshare", "nsenter", "script"})
_REMOTE: Final = frozenset({"docker", "podman", "nerdctl", "kubectl", "ssh"})  # what they run reads their standard input
_MOST: Final = 64  # commands that one simple command may run; nobody writes more, and each is checked up to the end
_STDIN: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_FIND_COMMANDS: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_DECLARING: Final = frozenset({"declare", "typeset", "local", "export", "readonly"})
_ARITHMETIC_TESTS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})

_SHELL_ARGUMENT = "pass it as an argument: {name} {flag} '… \"$1\" …' _ ${{{{ … }}}}"
_ARGUMENT = "pass it as an argument, behind the program: {name} {flag} '…' ${{{{ … }}}}"
_EXPORTED = "export the value first: export x=${{ … }}, then '… \"$x\" …'"
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
    "watch": Refusal("`watch` gives its words to a shell, which reads them again", "write watch -x"),
    "parallel": Refusal("`parallel` gives its words to a shell, which reads them again", _EXPORTED),
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
_TOO_MANY = Refusal("the command could run too many others to be sure of them", "split the command into several")
FED: Final = Refusal(
    "it comes to the standard input of a program that reads its script there",
    "write the script into the command and pass the value as an argument: sh -c '… \"$1\" …' _ ${{ … }}",
)
_LOADER = Refusal("this variable changes how programs load or how the shell reads", "give it a constant value")


def check_subscripts(words: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Yield the values that stand in the subscripts of assignments: all there is to refuse in the items of an array."""
    for word in words:
        if (word.holes or word.inner) and _SUBSCRIPT.match(word.text):
            yield from _all(word, _INDEX)


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
            yield from _all(word, _LOADER)
    commands = _commands(words)
    if len(commands) > _MOST or sum(_interpreter(_name(word)) is not None for word in words) > _MOST:
        for word in words:
            yield from _all(word, _TOO_MANY)
        yield from ((hole, _TOO_MANY) for hole in fed)
        return
    yield from _inline_code(words)
    for start, end in commands:
        yield from _command(words[start:end], fed)


def reads_script(words: list[Word]) -> bool:
    """Tell whether a command reads a script from its standard input, or could: there are too many to look at."""
    commands = _commands(words)
    if len(commands) > _MOST:
        return True
    for start, end in commands:
        name, arguments = _name(words[start]), words[start + 1 : end]
        if _reads_script(name, arguments):
            return True
        if name in _REMOTE:
            inside = [position for position, word in enumerate(arguments) if _interpreter(_name(word)) is not None]
            if len(inside) > _MOST or any(_reads_script(_name(arguments[it]), arguments[it + 1 :]) for it in inside):
                return True
        if name == "ssh" and sum(not word.text.startswith("-") for word in arguments) < 2:
            return True
    return False


def sets_integers(words: list[Word]) -> bool:
    """Tell whether a command declares variables whose assignments are evaluated."""
    names = [word.text for word in words]
    return bool(names) and (
        names[0] == "integer" or (names[0] in _DECLARING and any(re.match(r"[-+][A-Za-z]*[in]", it) for it in names[1:]))
    )


def _all(word: Word, refusal: Refusal) -> Iterator[tuple[int, Refusal]]:
    for hole in (*word.holes, *word.inner):
        yield hole, refusal


def _name(word: Word) -> str:
    return "" if word.holes else word.text.rpartition("/")[2]


def _chooses(word: Word) -> bool:
    """Tell whether a value decides what a word begins with."""
    return word.text.startswith(HOLE) or (bool(word.inner) and word.text.startswith(EXPANSION))


def _commands(words: list[Word]) -> list[tuple[int, int]]:
    """Return where the commands may begin and end that a simple command runs: itself, and what its wrappers run.

    An option that may or may not take an argument, or an expansion that may be empty, gives more than one place. There is no point in
    going on behind `_MOST` of them.
    """
    found: list[tuple[int, int]] = []
    todo, seen = [(0, len(words))], set[tuple[int, int]]()
    while todo and len(found) <= _MOST:
        start, end = todo.pop()
        if (start, end) in seen or start >= end:
            continue
        seen.add((start, end))
        word = words[start]
        if ASSIGNMENT.match(word.text):
            todo.append((start + 1, end))
            continue
        found.append((start, end))
        name = _name(word)
        if word.may_vanish:
            todo.append((start + 1, end))
        elif name in _WRAPPERS:
            todo += [(position, end) for position in _behind(_WRAPPERS[name], words, start + 1, end)]
        elif name in ("find", "gfind", "fd"):
            todo += _found(words, start + 1, end)
    return found


def _behind(options: _Options, words: list[Word], start: int, end: int) -> Iterator[int]:
    """Yield where the command of a wrapper may begin."""
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
        elif not begin and text in _FIND_COMMANDS:
            begin = position + 1
    if begin:
        yield begin, end


def _command(words: list[Word], fed: Sequence[int]) -> Iterator[tuple[int, Refusal]]:
    """Check one command: its name, and the arguments of those that read them again."""
    command, arguments = words[0], words[1:]
    if (command.holes and "/" not in command.text.split(HOLE)[0]) or _chooses(command):
        yield from _all(command, _PROGRAM)
        return
    if command.may_vanish and arguments and _chooses(arguments[0]):
        yield from _all(arguments[0], _AFTER_NOTHING)
    name = _name(command)
    if EXPANSION in name:
        for word, role, flag in _roles(_UNKNOWN, arguments):
            if role == "code":
                yield from _all(word, _unknown_code(flag))
    elif name in _WRAPPERS:
        yield from _wrapped_code(name, _WRAPPERS[name], arguments)
    if name != "watch" or not any(re.fullmatch(r"-[A-Za-z]*x|--exec", word.text) for word in arguments):
        yield from _by_name(name, arguments)
    if name == "xargs" and fed:
        yield from check_words(_appended(arguments, fed))


def _unknown_code(flag: str) -> Refusal:
    return Refusal(
        f"the command is not known here, and `{flag}` could announce a program", "write the command's name, not a variable"
    )


def _wrapped_code(name: str, options: _Options, arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Find the code of `flock file -c CODE`, `script -qc CODE`, `env -S CODE`, and options that a value chooses."""
    for position in range(min(_behind(options, arguments, 0, len(arguments)), default=len(arguments))):
        word = arguments[position]
        if not word.text.startswith("-"):
            continue
        kind = options.argument(word.text)
        if HOLE in word.text[:3] and kind != "value+":
            yield from _all(word, _OPTION)
        if kind in ("code", "code+"):
            refusal = Refusal(f"`{name} {word.text.split(HOLE)[0]}` reads this text again as a program", _EXPORTED)
            for code in arguments[position : position + 2] if kind == "code" else [word]:
                yield from _all(code, refusal)


def _appended(arguments: list[Word], fed: Sequence[int]) -> list[Word]:
    """Return the command of `xargs` with the values it reads where it puts them."""
    start = next(_behind(_WRAPPERS["xargs"], arguments, 0, len(arguments)), len(arguments))
    mark = ""
    for option, following in zip(arguments[:start], [*arguments[1:], Word()], strict=False):
        if match := re.fullmatch(r"(?:-[IJi]|--replace)=?(.*)", option.text, re.DOTALL):
            mark = match[1] or (following.text if option.text in ("-I", "-J") else "{}")
    command = arguments[start:]
    if not mark:
        return [*command, Word(HOLE, list(fed))] if command else []
    return [Word(word.text.replace(mark, HOLE), list(fed)) if mark in word.text else word for word in command]


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
            yield from ((hole, _SET) for hole in word.holes)


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
            yield from ((hole, _TEST) for hole in word.holes)


def _printed(arguments: list[Word]) -> Iterator[tuple[int, Refusal]]:
    arguments = [word for word in arguments if not word.may_vanish]
    first = arguments[1:] if arguments and arguments[0].text == "--" else arguments
    into_variable = any(word.text.startswith("-v") for word in arguments[:1])
    for position, word in enumerate(first):
        if into_variable or (position == 0 and word.text.startswith(HOLE)):
            yield from ((hole, _FORMAT) for hole in word.holes)


def _inline_code(words: list[Word]) -> Iterator[tuple[int, Refusal]]:
    """Find `sh -c CODE` and its like anywhere in a command (`sudo -u x sh -c …`, `find … -exec python -c …`)."""
    for position, word in enumerate(words):
        name = _name(word)
        options = _interpreter(name)
        if options is None:
            continue
        for argument, role, flag in _roles(options, words[position + 1 :]):
            if role == "code":
                advice = (_SHELL_ARGUMENT if options in (_SHELL, _SU) else _ARGUMENT).format(name=name, flag=flag)
                yield from _all(argument, Refusal(f"`{name} {flag}` reads this text again as a program", advice))
            elif role in ("option", "value") or _chooses(argument):
                yield from _all(argument, _OPTION)


def _interpreter(name: str) -> _Options | None:
    return next((options for names, options in _INTERPRETERS if names.fullmatch(name)), None)


def _roles(options: _Options, arguments: list[Word]) -> Iterator[tuple[Word, str, str]]:
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
            if not stays and options is not _SU:
                return


def _reads_script(name: str, arguments: list[Word]) -> bool:
    if name in (".", "source"):
        return bool(arguments) and arguments[0].text in _STDIN
    if name in ("at", "batch"):
        return not any(word.text.startswith(("-f", "-l", "-r", "-c", "-d")) for word in arguments)
    if name == "crontab":
        return [word.text for word in arguments[-1:]] in ([], ["-"])
    if name in _SHELLS_WITHOUT_COMMAND:
        return next(_behind(_WRAPPERS[name], arguments, 0, len(arguments)), None) is None and not any(
            _WRAPPERS[name].argument(word.text) == "code" for word in arguments if word.text.startswith("-")
        )
    if name in ("sudo", "doas"):
        return any(re.fullmatch(r"-[A-Za-z]*[si]|--shell|--login", word.text) for word in arguments)
    if EXPANSION in name:
        return not arguments
    options = _interpreter(name)
    if options is None:
        return False
    roles = [(word, role) for word, role, _ in _roles(options, arguments)]
    if any(role == "code" for _, role in roles):
        return False
    if options is _SHELL and any(role == "option" and re.fullmatch(r"-[A-Za-z]*s[A-Za-z]*", word.text) for word, role in roles):
        return True
    program = next((word.text for word, role in roles if role == "program" and not word.may_vanish), "-")
    return options is _SU or program in _STDIN
