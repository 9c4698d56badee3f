"""The soft half of a job's timeout: an exception raised inside the job when its time is up.

The hard half, signals to the job's whole process group by the worker's own clock, is in `flowq.worker.slots`: it does not depend on
the job's cooperation. The names are those that users of RQ know.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self


class JobTimeoutException(BaseException):
    """Raised inside a job that has run for longer than its timeout.

    Not an `Exception`: a job's `except Exception` must not be able to swallow it. `finally` blocks run as usual, within the grace
    period that follows.
    """


class UnixSignalDeathPenalty:
    """Context manager that raises an exception in its body after `timeout` seconds, by SIGALRM. Main thread only.

    Args:
        timeout: seconds (fractions count); None or a value that is not positive sets no limit.
        exception: what is raised; it gets a message.

    Attributes:
        fired: whether the time ran out, also when the body swallowed the exception.
    """

    def __init__(self, timeout: float | None, exception: type[BaseException] = JobTimeoutException) -> None:
        self._timeout = timeout if timeout is not None and timeout > 0 else None
        self._exception = exception
        self._active = False
        self.fired = False

    def __enter__(self) -> Self:
        if self._timeout is not None:
            self._active = True
            _signal.signal(_signal.SIGALRM, self._raise)
            _signal.setitimer(_signal.ITIMER_REAL, self._timeout)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timeout is not None:
            self._active = False  # first: an alarm that is on its way already must not hit the code after the body
            _signal.setitimer(_signal.ITIMER_REAL, 0)
            _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        if self._active:
            self.fired = True
            raise self._exception(f"the job ran longer than its timeout of {self._timeout:g} s")
