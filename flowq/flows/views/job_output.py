r"""The output of jobs as lines that are safe to show: colours are kept as parameters, everything else that steers a terminal is removed.

Programs write their output for terminals: colours, progress bars that return to the start of the line (`\r`), cursor movements. A line
is what a terminal would show of it in the end. An escape sequence that is not complete, and any other control character, becomes a
visible escape, as in `safe`.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from flowq.flows.views.text import safe, safe_bytes

Run: TypeAlias = tuple[str, str]
"""Safe text, and the parameters of the SGR sequence for it (`1;31`), "" for none."""

# In the order of the groups: SGR (colours), a return to the start of the line, sequences that are removed: CSI (cursor, erasing), OSC
# (title, links), character sets, and single functions.
_CONTROL: Final = re.compile(
    r"\x1b\[([0-9;:]*)m"
    r"|(\r|\x1b\[[01]?G)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[()*+\-./][0-9A-Za-z]"
    r"|\x1b[78=>DEHM]"
)
_CONCEAL: Final = "8"
_COLOR: Final = re.compile(r"(?P<foreground>(?:3\d|9[0-7])(?!\d))|(?P<background>(?:4\d|10[0-7])(?!\d))")
_COLOR_FOLLOWS: Final = {"38", "48", "58"}  # foreground, background, underline
_COLOR_SIZE: Final = {"5": 2, "2": 4}  # parameters of a palette index, of red, green and blue
_MOST: Final = 16  # attributes at a time


def output_lines(data: bytes) -> Iterator[list[Run]]:
    """Yield the lines of an entry of output. A last line needs no newline; colours end with their line."""
    data = data.removesuffix(b"\n")
    if b"\x1b" not in data and b"\r" not in data:
        for text in safe_bytes(data).split("\n"):
            yield [(text, "")]
        return
    for line in data.split(b"\n"):
        yield _runs(line.decode("utf-8", "backslashreplace"))


def plain_line(runs: list[Run]) -> str:
    """Return a line without its colours."""
    return "".join(text for text, _parameters in runs)


def plain_output(text: str) -> str:
    """Return output as safe text without colours."""
    return "\n".join(plain_line(_runs(line)) for line in text.split("\n"))


def _runs(line: str) -> list[Run]:
    """Return the last part of the line that overwrote the ones before it."""
    shown: list[Run] = []
    written: list[Run] = []
    attributes: dict[str, str] = {}
    start = 0
    for match in _CONTROL.finditer(line):
        _write(written, line[start : match.start()], attributes)
        start = match.end()
        if match[1] is not None:
            _change(attributes, match[1].split(";"))
        elif match[2] is not None:
            shown, written = written if plain_line(written).strip() else shown, []
    _write(written, line[start:], attributes)
    return written if plain_line(written).strip() else shown or written


def _write(runs: list[Run], text: str, attributes: dict[str, str]) -> None:
    if text:
        runs.append((safe(text), ";".join(attributes.values())))


def _change(attributes: dict[str, str], parameters: list[str]) -> None:
    """Apply the parameters of an SGR sequence. Concealed text is shown: a user must see what is copied."""
    index = 0
    while index < len(parameters):
        parameter = parameters[index].lstrip("0") or "0"
        size = 1
        if parameter in _COLOR_FOLLOWS:
            size += _COLOR_SIZE.get(parameters[index + 1] if index + 1 < len(parameters) else "", 0)
        if parameter == "0":
            attributes.clear()
        elif parameter != _CONCEAL:
            kind = _kind(parameter)
            attributes.pop(kind, None)  # the order matters: 22 ends what 1 began
            attributes[kind] = ";".join(parameters[index : index + size])
        index += size
    for kind in list(attributes)[:-_MOST]:
        del attributes[kind]


def _kind(parameter: str) -> str:
    """Return the attribute that a parameter sets: of two colours of the foreground the later one counts."""
    match = _COLOR.match(parameter)
    return match.lastgroup or parameter if match else parameter
