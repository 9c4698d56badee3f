"""Quotes and expansions of the shell: where a word's text begins and ends, and how a `${{ }}` in it is written.

The lower half of the scanner: it knows words, `scanner` above it knows commands. Both refuse everything behind a place whose reading is not
certain.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Final

from flowq.compiler.shell import refusals
from flowq.compiler.shell.refusals import Refusal, uncertain
from flowq.compiler.shell.rereading import EXPANSION, HOLE, Word
from flowq.expr import Hole

MAX_DEPTH: Final = 40  # substitutions inside substitutions

_ORDINARY: Final = re.compile(r"[A-Za-z0-9_./:,@%+=-]+")  # what is text wherever it stands
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9$#?!@*-]")  # of a variable, behind its $
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_JOINING: Final = ("$", "<", ">", "&", "|", ";", "(")
_SUBSTITUTION: Final = re.compile(r"`|\$[(\[]|\$\{(?![A-Za-z_][A-Za-z0-9_]*\})")
"""What makes a here-document more than text with variables."""


class Style(Enum):
    """How a value is written at a place."""

    BARE = "bare"
    DOUBLE = "double"
    SINGLE = "single"
    DROPPED = "dropped"


@dataclass(slots=True)
class Document:
    """A here-document whose text is to come. `fed`: a shell reads it as its script."""

    end: str
    tabs: bool
    quoted: bool
    fed: bool = False


class TooDeepError(Exception):
    """Substitutions nested deeper than any real script."""


class QuoteScanner(ABC):
    """Reads quotes and expansions.

    Attributes:
        styles: for each value, by its number, how it is written where it stands.
        refusals: for the values that cannot stand where they do, why.
        unclosed: where a quote begins that never ends, if the script is certainly read right up to there.
    """

    def __init__(self, text: str, holes: list[Hole]) -> None:
        self.styles: dict[int, Style] = {}
        self.refusals: dict[int, Refusal] = {}
        self.unclosed: int | None = None
        self._text = text
        self._holes = {hole.start: (number, hole) for number, hole in enumerate(holes)}
        self._passed: list[int] = []  # the values read so far, without those in comments
        self._position = 0
        self._depth = 0
        self._refusing: list[Refusal] = []  # why no value can stand in what is being read, innermost last
        self._unsure: Refusal | None = None  # why no value can stand from here on

    @abstractmethod
    def _nested(self) -> None:
        """Read the commands in parentheses; the position is at the opening one."""

    @abstractmethod
    def _in_backticks(self, text: str) -> None:
        """Take note of commands that are not looked into."""

    def _refuse(self, numbers: list[int], refusal: Refusal) -> None:
        for number in numbers:
            self.refusals.setdefault(number, refusal)

    def _doubt(self, why: str) -> None:
        if self._unsure is None:
            self._unsure = uncertain(why)

    # -- values -----------------------------------------------------------------------------------------------------------

    def _at_hole(self, offset: int = 0) -> bool:
        return self._position + offset in self._holes

    def _hole(self, style: Style) -> int:
        """Decide about the value at the position and step over it."""
        number, hole = self._holes[self._position]
        self._position = hole.end
        if self._unsure is not None:
            self.refusals.setdefault(number, self._unsure)
        elif self._refusing:
            final = next((refusal for refusal in self._refusing if refusal.final), self._refusing[-1])
            self.refusals.setdefault(number, final)
        self.styles[number] = style
        self._passed.append(number)
        return number

    def _refuse_next(self, refusal: Refusal) -> None:
        if self._at_hole(1):
            self.refusals.setdefault(self._holes[self._position + 1][0], refusal)

    def _word_hole(self, word: Word, style: Style) -> int:
        number = self._hole(style)
        self._in_subscript(word, [number])
        word.text += HOLE
        word.holes.append(number)
        return number

    def _in_subscript(self, word: Word, numbers: list[int]) -> None:
        if word.subscript and "]" not in word.text[word.subscript :]:
            self._refuse(numbers, refusals.SUBSCRIPT)

    # -- quotes and expansions ---------------------------------------------------------------------------------------------

    def _word_part(self, word: Word, character: str, *, array: bool) -> None:
        if character == "\\":
            self._backslash(word)
        elif character == "'":
            word.quoted = True
            self._quoted(word, "'", Style.SINGLE)
        elif character == '"':
            word.quoted = True
            self._quoted(word, '"', Style.DOUBLE)
        elif character == "`":
            self._backticks(word)
        elif character == "$":
            self._dollar(word, double=False)
        else:
            if character == "[" and (_IDENTIFIER.fullmatch(word.text) or (array and not word.text)):
                word.subscript = len(word.text) + 1
            word.spelled = word.spelled or character == "{"
            self._plain(word)

    def _plain(self, word: Word) -> None:
        """Read characters that mean themselves: as many as are surely such, or one."""
        run = _ORDINARY.match(self._text, self._position)
        end = run.end() if run else self._position + 1
        word.text += self._text[self._position : end]
        self._position = end

    def _backslash(self, word: Word) -> None:
        self._refuse_next(refusals.ESCAPED)
        following = self._text[self._position + 1 : self._position + 2]
        if following == "\n" and self._text[self._position - 1 : self._position] in _JOINING:
            self._doubt("a line is continued inside an operator")
        self._position += 1 if self._at_hole(1) else 2
        if following != "\n":
            word.quoted = True
            word.text += following if following != "$" else ""

    def _quoted(self, word: Word, quote: str, style: Style) -> None:
        """Read from a quote to behind the next one. In '…' the script that runs leaves the quotes for a value: `'a'"$FLOWQ_V1"'b'`."""
        start = self._position
        self._position += 1
        inside: list[int] = []
        while self._position < len(self._text):
            if self._at_hole():
                inside.append(self._word_hole(word, style))
                continue
            character = self._text[self._position]
            if character == quote:
                self._position += 1
                return
            if quote == "'":
                word.text += character
                self._position += 1
            elif character == "\\":
                self._backslash(word)
            elif character == "`":
                self._backticks(word)
            elif character == "$":
                self._dollar(word, double=True)
            else:
                self._plain(word)
        self._never_closed(start)
        self._refuse(inside, refusals.UNCLOSED)

    def _never_closed(self, start: int) -> None:
        if self._unsure is None and self.unclosed is None:
            self.unclosed = start

    def _backticks(self, word: Word) -> None:
        """Read from a backtick to behind the next one. What stands between is not looked into."""
        self._position += 1
        passed = len(self._passed)
        self._in_backticks(self._until("`", refusals.BACKTICK))
        word.text += EXPANSION
        word.holes += self._passed[passed:]

    def _until(self, close: str, refusal: Refusal) -> str:
        """Step behind the next `close`, refusing values on the way; return what stands before it."""
        start = self._position
        self._refusing.append(refusal)
        while self._position < len(self._text) and (self._at_hole() or self._text[self._position] != close):
            if self._at_hole():
                self._hole(Style.DOUBLE)
            else:
                self._position += 2 if self._text[self._position] == "\\" and not self._at_hole(1) else 1
        if self._position >= len(self._text):
            self._never_closed(start - 1)
        self._refusing.pop()
        found = self._text[start : self._position]
        self._position += 1
        return found

    def _dollar(self, word: Word, *, double: bool) -> None:
        """Read what begins with `$`."""
        self._refuse_next(refusals.DOLLAR)
        start, passed, rest = self._position, len(self._passed), self._text[self._position : self._position + 3]
        text, word.text = word.text, word.text + EXPANSION
        if self._at_hole(1):
            self._position += 1
        elif rest == "$((":
            self._position += 3
            self._arithmetic()
        elif rest.startswith("$("):
            self._position += 1
            self._nested()
        elif rest.startswith("${"):
            self._position += 2
            self._parameter(double=double)
        elif rest.startswith("$'") and not double:
            word.text = text  # what it spells does not matter: no command is written like that
            self._ansi(word)
        elif rest.startswith('$"') and not double:
            self._position += 1
            self._refusing.append(refusals.LOCALE)
            self._quoted(word, '"', Style.DOUBLE)
            self._refusing.pop()
        elif rest.startswith("$["):
            self._position += 2
            self._doubt("$[ ] is arithmetic in some shells and text in others")
        else:
            name = _NAME.match(self._text, self._position + 1)
            self._position = name.end() if name else self._position + 1
        word.several = word.several or "@" in self._text[start : self._position]
        word.holes += [number for number in self._passed[passed:] if number not in word.holes]
        self._in_subscript(word, self._passed[passed:])

    def _ansi(self, word: Word) -> None:
        """Read `$'…'`. A shell that does not know it reads an escaped quote in it as the end."""
        self._position += 2
        text = self._until("'", refusals.ANSI)
        word.quoted = True
        word.text += text
        word.spelled = word.spelled or "\\" in text
        if "\\'" in text or text.endswith("\\"):
            self._doubt("$'…' with an escaped quote ends earlier in some shells")

    def _arithmetic(self) -> None:
        """Read to behind the `))` that closes what was opened by `((`."""
        self._refusing.append(refusals.ARITHMETIC)
        open_ones = 2
        while self._position < len(self._text) and open_ones:
            if self._at_hole():
                self._hole(Style.DOUBLE)
                continue
            character = self._text[self._position]
            if character == "$":
                self._dollar(Word(), double=True)
                continue
            if character == '"':
                self._quoted(Word(), '"', Style.DOUBLE)
                continue
            if character in "'`#\\\n":
                self._doubt("(( is arithmetic or two subshells")
            self._position += 1
            open_ones += (character == "(") - (character == ")")
        self._refusing.pop()

    def _parameter(self, *, double: bool) -> None:
        """Read to behind the `}` of `${…}`."""
        self._enter()
        self._refusing.append(refusals.PARAMETER)
        while self._position < len(self._text):
            if self._at_hole():
                self._hole(Style.DOUBLE)
                continue
            character = self._text[self._position]
            if character == "}":
                self._position += 1
                break
            if character in "\"'" and double:
                self._doubt(f"a {character} inside ${{…}} inside double quotes")
            if character == "'":
                self._position += 1
                if not double:
                    self._until_quote()
            elif character == "\\":
                self._position += 1 if self._at_hole(1) else 2
            elif character == '"':
                self._quoted(Word(), '"', Style.DOUBLE)
            elif character == "`":
                self._backticks(Word())
            elif character == "$":
                self._dollar(Word(), double=True)
            else:
                self._position += 1
        self._refusing.pop()
        self._depth -= 1

    def _until_quote(self) -> None:
        start = self._position
        while self._position < len(self._text) and self._text[self._position] != "'":
            if self._at_hole():
                self._hole(Style.SINGLE)
            else:
                self._position += 1
        if self._position >= len(self._text):
            self._never_closed(start - 1)
        self._position += 1

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeepError

    # -- comments and here-documents ----------------------------------------------------------------------------------------

    def _comment(self) -> None:
        while self._position < len(self._text) and self._text[self._position] != "\n":
            if self._at_hole():
                number, hole = self._holes[self._position]
                self.styles[number] = Style.DROPPED
                self._position = hole.end
            else:
                self._position += 1

    def _document(self) -> Document:
        """Read `<<` and the end of a here-document; its text is below."""
        self._position += 2
        tabs = self._text.startswith("-", self._position)
        self._position += tabs
        while self._text[self._position : self._position + 1] in (" ", "\t"):
            self._position += 1
        start = self._position
        self._refusing.append(refusals.DELIMITER)
        while self._position < len(self._text) and self._text[self._position] not in " \t\n;&|<>()":
            if self._at_hole():
                self._hole(Style.BARE)
            else:
                self._position += 1
        self._refusing.pop()
        raw = self._text[start : self._position]
        end = raw.replace("\\", "").replace("'", "").replace('"', "")
        if not raw or "$" in raw or "`" in raw or raw.endswith("\\") or (raw[:1] in "'\"" and raw[:1] != raw[-1:]):
            self._doubt("the end of a here-document is not a plain word")
        return Document(end, tabs, end != raw)

    def _here_document(self, document: Document, *, nested: bool) -> None:
        """Step over the text of a here-document. Values in it are expanded as in double quotes, unless its end is quoted."""
        pieces: list[str] = []
        inside: list[int] = []
        continued = False
        while self._position < len(self._text):
            begin = self._position
            while self._position < len(self._text) and self._text[self._position] != "\n":
                if self._at_hole():
                    self._refuse_behind(self._text[self._position - 1])
                    pieces.append(self._text[begin : self._position])
                    inside.append(self._hole(Style.DOUBLE))
                    begin = self._position
                else:
                    self._position += 1
            pieces.append(self._text[begin : self._position])
            line = self._text[self._text.rfind("\n", 0, self._position) + 1 : self._position]
            self._position += 1
            line = line.lstrip("\t") if document.tabs else line
            if not continued and line == document.end:
                break
            if nested and line.startswith(document.end):
                self._doubt("some shells end a here-document in a substitution here")
            continued = not document.quoted and (len(line) - len(line.rstrip("\\"))) % 2 == 1
        if document.quoted:
            self._refuse(inside, refusals.LITERAL_TEXT)
        if document.fed:
            self._refuse(inside, refusals.FED)
        if _SUBSTITUTION.search("".join(pieces)):
            self._refuse(inside, refusals.DOCUMENT)

    def _refuse_behind(self, before: str) -> None:
        """Refuse the value at the position if the character before it changes how its `$` is read."""
        if before in "\\$":
            self._refuse([self._holes[self._position][0]], refusals.ESCAPED if before == "\\" else refusals.DOLLAR)
