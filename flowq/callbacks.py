"""`Callback`: a function that is called when a job has succeeded, failed or was stopped."""

from collections.abc import Callable
from inspect import ismethod
from typing import Any, Final

from flowq import defaults
from flowq.dotted_names import bound_to, reference, resolve
from flowq.durations import from_milliseconds, milliseconds, parse_duration, whole
from flowq.exceptions import UsageError

CALLBACK_TIMEOUT: Final = defaults.CALLBACK_TIMEOUT  # s


class Callback:
    """A function that is called when a job ends, in the process that executed the job.

    `on_success` gets `(job, connection, result)`, `on_failure` `(job, connection, type, value, traceback)`, `on_stopped`
    `(job, connection)`.

    Args:
        func: the function, or its dotted name.
        timeout: seconds it may take, or text such as "1m".

    Raises:
        UsageError: nothing that a worker could import, or a wrong timeout.
    """

    def __init__(self, func: Callable[..., Any] | str, timeout: float | str | None = None) -> None:
        if ismethod(func):
            raise UsageError(
                f"a callback must be a string or function, found the method {func.__name__!r}: what it is bound to is not stored with"
                " callbacks; use a function or a static method"
            )
        if not isinstance(func, str) and (bound_to(func) is not None or not callable(func)):
            raise UsageError(f"a callback must be a string or function, found {func!r}")
        self.func = func
        self.timeout = whole(CALLBACK_TIMEOUT if timeout is None else parse_duration(timeout))
        self.name = reference(func)

    @classmethod
    def of(cls, value: Any) -> "Callback":
        """Return a callback for a user's value: a `Callback`, a function or a name."""
        return value if isinstance(value, cls) else cls(value)

    def stored(self) -> str:
        """Return its stored form: `<name>|<ms>`."""
        return f"{self.name}|{milliseconds(self.timeout)}"

    @classmethod
    def restored(cls, text: str | None) -> "Callback | None":
        """Return it from its stored form."""
        if not text:
            return None
        name, _, timeout = text.rpartition("|")
        return cls(name, from_milliseconds(timeout))

    def resolved(self) -> Callable[..., Any]:
        """Return the function.

        Raises:
            ImportError: it cannot be imported here.
        """
        function: Callable[..., Any] = resolve(self.func) if isinstance(self.func, str) else self.func
        return function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Callback) and other.stored() == self.stored()

    def __hash__(self) -> int:
        return hash(self.stored())

    def __repr__(self) -> str:
        return f"Callback({self.name!r}, timeout={self.timeout:g})"
