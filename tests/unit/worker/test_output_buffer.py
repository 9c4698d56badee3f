"""Cutting output into entries: at line ends if possible, and the oldest output is dropped first."""

import pytest

from flowq.defaults import MAX_LOG_LINE
from flowq.worker.supervisor.output.buffer import OutputBuffer

READ = 64 * 1024  # bytes that a slot reads at once


def cut(data: bytes, size: int = READ) -> list[bytes]:
    """Return the entries of a stream that is read in chunks of `size` bytes."""
    cutter = OutputBuffer()
    for start in range(0, len(data), size):
        cutter.feed(data[start : start + size])
    cutter.end()
    return cutter.take()


@pytest.mark.parametrize("size", [READ, READ - 1, 4096, 100])
def test_entries_end_where_lines_end(size: int) -> None:
    data = b"".join(b"%d\n" % number for number in range(60_000))
    entries = cut(data, size)
    assert b"".join(entries) == data
    assert all(entry.endswith(b"\n") and len(entry) <= READ for entry in entries)


@pytest.mark.parametrize("character", ["ü", "€", "🙂"])
@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_that_is_too_long_is_cut_between_characters(character: str, offset: int, newline: bytes) -> None:
    data = b"x" * offset + character.encode() * 50_000 + newline
    entries = cut(data)
    assert b"".join(entries) == data
    for entry in entries:
        entry.decode()  # every piece by itself
    assert max(map(len, entries)) <= READ
    assert min(map(len, entries[:-1])) > MAX_LOG_LINE - 4


def test_invalid_utf8_is_cut_too() -> None:
    data = b"\x80" * 100_000
    entries = cut(data)
    assert b"".join(entries) == data
    assert max(map(len, entries)) <= MAX_LOG_LINE


def test_the_oldest_output_is_dropped_and_counted() -> None:
    cutter = OutputBuffer()
    fed = 0
    while not cutter.full:
        cutter.feed(b"old\n" * 8192)
        fed += 4 * 8192
    cutter.feed(b"the reason\n")
    cutter.shed()
    note, *kept = cutter.take()
    assert kept[-1] == b"the reason\n"
    lost = fed + len(b"the reason\n") - len(b"".join(kept))
    assert lost > 0
    assert note == b"[flowq: %d bytes of output could not be kept here]\n" % lost
    assert not cutter.ready
