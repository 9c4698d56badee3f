"""Masking: secrets are taken out of bytes, also where one begins in one chunk of output and ends in the next.

    value -- encodings.variants --> patterns -- Mask --> whole texts          (errors, results)
                                             -- MaskedStream --> output, chunk by chunk (`flowq.worker.supervisor.output.buffer`)

Masking is best effort: a program that prints a secret backwards gets it past every mask. Of each variant nothing is left, everything
else stays byte by byte, and the result does not depend on where chunks end. Codes for terminals inside a secret do not hide it, and stay.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from flowq.worker.secrets.encodings import SHORTEST, encoded, variants
from flowq.worker.secrets.terminal_codes import Uncoded

MASK: Final = b"***"

_LITTLE: Final = 4096  # bytes in which all patterns are looked for at once; in more, looking for one after the other is faster
_HELD: Final = 1024 * 1024  # bytes of a stream that are held: a secret is much shorter, the codes inside it need not be
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
        if self._heads is None:
            return data, len(data), set()
        uncoded = Uncoded.of(data)
        heads = self._heads.search
        if len(data) <= _LITTLE and heads(data) is None and (uncoded is None or heads(uncoded.text) is None):
            certain = self._certain(data, uncoded, 0, self._tail) if end is None else end
            return data[:certain], certain, set()
        certain = self._certain(data, uncoded, 0, self._begun) if end is None else end
        out, names, position = [], set(), 0
        for start, stop, name, codes in self._spans(data, uncoded):
            if start < position:
                continue
            if start >= certain:
                break
            out += [data[position:start], MASK, codes]
            names.add(name)
            position = stop
            if certain < position:
                certain = max(position, self._certain(data, uncoded, position, self._begun))
        out.append(data[position:certain])
        return b"".join(out), certain, names

    def _spans(self, data: bytes, uncoded: Uncoded | None) -> list[tuple[int, int, str, bytes]]:
        """Return the secrets in the order of their places, of one place the longest first: start, end, name, the codes inside, which are kept."""
        found = {(start, start + size, name, b"") for start, size, name in self._matches(data)}
        if uncoded is not None:
            found |= {
                (uncoded.origin(start), uncoded.origin(start + size - 1) + 1, name, uncoded.inside(start, start + size))
                for start, size, name in self._matches(uncoded.text)
            }
        return sorted(found, key=lambda span: (span[0], -span[1]))

    @staticmethod
    def _certain(data: bytes, uncoded: Uncoded | None, since: int, begun: Callable[[bytes, int], int]) -> int:
        """Return the first place from which on everything is the beginning of a secret, without codes too, or of a code."""
        if uncoded is None:
            return begun(data, since)
        place = begun(uncoded.certain, uncoded.place(since))
        return min(begun(data, since), uncoded.begun if place == len(uncoded.certain) else uncoded.origin(place))

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
        """Return the bytes so far that cannot be part of a secret, masked."""
        whole = self._held + data
        masked, done, _ = self._mask.scan(whole)
        self._held = whole[done:]
        return masked if len(self._held) <= _HELD else masked + self.end()

    def end(self) -> bytes:
        """Return the remaining bytes, masked."""
        rest, self._held = self._held, b""
        return self._mask.apply(rest)[0]


def too_short(values: Mapping[str, str]) -> Iterable[str]:
    """Return the names of the secrets that cannot be masked."""
    return [name for name, value in values.items() if len(encoded(value.strip())) < SHORTEST]
