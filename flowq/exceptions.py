"""The tree of errors. Every error that flowq raises on purpose is a `FlowqError`.

A message says what was expected, what was found and what to do. Names that users of RQ know keep their meaning.
"""

# `typing` would be most of what a watchdog or a horse imports: checkers understand this without it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class FlowqError(Exception):
    """Base of all errors that flowq raises on purpose."""


class UsageError(FlowqError, ValueError, TypeError):
    """The caller asked for something impossible: a wrong option, a contradictory combination. RQ raises `ValueError` or `TypeError`."""


class AsyncClientError(UsageError, TypeError):
    """A client for asyncio was given as a connection; flowq calls the server with one that blocks."""


class SerializerError(UsageError, NotImplementedError):
    """Something was given as a serializer that is none. RQ raises `NotImplementedError`."""


class UserModuleError(UsageError, ImportError):
    """A module of the user's, such as a cron configuration, does not exist or cannot be executed. RQ raises `ImportError`."""


class UserFileNotFoundError(UsageError, FileNotFoundError):
    """There is no such file of the user's. RQ raises `FileNotFoundError`."""


class ConfigError(UsageError):
    """A configuration value (file or environment) is invalid."""


# -- the server ---------------------------------------------------------------------------------------------------------------


class ServerError(FlowqError):
    """The server cannot be used: unreachable, wrong password, read-only, out of memory."""


class ServerUnavailableError(ServerError):
    """The server did not answer: refused, timed out, restarting. Trying again later may help."""


class ServerNotFoundError(ServerError):
    """No server binary was found for the embedded server."""


class SchemaVersionError(ServerError):
    """The data on the server was written by a version of flowq with another schema."""


class DataLostError(ServerError):
    """The data this process worked on was lost: the server was restarted empty or flushed."""


# -- jobs and runs ------------------------------------------------------------------------------------------------------------


class InvalidJobOperation(FlowqError):
    """The job is not in a status in which this can be done."""


InvalidJobOperationError = InvalidJobOperation  # RQ has both names


class NoSuchJobError(InvalidJobOperation):
    """No job with that id: never created, expired or deleted. Nothing can be done with such a job, so it is that error too."""


class NoSuchRunError(FlowqError):
    """No run with that id or prefix: never submitted, or past its retention."""


class AmbiguousRunError(UsageError):
    """A prefix that fits several runs, `runs`."""

    def __init__(self, text: str, runs: "Sequence[str]" = ()) -> None:
        super().__init__(text)
        self.runs = tuple(runs)


class NoSuchExecutionError(FlowqError, ValueError):
    """An execution that is not in progress: it has ended, or was never there. RQ raises a plain `ValueError`."""


class NoSuchGroupError(FlowqError):
    """No group with that name: it has no jobs yet, or all of them have expired or were deleted."""


class NoSuchWorkerError(FlowqError):
    """No worker with that name: never started, stopped, or silent for long."""


class SchedulerNotFound(FlowqError):
    """No cron scheduler with that name: never started, stopped, or silent for long."""


class DuplicateSchedulerError(FlowqError):
    """A cron scheduler with that name lives already."""


class DuplicateJobError(FlowqError):
    """`unique=True` and the id is taken."""


class InvalidRunOperation(FlowqError):
    """The run is not in a status in which this can be done."""


class InvalidJobDependency(FlowqError):
    """A dependency does not exist, or waits for the job itself."""


class TimeoutFormatError(UsageError):
    """A duration in a form that is not known."""


class TooLargeError(FlowqError):
    """A payload, result or plan is over its size limit; the message names both."""


class DeserializationError(FlowqError):
    """Stored bytes could not be decoded."""


class CorruptRecordError(FlowqError):
    """A stored record is not what flowq wrote: letters where a number belongs, a plan that is no plan."""


class SignatureError(FlowqError):
    """`FLOWQ_SECRET_KEY` is set, and data from the server is not signed with it: it is neither decoded nor executed."""


class HorseKilledError(FlowqError):
    """The process that executed the job was killed or crashed. Handed to `on_failure` callbacks, never raised by flowq."""


class AbandonedJobError(FlowqError):
    """The worker that executed the job was lost (its lease ran out). Text on the job, and handed to `on_failure` callbacks."""


# -- flows --------------------------------------------------------------------------------------------------------------------


class InvalidFlowError(FlowqError):
    """A flow file did not compile. `diagnostics` holds every problem found (`flowq.compiler.Diagnostic`)."""

    def __init__(self, message: str, diagnostics: "Sequence[Any]" = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


# -- RQ's names ---------------------------------------------------------------------------------------------------------------
# flowq raises none of these. They exist so that modules that name them in an `except` clause can be imported.


class DequeueTimeout(Exception):
    """RQ raises it when no job arrives in time."""


class StopRequested(Exception):
    """RQ raises it in a worker that must stop."""


class ShutDownImminentException(BaseException):
    """RQ raises it in a job of a `HerokuWorker` that must stop.

    Args:
        msg: the text.
        extra_info: details of the interrupted code.
    """

    def __init__(self, msg: str, extra_info: "Any" = None) -> None:
        super().__init__(msg)
        self.extra_info = extra_info
