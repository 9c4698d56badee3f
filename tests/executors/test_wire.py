"""Frames between driver and node: whole, in pieces, with noise before them, damaged."""

import pytest

from flowq.worker.executors import wire
from flowq.worker.executors.wire import Decoder, WireError

MESSAGES = [
    (wire.HELLO, "0.1.0", "here"),
    (wire.OUTPUT, "t", 1, b"\0\xff" * 5000),
    (wire.GRANT, "t", "n", {"args": [1, None, 2.5]}, {}),
]
FRAMES = b"".join(map(wire.encode, MESSAGES))


@pytest.mark.parametrize("size", [1, 7, 4096, len(FRAMES)])
def test_messages_come_whole_from_pieces(size: int) -> None:
    decoder = Decoder()
    assert [
        message for start in range(0, len(FRAMES), size) for message in decoder.feed(FRAMES[start : start + size])
    ] == MESSAGES


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_a_login_shell_writes_is_skipped(size: int) -> None:
    data = b"Welcome!\nflowq node\n" + wire.PREAMBLE + FRAMES
    decoder = Decoder(noisy=True)
    assert [message for start in range(0, len(data), size) for message in decoder.feed(data[start : start + size])] == MESSAGES
    assert decoder.noise == ""


def test_what_is_no_node_is_shown() -> None:
    decoder = Decoder(noisy=True)
    assert decoder.feed(b"permission denied\n") == []
    assert decoder.noise == "permission denied"
    with pytest.raises(WireError, match="something writes: permission denied"):
        decoder.feed(b"x" * 100_000)


@pytest.mark.parametrize("place", [0, 4, 8, 100, len(FRAMES) - 1])
def test_each_byte_counts(place: int) -> None:
    damaged = bytearray(FRAMES)
    damaged[place] ^= 0x40
    decoder = Decoder()
    with pytest.raises(WireError):
        assert decoder.feed(bytes(damaged) + bytes(70_000)) != MESSAGES


def test_a_message_that_is_too_large() -> None:
    with pytest.raises(WireError, match="larger than the limit"):
        wire.encode((wire.BUNDLE, "x", bytes(wire.MAX_FRAME)))
    with pytest.raises(WireError, match="not a message"):
        Decoder().feed(b"\xff\xff\xff\x7f" + bytes(8))
