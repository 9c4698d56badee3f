"""Read what a command wrote to `$FLOWQ_OUTPUT`: its result, a map.

Three forms of line, freely mixed; a later key wins over an earlier one, empty lines are ignored:

    key=value            text up to the end of the line; the key is a plain name, as in `key<<END`
    key<<END             the lines up to one that is exactly END, joined by newlines
    {"key": 1, …}        a JSON object; the only form whose values are not text, and whose keys are any text
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class OutputError(Exception):
    """The file is not in one of the three forms; the message names the line."""


def parse(data: bytes) -> dict[str, Any]:
    """Return the map that the file's bytes stand for; an empty file is an empty map.

    Raises:
        OutputError: a line in none of the three forms, an unended block, broken UTF-8 or JSON.
    """
    result: dict[str, Any] = {}
    lines = enumerate(_text(data).split("\n"), start=1)
    for number, raw in lines:
        line = raw.removesuffix("\r")
        _refuse_nul(number, line)
        if not line.strip():
            continue
        if line.startswith("{"):
            result.update(_json_line(number, line))
            continue
        key, equals, value = line.partition("=")
        block, marker, end = line.partition("<<")
        if marker and len(block) < len(key):
            result[_key(number, block)] = _block(number, end.strip(), lines)
        elif equals:
            result[_key(number, key)] = value
        else:
            raise OutputError(
                f"line {number} of $FLOWQ_OUTPUT is {_shown(line)}; expected key=value, key<<END or a JSON object"
            )
    return result


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OutputError(f"line {line} of $FLOWQ_OUTPUT is not UTF-8 text") from error


def _json_line(number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except ValueError as error:
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT starts like a JSON object but is none: {error}") from error
    except RecursionError as error:
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT is nested too deeply") from error
    if not isinstance(value, dict):  # cannot happen for a line that starts with "{", but types are checked, not assumed
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT is not a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _block(number: int, end: str, lines: Iterator[tuple[int, str]]) -> str:
    if not end:
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT: a word that ends the block is missing after <<")
    collected: list[str] = []
    for at, line in lines:
        _refuse_nul(at, line)
        if line.removesuffix("\r") == end:
            return "\n".join(collected)
        collected.append(line)
    raise OutputError(f"the block that starts in line {number} of $FLOWQ_OUTPUT is not ended: no line is exactly {_shown(end)}")


def _key(number: int, text: str) -> str:
    key = text
    if not key.strip():
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT has no key")
    if not (key.isascii() and (key[0].isalpha() or key[0] == "_") and all(char.isalnum() or char in "_.-" for char in key)):
        raise OutputError(
            f"line {number} of $FLOWQ_OUTPUT: {_shown(key)} cannot be a key: letters, digits, `_`, `.` and `-`, beginning with a letter or `_`;"
            " a JSON object may have any key"
        )
    return key


def _refuse_nul(number: int, line: str) -> None:
    if "\0" in line:
        raise OutputError(f"line {number} of $FLOWQ_OUTPUT has a NUL character")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
