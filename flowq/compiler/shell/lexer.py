"""A reader of POSIX shell and bash scripts that knows, at each `${{ }}`, how the shell would read that place.

It does not judge whether a script is right. It follows quotes, substitutions, here-documents and comments far enough to say "a bare word",
"inside double quotes", "in a comment", or why no value can stand there. Where it cannot be sure how a shell reads on, it says so, and
refuses everything behind that place: refusing too much costs a rewrite, allowing too much runs foreign commands.
"""

from typing import Final

from flowq.compiler.shell.commands import program, reads_script
from flowq.compiler.shell.programs import EXPANSION, LANGUAGES
from flowq.compiler.shell.quoting import MAX_DEPTH, Frame, Input, QuoteReader, Style, TooDeepError
from flowq.compiler.shell.refusals import FED, LANGUAGE, Refusal
from flowq.compiler.shell.rules import check_subscripts, check_words, sets_integers
from flowq.compiler.shell.words import ASSIGNMENT, HOLE, Word
from flowq.expr import Hole

_SKIPPED: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}", "time", "coproc"}
)
_OPENING: Final = frozenset({"{", "if", "while", "until", "for", "select", "case"})
_CLOSING: Final = frozenset({"}", "fi", "done", "esac"})
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
        self._frames: list[Frame] = []  # being read, innermost last

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
        self._frames.append(frame)
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
                self._begin_pipeline(frame)
                frame.pattern = False
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
        self._frames.pop()
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
        frame.input.joined = False
        if frame.redirect:
            if frame.redirect.startswith("<") and (frame.redirect == "<<<" or word.text.startswith((HOLE, EXPANSION))):
                frame.input.redirected += word.holes + word.inner
            frame.redirect = ""
            return
        if frame.test:
            frame.test = not (word.text == "]]" and not word.quoted)
        elif not frame.words and not frame.array and not word.quoted and not word.holes:
            self._compound(frame, word.text)
            if word.text in _SKIPPED:
                return
            if word.text == "esac":
                frame.cases = max(frame.cases - 1, 0)
                return
            frame.cases += word.text == "case"
            frame.test = word.text == "[["
        if ASSIGNMENT.match(word.text):
            self._assigned += word.holes + word.inner
        frame.words.append(word)
        if word.text == "in" and len(frame.words) == 3 and frame.words[0].text == "case":
            frame.pattern = True

    def _compound(self, frame: Frame, keyword: str) -> None:
        """Keep track of `{ }`, `if`, `while` …: one standard input for all their commands, and one pipeline around them."""
        source = frame.input
        if keyword in _OPENING:
            frame.input = Input(self._incoming(source), start=len(self._passed), around=source.around)
            frame.input.around.append(source)
        elif keyword in _CLOSING and source.around:
            frame.input = source.around.pop()
            frame.input.closed = source.reading
            frame.input.reading = frame.input.reading or source.reading
            frame.pattern = frame.pattern and keyword != "esac"

    def _incoming(self, source: Input) -> list[int]:
        """Return the values that come to the standard input of a command."""
        return source.inherited + source.redirected + self._passed[source.start : source.piped]

    def _end_command(self, frame: Frame) -> None:
        self._end_word(frame)
        words, source = frame.words, frame.input
        if frame.array:
            refused = list(check_subscripts(words))
        else:
            incoming = self._incoming(source)
            refused = list(check_words(words, incoming))
            reading = not frame.pattern and reads_script(words)
            source.reading = source.reading or reading
            refused += self._programs(words)
            if reading or source.closed:
                refused += [(number, FED) for number in incoming]
            if source.drained:
                refused += [(number, FED) for number in self._passed[source.start :]]
            if [word.text for word in words] == ["exec"]:
                source.inherited = incoming
        for number, refusal in refused:
            self.refusals.setdefault(number, refusal)
        self._integers = self._integers or sets_integers(words)
        frame.words = []
        frame.redirect = ""
        frame.test = False
        source.redirected, source.drained = [], False

    def _programs(self, words: list[Word]) -> list[tuple[int, Refusal]]:
        """Return the values in '…' of a command whose programs are written there: a value would be code of awk, sed or jq."""
        holes = [hole for word in words for hole in word.holes if self.styles[hole] is Style.SINGLE]
        return [(hole, LANGUAGE) for hole in holes] if holes and any(program(word) in LANGUAGES for word in words) else []

    def _begin_pipeline(self, frame: Frame) -> None:
        frame.input.start = frame.input.piped = len(self._passed)
        frame.input.closed = False

    def _newline(self, frame: Frame) -> None:
        self._position += 1
        self._separate(frame, newline=True)
        documents, frame.documents = frame.documents, []
        for document in documents:
            self._here_document(*document)

    def _operator(self, frame: Frame, character: str) -> None:
        if character == "&" and self._text.startswith(("&>",), self._position):
            self._end_word(frame)
            self._position += 1
            self._redirection(frame)
            return
        pair = self._text[self._position : self._position + 2]
        self._position += 2 if pair in (";;", ";&", "||", "|&", "&&") else 1
        self._separate(frame, pipe=character == "|" and pair != "||")
        frame.pattern = frame.pattern or (frame.cases > 0 and pair in (";;", ";&"))

    def _separate(self, frame: Frame, *, pipe: bool = False, newline: bool = False) -> None:
        """End a command, but not inside [[ ]] and arrays, where the same characters only part words."""
        self._end_word(frame)  # first: the word may be the ]] itself
        if frame.test or frame.array:
            return
        self._end_command(frame)
        if pipe and not frame.pattern:
            frame.input.piped, frame.input.joined, frame.input.closed = len(self._passed), True, False
        elif not (newline and frame.input.joined):
            self._begin_pipeline(frame)

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
        inner = self._nested(frame, array=array)
        if array:
            return
        self._end_command(frame)
        frame.input.closed = inner.input.reading

    def _nested(self, outer: Frame | None, *, array: bool = False) -> Frame:
        """Read the inside of parentheses; the position is at the opening one."""
        start = self._position
        self._position += 1
        around = self._frames[-1].input
        inner = Frame(array=array, input=Input(self._incoming(around), start=len(self._passed), piped=len(self._passed)))
        self._commands(inner, closing=True)
        around.reading = around.reading or inner.input.reading
        around.joined = False
        if outer is not None and outer.documents and "\n" in self._text[start : self._position]:
            self._doubt(
                "a here-document begins on a line with a longer substitution", "put the substitution into a variable first"
            )
        return inner

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
            passed = len(self._passed)
            inner = self._nested(frame)
            frame.word.inner += self._passed[passed:]
            frame.input.drained = frame.input.drained or (text[position] == ">" and inner.input.reading)
            return
        self._end_word(frame)
        if text.startswith("<<", position) and not text.startswith("<<<", position):
            self._open_document(frame)
            return
        while self._position < len(text) and text[self._position] in "<>|&" and not self._at_hole():
            self._position += 1
        frame.redirect = "" if frame.test else text[position : self._position]

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
