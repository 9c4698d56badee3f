"""Diagnostics: problem, span and fix, and the only place where they are rendered."""

import re
from dataclasses import dataclass
from typing import Any, Final

from flowq.compiler.diagnostics.codes import WARNINGS, Code
from flowq.plan.bulk import record

MAX_DIAGNOSTICS: Final = 200  # per file; the rest is counted
MAX_LINE: Final = 160  # characters shown of a source line

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff]"
)


@record
class Span:
    """A range in a file, 1-based; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


START: Final = Span(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A problem in a flow file. `text` is the source line, or ""."""

    code: str
    severity: str  # "error" or "warning"
    message: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    help: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, with stable keys."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "help": self.help,
        }


def diagnostic(code: Code, span: Span, words: tuple[str, str], *, file: str, text: str) -> Diagnostic:
    """Return a diagnostic with all text made printable. `words` are message and help."""
    message, hint = words
    return Diagnostic(
        code=str(code),
        severity="warning" if code in WARNINGS else "error",
        message=printable(message),
        file=printable(file),
        line=span.line,
        column=span.column,
        end_line=span.end_line,
        end_column=span.end_column,
        text=text,
        help=printable(hint),
    )


def printable(text: str) -> str:
    r"""Return text with control and invisible characters as escapes: ESC as `\x1b`."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\n\t\r":
        return {"\n": r"\n", "\t": r"\t", "\r": r"\r"}[match[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def render(item: Diagnostic, *, color: bool = False) -> str:
    """Return the readable text: head line, source line, caret, help; without a final newline.

    Args:
        item: the diagnostic.
        color: use ANSI colours.
    """
    strong, faint, tint, off = ("\x1b[1m", "\x1b[2m", _tint(item), "\x1b[0m") if color else ("", "", "", "")
    lines = [f"{strong}{item.file}:{item.line}:{item.column}:{off} {tint}{item.severity}[{item.code}]{off}: {item.message}"]
    if item.text:
        shown, caret = _excerpt(item)
        gutter = str(item.line)
        lines.append(f"{faint}{gutter} |{off} {shown}")
        lines.append(f"{faint}{' ' * len(gutter)} |{off} {tint}{caret}{off}")
    if item.help:
        lines.append(f"  help: {item.help}")
    return "\n".join(lines)


def _tint(item: Diagnostic) -> str:
    return "\x1b[33m" if item.severity == "warning" else "\x1b[31m"


def _excerpt(item: Diagnostic) -> tuple[str, str]:
    """Return the printable source line and the carets under it, cut to a window around the span."""
    start = item.column - 1
    end = item.end_column - 1 if item.end_line == item.line else len(item.text)
    end = max(min(end, len(item.text)), start + 1)
    first = max(0, start - MAX_LINE // 2) if len(item.text) > MAX_LINE else 0
    last = first + MAX_LINE
    before = _flat(item.text[first:start])
    marked = _flat(item.text[start : min(end, last)])
    after = _flat(item.text[min(end, last) : last])
    head = "…" if first else ""
    tail = "…" if last < len(item.text) else ""
    return f"{head}{before}{marked}{after}{tail}", " " * len(head + before) + "^" * max(len(marked), 1)


def _flat(text: str) -> str:
    return printable(text.replace("\t", " "))
