"""A reader of POSIX shell and bash scripts that knows, at each `${{ }}`, how the shell would read that place.

It does not judge whether a script is right. It follows quotes, substitutions, here-documents and comments far enough to say "a bare word",
"inside double quotes", "in a comment", or why no value can stand there. Where it cannot be sure how a shell reads on, it says so, and
refuses everything behind that place: refusing too much costs a rewrite, allowing too much runs somebody else's commands.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from flowq.compiler.shell_words import ASSIGNMENT, EXPANSION, HOLE, Refusal, Word, check_words, sets_integers
from flowq.expr import Hole

MAX_DEPTH: Final = 40  # substitutions inside substitutions

_SKIPPED: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}", "time", "coproc"}
)
_BLANK: Final = " \t\r"
_SPECIAL: Final = ";&|<>("

_VARIABLE = 'put the value into a variable first: x=${{ … }}, then use "$x" here'
_SINGLE = Refusal("inside '…' nothing is expanded", "use double quotes, or leave the quotes out: a value is always one word")
_ANSI = Refusal("inside $'…' nothing is expanded", "use double quotes")
_LOCALE = Refusal('$"…" is translated before it is used', 'write "…" without the $')
_BACKTICK = Refusal("inside `…` quotes are read twice", "write $(…) instead of `…`")
_ARITHMETIC = Refusal(
    "arithmetic evaluates what it finds in variables, and evaluation can run commands", "compute the value in a job"
)
_PARAMETER = Refusal("inside ${…} the value would be read as part of the expansion", _VARIABLE)
_HEREDOC = Refusal(
    "a here-document is text for another program, where no quoting protects it", "use env: {NAME: ${{ … }}} and $NAME"
)
_ESCAPED = Refusal("a backslash before ${{ takes the meaning from the $", "remove the backslash")
_DOLLAR = Refusal("a $ right before ${{ changes what the shell reads", "quote the $ as '$', or remove it")
_UNCLOSED = Refusal("the quote around it is never closed", "close the quote")
_INTEGER = Refusal("the script declares number variables, and an assignment to one is evaluated", "do not use declare -i")
_BRACKET = Refusal("inside [ ] of a word the shell may evaluate it", "put the word in double quotes")


class Style(Enum):
    """How a value can be written at a place."""

    BARE = "bare"
    DOUBLE = "double"
    DROPPED = "dropped"


@dataclass(slots=True)
class _Frame:
    """One list of commands: the script, or the inside of `( )`, `$( )`, `<( )`."""

    array: bool = False
    words: list[Word] = field(default_factory=list)
    word: Word | None = None
    redirect: bool = False  # the next word is the target of a redirection
    test: bool = False  # inside [[ ]]
    cases: int = 0
    documents: list[tuple[str, bool, bool]] = field(default_factory=list)  # here-documents to come: end, tabs removed, quoted


class _TooDeep(Exception):
    """Substitutions nested deeper than anybody writes."""


class ShellLexer:
    """Reads one script. After `scan`, `styles` and `refusals` say of each hole, by its number, how it can be written or why not."""

    def __init__(self, text: str, holes: list[Hole]) -> None:
        self.styles: dict[int, Style] = {}
        self.refusals: dict[int, Refusal] = {}
        self._text = text
        self._holes = {hole.start: (number, hole) for number, hole in enumerate(holes)}
        self._position = 0
        self._depth = 0
        self._refusing: list[Refusal] = []
        self._unsure: Refusal | None = None
        self._assigned: list[int] = []
        self._integers = False

    def scan(self) -> None:
        """Read the script."""
        try:
            self._commands(_Frame(), closing=False)
        except _TooDeep:
            deep = Refusal("substitutions are nested too deeply here", "use variables for the inner ones")
            for number, _ in self._holes.values():
                if number not in self.styles:
                    self.refusals.setdefault(number, deep)
        if self._integers:
            for number in self._assigned:
                self.refusals.setdefault(number, _INTEGER)

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
        return number

    def _refuse_next(self, refusal: Refusal) -> None:
        if self._at_hole(1):
            self.refusals.setdefault(self._holes[self._position + 1][0], refusal)

    def _doubt(self, why: str, help: str) -> None:  # noqa: A002 - the rendered word
        if self._unsure is None:
            self._unsure = Refusal(f"how shells read this place is not certain: {why}", help)

    # -- commands ---------------------------------------------------------------------------------------------------------

    def _commands(self, frame: _Frame, *, closing: bool) -> None:
        """Read commands up to the end of the text or, with `closing`, the `)` that ends them."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep
        text, size = self._text, len(self._text)
        while self._position < size:
            if self._at_hole():
                self._bare_hole(frame)
                continue
            character = text[self._position]
            if character == ")":
                self._position += 1
                self._end_command(frame)
                if closing and not frame.cases:
                    break
            elif character in _BLANK:
                self._position += 1
                self._end_word(frame)
            elif character == "\n":
                self._newline(frame)
            elif character in _SPECIAL:
                self._special(frame, character)
            elif character == "#" and frame.word is None:
                self._comment()
            else:
                self._word_part(frame, character)
        self._end_command(frame)
        if frame.documents:
            self._doubt("a here-document is not read before the substitution ends", "end the line before the )")
        self._depth -= 1

    def _special(self, frame: _Frame, character: str) -> None:
        if character == "(":
            self._parenthesis(frame)
        elif character in "<>":
            self._redirection(frame)
        else:
            self._operator(frame, character)

    def _bare_hole(self, frame: _Frame) -> None:
        word = frame.word = frame.word or Word()
        number = self._hole(Style.BARE)
        if word.text.count("[") > word.text.count("]") and ASSIGNMENT.match(word.text) is None:
            self.refusals.setdefault(number, _BRACKET)
        word.text += HOLE
        word.holes.append(number)

    def _end_word(self, frame: _Frame) -> None:
        word, frame.word = frame.word, None
        if word is None:
            return
        if frame.redirect:
            frame.redirect = False
            return
        if frame.test:
            frame.test = not (word.text == "]]" and not word.quoted)
        elif not frame.words and not frame.array and not word.quoted and not word.holes:
            if word.text in _SKIPPED:
                return
            if word.text == "esac":
                frame.cases = max(frame.cases - 1, 0)
                return
            frame.cases += word.text == "case"
            frame.test = word.text == "[["
        if word.holes and ASSIGNMENT.match(word.text):
            self._assigned += word.holes
        frame.words.append(word)

    def _end_command(self, frame: _Frame) -> None:
        self._end_word(frame)
        for number, refusal in check_words(frame.words, only_subscripts=frame.array):
            self.refusals.setdefault(number, refusal)
        self._integers = self._integers or sets_integers(frame.words)
        frame.words = []
        frame.redirect = False
        frame.test = False

    def _newline(self, frame: _Frame) -> None:
        self._position += 1
        self._separate(frame)
        documents, frame.documents = frame.documents, []
        for document in documents:
            self._here_document(*document)

    def _operator(self, frame: _Frame, character: str) -> None:
        if character == "&" and self._text.startswith(("&>",), self._position):
            self._end_word(frame)
            self._position += 1
            self._redirection(frame)
            return
        self._position += 1
        self._separate(frame)

    def _separate(self, frame: _Frame) -> None:
        """End a command, but not inside [[ ]] and arrays, where the same characters only part words."""
        self._end_word(frame)  # first: the word may be the ]] itself
        if not frame.test and not frame.array:
            self._end_command(frame)

    def _comment(self) -> None:
        while self._position < len(self._text) and self._text[self._position] != "\n":
            if self._at_hole():
                number, hole = self._holes[self._position]
                self.styles[number] = Style.DROPPED
                self._position = hole.end
            else:
                self._position += 1

    def _parenthesis(self, frame: _Frame) -> None:
        if frame.test:
            self._position += 1
            self._end_word(frame)
            return
        word = frame.word
        first = word is None and not frame.words
        if self._text.startswith("((", self._position) and (first or [item.text for item in frame.words] == ["for"]):
            self._position += 2
            self._arithmetic()
            return
        array = word is not None and word.text.endswith("=")
        self._nested(frame, array=array)
        if array:
            return
        self._end_command(frame)

    def _nested(self, outer: _Frame, *, array: bool = False) -> None:
        """Read the inside of parentheses; the position is at the opening one."""
        start = self._position
        self._position += 1
        self._commands(_Frame(array=array), closing=True)
        if outer.documents and "\n" in self._text[start : self._position]:
            self._doubt(
                "a here-document begins on a line with a longer substitution", "put the substitution into a variable first"
            )

    # -- words ------------------------------------------------------------------------------------------------------------

    def _word_part(self, frame: _Frame, character: str) -> None:
        word = frame.word = frame.word or Word()
        if character == "\\":
            self._backslash(word)
        elif character == "'":
            word.quoted = True
            self._position += 1
            word.text += self._until("'", _SINGLE, escapes=False)
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
            self._position += 1
            word.text += character

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
        self._refusing.pop()
        found = self._text[start : self._position]
        self._position += 1
        return found

    def _double(self, word: Word) -> None:
        """Read from `"` to behind the next one."""
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
                self._position += 1
                word.text += character
        for number in inside:
            self.refusals.setdefault(number, _UNCLOSED)

    def _dollar(self, frame: _Frame | None, word: Word, *, double: bool) -> None:
        """Read what begins with `$`."""
        rest = self._text[self._position : self._position + 3]
        self._refuse_next(_DOLLAR)
        word.text += EXPANSION
        if self._at_hole(1):
            self._position += 1
        elif rest == "$((":
            self._position += 3
            self._arithmetic()
        elif rest.startswith("$("):
            self._position += 1
            self._nested(frame or _Frame())
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
            self._position += 2 if rest[1:2] in ("$", "#", "?", "!", "@", "*") else 1

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
            raise _TooDeep
        self._refusing.append(_PARAMETER)
        while self._position < len(self._text):
            if self._at_hole():
                self._hole(Style.BARE)
                continue
            character = self._text[self._position]
            if character == "}":
                self._position += 1
                break
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

    # -- redirections -----------------------------------------------------------------------------------------------------

    def _redirection(self, frame: _Frame) -> None:
        """Read `<`, `>` and their kin; the word that follows is a target, not a word of the command."""
        if frame.word is not None and frame.word.text.isdigit() and not frame.word.quoted:
            frame.word = None  # 2>file
        text, position = self._text, self._position
        if text.startswith(("<(", ">("), position):
            frame.word = frame.word or Word()
            frame.word.text += EXPANSION
            self._position += 1
            self._nested(frame)
            return
        self._end_word(frame)
        if text.startswith("<<", position) and not text.startswith("<<<", position):
            self._open_document(frame)
            return
        while self._position < len(text) and text[self._position] in "<>|&" and not self._at_hole():
            self._position += 1
        frame.redirect = not frame.test

    def _open_document(self, frame: _Frame) -> None:
        self._position += 2
        tabs = self._text.startswith("-", self._position)
        self._position += tabs
        while self._text[self._position : self._position + 1] in (" ", "\t"):
            self._position += 1
        start = self._position
        while self._position < len(self._text) and self._text[self._position] not in " \t\r\n;&|<>()":
            if self._at_hole():
                self._refusing.append(_HEREDOC)
                self._hole(Style.BARE)
                self._refusing.pop()
            else:
                self._position += 1
        raw = self._text[start : self._position]
        end = raw.replace("\\", "").replace("'", "").replace('"', "")
        if "$" in raw or "`" in raw or (raw[:1] in "'\"" and raw[:1] != raw[-1:]):
            self._doubt("the end of a here-document is not a plain word", "write <<EOF or <<'EOF'")
        frame.documents.append((end, tabs, end != raw))

    def _here_document(self, end: str, tabs: bool, quoted: bool) -> None:
        """Step over the body of a here-document, refusing holes in it."""
        continued = False
        self._refusing.append(_HEREDOC)
        while self._position < len(self._text):
            start = self._position
            while self._position < len(self._text) and self._text[self._position] != "\n":
                if self._at_hole():
                    self._hole(Style.BARE)
                else:
                    self._position += 1
            line = self._text[start : self._position]
            self._position += 1
            if not continued and (line.lstrip("\t") if tabs else line) == end:
                break
            continued = not quoted and (len(line) - len(line.rstrip("\\"))) % 2 == 1
        self._refusing.pop()
