"""Taking secrets out of bytes: as they are, in the encodings programs commonly print, and over the borders of what is read at once.

    value ── variants ──> patterns ── Mask ──> whole texts          (errors, results)
                                        └───── MaskedStream ──────> output, chunk by chunk

It is best effort by nature: whoever prints a secret backwards or one character a line gets it past every mask. What it does promise is
that of each variant nothing is left, that everything else stays byte by byte, and that the result does not depend on where chunks end.
"""

import base64
import html
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = b"***"
SHORTEST: Final = 4  # bytes; what is shorter would be found everywhere

_UNSAFE: Final = re.compile(r"[^\w@%+=:,./-]", re.ASCII)
_SPECIAL: Final = re.compile(r"""[\s'"\\|&;()<>!{}*\[?\]^$`,]|^[~#]""", re.ASCII)
_MARKUP: Final = re.compile("[<>&]")
_CAREFUL: Final = re.compile(r"""\\"|[<>&'+`]""")
_HEX_LINE: Final = 60  # characters of a line of `xxd -p`
_WRAPPED: Final = (76, 64)  # characters of a line of base64 as coreutils, MIME, PEM and openssl write it
_LITTLE: Final = 4096  # bytes in which all patterns are looked for at once; in more, looking for one after the other is faster
_PIECE: Final = 8  # characters of the shortest line of wrapped base64 or hexadecimal that is a pattern
_CUT: Final = "…".encode()  # stands in flowq's messages where a text was cut


class Mask:
    """The patterns of some secrets. `values`: by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        for name, value in values.items():
            for pattern in variants(value):
                self._names.setdefault(pattern, name)
        self._patterns = sorted(self._names, key=len, reverse=True)
        self._ends = {pattern[:size] for pattern in self._patterns for size in range(1, SHORTEST)}
        heads = sorted({re.escape(pattern[:SHORTEST]) for pattern in self._patterns})
        self._heads = re.compile(b"|".join(heads)) if heads else None

    def __repr__(self) -> str:
        return f"Mask({sorted(set(self._names.values()))})"

    def apply(self, data: bytes) -> tuple[bytes, set[str]]:
        """Return the data without secrets, and the names of those that were in it."""
        masked, _, names = self.scan(data, len(data))
        return masked, names

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = text.encode("utf-8", "backslashreplace")
        masked, names = self.apply(data)
        return masked.decode("utf-8", "surrogateescape") if names else text

    def error(self, text: str) -> str:
        """Return a message of flowq's without secrets, nor the part of one that is left where a long text was cut."""
        masked = self.text(text)
        parts = masked.encode("utf-8", "backslashreplace").split(_CUT)
        if len(parts) == 1:
            return masked
        for number, part in enumerate(parts):
            if number + 1 < len(parts):
                part = self._without_end(part)  # noqa: PLW2901 - the part, step by step
            parts[number] = self._without_begin(part) if number else part
        return _CUT.join(parts).decode("utf-8", "replace")  # a secret need not begin or end where a character does

    def scan(self, data: bytes, end: int | None = None) -> tuple[bytes, int, set[str]]:
        """Mask what is certain.

        Args:
            data: the bytes.
            end: where they end for good; None when more may follow.

        Returns:
            The masked bytes, how many of `data` they stand for, and the names of the secrets that were in them. The rest may be the
            beginning of a secret.
        """
        if self._heads is None or (len(data) <= _LITTLE and self._heads.search(data) is None):
            certain = self._tail(data, 0) if end is None else end
            return data[:certain], certain, set()
        certain = self._begun(data, 0) if end is None else end
        matches = sorted(self._matches(data), key=lambda match: (match[0], -match[1]))
        if not matches:
            return data[:certain], certain, set()
        out, names, position = [], set(), 0
        for start, size, name in matches:
            if start < position:
                continue
            if start >= certain:
                break
            out += [data[position:start], MASK]
            names.add(name)
            position = start + size
            if certain < position:
                certain = self._begun(data, position)
        out.append(data[position:certain])
        return b"".join(out), certain, names

    def _matches(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        for pattern in self._patterns:
            start = data.find(pattern)
            while start >= 0:
                yield start, len(pattern), self._names[pattern]
                start = data.find(pattern, start + 1)

    def _begun(self, data: bytes, since: int) -> int:
        """Return the first place from which on everything is the beginning of a pattern, the end of the data if there is none."""
        size = len(data)
        first = size
        for pattern in self._patterns:
            place = data.find(pattern[:SHORTEST], max(since, size - len(pattern) + 1))
            while 0 <= place < first:
                if pattern.startswith(data[place:]):
                    first = place
                    break
                place = data.find(pattern[:SHORTEST], place + 1)
        return min(first, self._tail(data, since))

    def _tail(self, data: bytes, since: int) -> int:
        """Return the same for beginnings that are shorter than all patterns."""
        size = len(data)
        return next((place for place in range(max(since, size - SHORTEST + 1), size) if data[place:] in self._ends), size)

    def _without_end(self, data: bytes) -> bytes:
        kept = data.removesuffix(b"\n")
        begun = self._begun(kept, 0)
        return kept[:begun] + MASK + data[len(kept) :] if len(kept) - begun >= SHORTEST else data

    def _without_begin(self, data: bytes) -> bytes:
        kept = data.removeprefix(b"\n")
        head = kept[:SHORTEST]
        longest = 0
        for pattern in self._patterns if len(head) == SHORTEST else ():
            place = pattern.find(head, 1)
            while place > 0:
                if kept.startswith(pattern[place:]):
                    longest = max(longest, len(pattern) - place)
                    break
                place = pattern.find(head, place + 1)
        return data[: len(data) - len(kept)] + MASK + kept[longest:] if longest else data


class MaskedStream:
    """Masks one stream. What could be the beginning of a secret is held until it is certain."""

    __slots__ = ("_held", "_mask")

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is certain of the bytes so far."""
        whole = self._held + data
        masked, done, _ = self._mask.scan(whole)
        self._held = whole[done:]
        return masked

    def end(self) -> bytes:
        """Return the rest."""
        rest, self._held = self._held, b""
        return self._mask.apply(rest)[0]


def variants(value: str) -> set[bytes]:
    """Return the forms of a secret that are looked for: itself, its lines, what common encodings make of it."""
    found = _encodings(value)
    for text in _parts(value.strip()):  # spaces around it are no secret, and a pattern that began with one would hold back much
        found |= {_bytes(form) for form in _spellings(text)} | _encodings(text)
    found |= {_bytes(form) for line in value.splitlines() for form in (*_escapes(line.strip()), *_quotings(line.strip()))}
    found |= {os.fsencode(line.strip()) for line in (value, *value.splitlines())}  # where the system's encoding is another one
    return {pattern for pattern in found if len(pattern) >= SHORTEST}


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


def _spellings(text: str) -> Iterator[str]:
    """Yield how programming languages, shells and documents write a text."""
    for form in {*_escapes(text)}:
        yield form
        yield from _escapes(form)  # a text with a text in it
    yield from _quotings(text)
    yield json.dumps(text)[1:-1].replace("/", "\\/")
    for safe in (json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]):
        yield _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", safe)  # Go
        careful = _CAREFUL.sub(lambda found: f"\\u{ord(found[0][-1]):04x}", safe)  # PHP, .NET
        yield re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), careful)
    markup = html.escape(text, quote=False)
    yield markup
    for double, single in (
        ("&quot;", "&#x27;"),
        ("&quot;", "&#39;"),
        ("&quot;", "&#039;"),
        ("&quot;", "&apos;"),
        ("&#34;", "&#39;"),
    ):
        yield markup.replace('"', double).replace("'", single)
    data = _bytes(text)
    for form in (quote(data, safe=""), quote(data), quote(data, safe="!*'()~"), quote_plus(data)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), form)
        yield form.replace("%", "%25")  # an address in an address


def _quotings(text: str) -> Iterator[str]:
    """Yield how shells, their tools and tables quote a text."""
    yield shlex.quote(text)[1:-1] if shlex.quote(text) != text else text
    yield text.replace("'", "'\\''")
    yield text.replace("'", "''")
    yield text.replace('"', '""')
    yield text.translate({ord(character): f"\\{character}" for character in '\\"$`'})  # inside "…" of a shell
    yield _UNSAFE.sub(r"\\\g<0>", text)
    yield _SPECIAL.sub(r"\\\g<0>", text)  # printf %q of bash
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
    octal = "".join(
        named.get(character)
        or (character if " " <= character <= "~" else "".join(f"\\{byte:03o}" for byte in _bytes(character)))
        for character in text
    )
    yield octal  # $'…' of bash, where the locale is C
    yield octal.replace("\\'", "'")
    yield octal.replace("\\'", "'").replace('"', '\\"')
    for several in (r"[^ -~]+", r"[\0-\x1f\x7f]+"):  # ls, cat and their like, in the locale C and in others
        yield re.sub(several, lambda found: f"'$'{_octal(found[0])}''", text.replace("'", "'\\''"))


def _octal(text: str) -> str:
    return "".join({10: "\\n", 9: "\\t", 13: "\\r"}.get(byte) or f"\\{byte:03o}" for byte in _bytes(text))


def _escapes(text: str) -> Iterator[str]:
    """Yield a text, and how JSON and Python write it."""
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield repr(_bytes(text))[2:-1]
    yield ascii(_bytes(text).decode("ascii", "surrogateescape"))[1:-1]  # Python, where the locale is C
    for both in (
        repr(text + '"')[1:-2],
        ascii(text + '"')[1:-2],
    ):  # as with both quotes in it: '…\'…' of Python, $'…\'…' of shells
        yield both
        yield both.replace('"', '\\"')


def _encodings(text: str) -> set[bytes]:
    data = _bytes(text)
    digits = data.hex()
    lines = [digits[start : start + _HEX_LINE] for start in range(0, len(digits), _HEX_LINE)]
    found = {digits.encode(), digits.upper().encode(), *(line.encode() for line in lines if len(line) >= _PIECE)}
    plain: set[bytes] = set()
    for ended in (data, data + b"\n", data + b"\r\n"):  # with what `echo` adds
        whole = base64.b64encode(ended)
        plain |= {whole, whole.rstrip(b"=")}
        for width in _WRAPPED:
            pieces = [whole[start : start + width] for start in range(0, len(whole), width)]
            plain |= {piece for piece in pieces if len(piece) >= _PIECE and len(pieces) > 1}
    for offset in range(3):  # as a part of something longer: characters that only the secret decides
        first = -(-8 * offset // 6)
        last = 8 * (offset + len(data)) // 6
        plain.add(base64.b64encode(b"\0" * offset + data)[first:last])
    return found | plain | {form.translate(bytes.maketrans(b"+/", b"-_")) for form in plain}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def too_short(values: Mapping[str, str]) -> Iterable[str]:
    """Return the names of the secrets that cannot be masked."""
    return [name for name, value in values.items() if len(_bytes(value.strip())) < SHORTEST]
