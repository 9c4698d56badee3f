"""The text of a flow file with an index of its lines, and the report that collects its diagnostics.

The limits are checked before the work is done: size before reading, encoding and characters before parsing.
"""

import bisect
import os
import re
import stat
from array import array
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Final

from flowq.compiler.diagnostics.codes import WARNINGS, Code
from flowq.compiler.diagnostics.diagnostic import MAX_DIAGNOSTICS, START, Diagnostic, Span, diagnostic
from flowq.compiler.diagnostics.suggestions import close_match
from flowq.compiler.diagnostics.withheld import Shown, withheld
from flowq.compiler.syntax.allowances import Allowance, BadAllowance, find_allowances
from flowq.compiler.syntax.nodes import YamlNode
from flowq.compiler.syntax.redaction import redact

MAX_BYTES: Final = 32 * 1024 * 1024

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # line breaks of the YAML parsers
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


class Source:
    """A file: the name it is shown under, its text, and what diagnostics show of it: the text of others than flow files may be secret."""

    def __init__(self, name: str, text: str, shown: Shown = Shown.LINES) -> None:
        self.name = name
        self.text = text
        self.shown = shown

    @cached_property
    def _starts(self) -> "array[int]":
        return array(
            "Q", chain((0,), (match.end() for match in _BREAK.finditer(self.text)))
        )  # a list takes five times the memory

    @cached_property
    def allowances(self) -> tuple[Allowance | BadAllowance, ...]:
        """The comments that allow warnings; of a flow file only."""
        return tuple(find_allowances(self.text)) if self.shown is Shown.LINES else ()

    @cached_property
    def _allowed(self) -> dict[int, frozenset[str]]:
        found: dict[int, frozenset[str]] = {}
        for item in self.allowances:
            if isinstance(item, Allowance):
                line = self.span(item.start, item.end).line + item.alone
                found[line] = found.get(line, frozenset()) | item.codes
        return found

    def allows(self, code: Code, line: int) -> bool:
        """Return whether a comment allows this warning on a line."""
        return code in self._allowed.get(line, ())

    def line(self, number: int) -> str:
        """Return a line by its 1-based number, without its line break; "" if there is none."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n\x85\u2028\u2029")

    def span(self, start: int, end: int) -> Span:
        """Return the span of `text[start:end]`."""
        line = bisect.bisect_right(self._starts, start)
        end_line = bisect.bisect_right(self._starts, end)
        return Span(line, start - self._starts[line - 1] + 1, end_line, end - self._starts[end_line - 1] + 1)


_BY_VALUES: Final = frozenset(
    {Code.EVALUATION, Code.PARAM_TYPE, Code.PARAM_RULE, Code.NAME, Code.DURATION, Code.MATRIX, Code.TOO_MANY_JOBS}
)
"""Errors that a file may have with some values and not with others. A warning is given once, for all cells."""


@dataclass(slots=True)
class Report:
    """The diagnostics about one file. `tree`: the tree of the source, once it has been parsed.

    `cell` is the cell of a matrix whose values are looked at: problems that other cells may not have name it.
    """

    source: Source
    tree: YamlNode | None = None
    cell: str = ""
    _found: list[Diagnostic] = field(default_factory=list)
    _errors: int = 0
    _warnings: int = 0  # of those found
    _settled: frozenset[tuple[int, int]] = frozenset()

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return self._errors > 0

    @property
    def only_lacks_values(self) -> bool:
        """Whether there are errors, all of them about params that have no value: nothing in the text is wrong."""
        return self.failed and self._errors == sum(item.code == Code.MISSING_PARAM for item in self._found)

    @property
    def errors(self) -> int:
        """The number of errors; a stage compares it before and after."""
        return self._errors

    @property
    def full(self) -> bool:
        """Whether the limit is reached with errors alone and no diagnostic is shown any more, so that stages can skip computing them."""
        return self._limited and not self._warnings

    @property
    def _limited(self) -> bool:
        return len(self._found) >= MAX_DIAGNOSTICS

    def add(self, code: Code, span: Span, message: str, help: str = "") -> None:  # noqa: A002 - the rendered word
        """Add a problem at a span. Beyond the limit, an error takes the place of a warning."""
        warns = code in WARNINGS
        if not warns:
            self._errors += 1
        elif self.source.allows(code, span.line):
            return
        if (span.line, span.column) in self._settled or (self._limited and (warns or not self._warnings)):
            return
        if self._limited:
            self._found.remove(next(item for item in reversed(self._found) if item.severity == "warning"))
            self._warnings -= 1
        self._warnings += warns
        if self.cell and code in _BY_VALUES:
            message += f" (in {self.cell})"
        text = self.source.line(span.line) if self.source.shown is Shown.LINES else ""
        if self.source.shown is Shown.NOTHING:
            message, help = withheld(code, message, help)  # noqa: A001
        self._found.append(diagnostic(code, span, (message, help), file=self.source.name, text=text))

    def settle(self) -> None:
        """Suppress further diagnostics at the spans reported so far, whose values are unreliable."""
        self._settled = frozenset((item.line, item.column) for item in self._found)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """Return the diagnostics in the order of the file, each once, and without values of secrets."""
        unique = redact(list(dict.fromkeys(self._found)), self.source.text, self.tree)
        unique.sort(key=lambda item: (item.line, item.column))
        if self._limited:
            last = unique[-1]
            note = f"{last.help} (these are the first {MAX_DIAGNOSTICS} problems; there may be more)".strip()
            unique[-1] = replace(last, help=note)
        return tuple(unique)


def load_source(path: str, name: str = "", shown: Shown = Shown.LINES) -> tuple[Source, Report]:
    """Read a file, named `name` or as its path; what keeps it from being read is in the report, with an empty text."""
    data, problem = read_file(path)
    if problem is not None:
        code, message, hint = problem
        return _refused(name or path, code, message, hint)
    return decode_source(name or path, data, shown)


def decode_source(name: str, data: bytes | str, shown: Shown = Shown.LINES) -> tuple[Source, Report]:
    """Make a source of bytes (UTF-8) or text, checking size, encoding and characters."""
    if isinstance(data, bytes):
        if len(data) > MAX_BYTES:
            return _refused(name, Code.TOO_LARGE, _size_message(len(data)), "split the flow")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            return _not_utf8(name, data, error, shown)
    else:
        text = data
        if len(text) > MAX_BYTES:
            return _refused(name, Code.TOO_LARGE, _size_message(len(text)), "split the flow")
    source = Source(name, text.removeprefix("\ufeff"), shown)
    report = Report(source)
    if found := _FORBIDDEN.search(source.text):
        span = source.span(found.start(), found.end())
        message = f"the character U+{ord(found[0]):04X} is not allowed in a flow file"
        report.add(Code.CONTROL_CHARACTER, span, message, 'remove it, or write it as an escape in double quotes: "\\x07"')
    for item in source.allowances:
        if isinstance(item, BadAllowance):
            report.add(Code.ALLOWANCE, source.span(item.start, item.end), item.message, item.help)
    return source, report


def _refused(name: str, code: Code, message: str, hint: str) -> tuple[Source, Report]:
    report = Report(Source(name, ""))
    report.add(code, START, message, hint)
    return report.source, report


def _size_message(size: int) -> str:
    return f"a flow file may have {MAX_BYTES // 1024**2} MiB, this one has {size / 1024**2:.1f} MiB"


def _not_utf8(name: str, data: bytes, error: UnicodeDecodeError, shown: Shown) -> tuple[Source, Report]:
    source = Source(name, data.decode("utf-8", "replace").removeprefix("\ufeff"), shown)
    report = Report(source)
    place = len(data[: error.start].decode("utf-8").removeprefix("\ufeff"))
    message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
    report.add(Code.NOT_UTF8, source.span(place, place + 1), message, "save it as UTF-8")
    return source, report


def read_file(path: str) -> tuple[bytes, tuple[Code, str, str] | None]:
    """Return the bytes of a regular file within the size limit, or why it is unreadable: code, message, help."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a device can do something  # noqa: PTH116 - as for the others
            return b"", _no_file(path)
        # Non-blocking: opening a named pipe would otherwise wait for a writer without an end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", (Code.UNREADABLE, "there is no such file", _missing_help(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return b"", (Code.UNREADABLE, f"cannot read the file: {reason}", "")
    try:
        return _content(descriptor)
    except OSError as error:
        return b"", (Code.UNREADABLE, f"cannot read the file: {error.strerror}", "")
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> tuple[bytes, tuple[Code, str, str] | None]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # it was replaced in between
        return b"", _no_file("")
    if status.st_size > MAX_BYTES:
        return b"", (Code.TOO_LARGE, _size_message(status.st_size), "split the flow")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_BYTES + 1), None


def _no_file(path: str) -> tuple[Code, str, str]:
    if os.path.isdir(path):  # noqa: PTH112 - as for the others
        flow = os.path.join(path, "flow.yaml")  # noqa: PTH118
        hint = f"there is {flow}" if os.path.isfile(flow) else "name the file in it"  # noqa: PTH113
        return Code.UNREADABLE, "this is a directory, expected a flow file", hint
    return Code.UNREADABLE, "this is not a regular file", "copy its content to a file"


def _missing_help(path: str) -> str:
    other = path[:-4] + ".yaml" if path.endswith(".yml") else path[:-5] + ".yml" if path.endswith(".yaml") else path + ".yaml"
    if os.path.isfile(other):  # noqa: PTH113 - a name that is too long is no file
        return f"there is {other}"
    directory, name = os.path.split(path)
    flows = _flows_in(directory)
    close = close_match(os.path.splitext(name)[0], flows)  # noqa: PTH122 - as above
    return "check the path" if close is None else f"did you mean {os.path.join(directory, flows[close])}?"  # noqa: PTH118 - as above


def _flows_in(directory: str) -> dict[str, str]:
    """Return the flow files of a directory by their names without the extension."""
    try:
        names = os.listdir(directory or ".")  # noqa: PTH208 - as above
    except (OSError, ValueError):
        return {}
    return {os.path.splitext(name)[0]: name for name in names if name.endswith((".yaml", ".yml"))}  # noqa: PTH122 - as above
