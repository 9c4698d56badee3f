"""The soft half of a job's timeout: an exception raised inside the job when its time is up.

The hard half, signals to the job's whole process group by the worker's own clock, is in `flowq.worker.supervisor.slot`: it does not depend on
the job's cooperation. The names are those that users of RQ know.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self


class BaseTimeoutException(BaseException):
    """Base of the exceptions that are raised when a time is up."""


class JobTimeoutException(BaseTimeoutException):
    """Raised inside a job that has run for longer than its timeout.

    Not an `Exception`: a job's `except Exception` must not be able to swallow it. `finally` blocks run as usual, within the grace
    period that follows.
    """


class HorseMonitorTimeoutException(BaseTimeoutException):
    """RQ raises it in a worker; flowq does not. It exists for `except` clauses that name it."""


class JobStopped(BaseException):
    """Raised inside a job that shares its process with its worker and must end now: stopped, canceled, or given to another."""


def overran(what: str, seconds: float) -> str:
    """Return the message of an exception for a time that is up."""
    return f"{what} ran longer than its timeout of {seconds:g} s"


class BaseDeathPenalty:
    """Context manager that raises an exception in its body after some time; subclasses define how.

    Args:
        timeout: seconds (fractions count); None or a value that is not positive sets no limit.
        exception: the exception to raise; it gets a message.
        what: the owner of the time limit, for the message.
        **kwargs: `job_id`, which a worker passes for subclasses that want it.

    Attributes:
        fired: whether the time ran out, also when the body swallowed the exception.
    """

    def __init__(
        self,
        timeout: float | None,
        exception: type[BaseException] = JobTimeoutException,
        *,
        what: str = "the job",
        **kwargs: object,
    ) -> None:
        self._timeout = timeout if timeout is not None and timeout > 0 else None
        self._exception = exception
        self._what = what
        self._active = False
        self.job_id = kwargs.get("job_id")
        self.fired = False

    def setup_death_penalty(self) -> None:
        """Start the clock."""
        raise NotImplementedError

    def cancel_death_penalty(self) -> None:
        """Stop the clock."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._timeout is not None:
            self._active = True
            self.setup_death_penalty()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timeout is not None:
            self._active = False  # first: what is on its way already must not hit the code after the body
            self.cancel_death_penalty()

    def _message(self) -> str:
        assert self._timeout is not None
        return overran(self._what, self._timeout)


class UnixSignalDeathPenalty(BaseDeathPenalty):
    """A time limit that raises by SIGALRM. Main thread only. Alarms nest: the handler and the rest of an outer one come back."""

    def setup_death_penalty(self) -> None:
        """Start the timer."""
        assert self._timeout is not None
        self._former = _signal.signal(_signal.SIGALRM, self.handle_death_penalty)
        self._outer = _signal.setitimer(_signal.ITIMER_REAL, self._timeout)

    def cancel_death_penalty(self) -> None:
        """Stop the timer."""
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        _signal.signal(_signal.SIGALRM, self._former if self._former is not None else _signal.SIG_DFL)
        if self._outer[0] > 0:
            _signal.setitimer(_signal.ITIMER_REAL, *self._outer)

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        """Raise: the time is up."""
        if self._active:
            self.fired = True
            raise self._exception(self._message())


class TimerDeathPenalty(BaseDeathPenalty):
    """A time limit that raises from a timer thread, in the thread that entered it: for threads other than the main one.

    Python delivers the exception between two instructions: a call that blocks in C is interrupted only when it returns.
    """

    def setup_death_penalty(self) -> None:
        """Start the timer."""
        import threading

        assert self._timeout is not None
        self._thread = threading.get_ident()
        self._timer = threading.Timer(self._timeout, self.handle_death_penalty)
        self._timer.daemon = True
        self._timer.start()

    def cancel_death_penalty(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def handle_death_penalty(self) -> None:
        """Raise in the thread that has entered: the time is up."""
        if self._active:
            self.fired = True
            message = self._message()
            raise_in_thread(
                self._thread, type(self._exception.__name__, (self._exception,), {"__str__": lambda _self: message})
            )


def raise_in_thread(thread: int, exception: type[BaseException]) -> None:
    """Raise an exception in another thread, as soon as that executes Python code."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def get_default_death_penalty_class() -> type[BaseDeathPenalty]:
    """Return the class that enforces timeouts where no other one is given."""
    return UnixSignalDeathPenalty
