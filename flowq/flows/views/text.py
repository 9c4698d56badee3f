"""Text from outside, made safe to show: job output, names, errors and stored values never reach a terminal raw.

A program that writes a job's log, a YAML file or a key on the server could otherwise move the cursor, set the window's title,
fill the clipboard, hide text or reverse it for the reader. Everything shown goes through `safe` or `safe_line`; there is no
second way.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

# C0 but tab and newline, DEL, C1; bidirectional marks, embeddings, overrides and isolates; what is invisible or has no width (soft
# hyphen, joiners, fillers, tags); line and paragraph separator; surrogates. Combining marks and variation selectors stay.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMES: Final = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def safe(text: str) -> str:
    r"""Return the text with every control, bidirectional and invisible character as a visible escape; `\n` and `\t` stay."""
    return _UNSAFE.sub(_escape, text)


def safe_line(text: str) -> str:
    r"""Return the text as exactly one line: as `safe`, and line ends and tabs become `\n` and `\t`."""
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def safe_bytes(data: bytes) -> str:
    r"""Return captured bytes as safe text: UTF-8 where it is, `\xNN` where it is not."""
    return safe(data.decode("utf-8", "backslashreplace"))


def safe_json(value: Any, *, indent: int | None = None) -> str:
    r"""Return a value as JSON that is safe to show and still parses to the same value.

    What must be escaped can only stand inside JSON strings, where `\uNNNN` means the same character.
    """
    return _UNSAFE.sub(_json_escape, json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False))


def safe_params(params: Mapping[str, Any]) -> str:
    """Return the values of a run's parameters in one line: `day=2026-01-31, retries=3`."""
    return ", ".join(
        f"{safe_line(name)}={safe_line(value) if isinstance(value, str) else safe_json(value)}"
        for name, value in params.items()
    )


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _NAMES:
        return _NAMES[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    character = match.group()
    if character == "\n":  # the indentation's own; inside strings json.dumps has escaped it
        return character
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return `1 job`, `2 jobs`; `many` is a plural that is not made with an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"
