"""The commands of a script, and where what they write goes: into a file, a pipe, a substitution, or out of the script.

`{ … } > file`, `( … ) | …`, `while …; done > file` and `exec > file` redirect what is written inside or behind them, unless it has a target
of its own. A here-document and a here-string are what a command reads.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from flowq.compiler.shell.lexer import ShellLexer
from flowq.compiler.shell.quoting import LITERAL, QUOTED, Frame
from flowq.compiler.shell.words import ASSIGNMENT, Word
from flowq.expr import Hole

_PREFIXES: Final = frozenset({"exec", "command"})
_INTO_FILE: Final = (">", ">>", ">|", "&>", "&>>")
_NO_ARGUMENTS: Final = re.compile(r"\([ \t]*\)")
_OPENING: Final = frozenset({"{", "if", "while", "until", "for", "select", "case"})


class StreamEnd(Enum):
    """Where something that is written ends, as far as that is sure."""

    OUTPUT = "output"  # of the script itself
    MARKED = "marked"  # a file that is named by one of the holes that are looked for
    ELSEWHERE = "elsewhere"


@dataclass(slots=True)
class Outlet:
    """Where a command or a group of commands sends what it writes. `targets`: the words behind `>`; `into`: what reads the pipe."""

    targets: list[Word]
    piped: bool = False
    into: "Command | None" = None

    def marked(self, holes: frozenset[int]) -> bool:
        """Whether a file is named by one of these holes."""
        return any(number in holes for target in self.targets for number in target.holes)


@dataclass(slots=True)
class Command:
    """A simple command. `outlets`: its own, and those of the groups around it, from the inside out; `depth`: of what captures it."""

    words: list[Word]
    outlets: list[Outlet]
    depth: int
    read: list[int] = field(default_factory=list)  # holes in what stands in its here-documents and here-strings

    def program(self) -> list[Word]:
        """Return its words from the program on."""
        before = (place for place, word in enumerate(self.words) if not (ASSIGNMENT.match(word.text) or word.text in _PREFIXES))
        return self.words[next(before, len(self.words)) :]

    @property
    def name(self) -> str:
        """The program, without its directory; "" where there is none."""
        words = self.program()
        return words[0].text.rpartition("/")[2] if words else ""

    @property
    def passes(self) -> bool:
        """Whether it writes what it reads."""
        arguments = [word.text for word in self.program()[1:]]
        files = [text for text in arguments if not text.startswith("-") or text == "-"]
        return self.name == "tee" or (self.name == "cat" and (not files or "-" in files))

    def end(self, marks: frozenset[int]) -> StreamEnd:
        """Return where ends what it writes. `marks`: the holes that name the file that is looked for."""
        for outlet in self.outlets:
            if outlet.targets:
                return StreamEnd.MARKED if outlet.marked(marks) else StreamEnd.ELSEWHERE
            if outlet.piped:
                return StreamEnd.ELSEWHERE if outlet.into is None or not outlet.into.passes else outlet.into.passed(marks)
        return StreamEnd.ELSEWHERE if self.depth else StreamEnd.OUTPUT

    def passed(self, marks: frozenset[int]) -> StreamEnd:
        """Return where ends what it reads, of a command that passes it on."""
        copied = self.name == "tee" and any(number in marks for word in self.program()[1:] for number in word.holes)
        return StreamEnd.MARKED if copied else self.end(marks)


@dataclass(slots=True)
class _Document:
    read: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _List:
    """What is known of a list of commands while it is read: the script, or the inside of parentheses."""

    targets: list[Word] = field(default_factory=list)  # of the command that is being read
    strings: list[int] = field(default_factory=list)
    documents: list[_Document] = field(default_factory=list)
    unread: list[_Document] = field(default_factory=list)  # of this line: their text is below it
    descriptor: str = ""  # before the > that is being read
    groups: list[tuple[int, bool]] = field(
        default_factory=list
    )  # that are open: the first of their commands; a function's body
    ended: int | None = None  # the first command of a group that has just ended
    function: bool = False  # the body of a function comes next
    pipe: Outlet | None = None  # what comes next reads it


class StreamReader(ShellLexer):
    """Collects the commands of a script.

    Attributes:
        commands: in the order of their ends.
    """

    def __init__(self, text: str, holes: list[Hole]) -> None:
        super().__init__(text, holes)
        self.commands: list[Command] = []
        self._all = holes
        self._lists: list[_List] = []
        self._documents: list[tuple[Command, _Document]] = []
        self._turned: list[tuple[int, Outlet]] = []  # by `exec > file`: from which command on
        self._depth_of_captures = 0
        self._subshell = False
        self._piping = False

    def scan(self) -> None:
        """Read the script."""
        super().scan()
        for command, document in self._documents:
            command.read += document.read
        ends = [first for first, _ in self._turned[1:]] + [len(self.commands)]
        for (first, outlet), end in zip(self._turned, ends, strict=False):
            for command in self.commands[first:end]:
                command.outlets += [] if command.depth else [outlet]

    def literal(self, number: int | None) -> bool:
        """Tell whether a hole stands where the shell expands nothing."""
        return number is not None and self.refusals.get(number) in LITERAL

    def _single(self, word: Word) -> None:
        """What looks like an expansion in '…' is none: it does not count as a part of the word."""
        self._position += 1
        word.text += self._until("'", QUOTED, escapes=False)

    # -- groups -----------------------------------------------------------------------------------------------------------

    def _commands(self, frame: Frame, *, closing: bool) -> None:
        self._lists.append(_List())
        super()._commands(frame, closing=closing)
        self._lists.pop()

    def _nested(self, outer: Frame | None, *, array: bool = False) -> Frame:
        captured = not self._subshell
        self._subshell = False
        self._depth_of_captures += captured
        inner = super()._nested(outer, array=array)
        self._depth_of_captures -= captured
        return inner

    def _parenthesis(self, frame: Frame) -> None:
        own, first = self._lists[-1], len(self.commands)
        named = frame.word is not None or bool(frame.words)
        function = named and _NO_ARGUMENTS.match(self._text, self._position) is not None
        self._subshell = subshell = not (named or own.function)  # what a function writes goes where its callers say
        super()._parenthesis(frame)
        if subshell and not self._subshell:
            own.ended = first
        self._subshell = False
        own.function = function

    def _compound(self, frame: Frame, keyword: str) -> None:
        super()._compound(frame, keyword)
        own = self._lists[-1]
        if keyword in _OPENING:
            own.groups.append((len(self.commands), own.function))
            self._depth_of_captures += own.function
            own.function = False
        elif keyword in ("}", "fi", "done", "esac") and own.groups:
            own.ended, function = own.groups.pop()
            self._depth_of_captures -= function

    # -- commands ---------------------------------------------------------------------------------------------------------

    def _redirection(self, frame: Frame) -> None:
        word = frame.word
        self._lists[-1].descriptor = word.text if word is not None and word.text.isdigit() and not word.quoted else ""
        super()._redirection(frame)

    def _open_document(self, frame: Frame) -> None:
        super()._open_document(frame)
        document = _Document()
        self._lists[-1].documents.append(document)
        self._lists[-1].unread.append(document)

    def _here_document(self, end: str, tabs: bool, quoted: bool) -> None:
        before = len(self._passed)
        super()._here_document(end, tabs, quoted)
        own = self._lists[-1]
        if own.unread:
            own.unread.pop(0).read += (
                [] if quoted else [number for number in self._passed[before:] if not self._escaped(number)]
            )

    def _escaped(self, number: int) -> bool:
        start = place = self._all[number].start
        while place and self._text[place - 1] == "\\":
            place -= 1
        return (start - place) % 2 == 1

    def _end_word(self, frame: Frame) -> None:
        own = self._lists[-1]
        if frame.redirect and frame.word is not None:
            if frame.redirect in _INTO_FILE and own.descriptor in ("", "1"):
                own.targets.append(frame.word)
            elif frame.redirect == "<<<":
                own.strings += frame.word.holes
        super()._end_word(frame)

    def _separate(self, frame: Frame, *, pipe: bool = False, newline: bool = False) -> None:
        self._piping = pipe
        super()._separate(frame, pipe=pipe, newline=newline)
        self._piping = False

    def _end_command(self, frame: Frame) -> None:
        self._end_word(frame)
        if not frame.array and not frame.pattern:
            self._collect(frame.words)
        super()._end_command(frame)

    def _collect(self, words: list[Word]) -> None:
        own, piping = self._lists[-1], self._piping
        outlet = Outlet(own.targets, piping)
        first = own.ended
        if words:
            first = len(self.commands)
            self.commands.append(Command(list(words), [], self._depth_of_captures, own.strings))
            own.function = False
        if first is not None:
            self._leave(outlet, first, own.documents[-1:])  # a later one takes the place of an earlier one
            if [word.text for word in words] == ["exec"] and outlet.targets and not (self._depth_of_captures or own.groups):
                self._turned.append((len(self.commands), outlet))
            if own.pipe is not None:
                self._join(own.pipe, first)
            own.pipe = outlet if piping else None
        own.targets, own.strings, own.documents, own.ended = [], [], [], None

    def _leave(self, outlet: Outlet, first: int, documents: list[_Document]) -> None:
        """Note where a command or a group sends what it writes, and what it reads."""
        for command in self.commands[first:]:
            if command.depth == self._depth_of_captures:
                if outlet.targets or outlet.piped:
                    command.outlets.append(outlet)
                self._documents += [(command, document) for document in documents]

    def _join(self, pipe: Outlet, first: int) -> None:
        """Let what begins with a command read a pipe."""
        if pipe.into is None and first < len(self.commands):
            pipe.into = self.commands[first]
