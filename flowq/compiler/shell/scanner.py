"""A scanner of POSIX shell and bash scripts that knows, at each `${{ }}`, how the shell would read that place.

It does not judge whether a script is right. It follows quotes, here-documents, comments, pipes and compound commands far enough to say "a
bare word", "inside double quotes", "in a comment", or why no value can stand there.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from flowq.compiler.shell import refusals
from flowq.compiler.shell.quoting import Document, QuoteScanner, Style, TooDeepError
from flowq.compiler.shell.rereading import ASSIGNMENT, EXPANSION, Word, check_words, declares_integers, reads_script
from flowq.expr import Hole

_SKIPPED: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "{", "}", "!", "time", "-p", "--"}
)
_OPENING: Final = frozenset({"{", "if", "while", "until", "for", "select", "case"})
_CLOSING: Final = frozenset({"}", "fi", "done", "esac"})
_DESCRIPTOR: Final = re.compile(r"[0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_CONTINUED: Final = re.compile(r"[ \t\n]*(?:&&|\|\|)")
_BLANK: Final = " \t"  # to a shell a carriage return is a letter


@dataclass(slots=True)
class Pipeline:
    """What is known of a pipeline up to its present command. Values are counted as they are passed."""

    start: int  # values before it
    piped: int | None = None  # values before the last | in it; None: there is no |
    given: list[int] = field(default_factory=list)  # values in the `<` redirections of the present command
    documents: list[Document] = field(default_factory=list)
    reads: bool = False  # a part of the present command is a shell that reads the command's standard input
    drained: bool = False  # such a shell reads what the command prints: >( )


@dataclass(slots=True)
class Frame:
    """One list of commands: the script, or the inside of `( )`, `$( )`, `<( )`."""

    pipeline: Pipeline
    array: bool = False
    words: list[Word] = field(default_factory=list)
    word: Word | None = None
    redirect: str = ""  # the next word is the target of this redirection
    test: bool = False  # inside [[ ]]
    negated: bool = False  # behind a !
    starts: list[int] = field(default_factory=list)  # words of [[ ]] at which a shell without it would start commands
    cases: int = 0
    pattern: bool = False  # before the ) of a case
    joined: bool = False  # right behind a |
    documents: list[Document] = field(default_factory=list)
    inherits: bool = False  # a shell reads its script from the standard input of this list
    function: bool = False  # the body of a function comes next
    groups: list[tuple[Pipeline, bool, bool]] = field(
        default_factory=list
    )  # around the open compound commands; the body of a function


class Scanner(QuoteScanner):
    """Reads one script."""

    def __init__(self, text: str, holes: list[Hole], *, bash: bool = False) -> None:
        """Prepare to read `text`; `bash`: the shell that runs it is surely bash."""
        super().__init__(text, holes)
        self._bash = bash
        self._assigned: list[int] = []  # values in assignments
        self._frames: list[Frame] = []  # being read, innermost last
        self._integers = self._drained = False

    def scan(self) -> None:
        """Read the script."""
        if "\0" in self._text:
            self._doubt("shells leave out the character NUL")
        try:
            self._commands(Frame(Pipeline(0)), closing=False)
        except TooDeepError:
            self._refuse([number for number, _ in self._holes.values() if number not in self.styles], refusals.TOO_DEEP)
        if self._integers:
            self._refuse(self._assigned, refusals.INTEGER)
        if self._drained:
            self._refuse([number for number, _ in self._holes.values()], refusals.FED)

    # -- lists of commands -------------------------------------------------------------------------------------------------

    def _commands(self, frame: Frame, *, closing: bool) -> None:
        """Read commands up to the end of the text or, with `closing`, the `)` that ends them."""
        self._enter()
        self._frames.append(frame)
        text, size = self._text, len(self._text)
        while self._position < size:
            character = text[self._position]
            if self._at_hole():
                frame.word = frame.word or Word()
                self._word_hole(frame.word, Style.BARE)
            elif character == ")":
                self._position += 1
                self._end_word(frame)
                if closing and not frame.cases:
                    break
                self._end_command(frame)
                self._begin_pipeline(frame)
                frame.pattern = False
            elif character in _BLANK:
                self._position += 1
                self._end_word(frame)
            elif character == "\n":
                self._newline(frame)
            elif character == "(":
                self._parenthesis(frame)
            elif character in "<>":
                self._redirection(frame)
            elif character in ";&|":
                self._operator(frame, character)
            elif character == "#" and frame.word is None:
                self._comment()
            else:
                frame.word = frame.word or Word()
                self._word_part(frame.word, character, array=frame.array)
        self._end_word(frame)
        self._end_command(frame)
        if frame.documents:
            self._doubt("a here-document is not read before the substitution ends")
        self._frames.pop()
        self._depth -= 1

    def _nested(self, *, array: bool = False, output: bool = False) -> None:
        """Read the inside of parentheses; the position is at the opening one. `output`: it reads what the command prints."""
        start = self._position
        self._position += 1
        outer = self._frames[-1]
        inner = Frame(Pipeline(len(self._passed)), array=array)
        self._commands(inner, closing=True)
        if inner.inherits and output:
            outer.pipeline.drained = True
        elif inner.inherits:
            outer.pipeline.reads = True
        outer.joined = False
        if outer.documents and "\n" in self._text[start : self._position]:
            self._doubt("a here-document begins on a line with a longer substitution")

    def _in_backticks(self, text: str) -> None:
        if any(reads_script([Word(word)]) for word in re.split(r"[\s;&|()<>]+", text)):
            self._frames[-1].pipeline.reads = True

    def _newline(self, frame: Frame) -> None:
        self._position += 1
        self._separate(frame, "\n")
        documents, frame.documents = frame.documents, []
        for document in documents:
            self._here_document(document, nested=len(self._frames) > 1)
        if frame.joined:
            frame.pipeline.piped = len(self._passed)

    def _operator(self, frame: Frame, character: str) -> None:
        if character == "&" and self._text.startswith("&>", self._position):
            self._end_word(frame)
            self._position += 1
            self._redirection(frame)
            frame.starts.append(len(frame.words))  # to a shell without &> this is & and >
            return
        pair = self._text[self._position : self._position + 2]
        operator = pair if pair in (";;", ";&", "||", "|&", "&&") else character
        self._position += len(operator)
        self._separate(frame, operator)
        frame.pattern = frame.pattern or (frame.cases > 0 and operator in (";;", ";&"))

    def _separate(self, frame: Frame, operator: str) -> None:
        """End a command, but not inside [[ ]] and arrays, where the same characters only part words."""
        self._end_word(frame)  # first: the word may be the ]] itself
        if frame.test:
            continued = operator == "\n" and _CONTINUED.match(self._text, self._position) is not None
            if not continued and (operator != "&&" or frame.starts or frame.negated):
                frame.starts.append(len(frame.words))
            return
        if frame.array:
            return
        self._end_command(frame)
        if operator in ("|", "|&") and not frame.pattern:
            frame.pipeline.piped, frame.joined = len(self._passed), True
        elif not (operator == "\n" and frame.joined):
            self._begin_pipeline(frame)

    def _begin_pipeline(self, frame: Frame) -> None:
        frame.pipeline = Pipeline(len(self._passed))
        frame.joined = False

    # -- words and commands ------------------------------------------------------------------------------------------------

    def _end_word(self, frame: Frame) -> None:
        word, frame.word = frame.word, None
        if word is None:
            return
        frame.joined = False
        if word.subscript and "]" not in word.text[word.subscript :]:
            self._doubt("a subscript has blanks in it")
        if frame.redirect:
            if "&" in frame.redirect and not frame.redirect.startswith("&"):
                self._refuse(word.holes, refusals.DESCRIPTOR)
            if frame.redirect.startswith("<"):
                frame.pipeline.given += word.holes
            frame.redirect = ""
            return
        if frame.test:
            frame.test = not (word.text == "]]" and not word.quoted)
        elif not frame.words and not frame.array and not word.quoted and self._keyword(frame, word):
            return
        if ASSIGNMENT.match(word.text) or (frame.words and frame.words[0].text in ("for", "select")):
            self._assigned += word.holes
        frame.words.append(word)
        self._end_head(frame, word)

    def _keyword(self, frame: Frame, word: Word) -> bool:
        """Take note of a word that may begin or end a compound command; tell whether it is no word of a command."""
        text = word.text
        if text in _OPENING:
            frame.groups.append((frame.pipeline, frame.inherits, frame.function))
            frame.pipeline, frame.inherits, frame.function = Pipeline(len(self._passed)), False, False
        elif text in _CLOSING and frame.groups:
            reads = frame.inherits
            frame.pipeline, frame.inherits, function = frame.groups.pop()
            frame.pipeline.reads = frame.pipeline.reads or reads
            self._drained = self._drained or (function and reads)  # who calls it, and with which input, is not known
            frame.pattern = frame.pattern and text != "esac"
        if text == "esac":
            frame.cases = max(frame.cases - 1, 0)
            return True
        if text == "coproc":
            self._doubt("a coprocess reads what other commands print")
        frame.negated = frame.negated or text == "!"
        frame.cases += text == "case"
        frame.test = text == "[["
        return text in _SKIPPED

    def _end_head(self, frame: Frame, word: Word) -> None:
        """Forget the words before the commands of `case x in`, `for x do` and `function f`."""
        first, count = frame.words[0], len(frame.words)
        if first.quoted or count > 3:
            return
        if first.text == "case" and count == 3 and word.text == "in":
            frame.words = []
            frame.pattern = True
        elif first.text in ("for", "select") and count == 3 and word.text == "do" and not word.quoted:
            frame.words = []
        elif first.text == "function" and count == 2:
            frame.words = []
            frame.function = True

    def _end_command(self, frame: Frame) -> None:
        words, pipeline = frame.words, frame.pipeline
        if self._holes and not frame.array and not frame.pattern:
            for number, refusal in check_words(words):
                self.refusals.setdefault(number, refusal)
            for start, end in pairwise([*frame.starts, len(words)]):
                self._refuse([number for number, _ in check_words(words[start:end]) if not self._bash], refusals.NO_TEST)
            if pipeline.reads or reads_script(words):
                self._feed(frame)
            if [word.text for word in words] == ["exec"]:
                self._redirected_for_good(pipeline)
            if pipeline.drained:
                self._refuse(self._passed[pipeline.start :], refusals.FED)
            self._integers = self._integers or declares_integers(words)
        frame.words, frame.starts, frame.redirect, frame.test, frame.negated = [], [], "", False, False
        pipeline.given, pipeline.reads, pipeline.drained = [], False, False

    def _feed(self, frame: Frame) -> None:
        """Refuse the values that come to the standard input of the present command: a shell reads its script there."""
        pipeline = frame.pipeline
        self._refuse(pipeline.given, refusals.FED)
        for document in pipeline.documents:
            document.fed = True
        frame.inherits = True  # also behind a pipe: the first command of the pipeline may pass on what it reads
        if pipeline.piped is not None:
            self._refuse(self._passed[pipeline.start : pipeline.piped], refusals.FED)

    def _redirected_for_good(self, pipeline: Pipeline) -> None:
        """Handle `exec <…` and `exec >…`: what stands behind them goes through these files."""
        self._refuse(pipeline.given, refusals.FED)
        for document in pipeline.documents:
            document.fed = True
        self._drained = self._drained or pipeline.drained

    def _parenthesis(self, frame: Frame) -> None:
        word = frame.word
        if frame.test:
            self._position += 1
            self._separate(frame, "(")
        elif frame.pattern and word is None and not frame.words:
            self._position += 1
        elif self._text.startswith("((", self._position) and word is None and self._may_compute(frame):
            start = self._position
            self._position += 2
            self._arithmetic()
            self._in_backticks(self._text[start : self._position])  # two subshells to a shell without it
        elif word is not None and word.text.endswith("="):
            passed = len(self._passed)
            self._nested(array=True)
            word.holes += self._passed[passed:]
        else:
            self._subshell(frame, named=word is not None or bool(frame.words))

    def _subshell(self, frame: Frame, *, named: bool) -> None:
        """Read `( … )`, or the `()` behind the name of a function."""
        self._end_word(frame)
        self._nested()
        reads = frame.pipeline.reads
        self._drained = self._drained or (frame.function and reads)
        frame.function = named
        if frame.words:
            self._end_command(frame)
            frame.pipeline.reads = reads

    @staticmethod
    def _may_compute(frame: Frame) -> bool:
        return not frame.words or [word.text for word in frame.words] == ["for"]

    # -- redirections -----------------------------------------------------------------------------------------------------

    def _redirection(self, frame: Frame) -> None:
        """Read `<`, `>` and their kin; the word that follows is a target, not a word of the command."""
        if frame.word is not None and _DESCRIPTOR.fullmatch(frame.word.text) and not frame.word.quoted:
            frame.word = None  # 2>file, {fd}>file
        text, position = self._text, self._position
        if text.startswith(("<(", ">("), position):
            word = frame.word = frame.word or Word()
            word.text += EXPANSION
            self._position += 1
            passed = len(self._passed)
            self._nested(output=text[position] == ">")
            word.holes += self._passed[passed:]
            return
        self._end_word(frame)
        if text.startswith("<<", position) and not text.startswith("<<<", position):
            document = self._document()
            frame.documents.append(document)
            frame.pipeline.documents.append(document)
            return
        while self._position < len(text) and text[self._position] in "<>|&" and not self._at_hole():
            self._position += 1
        frame.redirect = "" if frame.test else text[position : self._position]
