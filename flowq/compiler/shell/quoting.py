"""Quotes and expansions of the shell: where a word's text begins and ends, and how a `${{ }}` in it is written.

The lower half of the scanner: it knows words, `scanner` above it knows commands. Both refuse everything behind a place whose reading is not
certain. They read a copy of the script in which each value is one `HOLE`, filled up to its length, so that no text of it is looked at.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Final

from flowq.compiler.shell import refusals
from flowq.compiler.shell.refusals import Refusal, uncertain
from flowq.expr import Hole

HOLE: Final = "\0"  # stands for a value
FILL: Final = "\1"  # behind it, up to the length of `${{ … }}`
EXPANSION: Final = "\2"  # stands for what the shell itself expands, in the text of a word
MAX_DEPTH: Final = 60  # substitutions inside substitutions

_MARKS: Final = re.compile("[\0\1\2]")
_VALUE: Final = re.compile(f"{HOLE}{FILL}*")
_LONG: Final = 65  # characters before a value that are looked at; odd, so more backslashes count as an odd number of them
_ORDINARY: Final = re.compile(r"[A-Za-z0-9_./:,@%+=-]+")  # what is text wherever it stands
_UNTIL: Final = {close: re.compile(rf"(?:[^\\{close}]|\\.)*", re.DOTALL) for close in "'`"}
_NAME: Final = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9$#?!@*-])?")
_SHELL: Final = re.compile(r"\$\{?(?:SHELL|BASH)\b")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUBSCRIPT: Final = re.compile(r"\w*\[[^][]*\]")
_JOINING: Final = frozenset("$<>&|;(")
_END: Final = re.compile(r"""<<(-?)[ \t]*(?:'([\w.!+-]+)'|"([\w.!+-]+)"|(\\?)([\w.!+-]+))(?=[\s;&|<>()]|\Z)""", re.ASCII)
_SUBSTITUTION: Final = re.compile(r"`|\$\\\n|\$[(\[]|\$\{(?![A-Za-z_][A-Za-z0-9_]*\})")
"""The characters that make a here-document more than text with variables."""


class Style(Enum):
    """The form of a value at a place."""

    BARE = "bare"
    DOUBLE = "double"
    SINGLE = "single"
    DROPPED = "dropped"


@dataclass(slots=True)
class Word:
    """A word of a command. `text` has its quotes removed; `holes` are the numbers of the values in it, also in its substitutions."""

    text: str = ""
    holes: list[int] = field(default_factory=list)
    quoted: bool = False
    several: bool = False  # has "$@" or its like in it
    spelled: bool = False  # has {a,b} or $'\\x61' in it: what that makes is not looked into
    subscript: bool = False  # begins with an unquoted `name[`

    @property
    def loose(self) -> bool:
        """Whether it can expand to no word at all, or to several."""
        return self.spelled or (bool(self.text) and not self.text.strip(EXPANSION) and (self.several or not self.quoted))

    @property
    def chosen(self) -> bool:
        """Whether a value decides what it begins with."""
        return bool(self.holes) and self.text.startswith((HOLE, EXPANSION))

    @property
    def open(self) -> bool:
        """Whether its subscript goes on, or could."""
        return self.subscript and _SUBSCRIPT.match(self.text) is None

    def add(self, text: str, *, quoted: bool) -> None:
        """Append text. Brackets in quotes end no subscript."""
        self.text += re.sub(r"[][]", "_", text) if quoted and self.subscript else text
        self.quoted = self.quoted or quoted


class TooDeepError(Exception):
    """Substitutions nested deeper than any real script."""


class QuoteScanner(ABC):
    """A reader of quotes and expansions.

    Attributes:
        styles: for each value, by its number, how it is written where it stands.
        refusals: for the values that cannot stand where they do, why.
        unclosed: where a quote begins that never ends, if the script is certainly read right up to there.
    """

    def __init__(self, text: str, holes: list[Hole]) -> None:
        self.styles: dict[int, Style] = {}
        self.refusals: dict[int, Refusal] = {}
        self.unclosed: int | None = None
        self._numbers = {hole.start: number for number, hole in enumerate(holes)}
        self._position = 0
        self._depth = 0
        self._passed: list[int] = []  # the values read so far, without those in comments
        self._ended = 0  # how many of them are in statements that have ended
        self._refusing: list[Refusal] = []  # why no value can stand in what is being read, innermost last
        self._unsure: Refusal | None = None  # why no value can stand from here on
        if _MARKS.search(text):
            text = _MARKS.sub("?", text)
            self._doubt("a control character, which shells may leave out")
        starts, ends = [hole.start for hole in holes], [0, *(hole.end for hole in holes)]
        filled = [HOLE + FILL * (hole.end - hole.start - 1) for hole in holes]
        between = [text[end:start] for end, start in zip(ends, [*starts, len(text)], strict=True)]
        self._text = "".join(chain.from_iterable(zip(between, [*filled, ""], strict=True)))

    @abstractmethod
    def _nested(self) -> list[int]:
        """Read the commands in parentheses, return the values in them; the position is at the opening one."""

    @abstractmethod
    def _find_shells(self, text: str) -> None:
        """Look for shells in commands that are not read."""

    # -- values -----------------------------------------------------------------------------------------------------------

    def _refuse(self, numbers: Iterable[int], refusal: Refusal) -> None:
        for number in numbers:
            self.refusals.setdefault(number, refusal)

    def _doubt(self, why: str) -> None:
        """Refuse the values from here on, and those of the current statement: their use follows behind this place."""
        if self._unsure is None:
            self._unsure = uncertain(why)
            self._refuse(self._passed[self._ended :], self._unsure)

    def _value(self, style: Style) -> int:
        """Decide about the value at the position and step over it."""
        start = self._position
        number = self._numbers[start]
        if self._unsure is not None:
            self._refuse([number], self._unsure)
        before = self._text[max(start - _LONG, 0) : start]
        dollar = before.endswith("$")
        before = before.removesuffix("$")
        escaped = (len(before) - len(before.rstrip("\\"))) % 2 == 1
        if style is not Style.SINGLE and dollar != escaped:
            self._refuse([number], refusals.DOLLAR if dollar else refusals.ESCAPED)
        if self._refusing:
            final = next((refusal for refusal in self._refusing if refusal.final), self._refusing[-1])
            self._refuse([number], final)
        self.styles[number] = style
        self._passed.append(number)
        value = _VALUE.match(self._text, start)
        self._position = value.end() if value else start
        return number

    def _skip(self, end: int, style: Style) -> list[int]:
        """Step to `end` and decide about the values on the way; return them."""
        found = []
        for match in _VALUE.finditer(self._text, self._position, end):
            self._position = match.start()
            found.append(self._value(style))
        self._position = end
        return found

    def _take(self, word: Word, numbers: list[int]) -> None:
        """Add values to a word."""
        word.holes += numbers
        if word.open:
            self._refuse(numbers, refusals.SUBSCRIPT)

    def _never_closed(self, start: int, inside: list[int]) -> None:
        if self._unsure is None and self.unclosed is None:
            self.unclosed = start
        self._refuse(inside, refusals.UNCLOSED)

    # -- words ------------------------------------------------------------------------------------------------------------

    def _part(self, word: Word, style: Style) -> None:
        """Read the next part of a word; `style`: whether it is inside double quotes."""
        character = self._text[self._position]
        if character == HOLE:
            self._take(word, [self._value(style)])
            word.text += HOLE
        elif character == "\\":
            self._backslash(word)
        elif character == "`":
            self._position += 1
            text, inside = self._until("`", refusals.BACKTICK)
            self._find_shells(text)
            word.text += EXPANSION
            self._take(word, inside)
        elif character == "$":
            self._dollar(word, style)
        elif character == "'" and style is Style.BARE:
            self._single(word)
        elif character == '"' and style is Style.BARE:
            self._double(word)
        else:
            run = _ORDINARY.match(self._text, self._position)
            end = run.end() if run else self._position + 1
            if style is Style.BARE and run is None:
                word.subscript = word.subscript or (character == "[" and bool(_IDENTIFIER.fullmatch(word.text)))
                word.spelled = word.spelled or character == "{"
            word.add(self._text[self._position : end], quoted=style is not Style.BARE)
            self._position = end

    def _backslash(self, word: Word) -> None:
        following = self._text[self._position + 1 : self._position + 2]
        if following == "\n" and self._text[self._position - 1 : self._position] in _JOINING:
            self._doubt("a line is continued inside an operator")
        if following != "\n":
            word.add("" if following in (HOLE, "$") else following, quoted=True)
        self._position += 1 if following == HOLE else 2

    def _single(self, word: Word) -> None:
        """Read `'…'`. The script that runs leaves the quotes for a value: `'a'"$FLOWQ_V1"'b'`."""
        start = self._position
        end = self._text.find("'", start + 1)
        stop = end if end >= 0 else len(self._text)
        word.add(self._text[start + 1 : stop].replace(FILL, ""), quoted=True)
        self._position += 1
        inside = self._skip(stop, Style.SINGLE)
        self._take(word, inside)
        if end < 0:
            self._never_closed(start, inside)
        self._position += 1

    def _double(self, word: Word) -> None:
        """Read `"…"`."""
        start, passed = self._position, len(self._passed)
        word.quoted = True
        self._position += 1
        while not self._text.startswith('"', self._position):
            if self._position >= len(self._text):
                self._never_closed(start, self._passed[passed:])
                return
            self._part(word, Style.DOUBLE)
        self._position += 1

    def _until(self, close: str, refusal: Refusal) -> tuple[str, list[int]]:
        """Step behind the next `close`, refusing values on the way; return the text before it, and the values."""
        start = self._position
        match = _UNTIL[close].match(self._text, start)
        end = match.end() if match else start
        self._refusing.append(refusal)
        inside = self._skip(end, Style.DOUBLE)
        self._refusing.pop()
        if not self._text.startswith(close, end):
            self._never_closed(start - 1, inside)
        self._position = end + 1
        return self._text[start:end], inside

    # -- expansions -------------------------------------------------------------------------------------------------------

    def _dollar(self, word: Word, style: Style) -> None:
        """Read an expansion that begins with `$`."""
        self._enter()
        start, passed, rest = self._position, len(self._passed), self._text[self._position : self._position + 3]
        if rest[:2] == "$'" and style is Style.BARE:
            self._ansi(word)
        elif rest[:2] == '$"' and style is Style.BARE:
            self._doubt('$"…" is translated by some shells')
            self._position += 1
            self._double(word)
        else:
            word.text += f"{EXPANSION}/sh" if _SHELL.match(self._text, start) else EXPANSION
            if rest == "$((":
                self._arithmetic()
            elif rest.startswith("$("):
                self._position += 1
                self._nested()
            elif rest.startswith("${"):
                self._parameter(style)
            else:
                if rest.startswith("$["):
                    self._doubt("$[ ] is arithmetic in some shells and text in others")
                name = _NAME.match(self._text, start)
                self._position = name.end() if name else start + 1
            word.several = word.several or "@" in self._text[start : self._position]
        self._take(word, [number for number in self._passed[passed:] if number not in word.holes])
        self._depth -= 1

    def _ansi(self, word: Word) -> None:
        """Read `$'…'`. A shell that does not know it reads an escaped quote in it as the end."""
        self._position += 2
        text, _ = self._until("'", refusals.ANSI)
        word.add(text, quoted=True)
        word.spelled = word.spelled or "\\" in text
        if "\\'" in text or text.endswith("\\"):
            self._doubt("$'…' with an escaped quote ends earlier in some shells")

    def _arithmetic(self) -> None:
        """Read `((` to behind the `))` that closes it."""
        self._refusing.append(refusals.ARITHMETIC)
        self._position = self._text.index("((", self._position) + 2
        opened = 2
        while self._position < len(self._text) and opened:
            character = self._text[self._position]
            if character == '"':
                self._double(Word())
            elif character in "$\0":
                self._part(Word(), Style.DOUBLE)
            else:
                self._position += 1
                opened += (character == "(") - (character == ")")
                if character in "'`#\\\n" or (
                    character == ")" and opened == 1 and not self._text.startswith(")", self._position)
                ):
                    self._doubt("(( is arithmetic or two subshells")
        self._refusing.pop()

    def _parameter(self, style: Style) -> None:
        """Read `${…}`."""
        self._refusing.append(refusals.PARAMETER)
        self._position += 2
        if self._text.startswith((" ", "\t", "\n", "|"), self._position):
            self._doubt("${ } has commands in it for some shells")
        while self._position < len(self._text) and self._text[self._position] != "}":
            if style is Style.DOUBLE and self._text[self._position] in "\"'":
                self._doubt("a quote inside ${…} inside double quotes")
            self._part(Word(), style)
        self._position += 1
        self._refusing.pop()

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeepError

    # -- comments and here-documents ----------------------------------------------------------------------------------------

    def _comment(self) -> None:
        line = self._line(self._position)
        for match in _VALUE.finditer(self._text, self._position, self._position + len(line)):
            self.styles[self._numbers[match.start()]] = Style.DROPPED
        self._position += len(line)

    def _document(self) -> list[re.Match[str]]:
        """Read `<<` and the end of a here-document; its text is below."""
        match = _END.match(self._text, self._position)
        self._position = match.end() if match else self._position + 2
        if match is None:
            self._doubt("the end of a here-document is not a plain word")
        return [match] if match else []

    def _here_document(self, opening: re.Match[str], *, nested: bool) -> None:
        """Step over the text of a here-document. Values in it are expanded as in double quotes, unless its end is quoted."""
        tabs, *ends = opening.groups()
        close, quoted = ends[-1] or ends[0] or ends[1], any(ends[:-1])
        start = end = self._position
        continued = False
        while end < len(self._text):
            line = self._line(end)
            end += len(line) + 1
            line = line.lstrip("\t") if tabs else line
            if not continued and line == close:
                break
            if nested and line.startswith(close):
                self._doubt("some shells end a here-document in a substitution here")
            continued = not quoted and (len(line) - len(line.rstrip("\\"))) % 2 == 1
        inside = self._skip(min(end, len(self._text)), Style.DOUBLE)
        if quoted:
            self._refuse(inside, refusals.LITERAL_TEXT)
        elif _SUBSTITUTION.search(self._text, start, end):
            self._refuse(inside, refusals.DOCUMENT)

    def _line(self, start: int) -> str:
        end = self._text.find("\n", start)
        return self._text[start : end if end >= 0 else len(self._text)]
