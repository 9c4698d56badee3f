"""Frames over a stream socket: whole messages in order, descriptors with their messages, and the end of the stream."""

import os
import threading

import pytest

from flowq.worker.ipc import channel as protocol
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from tests.support.wait import until


def received(channel: Channel, count: int) -> list[tuple[object, list[int]]]:
    got: list[tuple[object, list[int]]] = []

    def enough() -> bool:
        got.extend(channel.receive())
        return len(got) >= count

    until(enough)
    return got


def test_messages_arrive_whole_and_in_order() -> None:
    one, other = Channel.pair()
    values = [("a", 1), {"b": [1.5, None, True]}, b"bytes", "text ü", ()]
    for value in values:
        one.send(value)
    assert [message for message, _ in received(other, len(values))] == values
    one.close()
    other.close()


def test_a_message_larger_than_the_socket_is_sent_in_pieces() -> None:
    one, other = Channel.pair()
    body = os.urandom(9_000_000)
    reader = threading.Thread(target=lambda: results.append(other.wait()))
    results: list[tuple[object, list[int]]] = []
    one.send(("big", body))
    assert one.sending  # it does not fit into the socket, and send did not block
    reader.start()
    one.drain()
    reader.join(10)
    assert results == [(("big", body), [])]
    one.close()
    other.close()


def test_descriptors_travel_with_their_message() -> None:
    one, other = Channel.pair()
    pipes = [os.pipe() for _ in range(3)]
    one.send("none")
    one.send("first", [pipes[0][1]])
    one.send("two", [pipes[1][1], pipes[2][1]])
    messages = received(other, 3)
    assert [len(fds) for _, fds in messages] == [0, 1, 2]
    for number, fd in enumerate(fd for _, fds in messages for fd in fds):
        assert not os.get_inheritable(fd)
        os.write(fd, b"%d" % number)
        os.close(fd)
    assert [os.read(read, 10) for read, _ in pipes] == [b"0", b"1", b"2"]
    for read, write in pipes:
        os.close(read)
        os.close(write)
    one.close()
    other.close()


def test_the_end_comes_after_the_last_message() -> None:
    one, other = Channel.pair()
    one.send("last")
    one.close()
    assert other.receive() == [("last", [])]
    with pytest.raises(PeerGoneError):
        other.receive()
    with pytest.raises(PeerGoneError):
        other.wait()
    with pytest.raises(PeerGoneError):
        other.send("to a closed channel")
    other.close()


def test_a_cut_message_is_not_delivered() -> None:
    one, other = Channel.pair()
    frame = (100).to_bytes(4, "little") + b"\0" + b"x" * 50
    os.write(one.fileno(), frame)
    one.close()
    assert other.receive() == []
    with pytest.raises(PeerGoneError):
        other.receive()
    other.close()


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff\xff\xff\xff\0",
        (3).to_bytes(4, "little") + b"\0abc",
        (1).to_bytes(4, "little") + b"\x09N",
        (1).to_bytes(4, "little") + b"\x01N",
    ],
    ids=["too long", "no value", "too many descriptors", "descriptor missing"],
)
def test_junk_is_refused(junk: bytes) -> None:
    one, other = Channel.pair()
    os.write(one.fileno(), junk)
    with pytest.raises(ProtocolError):
        other.receive()
    one.close()
    other.close()


@pytest.mark.parametrize("gone", [False, True])
def test_messages_before_junk_are_returned_with_their_descriptors(gone: bool) -> None:
    one, other = Channel.pair()
    read, write = os.pipe()
    one.send("first")
    one.send("second", [write])
    os.write(one.fileno(), b"\xff\xff\xff\xff\0")
    os.close(write)
    if gone:
        one.close()
    (first, none), (second, (copy,)) = received(other, 2)
    assert (first, none, second) == ("first", [], "second")
    os.close(copy)
    assert os.read(read, 1) == b"", "no copy is left"
    assert other.readable(0), "a loop calls again"
    for _ in range(2):
        with pytest.raises(ProtocolError):
            other.receive()
    os.close(read)
    one.close()
    other.close()


def test_close_closes_unread_descriptors() -> None:
    one, other = Channel.pair()
    read, write = os.pipe()
    os.write(one.fileno(), b"")
    one.send("carries", [write])
    received = other._read(protocol._DONTWAIT)
    assert received is not None
    other._take_in(*received)
    os.close(write)
    other.close()
    assert os.read(read, 1) == b""  # the copy was closed: end of the pipe
    os.close(read)
    one.close()
