"""The source of an expression to tokens with positions.

One rule is special: after a `.` a name may contain `-` and start with a digit, because job names do (`jobs.list-files.result`).
There is no subtraction, so this is never ambiguous.
"""

import re
from dataclasses import dataclass
from typing import Final

from flowq.expr.errors import ExprSyntaxError

MAX_SOURCE: Final = 10_000  # characters of one expression

OPERATORS: Final = (
    "==",
    "!=",
    "<=",
    ">=",
    "&&",
    "||",
    "??",
    "<",
    ">",
    "!",
    "?",
    ":",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "*",
    "-",
)

_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "/": "/", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression. `kind` is "name", "number", "string", "end" or the operator itself."""

    kind: str
    text: str
    start: int
    end: int
    value: str | int | float | None = None


def tokenize(source: str) -> list[Token]:
    """Return the tokens of an expression; the last one has kind "end".

    Raises:
        ExprSyntaxError: a character belongs to no token, or a string is not closed.
    """
    if len(source) > MAX_SOURCE:
        raise ExprSyntaxError(
            f"an expression may have {MAX_SOURCE} characters, this one has {len(source)}", 0, 1, "compute the value in a job"
        )
    tokens: list[Token] = []
    position = _skip_space(source, 0)
    while position < len(source):
        token = _token(source, position, after_dot=bool(tokens) and tokens[-1].kind == ".")
        tokens.append(token)
        position = _skip_space(source, token.end)
    tokens.append(Token("end", "", len(source), len(source)))
    return tokens


def _skip_space(source: str, position: int) -> int:
    match = _SPACE.match(source, position)
    return match.end() if match else position


def _token(source: str, position: int, *, after_dot: bool) -> Token:
    match = (_MEMBER if after_dot else _NAME).match(source, position)
    if match:
        return Token("name", match[0], position, match.end(), match[0])
    character = source[position]
    if character in "0123456789":
        return _number(source, position)
    if character in "'\"":
        return _string(source, position)
    for operator in OPERATORS:
        if source.startswith(operator, position):
            return Token(operator, operator, position, position + len(operator))
    raise ExprSyntaxError(f"unexpected character {character!r}", position, position + 1, _character_help(character))


def _number(source: str, position: int) -> Token:
    match = _NUMBER.match(source, position)
    assert match is not None  # the first character is a digit
    text = match[0]
    if len(text) > 30 or (text.isdigit() and len(text) > 19):
        raise ExprSyntaxError("a number may have 19 digits", position, match.end())
    value: int | float = int(text) if text.isdigit() else float(text)
    if value in (float("inf"), float("-inf")):
        raise ExprSyntaxError(f"the number {text} is too large", position, match.end())
    return Token("number", text, position, match.end(), value)


def _string(source: str, position: int) -> Token:
    match = _STRING.match(source, position)
    if match is None:
        raise ExprSyntaxError("this string is not closed", position, len(source), f"add {source[position]} behind it")
    body = match[0][1:-1]
    if "\\" in body:
        body = _ESCAPE.sub(lambda found: _unescape(found, position), body)
        try:
            body = body.encode("utf-16", "surrogatepass").decode(
                "utf-16"
            )  # joins surrogate pairs: \ud83d\ude00 is one character
        except UnicodeDecodeError:
            raise ExprSyntaxError("half of a \\u surrogate pair is missing in this string", position, match.end()) from None
    return Token("string", match[0], position, match.end(), body)


def _unescape(found: re.Match[str], position: int) -> str:
    code = found[1]
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        start = position + 1 + found.start()
        raise ExprSyntaxError(
            f"unknown escape \\{code} in a string",
            start,
            start + 2,
            r"write \\ for a backslash; known are \n \t \r \' \" \\ \uXXXX",
        )
    return _ESCAPES[code]


def _character_help(character: str) -> str:
    if character == "=":
        return "write == to compare"
    if character == "&":
        return "write && for and"
    if character == "|":
        return "write || for or; functions are called, as in len(x)"
    if character in "+/%^":
        return (
            "there is no arithmetic: compute the value in a job, or in the script, $((${{ params.n }} + 1)) of a number;"
            " join strings with join(), format() or several ${{ }}"
        )
    if character == "$":
        return "inside ${{ }} and in `if`, write names without $: params.x"
    return ""
