"""The streams of an entry of a log: its field `s`, which tells what of its data was written to stdout and to stderr.

"out" and "err" mean all of it. Lines to both in turns share an entry, because an entry for each would cost the server and every reader more
than the lines themselves: "out 12,err 5,out 30" tells the bytes of each piece, in the order in which they were written.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

_SHARED: Final = 64 * 1024  # bytes of an entry that pieces of both streams share


def combine(pieces: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Return entries for pieces of output, `(stream, data)` both, in the same order."""
    group: list[tuple[str, bytes]] = []
    size = 0
    for piece in pieces:
        if group and size + len(piece[1]) > _SHARED:
            yield _entry(group)
            group, size = [], 0
        group.append(piece)
        size += len(piece[1])
    if group:
        yield _entry(group)


def separate(streams: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Return the pieces of an entry."""
    end = 0
    for part in streams.split(","):
        stream, _, size = part.partition(" ")
        begin, end = end, end + int(size) if size else len(data)
        yield stream, data[begin:end]


def _entry(pieces: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    runs = [(stream, b"".join(data for _, data in run)) for stream, run in groupby(pieces, key=lambda piece: piece[0])]
    if len(runs) == 1:
        return runs[0]
    return ",".join(f"{stream} {len(data)}" for stream, data in runs), b"".join(data for _, data in runs)
