"""A scanner of POSIX shell and bash scripts that knows, at each `${{ }}`, how the shell would read that place.

It does not judge whether a script is right. It follows quotes, here-documents, comments and compound commands far enough to say "a bare
word", "inside double quotes", "in a comment", or why no value can stand there. Pipes and redirections are not followed: where a shell reads
its script from standard input, no value of the same statement can stand, that is of what is between two line ends outside of all groups.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from flowq.compiler.shell import refusals
from flowq.compiler.shell.quoting import EXPANSION, QuoteScanner, Style, TooDeepError, Word
from flowq.compiler.shell.rereading import ASSIGNMENT, check_assignment, check_words, declares_integers, reads_script, redirects
from flowq.expr import Hole

_SKIPPED: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "{", "}", "!", "time", "-p", "--"}
)
_OPENING: Final = frozenset({"{", "if", "while", "until", "for", "select", "case"})
_CLOSING: Final = frozenset({"}", "fi", "done", "esac"})
_HEADS: Final = frozenset({"for", "select", "case"})
_DESCRIPTOR: Final = re.compile(r"[0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_REDIRECTION: Final = re.compile(r"<<<|<>|<&|>>|>&|>\||[<>]")
_OPERATOR: Final = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|]")
_CONTINUED: Final = re.compile(r"\s*(?:&&|\|\|)")
_BLANK: Final = " \t"  # to a shell a carriage return is a letter


@dataclass(slots=True)
class Statement:
    """A command with all that is piped to it or stands inside it: what one statement reads and prints, no other one does."""

    readers: int = 0  # shells in it that read their script from standard input
    arguments: frozenset[int] = frozenset()  # values that are arguments of such a shell
    groups: int = 0  # compound commands that are open
    function: bool = False  # defines one: other statements read and print through it
    opening: bool = False  # redirects for good: other statements read and print there


@dataclass(slots=True)
class Frame:
    """One list of commands: the script, or the inside of `( )`, `$( )`, `<( )`."""

    array: bool = False
    words: list[Word] = field(default_factory=list)
    word: Word | None = None
    redirect: str = ""  # the next word is the target of this redirection
    test: bool = False  # inside [[ ]]
    starts: list[int] = field(default_factory=list)  # words at which a shell without [[ ]] and &> would start a command
    cases: int = 0
    pattern: bool = False  # before the ) of a case
    joined: bool = False  # right behind a | or the head of a function
    documents: list[re.Match[str]] = field(default_factory=list)


class Scanner(QuoteScanner):
    """A reader of one script."""

    def __init__(self, text: str, holes: list[Hole], *, bash: bool = False) -> None:
        """Prepare to read `text`; `bash`: the shell that runs it is surely bash."""
        super().__init__(text, holes)
        self._bash = bash
        self._frames: list[Frame] = []  # being read, innermost last
        self._statement = Statement()
        self._assigned: list[int] = []  # values in assignments
        self._opened: list[int] = []  # values in statements that redirect for good
        self._integers = self._reads = self._drained = False

    def scan(self) -> None:
        """Read the script."""
        try:
            self._commands(Frame(), closing=False)
        except TooDeepError:
            self._refuse(self._numbers.values(), refusals.TOO_DEEP)
        self._end_statement()
        if self._integers:
            self._refuse(self._assigned, refusals.INTEGER)
        if self._reads:
            self._refuse(self._passed if self._drained else self._opened, refusals.FED)

    # -- lists of commands -------------------------------------------------------------------------------------------------

    def _commands(self, frame: Frame, *, closing: bool) -> None:
        """Read commands up to the end of the text or, with `closing`, the `)` that ends them."""
        self._enter()
        self._frames.append(frame)
        text, size = self._text, len(self._text)
        while self._position < size:
            character = text[self._position]
            if character in _BLANK:
                self._position += 1
                self._end_word(frame)
            elif character == "\n":
                self._newline(frame)
            elif character == ")":
                self._position += 1
                self._end_word(frame)
                if closing and not frame.cases:
                    break
                self._end_command(frame)
                frame.pattern = False
            elif character == "(":
                self._parenthesis(frame)
            elif character in "<>":
                self._redirection(frame)
            elif character in ";&|":
                self._operator(frame)
            elif character == "#" and frame.word is None:
                if frame.test:
                    self._doubt("a comment or a pattern")
                self._comment()
            else:
                frame.word = frame.word or Word(subscript=frame.array and character == "[")
                self._part(frame.word, Style.BARE)
        self._end_word(frame)
        self._end_command(frame)
        if frame.documents:
            self._doubt("a here-document is not read before the substitution ends")
        self._frames.pop()
        self._depth -= 1

    def _nested(self, *, array: bool = False) -> list[int]:
        """Read the inside of parentheses, return the values in it; the position is at the opening one."""
        start, passed, outer = self._position, len(self._passed), self._frames[-1]
        self._position += 1
        self._commands(Frame(array=array), closing=True)
        outer.joined = self._statement.function
        if outer.documents and "\n" in self._text[start : self._position]:
            self._doubt("a here-document begins on a line with a longer substitution")
        return self._passed[passed:]

    def _find_shells(self, text: str) -> None:
        if any(reads_script([Word(word)]) for word in re.split(r"[\s;&|()<>]+", text)):
            self._statement.readers += 1

    def _newline(self, frame: Frame) -> None:
        self._position += 1
        self._separate(frame, "\n")
        if frame.documents:
            for opening in frame.documents:
                self._here_document(opening, nested=len(self._frames) > 1)
            frame.documents = []
            self._separate(frame, "\n")

    def _operator(self, frame: Frame) -> None:
        if self._text.startswith("&>", self._position):
            self._end_word(frame)
            self._position += 1
            self._redirection(frame)
            frame.starts.append(len(frame.words))
            return
        match = _OPERATOR.match(self._text, self._position)
        operator = match[0] if match else ""
        self._position += len(operator)
        self._separate(frame, operator)
        frame.pattern = frame.pattern or (frame.cases > 0 and operator in (";;", ";&", ";;&"))

    def _separate(self, frame: Frame, operator: str) -> None:
        """End a command, but not inside [[ ]] and arrays, where the same characters only part words."""
        self._end_word(frame)  # first: the word may be the ]] itself
        if frame.test:
            continued = operator == "\n" and _CONTINUED.match(self._text, self._position) is not None
            if not continued and (operator != "&&" or frame.starts):
                frame.starts.append(len(frame.words))
        elif frame.array:
            if operator != "\n":
                self._doubt("an operator inside an array")
        elif not (operator == "\n" and len(frame.words) == 2 and frame.words[0].text in _HEADS):
            self._end_command(frame)
            frame.joined = operator in ("|", "|&") or (frame.joined and operator == "\n")
            if not (len(self._frames) > 1 or frame.documents or frame.joined or self._statement.groups):
                self._end_statement()

    def _end_statement(self) -> None:
        statement, self._statement = self._statement, Statement()
        inside = self._passed[self._ended :]
        if statement.readers:
            allowed = statement.arguments if statement.readers == 1 else ()
            self._refuse([number for number in inside if number not in allowed], refusals.FED)
            self._reads = True
            self._drained = self._drained or statement.function or statement.opening
        self._opened += inside if statement.opening else []
        self._ended = len(self._passed)

    # -- words and commands ------------------------------------------------------------------------------------------------

    def _end_word(self, frame: Frame) -> None:
        word, frame.word = frame.word, None
        if word is None:
            return
        joined, frame.joined = frame.joined, False
        if word.open:
            self._doubt("a subscript has blanks in it")
        if frame.redirect:
            if "&" in frame.redirect:
                self._refuse(word.holes, refusals.DESCRIPTOR)
            frame.redirect = ""
            return
        if frame.test:
            frame.test = not (word.text == "]]" and not word.quoted)
        elif not (frame.words or frame.array or word.quoted) and self._keyword(frame, word.text, joined=joined):
            return
        if ASSIGNMENT.match(word.text) or (frame.words and frame.words[0].text in ("for", "select")):
            self._assigned += word.holes
        frame.words.append(word)
        self._end_head(frame, word)

    def _keyword(self, frame: Frame, text: str, *, joined: bool) -> bool:
        """Record a word that may begin or end a compound command; return whether it is no word of a command."""
        if frame.pattern and (text != "esac" or joined):
            return False
        if len(self._frames) == 1:
            self._statement.groups = max(self._statement.groups + (text in _OPENING) - (text in _CLOSING), 0)
        if text == "esac":
            frame.cases = max(frame.cases - 1, 0)
            frame.pattern = False
            return True
        if text == "coproc":
            self._doubt("a coprocess reads what other commands print")
        if text == "!":
            frame.starts.append(0)
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
        elif first.text in ("for", "select"):
            if count == 2 and (refusal := check_assignment(word.text)):
                self._unsure = self._unsure or refusal
            elif count == 3 and word.text == "do" and not word.quoted:
                frame.words = []
        elif first.text == "function" and count == 2:
            frame.words = []
            self._statement.function = frame.joined = True

    def _end_command(self, frame: Frame) -> None:
        words = frame.words
        if self._numbers and words and not frame.array and not frame.pattern:
            self._check(words)
            if not self._bash:
                for start, end in pairwise([*frame.starts, len(words)]):
                    self._check(words[start:end], refusals.NO_TEST)
            self._statement.opening = self._statement.opening or redirects(words)
            self._integers = self._integers or declares_integers(words)
        frame.words, frame.starts, frame.redirect, frame.test = [], [], "", False

    def _check(self, words: list[Word], why: refusals.Refusal | None = None) -> None:
        """Check the words of a command, or with `why` those that some shells take for one."""
        for number, refusal in check_words(words):
            self._refuse([number], why or refusal)
        if reads_script(words):
            self._statement.readers += 1
            self._statement.arguments = frozenset(number for word in words for number in word.holes)

    # -- parentheses and redirections ---------------------------------------------------------------------------------------

    def _parenthesis(self, frame: Frame) -> None:
        word = frame.word
        if frame.test:
            self._position += 1
            self._separate(frame, "(")
        elif frame.pattern and word is None and not frame.words:
            self._position += 1
        elif self._text.startswith("((", self._position) and word is None and [it.text for it in frame.words] in ([], ["for"]):
            start = self._position
            self._arithmetic()
            self._find_shells(self._text[start : self._position])  # two subshells to a shell without it
        elif word is not None and word.text.endswith("=") and ASSIGNMENT.match(word.text):
            word.holes += self._nested(array=True)
        else:
            self._end_word(frame)
            named = bool(frame.words)
            self._statement.function = self._statement.function or named
            self._nested()
            if named:
                self._end_command(frame)  # the name of a function, or what the shell does not allow there

    def _redirection(self, frame: Frame) -> None:
        """Read `<`, `>` and their kin; the word that follows is a target, not a word of the command."""
        if frame.word is not None and _DESCRIPTOR.fullmatch(frame.word.text) and not frame.word.quoted:
            frame.word = None  # 2>file, {fd}>file
        rest = self._text[self._position : self._position + 3]
        if frame.array and rest[1:2] != "(":
            self._doubt("an operator inside an array")
        if frame.test and rest[1:2] in ("<", ">", "(", "&"):
            self._doubt("an operator inside [[ ]]")
        if rest[1:2] == "(":
            word = frame.word = frame.word or Word()
            word.text += EXPANSION
            self._position += 1
            word.holes += self._nested()
            return
        self._end_word(frame)
        if rest.startswith("<<") and rest != "<<<":
            frame.documents += self._document()
            return
        match = _REDIRECTION.match(self._text, self._position)
        self._position += len(match[0]) if match else 1
        frame.redirect = match[0] if match and not frame.test else ""
