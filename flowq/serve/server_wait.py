"""The wait for the server before anything is started: a machine starts both at once, and the server may load its data for a while.

It is tried in a process of its own: the parent of the tree has little to fail with, and imports no client.
"""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from flowq.exceptions import FlowqError, ServerError, ServerUnavailableError
from flowq.worker.ipc import platform
from flowq.worker.signals import SAME_STOP, StopSignals

_FIRST_PAUSE: Final = 0.1  # s between tries; longer each time
_LONGEST_PAUSE: Final = 2.0
_UNREACHABLE: Final = 6  # exit codes, as of `flowq worker`
_USAGE: Final = 2

log = logging.getLogger("flowq.serve")


def await_server(try_it: Callable[[], None]) -> int | None:
    """Wait until the server can be used; return None, or the exit code: 0 after a stop signal, else that of what waiting does not mend.

    Main thread only.

    Args:
        try_it: uses the server; called in another process.
    """
    here = os.getpid()
    with StopSignals(SAME_STOP) as signals:
        over, end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(over)
            _wait(try_it, here)
        os.close(end)
        try:
            while not signals.count:
                if over in select.select([over, signals.fileno()], [], [])[0]:
                    break
                signals.acknowledge()
            if signals.count:
                os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            os.close(over)
    return 0 if signals.count else code or None


def _wait(try_it: Callable[[], None], parent: int) -> NoReturn:
    for number in platform.STOP_SIGNALS:  # the parent gets them, and ends this process
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    platform.die_with_parent(parent)
    code, told, pause = 70, "", _FIRST_PAUSE
    try:
        while True:
            try:
                try_it()
                break
            except ServerUnavailableError as error:
                if told != str(error):
                    told = str(error)
                    log.warning("%s; it is waited for", error)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if told:
            log.info("the server is there")
        code = 0
    except FlowqError as error:
        sys.stderr.write(f"error: {error}\n")
        code = _UNREACHABLE if isinstance(error, ServerError) else _USAGE
    finally:
        sys.stderr.flush()
        os._exit(code)
