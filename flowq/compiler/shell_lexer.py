"""A reader of POSIX shell and bash scripts that knows, at each `${{ }}`, how the shell would read that place.

It does not judge whether a script is right. It follows quotes, substitutions, here-documents and comments far enough to say "a bare word",
"inside double quotes", "in a comment", or why no value can stand there. Where it cannot be sure how a shell reads on, it says so, and
refuses everything behind that place: refusing too much costs a rewrite, allowing too much runs somebody else's commands.
"""

from typing import Final

from flowq.compiler.shell_quotes import MAX_DEPTH, Frame, QuoteReader, Style, TooDeepError
from flowq.compiler.shell_words import ASSIGNMENT, EXPANSION, HOLE, Refusal, Word, check_words, sets_integers
from flowq.expr import Hole

_SKIPPED: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}", "time", "coproc"}
)
_BLANK: Final = " \t"  # to a shell a carriage return is a letter
_SPECIAL: Final = ";&|<>("

_HEREDOC = Refusal(
    "a here-document is text for another program, where no quoting protects it", "use env: {NAME: ${{ … }}} and $NAME"
)
_INTEGER = Refusal("the script declares number variables, and an assignment to one is evaluated", "do not use declare -i")
_BRACKET = Refusal("inside [ ] of a word the shell may evaluate it", "put the word in double quotes")


class ShellLexer(QuoteReader):
    """Reads one script. After `scan`, `styles` and `refusals` say of each hole, by its number, how it can be written or why not."""

    def __init__(self, text: str, holes: list[Hole]) -> None:
        super().__init__(text, holes)
        self._assigned: list[int] = []  # holes in assignments
        self._integers = False

    def scan(self) -> None:
        """Read the script."""
        try:
            self._commands(Frame(), closing=False)
        except TooDeepError:
            deep = Refusal("substitutions are nested too deeply here", "use variables for the inner ones")
            for number, _ in self._holes.values():
                if number not in self.styles:
                    self.refusals.setdefault(number, deep)
        if self._integers:
            for number in self._assigned:
                self.refusals.setdefault(number, _INTEGER)

    # -- commands ---------------------------------------------------------------------------------------------------------

    def _commands(self, frame: Frame, *, closing: bool) -> None:
        """Read commands up to the end of the text or, with `closing`, the `)` that ends them."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeepError
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

    def _special(self, frame: Frame, character: str) -> None:
        if character == "(":
            self._parenthesis(frame)
        elif character in "<>":
            self._redirection(frame)
        else:
            self._operator(frame, character)

    def _bare_hole(self, frame: Frame) -> None:
        word = frame.word = frame.word or Word()
        number = self._hole(Style.BARE)
        if word.text.count("[") > word.text.count("]") and ASSIGNMENT.match(word.text) is None:
            self.refusals.setdefault(number, _BRACKET)
        word.text += HOLE
        word.holes.append(number)

    def _end_word(self, frame: Frame) -> None:
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

    def _end_command(self, frame: Frame) -> None:
        self._end_word(frame)
        for number, refusal in check_words(frame.words, only_subscripts=frame.array):
            self.refusals.setdefault(number, refusal)
        self._integers = self._integers or sets_integers(frame.words)
        frame.words = []
        frame.redirect = False
        frame.test = False

    def _newline(self, frame: Frame) -> None:
        self._position += 1
        self._separate(frame)
        documents, frame.documents = frame.documents, []
        for document in documents:
            self._here_document(*document)

    def _operator(self, frame: Frame, character: str) -> None:
        if character == "&" and self._text.startswith(("&>",), self._position):
            self._end_word(frame)
            self._position += 1
            self._redirection(frame)
            return
        self._position += 1
        self._separate(frame)

    def _separate(self, frame: Frame) -> None:
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

    def _parenthesis(self, frame: Frame) -> None:
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

    def _nested(self, outer: Frame, *, array: bool = False) -> None:
        """Read the inside of parentheses; the position is at the opening one."""
        start = self._position
        self._position += 1
        self._commands(Frame(array=array), closing=True)
        if outer.documents and "\n" in self._text[start : self._position]:
            self._doubt(
                "a here-document begins on a line with a longer substitution", "put the substitution into a variable first"
            )

    # -- redirections -----------------------------------------------------------------------------------------------------

    def _redirection(self, frame: Frame) -> None:
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

    def _open_document(self, frame: Frame) -> None:
        self._position += 2
        tabs = self._text.startswith("-", self._position)
        self._position += tabs
        while self._text[self._position : self._position + 1] in (" ", "\t"):
            self._position += 1
        start = self._position
        while self._position < len(self._text) and self._text[self._position] not in " \t\n;&|<>()":
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
