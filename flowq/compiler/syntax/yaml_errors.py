"""PyYAML's syntax errors in clear words, each with its usual cause."""

import re
from typing import Final

import yaml

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START, Span
from flowq.compiler.syntax.nodes import MAX_DEPTH
from flowq.compiler.syntax.source import Source

TOO_DEEP: Final = f"lists and maps may be nested {MAX_DEPTH} levels deep"

_KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    # a part of the parser's message, our message, the usual cause
    (
        "did not find expected alphabetic or numeric character",
        "`*` or `&` at the beginning of a value has a meaning in YAML",
        "put the value in quotes, as every cron expression",
    ),
    ("cannot start any token", "a value cannot begin with this character", "put the value in quotes"),
    ("mapping values are not allowed", "a `:` where no key is allowed", "put the text in quotes if it contains `: `"),
    ("did not find expected key", "expected a key at this place", "check the indentation of this line and the quotes above it"),
    ("expected <block end>", "expected a key at this place", "check the indentation of this line and the quotes above it"),
    ("did not find expected '-' indicator", "expected a `- ` at this place", "check the indentation of this line"),
    ("could not find expected ':'", "expected a `:` after the key", "a key is written `name: value`, with a space"),
    (
        "did not find expected ',' or ']'",
        "this list is not closed: expected `,` or `]`",
        "close it, or put a value with brackets in quotes",
    ),
    ("expected ',' or ']'", "this list is not closed: expected `,` or `]`", "close it, or put a value with brackets in quotes"),
    (
        "did not find expected ',' or '}'",
        "this map is not closed: expected `,` or `}`",
        "close it, or put a value with braces in quotes",
    ),
    ("expected ',' or '}'", "this map is not closed: expected `,` or `}`", "close it, or put a value with braces in quotes"),
    ("found unexpected end of stream", "this string is not closed", "add the closing quote"),
    ("found unexpected document indicator", "`---` or `...` inside a quoted text", "close the quote above"),
    ("hexdecimal", "an escape in double quotes is not complete", r"write \\ for a backslash, or use single quotes"),
    ("found unknown escape character", "unknown escape in double quotes", r"write \\ for a backslash, or use single quotes"),
    ("found undefined tag handle", "the tag is not known", "remove it, or put a string that begins with ! in quotes"),
)

_LOOKED_AT: Final = 2_000  # characters of a line: to match a longer one would take much memory
_SCRIPTS: Final = frozenset({"run", "shell"})
_BELOW: Final = "write `%s: |`, and the script on lines of its own below"
_WITHIN: Final = re.compile(
    r"(?<![\w-])([\w-]+):\s+[^\s\"'$|>,:\[{][^,:\[{]{0,200}?\$\{\{"
)  # a value that has text before an expression
_BESIDE: Final = re.compile(r"\s*(?:- )?([\w-]+):\s+(?=[^\s|>])")
_QUOTED: Final = re.compile(r"""\s*(?:- )?([\w-]+):\s+("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?=[^\s#])""")
"""A key with a value beside it, and one with a value in quotes that more follows."""


def explain(error: yaml.YAMLError, source: Source) -> tuple[Code, Span, str, str]:
    """Return code, place, message and help for an error of the YAML parser."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
    if "unexpected end of stream" in problem:
        mark = getattr(error, "context_mark", None) or mark  # the opening position is more useful than the end of the file
    if mark is None:
        return Code.SYNTAX, START, f"this is not YAML: {problem}", ""
    span = Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)
    if "maximum nesting depth" in problem:  # newer parsers have their own limit, and look further ahead
        return Code.TOO_DEEP, span, TOO_DEEP, ""
    line = source.line(span.line)[:_LOOKED_AT]
    if line[: span.column].strip(" -") in ("\t", "") and "\t" in line[: span.column]:
        return Code.SYNTAX, span, "a tab cannot be used to indent", "use spaces"
    if (quoted := _QUOTED.match(line)) and quoted.end() < span.column:
        hint = (
            _BELOW % quoted[1]
            if quoted[1] in _SCRIPTS
            else "put the whole value in quotes, the inner ones doubled or of the other kind"
        )
        return Code.SYNTAX, span, "text behind the closing quote of a value", hint
    for part, message, hint in _KNOWN:
        if part in problem:
            script = "" if "closed" in message else _script_help(line, span.column)
            return Code.SYNTAX, span, message, script or _expression_help(line) or hint
    return Code.SYNTAX, span, f"this is not YAML: {problem}", _expression_help(line)


def _script_help(line: str, column: int) -> str:
    """Return the help for a script beside its key in which YAML finds something of its own; else ""."""
    found = _BESIDE.match(line)
    return _BELOW % found[1] if found and found[1] in _SCRIPTS and found.end() <= column else ""


def _expression_help(line: str) -> str:
    """Return the help for the most frequent mistake, an unquoted expression inside `[…]` or `{…}`; else ""."""
    if found := _WITHIN.search(line):
        if found[1] in _SCRIPTS:
            return f"put the whole script in single quotes, or write the job on lines of its own, with `{found[1]}: |`"
        return f"put the whole value of `{found[1]}` in quotes"
    found = re.search(r"(?<![\"'])\$\{\{.{0,200}?\}\}", line)
    return f'put the expression in quotes: "{found[0]}"' if found else ""
