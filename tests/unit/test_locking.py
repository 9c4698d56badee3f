"""Locks that are taken where a signal may raise."""

import random
import signal
import threading

from flowq.store.client.locking import taker


class AlarmError(Exception):
    """The alarm has gone off."""


def test_an_interrupt_at_any_moment_leaves_no_lock_taken() -> None:
    """Python 3.14 interrupts between the call of a lock by `with` and the block."""
    lock, moments, interrupts = threading.Lock(), random.Random(1), 0
    raises = False

    def interrupt(*_: object) -> None:
        if raises:
            raise AlarmError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        while interrupts < 2000:
            try:
                raises = True
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.00001, 0.0001))
                while True:
                    [_] = taker(lock)
                    try:
                        pass
                    finally:
                        lock.release()
            except AlarmError:
                raises = False
                interrupts += 1
                assert not lock.locked()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
