"""Forking whole workers: children in process groups of their own, which lose no signal and do not outlive their parent."""

import logging
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from flowq.exceptions import FlowqError
from flowq.worker.signals import STOP, leave

_log = logging.getLogger("flowq.worker.pool")


def fork(work: Callable[[], object], lifeline: tuple[int, int]) -> int:
    """Start a process that does `work` and exits: with 0, or with 1 after an exception. Return its pid.

    Args:
        work: called in the child; its own handlers of stop signals are its business.
        lifeline: a pipe of the parent's; the child keeps the reading end only, which ends with the parent.
    """
    # No signal may get lost between the fork and the moment at which the child is ready for it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(work, lifeline, mask)
        try:
            os.setpgid(pid, pid)  # the child does it too: one of the two is first
        except (PermissionError, ProcessLookupError):
            pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _be_child(work: Callable[[], object], lifeline: tuple[int, int], mask: set[int | signal.Signals]) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in STOP:
            signal.signal(number, leave)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(lifeline[1])
        work()
        code = 0
    except FlowqError as error:
        _log.error("%s", error)
    except BaseException:  # noqa: BLE001 - it is printed, and it ends this process
        _log.exception("a worker ends")
    finally:
        logging.shutdown()
        os._exit(code)
