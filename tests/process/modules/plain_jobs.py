"""Jobs whose ends the short way of a horse and the long one must tell alike."""

import os
import signal
import sys
import traceback

from flowq.timeouts import JobStopped


class Unpicklable:
    def __reduce__(self):
        raise ValueError("not me")


class Patches:
    """Its decoding calls `patch`: it stands for the import of an instrumentation, which patches `Job`."""

    def __reduce__(self):
        return patch, ()


def patch():
    """Do nothing: a test replaces it."""


def unpicklable():
    return Unpicklable()


def fork_and_return():
    """Return in two processes: only the first one reports."""
    if os.fork():
        os.wait()
        return "parent"
    return "child"


def fork_and_raise():
    if os.fork():
        return os.waitstatus_to_exitcode(os.wait()[1])
    raise ValueError("in the child")


def stop():
    raise JobStopped


def lose_streams():
    sys.stdout = sys.stderr = None
    return "quiet"


def close_streams():
    sys.stdout.close()
    os.close(2)
    return "closed"


def alarm():
    """Return whether an alarm is set, and which handler there is for it."""
    handler = signal.getsignal(signal.SIGALRM)
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0, callable(handler)


def write(text):
    sys.stdout.write(text)
    return text


def steps() -> list[str]:
    """Return the names of the functions that have led here."""
    return [frame.name for frame in traceback.extract_stack()]
