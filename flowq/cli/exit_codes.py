"""Exit codes, and the one for the end of a run."""

from typing import TYPE_CHECKING, Final

from flowq.states import RunStatus

if TYPE_CHECKING:
    from flowq.flows.views.run_view import RunView

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INVALID: Final = 3
CANCELED: Final = 4
TIMED_OUT: Final = 5
UNREACHABLE: Final = 6
SKIPPED: Final = 7
BUG: Final = 70  # sysexits' EX_SOFTWARE: never mistaken for the outcome of a run
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as a shell reports it


def of_run(run: "RunView") -> int:
    """Return the exit code for the status of a run; `FAILED` for a run that has not ended."""
    if run.status is RunStatus.FINISHED:
        return OK
    if run.status is RunStatus.CANCELED:
        return CANCELED
    if run.status is RunStatus.SKIPPED:
        return SKIPPED
    return TIMED_OUT if run.timed_out and run.ended else FAILED
