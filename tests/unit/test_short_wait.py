"""A short wait is spent awake only where the last answer came soon, and ends with the answer, its time, or another process's need."""

import os
import socket
import threading
import time

import pytest

from flowq.store.client import short_wait
from flowq.store.client.short_wait import LONGEST, ShortWait, look_until
from flowq.worker.supervisor.event_loop import Loop

several = pytest.mark.skipif(short_wait._PROCESSORS == 1, reason="one processor: the one that answers needs it")


@several
def test_it_is_expected_what_came_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_wait, "LONGEST", 60.0)  # which any answer here is within, on a busy machine too
    waits = ShortWait()
    assert waits.asked() == 0.0, "nothing is known yet"
    waits.answered()
    assert 0 < waits.asked() - time.monotonic() <= 60
    monkeypatch.setattr(short_wait, "LONGEST", 0.0)  # and none
    waits.answered()
    assert waits.asked() == 0.0


class OfAnotherLibrary(socket.socket):
    """A socket as TLS, gevent and eventlet have them."""

    def fileno(self) -> int:
        raise AssertionError("it is not looked at")


def test_only_a_socket_of_the_system_that_is_open_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = ShortWait()
    waits._soon = True
    first, second = socket.socketpair()
    second.sendall(b"x")
    waits.await_readable(first)
    waits.await_readable(OfAnotherLibrary())
    waits.await_readable(None)
    monkeypatch.setattr(short_wait, "_NEW_POLLER", None)
    waits.await_readable(second)
    monkeypatch.undo()
    first.close()
    second.close()
    waits.await_readable(first)


def test_looking_ends_with_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_wait, "_TAKEN", 60.0)
    answers = iter([[], [], ["found"]])
    assert look_until(lambda: next(answers), time.monotonic() + 60) == ["found"]


def test_looking_ends_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_wait, "_TAKEN", 60.0)
    until = time.monotonic() + LONGEST
    assert look_until(lambda: None, until) is None
    assert time.monotonic() >= until


def test_looking_ends_when_another_process_has_had_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[None] = []
    monkeypatch.setattr(os, "sched_yield", lambda: time.sleep(0.001))
    look_until(lambda: looked.append(None), time.monotonic() + 60)
    assert len(looked) == 2


def test_a_loop_that_stays_awake_hears_what_comes_and_ends_in_time() -> None:
    loop = Loop()
    reading, writing = os.pipe()
    heard: list[bytes] = []
    loop.watch(reading, lambda: heard.append(os.read(reading, 10)))
    loop.stay_awake(time.monotonic() + 0.2)
    threading.Timer(0.01, os.write, (writing, b"x")).start()
    while not heard:
        loop.turn(5)
    assert heard == [b"x"]
    loop.stay_awake(time.monotonic() + LONGEST)
    loop.turn(0.002)
    assert heard == [b"x"]
    loop.forget(reading)
    os.close(reading)
    os.close(writing)
    loop.close()
