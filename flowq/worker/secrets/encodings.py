"""The forms of a secret that are masked: the text, its lines, and what base64, URLs, JSON, Python and shells make of it.

These are the forms that CI systems promise, and those that a traceback (`repr`) and `set -x` (quotes of shells) print without being asked.
"""

import base64
import json
import os
import re
import shlex
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST: Final = 4  # bytes; shorter texts would be found everywhere

_WRAPPED: Final = (76, 64)  # characters of a line of base64 as coreutils, MIME, PEM and openssl write it
_PIECE: Final = 8  # characters of the shortest line of wrapped base64 that is a pattern
_SPECIAL: Final = re.compile(r"""[\s'"\\|&;()<>!{}*\[?\]^$`,]|^[~#]""", re.ASCII)


def variants(value: str) -> set[bytes]:
    """Return the forms of a secret that are masked."""
    found = _base64(value)
    for text in _parts(value.strip()):  # a pattern that began with spaces would hold back much output
        found |= {encoded(form) for form in (*_escaped(text), *_quoted(text), *_in_url(text))} | _base64(text)
    for line in value.splitlines():
        found |= {encoded(form) for form in (*_escaped(line.strip()), *_quoted(line.strip()))}
    found |= {os.fsencode(line.strip()) for line in (value, *value.splitlines())}  # where the system's encoding is another one
    return {pattern for pattern in found if len(pattern) >= SHORTEST}


def encoded(text: str) -> bytes:
    """Return a text as UTF-8; bytes that are no text come back as they were."""
    return text.encode("utf-8", "surrogateescape")


def _parts(value: str) -> Iterator[str]:
    """Yield a secret and, of a URL, the password in it: programs tell that alone."""
    yield value
    if "://" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            return
        if password and len(password) >= SHORTEST:
            yield password
            yield unquote(password)


def _escaped(text: str) -> Iterator[str]:
    """Yield a text, and how JSON and Python write it."""
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    for written in (repr, ascii):
        yield written(text)[1:-1]
        yield written(text + '"')[1:-2]  # in a longer text with both quotes
        yield written(text + '"')[1:-2].replace('"', '\\"')
    yield repr(encoded(text))[2:-1]


def _quoted(text: str) -> Iterator[str]:
    """Yield how shells quote a text: in messages, in `set -x`, by `printf %q` and `declare -p`."""
    yield shlex.quote(text)[1:-1] if shlex.quote(text) != text else text
    yield text.replace("'", "'\\''")
    yield text.translate({ord(character): f"\\{character}" for character in '\\"$`'})  # inside "…"
    yield _SPECIAL.sub(r"\\\g<0>", text)  # printf %q of bash
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
    octal = "".join(
        named.get(character)
        or (character if " " <= character <= "~" else "".join(f"\\{byte:03o}" for byte in encoded(character)))
        for character in text
    )
    yield octal  # $'…' of bash where the locale is C


def _in_url(text: str) -> Iterator[str]:
    data = encoded(text)
    for form in (quote(data, safe=""), quote(data), quote(data, safe="!*'()~"), quote_plus(data)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), form)


def _base64(text: str) -> set[bytes]:
    data = encoded(text)
    found: set[bytes] = set()
    for ended in (data, data + b"\n", data + b"\r\n"):  # with what `echo` adds
        whole = base64.b64encode(ended)
        found |= {whole, whole.rstrip(b"=")}
        for width in _WRAPPED:
            pieces = [whole[start : start + width] for start in range(0, len(whole), width)]
            found |= {piece for piece in pieces if len(piece) >= _PIECE and len(pieces) > 1}
    for offset in range(3):  # as a part of something longer: characters that only the secret decides
        first = -(-8 * offset // 6)
        last = 8 * (offset + len(data)) // 6
        found.add(base64.b64encode(b"\0" * offset + data)[first:last])
    return found | {form.translate(bytes.maketrans(b"+/", b"-_")) for form in found}
