"""Quotes and expansions of the shell: where a word's text begins and ends, and which `${{ }}` in it can be written safely.

The lower half of the script reader: it knows words, `shell_lexer` above it knows commands. Both refuse everything behind a place whose
reading is not certain.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from flowq.compiler.shell.programs import EXPANSION
from flowq.compiler.shell.refusals import Refusal
from flowq.compiler.shell.words import HOLE, Word
from flowq.expr import Hole

MAX_DEPTH: Final = 40  # substitutions inside substitutions

_VARIABLE = 'put the value into a variable first: x=${{ … }}, then use "$x" here'
_ANSI = Refusal("inside $'…' nothing is expanded", "use double quotes")
_LOCALE = Refusal('$"…" is translated before it is used', 'write "…" without the $')
_BACKTICK = Refusal("inside `…` quotes are read twice", "write $(…) instead of `…`")
_ARITHMETIC = Refusal(
    "arithmetic evaluates what it finds in variables, and evaluation can run commands", "compute the value in a job"
)
_PARAMETER = Refusal("inside ${…} the value would be read as part of the expansion", _VARIABLE)
_ESCAPED = Refusal("a backslash before ${{ takes the meaning from the $", "remove the backslash")
_DOLLAR = Refusal("a $ right before ${{ changes what the shell reads", "quote the $ as '$', or remove it")
_KEY = Refusal("a subscript is evaluated, and evaluation can run commands", _VARIABLE)
_UNCLOSED = Refusal("the quote around it is never closed", "close the quote")

QUOTED: Final = Refusal("inside '…' nothing is expanded", "use double quotes")
LITERAL: Final = (QUOTED, _ANSI, _ESCAPED)
"""Where the shell takes everything as it is written: an expansion of its own is none there."""

_SUBSCRIPT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\[[^\]=]*")  # the word so far, when a subscript is open
_ORDINARY = re.compile(r"[A-Za-z0-9_./:,@%+=-]+")  # what is text wherever it stands
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9$#?!@*-]")  # of a variable, behind its $


class Style(Enum):
    """How a value can be written at a place."""

    BARE = "bare"
    DOUBLE = "double"
    SINGLE = "single"
    DROPPED = "dropped"


@dataclass(slots=True)
class Input:
    """Where the standard input of a command comes from, as far as values can reach it. Holes are counted as they are passed."""

    inherited: list[int] = field(default_factory=list)  # holes in the input of the commands around
    redirected: list[int] = field(default_factory=list)  # holes in the command's own redirections
    start: int = 0  # of the pipeline
    piped: int = 0  # the command reads what the holes from `start` up to here made
    joined: bool = False  # right behind a |
    reading: bool = False  # a command so far reads its script from the inherited input
    closed: bool = False  # the compound command that has just ended has such a command in it
    drained: bool = False  # a >(…) of the command is such a command
    around: list["Input"] = field(default_factory=list)  # of the compound commands that are open, innermost last


@dataclass(slots=True)
class Frame:
    """One list of commands: the script, or the inside of `( )`, `$( )`, `<( )`."""

    array: bool = False
    words: list[Word] = field(default_factory=list)
    word: Word | None = None
    redirect: str = ""  # the next word is the target of this redirection
    test: bool = False  # inside [[ ]]
    cases: int = 0
    pattern: bool = False  # before the ) of a case
    documents: list[tuple[str, bool, bool]] = field(default_factory=list)  # here-documents to come: end, tabs removed, quoted
    input: Input = field(default_factory=Input)


class TooDeepError(Exception):
    """Substitutions nested deeper than anybody writes."""


class QuoteReader(ABC):
    """Reads quotes and expansions.

    Attributes:
        styles: for each hole, by its number, how it can be written where it stands.
        refusals: for the holes that cannot stand where they do, why.
        unclosed: where a quote begins that never ends, if the script is certainly read right up to there.
    """

    def __init__(self, text: str, holes: list[Hole]) -> None:
        self.styles: dict[int, Style] = {}
        self.refusals: dict[int, Refusal] = {}
        self.unclosed: int | None = None
        self._text = text
        self._holes = {hole.start: (number, hole) for number, hole in enumerate(holes)}
        self._passed: list[int] = []  # the holes read so far, without those in comments
        self._position = 0
        self._depth = 0
        self._refusing: list[Refusal] = []  # why no hole can stand in what is being read, innermost last
        self._unsure: Refusal | None = None  # why no hole can stand from here on

    @abstractmethod
    def _nested(self, outer: Frame | None, *, array: bool = False) -> Frame:
        """Read commands in parentheses; the position is at the opening one."""

    # -- holes ------------------------------------------------------------------------------------------------------------

    def _at_hole(self, offset: int = 0) -> bool:
        return self._position + offset in self._holes

    def _hole(self, style: Style) -> int:
        """Decide about the hole at the position and step over it."""
        number, hole = self._holes[self._position]
        self._position = hole.end
        if self._refusing:
            self.refusals.setdefault(number, self._refusing[-1])
        elif self._unsure is not None:
            self.refusals.setdefault(number, self._unsure)
        self.styles[number] = style
        self._passed.append(number)
        return number

    def _refuse_next(self, refusal: Refusal) -> None:
        if self._at_hole(1):
            self.refusals.setdefault(self._holes[self._position + 1][0], refusal)

    def _doubt(self, why: str, help: str) -> None:  # noqa: A002 - the rendered word
        if self._unsure is None:
            self._unsure = Refusal(f"how shells read this place is not certain: {why}", help)

    def _never_closed(self, start: int) -> None:
        if self._unsure is None and self.unclosed is None:
            self.unclosed = start

    # -- quotes and expansions ---------------------------------------------------------------------------------------------

    def _word_part(self, frame: Frame, character: str) -> None:
        word = frame.word = frame.word or Word()
        if character == "\\":
            self._backslash(word)
        elif character == "'":
            word.quoted = True
            self._single(word)
        elif character == '"':
            word.quoted = True
            self._double(word)
        elif character == "`":
            self._position += 1
            self._until("`", _BACKTICK, escapes=True)
            word.text += EXPANSION
        elif character == "$":
            self._dollar(frame, word, double=False)
        else:
            self._text_part(word)

    def _text_part(self, word: Word) -> None:
        """Read characters that mean themselves: as many as are surely such, or one."""
        run = _ORDINARY.match(self._text, self._position)
        end = run.end() if run else self._position + 1
        word.text += self._text[self._position : end]
        self._position = end

    def _backslash(self, word: Word) -> None:
        self._refuse_next(_ESCAPED)
        following = self._text[self._position + 1 : self._position + 2]
        self._position += 1 if self._at_hole(1) else 2
        if following != "\n":
            word.quoted = True
            word.text += following if following != "$" else ""

    def _until(self, close: str, refusal: Refusal, *, escapes: bool) -> str:
        """Step behind the next `close`, refusing holes on the way; return what stands before it."""
        start = self._position
        self._refusing.append(refusal)
        while self._position < len(self._text):
            if self._at_hole():
                self._hole(Style.BARE)
            elif escapes and self._text[self._position] == "\\" and not self._at_hole(1):
                self._position += 2
            elif self._text[self._position] == close:
                break
            else:
                self._position += 1
        else:
            self._never_closed(start - 1)
        self._refusing.pop()
        found = self._text[start : self._position]
        self._position += 1
        return found

    def _single(self, word: Word) -> None:
        """Read from `'` to behind the next one. The script that runs leaves the quotes for a value: `'a'"$FLOWQ_V1"'b'` is one word."""
        start = self._position
        self._position += 1
        inside: list[int] = []
        while self._position < len(self._text):
            if self._at_hole():
                number = self._hole(Style.SINGLE)
                inside.append(number)
                word.text += HOLE
                word.holes.append(number)
                continue
            character = self._text[self._position]
            self._position += 1
            if character == "'":
                return
            word.text += character
        self._never_closed(start)
        for number in inside:
            self.refusals.setdefault(number, _UNCLOSED)

    def _double(self, word: Word) -> None:
        """Read from `"` to behind the next one."""
        start = self._position
        self._position += 1
        inside: list[int] = []
        while self._position < len(self._text):
            if self._at_hole():
                number = self._hole(Style.DOUBLE)
                inside.append(number)
                word.text += HOLE
                word.holes.append(number)
                continue
            character = self._text[self._position]
            if character == '"':
                self._position += 1
                return
            if character == "\\":
                self._backslash(word)
            elif character == "`":
                self._position += 1
                self._until("`", _BACKTICK, escapes=True)
            elif character == "$":
                self._dollar(None, word, double=True)
            else:
                self._text_part(word)
        self._never_closed(start)
        for number in inside:
            self.refusals.setdefault(number, _UNCLOSED)

    def _dollar(self, frame: Frame | None, word: Word, *, double: bool) -> None:
        """Read what begins with `$`."""
        rest = self._text[self._position : self._position + 3]
        self._refuse_next(_DOLLAR)
        subscript = _SUBSCRIPT.fullmatch(word.text)
        word.text += EXPANSION
        start, passed = self._position, len(self._passed)
        if self._at_hole(1):
            self._position += 1
        elif rest == "$((":
            self._position += 3
            self._arithmetic()
        elif rest.startswith("$("):
            self._position += 1
            self._nested(frame)
        elif rest.startswith("${"):
            self._position += 2
            self._parameter(double=double)
        elif rest.startswith("$'") and not double:
            self._position += 2
            self._until("'", _ANSI, escapes=True)
        elif rest.startswith('$"') and not double:
            self._position += 1
            self._refusing.append(_LOCALE)
            self._double(Word())
            self._refusing.pop()
        elif rest.startswith("$["):
            self._position += 2
            self._doubt("$[ ] is arithmetic in some shells and text in others", "remove the $[ ]")
        else:
            name = _NAME.match(self._text, self._position + 1)
            self._position = name.end() if name else self._position + 1
        word.spread = word.spread or "@" in self._text[start : self._position]
        word.inner += self._passed[passed:]
        for number in self._passed[passed:] if subscript else ():
            self.refusals.setdefault(number, _KEY)

    def _arithmetic(self) -> None:
        """Read to behind the `))` that closes what was opened by `((`."""
        self._refusing.append(_ARITHMETIC)
        open_ones = 2
        while self._position < len(self._text) and open_ones:
            if self._at_hole():
                self._hole(Style.BARE)
                continue
            character = self._text[self._position]
            if character == "$":
                self._dollar(None, Word(), double=True)
                continue
            if character == '"':
                self._double(Word())
                continue
            if character in "'`#":
                self._doubt("(( is arithmetic or two subshells", "write ( ( with a space for subshells")
            self._position += 1
            open_ones += (character == "(") - (character == ")")
        self._refusing.pop()

    def _parameter(self, *, double: bool) -> None:
        """Read to behind the `}` of `${…}`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeepError
        self._refusing.append(_PARAMETER)
        while self._position < len(self._text):
            if self._at_hole():
                self._hole(Style.BARE)
                continue
            character = self._text[self._position]
            if character == "}":
                self._position += 1
                break
            if character == '"' and double:
                self._doubt('a " inside ${…} inside double quotes', "put the value of ${…} into a variable first")
            if character == "'":
                self._single_in_parameter(double=double)
            else:
                self._parameter_part(character)
        self._refusing.pop()
        self._depth -= 1

    def _single_in_parameter(self, *, double: bool) -> None:
        self._position += 1
        if double:
            self._doubt("a ' inside ${…} inside double quotes", "put the value of ${…} into a variable first")
        else:
            self._until("'", _PARAMETER, escapes=False)

    def _parameter_part(self, character: str) -> None:
        if character == "\\":
            self._position += 1 if self._at_hole(1) else 2
        elif character == '"':
            self._double(Word())
        elif character == "`":
            self._position += 1
            self._until("`", _BACKTICK, escapes=True)
        elif character == "$":
            self._dollar(None, Word(), double=True)
        else:
            self._position += 1
