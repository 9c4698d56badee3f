r"""Codes for terminals within a text: a secret that is printed with colours inside, as `grep --color` does, is looked for without them.

Such a code is a sequence of ESC, or what `repr`, JSON and scripts write for one: `\x1b[1m`. Its length is limited, so that a stream knows
soon whether one has begun.
"""

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import Final

_WRITTEN: Final = rb"(?:x1[bB]|u001[bB]|033|e)"  # after a backslash
_PARAMETERS: Final = rb"\[[0-?]{0,64}[ -/]{0,8}"
_TEXT: Final = rb"\][^\x07\x1b]{0,2048}"
_LONGEST: Final = 2100  # bytes

# The first character is a class of its own, which the engine looks for fast.
_CODE: Final = re.compile(
    rb"[\x1b\\](?:(?:(?<=\x1b)|(?<=\\)%(written)s)%(parameters)s[@-~]"
    rb"|(?<=\x1b)(?:%(text)s(?:\x07|\x1b\\)|[()*+\-./][0-9A-Za-z]|[78=>DEHM]))"
    % {b"written": _WRITTEN, b"parameters": _PARAMETERS, b"text": _TEXT}
)
_BEGUN: Final = re.compile(
    rb"[\x1b\\](?:(?<=\x1b)(?:%(parameters)s|%(text)s\x1b?|[()*+\-./])?"
    rb"|(?<=\\)(?:(?:x1?|u0{0,2}|u001|03?)?|%(written)s(?:%(parameters)s)?))\Z"
    % {b"written": _WRITTEN, b"parameters": _PARAMETERS, b"text": _TEXT}
)


class Uncoded:
    """A text without its codes. Where they were is found out when it is asked for: most texts have no secret."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.text = b"".join(_CODE.split(data))

    @classmethod
    def of(cls, data: bytes) -> "Uncoded | None":
        """Return the text without codes, None if it cannot have one."""
        return cls(data) if b"\x1b" in data or b"\\" in data else None

    @cached_property
    def _codes(self) -> list[re.Match[bytes]]:
        return list(_CODE.finditer(self._data))

    @cached_property
    def _ends(self) -> list[int]:
        return [match.end() for match in self._codes]

    @cached_property
    def _removed(self) -> list[int]:
        return list(accumulate(len(match[0]) for match in self._codes))

    @cached_property
    def _places(self) -> list[int]:
        return [end - removed for end, removed in zip(self._ends, self._removed, strict=True)]

    @cached_property
    def begun(self) -> int:
        """The place in the data from which on everything may be the beginning of a code, its end if there is none."""
        start = max(0, len(self._data) - _LONGEST)
        while (begun := _BEGUN.search(self._data, start)) is not None:
            around = bisect_right(self._ends, begun.start())
            if around == len(self._ends) or begun.start() <= self._codes[around].start():
                return begun.start()
            start = self._ends[around]  # it is a part of a code
        return len(self._data)

    @cached_property
    def certain(self) -> bytes:
        """The text without what may be the beginning of a code."""
        return self.text if self.begun == len(self._data) else self.text[: self.place(self.begun)]

    def origin(self, place: int) -> int:
        """Return where the byte at a place of the text is in the data."""
        before = bisect_right(self._places, place)
        return place + (self._removed[before - 1] if before else 0)

    def place(self, origin: int) -> int:
        """Return how many bytes of the text are before a place in the data."""
        if not origin:
            return 0
        before = bisect_right(self._ends, origin)
        return origin - (self._removed[before - 1] if before else 0)

    def inside(self, start: int, end: int) -> bytes:
        """Return the codes between the first and the last byte of a part of the text."""
        inside = self._codes[bisect_right(self._places, start) : bisect_right(self._places, end - 1)]
        return b"".join(match[0] for match in inside)
